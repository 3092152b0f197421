"""One painter for three pictures: the same bodies, in metres, as colours, as ranges or as temperatures.

Scene frame: x forward, y left, z up, origin on the ground below the wearer. Whoever draws goes from far to near; what
is drawn later covers what was drawn before. Bodies carry a colour and a temperature, their range follows from where
they are, so the three sensors cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.simulated.world import Colour, Scene

__all__ = ["Canvas", "Kind", "Lens", "Point", "Pose", "Texture"]

Kind = Literal["colour", "depth", "thermal"]
Point = tuple[float, float, float]
"""(x forward, y left, z up) in metres."""
Points = Sequence[Point] | NDArray[np.float64]

NEAR_M = 0.06
"""Nothing nearer is drawn."""
_SHIFT = 4
_SUBPIXEL = 1 << _SHIFT
_FAR_PIXEL = 20_000.0
_ASIDE = 20.0
_FRUSTUM = (
    (1.0, 0.0, 0.0, NEAR_M), (_ASIDE, 1.0, 0.0, 0.0), (_ASIDE, -1.0, 0.0, 0.0), (_ASIDE, 0.0, 1.0, 0.0),
    (_ASIDE, 0.0, -1.0, 0.0),
)  # fmt: skip
"""Planes in front of which things are drawn: a x + b y + c z >= offset."""
_SUN = np.array([-0.35, 0.45, 0.82])
"""Where light comes from: behind, left, above."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the head is, relative to standing still at the scene's eye height and looking ahead. Metres, radians."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    """Positive to the left."""
    pitch: float = 0.0
    """Positive upwards."""
    roll: float = 0.0
    """Positive to the right (the head's right ear goes down)."""


@dataclass(frozen=True, slots=True)
class Lens:
    """A sensor's field of view and where it sits on the head."""

    hfov_deg: float
    offset: Point = (0.0, 0.0, 0.0)
    """From the eyes, in the head's frame, metres."""


class Texture:
    """A picture to put on a panel, row 0 on top: colours (h, w, 3) uint8 and (h, w) kelvin above the panel's own."""

    def __init__(self, colours: NDArray[np.uint8], warmth_k: NDArray[np.float32] | None = None) -> None:
        if warmth_k is None:
            warmth_k = np.zeros(colours.shape[:2], np.float32)
        self._levels: dict[Kind, list[NDArray[Any]]] = {"colour": [colours], "thermal": [warmth_k]}
        for levels in self._levels.values():
            while min(levels[-1].shape[:2]) >= 8:
                height, width = levels[-1].shape[:2]
                levels.append(
                    np.asarray(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA))
                )

    def level(self, size_px: float, kind: Kind) -> NDArray[Any]:
        """The texture as fine as a panel `size_px` across can show: finer ones would flicker."""
        levels = self._levels[kind]
        for image in levels:
            if math.sqrt(image.shape[0] * image.shape[1]) <= 1.4 * size_px:
                return image
        return levels[-1]


class Canvas:
    """One frame being painted: uint8 RGB (H, W, 3), float32 metres (H, W) with inf for nothing, or float32 kelvin.

    Temperatures are kelvin. `glow` and `shine` act on colours alone, `veil` on colours and, weakly, on temperatures.
    """

    def __init__(self, kind: Kind, height: int, width: int, lens: Lens) -> None:
        self.kind = kind
        self.height, self.width = height, width
        self._lens = lens
        self._f = 0.5 * width / math.tan(math.radians(lens.hfov_deg) / 2)
        self._cx, self._cy = (width - 1) / 2, (height - 1) / 2
        self._mask = np.zeros((height, width), np.uint8)
        shape = (height, width, 3) if kind == "colour" else (height, width)
        self.image: NDArray[Any] = np.zeros(shape, np.uint8 if kind == "colour" else np.float32)
        self._rotation = np.eye(3)
        self._origin = np.zeros(3)
        self._gain: NDArray[np.float64] = np.ones(3)
        self.scene: Scene | None = None

    def begin(self, scene: Scene, pose: Pose) -> None:
        """Start a frame: the eyes of `scene` moved by `pose`."""
        self.scene = scene
        self._rotation = _rotation(pose)
        eyes = np.array([pose.x, pose.y, scene.eye_m + pose.z])
        self._origin = eyes + self._rotation @ np.array(self._lens.offset)
        self._gain = np.array(scene.light.tint) * (scene.light.level * scene.exposure)
        self.image[...] = 0 if self.kind == "colour" else (np.inf if self.kind == "depth" else scene.air_k)

    # ---- backgrounds

    def sky(self, top: Colour, horizon: Colour, temperature_k: float) -> None:
        """Endless background, graded between the colours by elevation (as seen: the light is already in them)."""
        if self.kind == "depth":
            return
        rows = np.arange(self.height)
        up = self._rotation[2, 0] + self._rotation[2, 2] * (self._cy - rows) / self._f
        share = np.clip(up / 0.7, 0.0, 1.0)
        if self.kind == "thermal":
            # The clear zenith is far colder than the air at the horizon.
            self.image[...] = (temperature_k - 12.0 * share)[:, None]
            return
        assert self.scene is not None
        graded = (np.asarray(horizon) * (1 - share[:, None]) + np.asarray(top) * share[:, None]) * self.scene.exposure
        self.image[...] = np.clip(graded, 0, 255).astype(np.uint8)[:, None, :]

    # ---- bodies

    def polygon(
        self, points: Points, colour: Colour, temperature_k: float, *, shade: float = 1.0, emits: bool = False
    ) -> None:
        """A flat polygon, corner by corner. shade: factor on the colour; emits: its colour is its own light."""
        camera = self._clip(self._to_camera(points))
        if len(camera) >= 3:
            self._fill(camera, colour, temperature_k, shade, emits)

    def slab(self, z: float, x: tuple[float, float], y: tuple[float, float], colour: Colour, temperature_k: float,
             *, shade: float = 1.0) -> None:  # fmt: skip
        """A horizontal rectangle at height z: floors, tables, water."""
        self.polygon(
            [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], colour, temperature_k, shade=shade
        )

    def wall(self, a: tuple[float, float], b: tuple[float, float], z: tuple[float, float], colour: Colour,
             temperature_k: float, *, shade: float = 1.0, emits: bool = False) -> None:  # fmt: skip
        """An upright rectangle from ground point a to b, heights z[0] to z[1]."""
        corners = [(a[0], a[1], z[0]), (b[0], b[1], z[0]), (b[0], b[1], z[1]), (a[0], a[1], z[1])]
        self.polygon(corners, colour, temperature_k, shade=shade, emits=emits)

    def box(self, centre: Point, size: Point, colour: Colour, temperature_k: float, *, yaw: float = 0.0,
            pitch: float = 0.0, emits: bool = False) -> None:  # fmt: skip
        """A cuboid, its visible faces shaded by where they look. yaw about z, pitch (nose up) about y, radians."""
        half = np.array(size) / 2
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]]) @ np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
        middle = np.array(centre)
        faces = []
        for axis in range(3):
            for sign in (-1.0, 1.0):
                normal = turn[:, axis] * sign
                face = middle + normal * half[axis]
                if normal @ (self._origin - face) <= 0:
                    continue
                u, v = turn[:, (axis + 1) % 3] * half[(axis + 1) % 3], turn[:, (axis + 2) % 3] * half[(axis + 2) % 3]
                shade = 1.0 if emits else 0.62 + 0.38 * max(0.0, float(normal @ _SUN))
                faces.append((np.stack([face - u - v, face + u - v, face + u + v, face - u + v]), shade))
        for corners, shade in faces:
            self.polygon(corners, colour, temperature_k, shade=shade, emits=emits)

    def ball(self, centre: Point, radius: float, colour: Colour, temperature_k: float, *, emits: bool = False) -> None:
        """A sphere, lit from above and behind. Drawn as a disc at its distance."""
        placed = self._disc(centre, radius)
        if placed is None:
            return
        (u, v), r, range_m = placed
        if self.kind != "colour":
            self._circle((u, v), r, max(range_m - 0.6 * radius, NEAR_M) if self.kind == "depth" else temperature_k)
            return
        for part, offset, shade in ((1.0, 0.0, 0.74), (0.8, 0.14, 0.9), (0.45, 0.3, 1.05)):
            self._circle((u - offset * r, v - offset * r), r * part, self._ink(colour, 1.0 if emits else shade, emits))

    def rod(self, a: Point, b: Point, radius: float, colour: Colour, temperature_k: float, *,
            radius_b: float | None = None, shade: float = 1.0, emits: bool = False) -> None:  # fmt: skip
        """A round bar from a to b, which may taper: limbs, branches, handles. Its ends are round."""
        camera = self._clip_line(self._to_camera([a, b]))
        if camera is None:
            return
        pixels, ranges = self._project(camera), camera[:, 0]
        ends = radius, radius if radius_b is None else radius_b
        widths = [self._f * end / x for end, x in zip(ends, ranges, strict=True)]
        along = pixels[1] - pixels[0]
        length = float(np.hypot(*along))
        value = self._value(camera.mean(axis=0), colour, temperature_k, shade, emits, radius)
        if length > 1e-6:
            side = np.array([-along[1], along[0]]) / length
            outline = [pixels[0] + side * widths[0], pixels[1] + side * widths[1],
                       pixels[1] - side * widths[1], pixels[0] - side * widths[0]]  # fmt: skip
            self._paint(np.array(outline), value)
            if self.kind == "colour" and max(widths) > 2.0:
                lit = [pixels[0] + side * widths[0] * 0.1, pixels[1] + side * widths[1] * 0.1,
                       pixels[1] - side * widths[1] * 0.65, pixels[0] - side * widths[0] * 0.65]  # fmt: skip
                self._paint(np.array(lit), self._ink(colour, 1.12 * shade, emits))
        for pixel, width in zip(pixels, widths, strict=True):
            if width > 1.0:
                self._circle((float(pixel[0]), float(pixel[1])), width, value)

    def ring(self, centre: Point, radius: float, colour: Colour, temperature_k: float, *, normal: Point = (0, 0, 1),
             squash: float = 1.0, shade: float = 1.0, emits: bool = False, corners: int = 20) -> None:  # fmt: skip
        """A flat disc (or, with `squash`, an ellipse) that looks along `normal`: plates, lids, wheels."""
        n = np.asarray(normal, float)
        n /= np.linalg.norm(n)
        aside = np.cross(n, (0.0, 0.0, 1.0) if abs(n[2]) < 0.9 else (1.0, 0.0, 0.0))
        aside /= np.linalg.norm(aside)
        other = np.cross(n, aside)
        turns = np.arange(corners) * (2 * math.pi / corners)
        points = np.asarray(centre) + radius * (
            np.cos(turns)[:, None] * aside + squash * np.sin(turns)[:, None] * other
        )
        self.polygon(points, colour, temperature_k, shade=shade, emits=emits)

    def panel(self, corner: Point, along: Point, up: Point, texture: Texture, temperature_k: float, *,
              shade: float = 1.0, emits: bool = False) -> None:  # fmt: skip
        """A flat picture: the texture's bottom left lies at `corner`, its sides run along the vectors `along` and `up`.

        For what would take hundreds of polygons: goods on a shelf, bricks, tiles, planks.
        """
        edges = np.array([corner, along, up], float)
        points = edges[0] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ edges[1:]
        if self.kind == "depth":
            self.polygon(points, (0, 0, 0), 0.0)
            return
        camera = self._clip(self._to_camera(points))
        if len(camera) < 3:
            return
        pixels = self._project(camera)
        low, high = self._bounds(pixels)
        if (high <= low).any():
            return
        image = texture.level(float(np.sqrt(max(_area(pixels), 1.0))), self.kind)
        height, width = image.shape[:2]
        # Where a ray through a pixel meets the plane: solve origin + s * along + t * up = range * ray.
        origin, a, b = self._to_camera(points[:1])[0], edges[1] @ self._rotation, edges[2] @ self._rotation
        plane = np.stack([a, b, origin], axis=1)
        lens = np.array([[self._cx, -self._f, 0.0], [self._cy, 0.0, -self._f], [1.0, 0.0, 0.0]])
        to_picture = lens @ plane
        if abs(np.linalg.det(to_picture)) < 1e-9:
            return
        to_texture = np.array([[width, 0, -0.5], [0, -height, height - 0.5], [0, 0, 1]]) @ np.linalg.inv(to_picture)
        shift = np.array([[1.0, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpPerspective(image, to_texture @ shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
        mask = self._mask[rows, columns]
        mask[...] = 0
        cv2.fillPoly(mask, [_fixed(pixels - low)], 1, cv2.LINE_8, _SHIFT)
        if self.kind == "colour":
            assert self.scene is not None
            gain = (np.full(3, self.scene.exposure) if emits else self._gain) * shade
            seen = cv2.transform(seen, np.diag(gain))
        else:
            seen = seen + np.float32(temperature_k)
        cv2.copyTo(seen, mask, self.image[rows, columns])

    def pane(self, points: Points, temperature_k: float) -> None:
        """Window glass: colours and ranges come through it, warmth does not."""
        # Soda-lime glass lets nothing through between 8 and 14 um, where thermal cameras look.
        if self.kind == "thermal":
            self.polygon(points, (0, 0, 0), temperature_k)

    # ---- light, smoke and steam

    def glow(self, centre: Point, radius: float, colour: Colour, strength: float = 0.6) -> None:
        """Light around something bright: added to the colours, fading outwards."""
        if self.kind != "colour":
            return
        placed = self._disc(centre, radius)
        if placed is None:
            return
        (u, v), r, _ = placed
        part, fall = self._falloff(u, v, r)
        if part is not None:
            target = self.image[part]
            light = fall[:, :, None] * (np.asarray(colour) * strength)
            target[...] = np.minimum(target + light, 255).astype(np.uint8)

    def veil(
        self, centre: Point, radius: float, colour: Colour, opacity: float, temperature_k: float | None = None
    ) -> None:
        """Steam, smoke or spray: a soft disc that lets `1 - opacity` through in its middle; ranges ignore it."""
        if self.kind == "depth" or (self.kind == "thermal" and temperature_k is None):
            return
        placed = self._disc(centre, radius)
        if placed is None:
            return
        (u, v), r, _ = placed
        part, fall = self._falloff(u, v, r)
        if part is None:
            return
        target = self.image[part]
        share = fall * opacity
        if self.kind == "thermal":
            target += (share * (float(temperature_k or 0.0) - target)).astype(np.float32)
        else:
            ink = np.asarray(self._ink(colour, 1.0, False))
            target[...] = (target + share[:, :, None] * (ink - target)).astype(np.uint8)

    # ---- where things are

    def pixel(self, point: Point) -> tuple[float, float] | None:
        """(u, v) of a point, None where it is behind the lens."""
        camera = self._to_camera([point])
        if camera[0, 0] < NEAR_M:
            return None
        u, v = self._project(camera)[0]
        return float(u), float(v)

    def sees(self, point: Point, radius: float) -> bool:
        """Whether any of a sphere may be in the picture; what is not can be left out."""
        x, y, z = self._to_camera([point])[0]
        if x < NEAR_M - radius:
            return False
        # Twice the radius covers the slant of the view's edges up to 120 degrees.
        wide, high = (self._cx + 1) / self._f, (self._cy + 1) / self._f
        return bool(abs(y) <= wide * max(x, 0.0) + 2 * radius and abs(z) <= high * max(x, 0.0) + 2 * radius)

    # ---- inside

    def _to_camera(self, points: Points) -> NDArray[np.float64]:
        """(n, 3): along the axis, to the left, upwards."""
        camera: NDArray[np.float64] = (np.asarray(points, float) - self._origin) @ self._rotation
        return camera

    def _project(self, camera: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = self._f / camera[:, 0]
        pixels = np.empty((len(camera), 2))
        pixels[:, 0] = self._cx - scale * camera[:, 1]
        pixels[:, 1] = self._cy - scale * camera[:, 2]
        return pixels

    @staticmethod
    def _clip(camera: NDArray[np.float64]) -> NDArray[np.float64]:
        """The part of a polygon in front of the near plane and not far outside the view.

        Corners a million pixels away do not fit the drawing library's numbers, and pulling them in one by one would
        bend the edges.
        """
        for a, b, c, offset in _FRUSTUM:
            room = camera[:, 0] * a + camera[:, 1] * b + camera[:, 2] * c - offset
            inside = room >= 0
            if inside.all():
                continue
            if not inside.any():
                return camera[:0]
            out = []
            for i in range(len(camera)):
                if inside[i] != inside[i - 1]:
                    share = room[i - 1] / (room[i - 1] - room[i])
                    out.append(camera[i - 1] + (camera[i] - camera[i - 1]) * share)
                if inside[i]:
                    out.append(camera[i])
            camera = np.array(out)
        return camera

    @staticmethod
    def _clip_line(camera: NDArray[np.float64]) -> NDArray[np.float64] | None:
        (a, b) = camera
        if a[0] < NEAR_M and b[0] < NEAR_M:
            return None
        if a[0] < NEAR_M:
            a = a + (b - a) * ((NEAR_M - a[0]) / (b[0] - a[0]))
        elif b[0] < NEAR_M:
            b = b + (a - b) * ((NEAR_M - b[0]) / (a[0] - b[0]))
        return np.stack([a, b])

    def _fill(
        self, camera: NDArray[np.float64], colour: Colour, temperature_k: float, shade: float, emits: bool
    ) -> None:
        pixels = self._project(camera)
        if self.kind != "depth":
            self._paint(pixels, self._ink(colour, shade, emits) if self.kind == "colour" else temperature_k)
            return
        ranges = camera[:, 0]
        if ranges.max() < 1.04 * ranges.min():
            self._paint(pixels, float(ranges.mean()))
            return
        # The inverse range of a plane is affine in the pixel's position.
        # Newell's normal: after clipping three corners in a row may lie on a line.
        normal = np.cross(camera, np.roll(camera, -1, axis=0)).sum(axis=0)
        distance = float(normal @ camera.mean(axis=0))
        if abs(distance) < 1e-9:
            self._paint(pixels, float(ranges.mean()))
            return
        low, high = self._bounds(pixels)
        if (high <= low).any():
            return
        rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
        mask = self._mask[rows, columns]
        mask[...] = 0
        cv2.fillPoly(mask, [_fixed(pixels - low)], 1, cv2.LINE_8, _SHIFT)
        a = (normal[0] + (normal[1] * self._cx + normal[2] * self._cy) / self._f) / distance
        du, dv = -normal[1] / self._f / distance, -normal[2] / self._f / distance
        u = (a + du * np.arange(low[0], high[0])).astype(np.float32)
        v = (dv * np.arange(low[1], high[1])).astype(np.float32)
        inverse = np.maximum(u[None, :] + v[:, None], np.float32(1e-4))
        np.copyto(self.image[rows, columns], np.reciprocal(inverse), where=mask.view(np.bool_))

    def _bounds(self, pixels: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and last + 1 column and row that `pixels` span in the picture; last <= first where they are outside."""
        low = np.maximum(np.floor(pixels.min(axis=0)).clip(-1, 1e6).astype(int), 0)
        high = np.minimum(np.ceil(pixels.max(axis=0)).clip(-1, 1e6).astype(int) + 1, (self.width, self.height))
        return low, high

    def _paint(self, pixels: NDArray[np.float64], value: Any) -> None:
        line = cv2.LINE_AA if self.kind == "colour" else cv2.LINE_8
        cv2.fillPoly(self.image, [_fixed(pixels)], value, line, _SHIFT)

    def _circle(self, centre: tuple[float, float], radius: float, value: Any) -> None:
        u, v = centre
        if abs(u) > _FAR_PIXEL or abs(v) > _FAR_PIXEL or radius > _FAR_PIXEL:
            return
        line = cv2.LINE_AA if self.kind == "colour" else cv2.LINE_8
        place = (round(u * _SUBPIXEL), round(v * _SUBPIXEL))
        cv2.circle(self.image, place, max(1, round(radius * _SUBPIXEL)), value, -1, line, _SHIFT)

    def _disc(self, centre: Point, radius: float) -> tuple[tuple[float, float], float, float] | None:
        camera = self._to_camera([centre])
        range_m = float(camera[0, 0])
        if range_m < NEAR_M + 0.5 * radius:
            return None
        u, v = self._project(camera)[0]
        return (float(u), float(v)), self._f * radius / range_m, range_m

    def _falloff(self, u: float, v: float, r: float) -> tuple[Any, NDArray[np.float32]]:
        """A part of the picture and the weights of a soft disc there; None where it is out of view."""
        left, right = max(0, int(u - r)), min(self.width, int(u + r) + 1)
        top, bottom = max(0, int(v - r)), min(self.height, int(v + r) + 1)
        if left >= right or top >= bottom:
            return None, np.zeros((0, 0), np.float32)
        dx = ((np.arange(left, right) - u) / r).astype(np.float32)
        dy = ((np.arange(top, bottom) - v) / r).astype(np.float32)
        fall = np.maximum(0.0, 1.0 - dx[None, :] ** 2 - dy[:, None] ** 2).astype(np.float32)
        return (slice(top, bottom), slice(left, right)), fall * fall

    def _value(
        self,
        camera: NDArray[np.float64],
        colour: Colour,
        temperature_k: float,
        shade: float,
        emits: bool,
        radius: float,
    ) -> Any:
        if self.kind == "colour":
            return self._ink(colour, 0.86 * shade, emits)
        return max(float(camera[0]) - 0.6 * radius, NEAR_M) if self.kind == "depth" else temperature_k

    def _ink(self, colour: Colour, shade: float, emits: bool) -> tuple[float, ...]:
        assert self.scene is not None
        gain = np.full(3, self.scene.exposure) if emits else self._gain
        return tuple(np.clip(np.asarray(colour) * gain * shade, 0, 255).tolist())


def _fixed(pixels: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixel positions as OpenCV's fixed point numbers."""
    limited = np.clip(pixels, -_FAR_PIXEL, _FAR_PIXEL)
    return np.round(limited * _SUBPIXEL).astype(np.int32).reshape(-1, 1, 2)


def _area(pixels: NDArray[np.float64]) -> float:
    u, v = pixels[:, 0], pixels[:, 1]
    return 0.5 * abs(float(u @ np.roll(v, -1) - v @ np.roll(u, -1)))


def _rotation(pose: Pose) -> NDArray[np.float64]:
    """Columns: the head's forward, left and up in the scene's frame."""
    cy, sy = math.cos(pose.yaw), math.sin(pose.yaw)
    cp, sp = math.cos(pose.pitch), math.sin(pose.pitch)
    cr, sr = math.cos(pose.roll), math.sin(pose.roll)
    yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    pitch = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    # A head that rolls to the right: its left ear, +y, goes up.
    roll = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    rotation: NDArray[np.float64] = yaw @ pitch @ roll
    return rotation

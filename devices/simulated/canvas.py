"""One painter for three pictures: the same bodies, in metres, as colours, as ranges or as temperatures.

Scene frame: x forward, y left, z up, origin on the ground below the wearer. Whoever draws goes from far to near; what
is drawn later covers what was drawn before. Bodies carry a colour and a temperature, their range follows from where
they are, so the three sensors cannot disagree.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.simulated.texture import Texture
from devices.simulated.view import NEAR_M, Lens, Pixel, Point, Points, Pose, View
from devices.simulated.world import Colour, Scene

__all__ = ["Canvas", "Kind", "Lens", "Point", "Pose", "Texture"]

Kind = Literal["colour", "depth", "thermal"]

_SHIFT = 4
_SUBPIXEL = 1 << _SHIFT
_FAR_PIXEL = 20_000.0
_SUN = (-0.35, 0.45, 0.82)
"""Where light comes from: behind, left, above."""


class Canvas:
    """One frame being painted: uint8 RGB (H, W, 3), float32 metres (H, W) with inf for nothing, or float32 kelvin.

    Temperatures are kelvin. `glow` and `shine` act on colours alone, `veil` on colours and, weakly, on temperatures.
    """

    def __init__(self, kind: Kind, height: int, width: int, lens: Lens) -> None:
        self.kind = kind
        self.height, self.width = height, width
        self.view = View(height, width, lens)
        self._f = self.view.focal_px
        self._mask = np.zeros((height, width), np.uint8)
        shape = (height, width, 3) if kind == "colour" else (height, width)
        self.image: NDArray[Any] = np.zeros(shape, np.uint8 if kind == "colour" else np.float32)
        self._gain: Colour = (1.0, 1.0, 1.0)
        self._glare: Colour = (1.0, 1.0, 1.0)
        self.scene: Scene | None = None

    def begin(self, scene: Scene, pose: Pose) -> None:
        """Start a frame: the eyes of `scene` moved by `pose`."""
        self.scene = scene
        self.view.look(scene.eye_m, pose)
        level, (red, green, blue) = scene.light.level * scene.exposure, scene.light.tint
        self._gain = (red * level, green * level, blue * level)
        self._glare = (scene.exposure, scene.exposure, scene.exposure)
        self.image[...] = 0 if self.kind == "colour" else (np.inf if self.kind == "depth" else scene.air_k)

    # ---- backgrounds

    def sky(self, top: Colour, horizon: Colour, temperature_k: float) -> None:
        """Endless background, graded between the colours by elevation (as seen: the light is already in them)."""
        if self.kind == "depth":
            return
        rows = np.arange(self.height)
        forward, _, upward = self.view.axes
        up = forward[2] + upward[2] * (self.view.cy - rows) / self._f
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
        camera = self.view.clip(self.view.camera(points))
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
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        axes = ((cy * cp, sy * cp, sp), (-sy, cy, 0.0), (-cy * sp, -sy * sp, cp))
        ways = [tuple(0.5 * extent * v for v in axis) for extent, axis in zip(size, axes, strict=True)]
        x, y, z = centre
        ox, oy, oz = self.view.origin
        for i in range(3):
            n, (ax, ay, az) = axes[i], ways[i]
            off = (ox - x) * n[0] + (oy - y) * n[1] + (oz - z) * n[2]
            sign = 1.0 if off > 0 else -1.0
            if abs(off) <= 0.5 * size[i]:
                continue
            (ux, uy, uz), (vx, vy, vz) = ways[(i + 1) % 3], ways[(i + 2) % 3]
            fx, fy, fz = x + sign * ax, y + sign * ay, z + sign * az
            corners = [
                (fx + p * ux + q * vx, fy + p * uy + q * vy, fz + p * uz + q * vz)
                for p, q in ((-1, -1), (1, -1), (1, 1), (-1, 1))
            ]
            light = sign * (n[0] * _SUN[0] + n[1] * _SUN[1] + n[2] * _SUN[2])
            shade = 1.0 if emits else 0.62 + 0.38 * max(0.0, light)
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
        line = self.view.clip_line(*self.view.camera((a, b)))
        if line is None:
            return
        (au, av), (bu, bv) = self.view.pixels(list(line))
        wide_a = self._f * radius / line[0][0]
        wide_b = self._f * (radius if radius_b is None else radius_b) / line[1][0]
        reach = max(wide_a, wide_b) + 2
        if (max(au, bu) < -reach or min(au, bu) > self.width + reach
                or max(av, bv) < -reach or min(av, bv) > self.height + reach):  # fmt: skip
            return
        value = self._value(0.5 * (line[0][0] + line[1][0]), colour, temperature_k, 0.86 * shade, emits, radius)
        length = math.hypot(bu - au, bv - av)
        if length > 1e-6:
            su, sv = (av - bv) / length, (bu - au) / length
            ends = ((au, av, su * wide_a, sv * wide_a), (bu, bv, su * wide_b, sv * wide_b))
            strip = _strip(ends, 1.0, -1.0)
            if self.kind == "depth" and not 0.9 < line[0][0] / line[1][0] < 1.1:
                near = [max(point[0] - 0.6 * radius, NEAR_M) for point in line]
                self._fill(
                    self._lifted(strip, [near[0], near[1], near[1], near[0]]), colour, temperature_k, shade, emits
                )
            else:
                self._paint(strip, value)
            if self.kind == "colour" and reach > 4.0:
                self._paint(_strip(ends, 0.1, -0.65), self._ink(colour, 1.12 * shade, emits))
        for u, v, width, point in ((au, av, wide_a, line[0]), (bu, bv, wide_b, line[1])):
            if width > 1.0:
                at_end = max(point[0] - 0.6 * radius, NEAR_M) if self.kind == "depth" else value
                self._circle((u, v), width, at_end)

    def ring(self, centre: Point, radius: float, colour: Colour, temperature_k: float, *, normal: Point = (0, 0, 1),
             squash: float = 1.0, shade: float = 1.0, emits: bool = False, corners: int = 20) -> None:  # fmt: skip
        """A flat disc (or, with `squash`, an ellipse) that looks along `normal`: plates, lids, wheels."""
        nx, ny, nz = normal
        if abs(nz) < 0.9 * math.sqrt(nx * nx + ny * ny + nz * nz):
            a, b, c = ny, -nx, 0.0
        else:
            a, b, c = 0.0, nz, -ny
        d, e, f = ny * c - nz * b, nz * a - nx * c, nx * b - ny * a
        wide = radius / math.sqrt(a * a + b * b + c * c)
        high = radius * squash / math.sqrt(d * d + e * e + f * f)
        x, y, z = centre
        points = [(x + p * wide * a + q * high * d, y + p * wide * b + q * high * e, z + p * wide * c + q * high * f)
                  for p, q in _circle_of(corners)]  # fmt: skip
        self.polygon(points, colour, temperature_k, shade=shade, emits=emits)

    def panel(self, corner: Point, along: Point, up: Point, texture: Texture, temperature_k: float, *,
              shade: float = 1.0, emits: bool = False) -> None:  # fmt: skip
        """A flat picture: the texture's bottom left lies at `corner`, its sides run along the vectors `along` and `up`.

        For what would take hundreds of polygons: goods on a shelf, bricks, tiles, planks.
        """
        (x, y, z), (ax, ay, az), (bx, by, bz) = corner, along, up
        corners = [
            (x, y, z),
            (x + ax, y + ay, z + az),
            (x + ax + bx, y + ay + by, z + az + bz),
            (x + bx, y + by, z + bz),
        ]
        if self.kind == "depth":
            self.polygon(corners, (0, 0, 0), 0.0)
            return
        camera = self.view.clip(self.view.camera(corners))
        pixels = self.view.pixels(camera)
        bounds = self.view.bounds(pixels) if len(camera) >= 3 else None
        if bounds is None:
            return
        left, top, right, bottom = bounds
        image = texture.level(math.sqrt(_area(pixels)), self.kind)
        height, width = image.shape[:2]
        # Where a ray through a pixel meets the plane: solve corner + s * along + t * up = range * ray.
        plane = np.array([self.view.turned(along), self.view.turned(up), self.view.camera(corners[:1])[0]]).T
        lens = np.array([[self.view.cx, -self._f, 0.0], [self.view.cy, 0.0, -self._f], [1.0, 0.0, 0.0]])
        to_picture = lens @ plane
        if abs(np.linalg.det(to_picture)) < 1e-9:
            return
        to_texture = np.array([[width, 0, -0.5], [0, -height, height - 0.5], [0, 0, 1]]) @ np.linalg.inv(to_picture)
        shift = np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (right - left, bottom - top)
        seen = cv2.warpPerspective(image, to_texture @ shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if self.kind == "colour":
            gain = np.array(self._glare if emits else self._gain) * shade
            seen = cv2.transform(seen, np.diag(gain))
        else:
            seen = seen + np.float32(temperature_k)
        cv2.copyTo(seen, self._masked(pixels, bounds), self.image[top:bottom, left:right])

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
            table = np.clip(np.outer(np.arange(256) / 255, np.asarray(colour) * strength), 0, 255).astype(np.uint8)
            cv2.add(target, table[(fall * 255).astype(np.uint8)], dst=target)

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
        camera = self.view.camera((point,))
        return None if camera[0][0] < NEAR_M else self.view.pixels(camera)[0]

    def sees(self, point: Point, radius: float) -> bool:
        """Whether any of a sphere may be in the picture; what is not can be left out."""
        return self.view.sees(point, radius)

    # ---- inside

    def _fill(self, camera: list[Point], colour: Colour, temperature_k: float, shade: float, emits: bool) -> None:
        pixels = self.view.pixels(camera)
        if self.kind != "depth":
            self._paint(pixels, self._ink(colour, shade, emits) if self.kind == "colour" else temperature_k)
            return
        ranges = [point[0] for point in camera]
        mean = sum(ranges) / len(ranges)
        if max(ranges) < 1.04 * min(ranges):
            self._paint(pixels, mean)
            return
        # Newell's normal: after clipping three corners in a row may lie on a line.
        nx = ny = nz = mx = my = mz = 0.0
        ax, ay, az = camera[-1]
        for x, y, z in camera:
            nx, ny, nz = nx + ay * z - az * y, ny + az * x - ax * z, nz + ax * y - ay * x
            mx, my, mz = mx + x, my + y, mz + z
            ax, ay, az = x, y, z
        distance = (nx * mx + ny * my + nz * mz) / len(camera)
        bounds = self.view.bounds(pixels)
        if bounds is None:
            return
        if abs(distance) < 1e-9:
            self._paint(pixels, mean)
            return
        left, top, right, bottom = bounds
        # The inverse range of a plane is affine in the pixel's position.
        scale = 1.0 / (distance * self._f)
        u = ((nx * self._f + ny * self.view.cx + nz * self.view.cy) - ny * np.arange(left, right)) * scale
        v = np.arange(top, bottom) * (-nz * scale)
        inverse = np.maximum(np.add.outer(v.astype(np.float32), u.astype(np.float32)), np.float32(1e-4))
        target = self.image[top:bottom, left:right]
        np.divide(np.float32(1.0), inverse, out=target, where=self._masked(pixels, bounds).view(np.bool_))

    def _lifted(self, pixels: list[Pixel], ranges_m: list[float]) -> list[Point]:
        """The points at `ranges_m` that are seen at `pixels`."""
        f, cx, cy = self._f, self.view.cx, self.view.cy
        return [(x, (cx - u) * x / f, (cy - v) * x / f) for (u, v), x in zip(pixels, ranges_m, strict=True)]

    def _masked(self, pixels: list[Pixel], bounds: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """1 where the polygon is, for the part of the picture within `bounds`."""
        left, top, right, bottom = bounds
        mask = self._mask[top:bottom, left:right]
        mask[...] = 0
        cv2.fillPoly(mask, [_fixed(pixels, left, top)], 1, cv2.LINE_8, _SHIFT)
        return mask

    def _paint(self, pixels: list[Pixel], value: Any) -> None:
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
        camera = self.view.camera((centre,))
        range_m = camera[0][0]
        if range_m < NEAR_M + 0.5 * radius:
            return None
        (u, v), r = self.view.pixels(camera)[0], self._f * radius / range_m
        if u < -r - 2 or u > self.width + r + 2 or v < -r - 2 or v > self.height + r + 2:
            return None
        return (u, v), r, range_m

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
        self, range_m: float, colour: Colour, temperature_k: float, shade: float, emits: bool, radius: float
    ) -> Any:
        if self.kind == "colour":
            return self._ink(colour, shade, emits)
        # A round body is nearer in its middle.
        return max(range_m - 0.6 * radius, NEAR_M) if self.kind == "depth" else temperature_k

    def _ink(self, colour: Colour, shade: float, emits: bool) -> Colour:
        red, green, blue = colour
        r, g, b = self._glare if emits else self._gain
        return (
            min(max(red * r * shade, 0.0), 255.0),
            min(max(green * g * shade, 0.0), 255.0),
            min(max(blue * b * shade, 0.0), 255.0),
        )


def _fixed(pixels: list[Pixel], left: int = 0, top: int = 0) -> NDArray[np.int32]:
    """Pixel positions from (left, top) as OpenCV's fixed point numbers."""
    numbers = np.array(pixels)
    if left or top:
        numbers -= (left, top)
    numbers *= _SUBPIXEL
    fixed: NDArray[np.int32] = np.rint(numbers).astype(np.int32)
    return fixed


def _strip(ends: tuple[tuple[float, float, float, float], ...], p: float, q: float) -> list[Pixel]:
    """Four corners between `p` and `q` times the sideways steps at both ends, each (u, v, step u, step v)."""
    (au, av, asu, asv), (bu, bv, bsu, bsv) = ends
    corners = (
        (au + p * asu, av + p * asv),
        (bu + p * bsu, bv + p * bsv),
        (bu + q * bsu, bv + q * bsv),
        (au + q * asu, av + q * asv),
    )
    return [(min(max(u, -_FAR_PIXEL), _FAR_PIXEL), min(max(v, -_FAR_PIXEL), _FAR_PIXEL)) for u, v in corners]


def _area(pixels: list[Pixel]) -> float:
    """Square pixels a polygon covers, at least 1."""
    twice = sum(pixels[i - 1][0] * v - u * pixels[i - 1][1] for i, (u, v) in enumerate(pixels))
    return max(0.5 * abs(twice), 1.0)


@lru_cache(maxsize=32)
def _circle_of(corners: int) -> tuple[Pixel, ...]:
    """Corners of a polygon on the unit circle."""
    return tuple((math.cos(2 * math.pi * i / corners), math.sin(2 * math.pi * i / corners)) for i in range(corners))

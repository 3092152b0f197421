"""Where points of the scene lie in a picture: the head's pose, the lens, what is in view.

Plain floats, not arrays: a polygon has four corners, and numpy takes 30 us for what takes 4 us so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAR_M", "Lens", "Pixel", "Point", "Points", "Pose", "View"]

Point = tuple[float, float, float]
"""(x forward, y left, z up) in metres."""
Points = Sequence[Point] | NDArray[np.float64]
Pixel = tuple[float, float]
"""(u to the right, v downwards), (0, 0) the middle of the first pixel."""

NEAR_M = 0.06
"""Nothing nearer is drawn."""
_MARGIN_PX = 6.0
"""How far outside the picture edges are cut, so that no cut is seen."""


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


class View:
    """A pinhole picture of `height` x `width` pixels through `lens`."""

    def __init__(self, height: int, width: int, lens: Lens) -> None:
        self.height, self.width = height, width
        self._offset = lens.offset
        self.focal_px = 0.5 * width / math.tan(math.radians(lens.hfov_deg) / 2)
        self.cx, self.cy = (width - 1) / 2, (height - 1) / 2
        self._wide = (self.cx + _MARGIN_PX) / self.focal_px
        self._high = (self.cy + _MARGIN_PX) / self.focal_px
        self.axes: tuple[Point, Point, Point] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        """The picture's forward, left and up in the scene's frame."""
        self.origin: Point = (0.0, 0.0, 0.0)
        """Where the lens is in the scene's frame."""

    def look(self, eye_m: float, pose: Pose) -> None:
        """Move the lens: eyes `eye_m` above the ground, moved by `pose`."""
        rotation = _rotation(pose)
        eyes = np.array([pose.x, pose.y, eye_m + pose.z])
        self.origin = _triple(eyes + rotation @ np.array(self._offset))
        self.axes = (_triple(rotation[:, 0]), _triple(rotation[:, 1]), _triple(rotation[:, 2]))

    def turned(self, way: Point) -> Point:
        """A direction of the scene, along the picture's axes."""
        x, y, z = way
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = self.axes
        return x * ax + y * ay + z * az, x * bx + y * by + z * bz, x * cx + y * cy + z * cz

    def camera(self, points: Iterable[Any]) -> list[Point]:
        """Points of the scene, seen from the lens: along its axis, to the left, upwards."""
        ox, oy, oz = self.origin
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = self.axes
        out = []
        for px, py, pz in points:
            x, y, z = px - ox, py - oy, pz - oz
            out.append((x * ax + y * ay + z * az, x * bx + y * by + z * bz, x * cx + y * cy + z * cz))
        return out

    def clip(self, corners: list[Point]) -> list[Point]:
        """The part in view of a polygon given as `camera` gives it; empty where all of it is outside.

        Corners a million pixels away do not fit the drawing library's numbers, and pulling them in one by one would
        bend the edges.
        """
        wide, high = self._wide, self._high
        any_out, all_out = 0, 31
        for x, y, z in corners:
            a, b = wide * x, high * x
            if x >= NEAR_M and -a <= y <= a and -b <= z <= b:
                all_out = 0
                continue
            code = (x < NEAR_M) | (y > a) << 1 | (-y > a) << 2 | (z > b) << 3 | (-z > b) << 4
            any_out |= code
            all_out &= code
        if all_out:
            return []
        if any_out:
            for bit, (a, b, c, offset) in enumerate(
                ((1, 0, 0, NEAR_M), (wide, -1, 0, 0), (wide, 1, 0, 0), (high, 0, -1, 0), (high, 0, 1, 0))
            ):
                if any_out & (1 << bit):
                    corners = _cut(corners, a, b, c, offset)
        return corners

    def clip_line(self, a: Point, b: Point) -> tuple[Point, Point] | None:
        """The part of a line in front of the lens."""
        if a[0] < NEAR_M and b[0] < NEAR_M:
            return None
        if a[0] < NEAR_M or b[0] < NEAR_M:
            share = (NEAR_M - a[0]) / (b[0] - a[0])
            cut = (NEAR_M, a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]))
            return (cut, b) if a[0] < NEAR_M else (a, cut)
        return a, b

    def pixels(self, corners: list[Point]) -> list[Pixel]:
        """Where points given as `camera` gives them lie in the picture; they must be in front of the lens."""
        f, cx, cy = self.focal_px, self.cx, self.cy
        return [(cx - f * y / x, cy - f * z / x) for x, y, z in corners]

    def bounds(self, pixels: list[Pixel]) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) of the picture's part that `pixels` span, the last two exclusive; or None."""
        columns, rows = [p[0] for p in pixels], [p[1] for p in pixels]
        left, top = max(math.floor(min(columns)), 0), max(math.floor(min(rows)), 0)
        right, bottom = min(math.ceil(max(columns)) + 1, self.width), min(math.ceil(max(rows)) + 1, self.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def sees(self, point: Point, radius: float) -> bool:
        """Whether any of a sphere may be in the picture."""
        ((x, y, z),) = self.camera((point,))
        # Twice the radius covers the slant of the view's edges up to 120 degrees.
        reach, room = max(x, 0.0), 2 * radius
        return x > NEAR_M - radius and abs(y) <= self._wide * reach + room and abs(z) <= self._high * reach + room


def _cut(corners: list[Point], a: float, b: float, c: float, offset: float) -> list[Point]:
    """The part of a polygon where a x + b y + c z >= offset."""
    out: list[Point] = []
    if not corners:
        return out
    before = corners[-1]
    room_before = a * before[0] + b * before[1] + c * before[2] - offset
    for corner in corners:
        room = a * corner[0] + b * corner[1] + c * corner[2] - offset
        if (room >= 0) != (room_before >= 0):
            t = room_before / (room_before - room)
            out.append(
                (
                    before[0] + t * (corner[0] - before[0]),
                    before[1] + t * (corner[1] - before[1]),
                    before[2] + t * (corner[2] - before[2]),
                )
            )
        if room >= 0:
            out.append(corner)
        before, room_before = corner, room
    return out


def _triple(values: NDArray[np.float64]) -> Point:
    x, y, z = values.tolist()
    return x, y, z


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

"""Trees, hills, clouds, birds and people: what stands about outdoors."""

from __future__ import annotations

import math

import numpy as np

from devices.simulated.canvas import Canvas
from devices.simulated.stages.hands import SKIN_K
from devices.simulated.world import Colour, Scene

__all__ = ["Clouds", "ahead", "birds", "bush", "pine", "stroller", "tree"]

_CLOTHES: tuple[Colour, ...] = (
    (180, 60, 60),
    (60, 90, 160),
    (230, 220, 200),
    (60, 60, 66),
    (90, 140, 90),
    (220, 170, 60),
)
_SKINS: tuple[Colour, ...] = ((230, 188, 158), (190, 140, 104), (112, 76, 54))


def ahead(start_m: float, gone_m: float, near_m: float, span_m: float) -> float:
    """Where a thing that was `start_m` ahead stands after `gone_m`: passed at `near_m`, it comes again far away."""
    return near_m + (start_m - near_m - gone_m) % span_m


def tree(canvas: Canvas, x: float, y: float, height: float, look: float, k: float) -> None:
    """A leafy tree; `look` in 0 to 1 sets its crown and its green."""
    if not canvas.sees((x, y, height / 2), height * 0.7):
        return
    trunk = height * (0.4 + 0.08 * look)
    bark: Colour = (96 - 26 * look, 72 - 20 * look, 52 - 12 * look)
    canvas.rod((x, y, 0), (x, y, trunk * 1.1), height * 0.035, bark, k, radius_b=height * 0.024)
    green: Colour = (58 + 44 * look, 116 + 20 * (look - 0.5), 48)
    r = height * (0.24 + 0.05 * look)
    canvas.ball((x + 0.1, y + r * 0.62, trunk + r * 0.55), r * 0.72, green, k - 0.5)
    canvas.ball((x + 0.1, y - r * 0.66, trunk + r * 0.5), r * 0.7, green, k - 0.5)
    canvas.ball((x, y, trunk + r), r, green, k - 0.5)


def pine(canvas: Canvas, x: float, y: float, height: float, look: float, k: float) -> None:
    """A conifer; `look` in 0 to 1 sets its green."""
    if not canvas.sees((x, y, height / 2), height * 0.6):
        return
    canvas.rod((x, y, 0), (x, y, height * 0.3), height * 0.028, (84, 60, 42), k)
    green: Colour = (34 + 26 * look, 74 + 24 * look, 46)
    for level in range(3):
        z, half = height * (0.16 + 0.25 * level), height * (0.24 - 0.055 * level)
        canvas.polygon([(x, y - half, z), (x, y + half, z), (x, y, z + height * 0.37)], green, k - 0.5,
                       shade=0.9 + 0.1 * level)  # fmt: skip


def bush(canvas: Canvas, x: float, y: float, size: float, look: float, k: float) -> None:
    """Two round tufts of leaves, `size` metres high."""
    if canvas.sees((x, y, size / 2), size):
        green: Colour = (60 + 40 * look, 112 + 16 * look, 52)
        canvas.ball((x, y + 0.4 * size, 0.4 * size), 0.46 * size, green, k - 0.5)
        canvas.ball((x, y - 0.3 * size, 0.48 * size), 0.52 * size, green, k - 0.5)


class Clouds:
    """A few clouds, at rest: the wearer is too slow for them to move."""

    def __init__(self, scene: Scene) -> None:
        rng = scene.rng("clouds")
        self._clouds = [
            (float(rng.uniform(-260, 260)), float(rng.uniform(55, 170)), float(rng.uniform(18, 45)))
            for _ in range(int(rng.integers(0, 7)))
        ]
        horizon = scene.light.sky[1]
        self._tone: Colour = (horizon[0] * 0.5 + 128, horizon[1] * 0.5 + 126, horizon[2] * 0.5 + 126)

    def draw(self, canvas: Canvas) -> None:
        """Paint them after the sky."""
        for y, z, size in self._clouds:
            for part in (-0.8, 0.0, 0.7):
                canvas.veil((300, y + part * size, z + 0.12 * size * (1 - abs(part))), size * (0.8 - 0.3 * abs(part)),
                            self._tone, 0.75)  # fmt: skip


def birds(canvas: Canvas, places: np.ndarray, age_s: float) -> None:
    """(n, 4) numbers in 0 to 1, a row a bird: it flaps across the sky."""
    for row in places:
        x, z = 25 + 30 * row[0], 9 + 12 * row[1]
        y = (row[2] - 0.5) * 60 + (age_s - 5) * 4 * (1 if row[3] > 0.5 else -1)
        lift = 0.35 * math.sin(age_s * (7 + 4 * row[3]) + 6 * row[0])
        for side in (-1, 1):
            canvas.rod((x, y, z), (x, y + side * 0.6, z + 0.2 + lift), 0.06, (238, 238, 240), 300.0, radius_b=0.02)


def stroller(canvas: Canvas, x: float, y: float, look: float, step: float, k: float) -> None:
    """A person on foot, from behind; `look` in 0 to 1 dresses them, `step` counts the turns of their gait."""
    if not canvas.sees((x, y, 0.9), 1.0):
        return
    pick = int(look * 997)
    top, legs = _CLOTHES[pick % len(_CLOTHES)], _CLOTHES[(pick // 7) % 4]
    skin = _SKINS[pick % len(_SKINS)]
    tall = 1.55 + 0.3 * look
    cloth_k = k + 0.45 * (SKIN_K - k)
    swing = 0.22 * math.sin(2 * math.pi * step)
    for side in (-1.0, 1.0):
        canvas.rod((x + side * swing, y + 0.1 * side, 0.05), (x, y + 0.09 * side, tall * 0.5), 0.07, legs, cloth_k,
                   radius_b=0.09)  # fmt: skip
    for side in (-1.0, 1.0):
        hand = (x - side * swing, y + 0.3 * side, tall * 0.46)
        canvas.rod((x, y + 0.22 * side, tall * 0.8), hand, 0.055, top, cloth_k)
        canvas.ball(hand, 0.05, skin, SKIN_K)
    canvas.rod((x, y, tall * 0.5), (x, y, tall * 0.78), 0.17, top, cloth_k + 1, radius_b=0.2)
    canvas.ball((x, y, tall * 0.93), 0.115, skin, SKIN_K)
    canvas.ring((x - 0.02, y, tall * 0.97), 0.11, (70 - 30 * look, 50 - 20 * look, 38), SKIN_K - 5, normal=(1, 0, 0),
                squash=0.75, corners=10)  # fmt: skip

"""Climbing stairs: steps coming towards the wearer, a banister, a landing above."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Stairs"]

RISE_M, TREAD_M = 0.17, 0.28
_LOOKS: dict[str, tuple[Colour, Colour, Colour]] = {
    "in a stone stairwell": ((165, 162, 155), (120, 118, 114), (205, 198, 180)),
    "in a wooden house": ((176, 124, 74), (138, 92, 52), (226, 214, 190)),
    "in an office building": ((120, 128, 138), (88, 94, 104), (228, 232, 234)),
}
"""Tread, riser, wall."""


class Stairs(Stage):
    """One step comes down by a rise and nearer by a tread at every beat."""

    gaze = (0.0, -0.08)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("stairs")
        self.half = float(rng.uniform(0.55, 0.95))
        self.rail = 1.0 if rng.random() < 0.5 else -1.0
        self.window = bool(rng.random() < 0.5)
        self.carpet = bool(rng.random() < 0.35)
        self.pictures = [
            (float(rng.uniform(0.3, 3.0)), float(rng.uniform(0.18, 0.3)), int(rng.integers(3))) for _ in range(3)
        ]
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, half = self.scene, self.scene.air_k, self.half
        tread, riser, wall = _LOOKS[s.place]
        beats = s.beat(age_s)
        # The head's own bob, the pose, comes on top of an even climb.
        part = beats % 1.0
        n_steps = 14
        end_x, end_z = n_steps * TREAD_M, n_steps * RISE_M
        canvas.wall((end_x + 1.6, -4), (end_x + 1.6, 4), (-1, 6), wall, k + 0.8)
        canvas.box((end_x + 1.5, 0.0, end_z + 0.1), (0.08, 0.9, 0.45), (235, 235, 230), k + 22)
        if self.window:
            top, horizon = s.light.sky
            at = end_x + 1.59
            canvas.wall((at, -0.5), (at, 0.5), (end_z + 0.3, end_z + 1.7), horizon, k - 4, emits=True)
            canvas.wall((at - 0.01, -0.5), (at - 0.01, 0.5), (end_z + 1.0, end_z + 1.7), top, k - 4, emits=True)
            canvas.rod((at - 0.02, 0, end_z + 0.3), (at - 0.02, 0, end_z + 1.7), 0.025, (240, 240, 235), k)
            canvas.rod((at - 0.02, -0.5, end_z + 1.0), (at - 0.02, 0.5, end_z + 1.0), 0.025, (240, 240, 235), k)
        for side in (-1.0, 1.0):
            y = side * (half + (0.35 if side == self.rail else 0.02))
            canvas.wall((0.1, y), (end_x + 1.6, y), (-1.5, 6), wall, k + 0.8, shade=0.82 if side > 0 else 0.9)
        if s.place == "in an office building":
            canvas.slab(end_z + 2.3, (0.5, end_x + 1.6), (-half, half), (245, 248, 245), k + 6, shade=1.1)
        for along, size, kind in self.pictures if s.place == "in a wooden house" else ():
            y = -self.rail * (half + 0.01)
            x, z = along * 1.2 + 0.4, along * 1.2 * RISE_M / TREAD_M + 1.5
            canvas.wall((x, y), (x + size * 1.5, y), (z, z + size), (90, 64, 40), k)
            inner = [(90, 130, 170), (170, 150, 90), (110, 150, 100)][kind]
            canvas.wall(
                (x + 0.04, y * 0.999), (x + size * 1.5 - 0.04, y * 0.999), (z + 0.04, z + size - 0.04), inner, k
            )
        canvas.slab(end_z - RISE_M * part, (end_x, end_x + 1.7), (-half, half), tread, k)
        for i in range(n_steps, -2, -1):
            x, z = (i - part) * TREAD_M + 0.25, (i - part) * RISE_M
            canvas.wall((x, -half), (x, half), (z - RISE_M, z), riser, k - 0.7)
            canvas.slab(z, (x - 0.02, x + TREAD_M), (-half, half), tread, k)
            canvas.wall((x - 0.021, -half), (x - 0.021, half), (z - 0.03, z), tread, k, shade=0.8)
            if self.carpet:
                canvas.slab(z + 0.004, (x - 0.02, x + TREAD_M), (-half * 0.55, half * 0.55), (140, 36, 40), k)
                canvas.wall((x - 0.004, -half * 0.55), (x - 0.004, half * 0.55), (z - RISE_M, z), (112, 28, 32), k)
            y = self.rail * half
            canvas.rod((x + 0.1, y, z), (x + 0.1, y, z + 0.92), 0.014, (70, 66, 64), k)
        y, slope = self.rail * half, RISE_M / TREAD_M
        canvas.rod((0.1, y, 0.86), (end_x, y, 0.86 + end_x * slope), 0.034, s.colour, k)
        reach = 0.5 - 0.12 * math.sin(math.pi * beats)
        hand = (reach, y, 0.92 + reach * slope)
        arm(canvas, (0.1, y * 0.8, 1.05), hand, self.skin, self.sleeve, fist=True)

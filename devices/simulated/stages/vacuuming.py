"""Vacuuming: floor, the cleaner's head going forth and back with the beat, tube, hand, motor and furniture."""

from __future__ import annotations

import math
from itertools import pairwise

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Vacuuming"]


class Vacuuming(Stage):
    """The head is pushed out for half a beat and pulled back for the other half."""

    gaze = (0.0, -0.85)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("vacuuming")
        self.side = 1.0 if rng.random() < 0.5 else -1.0
        self.sway = float(rng.uniform(0.1, 0.3))
        self.carpet: Colour = [(150, 60, 62), (84, 104, 140), (190, 176, 146), (98, 122, 92)][int(rng.integers(4))]
        self.sofa: Colour = [(110, 80, 70), (80, 96, 120), (150, 150, 140)][int(rng.integers(3))]
        self.wall: Colour = [(232, 226, 208), (206, 216, 224), (222, 208, 196)][int(rng.integers(3))]
        self.crumbs = rng.uniform(size=(24, 2))
        self.back = float(rng.uniform(3.0, 4.2)) * scene.distance
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, side = self.scene, self.scene.air_k, self.side
        back = self.back
        canvas.wall((back, -5), (back, 5), (0, 3), self.wall, k)
        canvas.wall((back - 0.01, -5), (back - 0.01, 5), (0, 0.1), (240, 240, 236), k)
        self._floor(canvas, back)
        canvas.box((back - 0.5, side * 0.9, 0.25), (0.9, 2.0, 0.5), self.sofa, k + 1)
        canvas.box((back - 0.15, side * 0.9, 0.65), (0.25, 2.0, 0.5), self.sofa, k + 1)
        if s.place == "under a table":
            self._table(canvas)
        out = 0.5 - 0.5 * math.cos(2 * math.pi * s.beat(age_s))
        reach = 0.85 + 0.75 * out
        y = self.sway * math.sin(0.9 * age_s)
        for row in self.crumbs:
            at = (0.7 + 1.6 * row[0], (row[1] - 0.5) * 1.2)
            # What the head has passed over in the scene so far is gone.
            if abs(at[1]) > 0.3 or row[0] > age_s / 12:
                canvas.ring((at[0], at[1], 0.006), 0.02, (90, 72, 50), k, corners=6)
        body = (0.95, 0.75 * side, 0.16)
        canvas.rod((body[0] - 0.1, body[1], 0.15), (body[0] + 0.16, body[1], 0.15), 0.15, s.colour, k + 9)
        canvas.box((body[0], body[1], 0.27), (0.2, 0.14, 0.08), (50, 50, 54), k + 15)
        for wheel in (-0.13, 0.13):
            canvas.ball((body[0] + wheel, body[1] - 0.12 * side, 0.07), 0.07, (40, 40, 44), k + 2)
        hand = (0.42 + 0.22 * out, 0.14 * side + 0.3 * y, 0.95)
        joint = (reach - 0.05, y, 0.08)
        bends = [body, (0.8, 0.5 * side, 0.5), (0.5, 0.3 * side, 0.8), hand]
        for a, b in pairwise(bends):
            canvas.rod(a, b, 0.024, (66, 66, 70), k + 5)
        canvas.box((reach, y, 0.05), (0.13, 0.34, 0.08), s.colour, k + 3)
        canvas.box((reach + 0.05, y, 0.03), (0.04, 0.36, 0.05), (44, 44, 48), k + 2)
        canvas.rod(joint, hand, 0.02, (196, 198, 204), k + 2)
        arm(canvas, (0.12, 0.34 * side, 1.12), hand, self.skin, self.sleeve, fist=True)

    def _floor(self, canvas: Canvas, back: float) -> None:
        s, k = self.scene, self.scene.air_k
        board = (178, 134, 88) if s.place != "on a carpet" else (150, 140, 126)
        canvas.slab(0.0, (0.15, back), (-5, 5), board, k)
        if s.place == "on a carpet":
            canvas.slab(0.004, (0.3, back - 0.8), (-1.4, 1.4), self.carpet, k)
            inner = tuple(min(255.0, c * 1.35) for c in self.carpet)
            canvas.slab(0.005, (0.45, back - 0.95), (-1.25, 1.25), (inner[0], inner[1], inner[2]), k)
            canvas.slab(0.006, (0.52, back - 1.02), (-1.18, 1.18), self.carpet, k)
            return
        for i in range(-9, 10):
            canvas.rod((0.2, 0.16 * i, 0.002), (back, 0.16 * i, 0.002), 0.004, (120, 84, 52), k)

    def _table(self, canvas: Canvas) -> None:
        k, wood = self.scene.air_k, (140, 96, 60)
        for x in (1.3, 2.3):
            for y in (-0.65, 0.65):
                canvas.rod((x, y, 0), (x, y, 0.72), 0.03, wood, k)
        canvas.box((1.8, 0, 0.75), (1.15, 1.5, 0.05), wood, k)

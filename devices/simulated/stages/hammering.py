"""Driving nails into a plank: bench, hammer, the hand that holds the nail, tools on the wall."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Scene

__all__ = ["Hammering"]

_WALLS = {"in a workshop": (165, 140, 105), "in a garage": (175, 178, 182), "on a building site": (178, 122, 96)}


class Hammering(Stage):
    """The hammer comes down on the nail exactly at every beat."""

    gaze = (0.0, -0.75)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("hammering")
        self.far = 0.62 * scene.distance
        self.side = float(rng.uniform(-0.08, 0.08))
        self.right = -1.0 if rng.random() < 0.85 else 1.0
        self.wood = [(196, 158, 104), (170, 124, 78), (214, 186, 140)][int(rng.integers(3))]
        self.tilt = float(rng.uniform(-0.15, 0.15))
        self.nails = [float(v) for v in rng.uniform(-0.55, 0.55, 5)]
        self.tools = [
            (float(rng.uniform(-1.2, 1.2)), float(rng.uniform(1.2, 1.9)), int(rng.integers(3))) for _ in range(7)
        ]
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.turn = float(rng.uniform(-0.3, 0.3))

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        wall = self.far + 0.9
        self._room(canvas, wall)
        top = 0.86
        canvas.slab(top - 0.04, (self.far - 0.4, self.far + 0.5), (-1.1, 1.1), (120, 92, 62), k)
        canvas.box((self.far, self.side, top), (0.22, 1.5, 0.06), self.wood, k, yaw=self.tilt)
        x, y, z = self.far, self.side, top + 0.03
        for at in self.nails:
            canvas.ring((x + self.tilt * -at, y + at, z + 0.004), 0.012, (150, 150, 155), k + 1, corners=8)
        phase = s.beat(age_s) % 1.0
        # Up for most of the beat, down fast: the swing's angle falls to nothing at the beat.
        lift = math.sin(math.pi * min(1.0, phase / 0.72) ** 0.8) if phase < 0.72 else 0.0
        lift = max(lift, 0.0) if phase < 0.72 else 0.35 * math.sin(math.pi * (phase - 0.72) / 0.28)
        nail = 0.03 + 0.05 * (1.0 - (age_s / 10.0))
        canvas.rod((x, y, z), (x, y, z + nail), 0.006, (175, 175, 180), k + 6)
        left = -self.right
        arm(canvas, (0.12, 0.42 * left, 0.9), (x - 0.03, y + 0.07 * left, z + 0.03), self.skin, self.sleeve)
        head = (x - 0.12 * lift, y + 0.06 * self.right * lift, z + nail + 0.045 + 0.34 * lift)
        grip = (x - 0.26, y + 0.2 * self.right, z + 0.1 + 0.2 * lift)
        canvas.rod(grip, head, 0.018, s.colour, k)
        slope = 0.5 * lift
        canvas.box(head, (0.05, 0.05, 0.1), (95, 98, 105), k + 4, pitch=slope)
        canvas.rod(
            (head[0], head[1], head[2] - 0.05), (head[0], head[1], head[2] + 0.05), 0.028, (110, 113, 120), k + 4
        )
        arm(canvas, (0.1, 0.45 * self.right, 1.0), grip, self.skin, self.sleeve, fist=True)

    def _room(self, canvas: Canvas, wall: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.slab(0.0, (0.2, wall), (-4, 4), (110, 108, 104), k)
        if s.place == "on a building site":
            canvas.sky(*s.light.sky, k - 3)
            canvas.slab(0.0, (0.2, 20), (-20, 20), (150, 135, 110), k)
            for row in range(9):
                for brick in range(-6, 7):
                    y = 0.42 * brick + 0.21 * (row % 2)
                    canvas.wall((wall, y - 0.2), (wall, y + 0.2), (0.2 * row, 0.2 * row + 0.18), _WALLS[s.place], k - 1)
            return
        canvas.wall((wall, -4), (wall, 4), (0, 3), _WALLS[s.place], k)
        if s.place == "in a garage":
            canvas.wall((wall - 0.01, -1.6), (wall - 0.01, -0.4), (0, 2.2), (120, 125, 130), k - 2)
            for i in range(8):
                canvas.rod((wall - 0.02, -1.6, 0.25 * i), (wall - 0.02, -0.4, 0.25 * i), 0.012, (95, 98, 102), k - 2)
        for y, z, kind in self.tools:
            at = wall - 0.04
            if kind == 0:
                canvas.polygon(
                    [(at, y - 0.25, z), (at, y + 0.2, z + 0.02), (at, y + 0.2, z + 0.14)], (170, 172, 178), k
                )
                canvas.box((at, y + 0.26, z + 0.08), (0.03, 0.12, 0.14), (150, 60, 40), k)
            elif kind == 1:
                canvas.rod((at, y, z), (at, y, z + 0.3), 0.014, (60, 60, 150), k)
                canvas.rod((at, y, z - 0.15), (at, y, z), 0.006, (170, 170, 175), k)
            else:
                canvas.rod((at, y, z), (at, y, z + 0.3), 0.016, (150, 110, 60), k)
                canvas.box((at, y, z + 0.32), (0.04, 0.16, 0.06), (80, 82, 88), k)

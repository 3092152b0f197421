"""Washing the dishes: sink, tap and running water, suds, plates, both hands."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["WashingUp"]


class WashingUp(Stage):
    """One hand holds the plate under the tap, the other scrubs with the beat."""

    gaze = (0.0, -0.8)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("washing up")
        self.far = 0.5 * scene.distance
        self.right = -1.0 if rng.random() < 0.5 else 1.0
        self.basin: Colour = (186, 190, 196) if scene.place == "at a steel sink" else (238, 238, 234)
        self.top: Colour = [(120, 100, 84), (70, 72, 78), (200, 190, 170), (150, 118, 80)][int(rng.integers(4))]
        self.suds = rng.uniform(size=(26, 3))
        self.stack = int(rng.integers(2, 7))
        self.stack_side = 1.0 if rng.random() < 0.5 else -1.0
        self.hot_k = float(rng.uniform(311, 320))
        self.plate_m = float(rng.uniform(0.1, 0.135))
        self.mugs = [(float(rng.uniform(0.4, 0.75)), int(rng.integers(4))) for _ in range(2)]
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        k, x = self.scene.air_k, self.far
        top, back = 0.9, self.far + 0.42
        self._wall(canvas, back)
        canvas.slab(top, (0.12, back), (-1.6, 1.6), self.top, k)
        canvas.slab(top + 0.004, (x - 0.24, x + 0.26), (-0.36, 0.36), self.basin, k + 2)
        rim = [(x - 0.2, -0.31), (x + 0.2, -0.31), (x + 0.2, 0.31), (x - 0.2, 0.31)]
        for a, b in zip(rim, [*rim[1:], rim[0]], strict=True):
            canvas.wall(a, b, (top - 0.16, top + 0.004), self.basin, k + 4, shade=0.72)
        canvas.slab(top - 0.1, (x - 0.2, x + 0.2), (-0.31, 0.31), (150, 176, 190), self.hot_k, shade=0.95)
        for row in self.suds:
            fx, fy = x - 0.18 + 0.36 * row[0], -0.29 + 0.58 * row[1]
            canvas.ball((fx, fy, top - 0.09), 0.014 + 0.026 * row[2], (248, 250, 252), self.hot_k - 2)
        side = self.stack_side
        for i in range(self.stack):
            canvas.ring(
                (x + 0.02, 0.6 * side, top + 0.015 + 0.014 * i),
                0.13,
                (240, 240, 236),
                k + 2,
                shade=0.86 + 0.14 * (i % 2),
            )
        for y, kind in self.mugs:
            tone = [(190, 60, 60), (70, 120, 170), (235, 220, 190), (90, 150, 100)][kind]
            canvas.rod((x + 0.1, -y * side, top), (x + 0.1, -y * side, top + 0.09), 0.042, tone, k + 1)
        self._tap_and_plate(canvas, age_s, top)

    def _tap_and_plate(self, canvas: Canvas, age_s: float, top: float) -> None:
        s, k, x, right = self.scene, self.scene.air_k, self.far, self.right
        turn = 2 * math.pi * s.beat(age_s)
        plate = (x - 0.02 + 0.015 * math.sin(turn / 2), 0.03 * right, top + 0.05)
        canvas.rod((x + 0.3, 0, top), (x + 0.3, 0, top + 0.26), 0.02, (196, 200, 206), k + 3)
        canvas.rod((x + 0.3, 0, top + 0.26), (x + 0.06, 0, top + 0.24), 0.016, (196, 200, 206), k + 4)
        canvas.ring(plate, self.plate_m, s.colour, self.hot_k - 4, normal=(-0.5, 0, 0.85))
        canvas.ring((plate[0] - 0.002, plate[1], plate[2] + 0.004), self.plate_m * 0.68, s.colour, self.hot_k - 4,
                    normal=(-0.5, 0, 0.85), shade=1.2)  # fmt: skip
        stream = 0.009 + 0.002 * math.sin(31 * age_s)
        canvas.rod(
            (x + 0.06, 0, top + 0.23),
            (x + 0.05, 0.004 * math.sin(23 * age_s), top + 0.06),
            stream,
            (214, 234, 246),
            self.hot_k,
        )
        for i in range(5):
            out = (age_s * 2.2 + i / 5) % 1.0
            angle = i * 2.4
            up = top + 0.07 + 0.04 * out * (1 - out)
            canvas.ball((x + 0.05 + 0.1 * out * math.cos(angle), 0.1 * out * math.sin(angle), up),
                        0.007, (230, 242, 250), self.hot_k)  # fmt: skip
        canvas.veil((x, 0, top + 0.2), 0.2, (245, 245, 248), 0.2, self.hot_k - 8)
        arm(
            canvas,
            (0.06, 0.36 * right, top + 0.16),
            (plate[0] - 0.02, plate[1] + self.plate_m * right, top + 0.06),
            self.skin,
            self.sleeve,
        )
        rub = (plate[0] - 0.03 + 0.03 * math.cos(turn), plate[1] - 0.04 * right + 0.04 * math.sin(turn), top + 0.08)
        canvas.box((rub[0], rub[1], rub[2] - 0.01), (0.05, 0.09, 0.03), (250, 210, 60), self.hot_k - 5)
        arm(canvas, (0.06, -0.36 * right, top + 0.2), rub, self.skin, self.sleeve)

    def _wall(self, canvas: Canvas, back: float) -> None:
        s, k = self.scene, self.scene.air_k
        tone = {"at a steel sink": (206, 214, 206), "at a white sink": (226, 206, 176)}.get(s.place, (232, 232, 226))
        canvas.wall((back, -3), (back, 3), (0, 3), tone, k)
        if s.place == "under the kitchen window":
            top, horizon = s.light.sky
            canvas.wall((back - 0.01, -0.7), (back - 0.01, 0.7), (1.08, 2.0), (246, 246, 242), k)
            canvas.wall((back - 0.02, -0.66), (back - 0.02, 0.66), (1.12, 1.5), horizon, k - 5, emits=True)
            canvas.wall((back - 0.02, -0.66), (back - 0.02, 0.66), (1.5, 1.96), top, k - 5, emits=True)
            canvas.rod((back - 0.03, 0, 1.1), (back - 0.03, 0, 1.98), 0.02, (246, 246, 242), k)
            return
        for row in range(4):
            for i in range(-5, 5):
                y = 0.2 * i + (0.1 if row % 2 and s.place == "at a white sink" else 0.0)
                canvas.wall((back - 0.01, y + 0.008), (back - 0.01, y + 0.192), (0.91 + 0.15 * row, 1.05 + 0.15 * row),
                            (244, 246, 244) if s.place == "at a steel sink" else (190, 122, 84), k)  # fmt: skip

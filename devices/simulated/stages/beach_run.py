"""Running on a beach: sand, surf on one side, the tracks ahead, dunes or a pier."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.world import Colour, Scene

__all__ = ["BeachRun"]


class BeachRun(Stage):
    """The sea lies on one side, its waves run up the sand and back."""

    gaze = (0.0, -0.12)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("beach")
        self.sea = 1.0 if rng.random() < 0.5 else -1.0
        self.edge = float(rng.uniform(1.2, 2.6))
        self.sand: Colour = [(226, 202, 156), (212, 188, 140), (236, 222, 190)][int(rng.integers(3))]
        self.water: Colour = [(40, 120, 160), (60, 140, 150), (70, 110, 140)][int(rng.integers(3))]
        self.stones = rng.uniform(size=(18, 4))
        self.dunes = [
            (float(rng.uniform(-3, 40)), float(rng.uniform(2, 5)), float(rng.uniform(5, 12))) for _ in range(8)
        ]
        self.gulls = rng.uniform(size=(5, 4))
        self.towel_x, self.towel_y = float(rng.uniform(4, 30)), float(rng.uniform(1.2, 2.2))
        self.swell_s, self.swell = float(rng.uniform(5, 9)), float(rng.uniform())
        self.runner = bool(rng.random() < 0.4)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, sea, done = self.scene, self.scene.air_k, self.sea, self.scene.travel_m(age_s)
        canvas.sky(*s.light.sky, k)
        if s.light_name != "at noon":
            canvas.ring((300, sea * 90, 30), 12, (255, 236, 190), k - 5, normal=(1, 0, 0), emits=True)
            canvas.glow((300, sea * 90, 30), 70, (255, 200, 120), 0.4)
        hot = k + 1.6 * s.light.sun_k
        canvas.slab(0.0, (0.2, 150), (-150, 150), self.sand, hot)
        self._sea(canvas, age_s, k)
        self._land(canvas, done, k)
        for row in self.stones:
            x = (row[0] * 14 - done) % 14 + 0.6
            y = -sea * (row[1] * 4.5 - 0.8)
            canvas.ring((x, y, 0.01), 0.03 + 0.07 * row[2], (150 + 60 * row[3], 140, 120), hot, squash=0.7, corners=8)
        for i in range(10):
            # The tracks of somebody who ran here before.
            x = (i * 0.75 - done) % 7.5 + 0.5
            y = -sea * 0.35 + (0.13 if i % 2 else -0.13)
            canvas.ring((x, y, 0.004), 0.12, (176, 150, 108), hot - 1, squash=0.4, corners=10)
        x = (self.towel_x - done) % 34 + 0.8
        y = -sea * self.towel_y
        canvas.slab(0.02, (x, x + 1.7), (min(y, y - sea * 0.8), max(y, y - sea * 0.8)), s.colour, hot + 2)
        canvas.slab(0.024, (x + 0.3, x + 0.5), (min(y, y - sea * 0.8), max(y, y - sea * 0.8)), (240, 240, 240), hot + 2)
        if self.runner:
            stride = math.sin(math.pi * s.beat(age_s))
            rx, ry = 5.0 * s.distance, -sea * 0.5
            for side in (-1.0, 1.0):
                canvas.rod(
                    (rx, ry + 0.09 * side, 0.85),
                    (rx + 0.3 * stride * side, ry + 0.09 * side, 0.05),
                    0.07,
                    (60, 60, 90),
                    303.0,
                )
                canvas.rod(
                    (rx, ry + 0.2 * side, 1.35),
                    (rx - 0.25 * stride * side, ry + 0.26 * side, 1.0),
                    0.045,
                    (205, 150, 120),
                    305.0,
                )
            canvas.rod((rx, ry, 0.9), (rx, ry, 1.4), 0.17, (220, 70, 60), 304.0)
            canvas.ball((rx, ry, 1.65), 0.11, (80, 54, 38), 304.0)
        for row in self.gulls:
            gx, gy, gz = 10 + 15 * row[0], (row[1] - 0.5) * 24 + age_s * (row[3] - 0.5), 3.5 + 4 * row[2]
            flap = 0.3 * math.sin(2 * math.pi * (1.5 * age_s + row[3]))
            for side in (-1.0, 1.0):
                canvas.rod(
                    (gx, gy, gz), (gx, gy + 0.6 * side, gz + 0.2 + flap), 0.06, (245, 245, 245), k + 6, radius_b=0.02
                )

    def _sea(self, canvas: Canvas, age_s: float, k: float) -> None:
        sea, cool = self.sea, k - 5
        reach = 0.55 * math.sin(2 * math.pi * (age_s / self.swell_s + self.swell))
        edge = self.edge + reach
        canvas.slab(0.002, (0.2, 150), (min(sea * (edge - 0.7), sea * 150), max(sea * (edge - 0.7), sea * 150)),
                    (150, 128, 96), cool + 3)  # fmt: skip
        canvas.slab(0.004, (0.2, 300), (min(sea * edge, sea * 400), max(sea * edge, sea * 400)), self.water, cool)
        for i in range(5):
            along = (i + age_s / self.swell_s) % 5.0
            y = edge + (5.0 - along) ** 1.7
            wide = 0.12 + 0.1 * y
            corners = []
            for x in (0.3, 1.2, 3, 7, 15, 40):
                wave = 0.2 * math.sin(0.9 * x + 2 * i) + 0.15 * math.sin(0.31 * x + i)
                corners.append((x, y + wave))
            outline = [(x, sea * v, 0.01) for x, v in corners] + [
                (x, sea * (v + wide), 0.01) for x, v in reversed(corners)
            ]
            canvas.polygon(outline, (240, 246, 248), cool + 0.5)
        canvas.wall((260, sea * 3), (260, sea * 400), (0, 1.5), tuple_of(self.water, 0.8), cool)

    def _land(self, canvas: Canvas, done: float, k: float) -> None:
        s, sea = self.scene, self.sea
        if s.place == "below the dunes":
            for start, height, half in sorted(self.dunes, reverse=True):
                x = (start - done) % 43 + 1.5
                y = -sea * 7
                canvas.polygon([(x - half * 0.5, y, 0), (x, y - sea, height * 0.7), (x + half * 0.4, y - sea, height * 0.75), (x + half, y, 0)],
                               tuple_of(self.sand, 0.9), k + 2 * s.light.sun_k)  # fmt: skip
                for j in range(4):
                    canvas.rod(
                        (x + 0.5 * j, y - sea * 0.9, height * 0.68),
                        (x + 0.6 * j, y - sea * 0.9, height * 0.68 + 0.5),
                        0.04,
                        (120, 140, 70),
                        k,
                    )
            return
        canvas.wall((130, -sea * 2), (130, -sea * 150), (0, 7), (110, 130, 90), k)
        if s.place == "beside the pier":
            for i in range(8, -1, -1):
                y = sea * (1.5 + 2.2 * i)
                for x in (16.0, 18.5):
                    canvas.rod((x - done * 0.4, y, 0), (x - done * 0.4, y, 2.6), 0.16, (104, 84, 66), k)
            x = 16.0 - done * 0.4
            canvas.polygon(
                [
                    (x - 0.5, sea * 0.5, 2.6),
                    (x - 0.5, sea * 30, 2.6),
                    (x - 0.5, sea * 30, 2.9),
                    (x - 0.5, sea * 0.5, 2.9),
                ],
                (140, 112, 84),
                k + 3,
            )
            canvas.box((x + 1.2, sea * 12, 4.0), (2.0, 4.0, 2.2), (200, 90, 70), k + 3)


def tuple_of(colour: Colour, factor: float) -> Colour:
    """A colour, darker or brighter."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor

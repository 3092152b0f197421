"""A camp fire at dusk or at night: logs, flames, sparks, and dark surroundings."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K
from devices.simulated.world import Scene

__all__ = ["CampFire"]

_FLAMES = (((255, 110, 25), 1.0, 800.0), ((255, 170, 45), 0.72, 900.0), ((255, 230, 130), 0.42, 1000.0))


class CampFire(Stage):
    """The wearer sits two metres from the fire, knees under a blanket."""

    gaze = (0.0, -0.22)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("camp fire")
        self.far = 1.7 * scene.distance
        self.side = float(rng.uniform(-0.25, 0.25))
        self.size = float(rng.uniform(0.8, 1.3))
        self.n_stones = int(rng.integers(8, 13))
        self.flames = rng.uniform(size=(7, 4))
        self.sparks = rng.uniform(size=(10, 3))
        self.trees = [
            (float(rng.uniform(4, 10)), float(rng.uniform(-8, 8)), float(rng.uniform(3, 7))) for _ in range(9)
        ]
        self.trees.sort(reverse=True)
        self.tent_side = 1.0 if rng.random() < 0.5 else -1.0
        self.friend = bool(rng.random() < 0.5)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.sky(*s.light.sky, k)
        canvas.slab(0.0, (0.2, 40), (-40, 40), (92, 84, 58), k + s.light.sun_k)
        if s.place == "by a lake":
            canvas.slab(0.01, (6, 60), (-60, 60), (70, 90, 120), k + 3)
            canvas.wall((60, -80), (60, 80), (0, 4), (30, 38, 34), k)
        else:
            for x, y, height in self.trees[: 9 if s.place == "in the woods" else 4]:
                canvas.rod((x, y, 0), (x, y, height * 0.5), 0.14, (70, 52, 38), k)
                for level in range(3):
                    z = height * (0.25 + 0.22 * level)
                    half = height * (0.24 - 0.06 * level)
                    canvas.polygon([(x, y - half, z), (x, y + half, z), (x, y, z + height * 0.35)], (36, 66, 40), k)
        if s.place == "in front of a tent":
            x, y = self.far + 1.6, 1.1 * self.tent_side
            ridge = [(x, y, 1.25), (x + 1.8, y, 1.25)]
            canvas.polygon(
                [ridge[0], ridge[1], (x + 1.8, y + 1.0, 0), (x, y + 1.0, 0)], (190, 120, 50), k + 1, shade=0.8
            )
            canvas.polygon([ridge[0], ridge[1], (x + 1.8, y - 1.0, 0), (x, y - 1.0, 0)], (190, 120, 50), k + 1)
            canvas.polygon([ridge[0], (x, y + 1.0, 0), (x, y - 1.0, 0)], (150, 90, 40), k + 1)
            canvas.polygon([(x - 0.01, y, 0.9), (x - 0.01, y + 0.35, 0), (x - 0.01, y - 0.35, 0)], (40, 30, 25), k + 2)
        if self.friend:
            y = self.side - 0.9 * self.tent_side
            canvas.rod((self.far + 0.9, y, 0.2), (self.far + 0.9, y, 0.8), 0.2, (70, 60, 90), k + 8)
            canvas.ball((self.far + 0.9, y, 1.0), 0.11, (205, 150, 120), SKIN_K)
        self._fire(canvas, age_s)
        for y in (-0.16, 0.16):
            canvas.rod((0.3, y, 0.55), (0.62, y * 1.2, 0.58), 0.11, s.colour, k + 9, radius_b=0.1)

    def _fire(self, canvas: Canvas, age_s: float) -> None:
        x, y, k, size = self.far, self.side, self.scene.air_k, self.size
        flicker = 1.0 + 0.12 * math.sin(age_s * 17.0 + self.flames[0, 0] * 6) + 0.08 * math.sin(age_s * 29.0)
        canvas.ring((x, y, 0.012), 1.5 * size, (200, 110, 50), k + 4, emits=True, shade=0.25)
        for i in range(self.n_stones):
            turn = 2 * math.pi * i / self.n_stones
            canvas.ball(
                (x + 0.42 * size * math.cos(turn), y + 0.42 * size * math.sin(turn), 0.05),
                0.08,
                (120, 112, 108),
                k + 45,
            )
        for i in range(4):
            turn = math.pi * i / 4 + self.flames[0, 1]
            dx, dy = 0.34 * size * math.cos(turn), 0.34 * size * math.sin(turn)
            canvas.rod((x - dx, y - dy, 0.05), (x + dx, y + dy, 0.12), 0.05, (95, 58, 36), 480.0)
        canvas.ring((x, y, 0.08), 0.26 * size, (255, 90, 20), 880.0, emits=True)
        for row in self.flames:
            wave = math.sin(age_s * (5 + 5 * row[2]) + 6.3 * row[3])
            for colour, share, temperature_k in _FLAMES:
                height = size * (0.3 + 0.5 * row[0]) * share * flicker * (1 + 0.2 * wave)
                base_y = y + (row[1] - 0.5) * 0.4 * size
                half = 0.11 * size * share
                tip = (x, base_y + 0.08 * wave, 0.1 + height)
                canvas.polygon(
                    [(x, base_y - half, 0.08), (x, base_y - half * 0.8, 0.1 + 0.45 * height), tip,
                     (x, base_y + half * 0.8, 0.1 + 0.45 * height), (x, base_y + half, 0.08)],
                    colour, temperature_k, emits=True,
                )  # fmt: skip
        for spark in self.sparks:
            up = (age_s * (0.4 + 0.4 * spark[0]) + spark[1]) % 1.0
            canvas.ball((x, y + (spark[2] - 0.5) * 0.7 * up, 0.5 + 1.3 * up), 0.012, (255, 190, 90), 700.0, emits=True)
            if spark[0] < 0.4:
                canvas.veil((x, y + 0.2 * up, 0.9 + 1.2 * up), 0.2 + 0.4 * up, (110, 110, 115), 0.3 * (1 - up), k + 12)
        canvas.glow((x, y, 0.45), 1.7 * size * flicker, (255, 130, 50), 0.55)

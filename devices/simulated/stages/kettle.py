"""A kettle on the boil: cooker, worktop, tiles and steam."""

from __future__ import annotations

import math
from itertools import pairwise

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Kettle"]

_WALLS: dict[str, Colour] = {
    "in a small kitchen": (222, 214, 190),
    "on a gas cooker": (200, 214, 205),
    "by the kitchen window": (232, 228, 222),
}


class Kettle(Stage):
    """The kettle heats up through the scene: more steam, hotter steel."""

    gaze = (0.0, -0.5)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("kettle")
        self.far = 0.72 * scene.distance
        self.side = float(rng.uniform(-0.12, 0.12))
        self.size = float(rng.uniform(0.85, 1.2))
        self.spout = 1.0 if rng.random() < 0.5 else -1.0
        self.gas = scene.place == "on a gas cooker"
        self.start_k = float(rng.uniform(318, 350))
        self.tile = float(rng.uniform(0.14, 0.22))
        self.cups = [
            (float(rng.uniform(-0.6, 0.6)), float(rng.uniform(0.1, 0.25)), int(rng.integers(4))) for _ in range(3)
        ]
        self.hand = bool(rng.random() < 0.5)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.puffs = rng.uniform(size=(9, 3))

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        x, y, top = self.far, self.side, 0.92
        self._wall(canvas, x + 0.45)
        canvas.slab(top, (0.25, x + 0.45), (-2, 2), (150, 124, 96) if not self.gas else (190, 192, 194), k)
        if s.place == "in a small kitchen":
            canvas.box((x, y, top + 0.02), (0.5, 0.55, 0.03), (36, 36, 40), k + 6)
            for dx, dy in ((-0.12, -0.14), (0.12, -0.14), (0.12, 0.14), (-0.12, 0.14)):
                canvas.ring((x + dx, y + dy, top + 0.037), 0.09, (70, 34, 34), k + 8)
        for cup_y, back, kind in self.cups:
            tone = [(230, 230, 225), (180, 70, 60), (70, 110, 160), (220, 190, 90)][kind]
            if abs(cup_y - y) > 0.25:
                canvas.rod((x + back, cup_y, top), (x + back, cup_y, top + 0.09), 0.042, tone, k)
        hot = min(self.start_k + 4.5 * age_s, 371.0)
        z = top + 0.04
        if self.gas or s.place == "in a small kitchen":
            canvas.ring((x, y, z), 0.1, (230, 90, 40) if not self.gas else (40, 40, 44), 420.0, emits=not self.gas)
        if self.gas:
            for i in range(10):
                turn = 2 * math.pi * i / 10
                tall = 0.05 + 0.015 * math.sin(age_s * 19 + i * 2.1)
                fx, fy = x + 0.085 * math.cos(turn), y + 0.085 * math.sin(turn)
                canvas.polygon(
                    [(fx, fy - 0.014, z), (fx, fy, z + tall), (fx, fy + 0.014, z)], (80, 140, 255), 900.0, emits=True
                )
            z += 0.05
        self._kettle(canvas, x, y, z, hot, age_s)
        if self.hand:
            arm(
                canvas,
                (0.15, -0.4 * self.spout, 1.1),
                (x - 0.28, y - 0.2 * self.spout, top + 0.05),
                self.skin,
                self.sleeve,
            )

    def _kettle(self, canvas: Canvas, x: float, y: float, z: float, hot: float, age_s: float) -> None:
        colour, size, spout, k = self.scene.colour, self.size, self.spout, self.scene.air_k
        r = 0.1 * size
        canvas.rod(
            (x, y + spout * r * 0.7, z + 0.07 * size),
            (x, y + spout * r * 1.9, z + 0.19 * size),
            0.024,
            colour,
            hot - 8,
            radius_b=0.014,
        )
        canvas.rod((x, y, z + 0.055), (x, y, z + 0.13 * size), r, colour, hot, radius_b=r * 0.72)
        canvas.ring((x, y, z + 0.13 * size + r * 0.6), r * 0.6, colour, hot - 15, squash=1.0, shade=1.15)
        canvas.ball((x, y, z + 0.16 * size + r * 0.62), 0.018, (30, 30, 32), hot - 35)
        ring = [
            (x, y + r * 1.05 * math.cos(t), z + 0.15 * size + r * 1.25 * math.sin(t))
            for t in (0.15, 0.7, 1.25, 1.9, 2.45, 3.0)
        ]
        for a, b in pairwise(ring):
            canvas.rod(a, b, 0.012, (34, 32, 34), k + 14)
        vigour = 0.35 + 0.065 * age_s
        tip_y, tip_z = y + spout * r * 1.95, z + 0.2 * size
        for puff in self.puffs:
            up = (age_s * (0.45 + 0.3 * puff[0]) + puff[1]) % 1.0
            drift = spout * 0.1 * up + 0.06 * (puff[2] - 0.5) * up
            canvas.veil(
                (x, tip_y + drift, tip_z + 0.5 * up),
                0.03 + 0.13 * up,
                (245, 245, 248),
                vigour * (1 - up),
                k + 26 * (1 - up),
            )

    def _wall(self, canvas: Canvas, x: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.wall((x, -3), (x, 3), (0, 3), _WALLS[s.place], k)
        if s.place == "by the kitchen window":
            top, horizon = s.light.sky
            canvas.wall((x - 0.01, -0.6), (x - 0.01, 0.6), (1.1, 2.2), (245, 245, 240), k)
            for a, b in ((-0.56, -0.02), (0.02, 0.56)):
                canvas.wall((x - 0.02, a), (x - 0.02, b), (1.14, 1.6), horizon, k - 5, emits=True)
                canvas.wall((x - 0.02, a), (x - 0.02, b), (1.6, 2.16), top, k - 5, emits=True)
            return
        grout, tile = (188, 186, 180), (240, 240, 236) if not self.gas else (150, 186, 178)
        canvas.wall((x - 0.005, -1.3), (x - 0.005, 1.3), (0.92, 1.5), grout, k)
        n = int(2.4 / self.tile)
        for row in range(int(0.56 / self.tile)):
            for i in range(n):
                a, z = -1.2 + i * self.tile, 0.93 + row * self.tile
                canvas.wall((x - 0.01, a), (x - 0.01, a + self.tile * 0.93), (z, z + self.tile * 0.93), tile, k)

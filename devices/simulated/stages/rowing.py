"""Rowing: the stern of the boat and the wake (rowers look back), oars that dip with the beat, water and shore."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K, arm, skin_of, sleeve_of
from devices.simulated.stages.nature import Clouds
from devices.simulated.world import Colour, Scene

__all__ = ["Rowing"]

_WATERS: dict[str, Colour] = {"on a lake": (62, 112, 140), "on a river": (86, 110, 92), "in a harbour": (58, 96, 112)}


class Rowing(Stage):
    """The catch falls on the beat; the pull takes a bit less than half of the stroke."""

    gaze = (0.0, -0.38)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("rowing")
        self.hills = [
            (float(rng.uniform(-90, 90)), float(rng.uniform(10, 30)), float(rng.uniform(4, 12))) for _ in range(7)
        ]
        self.boats = [(float(rng.uniform(12, 30)), float(rng.uniform(-14, 14)), int(rng.integers(4))) for _ in range(4)]
        self.boats.sort(reverse=True)
        self.waves = rng.uniform(size=(26, 3))
        self.half = float(rng.uniform(0.5, 0.65))
        self.length = float(rng.uniform(1.7, 2.3)) * scene.distance
        self.reeds = rng.uniform(size=(12, 2))
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.cargo = int(rng.integers(4))
        self.guest = float(rng.uniform())
        self.clouds = Clouds(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.sky(*s.light.sky, k)
        water = k - 3
        self.clouds.draw(canvas)
        tone = _WATERS[s.place]
        canvas.slab(-0.25, (0.3, 200), (-200, 200), tone, water)
        self._shore(canvas, age_s)
        travelled = s.travel_m(age_s)
        light = s.light.sky[1]
        foam: Colour = (0.4 * light[0] + 130, 0.4 * light[1] + 136, 0.4 * light[2] + 140)
        for start, across, wide in self.waves.tolist():
            x = 2.0 + (start * 24 + travelled) % 24.0
            y, half = (across - 0.5) * 18, 0.2 + 0.04 * x + 0.5 * wide
            bob = 0.02 * math.sin(age_s * 2 + 6 * wide)
            canvas.slab(-0.24 + bob, (x, x + 0.05 + 0.015 * x), (y - half, y + half), foam, water)
        for side in (-1.0, 1.0):
            # The wake spreads from the stern; the oars leave a swirl at every stroke.
            a, b, z = self.length, self.length + 9.0, -0.235
            wake = [(a, side * 0.25, z), (b, side * 2.2, z), (b, side * 2.5, z), (a, side * 0.35, z)]
            canvas.polygon(wake, foam, water, shade=0.9)
            for beat_s in s.beats_s(max(age_s - 7.0, -3.0), age_s):
                gone = s.speed_mps * (age_s - float(beat_s))
                size = 0.22 + 0.08 * gone
                canvas.ring((0.9 + gone, side * 1.9, z), size, foam, water, shade=0.95, corners=12)
                canvas.ring((0.9 + gone, side * 1.9, z + 0.002), 0.6 * size, tone, water, corners=10)
        self._boat(canvas)
        self._oars(canvas, age_s)

    def _shore(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        if s.place == "on a lake":
            for y, half, height in self.hills:
                canvas.polygon(
                    [(100, y - half, 0), (100, y, height), (100, y + half, 0)], (70, 104, 84), k + s.light.sun_k / 2
                )
            canvas.wall((95, -200), (95, 200), (-0.2, 1.6), (52, 82, 50), k)
        elif s.place == "on a river":
            for side in (-1, 1):
                canvas.polygon(
                    [(2, side * 7, -0.2), (120, side * 9, -0.2), (120, side * 9, 4), (2, side * 7, 1.6)],
                    (88, 122, 60),
                    k + 2,
                )
                for row in self.reeds:
                    x = 3 + (row[0] * 40 + s.travel_m(age_s)) % 40
                    canvas.rod((x, side * 6.8, 0), (x, side * 6.8, 2.4), 0.1, (84, 64, 44), k)
                    canvas.ball((x, side * 6.8, 3.0 + row[1]), 1.0 + 0.5 * row[1], (60, 110, 56), k)
            canvas.wall((120, -9), (120, 9), (0, 4), (70, 100, 60), k)
        else:
            canvas.wall((40, -80), (40, 80), (-0.2, 1.4), (130, 124, 118), k + s.light.sun_k)
            for y, half, height in self.hills:
                tone = (170 + 5 * (int(height) % 8), 120 + 8 * (int(half) % 8), 96)
                canvas.wall((42, y * 0.5), (42, y * 0.5 + 5), (1.4, 3 + height * 0.5), tone, k + s.light.sun_k)
            for x, y, kind in self.boats:
                hull = [(190, 60, 50), (40, 70, 140), (240, 240, 240), (50, 110, 80)][kind]
                canvas.polygon(
                    [(x, y - 1.6, 0.5), (x, y + 1.6, 0.5), (x, y + 1.1, -0.25), (x, y - 1.1, -0.25)], hull, k + 2
                )
                canvas.rod((x, y, 0.5), (x, y, 4.2), 0.05, (210, 205, 195), k)

    def _boat(self, canvas: Canvas) -> None:
        k, half, end = self.scene.air_k, self.half, self.length
        colour, wood = self.scene.colour, (165, 120, 74)
        canvas.polygon(
            [(0.2, -half, -0.1), (end * 0.7, -half * 0.85, -0.1), (end, -half * 0.4, -0.05), (end, half * 0.4, -0.05),
             (end * 0.7, half * 0.85, -0.1), (0.2, half, -0.1)], wood, k + 1, shade=0.7,
        )  # fmt: skip
        for i in range(3):
            x = 0.7 + i * (end - 0.8) / 3
            canvas.rod((x, -half * 0.8, -0.08), (x, half * 0.8, -0.08), 0.02, (120, 84, 50), k)
        rim = 0.22
        for side in (-1, 1):
            canvas.polygon(
                [(0.2, side * half, -0.1), (end * 0.7, side * half * 0.85, -0.1), (end * 0.7, side * half * 0.9, rim),
                 (0.2, side * (half + 0.05), rim)], colour, k + 2, shade=0.85,
            )  # fmt: skip
            canvas.polygon(
                [(end * 0.7, side * half * 0.85, -0.1), (end, side * half * 0.4, -0.05), (end, side * half * 0.45, rim),
                 (end * 0.7, side * half * 0.9, rim)], colour, k + 2, shade=0.95,
            )  # fmt: skip
            canvas.rod((0.2, side * (half + 0.05), rim), (end * 0.7, side * half * 0.9, rim), 0.03, wood, k + 2)
            canvas.rod((end * 0.7, side * half * 0.9, rim), (end, side * half * 0.45, rim), 0.03, wood, k + 2)
        canvas.wall((end, -half * 0.45), (end, half * 0.45), (-0.1, rim), colour, k + 2)
        canvas.slab(rim - 0.06, (end - 0.35, end - 0.02), (-half * 0.55, half * 0.55), wood, k + 2)
        if self.cargo == 3:
            self._passenger(canvas, end - 0.2, rim - 0.06)
        elif self.cargo:
            canvas.box(
                (end - 0.2, 0.05, rim + 0.08), (0.2, 0.3, 0.2), [(70, 110, 70), (200, 90, 40)][self.cargo - 1], k + 1
            )

    def _passenger(self, canvas: Canvas, x: float, z: float) -> None:
        """Somebody who sits in the stern and looks at the wearer."""
        k, tone = self.scene.air_k, self.guest
        coat: Colour = (200 - 120 * tone, 80 + 60 * tone, 60 + 110 * tone)
        skin: Colour = (222 - 90 * tone, 172 - 80 * tone, 138 - 70 * tone)
        canvas.rod((x, 0.0, z + 0.12), (x, 0.0, z + 0.48), 0.17, coat, k + 0.4 * (SKIN_K - k), radius_b=0.2)
        for side in (-1.0, 1.0):
            knee = (x - 0.36, 0.1 * side, z + 0.06)
            canvas.rod((x, 0.1 * side, z + 0.06), knee, 0.085, (60, 64, 84), k + 0.4 * (SKIN_K - k))
            canvas.rod(knee, (x - 0.42, 0.1 * side, -0.06), 0.07, (60, 64, 84), k + 0.3 * (SKIN_K - k))
            canvas.rod(
                (x, 0.22 * side, z + 0.46), (x - 0.14, 0.3 * side, z + 0.12), 0.055, coat, k + 0.4 * (SKIN_K - k)
            )
            canvas.ball((x - 0.2, 0.28 * side, z + 0.1), 0.045, skin, SKIN_K)
        canvas.ball((x + 0.05, 0.0, z + 0.82), 0.115, (70 - 40 * tone, 50 - 26 * tone, 36), SKIN_K - 5)
        canvas.ball((x, 0.0, z + 0.76), 0.108, skin, SKIN_K)
        for side in (-0.04, 0.04):
            canvas.ball((x - 0.11, side, z + 0.77), 0.014, (30, 26, 26), SKIN_K)

    def _oars(self, canvas: Canvas, age_s: float) -> None:
        k, half, turns = self.scene.air_k, self.half, self.scene.beat(age_s) % 1.0
        # Hands go away from the body for the catch, come back with the pull.
        swing = math.cos(2 * math.pi * turns)
        lift = 0.14 * math.sin(2 * math.pi * turns)
        for side in (-1.0, 1.0):
            lock = (0.95, side * (half + 0.04), 0.3)
            hand = (0.68 + 0.17 * swing, side * 0.17, 0.42 + 0.4 * lift)
            way = [b - a for a, b in zip(hand, lock, strict=True)]
            tip = tuple(b + 2.0 * w for b, w in zip(lock, way, strict=True))
            tip = (tip[0], tip[1], max(tip[2] - 0.3, -0.35) - lift)
            canvas.rod(hand, (tip[0], tip[1], tip[2]), 0.02, (190, 148, 94), k)
            canvas.ring(
                (tip[0], tip[1], tip[2]), 0.16, (210, 180, 130), k, normal=(1, 0.3, 0.2), squash=0.5, corners=10
            )
            if tip[2] < -0.2:
                canvas.veil((tip[0], tip[1], -0.2), 0.25, (240, 246, 250), 0.7)
            arm(canvas, (0.12, side * 0.34, 0.38), hand, self.skin, self.sleeve, fist=True)

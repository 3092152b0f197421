"""Cycling in traffic: handlebar and hands, the road with its marks, cars ahead and coming, houses or fields."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.stages.nature import Clouds, ahead, bush, stroller, tree
from devices.simulated.stages.street import car, facade, lamp_post
from devices.simulated.world import COLOURS, Colour, Scene

__all__ = ["Cycling"]

_PAINT = tuple(COLOURS.values())
_FRAMES: tuple[Colour, ...] = ((200, 50, 50), (50, 110, 190), (230, 230, 225), (40, 42, 46), (80, 160, 90))
_HOUSE_M = 8.0


class Cycling(Stage):
    """The wearer keeps right; cars come towards on the left, one drives ahead, some are parked on the right."""

    gaze = (0.0, -0.32)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("cycling")
        self.lane = float(rng.uniform(1.3, 2.0))
        self.margin = float(rng.uniform(1.0, 1.6))
        self.ahead_m = float(rng.uniform(4.0, 8.0)) * scene.distance
        self.oncoming = rng.uniform(size=(int(rng.integers(2, 5)), 3))
        self.parked = rng.uniform(size=(int(rng.integers(2, 5)), 2))
        self.houses = rng.uniform(size=(6, 4))
        self.plants = rng.uniform(size=(12, 4))
        self.people = rng.uniform(size=(2, 3))
        self.bar: Colour = (30, 30, 32) if rng.random() < 0.5 else (184, 186, 190)
        self.frame = _FRAMES[int(rng.integers(len(_FRAMES)))]
        self.wide = float(rng.uniform(0.22, 0.3))
        self.basket = bool(rng.random() < 0.35)
        self.bell = 1.0 if rng.random() < 0.5 else -1.0
        self.clouds = Clouds(scene)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, lane = self.scene, self.scene.air_k, self.lane
        done, warm = s.travel_m(age_s), self.scene.air_k + s.light.sun_k
        canvas.sky(*s.light.sky, k)
        self.clouds.draw(canvas)
        left, right = lane + 3.4, -self.margin
        country = s.place == "on a country road"
        canvas.slab(0.0, (0.2, 150), (-150, 150), (112, 148, 70) if country else (166, 162, 156), warm - 1)
        canvas.slab(0.003, (0.2, 150), (right, left), (92, 92, 98), warm + 2)
        for i in range(8):
            x = ahead(i * 5.0, done, -2.0, 40.0)
            canvas.slab(0.006, (max(x, 0.3), x + 2.2), (lane - 0.07, lane + 0.07), (240, 240, 232), warm + 1)
        for y in (left - 0.25, right + 0.15):
            canvas.slab(0.006, (0.2, 120), (y, y + 0.1), (232, 232, 226), warm + 1)
        if country:
            self._country(canvas, left, right, done, warm)
        else:
            self._town(canvas, left, right, done, warm)
        cars = []
        for i, (start, tone, _) in enumerate(self.oncoming):
            # They drive at a car's 9 m/s, towards the wearer.
            x = ahead(70 * (i + start) / len(self.oncoming), done + 9.0 * age_s, -4.5, 70.0)
            cars.append((x, lane + 1.7, _PAINT[int(tone * 8)], True))
        cars.append((self.ahead_m + 0.8 * math.sin(0.6 * age_s), lane - 1.25, s.colour, False))
        for i, (start, tone) in enumerate(self.parked if not country else ()):
            x = ahead(15 * (i + start), done, -4.5, 60.0)
            cars.append((x, right - 1.1, _PAINT[int(tone * 8)], False))
        for x, y, paint, towards in sorted(cars, key=lambda one: -one[0]):
            parked = y < right
            braking = not parked and not towards and math.sin(0.8 * age_s + 6 * self.houses[0, 0]) > 0.2
            car(canvas, x, y, paint, k, warm=2.0 if parked else 22.0, towards=towards, lamps=braking)
        self._bike(canvas, age_s)

    def _country(self, canvas: Canvas, left: float, right: float, done: float, warm: float) -> None:
        k = self.scene.air_k
        canvas.wall((120, -200), (120, 200), (0, 5), (74, 106, 62), k)
        for y, tone in ((left + 14, (206, 184, 84)), (right - 16, (150, 120, 78))):
            canvas.slab(0.004, (8, 110), (min(y, 3 * y), max(y, 3 * y)), tone, warm)
        rows = sorted(((ahead(5.5 * i, done, 0.5, 66.0), i) for i in range(12)), reverse=True)
        for x, i in rows:
            _, across, look, size = self.plants[i]
            y = left + 1.6 + 3 * across if i % 2 else right - 1.6 - 3 * across
            if i % 4 == 3:
                canvas.rod((x, y, 0), (x, y, 1.0), 0.05, (236, 236, 230), k)
                bush(canvas, x + 1, y, 1.0, look, k)
            else:
                tree(canvas, x, y, 4.5 + 3 * size, look, k)
        x = ahead(60 * float(self.houses[0, 2]), done, 10.0, 90.0)
        canvas.box((x, 22.0 if self.bell > 0 else -20.0, 2.0), (8, 6, 4), (178, 84, 66), warm)

    def _town(self, canvas: Canvas, left: float, right: float, done: float, warm: float) -> None:
        s, k = self.scene, self.scene.air_k
        shop = s.place == "past shops"
        parking = right - 2.2
        canvas.slab(0.002, (0.2, 90), (parking, right), (110, 110, 114), warm + 1)
        for y in (left + 0.05, parking - 0.05):
            canvas.slab(0.01, (0.2, 90), (y - 0.08, y + 0.08), (210, 206, 198), warm)
        canvas.wall((48, -40), (48, 40), (0, 8), (150, 140, 132), k)
        for y in (left + 2.2, parking - 2.0):
            for i in sorted(range(6), key=lambda i: -ahead(_HOUSE_M * i, done, -7.0, 48.0)):
                x = ahead(_HOUSE_M * i, done, -7.0, 48.0)
                facade(canvas, x, x + _HOUSE_M - 0.1, y, self.houses[i if y > 0 else 5 - i], warm, s, shop=shop)
        for i, (start, across, look) in enumerate(self.people):
            x = ahead(30 * start, done - 0.8 * s.speed_mps, 2.0, 36.0)
            stroller(canvas, x, left + 1.0 + 0.6 * across if i else parking - 0.8, look, 0.9 * done / 4 + look, k)
        for i in range(2):
            lamp_post(canvas, ahead(18.0 * i + 9, done, 1.0, 36.0), left + 0.4 if i else parking - 0.4,
                      -1 if i else 1, s)  # fmt: skip
            if not shop:
                tree(canvas, ahead(18.0 * i, done, 1.0, 36.0), parking - 0.7, 4.5, float(self.plants[i, 2]), k)

    def _bike(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        turn = 0.02 * math.sin(math.pi * s.beat(age_s))
        x, z, wide = 0.68, s.eye_m - 0.5, self.wide
        canvas.ring((x + 0.42, turn, 0.36), 0.36, (26, 26, 28), k + 4, normal=(0.1, 1, 0))
        canvas.rod((x + 0.02, 0, z - 0.02), (x + 0.36, turn, 0.5), 0.03, self.frame, k + 1)
        if self.basket:
            canvas.box((x + 0.28, turn, z - 0.12), (0.3, 0.36, 0.22), (168, 128, 80), k + 1)
            canvas.slab(z - 0.005, (x + 0.15, x + 0.41), (turn - 0.15, turn + 0.15), (96, 70, 44), k + 1)
        else:
            canvas.rod((x + 0.12, turn, z - 0.08), (x + 0.2, turn, z - 0.08), 0.045, (40, 40, 44), k + 1)
        for side in (-1.0, 1.0):
            y, sway = side * wide, side * turn
            knee = (x + 0.03, 0.45 * y, z + 0.01)
            grip = (x - 0.1 - sway, 1.12 * y, z - 0.01)
            canvas.rod((x, 0, z), knee, 0.016, self.bar, k + 1)
            canvas.rod(knee, grip, 0.016, self.bar, k + 1)
            canvas.rod((x - 0.02 - 0.6 * sway, 0.9 * y, z), grip, 0.023, (24, 24, 26), k + 3)
            canvas.rod((x + 0.04, 0.62 * y, z - 0.02), (x - 0.02, 1.1 * y, z - 0.05), 0.008, (170, 172, 176), k)
            arm(canvas, (0.24, 1.35 * y, z - 0.05), (x - 0.06 - sway, y, z + 0.02), self.skin, self.sleeve, fist=True)
        canvas.rod((x, 0, z - 0.05), (x, 0, z + 0.015), 0.028, (60, 60, 64), k + 1)
        canvas.ball((x + 0.01, self.bell * 0.3 * wide, z + 0.03), 0.026, (212, 214, 218), k + 1)

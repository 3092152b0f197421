"""Cycling in traffic: handlebar and hands, the road with its marks, cars ahead and coming, houses or fields."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import COLOURS, Colour, Scene

__all__ = ["Cycling"]

_PAINT = tuple(COLOURS.values())


class Cycling(Stage):
    """The wearer keeps right; cars come towards on the left, one drives ahead."""

    gaze = (0.0, -0.25)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("cycling")
        self.lane = float(rng.uniform(0.9, 1.5))
        self.ahead_m = float(rng.uniform(6, 11)) * scene.distance
        self.oncoming = rng.uniform(size=(4, 3))
        self.parked = rng.uniform(size=(5, 2))
        self.houses = rng.uniform(size=(14, 4))
        self.bar: Colour = (30, 30, 32) if rng.random() < 0.5 else (184, 186, 190)
        self.drop = bool(rng.random() < 0.4)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.gloves = bool(rng.random() < 0.4)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, lane = self.scene, self.scene.air_k, self.lane
        done, warm = s.travel_m(age_s), self.scene.air_k + s.light.sun_k
        canvas.sky(*s.light.sky, k)
        left, right = lane + 3.6, -(4.6 - lane - 2.2)
        country = s.place == "on a country road"
        canvas.slab(0.0, (0.2, 150), (-150, 150), (106, 140, 70) if country else (168, 164, 158), warm - 1)
        canvas.slab(0.003, (0.2, 150), (right, left), (86, 86, 92), warm + 2)
        for i in range(7, -1, -1):
            x = (i * 5.0 - done) % 40.0 + 0.3
            canvas.slab(0.006, (x, x + 2.2), (lane - 0.07, lane + 0.07), (236, 236, 230), warm + 1)
        for y in (left - 0.2, right + 0.15):
            canvas.slab(0.006, (0.2, 120), (y, y + 0.1), (226, 226, 220), warm + 1)
        self._sides(canvas, left, right, done, warm)
        cars = [
            ((row[0] * 70 - done * 2.1) % 70 - 3.0, lane + 1.8, _PAINT[int(row[1] * 8)], -1) for row in self.oncoming
        ]
        cars.append((self.ahead_m + 1.5 * math.sin(0.5 * age_s), lane - 1.6, s.colour, 1))
        if not country:
            cars += [((row[0] * 60 - done) % 60 - 2, right - 0.9, _PAINT[int(row[1] * 8)], 0) for row in self.parked]
        for x, y, paint, way in sorted(cars, key=lambda car: -car[0]):
            if x > 0.6:
                self._car(canvas, x, y, paint, way)
        self._bike(canvas, age_s)

    def _car(self, canvas: Canvas, x: float, y: float, paint: Colour, way: int) -> None:
        """way: 1 drives ahead and shows its tail, -1 comes towards, 0 is parked."""
        k = self.scene.air_k
        running = 0 if way == 0 else 1
        for wheel_x in (x + 0.7, x + 3.0):
            for wheel_y in (y - 0.8, y + 0.8):
                canvas.ring(
                    (wheel_x, wheel_y, 0.32), 0.32, (28, 28, 30), k + 12 * running, normal=(0, 1, 0), corners=12
                )
        canvas.box((x + 1.9, y, 0.62), (3.8, 1.7, 0.62), paint, k + 3 + 3 * running)
        canvas.box((x + 2.0 + 0.2 * way, y, 1.17), (2.0, 1.45, 0.52), paint, k + 2)
        canvas.wall((x + 0.95, y - 0.62), (x + 0.95, y + 0.62), (0.98, 1.38), (40, 52, 62), k - 2)
        lamp = (255, 244, 200) if way < 0 else (210, 30, 30)
        for side in (-0.62, 0.62):
            canvas.wall(
                (x - 0.01, y + side - 0.14),
                (x - 0.01, y + side + 0.14),
                (0.62, 0.8),
                lamp,
                k + 14 * running,
                emits=running > 0,
            )
        canvas.wall((x - 0.012, y - 0.25), (x - 0.012, y + 0.25), (0.45, 0.57), (236, 236, 232), k + 4)
        if way < 0:
            # The engine lies behind the front of a car that comes, the exhaust at the tail of one that goes.
            canvas.wall((x - 0.011, y - 0.4), (x - 0.011, y + 0.4), (0.6, 0.85), (30, 30, 32), k + 28)
            canvas.glow((x - 0.05, y, 0.7), 0.9, (255, 244, 200), 0.35)
        elif way > 0:
            canvas.ball((x - 0.02, y - 0.5, 0.3), 0.05, (60, 60, 60), k + 70)
            canvas.slab(0.01, (x, x + 3.8), (y - 0.8, y + 0.8), (50, 50, 54), k + 10)

    def _sides(self, canvas: Canvas, left: float, right: float, done: float, warm: float) -> None:
        s, k = self.scene, self.scene.air_k
        rows = sorted((((row[0] * 70 - done) % 70 - 4, row) for row in self.houses), key=lambda item: -item[0])
        for x, row in rows:
            side = 1.0 if row[1] < 0.5 else -1.0
            y = (left + 1.8) if side > 0 else (right - 2.6)
            if x < -2:
                continue
            if s.place == "on a country road":
                if row[2] < 0.7:
                    canvas.rod((x, y + side * 3 * row[3], 0), (x, y + side * 3 * row[3], 2.2), 0.14, (90, 68, 48), k)
                    canvas.ball((x, y + side * 3 * row[3], 3.2), 1.4, (70, 128, 60), k)
                else:
                    canvas.box((x, y + side * 12, 2.0), (7, 6, 4), (190, 120, 90), warm)
                continue
            tone = (150 + 80 * row[2], 110 + 80 * row[3], 90 + 70 * row[2])
            height = 5.0 + 4 * row[3]
            face = y + side * 0.2
            canvas.box((x + 4, face + side * 3, height / 2), (7.6, 6, height), tone, k + 0.6 * s.light.sun_k)
            shop = s.place == "past shops"
            for i in range(3):
                a = max(x + 0.8 + 2.3 * i, 0.3)
                if a > x + 2.2 + 2.3 * i:
                    continue
                for z in (0.6, 3.3):
                    low = shop and z < 1
                    pane = (255, 224, 150) if low else (70, 88, 104)
                    canvas.wall(
                        (a, face),
                        (x + 2.3 + 2.3 * i, face),
                        (z, z + (1.9 if low else 1.3)),
                        pane,
                        k + (5 if low else 2),
                        emits=low,
                    )
            if shop:
                canvas.wall(
                    (max(x + 0.3, 0.3), face - side * 0.05),
                    (x + 7.6, face - side * 0.05),
                    (2.6, 3.1),
                    _PAINT[int(row[2] * 8)],
                    k + 1,
                )

    def _bike(self, canvas: Canvas, age_s: float) -> None:
        k = self.scene.air_k
        eye = self.scene.eye_m
        lean = 0.02 * math.sin(math.pi * self.scene.beat(age_s))
        x, z = 0.62, eye - 0.55
        canvas.ring((x + 0.45, lean, 0.34), 0.34, (26, 26, 28), k + 4, normal=(0.15, 1, 0), corners=20)
        canvas.rod((x + 0.1, lean, z), (x + 0.42, lean, 0.4), 0.024, self.scene.colour, k + 1)
        wide = 0.28
        for side in (-1.0, 1.0):
            y = side * wide + lean
            canvas.rod((x + 0.02, lean, z + 0.02), (x, y, z), 0.016, self.bar, k + 1)
            canvas.rod((x, y * 0.78, z), (x - 0.06, y * 1.06, z), 0.022, (24, 24, 26), k + 3)
            canvas.rod((x + 0.01, y * 0.7, z - 0.01), (x + 0.05, y * 0.95, z - 0.03), 0.008, (170, 172, 176), k)
            if self.drop:
                canvas.rod((x, y, z), (x + 0.08, y, z - 0.08), 0.016, self.bar, k + 1)
            skin = (40, 42, 48) if self.gloves else self.skin
            arm(canvas, (0.16, 0.3 * side, z + 0.18), (x - 0.02, y * 0.92, z + 0.02), skin, self.sleeve, fist=True)
        canvas.ball((x + 0.03, lean, z + 0.05), 0.03, (190, 192, 196), k + 1)

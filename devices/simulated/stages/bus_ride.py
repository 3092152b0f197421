"""Riding a bus: seats with passengers ahead, windows with the land passing by, poles, straps and ceiling."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K, arm, skin_of, sleeve_of
from devices.simulated.stages.nature import Clouds, ahead, tree
from devices.simulated.stages.street import car, facade
from devices.simulated.world import Colour, Scene

__all__ = ["BusRide"]

_HAIR: tuple[Colour, ...] = ((50, 36, 28), (24, 22, 22), (180, 140, 80), (150, 150, 150), (120, 60, 35))
_COATS: tuple[Colour, ...] = ((70, 80, 110), (120, 50, 50), (90, 110, 80), (60, 60, 64), (180, 160, 120))
_SKINS: tuple[Colour, ...] = ((226, 180, 150), (190, 140, 106), (122, 84, 60))
_PAINTS: tuple[Colour, ...] = ((190, 50, 45), (60, 90, 160), (225, 225, 228), (60, 64, 70))
_HOUSE_M = 9.0


class BusRide(Stage):
    """Rows of seats to the front; the wearer sits behind them, on one side or by the aisle."""

    gaze = (0.0, -0.06)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("bus")
        aside = {"in the last row": 0.0, "by the aisle": 0.35, "behind other passengers": 0.72}[scene.place]
        self.side = 1.0 if rng.random() < 0.5 else -1.0
        self.middle = -aside * self.side
        """Where the bus's middle is, seen from the wearer."""
        self.n_rows = {"in the last row": 7, "by the aisle": 5, "behind other passengers": 4}[scene.place]
        full = 0.85 if scene.place == "behind other passengers" else 0.45
        self.taken = rng.random((8, 4)) < full
        self.look = rng.uniform(size=(8, 4, 4))
        self.trees = rng.uniform(size=(12, 4))
        self.houses = rng.uniform(size=(6, 4))
        self.cars = rng.uniform(size=(3, 2))
        self.town = bool(rng.random() < 0.6)
        self.pole: Colour = (225, 190, 40) if rng.random() < 0.6 else (190, 192, 196)
        self.striped = bool(rng.random() < 0.5)
        self.holds = bool(rng.random() < 0.6)
        self.clouds = Clouds(scene)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, off = self.scene, self.scene.air_k, self.middle
        pitch = 0.8 * s.distance
        front = 1.3 + pitch * self.n_rows
        left, right = off + 1.2, off - 1.2
        self._outside(canvas, left, right, age_s)
        # Glass lies between the warmth inside and outside.
        for y in (left, right):
            canvas.pane([(0.1, y, 0.8), (front, y, 0.8), (front, y, 1.8), (0.1, y, 1.8)], k - 5)
        canvas.pane([(front, left, 0.8), (front, right, 0.8), (front, right, 1.8), (front, left, 1.8)], k - 5)
        self._shell(canvas, left, right, front)
        for row in range(self.n_rows - 1, -1, -1):
            x = 0.95 * s.distance + pitch * row
            if row % 2 == 0:
                y = off + 0.3 * self.side
                canvas.rod((x + 0.2, y, 0), (x + 0.2, y, 2.14), 0.02, self.pole, k)
                canvas.box((x + 0.18, y, 1.25), (0.05, 0.05, 0.09), (200, 40, 40), k + 1)
            for strap in range(2 if row < 2 else 1):
                self._strap(canvas, x + 0.4 * strap, off - 0.3 * self.side, age_s + strap)
            for seat, y in enumerate((-0.95, -0.52, 0.52, 0.95)):
                self._seat(canvas, x, y + off, row, seat, age_s)
        if self.holds:
            # The wearer's hand rests on the handle of the seat in front.
            x = 0.95 * s.distance
            y = min((-0.52, 0.52, -0.95, 0.95), key=lambda seat: abs(seat + off)) + off
            y += 0.1 if y < 0.1 else -0.1
            arm(canvas, (0.25, y - 0.15, 0.8), (x - 0.05, y, 1.13), self.skin, self.sleeve, fist=True)

    def _shell(self, canvas: Canvas, left: float, right: float, front: float) -> None:
        k, off = self.scene.air_k, self.middle
        canvas.slab(0.01, (0.2, front), (right, left), (84, 86, 92), k)
        canvas.slab(0.015, (0.2, front), (off - 0.24, off + 0.24), (64, 66, 72), k)
        canvas.slab(2.15, (0.2, front), (right, left), (214, 216, 214), k + 2)
        canvas.wall((front, left), (front, right), (0, 0.9), (70, 74, 80), k + 3)
        canvas.wall((front, left), (front, right), (1.75, 2.15), (60, 62, 68), k + 2)
        sign, text = front - 0.01, front - 0.02
        canvas.wall((sign, off - 0.5), (sign, off + 0.5), (1.83, 2.07), (30, 30, 32), k + 5)
        for i in range(6):
            y = off + 0.4 - 0.14 * i
            canvas.wall((text, y), (text, y - 0.09), (1.9, 2.0), (255, 180, 40), k + 6, emits=True)
        for y, shade in ((left, 0.82), (right, 0.95)):
            canvas.wall((0.2, y), (front, y), (0, 0.85), (196, 200, 198), k - 1, shade=shade)
            canvas.wall((0.2, y), (front, y), (0.82, 0.87), (70, 72, 78), k - 1)
            canvas.wall((0.2, y), (front, y), (1.72, 2.15), (200, 203, 200), k + 1, shade=shade)
            canvas.wall((0.2, y * 0.999), (front, y * 0.999), (1.9, 2.1), (90, 140, 170), k + 1, shade=shade)
            post = 0.9
            while post < front:
                canvas.wall((post, y), (post + 0.1, y), (0.85, 1.72), (60, 62, 66), k - 1)
                canvas.wall((post - 0.6, y), (post - 0.57, y), (1.45, 1.72), (60, 62, 66), k - 2)
                post += 1.3
        canvas.wall((front, off - 0.04), (front, off + 0.04), (0.9, 1.75), (60, 62, 66), k)
        for i in range(3):
            x = 1.0 + i * front / 3
            canvas.slab(2.14, (x, x + 0.5), (off - 0.12, off + 0.12), (255, 255, 250), k + 12, shade=1.3)
        for y in (off - 0.3, off + 0.3):
            canvas.rod((0.3, y, 1.95), (front, y, 1.95), 0.018, self.pole, k)

    def _strap(self, canvas: Canvas, x: float, y: float, age_s: float) -> None:
        k = self.scene.air_k
        sway = 0.04 * math.sin(4.1 * age_s)
        canvas.rod((x, y, 1.95), (x + 0.5 * sway, y + sway, 1.78), 0.012, (50, 50, 54), k)
        for a, b in (((0.0, 0.0), (0.06, -0.11)), ((0.0, 0.0), (-0.06, -0.11)), ((0.06, -0.11), (-0.06, -0.11))):
            canvas.rod((x + 0.5 * sway, y + sway + a[0], 1.78 + a[1]), (x + 0.5 * sway, y + sway + b[0], 1.78 + b[1]),
                       0.012, (230, 230, 226), k)  # fmt: skip

    def _seat(self, canvas: Canvas, x: float, y: float, row: int, seat: int, age_s: float) -> None:
        k, colour = self.scene.air_k, self.scene.colour
        if not canvas.sees((x, y, 0.9), 0.7):
            return
        taken = bool(self.taken[row, seat])
        if taken:
            hair, coat, skin, tall = self.look[row, seat].tolist()
            turn = 0.03 * math.sin(1.3 * age_s + 6 * tall)
            top = 1.2 + 0.12 * tall
            canvas.rod((x + 0.12, y, 0.75), (x + 0.12, y, top - 0.22), 0.19, _COATS[int(coat * 5)], k + 6)
            canvas.ball((x + 0.14, y + turn, top), 0.105, _SKINS[int(skin * 3)], SKIN_K)
            canvas.ball((x + 0.11, y + turn, top + 0.03), 0.105, _HAIR[int(hair * 5)], SKIN_K - 4)
        warm = k + (3 if taken else 0)
        if row > 2:
            # So far off a back is a rectangle.
            canvas.wall((x, y - 0.19), (x, y + 0.19), (0.6, 1.11), colour, warm, shade=0.74)
            return
        low = 0.4 if row < 2 else 0.6
        canvas.box((x, y, (1.11 + low) / 2), (0.09, 0.39, 1.11 - low), colour, warm)
        if self.striped:
            for stripe in (-0.1, 0.1):
                canvas.wall((x - 0.046, y + stripe - 0.03), (x - 0.046, y + stripe + 0.03), (low, 1.08), colour,
                            warm, shade=0.62)  # fmt: skip
        canvas.rod((x - 0.02, y - 0.15, 1.1), (x - 0.02, y + 0.15, 1.1), 0.018, (50, 50, 54), k)

    def _outside(self, canvas: Canvas, left: float, right: float, age_s: float) -> None:
        """The road, houses and trees beside it, cars that come towards."""
        s, k = self.scene, self.scene.air_k - 8
        done, warm = s.travel_m(age_s), self.scene.air_k - 8 + s.light.sun_k
        canvas.sky(*s.light.sky, k)
        self.clouds.draw(canvas)
        canvas.slab(-0.02, (0.2, 120), (-120, 120), (150, 148, 142) if self.town else (104, 138, 70), warm)
        canvas.slab(-0.01, (0.2, 120), (right - 1.2, left + 5.0), (88, 88, 94), warm + 1)
        for i in range(6):
            x = ahead(6.0 * i, done, 0.3, 36.0)
            canvas.slab(0.0, (x, x + 2.5), (left + 1.2, left + 1.35), (236, 236, 230), warm)
        if self.town:
            for y in (left + 8.0, right - 4.0):
                for i in sorted(range(6), key=lambda i: -ahead(_HOUSE_M * i, done, -8.0, 6 * _HOUSE_M)):
                    x = ahead(_HOUSE_M * i, done, -8.0, 6 * _HOUSE_M)
                    facade(canvas, x, x + _HOUSE_M - 0.1, y, self.houses[i if y > 0 else 5 - i], warm, s,
                           shop=bool(self.houses[i, 3] > 0.6))  # fmt: skip
        else:
            canvas.wall((110, -200), (110, 200), (0, 6), (80, 112, 70), k)
        for x, i in sorted(
            ((ahead(5.0 * i, done, 0.0, 60.0), i) for i in range(0, 12, 3 if self.town else 1)), reverse=True
        ):
            _, across, look, size = self.trees[i].tolist()
            tree(canvas, x, left + 6.5 + 6 * across if i % 2 else right - 2.4 - 5 * across, 4 + 3 * size, look, k)
        for i, (start, tone) in enumerate(self.cars.tolist()):
            x = ahead(28 * (i + start), done + 10 * age_s, -4.0, 84.0)
            car(canvas, x, left + 3.2, _PAINTS[int(tone * 4)], k, warm=20.0, towards=True)

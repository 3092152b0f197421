"""Pushing a trolley through a supermarket: shelves of goods on both sides, lamps, tiles, the trolley."""

from __future__ import annotations

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.goods import GOODS, crates, shelves
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.stages.nature import ahead, stroller
from devices.simulated.world import Colour, Scene

__all__ = ["Supermarket"]

_BAY_M = 1.2
_FRIDGE_K = 278.0
"""5 degrees Celsius: open cabinets for milk and meat."""
_N_BAYS = 8


class Supermarket(Stage):
    """Shelves come by in bays; one place has crates of fruit, one has open fridges on one side."""

    gaze = (0.0, -0.34)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("supermarket")
        self.half = float(rng.uniform(1.05, 1.5)) * scene.distance
        self.tall = float(rng.uniform(1.8, 2.3))
        self.bays = {side: [shelves(rng) for _ in range(4)] for side in (-1, 1)}
        self.cooled = [shelves(rng, cooled=True) for _ in range(3)]
        self.crates = [crates(rng) for _ in range(4)] if scene.place == "by the fruit" else []
        self.special = 1 if rng.random() < 0.5 else -1
        self.basket = rng.uniform(size=(int(rng.integers(2, 8)), 5))
        self.far = float(rng.uniform(8, 11))
        self.people = rng.uniform(size=(int(rng.integers(0, 3)), 3))
        self.floor: Colour = ((206, 204, 196), (188, 182, 170), (214, 218, 220))[int(rng.integers(3))]
        self.lane = float(rng.uniform(-0.25, 0.25))
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, half, far = self.scene, self.scene.air_k, self.half, self.far
        done, mid = s.travel_m(age_s), self.lane
        canvas.wall((far + 0.7, -6), (far + 0.7, 6), (0, 3.4), (214, 218, 214), k)
        canvas.wall((far + 0.69, mid - 1.2), (far + 0.69, mid + 1.2), (2.4, 2.9), (200, 40, 40), k)
        # Aisles end at the cooled shelves, which stand along the walls.
        for i, texture in enumerate(self.cooled):
            canvas.panel((far + 0.6, mid + 1.8 - 1.2 * i, 0.0), (0.0, -_BAY_M, 0.0), (0, 0, 2.1), texture, _FRIDGE_K)
        for side in (-1, 1):
            y = mid + side * (half + 0.9)
            canvas.wall((0.1, y), (far + 0.7, y), (0, 3.4), (196, 200, 196), k)
        canvas.slab(0.0, (0.2, far + 0.7), (mid - half - 1, mid + half + 1), self.floor, k - 0.5)
        canvas.slab(3.2, (0.2, far + 0.7), (mid - half - 1, mid + half + 1), (226, 228, 228), k + 2)
        for i in range(9):
            x = ahead(_BAY_M * i, done, 0.3, 9 * _BAY_M)
            canvas.slab(0.003, (x, x + 0.02), (mid - half, mid + half), self.floor, k - 0.5, shade=0.86)
            if i % 3 == 0:
                canvas.slab(3.18, (x, x + 1.0), (mid - 0.15, mid + 0.15), (255, 255, 255), k + 14, shade=1.4)
        for y in (mid - half * 0.33, mid + half * 0.33):
            canvas.slab(0.003, (0.3, far), (y - 0.01, y + 0.01), self.floor, k - 0.5, shade=0.88)
        first = int(done / _BAY_M)
        for i in range(_N_BAYS, -1, -1):
            x = (first + i) * _BAY_M - done
            if x < far:
                for side in (1, -1):
                    self._bay(canvas, x, side, first + i)
        things = [(ahead(9 * p[0], 0.4 * done, 3.0, 8.0), float(p[1]), float(p[2])) for p in self.people]
        for x, across, look in sorted(things, reverse=True):
            stroller(canvas, x, mid + (across - 0.5) * 1.2 * half, look, 0.45 * age_s + across, k)
        self._trolley(canvas)

    def _bay(self, canvas: Canvas, x: float, side: int, bay: int) -> None:
        s, k = self.scene, self.scene.air_k
        y = self.lane + side * self.half
        # Textures read from left to right for whoever stands before them.
        start, along = (x, _BAY_M) if side > 0 else (x + _BAY_M, -_BAY_M)
        special = side == self.special
        if special and s.place == "by the fruit":
            front = y - side * 0.35
            if not canvas.sees((x + 0.6, y, 0.8), 1.0):
                return
            canvas.panel((start, front, 0.55), (along, 0, 0), (0, side * 0.7, 0.65), self.crates[bay % 4], k - 2)
            canvas.wall((x, front), (x + _BAY_M, front), (0, 0.55), (66, 110, 70), k)
            canvas.wall((x, front), (x + _BAY_M, front), (0.47, 0.55), (150, 110, 70), k)
            if bay % 2:
                canvas.wall((x + 0.3, y + side * 0.1), (x + 0.9, y + side * 0.1), (1.6, 1.9), (240, 244, 236), k)
                canvas.wall((x + 0.34, y + side * 0.1), (x + 0.86, y + side * 0.1), (1.65, 1.75), (60, 140, 70), k)
            return
        if not canvas.sees((x + 0.6, y, 1.0), 1.3):
            return
        cold = special and s.place == "by the fridges"
        texture = self.cooled[bay % 3] if cold else self.bays[side][bay % 4]
        canvas.panel((start, y, 0.0), (along, 0, 0), (0, 0, self.tall), texture, _FRIDGE_K if cold else k)
        if cold:
            canvas.wall((x, y - side * 0.08), (x + _BAY_M, y - side * 0.08), (0, 0.3), (236, 240, 242), k - 4)

    def _trolley(self, canvas: Canvas) -> None:
        s, k, wire = self.scene, self.scene.air_k, (150, 154, 160)
        near, far, low, high, w = 0.7, 1.45, 0.52, 0.94, 0.29
        canvas.slab(low, (near, far), (-w, w), (120, 124, 130), k)
        for x, y, z, kind, cool in sorted(self.basket.tolist(), reverse=True):
            canvas.box((near + 0.12 + 0.5 * x, (y - 0.5) * 0.42, low + 0.1 + 0.06 * z), (0.16, 0.13, 0.18 + 0.12 * z),
                       GOODS[int(kind * len(GOODS))], k - 11 if cool > 0.6 else k)  # fmt: skip
        for i in range(5):
            y = -w + 2 * w * i / 4
            canvas.rod((far, y, low), (far, y, high), 0.007, wire, k)
        for i in range(6):
            x = near + (far - near) * i / 5
            for side in (-1, 1):
                canvas.rod((x, side * w, low), (x, side * w * 1.05, high), 0.007, wire, k)
        for side in (-1, 1):
            canvas.rod((near, side * w, 0.73), (far, side * w, 0.73), 0.006, wire, k)
            canvas.rod((near, side * w * 1.05, high), (far, side * w, high), 0.012, wire, k)
        canvas.rod((far, -w, 0.73), (far, w, 0.73), 0.006, wire, k)
        canvas.rod((far, -w, high), (far, w, high), 0.016, s.colour, k)
        bar = s.eye_m - 0.54
        canvas.rod((0.64, -w - 0.03, bar), (0.64, w + 0.03, bar), 0.026, s.colour, k + 1)
        for hand in (-1.0, 1.0):
            canvas.rod((0.64, hand * (w + 0.02), bar), (near, hand * w * 1.05, high), 0.014, wire, k)
            arm(
                canvas,
                (0.2, 0.34 * hand, bar - 0.08),
                (0.64, 0.19 * hand, bar + 0.02),
                self.skin,
                self.sleeve,
                fist=True,
            )

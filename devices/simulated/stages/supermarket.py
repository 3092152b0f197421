"""Pushing a trolley through a supermarket: shelves of coloured goods on both sides, lamps, tiles, the trolley."""

from __future__ import annotations

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Supermarket"]

_GOODS: tuple[Colour, ...] = (
    (210, 50, 45), (240, 190, 50), (60, 120, 190), (70, 150, 80), (235, 235, 230), (150, 70, 140), (230, 120, 50), (120, 80, 60),
)  # fmt: skip
_FRUIT: tuple[Colour, ...] = ((220, 60, 50), (250, 150, 40), (240, 220, 80), (120, 180, 60), (110, 50, 120))


class Supermarket(Stage):
    """Shelves come by in bays of 1.2 m; one place has fruit crates, one has fridges on one side."""

    gaze = (0.0, -0.22)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("supermarket")
        self.half = float(rng.uniform(1.2, 1.7)) * scene.distance
        self.goods = rng.integers(len(_GOODS), size=(2, 8, 4, 3))
        self.special = 1 if rng.random() < 0.5 else -1
        self.basket = rng.uniform(size=(6, 4))
        self.shopper = float(rng.uniform(3, 7)) if rng.random() < 0.5 else 0.0
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, half = self.scene, self.scene.air_k, self.half
        far, done = 10.0, s.travel_m(age_s)
        canvas.wall((far + 1, -6), (far + 1, 6), (0, 3.2), (214, 218, 214), k)
        canvas.wall((far + 0.9, -1.2), (far + 0.9, 1.2), (2.2, 2.7), (200, 40, 40), k)
        for side in (-1, 1):
            canvas.wall((0.1, side * (half + 0.9)), (far + 1, side * (half + 0.9)), (0, 3.3), (196, 200, 196), k)
        canvas.slab(0.0, (0.2, far + 1), (-half - 1, half + 1), (205, 204, 196), k)
        canvas.slab(3.2, (0.2, far + 1), (-half - 1, half + 1), (226, 228, 228), k + 2)
        first = int(done / 1.2)
        for i in range(9, -1, -1):
            x = (first + i + 1) * 1.2 - done
            canvas.rod((x, -half, 0.002), (x, half, 0.002), 0.008, (178, 176, 168), k)
            if i % 2:
                canvas.slab(3.18, (x, x + 0.8), (-0.15, 0.15), (255, 255, 255), k + 14, shade=1.4)
        for i in range(8, -1, -1):
            x = (first + i) * 1.2 - done
            for side in (1, -1):
                self._bay(canvas, x, side, (first + i) % 8)
        if self.shopper:
            x, y = self.shopper, -0.55 * self.special
            canvas.rod((x, y, 0.1), (x, y, 0.8), 0.14, (60, 64, 90), k + 5)
            canvas.rod((x, y, 0.9), (x, y, 1.35), 0.2, (150, 90, 80), k + 7)
            canvas.ball((x, y, 1.62), 0.11, (90, 60, 42), 303.0)
        self._trolley(canvas)

    def _bay(self, canvas: Canvas, x: float, side: int, bay: int) -> None:
        s, k = self.scene, self.scene.air_k
        y, ends = side * self.half, (max(x, 0.12), x + 1.2)
        if ends[1] <= 0.2:
            return
        row = 0 if side > 0 else 1
        special = side == self.special
        if special and s.place == "by the fridges":
            canvas.wall((ends[0], y), (ends[1], y), (0, 2.1), (226, 234, 238), k - 9)
            for level in range(4):
                z = 0.25 + 0.45 * level
                self._row(canvas, ends, y * 0.995, z, self.goods[row, bay, level], k - 16, 0.3)
            canvas.rod((ends[1], y * 0.99, 0.1), (ends[1], y * 0.99, 2.1), 0.025, (150, 156, 162), k - 6)
            return
        if special and s.place == "by the fruit":
            front = y - side * 0.55
            for level in range(3):
                low, high = 0.35 + 0.28 * level, 0.62 + 0.28 * level
                a, b = front + side * 0.2 * level, front + side * 0.2 * (level + 1)
                tone = _FRUIT[int(self.goods[row, bay, level, 0]) % len(_FRUIT)]
                canvas.polygon(
                    [(ends[0], a, low), (ends[1], a, low), (ends[1], b, high), (ends[0], b, high)], tone, k - 2
                )
                canvas.wall((ends[0], a), (ends[1], a), (low - 0.1, low), (150, 110, 70), k)
                for j in range(4):
                    fruit_x = x + 0.15 + 0.3 * j
                    if fruit_x > 0.5:
                        canvas.ball((fruit_x, (a + b) / 2 - side * 0.05, (low + high) / 2 + 0.04), 0.075, tone, k - 2)
            canvas.wall((ends[0], front), (ends[1], front), (0, 0.3), (120, 90, 60), k)
            return
        canvas.wall((ends[0], y), (ends[1], y), (0, 2.2), (150, 150, 150), k)
        for level in range(4):
            z = 0.12 + 0.5 * level
            self._row(canvas, ends, y * 0.99, z, self.goods[row, bay, level], k, 0.38)
            canvas.wall((ends[0], y * 0.985), (ends[1], y * 0.985), (z - 0.06, z), (236, 236, 232), k)

    def _row(
        self, canvas: Canvas, ends: tuple[float, float], y: float, z: float, kinds: object, k: float, tall: float
    ) -> None:
        """Three kinds of goods beside each other on one shelf."""
        names = [int(v) for v in kinds]  # type: ignore[attr-defined]
        step = (ends[1] - ends[0]) / 3
        for j, kind in enumerate(names):
            a = ends[0] + j * step
            height = tall * (0.7 + 0.1 * (kind % 4))
            canvas.wall((a + 0.02, y), (a + step - 0.02, y), (z, z + height), _GOODS[kind], k)
            if a > 4.0:
                continue  # a label there is a pixel high
            canvas.wall((a + 0.05, y * 0.999), (a + step - 0.05, y * 0.999), (z + height * 0.35, z + height * 0.6),
                        _GOODS[(kind + 4) % len(_GOODS)], k)  # fmt: skip

    def _trolley(self, canvas: Canvas) -> None:
        k, wire = self.scene.air_k, (168, 172, 178)
        near, far, low, high, w = 0.55, 1.25, 0.5, 0.92, 0.27
        canvas.slab(low, (near, far), (-w, w), (120, 124, 130), k)
        for x, y, z, kind in self.basket:
            tone = _GOODS[int(kind * len(_GOODS))]
            canvas.box(
                (near + 0.12 + 0.5 * x, (y - 0.5) * 0.4, low + 0.1),
                (0.16, 0.12, 0.16 + 0.12 * z),
                tone,
                k - 6 * float(z > 0.6),
            )
        for i in range(5):
            y = -w + 2 * w * i / 4
            canvas.rod((far, y, low), (far, y, high), 0.008, wire, k)
        for i in range(6):
            x = near + (far - near) * i / 5
            for y in (-w, w):
                canvas.rod((x, y, low), (x, y * 1.05, high), 0.008, wire, k)
        for z in (low, high):
            canvas.rod((far, -w, z), (far, w, z), 0.012, wire, k)
            for y in (-w, w):
                canvas.rod((near, y, z), (far, y, z), 0.012, wire, k)
        canvas.rod((0.47, -w - 0.03, 1.0), (0.47, w + 0.03, 1.0), 0.024, self.scene.colour, k + 1)
        for side in (-1.0, 1.0):
            arm(canvas, (0.1, 0.32 * side, 1.1), (0.46, 0.19 * side, 1.02), self.skin, self.sleeve, fist=True)

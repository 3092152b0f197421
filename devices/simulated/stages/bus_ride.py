"""Riding a bus: seats with passengers ahead, windows with the land passing by, poles and ceiling."""

from __future__ import annotations

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K
from devices.simulated.world import Colour, Scene

__all__ = ["BusRide"]

_HAIR: tuple[Colour, ...] = ((50, 36, 28), (24, 22, 22), (180, 140, 80), (150, 150, 150), (120, 60, 35))
_COATS: tuple[Colour, ...] = ((70, 80, 110), (120, 50, 50), (90, 110, 80), (60, 60, 64), (180, 160, 120))


class BusRide(Stage):
    """Rows of seats to the front; the wearer sits behind them, on one side or by the aisle."""

    gaze = (0.0, -0.06)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("bus")
        aside = {"in the last row": 0.0, "by the aisle": 0.35, "behind other passengers": 0.72}[scene.place]
        self.shift = aside * (1.0 if rng.random() < 0.5 else -1.0)
        self.n_rows = {"in the last row": 7, "by the aisle": 5, "behind other passengers": 4}[scene.place]
        full = 0.85 if scene.place == "behind other passengers" else 0.45
        self.taken = rng.random((8, 4)) < full
        self.hair = rng.integers(len(_HAIR), size=(8, 4))
        self.coat = rng.integers(len(_COATS), size=(8, 4))
        self.outside = rng.uniform(size=(16, 4))
        self.pole: Colour = (225, 190, 40) if rng.random() < 0.6 else (190, 192, 196)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        off, front, floor = -self.shift, 1.1 + 0.8 * self.n_rows * s.distance, 0.0
        top, horizon = s.light.sky
        canvas.sky(top, horizon, k - 8)
        left, right = off + 1.2, off - 1.2
        for y in (left + 5, right - 5):
            canvas.slab(-0.6, (0.3, 80), (min(y, y * 6), max(y, y * 6)), (96, 116, 70), k - 6 + s.light.sun_k)
        self._land(canvas, left, right, age_s)
        canvas.slab(floor, (0.2, front), (right, left), (84, 86, 92), k)
        canvas.slab(2.15, (0.2, front), (right, left), (222, 224, 222), k + 2)
        canvas.wall((front, left), (front, right), (0, 0.9), (70, 74, 80), k + 3)
        canvas.wall((front, left), (front, right), (1.75, 2.15), (60, 62, 68), k + 2)
        canvas.wall(
            (front - 0.01, off - 0.5), (front - 0.01, off + 0.5), (1.85, 2.05), (255, 180, 40), k + 6, emits=True
        )
        for y in (left, right):
            canvas.wall((0.2, y), (front, y), (0, 0.85), (206, 208, 204), k - 1)
            canvas.wall((0.2, y), (front, y), (1.72, 2.15), (210, 212, 208), k + 1)
            post = 0.4
            while post < front:
                canvas.wall((post, y), (post + 0.1, y), (0.85, 1.72), (60, 62, 66), k)
                post += 1.5
        for i in range(3):
            x = 1.0 + i * front / 3
            canvas.slab(2.14, (x, x + 0.5), (off - 0.12, off + 0.12), (255, 255, 250), k + 12, shade=1.3)
        for row in range(self.n_rows - 1, -1, -1):
            x = 0.95 * s.distance + 0.8 * row * s.distance
            if row % 2:
                canvas.rod((x, off + 0.3, 0), (x, off + 0.3, 2.14), 0.02, self.pole, k)
            for seat, y in enumerate((-0.92, -0.5, 0.5, 0.92)):
                self._seat(canvas, x, y + off, row, seat)
        canvas.rod((0.3, left - 0.2, 1.95), (front, left - 0.2, 1.95), 0.018, self.pole, k)

    def _seat(self, canvas: Canvas, x: float, y: float, row: int, seat: int) -> None:
        k, colour = self.scene.air_k, self.scene.colour
        if self.taken[row, seat]:
            coat = _COATS[int(self.coat[row, seat])]
            canvas.rod((x + 0.12, y, 0.75), (x + 0.12, y, 1.02), 0.19, coat, k + 6)
            canvas.ball((x + 0.14, y, 1.27), 0.105, (210, 160, 130), SKIN_K)
            canvas.ball((x + 0.11, y, 1.3), 0.105, _HAIR[int(self.hair[row, seat])], SKIN_K - 4)
        canvas.box((x, y, 0.75), (0.09, 0.38, 0.72), colour, k + (3 if self.taken[row, seat] else 0))
        canvas.rod((x - 0.02, y - 0.15, 1.1), (x - 0.02, y + 0.15, 1.1), 0.018, (50, 50, 54), k)

    def _land(self, canvas: Canvas, left: float, right: float, age_s: float) -> None:
        """Houses and trees beside the road, moving backwards."""
        s, k = self.scene, self.scene.air_k - 7
        span, done = 48.0, s.travel_m(age_s)
        things = sorted(((row[0] * span - done) % span, row) for row in self.outside)
        for x, row in reversed(things):
            side = 1.0 if row[1] < 0.5 else -1.0
            y = (left if side > 0 else right) + side * (2.5 + 5 * row[2])
            if row[3] < 0.5:
                tone = (150 + 90 * row[2], 120 + 60 * row[3], 90 + 60 * row[0])
                canvas.box((x, y + side * 2, 1.8), (5, 4, 5), tone, k + s.light.sun_k / 2)
            else:
                canvas.rod((x, y, -0.6), (x, y, 2.0), 0.16, (84, 62, 44), k)
                canvas.ball((x, y, 2.9), 1.3, (64, 116, 58), k)

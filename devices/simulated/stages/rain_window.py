"""Rain on a window: panes, drops that run down, a grey blurred outside, sill and curtain."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.world import Colour, Scene

__all__ = ["RainWindow"]

_WALLS: dict[str, Colour] = {
    "in a living room": (226, 214, 188),
    "in a bedroom": (196, 208, 222),
    "under a roof window": (236, 232, 226),
}


class RainWindow(Stage):
    """The wearer sits before the window; drops stick, grow and run down it."""

    gaze = (0.0, 0.06)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("rain window")
        self.far = 0.95 * scene.distance
        self.half = float(rng.uniform(0.62, 0.85))
        self.low, self.high = float(rng.uniform(0.75, 0.88)), float(rng.uniform(1.75, 1.95))
        self.n_panes = int(rng.integers(1, 4))
        self.drops = rng.uniform(size=(26, 3))
        self.streaks = rng.uniform(size=(11, 4))
        self.shapes = rng.uniform(size=(9, 3))
        self.plant = bool(rng.random() < 0.6)
        self.plant_y = float(rng.uniform(-0.45, 0.45))
        self.frame: Colour = (244, 244, 240) if rng.random() < 0.6 else (132, 92, 58)
        self.lean = 0.75 if scene.place == "under a roof window" else 0.0

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, half = self.scene, self.scene.air_k, self.half
        low, high = self.low, self.high
        cold = k - 7.0
        wall = _WALLS[s.place]
        if self.lean:
            canvas.polygon([self._at(y, z) for y, z in ((-4, -0.5), (4, -0.5), (4, 4), (-4, 4))], wall, k - 1)
        else:
            canvas.wall((self.far, -4), (self.far, 4), (0, 3), wall, k)
        canvas.polygon(self._pane(-half - 0.06, half + 0.06, low - 0.06, high + 0.06), self.frame, k - 1)
        top, horizon = s.light.sky
        middle = low + 0.45 * (high - low)
        if canvas.kind == "depth":
            # Stereo looks through glass: the pane's outline, as far away as the houses behind it.
            eye = s.eye_m
            behind = [(14 * x, 14 * y, eye + 14 * (z - eye)) for x, y, z in self._pane(-half, half, low, high)]
            canvas.polygon(behind, horizon, cold)
            self._bars(canvas)
            self._room(canvas)
            return
        canvas.polygon(self._pane(-half, half, low, high), horizon, cold, emits=True)
        canvas.polygon(self._pane(-half, half, middle, high), top, cold - 1, emits=True)
        tone = sum(horizon) / 3
        for row in self.shapes:
            y = (row[0] * 2 - 1) * half * 0.85
            w, up = 0.06 + 0.12 * row[1], low + (0.2 + 0.4 * row[2]) * (high - low)
            left, right = max(-half, y - w), min(half, y + w)
            shade = (0.45 + 0.25 * row[1]) * tone
            inks = (shade * 0.85, shade, shade * 0.8) if row[2] < 0.6 else (shade, shade * 0.92, shade * 0.88)
            canvas.polygon(self._pane(left, right, low, up), inks, cold + 1.5, emits=True)
            if row[2] > 0.5 and s.light_name == "in the evening":
                canvas.ring(self._at(y, up - 0.06), 0.025, (255, 205, 120), cold + 2, normal=(1, 0, 0), emits=True)
        bright = (min(255.0, tone * 1.5 + 25),) * 3
        dark = (tone * 0.6,) * 3
        for row in self.drops:
            # A drop grows where it hangs, then lets go.
            age = (age_s * 0.13 * (0.5 + row[2]) + row[2] * 3) % 1.0
            y, z = (row[0] * 2 - 1) * half * 0.97, low + (0.03 + 0.94 * row[1]) * (high - low)
            r = 0.006 + 0.012 * age
            canvas.ring(self._at(y, z), r, dark, cold - 1, normal=(1, 0, 0), squash=1.3, corners=8, emits=True)
            canvas.ring(self._at(y, z + r * 0.4), r * 0.5, bright, cold - 1, normal=(1, 0, 0), corners=6, emits=True)
        for row in self.streaks:
            down = (age_s * (0.12 + 0.3 * row[2]) + row[1]) % 1.0
            y = (row[0] * 2 - 1) * half * 0.95
            z = high - down * (high - low)
            tail = min(high, z + 0.12 + 0.35 * row[3])
            wobble = 0.012 * math.sin(9 * down + 6 * row[3])
            canvas.rod(self._at(y + wobble, z), self._at(y, tail), 0.0055, bright, cold - 1.5, emits=True)
            canvas.ring(
                self._at(y + wobble, z), 0.014, bright, cold - 1.5, normal=(1, 0, 0), squash=1.3, corners=8, emits=True
            )
        self._bars(canvas)
        self._room(canvas)

    def _bars(self, canvas: Canvas) -> None:
        k, half, low, high = self.scene.air_k, self.half, self.low, self.high
        middle = low + 0.45 * (high - low)
        for i in range(1, self.n_panes + 1):
            y = -half + 2 * half * i / (self.n_panes + 1)
            canvas.rod(self._at(y, low), self._at(y, high), 0.02, self.frame, k - 2)
        if self.n_panes > 1:
            canvas.rod(self._at(-half, middle + 0.2), self._at(half, middle + 0.2), 0.016, self.frame, k - 2)

    def _room(self, canvas: Canvas) -> None:
        s, k, half, x = self.scene, self.scene.air_k, self.half, self.far
        canvas.slab(self.low - 0.06, (x - 0.24, x), (-half - 0.15, half + 0.15), self.frame, k - 1)
        canvas.box((x - 0.1, 0, 0.4), (0.1, 2 * half, 0.5), (236, 236, 232), k + 18)
        if self.plant:
            y, z = self.plant_y, self.low - 0.06
            canvas.rod((x - 0.12, y, z + 0.02), (x - 0.12, y, z + 0.12), 0.055, (176, 96, 62), k - 1, radius_b=0.065)
            for i in range(6):
                turn = i * 1.05
                tip = (x - 0.14, y + 0.14 * math.cos(turn), z + 0.22 + 0.1 * math.sin(turn))
                canvas.rod((x - 0.12, y, z + 0.14), tip,
                           0.016, (70, 132, 66), k - 2, radius_b=0.006)  # fmt: skip
        if not self.lean:
            for side in (-1, 1):
                for fold in range(3):
                    a = side * (half + 0.05 + 0.1 * fold)
                    canvas.wall(
                        (x - 0.06, a),
                        (x - 0.06, a + side * 0.09),
                        (0.5, 2.2),
                        s.colour,
                        k,
                        shade=(1.0, 0.8, 0.92)[fold],
                    )
            canvas.rod((x - 0.06, -half - 0.5, 2.2), (x - 0.06, half + 0.5, 2.2), 0.02, (110, 84, 60), k)
        else:
            canvas.rod((x - 0.1, -half, self.low - 0.05), (x - 0.1, half, self.low - 0.05), 0.05, s.colour, k)

    def _at(self, y: float, z: float) -> tuple[float, float, float]:
        """A place on the glass; a roof window leans towards the room."""
        return self.far - self.lean * (z - self.low), y, z

    def _pane(self, left: float, right: float, low: float, high: float) -> list[tuple[float, float, float]]:
        return [self._at(left, low), self._at(right, low), self._at(right, high), self._at(left, high)]

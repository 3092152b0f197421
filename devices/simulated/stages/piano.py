"""Playing the piano: white and black keys in perspective, both hands, the music on its stand."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Piano"]

_WALLS: dict[str, Colour] = {
    "in a living room": (214, 196, 160),
    "on a stage": (42, 30, 36),
    "in a music room": (188, 204, 212),
}
KEY_M = 0.0235
"""Width of a white key."""


class Piano(Stage):
    """The hands come down on the beats and wander along the keys between them."""

    gaze = (0.0, -0.55)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("piano")
        self.near = 0.36 * scene.distance
        self.aside = float(rng.uniform(-0.15, 0.15))
        self.lines = rng.uniform(size=(2, 6, 9))
        self.walk = rng.uniform(-0.12, 0.12, size=(2, 40))
        self.lamp = bool(rng.random() < 0.5)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.open = bool(rng.random() < 0.75)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, colour = self.scene, self.scene.air_k, self.scene.colour
        near, top = self.near, 0.73
        end = near + 0.3
        canvas.wall((end + 0.5, -4), (end + 0.5, 4), (0, 3), _WALLS[s.place], k)
        if s.place == "on a stage":
            for i in range(-7, 8):
                canvas.wall((end + 0.49, 0.28 * i), (end + 0.49, 0.28 * i + 0.13), (0, 3), (110, 24, 30), k)
        elif s.place == "in a music room":
            canvas.wall((end + 0.48, 0.5), (end + 0.48, 1.1), (1.1, 1.6), (70, 50, 36), k)
            canvas.wall((end + 0.47, 0.54), (end + 0.47, 1.06), (1.14, 1.56), (200, 180, 120), k)
        else:
            for i in range(-3, 4):
                canvas.wall((end + 0.49, 0.5 * i), (end + 0.49, 0.5 * i + 0.04), (0, 3), (190, 168, 128), k)
        canvas.wall((end, -0.8), (end, 0.8), (top - 0.03, top + 0.36), colour, k, shade=0.9)
        canvas.slab(top + 0.36, (end, end + 0.3), (-0.8, 0.8), colour, k, shade=1.1)
        canvas.slab(top - 0.02, (near - 0.06, end), (-0.8, 0.8), colour, k)
        self._keys(canvas, near, end, top)
        if self.open:
            self._music(canvas, end, top)
        if self.lamp:
            canvas.rod((end + 0.1, 0.5, top + 0.36), (end + 0.1, 0.5, top + 0.62), 0.012, (180, 150, 70), k)
            canvas.ball((end + 0.08, 0.5, top + 0.65), 0.06, (255, 230, 170), 335.0, emits=True)
            canvas.glow((end, 0.5, top + 0.5), 0.5, (255, 220, 150), 0.4)
        for number, side in enumerate((-1.0, 1.0)):
            beat = s.beat(age_s)
            i = int(beat)
            share = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (beat - i) * 1.6))
            a, b = self.walk[number, i % 40], self.walk[number, (i + 1) % 40]
            y = side * 0.2 + a + (b - a) * share + self.aside
            lift = 0.035 * math.sin(math.pi * ((beat % 1.0) ** 0.6))
            hand = (near + 0.06, y, top + 0.045 + lift)
            arm(canvas, (0.08, 0.28 * side, top + 0.12), hand, self.skin, self.sleeve)

    def _keys(self, canvas: Canvas, near: float, end: float, top: float) -> None:
        k = self.scene.air_k
        z = top + 0.012
        canvas.slab(z, (near, end - 0.14), (-0.62, 0.62), (246, 244, 236), k)
        canvas.wall((near, -0.62), (near, 0.62), (top - 0.01, z), (225, 222, 210), k)
        n = int(0.62 / KEY_M)
        for i in range(-n, n + 1):
            y = i * KEY_M
            canvas.rod((near, y, z + 0.001), (end - 0.14, y, z + 0.001), 0.0012, (110, 108, 104), k)
            # Black keys stand in twos and threes.
            if i % 7 in {0, 1, 3, 4, 5}:
                x = near + 0.055
                canvas.slab(z + 0.012, (x, end - 0.14), (y - 0.0065, y + 0.0065), (24, 23, 25), k, shade=1.2)
                canvas.wall((x, y - 0.0065), (x, y + 0.0065), (z, z + 0.012), (14, 14, 15), k)

    def _music(self, canvas: Canvas, end: float, top: float) -> None:
        k = self.scene.air_k
        x, low, high = end - 0.015, top + 0.06, top + 0.34
        canvas.slab(low - 0.01, (x - 0.06, x), (-0.3, 0.3), self.scene.colour, k, shade=0.8)
        for page, centre in enumerate((-0.115, 0.115)):
            canvas.wall((x, centre - 0.11), (x, centre + 0.11), (low, high), (250, 248, 240), k)
            for row in range(6):
                z = high - 0.035 - row * 0.04
                canvas.rod((x - 0.003, centre - 0.095, z), (x - 0.003, centre + 0.095, z), 0.0018, (60, 60, 60), k)
                for share in self.lines[page, row, :5]:
                    y = centre - 0.09 + 0.18 * float(share)
                    canvas.ring((x - 0.004, y, z + 0.006), 0.006, (30, 30, 30), k, normal=(1, 0, 0), corners=6)

"""At the bathroom mirror with a toothbrush: basin, tap, tiles, and the wearer's own reflection."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["ToothBrushing"]

_TILES: dict[str, tuple[Colour, Colour]] = {
    "in a tiled bathroom": ((160, 205, 215), (215, 235, 238)),
    "in a small bathroom": ((225, 222, 210), (225, 222, 210)),
    "in a hotel bathroom": ((120, 112, 105), (150, 140, 130)),
}
_HAIR: tuple[Colour, ...] = ((60, 42, 30), (25, 22, 22), (170, 130, 70), (120, 60, 35))


class ToothBrushing(Stage):
    """The mirror shows head, shoulders and the arm that brushes; the brush moves with the beat."""

    gaze = (0.0, -0.08)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("bathroom")
        self.far = 0.75 * scene.distance
        self.right = -1.0 if rng.random() < 0.8 else 1.0
        self.hair = _HAIR[int(rng.integers(len(_HAIR)))]
        self.long_hair = bool(rng.random() < 0.5)
        self.half = float(rng.uniform(0.4, 0.6))
        self.round = bool(rng.random() < 0.3)
        self.brush: Colour = [(240, 90, 120), (70, 190, 220), (250, 250, 250), (120, 200, 90)][int(rng.integers(4))]
        self.towel_y = float(rng.uniform(0.75, 0.95)) * (1 if rng.random() < 0.5 else -1)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.water = bool(rng.random() < 0.4)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        x, eye = self.far, self.scene.eye_m
        self._tiles(canvas, x + 0.02)
        low, high = eye - 0.42, eye + 0.42
        silver = (200, 214, 220)
        if self.round:
            canvas.ring((x, 0, eye), 0.52, (150, 120, 80), k, normal=(1, 0, 0), corners=28)
            canvas.ring((x - 0.005, 0, eye), 0.49, silver, k + 1, normal=(1, 0, 0), corners=28)
        else:
            canvas.wall((x, -self.half - 0.04), (x, self.half + 0.04), (low - 0.04, high + 0.04), (120, 124, 128), k)
            canvas.wall((x - 0.005, -self.half), (x - 0.005, self.half), (low, high), silver, k + 1)
        stroke = math.sin(2 * math.pi * s.beat(age_s))
        self._reflection(canvas, stroke)
        canvas.wall(
            (x - 0.02, -0.35), (x - 0.02, 0.35), (high + 0.05, high + 0.13), (255, 250, 235), k + 25, emits=True
        )
        canvas.glow((x - 0.1, 0, high + 0.09), 0.5, (255, 245, 220), 0.35)
        y = self.towel_y
        canvas.rod((x - 0.05, y - 0.2, eye - 0.1), (x - 0.05, y + 0.2, eye - 0.1), 0.012, (180, 182, 186), k)
        canvas.box((x - 0.06, y, eye - 0.42), (0.03, 0.32, 0.62), s.colour, k)
        self._basin(canvas)
        # The wearer's own hand and brush, close below the eyes.
        mouth = (0.13, 0.02 * self.right, eye - 0.17)
        hand = (0.2, (0.15 + 0.02 * stroke) * self.right, eye - 0.2)
        canvas.rod(hand, (mouth[0], mouth[1] + 0.02 * stroke, mouth[2]), 0.007, self.brush, k + 4)
        arm(canvas, (0.3, 0.4 * self.right, eye - 0.55), hand, self.skin, self.sleeve, fist=True)

    def _reflection(self, canvas: Canvas, stroke: float) -> None:
        """Head and shoulders where the mirror shows them; a mirror reflects little warmth."""
        x, eye, k = self.far - 0.01, self.scene.eye_m, self.scene.air_k + 2
        skin, right = self.skin, self.right
        canvas.polygon(
            [(x, -0.27, eye - 0.42), (x, -0.23, eye - 0.24), (x, -0.07, eye - 0.17), (x, 0.07, eye - 0.17),
             (x, 0.23, eye - 0.24), (x, 0.27, eye - 0.42)], self.sleeve, k,
        )  # fmt: skip
        canvas.polygon(
            [(x, -0.05, eye - 0.2), (x, 0.05, eye - 0.2), (x, 0.05, eye - 0.1), (x, -0.05, eye - 0.1)], skin, k
        )
        if self.long_hair:
            canvas.ring((x, 0, eye - 0.05), 0.15, self.hair, k, normal=(1, 0, 0), squash=1.35)
        canvas.ring((x, 0, eye + 0.04), 0.115, self.hair, k, normal=(1, 0, 0), squash=1.1)
        canvas.ring((x - 0.002, 0, eye - 0.03), 0.098, skin, k + 1, normal=(1, 0, 0), squash=1.25)
        for y in (-0.038, 0.038):
            canvas.ring((x - 0.004, y, eye), 0.014, (245, 245, 245), k, normal=(1, 0, 0), squash=0.7, corners=10)
            canvas.ring((x - 0.005, y, eye), 0.007, (40, 40, 50), k, normal=(1, 0, 0), corners=8)
        canvas.ring((x - 0.004, 0, eye - 0.09), 0.03, (250, 250, 250), k, normal=(1, 0, 0), squash=0.5, corners=12)
        at = 0.02 * stroke
        canvas.rod((x - 0.006, at, eye - 0.09), (x - 0.006, (0.14 * right) + at, eye - 0.1), 0.006, self.brush, k)
        canvas.ball((x - 0.006, 0.15 * right + at, eye - 0.11), 0.035, skin, k)
        canvas.rod(
            (x - 0.005, 0.16 * right + at, eye - 0.13), (x - 0.005, 0.3 * right, eye - 0.36), 0.035, self.sleeve, k
        )

    def _basin(self, canvas: Canvas) -> None:
        x, k = self.far, self.scene.air_k
        top = 0.86
        canvas.slab(top, (x - 0.5, x), (-0.75, 0.75), (205, 200, 192), k)
        canvas.ring((x - 0.24, 0, top + 0.005), 0.24, (246, 246, 244), k, squash=0.75)
        canvas.ring((x - 0.23, 0, top + 0.008), 0.19, (215, 218, 220), k - 1, squash=0.72)
        canvas.rod((x - 0.05, 0, top), (x - 0.05, 0, top + 0.16), 0.018, (190, 194, 200), k)
        canvas.rod((x - 0.05, 0, top + 0.16), (x - 0.17, 0, top + 0.13), 0.014, (190, 194, 200), k)
        if self.water:
            canvas.rod((x - 0.17, 0, top + 0.12), (x - 0.19, 0, top + 0.01), 0.007, (220, 236, 245), k - 6)
        canvas.rod((x - 0.1, 0.45, top), (x - 0.1, 0.45, top + 0.11), 0.035, (240, 240, 235), k)

    def _tiles(self, canvas: Canvas, x: float) -> None:
        s, k = self.scene, self.scene.air_k
        one, other = _TILES[s.place]
        canvas.wall((x + 0.01, -3), (x + 0.01, 3), (0, 3), other, k)
        if one == other:
            return
        size = 0.2 if s.place == "in a tiled bathroom" else 0.4
        for row in range(int(2.4 / size)):
            for column in range(int(-1.2 / size), int(1.2 / size)):
                if (row + column) % 2:
                    y, z = column * size, row * size
                    canvas.wall((x, y), (x, y + size), (z, z + size), one, k)

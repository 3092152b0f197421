"""Typing at a desk: screen with lines of text, keyboard, both hands, mug, and what stands around."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K, arm, skin_of, sleeve_of
from devices.simulated.world import Colour, Scene

__all__ = ["Typing"]

_SCREENS: tuple[tuple[Colour, Colour], ...] = (((24, 28, 36), (130, 200, 140)), ((246, 246, 246), (70, 70, 76)))
"""Background and text: an editor at night, or a document."""


class Typing(Stage):
    """A key goes down about every beat; the text on the screen grows."""

    gaze = (0.0, -0.42)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("typing")
        self.far = 0.62 * scene.distance
        self.desk: Colour = [(176, 134, 90), (226, 226, 222), (96, 72, 54), (150, 154, 160)][int(rng.integers(4))]
        self.screen, self.ink = _SCREENS[int(rng.integers(2))]
        self.wide = float(rng.uniform(0.24, 0.34))
        self.keys: Colour = (44, 46, 50) if rng.random() < 0.6 else (232, 232, 230)
        self.words = rng.uniform(size=(12, 5))
        self.mug_side = 1.0 if rng.random() < 0.5 else -1.0
        self.mouse = bool(rng.random() < 0.7)
        self.laptop = bool(rng.random() < 0.3)
        self.books = rng.uniform(size=(7, 2))
        self.walk = rng.uniform(-0.05, 0.05, size=(2, 64))
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, far, top = self.scene, self.scene.air_k, self.far, 0.72
        self._room(canvas, far + 0.55)
        canvas.slab(top, (0.16, far + 0.35), (-1.1, 1.1), self.desk, k)
        if self.books[0, 0] < 0.5:
            for i, row in enumerate(self.books[:4]):
                tone = (90 + 140 * row[0], 60 + 120 * row[1], 80 + 60 * row[0])
                canvas.box((far + 0.1, -0.62 * self.mug_side, top + 0.02 + 0.035 * i), (0.16, 0.24, 0.033), tone, k)
        self._monitor(canvas, age_s, top)
        mug = (far - 0.12, 0.4 * self.mug_side, top)
        canvas.rod((mug[0], mug[1], top + 0.02), (mug[0], mug[1], top + 0.085), 0.04, s.colour, k + 26)
        canvas.ring((mug[0], mug[1], top + 0.105), 0.034, (70, 42, 24), k + 34, corners=12)
        canvas.veil((mug[0], mug[1], top + 0.17), 0.06, (240, 240, 240), 0.25, k + 8)
        self._keyboard(canvas, top)
        if self.mouse:
            canvas.ball((far - 0.28, -0.3 * self.mug_side, top + 0.015), 0.03, self.keys, k + 5)
        beat = s.beat(age_s)
        for number, side in enumerate((-1.0, 1.0)):
            i = int(beat / 2)
            share = beat / 2 - i
            a, b = self.walk[number, i % 64], self.walk[number, (i + 1) % 64]
            tap = 0.012 * abs(math.sin(math.pi * (beat + number * 0.5)))
            hand = (far - 0.29 + 0.01 * math.sin(beat), side * 0.1 + a + (b - a) * share, top + 0.05 + tap)
            arm(canvas, (0.08, 0.27 * side, top + 0.07), hand, self.skin, self.sleeve)

    def _monitor(self, canvas: Canvas, age_s: float, top: float) -> None:
        k, far, wide = self.scene.air_k, self.far, self.wide
        low = top + (0.03 if self.laptop else 0.11)
        high = low + wide * 1.15
        if not self.laptop:
            canvas.rod((far + 0.08, 0, top), (far + 0.08, 0, low + 0.1), 0.025, (60, 62, 66), k + 2)
            canvas.ring((far + 0.06, 0, top + 0.004), 0.12, (60, 62, 66), k + 1)
        canvas.box((far + 0.03, 0, (low + high) / 2), (0.03, 2 * wide + 0.03, high - low + 0.03), (30, 30, 33), k + 9)
        x = far + 0.012
        canvas.wall((x, -wide), (x, wide), (low, high), self.screen, k + 9, emits=True)
        canvas.wall((x - 0.001, -wide), (x - 0.001, wide), (high - 0.02, high), (70, 110, 180), k + 9, emits=True)
        step = (high - low - 0.05) / 12
        for row in range(12):
            z = high - 0.04 - step * row
            # The last line is being written.
            if row > 4 + age_s * 0.7:
                break
            y = wide - 0.02 - 0.03 * (int(self.words[row, 4] * 3))
            for word in self.words[row, :4]:
                length = 0.03 + 0.09 * wide / 0.3 * float(word)
                if y - length < -wide + 0.02:
                    break
                canvas.wall((x - 0.002, y), (x - 0.002, y - length), (z - step * 0.4, z), self.ink, k + 9, emits=True)
                y -= length + 0.015
        canvas.glow((far - 0.02, 0, (low + high) / 2), 0.5, (self.screen[0], self.screen[1], 255), 0.1)

    def _keyboard(self, canvas: Canvas, top: float) -> None:
        k, near = self.scene.air_k, self.far - 0.34
        canvas.box((near + 0.075, 0, top + 0.01), (0.16, 0.46, 0.02), tuple_of(self.keys), k + 2)
        light = sum(self.keys) / 3 > 128
        cap: Colour = (250, 250, 250) if light else (70, 72, 78)
        for row in range(4):
            x = near + 0.012 + 0.034 * row
            if row == 0:
                canvas.slab(top + 0.024, (x, x + 0.026), (-0.09, 0.09), cap, k + 3)
                continue
            for i in range(12):
                y = -0.2 + 0.0335 * i + 0.008 * row
                canvas.slab(top + 0.024, (x, x + 0.026), (y, y + 0.026), cap, k + (SKIN_K - k) * 0.2)

    def _room(self, canvas: Canvas, back: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.slab(0.0, (0.1, back + 2), (-4, 4), (120, 116, 110), k)
        if s.place == "in an office":
            canvas.wall((back + 2, -5), (back + 2, 5), (0, 3), (206, 212, 216), k)
            canvas.wall((back, -1.6), (back, 1.6), (0, 1.25), (110, 126, 150), k)
            canvas.wall((back - 0.01, 0.3), (back - 0.01, 0.45), (1.0, 1.15), (250, 230, 120), k)
            canvas.wall((back - 0.01, -0.5), (back - 0.01, -0.36), (0.95, 1.1), (250, 170, 150), k)
            return
        if s.place == "in a study":
            canvas.wall((back, -3), (back, 3), (0, 3), (112, 82, 58), k)
            for shelf in range(3):
                z = 0.95 + 0.36 * shelf
                canvas.wall((back - 0.02, -1.4), (back - 0.02, 1.4), (z - 0.03, z), (80, 56, 38), k)
                for i in range(18):
                    row = self.books[(i + 3 * shelf) % 7]
                    y = -1.3 + 0.145 * i
                    tone = (60 + 160 * row[0], 50 + 120 * row[1], 60 + 100 * (1 - row[0]))
                    canvas.wall((back - 0.03, y), (back - 0.03, y + 0.12), (z, z + 0.2 + 0.1 * row[1]), tone, k)
            return
        top, horizon = s.light.sky
        canvas.wall((back, -3), (back, 3), (0, 3), (230, 224, 210), k)
        canvas.wall((back - 0.01, -0.9), (back - 0.01, 0.9), (0.92, 2.2), (244, 244, 240), k)
        for a, b in ((-0.85, -0.03), (0.03, 0.85)):
            canvas.wall((back - 0.02, a), (back - 0.02, b), (0.97, 1.5), horizon, k - 5, emits=True)
            canvas.wall((back - 0.02, a), (back - 0.02, b), (1.5, 2.15), top, k - 6, emits=True)


def tuple_of(colour: Colour) -> Colour:
    """The frame of a keyboard with keys of this colour."""
    return colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8

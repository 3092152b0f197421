"""A camp fire at dusk or at night: logs, flames, sparks and smoke, and what their light reaches."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import SKIN_K, arm, skin_of, sleeve_of
from devices.simulated.stages.nature import pine
from devices.simulated.world import Colour, Scene

__all__ = ["CampFire"]

_FLAMES: tuple[tuple[Colour, float, float], ...] = (
    ((255, 96, 20), 1.0, 800.0), ((255, 160, 40), 0.72, 900.0), ((255, 232, 140), 0.42, 1000.0),
)  # fmt: skip
_TENTS: tuple[Colour, ...] = ((200, 126, 52), (70, 120, 90), (70, 100, 160))
_EMBER_K = 880.0


class CampFire(Stage):
    """The wearer sits a stride from the fire, a blanket over the knees, hands to the warmth or a stick in one."""

    gaze = (0.0, -0.22)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("camp fire")
        self.far = 1.9 * scene.distance
        self.side = float(rng.uniform(-0.2, 0.2))
        self.size = float(rng.uniform(0.8, 1.25))
        self.stones = rng.uniform(size=(int(rng.integers(9, 14)), 2))
        self.tepee = bool(rng.random() < 0.5)
        self.flames = rng.uniform(size=(7, 4))
        self.embers = rng.uniform(size=(10, 3))
        self.sparks = rng.uniform(size=(10, 3))
        n_trees = 12 if scene.place == "in the woods" else 4
        self.trees = sorted(
            (
                (float(rng.uniform(4.5, 11)), float(rng.uniform(-9, 9)), float(rng.uniform(4, 8)))
                for _ in range(n_trees)
            ),
            reverse=True,
        )
        self.stars = rng.uniform(size=(14, 2)) if scene.light_name == "at night" else rng.uniform(size=(0, 2))
        self.hand = 1.0 if rng.random() < 0.5 else -1.0
        self.tent = _TENTS[int(rng.integers(3))]
        self.friends = rng.uniform(size=(int(rng.integers(0, 3)), 3))
        self.stick = bool(rng.random() < 0.5)
        self.checked = bool(rng.random() < 0.6)
        self.skin, self.sleeve = self._lit(skin_of(scene)), self._lit(sleeve_of(scene))

    def _lit(self, colour: Colour) -> Colour:
        """A colour as the fire shows it: the darker the night, the more of its light is the fire's."""
        share = max(1.0, 0.42 / self.scene.light.level)
        return colour[0] * share, colour[1] * (0.35 + 0.65 * share), colour[2] * (0.6 + 0.4 * share)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.sky(*s.light.sky, k)
        for across, up in self.stars.tolist():
            canvas.ball((200, 220 * (across - 0.5), 25 + 90 * up), 0.8, (230, 230, 240), k - 10, emits=True)
        canvas.slab(0.0, (0.2, 40), (-40, 40), (98, 90, 60), k + s.light.sun_k)
        if s.place == "by a lake":
            self._lake(canvas, age_s)
        else:
            canvas.wall((24, -60), (24, 60), (0, 5 if s.place == "in the woods" else 2.5), (34, 46, 34), k)
        for x, y, height in self.trees if s.place != "by a lake" else self.trees[:2]:
            pine(canvas, x, y if abs(y) > 1.2 else y + 3 * self.hand, height, height % 1.0, k)
        if s.place == "in front of a tent":
            self._tent(canvas)
        for i, (across, back, tone) in enumerate(self.friends.tolist()):
            self._friend(canvas, self.far + 0.5 + 0.5 * back, self.side + (1 if i else -1) * (1.0 + 0.3 * across), tone)
        self._fire(canvas, age_s)
        self._lap(canvas, age_s)

    def _lake(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        canvas.slab(0.01, (5.5, 60), (-80, 80), (70, 92, 124), k + 3)
        canvas.polygon(
            [(60, -90, 0), (60, -40, 5), (60, -10, 2.5), (60, 30, 6), (60, 90, 3), (60, 90, 0)], (30, 40, 36), k
        )
        for i, (start, wide, _) in enumerate(self.embers.tolist()):
            x = 6.5 + 26 * start**2
            shift = 0.6 * math.sin(0.9 * age_s + i)
            horizon = s.light.sky[1]
            canvas.slab(0.02, (x, x + 0.03 * x), (self.side + shift - 0.3 - wide, self.side + shift + 0.3 + wide),
                        (0.6 * horizon[0] + 90, 0.6 * horizon[1] + 50, 0.6 * horizon[2] + 20), k + 3)  # fmt: skip

    def _tent(self, canvas: Canvas) -> None:
        k, tone = self.scene.air_k, self._lit(self.tent)
        x, y, half, high = self.far + 1.5, self.side + 1.25 * self.hand, 1.05, 1.4
        back = x + 2.0
        canvas.polygon([(x, y, high), (back, y, high), (back, y + half, 0), (x, y + half, 0)], tone, k + 1, shade=0.75)
        canvas.polygon([(x, y, high), (back, y, high), (back, y - half, 0), (x, y - half, 0)], tone, k + 1, shade=0.85)
        canvas.polygon([(x, y, high), (x, y + half, 0), (x, y - half, 0)], tone, k + 3)
        canvas.polygon([(x - 0.01, y, 1.05), (x - 0.01, y + 0.4, 0), (x - 0.01, y - 0.4, 0)], (36, 28, 26), k + 2)
        canvas.polygon(
            [(x - 0.02, y, 1.05), (x - 0.02, y + 0.4, 0), (x - 0.02, y + 0.55, 0.02)], tone, k + 2, shade=1.2
        )
        for side in (-1, 1):
            canvas.rod((x, y, high), (x - 0.5, y + side * 0.9, 0), 0.008, (200, 200, 190), k)

    def _friend(self, canvas: Canvas, x: float, y: float, tone: float) -> None:
        """Somebody who sits on a log across the fire."""
        k = self.scene.air_k
        coat = self._lit((70 + 110 * tone, 70 + 30 * tone, 130 - 70 * tone))
        skin = self._lit((214 - 80 * tone, 160 - 70 * tone, 126 - 66 * tone))
        jeans, log = self._lit((50, 54, 74)), self._lit((90, 66, 46))
        canvas.rod((x + 0.1, y - 0.5, 0.18), (x + 0.1, y + 0.5, 0.18), 0.17, log, k + 6)
        canvas.rod((x + 0.1, y, 0.45), (x + 0.05, y, 0.82), 0.19, coat, k + 12)
        for side in (-0.13, 0.13):
            canvas.rod((x + 0.05, y + side, 0.42), (x - 0.3, y + side, 0.45), 0.09, jeans, k + 16)
            canvas.rod((x - 0.3, y + side, 0.45), (x - 0.3, y + side, 0.04), 0.07, jeans, k + 18)
            canvas.rod((x, y + 1.5 * side, 0.8), (x - 0.32, y + side, 0.58), 0.06, coat, k + 14)
            canvas.ball((x - 0.35, y + side, 0.58), 0.05, skin, SKIN_K + 2)
        canvas.ball((x, y, 1.1), 0.12, skin, SKIN_K + 1)
        canvas.ball((x + 0.02, y, 1.16), 0.115, (60, 42, 30), k + 14)

    def _fire(self, canvas: Canvas, age_s: float) -> None:
        x, y, k, size = self.far, self.side, self.scene.air_k, self.size
        flicker = 1.0 + 0.12 * math.sin(age_s * 17.0 + self.flames[0, 0] * 6) + 0.08 * math.sin(age_s * 29.0)
        for radius, light in ((2.0, 0.1), (1.6, 0.16), (1.2, 0.23), (0.8, 0.31)):
            canvas.ring((x, y, 0.012), radius * size, (230, 120, 50), k + 12 * light, emits=True, shade=light * flicker)
        n = len(self.stones)
        ring = [(2 * math.pi * (i + 0.4 * shift) / n, big) for i, (shift, big) in enumerate(self.stones.tolist())]
        self._stones(canvas, [stone for stone in ring if math.cos(stone[0]) > 0])
        canvas.ring((x, y, 0.02), 0.36 * size, (60, 40, 34), 420.0)
        for i in range(5):
            turn = math.pi * i / 5 + float(self.flames[0, 1])
            dx, dy = 0.36 * size * math.cos(turn), 0.36 * size * math.sin(turn)
            if self.tepee:
                dx, dy = (dx, dy) if i % 2 else (-dx, -dy)
                canvas.rod((x + dx, y + dy, 0.03), (x, y, 0.42 * size), 0.045, self._lit((100, 62, 40)), 480.0)
            else:
                canvas.rod((x - dx, y - dy, 0.05), (x + dx, y + dy, 0.13), 0.055, self._lit((104, 66, 42)), 480.0)
        for a, b, heat in self.embers.tolist():
            pulse = 0.8 + 0.2 * math.sin(3 * age_s + 9 * heat)
            place = (x + (a - 0.5) * 0.4 * size, y + (b - 0.5) * 0.5 * size, 0.05)
            canvas.ball(place, 0.05, (255 * pulse, (70 + 60 * heat) * pulse, 20), _EMBER_K - 120 * heat, emits=True)
        for colour, share, temperature_k in _FLAMES:
            for row in self.flames.tolist():
                self._flame(canvas, row, colour, share, temperature_k, flicker, age_s)
        self._stones(canvas, [stone for stone in ring if math.cos(stone[0]) <= 0])
        for pace, start, across in self.sparks.tolist():
            up = (age_s * (0.4 + 0.4 * pace) + start) % 1.0
            drift = (across - 0.5) * 0.8 * up + 0.06 * math.sin(7 * up + 9 * start)
            if pace < 0.4:
                canvas.veil((x, y + 0.2 * up, 0.9 + 1.2 * up), 0.2 + 0.4 * up, (120, 116, 118), 0.3 * (1 - up), k + 12)
            canvas.ball((x, y + drift, 0.5 + 1.3 * up), 0.011, (255, 200 - 90 * up, 90), 750.0 - 150 * up, emits=True)
        canvas.glow((x, y, 0.45), 1.9 * size * flicker, (255, 130, 50), 0.55)

    def _flame(self, canvas: Canvas, row: list[float], colour: Colour, share: float, temperature_k: float,
               flicker: float, age_s: float) -> None:  # fmt: skip
        """A tongue: wide below, bent by its own sway, pointed on top."""
        tall, across, pace, start = row
        size = self.size
        wave = math.sin(age_s * (5 + 5 * pace) + 6.3 * start)
        height = size * (0.35 + 0.5 * tall) * (1.0 - 1.1 * abs(across - 0.5)) * share * flicker * (1 + 0.2 * wave)
        x, y = self.far - 0.1 * share, self.side + (across - 0.5) * 0.46 * size
        half = 0.12 * size * share
        outline = [(0.0, 0.7), (0.22, 1.0), (0.5, 0.72), (0.78, 0.3)]
        left = [(x, y + half * wide + 0.07 * wave * up * up, 0.06 + height * up) for up, wide in outline]
        right = [(x, y - half * wide + 0.07 * wave * up * up, 0.06 + height * up) for up, wide in outline]
        tip = (x, y + 0.1 * wave, 0.06 + height)
        canvas.polygon([*left, tip, *right[::-1]], colour, temperature_k, emits=True)

    def _stones(self, canvas: Canvas, stones: list[tuple[float, float]]) -> None:
        for turn, big in sorted(stones, key=lambda stone: -math.cos(stone[0])):
            place = (self.far + 0.46 * self.size * math.cos(turn), self.side + 0.46 * self.size * math.sin(turn), 0.05)
            canvas.ball(place, 0.07 + 0.03 * big, self._lit((150, 132, 120)), self.scene.air_k + 45)

    def _lap(self, canvas: Canvas, age_s: float) -> None:
        """Knees under the blanket, and the hands."""
        s, k = self.scene, self.scene.air_k
        low, blanket = s.eye_m - 0.5, self._lit(s.colour)
        for y in (-0.15, 0.15):
            canvas.rod((0.25, 1.1 * y, low), (0.66, 1.25 * y, low - 0.03), 0.11, blanket, k + 9, radius_b=0.1)
            canvas.rod((0.68, 1.25 * y, low - 0.04), (0.72, 1.2 * y, low - 0.4), 0.1, blanket, k + 8, shade=0.8)
        cloth = [(0.2, 0.18, low + 0.06), (0.66, 0.18, low + 0.05), (0.66, -0.18, low + 0.05), (0.2, -0.18, low + 0.06)]
        canvas.polygon(cloth, blanket, k + 9, shade=0.72)
        if self.checked:
            for i in range(3):
                x = 0.42 + 0.11 * i
                canvas.rod((x, 0.26, low + 0.08), (x, -0.26, low + 0.08), 0.012, self._lit((230, 220, 200)), k + 9)
        if self.stick:
            y = 0.22 * self.hand
            sway = 0.02 * math.sin(1.7 * age_s)
            hand = (0.62, y, low + 0.2)
            tip = (self.far - 0.32 * self.size, self.side + 0.25 * y + sway, 0.52 + sway)
            canvas.rod(hand, tip, 0.009, self._lit((140, 104, 70)), k + 5)
            canvas.rod(
                (tip[0] - 0.03, tip[1], tip[2]),
                (tip[0] + 0.02, tip[1], tip[2] - 0.01),
                0.035,
                self._lit((246, 236, 220)),
                330.0,
            )
            arm(canvas, (0.25, 1.5 * y, low + 0.05), hand, self.skin, self.sleeve, fist=True)
        else:
            for side in (-1.0, 1.0):
                rub = 0.03 * math.sin(2.3 * age_s + side)
                hand = (0.72, side * (0.13 + rub), low + 0.17 + 0.5 * rub)
                arm(canvas, (0.28, side * 0.3, low + 0.05), hand, self.skin, self.sleeve)

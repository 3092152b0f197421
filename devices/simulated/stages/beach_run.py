"""Running on a beach: sand, surf on one side, parasols, dunes or a pier, the arms that swing with the steps."""

from __future__ import annotations

import math

from devices.simulated.canvas import Canvas, Point
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.stages.nature import Clouds, ahead, birds, stroller
from devices.simulated.world import Colour, Scene

__all__ = ["BeachRun"]

_SANDS: tuple[Colour, ...] = ((216, 192, 144), (202, 178, 130), (222, 206, 172))
_WATERS: tuple[Colour, ...] = ((40, 120, 160), (60, 140, 150), (70, 110, 140))
_PARASOLS: tuple[Colour, ...] = ((220, 60, 50), (50, 110, 190), (245, 200, 60), (70, 160, 120))
_FOAM: Colour = (244, 248, 250)
_KNOTS_M = (0.3, 1.5, 3.0, 5.0, 8.0, 13.0, 22.0, 40.0, 90.0)
"""Where the edge of the water bends, ahead."""


class BeachRun(Stage):
    """The sea lies on one side, its waves run up the sand and back."""

    gaze = (0.0, -0.2)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("beach")
        self.sea = 1.0 if rng.random() < 0.5 else -1.0
        self.edge = float(rng.uniform(0.9, 2.0))
        self.sand = _SANDS[int(rng.integers(len(_SANDS)))]
        self.water = _WATERS[int(rng.integers(len(_WATERS)))]
        self.shells = rng.uniform(size=(12, 4))
        self.dunes = rng.uniform(size=(6, 4))
        self.gulls = rng.uniform(size=(int(rng.integers(1, 5)), 4))
        self.guests = rng.uniform(size=(int(rng.integers(2, 5)), 5))
        self.swell_s, self.swell = float(rng.uniform(5, 9)), float(rng.uniform())
        self.height = float(rng.uniform(0.3, 0.7))
        self.runner = float(rng.uniform(0.1, 0.9)) if rng.random() < 0.5 else 0.0
        self.boat = rng.uniform(size=3)
        self.clouds = Clouds(scene)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)
        self.bare = bool(rng.random() < 0.6)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k, done = self.scene, self.scene.air_k, self.scene.travel_m(age_s)
        canvas.sky(*s.light.sky, k)
        if s.light_name != "at noon":
            low = 18 if s.light_name == "at dusk" else 55
            sun = (300.0, self.sea * (40 + 60 * float(self.boat[2])), low)
            canvas.ring(sun, 11, (255, 238, 190), k + 60, normal=(1, 0, 0), emits=True)
            canvas.glow(sun, 80, (255, 200, 120), 0.5)
        self.clouds.draw(canvas)
        hot = k + 1.6 * s.light.sun_k
        canvas.slab(0.0, (0.2, 200), (-200, 200), self.sand, hot)
        self._sea(canvas, age_s)
        self._land(canvas, done, hot)
        self._strand(canvas, age_s, done, hot)
        if self.runner:
            x = 4.5 * s.distance + 0.5 * math.sin(0.7 * age_s)
            stroller(canvas, x, -self.sea * 0.5, self.runner, 0.5 * s.beat(age_s) + 0.3, k + 4)
        birds(canvas, self.gulls, age_s)
        self._arms(canvas, age_s)

    def _sea(self, canvas: Canvas, age_s: float) -> None:
        sea, cool = self.sea, self.scene.air_k - 5
        beat = age_s / self.swell_s + self.swell
        reach = self.edge - 0.45 * math.sin(2 * math.pi * beat)

        def line(off: float, wave: float, z: float) -> list[Point]:
            return [(x, sea * (off + 0.16 * math.sin(0.8 * x + wave) + 0.1 * math.sin(0.27 * x + 2 * wave)), z)
                    for x in _KNOTS_M]  # fmt: skip

        far = [(90.0, sea * 300, 0.004), (0.3, sea * 300, 0.004)]
        wet: Colour = (self.sand[0] * 0.72, self.sand[1] * 0.72, self.sand[2] * 0.74)
        canvas.polygon(line(self.edge - 0.75, 1.0, 0.002) + far, wet, cool + 3)
        canvas.slab(
            0.003, (90, 400), (min(sea * self.edge, sea * 600), max(sea * self.edge, sea * 600)), self.water, cool
        )
        canvas.polygon(line(reach, 1.0, 0.004) + far, self.water, cool)
        canvas.polygon(line(reach, 1.0, 0.006) + line(reach + 0.4, 1.6, 0.006)[::-1], _FOAM, cool + 0.5)
        x, tone = 150.0, (246, 246, 244)
        y = sea * (30 + 90 * float(self.boat[0]))
        canvas.polygon([(x, y - 4, 1.2), (x, y + 4, 1.2), (x, y + 3, 0), (x, y - 3, 0)], (150, 60, 50), cool + 6)
        canvas.polygon([(x, y - 0.4, 1.6), (x, y - 0.4, 13), (x, y + 4, 1.8)], tone, cool + 5)
        # Breakers come in from afar and rise; the swell lifts them by its own beat.
        for i in range(5, -1, -1):
            share = (i + 1 - beat % 1.0) / 6
            off = self.edge + 0.7 + 16 * share**1.6
            tall = self.height * (1.0 - 0.75 * share)
            front, crest = line(off, 1.7 * i, 0.01), line(off + 0.5 + share, 1.7 * i + 0.3, tall)
            back = line(off + 2.2 + 2 * share, 1.7 * i + 0.3, 0.01)
            dark: Colour = (self.water[0] * 0.8, self.water[1] * 0.86, self.water[2] * 0.9)
            canvas.polygon(crest + back[::-1], dark, cool)
            canvas.polygon(front + crest[::-1], self.water, cool, shade=1.2)
            mid = line(off + 0.38 + 0.75 * share, 1.7 * i + 0.25, 0.76 * tall)
            canvas.polygon(mid + crest[::-1], _FOAM, cool + 0.5)
            if share < 0.5:
                canvas.polygon(front + line(off + 0.18, 1.7 * i + 0.5, 0.02)[::-1], _FOAM, cool + 0.5)

    def _land(self, canvas: Canvas, done: float, hot: float) -> None:
        s, sea, k = self.scene, self.sea, self.scene.air_k
        if s.place == "below the dunes":
            for start, tall, wide, tuft in sorted(self.dunes.tolist(), key=lambda d: -ahead(48 * d[0], done, -4, 48)):
                x = ahead(48 * start, done, -4.0, 48.0)
                y, height, half = -sea * (3.2 + 1.5 * wide), 2.2 + 2.6 * tall, 4.0 + 3 * wide
                top = [(x - 0.3 * half, y - sea * 2.5, height), (x + 0.4 * half, y - sea * 2.5, height * 0.9)]
                canvas.polygon([(x - half, y, 0), *top, (x + half, y, 0)], self.sand, hot + 2, shade=0.9)
                canvas.polygon([(x - half, y, 0), top[0], (x - half, y - sea * 3, 0)], self.sand, hot, shade=0.72)
                for j in range(4):
                    at = x + half * (0.22 * j - 0.3)
                    tip = (at + 0.25 * (tuft - 0.5), y - sea * 2.3, height + 0.5)
                    canvas.rod((at, y - sea * 2.4, height * 0.9), tip, 0.1, (116, 134, 66), k, radius_b=0.02)
            return
        canvas.wall((140, -sea * 6), (140, -sea * 250), (0, 9), (104, 128, 92), k)
        if s.place != "beside the pier":
            return
        x, wood = 38.0 - 0.8 * done, (112, 90, 70)
        if x < 3:
            x += 60
        for i in range(9, -1, -1):
            y = sea * (2.6 * i - 2.0)
            for post in (x + 2.4, x):
                canvas.rod((post, y, 0), (post, y, 2.9), 0.17, wood, k + 1)
            canvas.rod((x, y, 0.3), (x, y + sea * 2.4, 2.6), 0.06, wood, k + 1)
        a, b = sorted((-sea * 3.5, sea * 40))
        canvas.slab(2.9, (x - 0.3, x + 2.7), (a, b), (96, 78, 62), k + 2)
        canvas.wall((x - 0.3, a), (x - 0.3, b), (2.8, 3.15), (150, 122, 94), k + 3)
        canvas.wall((x - 0.25, a), (x - 0.25, b), (3.85, 3.95), (150, 122, 94), k + 3)
        canvas.box((x + 1.2, sea * 14, 4.4), (2.2, 4.0, 2.4), (196, 86, 66), k + 3)
        canvas.polygon([(x - 0.1, sea * 11.5, 5.6), (x - 0.1, sea * 16.5, 5.6), (x - 0.1, sea * 14, 7.2)],
                       (110, 60, 54), k + 3)  # fmt: skip

    def _strand(self, canvas: Canvas, age_s: float, done: float, hot: float) -> None:
        s, sea = self.scene, self.sea
        for x_share, across, size, tone in self.shells:
            x, y = ahead(14 * x_share, done, 0.5, 14.0), -sea * (across * 5.0 - 0.8)
            canvas.ring((x, y, 0.01), 0.03 + 0.06 * size, (150 + 60 * tone, 140, 120), hot, squash=0.7, corners=7)
        dent: Colour = (self.sand[0] * 0.8, self.sand[1] * 0.79, self.sand[2] * 0.77)
        for i in range(8):
            # The tracks of somebody who ran here before.
            x = ahead(0.95 * i, done, 0.6, 7.6)
            canvas.ring(
                (x, -sea * 0.3 + (0.13 if i % 2 else -0.13), 0.004), 0.14, dent, hot - 1, squash=0.45, corners=9
            )
        things = [(ahead(34 * (i + g[0]) / len(self.guests), done, 1.0, 34.0), i) for i, g in enumerate(self.guests)]
        for x, i in sorted(things, reverse=True):
            _, across, tone, size, look = self.guests[i].tolist()
            y = -sea * (1.5 + 1.6 * across)
            if canvas.sees((x + 1, y, 0.8), 2.2):
                self._towel(canvas, x, y, s.colour if i == 0 else _PARASOLS[int(tone * 4)], look, hot)
                if i % 2 or i == 0:
                    shade = _PARASOLS[(int(tone * 4) + 1) % 4]
                    self._parasol(canvas, (x + 1.2, y - sea * 1.6, 1.9 + 0.4 * size), shade, hot)

    def _towel(self, canvas: Canvas, x: float, y: float, tone: Colour, look: float, hot: float) -> None:
        canvas.slab(0.02, (x, x + 1.8), (y - 0.45, y + 0.45), tone, hot + 2)
        for stripe in (0.25, 1.4):
            canvas.slab(0.024, (x + stripe, x + stripe + 0.14), (y - 0.45, y + 0.45), (244, 244, 240), hot + 2)
        if look > 0.45:
            skin = (214, 160, 124) if look < 0.75 else (130, 88, 62)
            for side in (-0.1, 0.1):
                canvas.rod((x + 0.15, y + side, 0.1), (x + 0.85, y + side, 0.13), 0.07, skin, 307.0)
            canvas.rod((x + 0.85, y, 0.14), (x + 1.3, y, 0.14), 0.16, (60, 80, 140), 304.0)
            canvas.ball((x + 1.58, y, 0.14), 0.11, (70, 48, 34), 305.0)

    def _parasol(self, canvas: Canvas, top: Point, tone: Colour, hot: float) -> None:
        x, y, z = top
        canvas.ring((x, y, 0.005), 1.0, self.sand, hot - 6, shade=0.7, corners=12)
        canvas.rod((x, y, 0), top, 0.03, (236, 236, 230), hot - 3)
        for i in range(6):
            a, b = 2 * math.pi * (i + 0.5) / 6, 2 * math.pi * (i + 1.5) / 6
            rim = [(x + 1.1 * math.cos(t), y + 1.1 * math.sin(t), z - 0.45) for t in (a, b)]
            canvas.polygon([top, *rim], tone if i % 2 else (246, 246, 242), hot + 3, shade=0.92)

    def _arms(self, canvas: Canvas, age_s: float) -> None:
        s = self.scene
        sleeve = self.skin if self.bare else self.sleeve
        for side in (-1.0, 1.0):
            # Each arm swings once in two steps, against the other.
            swing = math.sin(math.pi * s.beat(age_s)) * side * min(s.vigour, 1.1)
            hand = (0.46 + 0.12 * swing, side * (0.2 - 0.07 * swing), s.eye_m - 0.42 + 0.14 * swing)
            elbow = (0.2 + 0.1 * swing, side * 0.32, s.eye_m - 0.56 + 0.02 * swing)
            arm(canvas, elbow, hand, self.skin, sleeve, fist=True)

"""Climbing stairs: steps that come down towards the wearer, a hand on the banister, the landing above."""

from __future__ import annotations

import math

import numpy as np

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.texture import Texture
from devices.simulated.world import Colour, Scene

__all__ = ["Stairs"]

RISE_M, TREAD_M = 0.17, 0.28
_LOOKS: dict[str, tuple[Colour, Colour, Colour]] = {
    "in a stone stairwell": ((172, 168, 160), (118, 115, 110), (196, 186, 164)),
    "in a wooden house": ((184, 130, 78), (128, 84, 46), (226, 214, 190)),
    "in an office building": ((128, 136, 146), (78, 84, 94), (230, 234, 236)),
}
"""Tread, riser, wall."""
_CARPETS: tuple[Colour, ...] = ((150, 38, 42), (50, 80, 60), (60, 60, 110))


class Stairs(Stage):
    """One step comes down by a rise and nearer by a tread at every beat; the landing is reached after the scene."""

    gaze = (0.0, 0.04)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("stairs")
        self.half = float(rng.uniform(0.55, 0.95))
        self.rail = 1.0 if rng.random() < 0.5 else -1.0
        self.middle = self.rail * (0.42 - self.half)
        """The wearer keeps near the banister."""
        self.n_steps = int(10 * scene.tempo_hz) + int(rng.integers(3, 8))
        self.window = bool(rng.random() < 0.5)
        self.carpet = _CARPETS[int(rng.integers(3))] if rng.random() < 0.35 else None
        self.panelled = bool(rng.random() < 0.5)
        self.pictures = rng.uniform(size=(5, 3))
        self.lamp_at = float(rng.uniform(0.5, 3.0))
        self.wall = _wall(scene.place, rng)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        tread, riser, _ = _LOOKS[s.place]
        # The head's own bob, the pose, comes on top of an even climb.
        climbed = s.beat(age_s)
        left, right = self.middle + self.half, self.middle - self.half
        end_x, end_z = (self.n_steps - climbed) * TREAD_M + 0.25, (self.n_steps - climbed) * RISE_M
        self._walls(canvas, climbed, end_x, end_z)
        canvas.slab(end_z, (end_x, end_x + 1.7), (right, left), tread, k)
        first, last = math.floor(climbed) - 1, min(self.n_steps, math.floor(climbed) + 19)
        rail_y = self.middle + self.rail * (self.half - 0.04)
        for i in range(last, first, -1):
            x, z = (i - climbed) * TREAD_M + 0.25, (i - climbed) * RISE_M
            canvas.wall((x, right), (x, left), (z - RISE_M, z), riser, k - 0.7)
            canvas.slab(z, (x - 0.02, x + TREAD_M), (right, left), tread, k)
            canvas.wall((x - 0.021, right), (x - 0.021, left), (z - 0.03, z), tread, k, shade=0.8)
            if self.carpet:
                a, b = self.middle - 0.55 * self.half, self.middle + 0.55 * self.half
                canvas.slab(z + 0.004, (x - 0.02, x + TREAD_M), (a, b), self.carpet, k)
                canvas.wall((x - 0.022, a), (x - 0.022, b), (z - RISE_M, z), self.carpet, k, shade=0.78)
            elif s.place == "in an office building":
                canvas.slab(z + 0.004, (x - 0.01, x + 0.04), (right, left), (240, 210, 70), k)
            canvas.rod((x + 0.1, rail_y, z), (x + 0.1, rail_y, z + 0.95), 0.014, (70, 66, 64), k)
        slope = RISE_M / TREAD_M
        top = min(end_x, 5.6)
        canvas.rod((0.1, rail_y, 0.9), (top, rail_y, 0.9 + (top - 0.1) * slope), 0.036, s.colour, k)
        if end_x < 5.6:
            canvas.rod((end_x, rail_y, end_z), (end_x, rail_y, end_z + 1.1), 0.05, s.colour, k)
            canvas.ball((end_x, rail_y, end_z + 1.15), 0.07, s.colour, k)
        # The hand lets go and reaches further once in two steps.
        reach = 0.84 + 0.12 * math.sin(math.pi * climbed)
        lift = 0.05 * max(0.0, math.cos(math.pi * climbed))
        hand = (reach, rail_y, 0.95 + (reach - 0.1) * slope + lift)
        arm(canvas, (0.4, rail_y + 0.08 * self.rail, 1.02), hand, self.skin, self.sleeve, fist=True)

    def _walls(self, canvas: Canvas, climbed: float, end_x: float, end_z: float) -> None:
        s, k, wall = self.scene, self.scene.air_k, _LOOKS[self.scene.place][2]
        back, mid = end_x + 1.6, self.middle
        canvas.wall((back, -5), (back, 5), (end_z - 3, end_z + 4), wall, k + 0.8)
        self._landing(canvas, back, end_z)
        for side in (-1.0, 1.0):
            y = mid + side * (self.half + (0.4 if side == self.rail else 0.0))
            shade = 0.82 if side > 0 else 0.92
            # Tiles of the wall's picture stay where they are while the wearer climbs past them.
            tile = 2.4
            shift = (climbed * TREAD_M) % tile
            x = -shift
            while x < back:
                z = (x + climbed * TREAD_M) * RISE_M / TREAD_M - climbed * RISE_M - 0.5
                far = min(x + tile, back)
                if far > 0.1:
                    canvas.wall((x, y), (far, y), (z - 3, z + 7), wall, k + 0.8, shade=shade)
                    along = tile if side > 0 else -tile
                    if far == x + tile:
                        canvas.panel((x if side > 0 else far, y * 0.999, z), (along, 0, 0), (0, 0, 4.2), self.wall,
                                     k + 0.8, shade=shade)  # fmt: skip
                x += tile
            if self.panelled:
                # A strip that follows the stairs.
                low = 0.1 - 0.3
                rise = (back - 0.1) * RISE_M / TREAD_M
                strip = [(0.1, y * 0.998, low), (back, y * 0.998, low + rise), (back, y * 0.998, low + rise + 0.35),
                         (0.1, y * 0.998, low + 0.35)]  # fmt: skip
                canvas.polygon(strip, _LOOKS[s.place][1], k + 0.4, shade=shade)
        y = mid - self.rail * self.half * 0.995
        for i, (tall, tone, share) in enumerate(self.pictures.tolist()):
            step = 3.5 + 6.5 * i + share - climbed
            x, z = step * TREAD_M, step * RISE_M + 1.35
            if not 0.3 < x < back - 0.5:
                continue
            if s.place == "in a wooden house":
                wide, high = 0.3 + 0.3 * share, 0.3 + 0.25 * tall
                canvas.wall((x, y), (x + wide, y), (z, z + high), (90, 64, 40), k)
                inner = (90 + 90 * tone, 150 - 40 * tone, 170 - 80 * tone)
                canvas.wall((x + 0.05, y * 0.998), (x + wide - 0.05, y * 0.998), (z + 0.05, z + high - 0.05), inner, k)
            elif i % 2:
                self._sconce(canvas, x, y, z + 0.5)

    def _sconce(self, canvas: Canvas, x: float, y: float, z: float) -> None:
        lit = self.scene.light_name != "in daylight"
        tone: Colour = (255, 236, 190) if lit else (230, 228, 220)
        canvas.rod(
            (x, y, z), (x, y + 0.05 * self.rail, z), 0.11, tone, self.scene.air_k + (24 if lit else 0), emits=lit
        )
        if lit:
            canvas.glow((x, y, z), 0.6, (255, 220, 160), 0.5)

    def _landing(self, canvas: Canvas, back: float, end_z: float) -> None:
        """What the wearer climbs up to: a window with a radiator below it, or a door."""
        s, k, mid = self.scene, self.scene.air_k, self.middle
        at = back - 0.01
        if self.window:
            top, horizon = s.light.sky
            a, b, low, high = mid - 0.5, mid + 0.5, end_z + 0.95, end_z + 2.2
            canvas.wall((at, a - 0.06), (at, b + 0.06), (low - 0.06, high + 0.06), (240, 240, 235), k)
            canvas.wall((at - 0.01, a), (at - 0.01, b), (low, low + 0.6), horizon, k - 5, emits=True)
            canvas.wall((at - 0.01, a), (at - 0.01, b), (low + 0.6, high), top, k - 5, emits=True)
            canvas.rod((at - 0.02, mid, low), (at - 0.02, mid, high), 0.025, (240, 240, 235), k)
            canvas.rod((at - 0.02, a, low + 0.62), (at - 0.02, b, low + 0.62), 0.025, (240, 240, 235), k)
            canvas.box((at - 0.08, mid, end_z + 0.45), (0.1, 0.9, 0.5), (235, 235, 230), k + 22)
        else:
            door: Colour = (120, 78, 48) if s.place != "in an office building" else (70, 100, 130)
            canvas.wall((at, mid - 0.55), (at, mid + 0.55), (end_z, end_z + 2.2), (238, 234, 226), k)
            canvas.wall((at - 0.01, mid - 0.45), (at - 0.01, mid + 0.45), (end_z, end_z + 2.1), door, k)
            canvas.ball((at - 0.05, mid + 0.36, end_z + 1.0), 0.04, (210, 200, 150), k)
            canvas.rod((at - 0.05, mid - 0.1, end_z + 2.5), (at - 0.05, mid + 0.1, end_z + 2.5), 0.1, (255, 244, 210),
                       k + 18, emits=True)  # fmt: skip
        if s.place == "in an office building":
            sign = (end_z + 2.2, end_z + 2.45)
            canvas.wall((at - 0.02, mid + 0.6), (at - 0.02, mid + 1.0), sign, (30, 170, 90), k + 6, emits=True)


def _wall(place: str, rng: np.random.Generator) -> Texture:
    """Bricks, planks or wallpaper, or plain concrete: 2.4 m wide, 4.2 m high."""
    colours = np.empty((112, 64, 3), np.uint8)
    wall = np.array(_LOOKS[place][2])
    colours[...] = wall
    if place == "in a stone stairwell":
        for row in range(14):
            for column in range(-1, 5):
                start = column * 16 + 8 * (row % 2)
                colours[8 * row : 8 * row + 8, max(start, 0) : start + 16] = wall * rng.uniform(0.84, 1.04)
                colours[8 * row : 8 * row + 8, max(start, 0) : max(start, 0) + 1] = wall * 0.7
            colours[8 * row] = wall * 0.7
    elif place == "in a wooden house":
        if rng.random() < 0.5:
            for column in range(0, 64, 8):
                colours[:, column : column + 8] = np.array((196, 150, 98)) * rng.uniform(0.86, 1.05)
                colours[:, column] = (120, 84, 50)
        else:
            colours[:, ::8] = wall * 0.88
            colours[4::16, 4::16] = (170, 90, 80)
            colours[5::16, 4::16] = (96, 130, 80)
    else:
        colours[:, 0] = wall * 0.86
        colours[::37] = wall * 0.88
    return Texture(colours)

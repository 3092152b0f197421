"""Walking a dog: it trots ahead on its leash along a path, a pavement or through the woods."""

from __future__ import annotations

import math
from collections.abc import Callable

from devices.simulated.canvas import Canvas, Point
from devices.simulated.stages.base import Stage
from devices.simulated.stages.hands import arm, skin_of, sleeve_of
from devices.simulated.stages.nature import Clouds, ahead, bush, pine, stroller, tree
from devices.simulated.stages.street import car, facade, lamp_post
from devices.simulated.world import Colour, Scene

__all__ = ["DogWalk"]

_Place = Callable[[float, float, float], Point]
"""A place on the dog: metres ahead of its middle, to its left, above the ground."""
_GROUNDS: dict[str, tuple[Colour, Colour]] = {
    "in a park": ((104, 150, 66), (198, 178, 142)),
    "along a street": ((120, 120, 122), (184, 180, 172)),
    "on a forest path": ((78, 92, 46), (138, 108, 76)),
}
"""What lies beside the path, and the path."""


class DogWalk(Stage):
    """The dog keeps two metres ahead; its legs run in time with the wearer's steps."""

    gaze = (0.0, -0.4)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("dog walk")
        self.far = 2.1 * scene.distance
        self.side = float(rng.uniform(-0.3, 0.3))
        self.yaw = float(rng.uniform(-0.75, 0.75))
        self.size = float(rng.uniform(0.9, 1.3))
        self.slim = float(rng.uniform(0.8, 1.15))
        self.floppy = bool(rng.random() < 0.5)
        self.white = bool(rng.random() < 0.5)
        self.collar: Colour = ((200, 40, 50), (40, 70, 190), (240, 200, 60))[int(rng.integers(3))]
        self.hand = 1.0 if rng.random() < 0.5 else -1.0
        self.half = float(rng.uniform(0.8, 1.5))
        self.bend = float(rng.uniform(-0.04, 0.04))
        self.plants = rng.uniform(size=(16, 4))
        self.people = rng.uniform(size=(2, 4))
        self.houses = rng.uniform(size=(6, 4))
        self.cars = rng.uniform(size=(4, 3))
        self.street = 1.0 if rng.random() < 0.5 else -1.0
        self.clouds = Clouds(scene)
        self.skin, self.sleeve = skin_of(scene), sleeve_of(scene)

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        gone = s.travel_m(age_s)
        canvas.sky(*s.light.sky, k)
        self.clouds.draw(canvas)
        around, path = _GROUNDS[s.place]
        canvas.slab(0.0, (0.1, 120), (-120, 120), around, k + 0.5 * s.light.sun_k)
        if s.place == "along a street":
            self._street(canvas, gone)
        else:
            self._green(canvas, gone, path, age_s)
        self._dog(canvas, age_s)

    def _green(self, canvas: Canvas, gone: float, path: Colour, age_s: float) -> None:
        s, k, half = self.scene, self.scene.air_k, self.half
        woods = s.place == "on a forest path"
        if woods:
            canvas.wall((45, -90), (45, 90), (0, 15), (44, 66, 38), k)
        else:
            canvas.wall((80, -160), (80, 160), (0, 6), (72, 108, 58), k)
        points = [(0.1, -half, 0.004)] + [(x, -half + self.bend * x * x / 4, 0.004) for x in (5, 10, 20, 40)]
        points += [(x, half + self.bend * x * x / 4, 0.004) for x in (40, 20, 10, 5)] + [(0.1, half, 0.004)]
        canvas.polygon(points, path, k + s.light.sun_k)
        things = sorted(((ahead(45 * p[0], gone, 1.5, 45.0), i) for i, p in enumerate(self.plants)), reverse=True)
        for x, i in things:
            _, across, look, size = self.plants[i]
            side = 1 if i % 2 else -1
            bend = self.bend * x * x / 4
            y = side * (half + 0.7 + (6 if woods else 11) * across) + bend
            if i % 5 == 4:
                canvas.slab(0.006, (x, x + 0.5 + size), (y - 0.6, y + 0.6), (124, 150, 74), k + 0.5 * s.light.sun_k)
                bush(canvas, x, y, 0.5 + 0.6 * size, look, k)
            elif woods and look < 0.5:
                canvas.rod((x, y, 0), (x, y, 9), 0.14 + 0.14 * size, (92, 70, 52), k, radius_b=0.1)
                pine(canvas, x + 0.3, y, 9 + 4 * size, look, k)
            elif woods:
                canvas.rod((x, y, 0), (x, y, 9), 0.13 + 0.1 * size, (126, 112, 96), k, radius_b=0.1)
            else:
                tree(canvas, x, y, 4.5 + 3.5 * size, look, k)
        for i in range(5):
            x = ahead(i * 2.3, gone, 0.6, 11.5)
            y = (self.plants[i, 1] - 0.5) * 1.6 * half + self.bend * x * x / 4
            canvas.ring((x, y, 0.008), 0.06 + 0.1 * self.plants[i, 2], path, k + s.light.sun_k, shade=0.82, corners=8)
        if not woods:
            for start, across, look, _ in self.people:
                x = ahead(40 * start, gone * 1.9, 4.0, 40.0)
                y = (0.55 + 0.3 * across) * half * self.street + self.bend * x * x / 4
                stroller(canvas, x, y, look, s.beat(age_s) / 2 + across, k)

    def _street(self, canvas: Canvas, gone: float) -> None:
        s, k, side = self.scene, self.scene.air_k, self.street
        sunny = k + s.light.sun_k
        inner, kerb = side * (self.half + 0.5), -side * (self.half + 0.2)
        canvas.slab(0.002, (0.1, 90), (min(inner, kerb), max(inner, kerb)), (176, 172, 166), sunny)
        for i in range(14):
            x = ahead(i * 1.0, gone, 0.5, 14.0)
            canvas.slab(0.004, (x, x + 0.03), (min(inner, kerb), max(inner, kerb)), (130, 127, 122), sunny)
        canvas.slab(0.004, (0.1, 90), (kerb - 0.08, kerb + 0.08), (212, 208, 200), sunny)
        canvas.wall((90, -40), (90, 40), (0, 7), (120, 124, 116), k)
        for other in (True, False):
            y = -side * (self.half + 10.5) if other else inner
            places = sorted(((ahead(8.0 * i, gone, -6.0, 48.0), i) for i in range(6)), reverse=True)
            for x, i in places:
                facade(canvas, x, x + 7.9, y, self.houses[i] if other else self.houses[5 - i], sunny, s)
        things = [(ahead(11 * c[0] + 12 * i, gone, -3.0, 48.0), i) for i, c in enumerate(self.cars)]
        for x, i in sorted(things, reverse=True):
            tone: Colour = ((190, 50, 45), (60, 80, 130), (225, 225, 228), (70, 74, 80))[i]
            car(canvas, x, kerb - side * (1.3 + 0.3 * self.cars[i, 1]), tone, k, warm=self.cars[i, 2] * 12)
        for i in range(2):
            lamp_post(canvas, ahead(15.0 * i + 9, gone, 1.0, 30.0), kerb + 0.3 * side, -side, s)

    def _dog(self, canvas: Canvas, age_s: float) -> None:
        s, size = self.scene, self.size
        coat = s.colour
        fur = s.air_k + 0.55 * (308.0 - s.air_k)
        dark: Colour = (coat[0] * 0.7, coat[1] * 0.7, coat[2] * 0.7)
        beats = s.beat(age_s)
        yaw = self.yaw + 0.16 * math.sin(age_s * 0.9 + 5 * self.side)
        cos, sin = math.cos(yaw), math.sin(yaw)
        bob = 0.012 * math.sin(4 * math.pi * beats)

        def at(along: float, left: float, up: float) -> Point:
            """A place on the dog: metres ahead of its middle, to its left, above the ground."""
            a, b = along * size, left * size
            return (self.far + cos * a - sin * b, self.side + sin * a + cos * b, up * size + (bob if up > 0.2 else 0.0))

        girth = 0.115 * self.slim * size
        ground = (176, 172, 166) if s.place == "along a street" else _GROUNDS[s.place][1]
        ground_k = s.air_k + s.light.sun_k
        canvas.ring((self.far, self.side, 0.01), 0.4 * size, ground, ground_k, squash=0.55, shade=0.7)
        nod = 0.02 * math.sin(2 * math.pi * beats + 1)
        near_left = 1.0 if sin * self.far > 0 else -1.0
        legs = [(0.26, -near_left), (0.26, near_left), (-0.28, -near_left), (-0.28, near_left)]
        for i in (0, 1):
            self._leg(canvas, at, legs[i], beats, coat, fur)
        canvas.rod(at(0.22, 0, 0.5), at(0.42, 0, 0.68 + nod), girth * 0.72, coat, fur, radius_b=girth * 0.6)
        head = at(0.48, 0, 0.74 + nod)
        canvas.rod(at(0.5, 0, 0.72 + nod), at(0.68, 0, 0.68 + nod), 0.06 * size, coat, fur + 2, radius_b=0.04 * size)
        canvas.ball(at(0.69, 0, 0.69 + nod), 0.03 * size, (25, 22, 22), fur + 3)
        canvas.ball(head, 0.105 * size, coat, fur + 2)
        for side in (-1.0, 1.0):
            if self.floppy:
                canvas.rod(
                    at(0.45, 0.08 * side, 0.8 + nod), at(0.47, 0.12 * side, 0.66 + nod), 0.035 * size, dark, fur + 1
                )
            else:
                canvas.polygon([at(0.45, 0.03 * side, 0.8 + nod), at(0.45, 0.1 * side, 0.78 + nod),
                                at(0.44, 0.085 * side, 0.93 + nod)], dark, fur + 2)  # fmt: skip
        canvas.rod(at(0.33, 0.07, 0.58), at(0.33, -0.07, 0.58), 0.05 * size, self.collar, fur - 2)
        canvas.rod(at(0.24, 0, 0.46), at(-0.26, 0, 0.47), girth * 1.12, coat, fur, radius_b=girth * 0.9)
        for i in (2, 3):
            self._leg(canvas, at, legs[i], beats, coat, fur)
        canvas.ball(at(-0.27, 0, 0.46), girth * 1.02, coat, fur)
        wag = 0.12 * math.sin(age_s * 15)
        canvas.rod(at(-0.32, 0, 0.53), at(-0.44, wag * 0.6, 0.68), 0.032 * size, coat, fur - 3)
        canvas.rod(
            at(-0.44, wag * 0.6, 0.68), at(-0.46, wag, 0.84), 0.03 * size, self._tip(coat), fur - 4, radius_b=0.015
        )
        self._leash(canvas, at(0.3, 0, 0.62), age_s)

    def _tip(self, coat: Colour) -> Colour:
        """Colour of tail tip and paws."""
        return (230, 225, 215) if self.white else (coat[0] * 0.7, coat[1] * 0.7, coat[2] * 0.7)

    def _leg(
        self, canvas: Canvas, at: _Place, leg: tuple[float, float], beats: float, coat: Colour, fur: float
    ) -> None:
        along, side = leg
        # A trot: legs that are across from each other move together, two beats of the wearer a stride.
        swing = 0.15 * math.sin(2 * math.pi * beats + (math.pi if (along > 0) == (side > 0) else 0.0))
        knee = at(along + 0.4 * swing, 0.085 * side, 0.24)
        paw = at(along + swing, 0.085 * side, 0.035 + max(0.0, 0.3 * swing))
        size = self.size
        canvas.rod(at(along, 0.08 * side, 0.44), knee, 0.058 * size, coat, fur, radius_b=0.036 * size)
        canvas.rod(knee, paw, 0.036 * size, coat, fur - 3, radius_b=0.028 * size)
        canvas.ball(paw, 0.042 * size, self._tip(coat), fur - 4)

    def _leash(self, canvas: Canvas, collar: Point, age_s: float) -> None:
        y = 0.3 * self.hand
        hand = (0.62, y * 0.75 + 0.02 * math.sin(age_s * 2), 1.12 + 0.015 * math.sin(age_s * 3.1))
        points = []
        for i in range(7):
            t = i / 6
            sag = 0.22 * 4 * t * (1 - t) * (0.6 + 0.4 * math.sin(age_s * 1.3))
            a, b = hand, collar
            points.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2]) - sag))
        for p, q in zip(points[::-1], points[-2::-1], strict=False):
            canvas.rod(p, q, 0.009, self.collar, self.scene.air_k)
        arm(canvas, (0.2, y * 1.2, 1.0), hand, self.skin, self.sleeve, fist=True)

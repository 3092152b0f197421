"""A kettle on the boil: worktop, cooker, steam, tiles behind."""

from __future__ import annotations

from devices.simulated.canvas import Canvas
from devices.simulated.stages.base import Stage
from devices.simulated.world import Scene

__all__ = ["Kettle"]


class Kettle(Stage):
    """The kettle stands on a cooker in front of a tiled wall and gets hot."""

    gaze = (0.0, -0.35)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        rng = scene.rng("kettle")
        self.side = float(rng.uniform(-0.15, 0.15))

    def draw(self, canvas: Canvas, age_s: float) -> None:
        s, k = self.scene, self.scene.air_k
        d = 0.75 * s.distance
        canvas.wall((d + 0.5, -3), (d + 0.5, 3), (0, 3), (215, 220, 215), k)
        canvas.slab(0.92, (0.2, d + 0.5), (-2, 2), (150, 120, 90), k)
        canvas.box((d, self.side, 0.94), (0.5, 0.5, 0.03), (40, 40, 45), k + 30)
        hot = 320 + 5 * age_s
        canvas.rod((d, self.side, 0.98), (d, self.side, 1.12), 0.11, s.colour, hot, radius_b=0.08)
        for i in range(4):
            up = (age_s * 0.5 + i * 0.25) % 1.0
            canvas.veil((d, self.side - 0.12, 1.15 + 0.4 * up), 0.05 + 0.12 * up, (240, 240, 240), 0.6 * (1 - up), k + 20)

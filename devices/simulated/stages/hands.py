"""The wearer's own hands and arms, as a headset sees them."""

from __future__ import annotations

import numpy as np

from devices.simulated.canvas import Canvas, Point
from devices.simulated.world import Colour, Scene

__all__ = ["SKIN_K", "arm", "skin_of", "sleeve_of"]

SKIN_K = 306.0
"""Skin of the hand at rest, about 33 degrees Celsius."""
_SKINS: tuple[Colour, ...] = ((232, 190, 160), (214, 165, 130), (172, 120, 85), (120, 80, 55))
_SLEEVES: tuple[Colour, ...] = ((60, 70, 100), (150, 60, 60), (80, 110, 80), (190, 185, 175), (50, 50, 55))


def skin_of(scene: Scene) -> Colour:
    """The wearer's skin."""
    return _SKINS[int(scene.rng("skin").integers(len(_SKINS)))]


def sleeve_of(scene: Scene) -> Colour:
    """The wearer's sleeve."""
    return _SLEEVES[int(scene.rng("sleeve").integers(len(_SLEEVES)))]


def arm(canvas: Canvas, elbow: Point, hand: Point, skin: Colour, sleeve: Colour, *, fist: bool = False) -> None:
    """A forearm in its sleeve from `elbow` to the wrist, and a hand at `hand`: a fist, or with fingers ahead."""
    a, b = np.asarray(elbow, float), np.asarray(hand, float)
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-6)
    wrist = b - along * 0.09
    cuff = a + (wrist - a) * 0.75
    canvas.rod(_point(a), _point(cuff), 0.05, sleeve, SKIN_K - 6, radius_b=0.042)
    canvas.rod(_point(cuff), _point(wrist), 0.034, skin, SKIN_K, radius_b=0.03)
    canvas.ball(_point(b - along * 0.04), 0.045, skin, SKIN_K)
    if fist:
        canvas.ball(hand, 0.045, skin, SKIN_K)
        return
    side = np.cross(along, (0.0, 0.0, 1.0))
    side /= max(float(np.linalg.norm(side)), 1e-6)
    for i in range(4):
        root = b + side * (0.03 - 0.02 * i)
        canvas.rod(
            _point(root - along * 0.02), _point(root + along * (0.055 - 0.008 * abs(i - 1.5))), 0.0095, skin, SKIN_K
        )


def _point(values: np.ndarray) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z

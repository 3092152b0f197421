"""Houses, cars, lamps: what stands along a road."""

from __future__ import annotations

import numpy as np

from devices.simulated.canvas import Canvas, Texture
from devices.simulated.world import Colour, Scene

__all__ = ["car", "facade", "facade_texture", "lamp_post"]

_WALLS: tuple[Colour, ...] = (
    (196, 120, 92),
    (222, 206, 172),
    (176, 180, 184),
    (206, 160, 110),
    (150, 84, 70),
    (232, 228, 220),
)
_SHOPS: tuple[Colour, ...] = ((170, 40, 50), (40, 90, 150), (40, 120, 80), (220, 150, 40))
_FRONTS: dict[tuple[int, bool, bool], Texture] = {}


def facade_texture(kind: int, shop: bool, lit: bool) -> Texture:
    """Front of a house of two storeys, 4 windows wide; temperatures are kelvin above the wall's."""
    key = (kind % 12, shop, lit)
    if key not in _FRONTS:
        _FRONTS[key] = _front(*key)
    return _FRONTS[key]


def _front(kind: int, shop: bool, lit: bool) -> Texture:
    rng = np.random.default_rng([kind, shop, lit])
    colours = np.empty((96, 128, 3), np.uint8)
    warmth = np.zeros((96, 128), np.float32)
    wall = np.array(_WALLS[kind % len(_WALLS)])
    colours[...] = wall
    if kind % 3 == 0:
        colours[::4] = (wall * 0.88).astype(np.uint8)
    frame = (240, 238, 230) if kind % 2 else (86, 64, 48)
    for row in (8, 54):
        for column in (8, 40, 72, 104):
            if row == 54 and shop:
                continue
            door = row == 54 and column == (40 if kind % 2 else 72)
            bottom = 95 if door else row + 26
            colours[row - 2 : bottom + 2, column - 2 : column + 18] = frame
            glass = (255, 214, 140) if lit and rng.random() < 0.6 else (70, 90, 112)
            colours[row:bottom, column : column + 16] = _SHOPS[kind % 4] if door else glass
            if not door:
                colours[row:bottom, column + 7 : column + 9] = frame
            warmth[row:bottom, column : column + 16] = 1.0 if door else 2.5
    if shop:
        sign = _SHOPS[kind % 4]
        colours[46:56, 2:126] = sign
        colours[49:53, 20:108:6] = (245, 240, 230)
        colours[58:92, 6:122] = (255, 236, 190) if lit else (150, 170, 180)
        warmth[58:92, 6:122] = 4.0
        for column in range(10, 118, 9):
            colours[74 - int(rng.integers(12)) : 92, column : column + 6] = rng.integers(60, 230, 3)
        colours[56:95, 58:68] = (60, 50, 44)
        colours[56:62, 2:126] = np.where((np.arange(124) // 8 % 2 == 0)[None, :, None], sign, (240, 236, 226))
    colours[94:] = (wall * 0.6).astype(np.uint8)
    return Texture(colours, warmth)


def facade(canvas: Canvas, x0: float, x1: float, y: float, look: np.ndarray, k: float, scene: Scene,
           *, shop: bool = False) -> None:  # fmt: skip
    """A house along the road at `y`, from x0 to x1, its front towards y = 0; `look` is four numbers in 0 to 1."""
    height = 5.2 + 2.6 * float(look[0])
    if not canvas.sees(((x0 + x1) / 2, y, height / 2), 0.6 * (x1 - x0) + 2):
        return
    lit = scene.light.level < 0.7
    texture = facade_texture(int(look[1] * 12), shop, lit)
    side = 1.0 if y > 0 else -1.0
    wall = _WALLS[int(look[1] * 12) % len(_WALLS)]
    canvas.wall((x0, y), (x0, y + side * 6), (0, height), wall, k, shade=0.7)
    roof: Colour = ((150, 70, 54), (92, 92, 100), (120, 84, 60))[int(look[2] * 3)]
    canvas.polygon([(x0 - 0.2, y - 0.2 * side, height), (x1 + 0.2, y - 0.2 * side, height),
                    (x1 + 0.2, y + 3 * side, height + 2.2), (x0 - 0.2, y + 3 * side, height + 2.2)],
                   roof, k + 2)  # fmt: skip
    if side > 0:
        canvas.panel((x0, y, 0), (x1 - x0, 0, 0), (0, 0, height), texture, k, shade=0.9)
    else:
        canvas.panel((x1, y, 0), (x0 - x1, 0, 0), (0, 0, height), texture, k, shade=0.9)


def car(canvas: Canvas, x: float, y: float, tone: Colour, k: float, *, warm: float = 15.0, towards: bool = False,
        lamps: bool = False) -> None:  # fmt: skip
    """A car whose nearer end is at x, driving ahead or `towards` the wearer; `warm`: kelvin of bonnet and exhaust."""
    if not canvas.sees((x + 2.1, y, 0.7), 2.6):
        return
    low, high, half = 0.28, 0.82, 0.86
    dark: Colour = (26, 28, 32)
    glass: Colour = (70, 88, 104)
    inner = -1.0 if y > 0 else 1.0
    canvas.slab(0.012, (x - 0.1, x + 4.3), (y - half, y + half), (40, 40, 42), k + 0.3 * warm)
    near = x < 16
    canvas.box((x + 2.1, y, (low + high) / 2), (4.2, 2 * half, high - low), tone, k + (0.5 * warm if towards else 2))
    for wx in (x + 3.3, x + 0.85):
        canvas.ring((wx, y + inner * half * 1.01, 0.33), 0.32, dark, k + 0.7 * warm, normal=(0, 1, 0),
                    corners=14 if near else 7)  # fmt: skip
        if near:
            canvas.ring((wx, y + inner * half * 1.02, 0.33), 0.17, (170, 172, 176), k + 0.5 * warm, normal=(0, 1, 0),
                        corners=10)  # fmt: skip
    a, b = (x + 1.0, x + 3.6) if towards else (x + 0.5, x + 2.9)
    top, slim = 1.42, half * 0.78
    ya, yt = y + inner * half * 0.97, y + inner * slim
    canvas.polygon([(a, ya, high), (b, ya, high), (b - 0.45, yt, top), (a + 0.45, yt, top)], glass, k + 1, shade=0.8)
    if near:
        canvas.rod(((a + b) / 2, ya, high), ((a + b) / 2, yt, top), 0.05, tone, k + 2)
    canvas.polygon([(a + 0.45, y - slim, top), (b - 0.45, y - slim, top), (b - 0.45, y + slim, top),
                    (a + 0.45, y + slim, top)], tone, k + 1)  # fmt: skip
    canvas.polygon([(a, y - half * 0.97, high), (a, y + half * 0.97, high), (a + 0.45, y + slim, top + 0.02),
                    (a + 0.45, y - slim, top + 0.02)], tone, k + 1, shade=0.8)  # fmt: skip
    pane = [(a, y - half * 0.85, high + 0.02), (a, y + half * 0.85, high + 0.02),
            (a + 0.41, y + slim * 0.88, top - 0.05), (a + 0.41, y - slim * 0.88, top - 0.05)]  # fmt: skip
    canvas.polygon(pane, glass, k + 1)
    if towards:
        bonnet = [(x, y - half, high), (x, y + half, high), (a, y + half, high + 0.08), (a, y - half, high + 0.08)]
        canvas.polygon(bonnet, tone, k + warm, shade=1.1)
    for side in (-1.0, 1.0):
        if near:
            a, b = y + side * half * 0.45, y + side * half * 0.98
            canvas.wall((x - 0.01, a), (x - 0.01, b), (0.02, 0.3), dark, k + 0.6 * warm)
        lamp: Colour = (255, 250, 220) if towards else ((255, 40, 30) if lamps else (150, 20, 20))
        place = (x - 0.01, y + side * half * 0.78, 0.66)
        canvas.ring(place, 0.13, lamp, k + (12 if towards else 3), normal=(1, 0, 0), squash=0.7,
                    corners=10 if near else 5, emits=towards or lamps)  # fmt: skip
        if (lamps or towards) and x < 40:
            canvas.glow(place, 0.4, lamp, 0.45)
    canvas.wall((x - 0.011, y - half), (x - 0.011, y + half), (low, 0.4), dark, k + 0.3 * warm)
    canvas.wall((x - 0.012, y - 0.26), (x - 0.012, y + 0.26), (0.42, 0.54), (240, 240, 235), k + 2)
    if near and not towards and warm > 8:
        canvas.ball((x - 0.02, y + 0.5, 0.26), 0.05, (60, 56, 54), k + 3 * warm)


def lamp_post(canvas: Canvas, x: float, y: float, side: float, scene: Scene) -> None:
    """A street lamp that leans over to `side`, alight when it is dim."""
    if canvas.sees((x, y, 2.5), 3.0):
        k = scene.air_k
        canvas.rod((x, y, 0), (x, y, 4.8), 0.06, (84, 92, 96), k, radius_b=0.04)
        canvas.rod((x, y, 4.8), (x, y + side * 0.9, 5.0), 0.04, (84, 92, 96), k)
        lit = scene.light.level < 0.7
        tone: Colour = (255, 226, 160) if lit else (220, 224, 224)
        canvas.rod((x, y + side * 0.7, 4.95), (x, y + side * 1.1, 5.0), 0.08, tone, k + (20 if lit else 0), emits=lit)
        if lit:
            canvas.glow((x, y + side * 0.9, 4.95), 0.8, tone, 0.6)

"""What shops put out, as textures for bays 1.2 m wide: shelves, cooled shelves and crates of fruit."""

from __future__ import annotations

import cv2
import numpy as np

from devices.simulated.texture import Texture
from devices.simulated.world import Colour

__all__ = ["GOODS", "crates", "shelves"]

GOODS: tuple[Colour, ...] = (
    (210, 50, 45), (240, 190, 50), (60, 120, 190), (70, 150, 80), (235, 235, 230), (150, 70, 140), (230, 120, 50),
    (120, 80, 60), (40, 60, 110), (245, 150, 170),
)  # fmt: skip
"""Colours of packets."""
_FRUIT: tuple[Colour, ...] = (
    (214, 50, 44), (248, 148, 36), (244, 218, 74), (124, 178, 60), (104, 46, 110), (196, 70, 60), (88, 140, 62),
)  # fmt: skip
_COLUMNS, _ROWS = 72, 120


def shelves(rng: np.random.Generator, *, cooled: bool = False) -> Texture:
    """A bay of four or five shelves full of packets, bottles and tins; the lamps under the boards are a bit warm."""
    colours = np.empty((_ROWS, _COLUMNS, 3), np.uint8)
    colours[...] = (222, 232, 238) if cooled else (96, 94, 92)
    warmth = np.zeros((_ROWS, _COLUMNS), np.float32)
    n_boards = int(rng.integers(4, 6))
    pitch = (_ROWS - 6) / n_boards
    for level in range(n_boards):
        board = round(6 + pitch * (level + 1)) - 4
        room = pitch - 7
        x = 1
        while x < _COLUMNS - 4:
            tone, label = (GOODS[int(i)] for i in rng.integers(len(GOODS), size=2))
            width, height = int(rng.integers(4, 11)), round(room * rng.uniform(0.55, 1.0))
            bottle = rng.random() < 0.3
            for _ in range(int(rng.integers(1, 5))):
                end = min(x + width, _COLUMNS - 1)
                colours[board - height : board, x:end] = tone
                if bottle:
                    neck = (end - x) // 3
                    colours[board - height : board - height + height // 3, x : x + neck] = colours[0, 0]
                    colours[board - height : board - height + height // 3, end - neck : end] = colours[0, 0]
                middle = board - height // 2
                colours[middle - height // 6 : middle + height // 6, x:end] = label
                colours[board - height : board, end - 1 : end] = np.array(tone) * 0.6
                x += width
                if x >= _COLUMNS - 4:
                    break
            x += int(rng.integers(0, 3))
        colours[board : board + 3] = (244, 244, 240)
        for tag in range(3, _COLUMNS - 6, int(rng.integers(10, 16))):
            colours[board : board + 3, tag : tag + 5] = (250, 226, 80) if level % 2 else (250, 250, 250)
        colours[board + 3 : board + 5] = (60, 58, 58) if not cooled else (180, 196, 206)
        warmth[board : board + 3] = 1.8
    colours[:6] = (250, 252, 255) if cooled else (170, 60, 56)
    warmth[:6] = 3.0
    return Texture(colours, warmth)


def crates(rng: np.random.Generator) -> Texture:
    """A slanted stand with three rows of crates, each full of one fruit."""
    colours = np.empty((96, 96, 3), np.uint8)
    colours[...] = (124, 90, 58)
    warmth = np.zeros((96, 96), np.float32)
    for row in range(3):
        for column in range(2):
            tone = np.array(_FRUIT[int(rng.integers(len(_FRUIT)))])
            top, left = 32 * row + 3, 48 * column + 3
            colours[top : top + 27, left : left + 43] = tone * 0.55
            r = int(rng.integers(4, 7))
            for v in range(top + r - 1, top + 27, r + 3):
                for u in range(left + r - 2 + (r if (v - top) // (r + 3) % 2 else 0), left + 42, 2 * r):
                    shade = rng.uniform(0.85, 1.1)
                    cv2.circle(colours, (u, v), r, np.minimum(tone * shade, 255).tolist(), -1, cv2.LINE_AA)
                    cv2.circle(colours, (u - 1, v - 2), max(r // 3, 1), np.minimum(tone * 1.1 + 40, 255).tolist(), -1)
            warmth[top : top + 27, left : left + 43] = -0.6
    return Texture(colours, warmth)

"""Pictures to put on flat bodies: goods on a shelf, the front of a house, planks."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Texture"]


class Texture:
    """A picture to put on a panel, row 0 on top: colours (h, w, 3) uint8 and (h, w) kelvin above the panel's own."""

    def __init__(self, colours: NDArray[np.uint8], warmth_k: NDArray[np.float32] | None = None) -> None:
        if warmth_k is None:
            warmth_k = np.zeros(colours.shape[:2], np.float32)
        self._levels: dict[str, list[NDArray[Any]]] = {"colour": [colours], "thermal": [warmth_k]}
        for levels in self._levels.values():
            while min(levels[-1].shape[:2]) >= 8:
                half = levels[-1].shape[1] // 2, levels[-1].shape[0] // 2
                levels.append(np.asarray(cv2.resize(levels[-1], half, interpolation=cv2.INTER_AREA)))

    def level(self, size_px: float, kind: Literal["colour", "thermal"]) -> NDArray[Any]:
        """The texture as fine as a panel `size_px` across can show: finer ones would flicker."""
        levels = self._levels[kind]
        for image in levels:
            if math.sqrt(image.shape[0] * image.shape[1]) <= 1.4 * size_px:
                return image
        return levels[-1]

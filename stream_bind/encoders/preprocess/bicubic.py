"""Bicubic resizing without antialias, as torch's interpolate does it: what LanguageBind's pictures go through.

Pillow's bicubic is another one (antialiased, a = -0.5), and OpenCV's rounds its positions differently.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["resize_bicubic"]

FloatArray = NDArray[np.float32]

A = -0.75
"""The cubic's coefficient in torch and OpenCV; Pillow and antialiased torch have -0.5."""
TAPS = 4


def resize_bicubic(
    image: NDArray[Any], shape: tuple[int, int], part: tuple[slice, slice] = (slice(None), slice(None))
) -> FloatArray:
    """(H, W[, C]) uint8, uint16 or float32 to the `part` of its bicubic resize to `shape`, float32, not clamped.

    Half-pixel centres, edge pixels repeated, no antialias: values overshoot next to edges, and a small picture of a
    large one aliases; both is what the model was trained on. Only the pixels that are used are read, gathered by
    OpenCV's nearest-neighbour remap with whole-number maps: 6 ms to 224 x 224 x 3 from 1080p.
    """
    import cv2

    places, wx, wy = _gather(image.shape[:2], shape, _span(part[0], shape[0]), _span(part[1], shape[1]))
    n_rows, n_columns = wy.shape[1], wx.shape[1]
    depth = image.shape[2] if image.ndim == 3 else 1
    remap: Any = cv2.remap  # its stub does not know that whole-number maps go without a second one
    # Rows and columns come tap by tap: all first neighbours, then all second ones, so that each tap is one block.
    taps = remap(np.ascontiguousarray(image), places, None, cv2.INTER_NEAREST)
    taps = taps.reshape(TAPS * n_rows, TAPS, n_columns * depth)
    along = _weighted([taps[:, k] for k in range(TAPS)], np.repeat(wx, depth, axis=1)[:, None])
    whole = _weighted([along[k * n_rows : (k + 1) * n_rows] for k in range(TAPS)], wy[:, :, None])
    resized: FloatArray = whole.reshape(n_rows, n_columns, *image.shape[2:])
    return resized


def _weighted(taps: list[NDArray[Any]], weights: FloatArray) -> FloatArray:
    total: FloatArray = taps[0] * weights[0]
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        total += tap * weight
    return total


def _span(part: slice, length: int) -> tuple[int, int]:
    start, stop, _ = part.indices(length)
    return start, stop


@lru_cache(maxsize=4)
def _gather(
    source: tuple[int, int], shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[NDArray[np.int16], FloatArray, FloatArray]:
    """Map (4 * rows, 4 * columns, 2) of the neighbours' places (x, y), weights (4, columns) and (4, rows)."""
    y, wy = _neighbours(source[0], shape[0], rows)
    x, wx = _neighbours(source[1], shape[1], columns)
    places = np.stack(np.broadcast_arrays(x.ravel(), y.ravel()[:, None]), axis=-1)
    return places, wx, wy


def _neighbours(n_in: int, n_out: int, part: tuple[int, int]) -> tuple[NDArray[np.int16], FloatArray]:
    # In float32, as the reference works them out: the weights of a wide picture differ by 1e-5 from exact ones.
    half, one, a = np.float32(0.5), np.float32(1), np.float32(A)
    positions = np.arange(n_out, dtype=np.float32)[part[0] : part[1]]
    source = (positions + half) * (np.float32(n_in) / np.float32(n_out)) - half
    first = np.floor(source)
    t = source - first

    def near(d: FloatArray) -> FloatArray:
        return ((a + 2) * d - (a + 3)) * d * d + one

    def far(d: FloatArray) -> FloatArray:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    weights = np.stack([far(t + one), near(t), near(one - t), far(one - t + one)])
    places = first.astype(np.int64) + np.arange(-1, TAPS - 1)[:, None]
    return np.clip(places, 0, n_in - 1).astype(np.int16), weights

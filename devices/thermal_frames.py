"""What thermal cameras have in common: kelvin from counts, frames that a closed shutter repeats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["PLAUSIBLE_K", "Repeats", "implausible", "to_kelvin"]

PLAUSIBLE_K = (200.0, 700.0)
"""Where the median of a scene lies that somebody points such a camera at. Raw 14-bit counts of a Lepton sit near 8192,
which is 82 K or 819 K."""

_FROZEN_FRAMES = 3
"""Repeats up to this many are how a sensor held to 9 Hz fills a faster stream; more is a closed shutter."""


def to_kelvin(counts: NDArray[np.uint16], scale_k: float) -> NDArray[np.float32]:
    """(H, W) float32 kelvin; 0 counts are no measurement and become NaN."""
    kelvin: NDArray[np.float32] = counts.astype(np.float32) * np.float32(scale_k)
    kelvin[counts == 0] = np.nan
    return kelvin


def implausible(counts: NDArray[np.uint16], scale_k: float, most_k: float = PLAUSIBLE_K[1]) -> str:
    """Why these counts cannot be temperatures at this scale; empty where they can."""
    median = float(np.median(counts[::4, ::4]))
    kelvin = median * scale_k
    if PLAUSIBLE_K[0] <= kelvin <= most_k:
        return ""
    return f"its counts (median {median:.0f}) would be {kelvin:.0f} K ({kelvin - 273.15:.0f} °C)"


class Repeats:
    """Notices frames that are bit for bit the one before: a live thermal sensor is never that still."""

    def __init__(self) -> None:
        self._last: bytes = b""
        self._run = 0

    def judge(self, counts: NDArray[np.uint16]) -> int:
        """0: a new frame. Else how many times in a row it has been repeated."""
        now = counts.tobytes()
        self._run = self._run + 1 if now == self._last else 0
        self._last = now
        return self._run

    @staticmethod
    def is_frozen(run: int) -> bool:
        """Whether this many repeats mean that measurements are missing."""
        return run > _FROZEN_FRAMES

"""What all cameras that send depth as 16-bit counts share: metres out of counts, and holes in their numbering."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import Chunk, ClockInfo, Raw

__all__ = ["FrameNumbers", "depth_chunk", "to_metres"]


def to_metres(counts: NDArray[np.uint16], unit_m: float) -> NDArray[np.float32]:
    """float32 metres of uint16 counts, in their shape; 0, which is "no measurement" to every maker, becomes NaN."""
    metres = counts * np.float32(unit_m)
    metres[counts == 0] = np.nan
    return metres


def depth_chunk(
    counts: NDArray[np.uint16], unit_m: float, t_ns: int, gap: bool, clock: ClockInfo, tick: int | None
) -> Chunk:
    """One frame (H, W) of counts as a chunk that keeps them beside the metres. tick: the device's own time."""
    return Chunk(
        to_metres(counts, unit_m)[None],
        np.array([t_ns], np.int64),
        gap,
        clock,
        None if tick is None else np.array([tick], np.int64),
        Raw(counts[None], "16UC1", unit_m),
    )


class FrameNumbers:
    """The numbers a camera gives its frames: what is missing between two of them was lost on the way."""

    def __init__(self, counters: Counter[str]) -> None:
        """counters: where dropped_frames and repeated_frames are counted."""
        self._counters = counters
        counters.update(dropped_frames=0, repeated_frames=0)
        self._last: int | None = None
        self._gap = False

    def begin(self) -> None:
        """The camera was opened anew: what came before is no loss of this connection."""
        self._last = None
        self._gap = False

    def is_new(self, number: int) -> bool:
        """Take note of a frame's number; False where the frame was delivered before."""
        last, self._last = self._last, number
        step = 1 if last is None else number - last
        if step == 0:
            self._counters["repeated_frames"] += 1
            return False
        if step != 1:
            # A number that steps back: the camera counts anew, how much it lost nobody knows.
            self._counters["dropped_frames"] += max(0, step - 1)
            self._gap = True
        return True

    def take_gap(self) -> bool:
        """Whether frames are missing before the newest one; asked once per frame delivered."""
        gap, self._gap = self._gap, False
        return gap

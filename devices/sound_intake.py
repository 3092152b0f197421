"""From PortAudio's thread to the reader: blocks of sound as they came, with the times they came with."""

from __future__ import annotations

import threading
from collections import deque
from time import time_ns
from typing import Any, NamedTuple

from stream_bind.clock import Clock

__all__ = ["Intake", "SoundBlock"]


class SoundBlock(NamedTuple):
    """One callback's sound and times, as they came."""

    number: int
    sound: bytes
    n: int
    adc_s: float
    current_s: float
    monotonic_ns: int
    unix_ns: int
    overflow: bool


class Intake:
    """Where PortAudio's thread leaves its blocks; one per opening, so that a stream given up cannot add to the next."""

    def __init__(self, n_blocks: int, clock: Clock) -> None:
        self._blocks: deque[SoundBlock] = deque(maxlen=n_blocks)
        self._clock = clock
        self._ready = threading.Event()
        self._n = 0
        self.last_ns: int | None = None
        """Monotonic time of the newest block."""
        self.finished = False
        """PortAudio has ended the stream."""

    def callback(self, indata: Any, frames: int, times: Any, status: Any) -> None:
        now_ns, unix_ns = self._clock.monotonic_ns(), time_ns()
        self._n += 1
        self._blocks.append(
            SoundBlock(
                self._n,
                bytes(indata),
                frames,
                times.inputBufferAdcTime,
                times.currentTime,
                now_ns,
                unix_ns,
                bool(status) and status.input_overflow,
            )
        )
        self.last_ns = now_ns
        self._ready.set()

    def finish(self) -> None:
        self.finished = True
        self._ready.set()

    def take(self, timeout_s: float) -> SoundBlock | None:
        """The oldest block, or None if none came in time or none will come."""
        self._ready.clear()
        if not self._blocks and not self.finished:
            self._ready.wait(timeout_s)
        return self._blocks.popleft() if self._blocks else None

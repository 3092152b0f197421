"""Where time comes from. The only module of the core that may read the machine's clocks.

Everything else is told the time, so that hours of stream run in milliseconds under a ManualClock.
"""

from __future__ import annotations

import time
from typing import Protocol, runtime_checkable

__all__ = ["Clock", "ManualClock", "SystemClock"]


@runtime_checkable
class Clock(Protocol):
    """Host time. `unix_ns` is monotonic time plus an offset fixed once per host, so it never steps."""

    def monotonic_ns(self) -> int: ...

    def unix_ns(self) -> int: ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for seconds <= 0."""

    def step_ns(self) -> int:
        """How far the system's UNIX clock has moved away from ours since the offset was fixed."""


class SystemClock:
    """The machine's clock, with the monotonic-to-UNIX offset fixed at construction or handed over."""

    def __init__(self, offset_ns: int | None = None) -> None:
        self.offset_ns = measure_offset_ns() if offset_ns is None else offset_ns

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def unix_ns(self) -> int:
        return time.monotonic_ns() + self.offset_ns

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)

    def step_ns(self) -> int:
        return measure_offset_ns() - self.offset_ns


def measure_offset_ns(tries: int = 5) -> int:
    """UNIX minus monotonic time. The tightest of a few bracketed readings, so a preemption between two calls does not
    end up in every time stamp of the run."""
    best_width, best = None, 0
    for _ in range(tries):
        before = time.monotonic_ns()
        unix = time.time_ns()
        width = time.monotonic_ns() - before
        if best_width is None or width < best_width:
            best_width, best = width, unix - before - width // 2
    return best


class ManualClock:
    """A clock that moves only when told to; sleeping moves it."""

    def __init__(self, unix_ns: int = 0, monotonic_ns: int = 0) -> None:
        self._monotonic_ns = monotonic_ns
        self.offset_ns = unix_ns - monotonic_ns
        self._step_ns = 0

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def unix_ns(self) -> int:
        return self._monotonic_ns + self.offset_ns

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.advance(seconds)

    def step_ns(self) -> int:
        return self._step_ns

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._monotonic_ns += round(seconds * 1e9)

    def step_system(self, seconds: float) -> None:
        """Pretend that somebody set the system's UNIX clock; ours does not follow."""
        self._step_ns += round(seconds * 1e9)

"""Event times for decoded motion samples, by whatever the sensor says of time. Pure: it is told when bytes arrived."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from devices.arrival_clock import ArrivalClock
from devices.protocols.base import ImuSamples
from stream_bind.clocksync import ClockFit
from stream_bind.messages import ClockInfo, IntArray

__all__ = ["ImuClock"]

_BACK_NS = 100_000_000
"""Ticks farther back are a restart of the counter, as in ClockFit."""
_AHEAD_NS = 1_000_000_000
_RESUME_NS = 250_000_000
"""After reopening, ticks that lie farther from where they would have gone belong to a counter that began anew."""
_RESUME_PPM = 500.0
_SPARE_COUNTS = 64


class ImuClock:
    """The device's ticks fitted to host time where it sends them, else its counter (or ours) laid under the arrivals.

    `lost_samples` and `restarts` (of the ticks or of the counter) count since the start.
    """

    def __init__(self, rate_hz: float, tick_hz: float | None, tick_modulus: int | None, count_modulus: int | None):
        self.lost_samples = 0
        self.restarts = 0
        self._period_ns = 1e9 / rate_hz
        self._tick_hz = tick_hz
        self._tick_modulus = tick_modulus
        self._count_modulus = count_modulus
        self._fit = None if tick_hz is None else ClockFit(tick_hz, modulus=tick_modulus)
        self._arrivals = ArrivalClock(rate_hz)
        self._count = 0
        self._last_count: int | None = None
        self._last_tick: int | None = None
        self._last_host_ns: int | None = None
        self._last_ns = -(1 << 62)
        self._fresh = True

    @property
    def clock(self) -> ClockInfo:
        return self._arrivals.clock if self._fit is None else self._fit.clock

    def reopened(self) -> None:
        """The connection was opened anew. Ticks may go on or begin anew: the first ones tell; time goes on anyway."""
        self._arrivals.reset()
        self._last_count = None
        self._fresh = True

    def stamp(self, samples: ImuSamples, host_ns: int) -> tuple[IntArray, NDArray[np.bool_]]:
        """Of samples that arrived together at host_ns: event times (n,) int64, strictly increasing across calls too,
        and before which of them (n,) some are known to be missing."""
        counts, lost = self._number(samples, host_ns)
        if self._fit is None or samples.ticks is None:
            t_ns, silent = self._arrivals.stamp(counts, host_ns)
            lost[0] |= silent
        else:
            t_ns = self._by_ticks(self._fit, samples.ticks, host_ns, lost)
        if self._fresh:
            # What came before this connection is the reader's to judge.
            lost[0] = self._fresh = False
        # Ticks may be coarser than samples are dense; equal ticks keep their order.
        rank = np.arange(len(t_ns), dtype=np.int64)
        t_ns = np.maximum(np.maximum.accumulate(t_ns - rank), self._last_ns + 1) + rank
        self._last_ns = int(t_ns[-1])
        self._last_host_ns = host_ns
        return t_ns, lost

    def _number(self, samples: ImuSamples, host_ns: int) -> tuple[IntArray, NDArray[np.bool_]]:
        """Running numbers (n,) of the samples, and before which of them some are missing."""
        if samples.counts is None:
            # What could not be read was a sample, most likely.
            numbers = self._count + np.cumsum(1 + samples.bad_before)
            lost = samples.bad_before > 0
            self.lost_samples += int(samples.bad_before[self._fresh :].sum())
        else:
            told = samples.counts
            steps = np.diff(told, prepend=told[0] - 1 if self._last_count is None else self._last_count)
            if self._count_modulus is not None:
                steps %= self._count_modulus
            self._last_count = int(told[-1])
            lost = steps != 1
            # A counter that stands still, runs back, or ahead of what can have been taken, has begun anew.
            passed_ns = 0 if self._last_host_ns is None else host_ns - self._last_host_ns
            anew = (steps < 1) | (steps > _SPARE_COUNTS + 1.5 * passed_ns / self._period_ns)
            self.restarts += int(anew.sum()) if self._fit is None else 0
            steps[anew] = 1
            self.lost_samples += int((steps - 1).sum())
            numbers = self._count + np.cumsum(steps)
        self._count = int(numbers[-1])
        return numbers, lost

    def _by_ticks(self, fit: ClockFit, ticks: IntArray, host_ns: int, lost: NDArray[np.bool_]) -> IntArray:
        ns_per_tick = 1e9 / fit.tick_hz
        passed_ns = 0 if self._last_host_ns is None else host_ns - self._last_host_ns
        if self._fresh and self._last_tick is not None:
            self._resume(fit, int(ticks[-1]), passed_ns)
        # A counter that begins anew within these samples: each part is stamped by its own.
        steps_ns = self._wrapped(np.diff(ticks)) * ns_per_tick
        breaks = np.flatnonzero((steps_ns < -_BACK_NS) | (steps_ns > passed_ns + _AHEAD_NS)) + 1
        parts = []
        for start, stop in pairwise([0, *breaks.tolist(), len(ticks)]):
            epoch = fit.epoch
            parts.append(fit.stamp(ticks[start:stop], host_ns))
            if fit.epoch != epoch:
                lost[start] = True
                self.restarts += 1
        self._last_tick = int(ticks[-1])
        return np.concatenate(parts)

    def _resume(self, fit: ClockFit, tick: int, passed_ns: int) -> None:
        assert self._last_tick is not None
        turn_ns = None if self._tick_modulus is None else self._tick_modulus * 1e9 / fit.tick_hz
        off_ns = (tick - self._last_tick) * 1e9 / fit.tick_hz - passed_ns
        if turn_ns is not None:
            off_ns = (off_ns + turn_ns / 2) % turn_ns - turn_ns / 2
        if abs(off_ns) > _RESUME_NS + _RESUME_PPM * 1e-6 * passed_ns:
            fit.restart()
            self.restarts += 1

    def _wrapped(self, steps: IntArray) -> IntArray:
        if self._tick_modulus is None:
            return steps
        half = self._tick_modulus // 2
        wrapped: IntArray = (steps + half) % self._tick_modulus - half
        return wrapped

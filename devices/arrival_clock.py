"""Time stamps for a sensor that sends none: the line under its arrivals, at the rate it turns out to have."""

from __future__ import annotations

from collections import deque

import numpy as np

from stream_bind.clocksync import line_under
from stream_bind.messages import ClockInfo, IntArray

__all__ = ["ArrivalClock"]

_SPAN_NS = 20_000_000_000
_STEP_NS = 250_000_000
_TRUSTED_NS = 3_000_000_000
"""Arrivals over this long tell the rate better than the config does: 16 ms of batching are 0.5 % of it."""
_RATE_RANGE = 1.3
"""A measured rate farther than this from the nominal one is a fault of counting, not a property of the sensor."""
_SILENCE_NS = 250_000_000


class ArrivalClock:
    """Samples counted, arrivals noted: a sample is as late as the least delayed arrivals of the last 20 s allow.

    clocksync.ClockFit follows crystals, which keep within 500 ppm; a sketch that says 100 Hz may run at 97. Simulated
    97 Hz read in batches of up to 16 ms: stamps within 3 ms of the truth once 15 s are seen (the test holds it).
    """

    def __init__(self, rate_hz: float) -> None:
        self._nominal_ns = 1e9 / rate_hz
        self._spread_ns = 0.0
        self._last_ns = -(1 << 62)
        self.reset()

    @property
    def clock(self) -> ClockInfo:
        """Domain host; the error is the typical delay above the line."""
        return ClockInfo("host", round(self._spread_ns))

    @property
    def period_ns(self) -> float:
        """The sensor's period as far as it is known."""
        return self._period_ns

    def reset(self) -> None:
        """Forget the arrivals: counting starts anew."""
        self._bins: deque[tuple[int, int]] = deque()
        self._period_ns = self._nominal_ns
        self._latest: tuple[int, int] | None = None
        self._line: tuple[int, int] = (0, 0)

    def stamp(self, counts: IntArray, host_ns: int) -> tuple[IntArray, bool]:
        """Event times (n,) int64 of samples with these running numbers that arrived together at host_ns, increasing,
        and whether the sensor was silent before them."""
        newest = int(counts[-1])
        silent = False
        if self._latest is not None:
            count, at_ns = self._latest
            silent = host_ns - at_ns - (newest - count) * self._period_ns > _SILENCE_NS + self._period_ns
            if silent or newest <= count:
                self.reset()
        if self._latest is None:
            self._line = (newest, host_ns)
        self._latest = (newest, host_ns)
        self._note(newest, host_ns)
        count, at_ns = self._line
        late_ns = host_ns - at_ns - (newest - count) * self._period_ns
        if late_ns < 0:
            # Nothing is stamped after its arrival: the line was too high.
            self._line = (newest, host_ns)
            count, at_ns = self._line
        self._spread_ns += 0.05 * (max(late_ns, 0.0) - self._spread_ns)
        t_ns = np.rint((counts - count) * self._period_ns).astype(np.int64) + at_ns
        # The line moves when the rate is learnt; time never runs backwards for it.
        rank = np.arange(len(t_ns), dtype=np.int64)
        t_ns = np.maximum(t_ns - rank, self._last_ns + 1) + rank
        self._last_ns = int(t_ns[-1])
        return t_ns, silent

    def _note(self, newest: int, host_ns: int) -> None:
        """Keep the least delayed arrival of every quarter second, and draw the line anew as each of them ends."""
        if self._bins and host_ns // _STEP_NS == self._bins[-1][1] // _STEP_NS:
            count, at_ns = self._bins[-1]
            if host_ns - at_ns < (newest - count) * self._period_ns:
                self._bins[-1] = (newest, host_ns)
            return
        self._draw()
        self._bins.append((newest, host_ns))
        while host_ns - self._bins[0][1] > _SPAN_NS:
            self._bins.popleft()

    def _draw(self) -> None:
        if not self._bins or self._bins[-1][1] - self._bins[0][1] < _TRUSTED_NS:
            return
        count0, host0_ns = self._bins[0]
        x = np.array([count - count0 for count, _ in self._bins], dtype=np.float64)
        y = np.array([at - host0_ns for _, at in self._bins], dtype=np.float64)
        period_ns, at, value = line_under(x, y)
        if 1 / _RATE_RANGE < period_ns / self._nominal_ns < _RATE_RANGE:
            self._period_ns = period_ns
            self._line = (count0 + round(at), host0_ns + round(value))

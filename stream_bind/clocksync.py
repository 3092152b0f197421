"""Device time to host time: a clock model per device. Pure: it is given ticks and arrival times, never asks for one.

An arrival is the true time, plus a constant transport delay nobody can see (`delay_ms` sets it), plus jitter that is
never negative. So the lower envelope of (arrival - device time) is the offset between the clocks, and its slope their
difference in rate, however badly the transport batches.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_bind.messages import ClockInfo, IntArray

__all__ = ["Anchor", "ClockFit", "SampleClock"]

MAX_PPM = 500.0
"""Largest rate difference believed and fastest correction made; crystals stay within 200 ppm."""

_WARM_UP_BINS = 3
_ENOUGH = 8  # samples in a bin above which the smallest delay may be a glitch and the second is kept
_JITTER_NS = 1_000_000  # error claimed while nothing is known
_JUMP_NS = 1_000_000_000  # farther ahead of its arrival no stamp can be
_REORDER_NS = 100_000_000  # farther back no packet overtakes another: the counter restarted
_LOST_NS = 10_000_000_000
_LOST_FOR_NS = 5_000_000_000
_BIN_NS = 1_000_000_000
_SETTLED_NS = 1_000_000_000  # sound after which an anchor's own error is known
_SETTLING_NS = 50_000_000  # the most by which one ADC time was seen to err is 27 ms
_SETTLING_RATE = 0.02
_ADC_SILENT_NS = 5_000_000_000  # without a time for so long, a driver gives none


@dataclass(frozen=True, slots=True)
class Anchor:
    """The model at one moment, for the log: host_ns = host_ns0 + (tick - tick0) * 1e9 / tick_hz * (1 + ppm * 1e-6)."""

    tick0: int
    """Unwrapped tick; the raw one where the counter never wrapped."""
    host_ns0: int
    tick_hz: float
    ppm: float
    err_ns: int
    epoch: int
    """How often the counter restarted."""


class ClockFit:
    """Robust, drift-tracking linear fit of device ticks to host time along the lower envelope of the delays.

    Per second of device time the second smallest delay is kept (one glitched tick cannot pull the line down), and the
    line under the last 60 of them that lies closest to them all is followed at no more than 500 ppm, so that time never
    runs backwards. In the first seconds a smaller delay is followed at once: by causality the offset was too large.
    Only there can `to_host_ns` step back; `stamp` never does.

    Measured over 300 s at +-200 ppm, with the counter wrapping at 2**32 us: worst error in the first 3 s / to 60 s /
    after: 1 kHz over 1 ms USB 0.6 / 0.6 / 0.001 ms; 400 Hz over FTDI (16 ms batches) 1.8 / 0.5 / 0.04 ms; 30 fps camera
    with 4 ms scheduler jitter 4.3 / 0.7 / 0.15 ms. One `stamp` costs 25 us, of a single
    tick 5 us.
    """

    def __init__(
        self,
        tick_hz: float,
        *,
        bits: int | None = None,
        modulus: int | None = None,
        bin_s: float = 1.0,
        n_bins: int = 60,
    ) -> None:
        """bits or modulus: where the tick counter wraps (bits=32: at 2**32); neither: it never does."""
        if tick_hz <= 0:
            raise ValueError(f"tick_hz must be above 0, got {tick_hz}")
        if bits is not None and modulus is not None:
            raise ValueError("a counter wraps at `bits` or at `modulus`, not both")
        self.tick_hz = tick_hz
        self.epoch = 0
        """How often the counter restarted."""
        self._modulus = modulus if bits is None else 1 << bits
        self._ns_per_tick = 1e9 / tick_hz
        self._bin_ns = bin_s * 1e9
        self._bins: deque[_Delay] = deque(maxlen=n_bins)
        self._slope = 0.0  # ns of offset per ns of device time
        self._started = False
        self._last_out = -(1 << 62)
        # Set by _start, with the first tick of an epoch.
        self._tick: int  # newest, unwrapped
        self._host0: int  # origin of the float arithmetic: float64 keeps ns for 104 days
        self._host_ns: int  # newest arrival
        self._dev: float  # device time of the newest tick
        self._offset: float  # applied there, slewed after the line
        self._prev_dev: float
        self._prev_offset: float
        self._line: tuple[float, float]
        self._spread: float
        self._bin: int
        self._lowest: list[_Delay]
        self._n_in_bin: int
        self._far_since: int | None

    @property
    def err_ns(self) -> int:
        """How far a stamp may be off, one sigma, the unseen transport delay apart; 0 before the first tick."""
        return round(self._spread + abs(self._aim(self._dev) - self._offset)) if self._started else 0

    @property
    def clock(self) -> ClockInfo:
        return ClockInfo("device", self.err_ns)

    def add(self, tick: int, host_ns: int) -> None:
        """One tick that arrived at host_ns (of several that arrived together, the newest)."""
        moved = self._unwrap(tick, host_ns) if self._started else None
        if moved is None:
            if self._started:
                self.restart()
            self._start(tick, host_ns)
            return
        dev = self._dev + moved * self._ns_per_tick
        self._observe(dev, (host_ns - self._host0) - dev)
        if moved > 0:
            self._prev_dev, self._prev_offset = self._dev, self._offset
            limit = MAX_PPM * 1e-6 * (dev - self._dev)
            self._offset += min(max(self._aim(dev) - self._offset, -limit), limit)
            self._dev = dev
            self._tick += moved
        if len(self._bins) < _WARM_UP_BINS:
            self._offset = min(self._offset, self._aim(self._dev))
        self._host_ns = max(self._host_ns, host_ns)

    def restart(self) -> None:
        """The counter starts anew; for a driver that knows. The rate, its crystal's, is kept."""
        if self._started:
            self.epoch += 1
        self._started = False

    def to_host_ns(self, ticks: ArrayLike) -> IntArray:
        """Host time (n,) int64 of raw ticks near the newest one added; up to that one, not after its arrival."""
        if not self._started:
            raise ValueError("clock fit: no tick was added yet")
        delta = np.asarray(ticks, np.int64).reshape(-1) - (self._tick % self._modulus if self._modulus else self._tick)
        if self._modulus:
            half = self._modulus // 2
            delta = (delta + half) % self._modulus - half
        dev = self._dev + delta * self._ns_per_tick
        # Between the last two arrivals the offset went from one value to the other; elsewhere it goes with the rate.
        known = np.clip(dev, self._prev_dev, self._dev)
        offset = np.interp(known, (self._prev_dev, self._dev), (self._prev_offset, self._offset))
        host: IntArray = np.rint(dev + offset + self._slope * (dev - known)).astype(np.int64) + self._host0
        return np.where(delta <= 0, np.minimum(host, self._host_ns), host)

    def stamp(self, ticks: ArrayLike, host_ns: int) -> IntArray:
        """Add the raw ticks of one read that arrived together at host_ns, oldest first; returns their host times.

        Strictly increasing where the ticks are, across reads too, and not after host_ns but for the nanosecond each
        that keeps samples apart.
        """
        tick = np.asarray(ticks, np.int64).reshape(-1)
        if len(tick) == 0:
            return tick
        newest = int(tick[-1])
        self.add(newest, host_ns)
        if len(tick) == 1 and newest == (self._tick % self._modulus if self._modulus else self._tick):
            # The same without arrays, 4 us for 25: a 1 kHz IMU read sample by sample.
            one = max(min(round(self._dev + self._offset) + self._host0, self._host_ns), self._last_out + 1)
            self._last_out = one
            return np.array([one], np.int64)
        out = self.to_host_ns(tick)
        steps = np.diff(tick) if self._modulus is None else np.diff(tick) % self._modulus
        if bool((steps > 0).all()):
            rank = np.arange(len(out))
            out = np.maximum(np.maximum.accumulate(out - rank), self._last_out + 1) + rank
        self._last_out = max(self._last_out, int(out[-1]))
        return out

    def anchor(self) -> Anchor:
        """The model as it stands, for the log."""
        host_ns = round(self._dev + self._offset) + self._host0
        return Anchor(self._tick, host_ns, self.tick_hz, self._slope * 1e6, self.err_ns, self.epoch)

    def _start(self, tick: int, host_ns: int) -> None:
        self._started = True
        self._tick = tick
        self._host0 = self._host_ns = host_ns
        self._dev = self._prev_dev = self._offset = self._prev_offset = 0.0
        self._line = (0.0, 0.0)
        self._spread = float(_JITTER_NS)
        self._bins.clear()
        self._bin = 0
        self._lowest = [_Delay(0.0, 0.0, 0.0)]
        self._n_in_bin = 1
        self._far_since = None

    def _unwrap(self, tick: int, host_ns: int) -> int | None:
        """Ticks since the newest one; None where the counter must have restarted."""
        moved = tick - (self._tick % self._modulus if self._modulus else self._tick)
        room = (host_ns - self._host0) - (self._dev + self._offset) + _JUMP_NS  # device time that can have passed
        if self._modulus:
            moved %= self._modulus
            # Of the ticks it can be, the newest that has its room: none or several turns further, or one back.
            turns = (room - moved * self._ns_per_tick) // (self._modulus * self._ns_per_tick)
            moved += int(max(turns, -1)) * self._modulus
        if not -_REORDER_NS <= moved * self._ns_per_tick <= room:
            return None
        # So late for so long: it counts on from somewhere else. (A burst after a stall is late for no host time.)
        if room - moved * self._ns_per_tick < _LOST_NS:
            self._far_since = None
        elif self._far_since is None:
            self._far_since = host_ns
        elif host_ns - self._far_since > _LOST_FOR_NS:
            return None
        return moved

    def _aim(self, dev: float) -> float:
        """Where the offset should be at this device time."""
        at, value = self._line
        return value + self._slope * (dev - at)

    def _observe(self, dev: float, delay: float) -> None:
        number = int(dev // self._bin_ns)
        if number > self._bin:
            self._bins.append(self._bin_value())
            if len(self._bins) >= _WARM_UP_BINS:
                self._fit()
            self._bin = number
            self._lowest = []
            self._n_in_bin = 0
        self._n_in_bin += 1
        # Compared along the slope, so that drift within a bin does not choose the sample.
        level = delay - self._slope * dev
        if len(self._lowest) < 2 or level < self._lowest[1].level:
            self._lowest = sorted([*self._lowest, _Delay(level, dev, delay)])[:2]
            if len(self._bins) < _WARM_UP_BINS:
                best = min([*self._bins, self._bin_value()])
                self._line = (best.dev, best.delay)

    def _bin_value(self) -> _Delay:
        return self._lowest[-1 if self._n_in_bin >= _ENOUGH else 0]

    def _fit(self) -> None:
        x = np.array([delay.dev for delay in self._bins])
        y = np.array([delay.delay for delay in self._bins])
        slope, at, value = line_under(x, y)
        self._slope = min(max(slope, -MAX_PPM * 1e-6), MAX_PPM * 1e-6)
        self._line = (at, value + float(np.min(y - value - self._slope * (x - at))))
        self._spread = float(np.mean(y - value - slope * (x - at)))


class _Delay(NamedTuple):
    """One arrival: its delay less the drift, by which it is compared; device time; delay. All ns, float."""

    level: float
    dev: float
    delay: float


def line_under(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """The line below all points with the least sum of distances: the edge of their lower hull over the mean of x.

    x (n,) increasing, n >= 2. Returns slope and a point (x, y) of the line.
    """
    hull: list[int] = []
    for k in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[k] - x[a]) < (y[k] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(k)
    right = next(k for k in range(1, len(hull)) if x[hull[k]] >= x.mean() or k == len(hull) - 1)
    a, b = hull[right - 1], hull[right]
    return float((y[b] - y[a]) / (x[b] - x[a])), float(x[b]), float(y[b])


class SampleClock:
    """Time of sound by its sample counter, fitted to the times its driver gives.

    Those err to both sides (PulseAudio: single batches 18 ms early), so what is followed is the line through the
    medians of each second, at no more than 500 ppm (2 % in the first two seconds). Where a driver gives no times, the
    lower envelope of the arrivals has to do, as for any other device.

    Anchored again where sound is missing: in two reads running the ADC times are ahead of the counter by more than a
    block, and the blocks came as late as that; or the driver says so; or the two have been a block apart for a second.

    Simulated 200 ppm, ADC times with 1 ms jitter to both sides and 2 % of them 10 to 30 ms early: within 0.8 ms in the
    first half minute, 0.13 ms after. One `stamp` costs 30 us.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.anchored = 0
        """How often the counter was anchored anew."""
        self._ns = 1e9 / rate_hz
        self._adc = _MedianLine()
        self._arrivals = ClockFit(rate_hz)
        self._started = False
        self._count = 0
        self._last_out = -(1 << 62)
        self._last_adc_ns = -(1 << 62)
        # Since the last anchor: sample and host time it stands at, device time and offset reached.
        self._count0 = 0
        self._host0 = 0
        self._dev = 0.0
        self._offset = 0.0
        self._adc_dev = 0.0  # of the newest ADC time
        self._adc_since = 0.0  # of the first one in a row
        self._ahead: list[int] = []  # arrivals of the last blocks whose ADC time was ahead of the counter
        self._apart_since: float | None = None

    @property
    def clock(self) -> ClockInfo:
        return ClockInfo("device", self._err_ns())

    def anchor(self) -> Anchor:
        """The model as it stands, for the log."""
        host_ns = self._host0 + round(self._dev + self._offset)
        ppm = (self._adc.slope if self._has_adc() else self._arrivals.anchor().ppm * 1e-6) * 1e6
        return Anchor(self._count, host_ns, self.rate_hz, ppm, self._err_ns(), self.anchored)

    def stamp(self, n: int, host_ns: int, adc_ns: int | None = None, *, lost: bool = False) -> tuple[IntArray, bool]:
        """Event times (n,) int64 of a block that arrived at host_ns, and whether samples are missing before it.

        adc_ns: when its first sample was taken, where the driver says so; used if it advances and lies within a second
        of host_ns (PortAudio reports 0, or a time that stands still, on several back ends). lost: the driver lost
        samples before this block.
        """
        if n < 1:
            return np.empty(0, np.int64), False
        end_ns = None
        if adc_ns is not None and adc_ns > self._last_adc_ns and abs(host_ns - adc_ns) < _JUMP_NS:
            self._last_adc_ns = adc_ns
            end_ns = adc_ns + round(n * self._ns)
        gap = self._started and (lost or (end_ns is not None and self._is_lost(n, host_ns, end_ns)))
        if gap or not self._started:
            self._restart(n, host_ns if end_ns is None else end_ns)
        start = self._count
        self._count += n
        old_dev, old_offset = self._dev, self._offset
        self._follow(host_ns, end_ns)
        # A sample's time is that of its beginning; a block is complete, and can arrive, when its last sample ends.
        devs = (np.arange(start, self._count) - self._count0) * self._ns
        offsets = (
            np.interp(devs, (old_dev, self._dev), (old_offset, self._offset)) if self._dev > old_dev else old_offset
        )
        rank = np.arange(n)
        host = self._host0 + np.rint(devs + offsets).astype(np.int64)
        out: IntArray = np.maximum(np.maximum.accumulate(host - rank), self._last_out + 1) + rank
        self._last_out = int(out[-1])
        return out, gap

    def _is_lost(self, n: int, host_ns: int, end_ns: int) -> bool:
        """Whether the ADC times have left the counter for good."""
        dev = (self._count + n - self._count0) * self._ns
        block_ns = n * self._ns
        apart = (end_ns - self._host0) - dev - self._aim(dev)
        # Of the first times any may be the odd one that it stands on.
        limit = block_ns if not self._is_settling(dev, _SETTLED_NS) else max(block_ns, _SETTLING_NS)
        if abs(apart) < limit:
            self._apart_since = None
        elif self._apart_since is None:
            self._apart_since = dev
        # Times that run away while the blocks come as before are a sound server's, not a loss (the first seconds of an
        # idle PulseAudio sink: by half a second).
        if apart <= limit or host_ns - self._arrival_ns(dev) < apart / 2:
            self._ahead.clear()
        elif not self._ahead or host_ns - self._ahead[-1] > block_ns / 4:
            # Blocks that come in one batch share one odd time.
            self._ahead.append(host_ns)
        apart_long = self._apart_since is not None and dev - self._apart_since > _SETTLED_NS
        return apart_long or len(self._ahead) > 1

    def _restart(self, n: int, end_ns: int) -> None:
        if self._started:
            self.anchored += 1
            self._arrivals.restart()
        self._started = True
        self._adc.restart()
        self._count0 = self._count
        self._host0 = end_ns - round(n * self._ns)
        self._dev = self._offset = self._adc_dev = self._adc_since = 0.0
        self._ahead.clear()
        self._apart_since = None

    def _follow(self, host_ns: int, end_ns: int | None) -> None:
        """Learn from the block that ends the counter, and move the offset after what is known."""
        dev = (self._count - self._count0) * self._ns
        self._arrivals.add(self._count, host_ns)
        if end_ns is not None:
            if not self._has_adc():
                self._adc.restart()
                self._adc_since = self._dev
            self._adc.add(dev, (end_ns - self._host0) - dev)
            self._adc_dev = dev
        fastest = _SETTLING_RATE if self._is_settling(dev, 2 * _SETTLED_NS) else MAX_PPM * 1e-6
        limit = fastest * (dev - self._dev)
        self._offset += min(max(self._aim(dev) - self._offset, -limit), limit)
        self._dev = dev

    def _has_adc(self) -> bool:
        return len(self._adc) > 0 and (self._count - self._count0) * self._ns - self._adc_dev < _ADC_SILENT_NS

    def _aim(self, dev: float) -> float:
        """Where the offset should be at this device time."""
        if self._has_adc():
            return self._adc.at(dev)
        return self._arrival_ns(dev) - self._host0 - dev

    def _arrival_ns(self, dev: float) -> int:
        """When what ends at this device time arrives, if nothing delays it."""
        return int(self._arrivals.to_host_ns([self._count0 + round(dev / self._ns)])[0])

    def _is_settling(self, dev: float, for_ns: float) -> bool:
        """Whether this is soon after the anchor, or after ADC times began to come."""
        return dev - (self._adc_since if self._has_adc() else 0.0) < for_ns

    def _err_ns(self) -> int:
        if not self._started:
            return 0
        return (
            round(self._adc.spread + abs(self._aim(self._dev) - self._offset))
            if self._has_adc()
            else self._arrivals.err_ns
        )


class _MedianLine:
    """The line through delays that err to both sides: Theil and Sen's through the medians of each second, of which the
    last 60 are kept. Before there are three, the median at the slope known from earlier."""

    def __init__(self, n_bins: int = 60) -> None:
        self.slope = 0.0
        """ns of delay per ns; kept by restart: a crystal's rate."""
        self._bins: deque[tuple[float, float]] = deque(maxlen=n_bins)
        self.restart()

    def restart(self) -> None:
        self.spread = float(_JITTER_NS)
        """How far the seconds lie from the line, one sigma."""
        self._bins.clear()
        self._bin: list[tuple[float, float]] = []
        self._n = 0
        self._line = (0.0, 0.0)

    def __len__(self) -> int:
        return self._n

    def add(self, dev: float, delay: float) -> None:
        """dev: ns since the restart, increasing."""
        self._n += 1
        if self._bin and dev // _BIN_NS > self._bin[0][0] // _BIN_NS:
            self._bins.append(self._middle())
            self._bin = []
            if len(self._bins) >= _WARM_UP_BINS:
                self._fit()
        self._bin.append((dev, delay))
        if len(self._bins) < _WARM_UP_BINS:
            points = np.array([*self._bins, self._middle()])
            self._line = (0.0, float(np.median(points[:, 1] - self.slope * points[:, 0])))

    def at(self, dev: float) -> float:
        """The delay expected at this device time."""
        x, y = self._line
        return y + self.slope * (dev - x)

    def _middle(self) -> tuple[float, float]:
        """Of the second that is going on: mean of its times, and the median delay there."""
        points = np.array(self._bin)
        middle = float(points[:, 0].mean())
        return middle, float(np.median(points[:, 1] - self.slope * (points[:, 0] - middle)))

    def _fit(self) -> None:
        x, y = np.array(self._bins).T
        rise, run = y[:, None] - y, x[:, None] - x
        later = run > 0
        self.slope = min(max(float(np.median(rise[later] / run[later])), -MAX_PPM * 1e-6), MAX_PPM * 1e-6)
        middle = float(x.mean())
        level = y - self.slope * (x - middle)
        self._line = (middle, float(np.median(level)))
        # 1.4826 median absolute deviations are one sigma of a normal distribution.
        self.spread = 1.4826 * float(np.median(np.abs(level - self._line[1])))

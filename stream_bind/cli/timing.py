"""How punctual a sensor is: rate, jitter, delay, losses and drift, from what a few seconds of it brought.

Pure: arrays in, figures out. Times are int64 UNIX ns; what cannot be measured is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_bind.clocksync import line_under
from stream_bind.messages import IntArray

__all__ = ["Delay", "Drift", "Losses", "Rate", "coming_hz", "delay_of", "drift_of", "losses_of", "rate_of", "unwrap"]

HOLE = 1.5
"""An interval of so many periods may hold a missing sample."""
_NEAR = 8
"""Samples before and after an interval by which it is judged."""
_TICK_HZ = (1e3, 1e4, 1e5, 1e6, 1e7, 1e9, 32768.0, 90000.0)
"""What counters of sensors count: decimal parts of a second, watch crystals, MPEG time."""
_TICK_NEAR = 0.03
"""A counter this far from one of them counts something else."""
_BIN_S = 0.25
_FEWEST_BINS = 6
_WRAPS = tuple(1 << bits for bits in (8, 15, 16, 24, 31, 32, 48, 53, 63))


@dataclass(frozen=True, slots=True)
class Rate:
    """Samples per second of event time, and how evenly they are spaced."""

    rate_hz: float
    off_percent: float
    """From the nominal rate."""
    jitter_p50_ms: float
    jitter_p99_ms: float
    """How far an interval is off the usual one; holes are counted as losses instead."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Age of samples when they get here."""

    p50_ms: float
    p99_ms: float
    least_ms: float
    """Below zero: stamped later than it arrived, which cannot be."""


@dataclass(frozen=True, slots=True)
class Losses:
    """What is missing or out of order."""

    holes: int
    """Places where samples are missing, by the stamps or by the driver's word."""
    missing: int
    """Samples that would fill them, at the usual interval."""
    longest_ms: float
    """The longest hole."""
    backwards: int
    """Steps back in time."""
    repeated: int
    """Samples with the stamp of the one before."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Rate of the sensor's own clock against this machine's."""

    ppm: float
    """Above 0: it runs fast."""
    err_ppm: float
    """How far that may be off, one sigma: arrivals scatter, and the look was short."""
    tick_hz: float
    """What its clock was taken to count."""


def rate_of(t_ns: IntArray, nominal_hz: float) -> Rate | None:
    """None for fewer than three samples, or where time stands still. t_ns: (n,) event times as they came.

    The rate is that of what was delivered: samples missing inside lower it.
    """
    ordered = np.sort(t_ns)
    if len(ordered) < 3 or ordered[-1] == ordered[0]:
        return None
    rate_hz = (len(ordered) - 1) * 1e9 / float(ordered[-1] - ordered[0])
    steps = np.diff(ordered)
    even = np.delete(steps, [place for place, _ in _holes(ordered)])
    p50, p99 = np.percentile(np.abs(even - np.median(even)), (50, 99)) / 1e6
    return Rate(rate_hz, 100 * (rate_hz / nominal_hz - 1), float(p50), float(p99))


def coming_hz(counts: IntArray, arrivals_ns: IntArray) -> float | None:
    """Samples a second of host time, whatever their stamps say. counts: (reads,) samples so far at each read's end;
    arrivals_ns: (reads,). None for less than two reads."""
    if len(counts) < 2 or arrivals_ns[-1] <= arrivals_ns[0]:
        return None
    return float(counts[-1] - counts[0]) * 1e9 / float(arrivals_ns[-1] - arrivals_ns[0])


def delay_of(t_ns: IntArray, arrivals_ns: IntArray) -> Delay | None:
    """t_ns, arrivals_ns: (n,) each; samples of one read share their arrival. None for no samples."""
    if not len(t_ns):
        return None
    ages = (arrivals_ns - t_ns) / 1e6
    p50, p99 = np.percentile(ages, (50, 99))
    return Delay(float(p50), float(p99), float(ages.min()))


def losses_of(t_ns: IntArray, marked: NDArray[np.bool_]) -> Losses:
    """t_ns: (n,) event times as they came; marked: (n,) samples before which the driver says that some are missing."""
    steps = np.diff(t_ns)
    ordered = np.sort(t_ns)
    found = dict(_holes(ordered))
    lengths = [float(ordered[place + 1] - ordered[place]) for place in found]
    told = [place for place in np.flatnonzero(marked[1:]).tolist() if int(t_ns[place + 1]) not in _ends(ordered, found)]
    lengths += [float(steps[place]) for place in told]
    return Losses(
        holes=len(lengths),
        missing=sum(found.values()),
        longest_ms=max(lengths, default=0.0) / 1e6,
        backwards=int((steps < 0).sum()),
        repeated=int((steps == 0).sum()),
    )


def _ends(ordered: IntArray, found: dict[int, int]) -> set[int]:
    return {int(ordered[place + 1]) for place in found}


def _holes(ordered: IntArray) -> list[tuple[int, int]]:
    """Intervals of sorted stamps that hold missing samples: place and how many.

    A late stamp makes a long interval too, but what follows it is early by as much; after a loss everything is late.
    """
    steps = np.diff(ordered)
    if not len(steps) or ordered[-1] == ordered[0]:
        return []
    usual = float(np.median(steps)) or float(np.mean(steps))
    late = (ordered - ordered[0]) - usual * np.arange(len(ordered))
    found = []
    for place in np.flatnonzero(steps > HOLE * usual).tolist():
        before = float(np.median(late[max(0, place + 1 - _NEAR) : place + 1]))
        after = float(late[place + 1 : place + 1 + _NEAR].min())
        if after - before > 0.5 * usual:
            found.append((place, max(1, round((after - before) / usual))))
    return found


def drift_of(
    ticks: IntArray, arrivals_ns: IntArray, tick_hz: float | None = None, *, rate_hz: float | None = None
) -> Drift | None:
    """Slope of the counter against host time, along the least delayed arrivals.

    ticks: (n,) as the sensor sent them, wraps included, one for each arrival: of samples that came together the newest.
    tick_hz: what they count; None: the nearest of the usual units and of rate_hz, the samples themselves. None is
    returned where that is unclear, the counter restarted, or the look was too short.
    """
    counted = unwrap(ticks)
    if counted is None or len(counted) < _FEWEST_BINS:
        return None
    host_s = (arrivals_ns - arrivals_ns[0]) / 1e9
    span_s = float(host_s[-1])
    if span_s < _FEWEST_BINS * _BIN_S or counted[-1] <= 0:
        return None
    if tick_hz is None:
        found_hz = float(counted[-1]) / span_s
        units = _TICK_HZ if rate_hz is None else (*_TICK_HZ, rate_hz)
        tick_hz = min(units, key=lambda usual: abs(np.log(found_hz / usual)))
        if abs(found_hz / tick_hz - 1) > _TICK_NEAR:
            return None
    device_s = counted / tick_hz
    delays_s = host_s - device_s
    edges = np.floor(device_s / _BIN_S).astype(np.int64)
    lowest = [int(members[np.argmin(delays_s[members])]) for members in _groups(edges)]
    if len(lowest) < _FEWEST_BINS:
        return None
    x, y = device_s[lowest], delays_s[lowest]
    slope, at, value = line_under(x, y)
    # Least delays that scatter by s tilt a line over the span by about s / span. The factor makes this the rms of what
    # 200 simulated looks of 5 s came to: USB at 1 kHz, cameras with 4 ms of scheduling, FTDI batches of 16 ms.
    above = y - value - slope * (x - at)
    err = (0.6 * float(np.median(above)) + 1e-9) / span_s
    return Drift(-slope * 1e6, err * 1e6, tick_hz)


def unwrap(ticks: IntArray) -> IntArray | None:
    """(n,) ticks since the first one; None where the counter steps back other than by wrapping at a power of two."""
    steps = np.diff(ticks.astype(np.int64))
    back = steps < 0
    if back.any():
        usual = float(np.median(np.abs(steps)))
        fits = [m for m in _WRAPS if m > ticks.max() and int(steps[back].max()) + m <= 20 * max(usual, 1)]
        if not fits:
            return None
        steps = np.where(back, steps + fits[0], steps)
    return np.concatenate(([0], np.cumsum(steps)))


def _groups(keys: IntArray) -> list[NDArray[np.intp]]:
    """Indices of equal neighbours in a non-decreasing array, together."""
    return np.split(np.arange(len(keys)), np.flatnonzero(np.diff(keys)) + 1)

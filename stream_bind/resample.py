"""One window's samples onto the exact grid a model wants: pure functions of the window, without a history.

Times are int64 ns, samples native-rate with context before t_start. What is missing stays in its place: motion is
bridged or held, sound is silence; `missing_mask` says where.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from stream_bind.messages import Gap, IntArray

__all__ = [
    "BRIDGE_NS",
    "GAP_PERIODS",
    "missing_mask",
    "native_rate_hz",
    "pick_frames",
    "resample_audio",
    "resample_imu",
]

FloatArray = NDArray[np.float32]

GAP_PERIODS = 2.5
"""Periods between two samples above which samples are missing: the windower's own default."""

BRIDGE_NS = 100_000_000
"""Motion gaps up to this are bridged by a straight line; hands and heads move below 10 Hz."""

_FALLS_BY = 1.02  # rates within 2 % count as equal: a nominal 400 Hz sensor onto a 400 Hz grid
_MAX_RATIO = 16  # a bound on work and memory, should stamps be nonsense; above it samples are thinned first
_STOP_DB = 70.0
_PASS_EDGE = 0.4  # of the output rate; the stop band begins at 0.5, so nothing folds back at all
_PHASES = 512  # kernel error by interpolating between phases: below -100 dB

STANDARD_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)


def native_rate_hz(t_ns: IntArray, bridge_ns: int = BRIDGE_NS) -> float:
    """Samples per second of stamps (n,), n >= 2, strictly increasing; gaps do not count.

    The mean step, not the median: logs stamped in whole milliseconds step 2, 3, 2, 3 at 400 Hz. Where most time lies
    between bursts (a driver that stamps batches on arrival), the pauses between them count as well.
    """
    steps = np.diff(t_ns)
    if (steps <= bridge_ns).any():
        steps = steps[steps <= bridge_ns]
    usual = steps[steps <= GAP_PERIODS * np.median(steps)]
    return 1e9 / float((usual if 2 * usual.sum() >= steps.sum() else steps).mean())


def resample_imu(
    samples: NDArray[Any],
    t_ns: IntArray,
    t_start_ns: int,
    t_end_ns: int,
    n_out: int,
    *,
    bridge_ns: int = BRIDGE_NS,
) -> FloatArray:
    """Motion samples (n, c) at t_ns (n,), strictly increasing, onto the grid t_start + k * (t_end - t_start) / n_out.

    Returns (n_out, c) float32. Where the rate rises or stays: linear interpolation. Where it falls: uniform at the
    native rate, then a Kaiser-windowed sinc (flat within 0.1 dB to 0.4 of the output rate, -60 dB from 0.5 on; above
    half the input rate nothing can help). Missing samples are bridged by a line; in gaps longer than bridge_ns, before
    the first and after the last sample, the nearest sample holds (zeros would read as free fall).
    Give 0.1 s of context. ValueError without samples. 5 s of 6 columns to 2000: from 200 Hz 0.12 ms, 1 kHz 2.8 ms.
    """
    if len(samples) == 0:
        raise ValueError("no motion samples to resample")
    if n_out < 1 or t_end_ns <= t_start_ns:
        raise ValueError(f"cannot put {n_out} samples into [{t_start_ns}, {t_end_ns}) ns")
    values = np.asarray(samples, np.float64)
    t: NDArray[np.float64] = (t_ns - t_start_ns).astype(np.float64)
    step = (t_end_ns - t_start_ns) / n_out
    grid = np.arange(n_out, dtype=np.float64) * step
    if len(t) > 1:
        rate_hz = native_rate_hz(t_ns, bridge_ns)
        if rate_hz * step / 1e9 > _FALLS_BY:
            return _decimated(values, t, max(1e9 / rate_hz, step / _MAX_RATIO), grid, step, bridge_ns)
    return _interpolated(values, t, grid, bridge_ns).astype(np.float32)


def resample_audio(
    samples: NDArray[Any],
    t_ns: IntArray,
    t_start_ns: int,
    t_end_ns: int,
    rate_hz_out: float,
    rate_hz_in: float | None = None,
) -> FloatArray:
    """Sound (n,) or (n, channels) at t_ns (n,), strictly increasing, cut at t_start by its stamps and resampled.

    Returns (round((t_end - t_start) * rate_hz_out / 1e9), channels) float32. The sample nearest t_start is the first,
    and the ratio is the nominal one: a clock 200 ppm off is 0.4 ms out at the end of 2 s and right again at the next
    window. After a gap sound continues at its own time; the gap is silence. Samples before t_start are the filter's
    run-in; without them, and at t_end, the sound is mirrored. rate_hz_in: nominal; where None, the standard rate
    within 0.5 % of the stamps', else theirs in whole hertz. 2 s of 48 kHz to 16 kHz: 0.8 ms.
    """
    if len(samples) == 0:
        raise ValueError("no sound samples to resample")
    if rate_hz_in is None:
        rate_hz_in = _nominal_rate_hz(t_ns) if len(t_ns) > 1 else rate_hz_out
    rate_in, rate_out = round(rate_hz_in), round(rate_hz_out)
    if rate_in < 1 or rate_out < 1 or t_end_ns <= t_start_ns:
        raise ValueError(f"cannot resample {rate_hz_in} Hz to {rate_hz_out} Hz over [{t_start_ns}, {t_end_ns}) ns")
    native = np.asarray(samples, np.float32)
    native = native[:, None] if native.ndim == 1 else native
    length_ns = t_end_ns - t_start_ns
    n_in, n_out = (round(length_ns * rate / 1e9) for rate in (rate_in, rate_out))
    # The run-in, long enough for soxr's HQ filter, starts on a sample of both rates.
    together = rate_in // math.gcd(rate_in, rate_out)
    pad = 0 if rate_in == rate_out else math.ceil(128 * max(1.0, rate_in / rate_out) / together) * together
    slots = np.zeros((pad + n_in + pad, native.shape[1]), np.float32)
    first, last = _lay_out(slots, native, t_ns, t_start_ns, rate_in, pad)
    period_ns = 1e9 / rate_in
    newest = int(t_ns[max(int(t_ns.searchsorted(t_end_ns)) - 1, 0)])
    if newest + GAP_PERIODS * period_ns >= t_end_ns:
        _mirror(slots[::-1], len(slots) - last)
    if pad and t_ns[0] - GAP_PERIODS * period_ns <= t_start_ns:
        _mirror(slots, first)
    if not pad:
        return slots[:n_out]
    sound: FloatArray = soxr.resample(slots, rate_in, rate_out, quality="HQ")
    skip = pad * rate_out // rate_in
    return np.ascontiguousarray(sound[skip : skip + n_out])


def pick_frames(t_ns: IntArray, t_start_ns: int, t_end_ns: int, n: int = 2, mode: str = "edges") -> NDArray[np.intp]:
    """Positions (n,) in t_ns of the frames nearest n even times of [t_start, t_end); frames outside are not picked.

    mode "edges": from the first frame to the last (n=2: these two; n=1: the last). "centres": the middle of each of n
    equal parts. One frame may be picked several times. ValueError where no frame lies inside.
    """
    inside = np.flatnonzero((t_ns >= t_start_ns) & (t_ns < t_end_ns))
    if len(inside) == 0:
        raise ValueError(f"no frame in [{t_start_ns}, {t_end_ns}) ns")
    t = t_ns[inside] - t_start_ns
    if mode == "edges":
        targets = np.linspace(t[0], t[-1], n) if n > 1 else t[-1:].astype(np.float64)
    elif mode == "centres":
        targets = (np.arange(n) + 0.5) * ((t_end_ns - t_start_ns) / n)
    else:
        raise ValueError(f"unknown mode {mode!r}; known: edges, centres")
    after = np.clip(np.searchsorted(t, targets), 1, max(len(t) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(t) - 1)
    nearer: NDArray[np.intp] = inside[np.where(targets - t[before] <= t[after] - targets, before, after)]
    return nearer


def missing_mask(gaps: Iterable[Gap], t_start_ns: int, t_end_ns: int, n_out: int) -> NDArray[np.bool_]:
    """(n_out,) True where the output sample at t_start + k * (t_end - t_start) / n_out falls into a gap."""
    at = np.arange(n_out) * ((t_end_ns - t_start_ns) / n_out)
    mask = np.zeros(n_out, dtype=bool)
    for gap in gaps:
        mask |= (at >= gap.start_ns - t_start_ns) & (at < gap.end_ns - t_start_ns)
    return mask


def _interpolated(
    values: NDArray[np.float64], t: NDArray[np.float64], at: NDArray[np.float64], bridge_ns: int
) -> NDArray[np.float64]:
    """(len(at), c): lines between samples, across long gaps the nearer sample."""
    wide = np.flatnonzero(np.diff(t) > bridge_ns)
    if len(wide):
        middle = (t[wide] + t[wide + 1]) / 2
        t = np.insert(t, np.repeat(wide + 1, 2), np.stack([middle - 1, middle], axis=1).ravel())
        values = np.insert(
            values,
            np.repeat(wide + 1, 2),
            np.stack([values[wide], values[wide + 1]], axis=1).reshape(-1, values.shape[1]),
            0,
        )
    return np.stack([np.interp(at, t, column) for column in values.T], axis=1)


def _decimated(
    values: NDArray[np.float64],
    t: NDArray[np.float64],
    period: float,
    grid: NDArray[np.float64],
    step: float,
    bridge_ns: int,
) -> FloatArray:
    """Uniform at the native period, then at each grid point the kernel's sum over the samples around it."""
    kernel = _kernel(round(step / period, 2))
    width = kernel.shape[1]
    # The uniform grid goes through the first sample: where samples are uniform already they stay as they are.
    first = math.floor((grid[0] - t[0]) / period) - width // 2 + 1
    count = math.ceil((grid[-1] - grid[0]) / period) + width + 1
    uniform = _interpolated(values, t, t[0] + (first + np.arange(count)) * period, bridge_ns)
    place = (grid - t[0]) / period - first
    whole = np.floor(place).astype(np.intp)
    phase = (place - whole) * _PHASES
    low = phase.astype(np.intp)
    part = (phase - low)[:, None]
    weights = kernel[low] * (1.0 - part) + kernel[low + 1] * part
    around = np.lib.stride_tricks.sliding_window_view(uniform, width, axis=0)[whole - width // 2 + 1]
    rows: FloatArray = np.einsum("kcw,kw->kc", around, weights).astype(np.float32)
    return rows


@lru_cache(maxsize=8)
def _kernel(ratio: float) -> NDArray[np.float64]:
    """(_PHASES + 1, width) weights of the samples around a point, by its phase; ratio: input rate / output rate."""
    cut = (_PASS_EDGE + 0.5) / 2 / ratio  # cycles per input sample, the middle of the transition
    transition = (0.5 - _PASS_EDGE) / ratio
    beta = 0.1102 * (_STOP_DB - 8.7)  # Kaiser's formulas, as in Oppenheim and Schafer, section 7.5
    half = math.ceil((_STOP_DB - 8.0) / (2.285 * 2.0 * np.pi * transition) / 2.0) + 1
    offset = np.arange(-half + 1, half + 1) - np.arange(_PHASES + 1)[:, None] / _PHASES
    shape = np.i0(beta * np.sqrt(np.maximum(0.0, 1.0 - (offset / half) ** 2)))
    weights = np.sinc(2.0 * cut * offset) * shape * (np.abs(offset) <= half)
    normed: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    normed.flags.writeable = False
    return normed


def _nominal_rate_hz(t_ns: IntArray) -> float:
    rate_hz = native_rate_hz(t_ns)
    nearest = min(STANDARD_RATES_HZ, key=lambda known: abs(known - rate_hz))
    return nearest if abs(nearest - rate_hz) <= 0.005 * nearest else round(rate_hz)


def _lay_out(
    slots: FloatArray, native: FloatArray, t_ns: IntArray, t_start_ns: int, rate_in: int, pad: int
) -> tuple[int, int]:
    """Put each unbroken run of samples at its own time; returns the first slot used and the one after the last."""
    breaks = np.flatnonzero(np.diff(t_ns) > GAP_PERIODS * 1e9 / rate_in) + 1
    first, last = len(slots), 0
    for start, end in pairwise([0, *breaks.tolist(), len(t_ns)]):
        # Anchored where it matters: at t_start where the run holds it, else at the run's own start.
        pivot = start
        if t_ns[start] <= t_start_ns:
            after = min(start + int(t_ns[start:end].searchsorted(t_start_ns)), end - 1)
            before = max(after - 1, start)
            nearer = abs(int(t_ns[before]) - t_start_ns) <= abs(int(t_ns[after]) - t_start_ns)
            pivot = before if nearer else after
        begin = pad + round((int(t_ns[pivot]) - t_start_ns) * rate_in / 1e9) - (pivot - start)
        a, b = max(begin, 0), min(begin + end - start, len(slots))
        if a < b:
            slots[a:b] = native[start + a - begin : start + b - begin]
            first, last = min(first, a), max(last, b)
    return first, last


def _mirror(slots: FloatArray, n: int) -> None:
    """Fill the first n slots with what follows, backwards: no step for the filter to ring on."""
    n = min(n, len(slots))
    k = min(n, len(slots) - n)
    slots[n - k : n] = slots[n : n + k][::-1]

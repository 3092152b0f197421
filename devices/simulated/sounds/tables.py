"""Tables that sounds are read from: noise of any spectrum, one cycle of a tone, slow random curves.

All are made at the sensor's own rate from random numbers drawn in order of frequency, so a lower rate gets the same
sound without its upper frequencies, and nothing aliases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from devices.simulated.world import FloatArray
from stream_bind.messages import IntArray

__all__ = ["CYCLE", "Bins", "Samples", "Spectrum", "cycle", "db", "noise", "wander", "white"]

Samples = NDArray[np.float32]
Bins = NDArray[np.complex64]
Spectrum = Sequence[tuple[float, float]]
"""(frequency in Hz, level in dB) corners, joined by straight lines over log frequency; level beyond the ends."""

CYCLE = 4096
"""Entries of one cycle: rounding the phase to one of them is noise at -66 dB of the tone."""
_HIGHEST_HZ = 20_000.0
_LOWEST_HZ = 25.0
_GRID_HZ = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, 128)
_STEP = float(np.log(_GRID_HZ[1] / _GRID_HZ[0]))


def db(level: float) -> float:
    """Amplitude factor of `level` decibels."""
    return float(10.0 ** (level / 20.0))


def _amplitudes(hz: FloatArray, spectrum: Spectrum) -> FloatArray:
    corners, levels = zip(*spectrum, strict=True)
    return np.asarray(10.0 ** (np.interp(np.log(hz), np.log(corners), levels) / 20.0))


@lru_cache(maxsize=128)
def _grid(n: int, rate_hz: float) -> tuple[int, int, IntArray, Samples]:
    """First and last bin used, and where they lie between the points of _GRID_HZ: left neighbour and part."""
    first = max(1, math.ceil(_LOWEST_HZ * n / rate_hz))
    stop = max(first, math.floor(min(_HIGHEST_HZ, 0.499 * rate_hz) * n / rate_hz))
    place = np.log(np.arange(first, stop) * (rate_hz / n) / _LOWEST_HZ) / _STEP
    left = np.clip(place.astype(np.int64), 0, len(_GRID_HZ) - 2)
    return first, stop, left, (place - left).astype(np.float32)


def white(rng: np.random.Generator, rate_hz: float, length_s: float) -> Bins:
    """Random bins for `noise`, which may be shaped more than once."""
    n = _length(rate_hz, length_s)
    return rng.standard_normal(2 * (n // 2 + 1), dtype=np.float32).view(np.complex64)


def noise(bins: Bins, rate_hz: float, length_s: float, spectrum: Spectrum) -> Samples:
    """(round(length_s * rate_hz),) float32 of noise that can be looped without a seam, from bins of this length.

    Its rms is 1 over 25 Hz to 20 kHz; what lies above half of `rate_hz` is missing, not folded down.
    """
    n = _length(rate_hz, length_s)
    curve = _amplitudes(_GRID_HZ, spectrum)
    power = float(np.trapezoid(curve * curve, _GRID_HZ))
    curve *= 0.5 * n / np.sqrt(max(1e-12, length_s * power))
    first, stop, left, part = _grid(n, rate_hz)
    points = curve.astype(np.float32)
    shaped = np.zeros(len(bins), dtype=np.complex64)
    # The curve is smooth: 128 points of it and straight lines between them cost a tenth of its logarithms.
    shaped[first:stop] = bins[first:stop] * (points[left] + part * np.diff(points)[left])
    return np.asarray(np.fft.irfft(shaped, n), dtype=np.float32)


def _length(rate_hz: float, length_s: float) -> int:
    return max(2, round(length_s * rate_hz))


def cycle(rng: np.random.Generator, harmonics: Sequence[float], highest: int) -> Samples:
    """(CYCLE,) float32: one cycle of a tone of rms 1 with these harmonic amplitudes in random phases.

    Only the first `highest` harmonics are in it; the level stays that of all of them.
    """
    phases = rng.uniform(0, 2 * np.pi, len(harmonics))
    bins = np.zeros(CYCLE // 2 + 1, dtype=np.complex128)
    amplitudes = np.asarray(harmonics, dtype=np.float64)
    kept = min(len(amplitudes), max(0, highest))
    bins[1 : kept + 1] = amplitudes[:kept] * np.exp(1j * phases[:kept])
    scale = CYCLE / 2 / np.sqrt(float((amplitudes**2).sum()) / 2)
    return np.asarray(np.fft.irfft(bins, CYCLE) * scale, dtype=np.float32)


def wander(rng: np.random.Generator, times_s: FloatArray, hz: float) -> FloatArray:
    """A slow random curve at `times_s` (from 0 on), about -1.5 to 1.5, that turns about `hz` times a second."""
    knots = rng.uniform(-1.5, 1.5, int(times_s[-1] * hz) + 4)
    place = times_s * hz
    left = place.astype(np.int64)
    part = place - left
    part = part * part * (3 - 2 * part)
    return np.asarray(knots[left] * (1 - part) + knots[left + 1] * part)

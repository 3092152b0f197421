"""Sound to another rate by a short windowed sinc, as torchaudio's resample does it.

LanguageBind heard its training sound through this filter. It is soft: it takes the top of the band down and lets some
of what lies above fold back, so that a sharper resampler gives another spectrogram (log-mel off by up to 5, see the
tests).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample_sinc"]

FloatArray = NDArray[np.float32]

ZEROS = 6
"""Zero crossings of the sinc on each side (torchaudio's lowpass_filter_width)."""
ROLLOFF = 0.99
"""Cutoff as a share of the lower Nyquist frequency."""


def resample_sinc(wave: FloatArray, rate_in_hz: int, rate_out_hz: int) -> FloatArray:
    """(channels, n) float32 to (channels, ceil(n * rate_out / rate_in)); silence is taken to lie around it.

    10.375 s of one 48 kHz channel to 16 kHz: 20 ms. ValueError for rates below 1 Hz.
    """
    if rate_in_hz < 1 or rate_out_hz < 1:
        raise ValueError(f"cannot resample from {rate_in_hz} Hz to {rate_out_hz} Hz; rates are whole and positive")
    if rate_in_hz == rate_out_hz:
        return wave
    shared = math.gcd(rate_in_hz, rate_out_hz)
    n_in, n_out = rate_in_hz // shared, rate_out_hz // shared
    kernel, starts = _kernel(n_in, n_out)
    n_samples = wave.shape[1]
    n_wanted = -(-n_samples * n_out // n_in)
    n_blocks = -(-n_wanted // n_out)
    taps = kernel.shape[1]
    before = -int(starts[0])
    after = max(0, (n_blocks - 1) * n_in + int(starts[-1]) + taps - n_samples)
    resampled = np.empty((wave.shape[0], n_wanted), np.float32)
    for channel, out in zip(wave, resampled, strict=True):
        padded = np.pad(channel, (before, after))
        around = np.lib.stride_tricks.sliding_window_view(padded, taps)
        first = np.arange(n_blocks)[:, None] * n_in + (starts + before)
        out[:] = np.einsum("bpt,pt->bp", around[first], kernel).ravel()[:n_wanted]
    return resampled


@lru_cache(maxsize=4)
def _kernel(n_in: int, n_out: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Weights (n_out, taps) of every phase of a block of n_in samples, and the sample (n_out,) each begins at.

    torchaudio spreads every phase over the whole block; all but these taps are zero there. In float32 step by step:
    a kernel worked out in float64 moves quiet bins by up to 0.01.
    """
    base = np.float32(min(n_in, n_out) * ROLLOFF)
    width = math.ceil(ZEROS * n_in / (min(n_in, n_out) * ROLLOFF))
    phases = np.arange(n_out)
    starts = phases * n_in // n_out - width
    samples = starts[:, None] + np.arange(2 * width + 2)
    t = (-phases).astype(np.float32)[:, None] / np.float32(n_out) + samples.astype(np.float32) / np.float32(n_in)
    t = np.clip(t * base, np.float32(-ZEROS), np.float32(ZEROS))
    window = np.cos(t * np.float32(np.pi) / np.float32(ZEROS) / np.float32(2)) ** 2
    t *= np.float32(np.pi)
    centre = t == 0
    sinc = np.where(centre, np.float32(1), np.sin(t) / np.where(centre, np.float32(1), t))
    kernel: FloatArray = sinc * window * np.float32(float(min(n_in, n_out) * ROLLOFF) / n_in)
    kernel.setflags(write=False)
    return kernel, starts

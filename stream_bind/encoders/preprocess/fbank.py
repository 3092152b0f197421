"""Sound to log-mel spectrograms, after Kaldi's filter bank, and the 2 s spans the reference cuts from a file.

Pure functions of arrays at the model's rate; resampling happens before.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEAN", "RATE_HZ", "STD", "clip_spans", "file_clips", "log_mel", "mel_filters", "spectrogram"]

FloatArray = NDArray[np.float32]

RATE_HZ = 16000
MEAN, STD = -4.268, 9.138
"""AudioSet statistics of the log-mel values; divide by STD once (AST divides by twice that)."""
FRAME, HOP, FFT = 400, 160, 512
"""25 ms frames every 10 ms; Kaldi rounds the FFT up to a power of two."""
LOW_HZ, HIGH_HZ = 20.0, 8000.0
PREEMPHASIS = np.float32(0.97)
FLOOR = np.float32(np.finfo(np.float32).eps)
"""Power floor; its logarithm is -15.9424."""


@lru_cache(maxsize=4)
def mel_filters(n_mels: int = 128, *, rounded: bool = False) -> FloatArray:
    """(n_mels, 256) triangles over the FFT bins below Nyquist, linear in mel, peak 1, no area normalisation.

    rounded: every step in float32, as torchaudio takes them. An FFT bin at the very edge of a triangle has a weight
    of some 1e-4, of which that rounding is a hundredth: of 112 filters the 47th then moves by up to 0.01 in the
    logarithm.
    """
    if rounded:
        return _rounded_filters(n_mels)

    def mel(hz: NDArray[Any] | float) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)

    edges = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), n_mels + 2)
    bins = mel(np.arange(FFT // 2) * (RATE_HZ / FFT))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters: FloatArray = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    filters.setflags(write=False)
    return filters


def _rounded_filters(n_mels: int) -> FloatArray:
    low, high = (1127.0 * math.log(1.0 + hz / 700.0) for hz in (LOW_HZ, HIGH_HZ))
    step = np.float32((high - low) / (n_mels + 1))
    edges = np.float32(low) + np.arange(n_mels + 2, dtype=np.float32) * step
    ratio = np.float32(1) + np.float32(RATE_HZ / FFT) * np.arange(FFT // 2, dtype=np.float32) / np.float32(700)
    # The logarithm alone is correctly rounded: torch's is, and numpy's in float32 is a last bit off here and there,
    # which doubles the difference that all this is for.
    bins = np.float32(1127) * np.log(ratio.astype(np.float64)).astype(np.float32)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters: FloatArray = np.maximum(np.float32(0), np.minimum(rising, falling))
    filters.setflags(write=False)
    return filters


@lru_cache(maxsize=1)
def _window() -> FloatArray:
    """(400,) symmetric Hann; a periodic one moves the result by 0.06.

    Rounded to float32 where the reference rounds: quiet bins are differences of large numbers and show it.
    """
    angles = np.arange(FRAME, dtype=np.float32) * np.float32(2.0 * np.pi / (FRAME - 1))
    cosines = np.cos(angles.astype(np.float64)).astype(np.float32)
    return np.float32(0.5) - np.float32(0.5) * cosines


def log_mel(samples: FloatArray, n_mels: int = 128, *, rounded: bool = False) -> FloatArray:
    """(n,) samples in [-1, 1) at 16 kHz to (n_mels, 1 + (n - 400) // 160) natural log of mel power.

    Per frame: mean removed, pre-emphasis, Hann window, 512-point power spectrum, floor at float32 epsilon. No dither.
    rounded: of the filters, see mel_filters. ValueError below 400 samples.
    """
    if samples.ndim != 1 or len(samples) < FRAME:
        raise ValueError(f"a spectrogram needs at least {FRAME} samples in one channel, found shape {samples.shape}")
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP].astype(np.float32)
    frames -= frames.mean(axis=1, keepdims=True)
    # x[j] -= 0.97 * x[j - 1]; the first sample is its own predecessor.
    emphasised = np.empty_like(frames)
    np.multiply(frames[:, :-1], -PREEMPHASIS, out=emphasised[:, 1:])
    np.multiply(frames[:, 0], -PREEMPHASIS, out=emphasised[:, 0])
    emphasised += frames
    emphasised *= _window()
    # (frames, 257) complex64 seen as pairs of float32: squaring in place is half the time of real**2 + imag**2.
    pairs = np.fft.rfft(emphasised, n=FFT, axis=1).astype(np.complex64, copy=False).view(np.float32)
    pairs *= pairs
    power = pairs[:, 0:FFT:2] + pairs[:, 1:FFT:2]
    mels: FloatArray = mel_filters(n_mels, rounded=rounded) @ power.T
    np.log(np.maximum(mels, FLOOR, out=mels), out=mels)
    return mels


def spectrogram(wave: FloatArray, n_mels: int = 128, n_frames: int = 204) -> FloatArray:
    """(channels, n) sound to (1, n_mels, n_frames) float32, not yet normalised.

    The mean over all channels and samples is removed, channel 0 is analysed. Short clips are padded on the right with 0
    *before* normalising, as the reference does, long ones cut. ValueError below 400 samples.
    """
    return _pad(log_mel(wave[0] - wave.mean(), n_mels), n_frames)


def _pad(mels: FloatArray, n_frames: int) -> FloatArray:
    out = np.zeros((1, mels.shape[0], n_frames), np.float32)
    kept = min(n_frames, mels.shape[1])
    out[0, :, :kept] = mels[:, :kept]
    return out


def clip_spans(n_samples: int, n_clips: int, length_s: float = 2.0, rate_hz: int = RATE_HZ) -> list[tuple[int, int]]:
    """Sample spans [start, end) of evenly spaced clips; ends may lie behind the last sample.

    The spare time is rounded to a float once and then divided exactly, as the reference does: plain integer arithmetic
    moves 29 % of the starts by a sample.
    """
    spare = Fraction(max(n_samples / rate_hz - length_s, 0.0))
    starts = [spare * i / max(n_clips - 1, 1) for i in range(n_clips)]
    length = Fraction(length_s)
    return [(int(start * rate_hz), int((start + length) * rate_hz)) for start in starts]


def file_clips(wave: FloatArray, n_clips: int = 3, *, shared_mean: bool = False) -> FloatArray:
    """(channels, n) sound of any length at 16 kHz to (n_clips, 1, 128, 204), not yet normalised.

    Every clip is worked out alone. `shared_mean` repeats what the reference does to overlapping clips (2 s to 6 s of
    sound): each removes its mean in place, so that the next starts from shifted samples; it changes the few frames that
    straddle the edge of an overlap.
    """
    wave = wave.astype(np.float32) if shared_mean else wave
    clips = []
    for start, end in clip_spans(wave.shape[1], n_clips):
        clip = wave[:, start:end]
        if shared_mean:
            clip -= clip.mean()
            clips.append(_pad(log_mel(clip[0]), 204))
        else:
            clips.append(spectrogram(clip))
    return np.stack(clips)

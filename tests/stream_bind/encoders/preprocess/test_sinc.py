"""The reference's resampler against its formula written out, and what it does that a sharp one does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soxr

from stream_bind.encoders.preprocess.sinc import resample_sinc


def written_out(wave: np.ndarray, rate_in: int, rate_out: int) -> np.ndarray:
    """Every output sample as a sum over all of the input, in float64."""
    cutoff = min(rate_in, rate_out) * 0.99
    at = np.arange(math.ceil(len(wave) * rate_out / rate_in))[:, None] / rate_out
    t = np.clip((np.arange(len(wave)) / rate_in - at) * cutoff, -6, 6)
    return (np.sinc(t) * np.cos(t * np.pi / 12) ** 2 * cutoff / rate_in) @ wave


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 32000, 44100, 48000, 44099])
def test_it_is_the_windowed_sinc_at_every_rate(rate):
    wave = np.random.default_rng(rate).uniform(-1, 1, (2, 1234)).astype(np.float32)
    ours = resample_sinc(wave, rate, 16000)
    expected = np.stack([written_out(channel, rate, 16000) for channel in wave])
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, expected, atol=1e-4)  # a float32 kernel: its phases are exact to 1e-5


@pytest.mark.parametrize(("n", "rate"), [(1, 44100), (441, 44100), (442, 44100), (3, 48000), (4, 48000), (7, 8000)])
def test_its_length_is_rounded_up(n, rate):
    assert resample_sinc(np.ones((1, n), np.float32), rate, 16000).shape == (1, math.ceil(n * 16000 / rate))


def test_the_same_rate_changes_nothing_and_impossible_rates_are_refused():
    wave = np.ones((1, 10), np.float32)
    assert resample_sinc(wave, 16000, 16000) is wave
    with pytest.raises(ValueError, match="0 Hz"):
        resample_sinc(wave, 0, 16000)


def test_it_is_soft_where_another_resampler_is_sharp():
    t = np.arange(48000) / 48000
    just_above = np.sin(2 * np.pi * 8400 * t).astype(np.float32)[None]
    ours = resample_sinc(just_above, 48000, 16000)[0, 500:-500]
    sharp = soxr.resample(just_above[0], 48000, 16000)[500:-500]
    assert np.sqrt((ours**2).mean()) > 0.1
    assert np.sqrt((sharp**2).mean()) < 0.01

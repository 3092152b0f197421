"""The filter bank without fixtures: analytic signals and edge lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream_bind.encoders.preprocess import fbank


def tone(hz: float, n: int = 32000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(n) / fbank.RATE_HZ)).astype(np.float32)


def test_silence_is_the_floor_and_padding_is_zero():
    clip = fbank.spectrogram(np.zeros((1, 32000), np.float32))
    assert clip.shape == (1, 128, 204)
    assert np.all(clip[..., :198] == np.log(fbank.FLOOR))
    assert np.all(clip[..., 198:] == 0)


@pytest.mark.parametrize("hz", [300.0, 1000.0, 4000.0])
def test_a_tone_peaks_in_the_filter_around_it(hz):
    mels = fbank.log_mel(tone(hz))
    centres = (fbank.mel_filters() * np.arange(256)).sum(1) / np.maximum(fbank.mel_filters().sum(1), 1e-9) * 31.25
    assert abs(centres[mels.mean(axis=1).argmax()] - hz) < 60


@pytest.mark.parametrize(("n", "frames"), [(400, 1), (559, 1), (560, 2), (32000, 198)])
def test_frames_are_counted_without_padding_the_edges(n, frames):
    assert fbank.log_mel(tone(440, n)).shape == (128, frames)


def test_fewer_than_400_samples_are_refused():
    with pytest.raises(ValueError, match="400"):
        fbank.spectrogram(np.zeros((1, 399), np.float32))


def test_a_constant_offset_does_not_show():
    wave = tone(700)[None] + np.random.default_rng(0).normal(0, 0.01, (1, 32000)).astype(np.float32)
    assert np.abs(fbank.spectrogram(wave) - fbank.spectrogram(wave + np.float32(0.25))).max() < 0.02


def test_only_the_first_channel_is_analysed_but_the_mean_is_of_all():
    wave = np.stack([tone(500), tone(2000)])
    assert np.array_equal(fbank.spectrogram(wave), fbank.spectrogram(np.stack([tone(500), tone(3000)])))


def test_one_filter_holds_no_bin_and_stays_at_the_floor():
    noise = np.random.default_rng(1).normal(0, 0.1, (1, 32000)).astype(np.float32)
    assert np.all(fbank.mel_filters()[3] == 0)
    assert np.all(fbank.spectrogram(noise)[0, 3, :198] == np.log(fbank.FLOOR))


def test_spans_follow_the_float_that_the_reference_divides():
    assert fbank.clip_spans(6400, 3) == [(0, 32000)] * 3
    assert fbank.clip_spans(80000, 3) == [(0, 32000), (24000, 56000), (48000, 80000)]
    assert fbank.clip_spans(35999, 3)[1] == (1999, 33999)
    assert fbank.clip_spans(51477, 3)[2] == (19476, 51476)
    assert fbank.clip_spans(80000, 1) == [(0, 32000)]


def test_the_shared_mean_touches_overlapping_clips_only():
    drift = (tone(300, 80000) + np.linspace(-0.3, 0.3, 80000, dtype=np.float32))[None]
    alone, shared = fbank.file_clips(drift), fbank.file_clips(drift, shared_mean=True)
    assert np.array_equal(alone[0], shared[0])
    assert np.abs(alone[1] - shared[1]).max() > 1e-3
    apart = np.tile(drift, (1, 2))
    assert np.array_equal(fbank.file_clips(apart), fbank.file_clips(apart, shared_mean=True))


def test_the_input_is_left_alone():
    wave = tone(440)[None]
    before = wave.copy()
    fbank.file_clips(wave, shared_mean=True)
    assert np.array_equal(wave, before)


def torchs_filters(n_mels: int) -> np.ndarray:
    """The table worked out by torch in float32 throughout, as torchaudio does."""
    low, high = (1127.0 * np.log(1.0 + hz / 700.0) for hz in (20.0, 8000.0))
    step, index = (high - low) / (n_mels + 1), torch.arange(n_mels)[:, None]
    left, centre, right = (low + (index + k) * step for k in (0.0, 1.0, 2.0))
    mel = 1127.0 * (1.0 + (31.25 * torch.arange(256)) / 700.0).log()
    table = torch.clamp(torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)), min=0)
    assert table.dtype == torch.float32
    return table.numpy()


@pytest.mark.parametrize("n_mels", [40, 64, 96, 112, 126, 128])
def test_rounded_filters_are_torchs_and_the_plain_ones_nearly(n_mels):
    rounded, plain = fbank.mel_filters(n_mels, rounded=True), fbank.mel_filters(n_mels)
    np.testing.assert_allclose(rounded, torchs_filters(n_mels), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(rounded, plain, atol=3e-5)


def test_rounding_shows_where_power_lies_at_the_edge_of_a_filter():
    # Met by a chirp in the parity set of LanguageBind: 0.010 off with plain filters, 0.0008 with rounded ones.
    rounded, plain = fbank.mel_filters(112, rounded=True)[46], fbank.mel_filters(112)[46]
    edge = np.flatnonzero(rounded)[rounded[rounded > 0].argmin()]
    assert abs(np.log(rounded[edge]) - np.log(plain[edge])) > 5e-3
    assert abs(np.log(rounded[edge]) - np.log(torchs_filters(112)[46, edge])) < 1e-3

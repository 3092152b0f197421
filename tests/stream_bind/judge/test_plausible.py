"""What is told of sound, pictures, distances and warmth that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.judge.plausible import judge_depth, judge_picture, judge_sound, judge_thermal

RANDOM = np.random.default_rng(7)


def tone(amplitude, n=48_000, channels=1, offset=0.0):
    wave = amplitude * np.sin(2 * np.pi * 440 * np.arange(n) / 48_000) + offset
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


@given(amplitude=st.floats(0.001, 0.99))
@settings(max_examples=20, deadline=None)
def test_a_tone_has_its_level(amplitude):
    (verdict,) = judge_sound(tone(amplitude))
    assert verdict.fine
    assert verdict.figures["level_dbfs"] == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=0.1)
    assert verdict.figures["peak"] == pytest.approx(amplitude, rel=0.01)


@pytest.mark.parametrize(
    ("samples", "words", "remedy"),
    [
        (np.zeros((4800, 2), np.float32), "dead silence", "unmute"),
        (tone(1e-5), "quieter than a quiet room", "unmute"),
        (np.clip(tone(1.5), -1, 1), "clipped", "gain down"),
        (tone(0.1, offset=0.2), "offset of +0.200", "supply"),
        (tone(0.1, channels=2) * np.array([0, 1], np.float32), "channel 0 is dead silent", "`channel: 1`"),
        (np.full((100, 1), np.nan, np.float32), "not numbers", "sample format"),
    ],
)
def test_sound_that_is_none_is_told(samples, words, remedy):
    (verdict,) = judge_sound(samples)
    assert not verdict.fine
    assert words in verdict.detail
    assert remedy in verdict.remedy


def test_peaks_that_touch_full_scale_are_no_clipping():
    samples = tone(0.1)
    samples[::100] = 1.0
    (verdict,) = judge_sound(samples)
    assert verdict.fine


def pictures(n=20, level=110, spread=40):
    frames = RANDOM.normal(level, spread, (n, 24, 32, 3))
    return np.clip(frames, 0, 255).astype(np.uint8)


def test_a_picture_is_fine():
    (verdict,) = judge_picture(pictures())
    assert verdict.fine
    assert verdict.figures["brightness"] == pytest.approx(110, abs=2)


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (pictures(level=2, spread=1), "black"),
        (pictures(level=255, spread=2), "overexposed"),
        (np.full((5, 24, 32, 3), 60, np.uint8), "all of one colour"),
        (np.repeat(pictures(1), 20, axis=0), "frozen"),
        (np.repeat(pictures(10), 2, axis=0), "repeat the one before"),
    ],
)
def test_pictures_that_show_nothing_are_told(frames, words):
    (verdict,) = judge_picture(frames)
    assert not verdict.fine
    assert words in verdict.detail
    assert verdict.remedy


def test_a_recorded_still_is_not_frozen():
    (verdict,) = judge_picture(np.repeat(pictures(1), 20, axis=0), live=False)
    assert verdict.fine


def room(median_m=2.0, holes=0.1, n=10):
    frames = RANDOM.uniform(0.5, 1.5, (n, 24, 32)).astype(np.float32) * median_m
    frames[RANDOM.random(frames.shape) < holes] = np.nan
    return frames


def test_a_room_is_fine_and_its_holes_are_counted():
    (verdict,) = judge_depth(room(holes=0.2))
    assert verdict.fine
    assert verdict.figures["hole_share"] == pytest.approx(0.2, abs=0.03)
    assert verdict.figures["depth_median_m"] == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1000, "1000 times too large"), (20, "10 times too large"), (0.02, "10 times too small"), (1e-3, "1000 times")],
)
def test_a_wrong_unit_of_depth_is_told(factor, words):
    (verdict,) = judge_depth(room() * np.float32(factor))
    assert not verdict.fine
    assert words in verdict.detail
    assert "depth_unit_m" in verdict.remedy


def test_depth_without_distances_is_told():
    (verdict,) = judge_depth(room(holes=1.1))
    assert "every pixel is a hole" in verdict.detail
    (verdict,) = judge_depth(room(holes=0.7))
    assert "more holes than distances" in verdict.detail
    (verdict,) = judge_depth(np.repeat(room(n=1), 5, axis=0))
    assert "frozen" in verdict.detail  # holes are equal to holes


def warmth(n=10):
    return RANDOM.normal(295, 3, (n, 24, 32)).astype(np.float32)


def test_a_room_is_warm():
    (verdict,) = judge_thermal(warmth())
    assert verdict.fine
    assert "°C" in verdict.detail


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (warmth() * 100, "counts of 0.01 K"),
        (warmth() * 64, "counts of 1/64 K"),
        (warmth() * 10, "counts of 0.1 K"),
        (warmth() * 50, "looks like counts, not kelvin"),
        (warmth() - 273.15, "degrees Celsius"),
        (warmth() + 300, "no temperature a room can have"),
        (warmth() * 0, "every pixel is 0"),
        (np.full((3, 8, 8), np.nan, np.float32), "no temperature at all"),
        (np.repeat(warmth(1), 5, axis=0), "frozen"),
    ],
)
def test_what_is_no_kelvin_is_told(frames, words):
    (verdict,) = judge_thermal(frames)
    assert not verdict.fine
    assert words in verdict.detail


def test_grey_thermal_is_judged_by_its_contrast():
    assert judge_thermal(pictures()[..., 0], "grey8")[0].fine
    assert not judge_thermal(np.full((3, 8, 8), 9, np.uint8), "grey8")[0].fine


def test_nothing_is_judged_by_nothing():
    assert judge_sound(np.empty((0, 1), np.float32)) == []
    assert judge_picture(np.empty((0, 4, 4, 3), np.uint8)) == []
    assert judge_depth(np.empty((0, 4, 4), np.float32)) == []
    assert judge_thermal(np.empty((0, 4, 4), np.float32)) == []

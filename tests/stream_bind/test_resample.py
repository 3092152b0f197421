"""Resampling against tones and against time: right frequency, right place, right length, nothing closed up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.messages import Gap
from stream_bind.resample import missing_mask, native_rate_hz, pick_frames, resample_audio, resample_imu

S = 1_000_000_000
MS = 1_000_000
T0 = 1_700_000_000 * S


def stamps(rate_hz: float, seconds: float, context_s: float = 0.0, after_s: float = 0.0) -> np.ndarray:
    k = np.arange(-round(context_s * rate_hz), round((seconds + after_s) * rate_hz))
    return T0 + np.round(k / rate_hz * S).astype(np.int64)


def tone(t_ns: np.ndarray, hz: float, phase: float = 0.3) -> np.ndarray:
    return np.sin(2 * np.pi * hz * (t_ns - T0) / S + phase).astype(np.float32)


def level_db(x: np.ndarray) -> float:
    """Of a unit tone: 0."""
    return float(20 * np.log10(np.sqrt(2) * np.std(x) + 1e-12))


def test_motion_lands_on_the_exact_grid_by_straight_lines_where_the_rate_rises():
    t = stamps(200, 5, 0.1)
    ramp = ((t - T0) / S)[:, None] * np.arange(1.0, 7.0)
    out = resample_imu(ramp, t, T0, T0 + 5 * S, 2000)
    assert (out.shape, out.dtype) == ((2000, 6), np.float32)
    grid = np.arange(2000) * 5 / 2000
    inside = grid <= 4.995  # the last sample; beyond it the value holds
    assert np.abs(out - grid[:, None] * np.arange(1.0, 7.0))[inside].max() < 1e-5
    assert out[-1].tolist() == pytest.approx((4.995 * np.arange(1.0, 7.0)).tolist())


@pytest.mark.parametrize("rate_hz", [450, 500, 800, 1000, 1600])
def test_falling_rates_keep_the_pass_band_and_let_nothing_fold_back(rate_hz):
    out_hz = 400
    middle = slice(100, -100)
    t = stamps(rate_hz, 5, 0.1)
    grid_s = np.arange(2000) / out_hz
    for part in (0.05, 0.2, 0.4):
        out = resample_imu(tone(t, part * out_hz)[:, None], t, T0, T0 + 5 * S, 2000)[:, 0]
        assert abs(level_db(out[middle])) < 0.1  # measured: 0.0025 dB
        # No delay either.
        assert np.abs(out - np.sin(2 * np.pi * part * out_hz * grid_s + 0.3))[middle].max() < 1e-3
    for part in (0.51, 0.6, 0.9, 1.1, 1.9):
        if part * out_hz < 0.5 * rate_hz:
            out = resample_imu(tone(t, part * out_hz)[:, None], t, T0, T0 + 5 * S, 2000)[:, 0]
            assert level_db(out[middle]) < -60  # measured: -80 dB


def test_a_falling_rate_survives_jitter_and_millisecond_stamps():
    rng = np.random.default_rng(0)
    even = stamps(1000, 5, 0.2)
    t = np.sort(even + rng.integers(-200_000, 200_000, len(even)))
    out = resample_imu(tone(t, 20)[:, None], t, T0, T0 + 5 * S, 1000)[:, 0]
    assert np.abs(out - np.sin(2 * np.pi * 20 * np.arange(1000) / 200 + 0.3))[50:-50].max() < 0.01
    bursts = (T0 + np.arange(100)[:, None] * 50 * MS + np.arange(10) * 10_000).ravel()
    assert native_rate_hz(bursts) == pytest.approx(200, rel=0.01)
    coarse = stamps(400, 5) // MS * MS
    assert native_rate_hz(coarse) == pytest.approx(400, rel=1e-3)


def test_short_gaps_of_motion_are_bridged_and_long_ones_hold_the_nearer_sample():
    t = stamps(200, 5, 0.1)
    values = ((t - T0) / S)[:, None]
    kept = (t < T0 + S) | (t >= T0 + S + 50 * MS)
    out = resample_imu(values[kept], t[kept], T0, T0 + 5 * S, 2000)
    assert out[410, 0] == pytest.approx(410 / 400, abs=1e-4)
    kept = (t < T0 + S) | (t >= T0 + 3 * S)
    out = resample_imu(values[kept], t[kept], T0, T0 + 5 * S, 2000)
    assert out[500, 0] == pytest.approx(0.995)
    assert out[1100, 0] == pytest.approx(3.0)
    assert out[1600, 0] == pytest.approx(4.0, abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_motion_samples_still_fills_the_window(n):
    t = T0 + np.arange(n) * 10 * MS
    out = resample_imu(np.ones((n, 6)), t, T0, T0 + 5 * S, 2000)
    assert (out == 1).all()
    assert out.shape == (2000, 6)


def test_nothing_cannot_be_resampled():
    none = np.empty(0, np.int64)
    with pytest.raises(ValueError, match="no motion samples"):
        resample_imu(np.empty((0, 6)), none, T0, T0 + S, 10)
    with pytest.raises(ValueError, match="no sound samples"):
        resample_audio(np.empty((0, 1)), none, T0, T0 + S, 16_000)
    with pytest.raises(ValueError, match="cannot put 0 samples"):
        resample_imu(np.ones((1, 6)), np.array([T0]), T0, T0 + S, 0)
    with pytest.raises(ValueError, match="cannot resample"):
        resample_audio(np.ones(1), np.array([T0]), T0, T0, 16_000)


@settings(deadline=None, max_examples=60)
@given(
    steps_us=st.lists(st.integers(1, 30_000), min_size=1, max_size=300),
    shift_us=st.integers(-2_000_000, 2_000_000),
    n_out=st.sampled_from([1, 7, 100, 2000]),
)
def test_motion_of_any_stamps_is_exact_in_length_finite_in_range_and_repeatable(steps_us, shift_us, n_out):
    t = T0 + (np.cumsum(steps_us) + shift_us).astype(np.int64) * 1000
    values = np.sin(np.arange(len(t)))[:, None].astype(np.float32)
    out = resample_imu(values, t, T0, T0 + 2 * S, n_out)
    assert out.shape == (n_out, 1)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.5  # a sinc overshoots a jump by a tenth or so
    assert out.tobytes() == resample_imu(values.copy(), t.copy(), T0, T0 + 2 * S, n_out).tobytes()


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("given_rate", [True, False])
def test_sound_of_any_rate_keeps_its_pitch_place_and_length(rate_hz, given_rate):
    t = stamps(rate_hz, 2, 0.05)
    out = resample_audio(tone(t, 1000), t, T0, T0 + 2 * S, 16_000, rate_hz if given_rate else None)
    assert (out.shape, out.dtype) == ((32_000, 1), np.float32)
    error = np.abs(out[:, 0] - np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000 + 0.3))
    assert error[:-60].max() < 1e-3
    assert error.max() < 0.3  # the mirrored end; of 8 kHz, half a sample beyond the last


def test_sound_above_half_the_output_rate_does_not_fold_back():
    t = stamps(48_000, 2, 0.05)
    out = resample_audio(tone(t, 9000), t, T0, T0 + 2 * S, 16_000, 48_000)
    assert level_db(out[100:-100, 0]) < -60


def test_equal_rates_pass_the_samples_through():
    t = stamps(16_000, 2, 0.05)
    x = np.random.default_rng(0).standard_normal((len(t), 2)).astype(np.float32)
    out = resample_audio(x, t, T0, T0 + 2 * S, 16_000, 16_000)
    assert np.array_equal(out, x[800:])


def test_a_gap_of_sound_is_silence_in_its_place_and_never_closed_up():
    t = stamps(48_000, 2, 0.05)
    x = tone(t, 500)
    kept = (t < T0 + S // 2) | (t >= T0 + S)
    out = resample_audio(x[kept], t[kept], T0, T0 + 2 * S, 16_000, 48_000)[:, 0]
    whole = resample_audio(x, t, T0, T0 + 2 * S, 16_000, 48_000)[:, 0]
    assert np.abs(out[8100:15_900]).max() < 1e-3
    assert np.abs(out - whole)[:7900].max() < 1e-3
    assert np.abs(out - whole)[16_100:].max() < 1e-3


def test_sound_before_its_first_sample_is_silence():
    t = stamps(48_000, 2)
    t = t[t >= T0 + S]
    out = resample_audio(tone(t, 500), t, T0, T0 + 2 * S, 16_000, 48_000)[:, 0]
    assert np.abs(out[:15_900]).max() < 1e-3
    assert np.abs(out[16_100:] - np.sin(2 * np.pi * 500 * np.arange(16_100, 32_000) / 16_000 + 0.3))[:-60].max() < 1e-3


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_clock_200_ppm_off_is_right_at_the_start_of_every_window_and_half_a_millisecond_off_at_its_end(ppm):
    rate_hz = 48_000 * (1 + ppm * 1e-6)
    t = stamps(rate_hz, 600)
    for start_s in (0, 100, 598):
        start = T0 + start_s * S
        span = t[(t >= start - 50 * MS) & (t < start + 2 * S)]
        out = resample_audio(tone(span, 100), span, start, start + 2 * S, 16_000)[:, 0]
        true = np.sin(2 * np.pi * 100 * (start_s + np.arange(32_000) / 16_000) + 0.3)
        assert len(out) == 32_000
        # A sample of 48 kHz is 20.8 us, which at 100 Hz is 0.013.
        assert np.abs(out - true)[:160].max() < 0.014
        assert np.abs(out - true).max() < 2 * np.pi * 100 * 0.0005


def test_the_cut_is_right_however_long_the_context():
    t = stamps(48_000 * (1 + 200e-6), 2, 10.0)  # 96 samples of drift over the context
    out = resample_audio(tone(t, 100), t, T0, T0 + 2 * S, 16_000)[:, 0]
    true = np.sin(2 * np.pi * 100 * np.arange(160) / 16_000 + 0.3)
    assert np.abs(out[:160] - true).max() < 0.014


@pytest.mark.parametrize("context_s", [0.0, 0.001, 0.05])
def test_sound_does_not_fade_at_the_ends_of_its_window(context_s):
    t = stamps(48_000, 2, context_s)
    out = resample_audio(np.ones(len(t)), t, T0, T0 + 2 * S, 16_000, 48_000)
    assert np.abs(out - 1).max() < 1e-3


def test_sound_cut_between_two_samples_is_less_than_one_sample_off():
    t = stamps(48_000, 3, 0.05)
    for shift_ns in (0, 5_000, 10_000, 20_000):
        start = T0 + shift_ns
        out = resample_audio(tone(t, 100), t, start, start + 2 * S, 16_000, 48_000)[:, 0]
        true = np.sin(2 * np.pi * 100 * (shift_ns / S + np.arange(32_000) / 16_000) + 0.3)
        assert np.abs(out - true).max() < 2 * np.pi * 100 / 48_000


@settings(deadline=None, max_examples=40)
@given(
    holes=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 800)), max_size=5),
    rate_out=st.sampled_from([8000, 16_000, 44_100]),
    length_ms=st.integers(1, 2000),
)
def test_sound_with_any_holes_is_exact_in_length_and_zero_inside_them(holes, rate_out, length_ms):
    t = stamps(16_000, 2, 0.05)
    kept = np.ones(len(t), dtype=bool)
    for at, n in holes:
        kept &= (t < T0 + at * MS) | (t >= T0 + (at + n) * MS)
    out = resample_audio(np.ones(kept.sum(), np.float32), t[kept], T0, T0 + length_ms * MS, rate_out, 16_000)
    assert out.shape == (round(length_ms * rate_out / 1000), 1)
    assert np.abs(out).max() < 1.3  # Gibbs
    at_ms = np.arange(len(out)) / rate_out * 1000
    for at, n in holes:
        deep = (at_ms > at + 12) & (at_ms < at + n - 12) & (at_ms < 1988)
        assert np.abs(out[deep]).max(initial=0.0) < 0.02


def test_frames_are_picked_by_time_not_by_number():
    t = T0 + np.array([-100, 0, 100, 200, 1900, 1990, 2000]) * MS
    assert pick_frames(t, T0, T0 + 2 * S).tolist() == [1, 5]
    assert pick_frames(t, T0, T0 + 2 * S, 3).tolist() == [1, 3, 5]
    assert pick_frames(t, T0, T0 + 2 * S, 1).tolist() == [5]
    assert pick_frames(t, T0, T0 + 2 * S, 4, "centres").tolist() == [3, 3, 4, 4]
    assert pick_frames(t[:2], T0, T0 + 2 * S, 8).tolist() == [1] * 8
    with pytest.raises(ValueError, match="no frame in"):
        pick_frames(t, T0 + 3 * S, T0 + 4 * S)
    with pytest.raises(ValueError, match="unknown mode 'best'"):
        pick_frames(t, T0, T0 + 2 * S, 2, "best")


def test_the_mask_marks_what_is_missing():
    mask = missing_mask([Gap(T0 + 500 * MS, T0 + S)], T0, T0 + 2 * S, 8)
    assert mask.tolist() == [False, False, True, True, False, False, False, False]


def test_a_slow_sensors_step_is_bridged_where_it_is_told_to_be():
    t_ns = np.arange(0, 10, dtype=np.int64) * 500_000_000
    values = (t_ns / 1e9)[:, None]
    held = resample_imu(values, t_ns, 0, 4_000_000_000, 40)
    bridged = resample_imu(values, t_ns, 0, 4_000_000_000, 40, bridge_ns=1_250_000_000)
    assert np.abs(bridged[:, 0] - np.arange(40) / 10).max() < 1e-6
    assert np.abs(held[:, 0] - np.arange(40) / 10).max() > 0.15

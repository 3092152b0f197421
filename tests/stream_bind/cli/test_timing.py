"""Rate, jitter, delay, losses and drift from arrays of stamps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.cli.timing import coming_hz, delay_of, drift_of, losses_of, rate_of, unwrap

T0 = 1_772_366_400_000_000_000


def stamps(rate_hz: float, seconds: float = 5.0):
    return T0 + np.round(np.arange(round(rate_hz * seconds)) * 1e9 / rate_hz).astype(np.int64)


def unmarked(t_ns):
    return np.zeros(len(t_ns), np.bool_)


def test_a_steady_stream_has_its_rate_no_jitter_and_no_holes():
    rate = rate_of(stamps(97), 100)
    assert rate.rate_hz == pytest.approx(97, rel=1e-6)
    assert rate.off_percent == pytest.approx(-3, abs=1e-4)
    assert rate.jitter_p99_ms < 1e-5
    losses = losses_of(stamps(97), unmarked(stamps(97)))
    assert (losses.holes, losses.missing, losses.backwards, losses.repeated) == (0, 0, 0, 0)


def test_jitter_is_the_distance_from_the_usual_interval():
    t_ns = stamps(30)
    t_ns[1::2] += 2_000_000
    rate = rate_of(t_ns, 30)
    # The median interval is one of the two kinds, 4 ms apart, so half of them are 4 ms off.
    assert rate.jitter_p99_ms == pytest.approx(4, abs=0.01)
    assert rate.rate_hz == pytest.approx(30, rel=1e-3)


@pytest.mark.parametrize("t_ns", [[], [T0], [T0, T0 + 10], [T0] * 50])
def test_too_few_samples_have_no_rate(t_ns):
    assert rate_of(np.array(t_ns, np.int64), 100) is None


@given(
    rate_hz=st.sampled_from([9.0, 30.0, 200.0, 1000.0]),
    at=st.floats(0.2, 0.8),
    length=st.integers(1, 40),
    jitter=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_hole_is_found_with_the_number_of_its_samples_whatever_the_jitter(rate_hz, at, length, jitter, seed):
    """Jitter of up to 30 % of a period, one hole."""
    t_ns = stamps(rate_hz, 5 + 50 / rate_hz)
    period = 1e9 / rate_hz
    late = np.random.default_rng(seed).uniform(0, jitter * period, len(t_ns))
    t_ns = np.sort(t_ns + late.astype(np.int64))
    start = round(at * (len(t_ns) - length))
    t_ns = np.delete(t_ns, slice(start, start + length))
    losses = losses_of(t_ns, unmarked(t_ns))
    assert losses.holes == 1
    assert abs(losses.missing - length) <= 1
    assert losses.longest_ms == pytest.approx((length + 1) * period / 1e6, rel=0.4)


def test_a_late_stamp_whose_followers_are_on_time_is_no_hole():
    t_ns = stamps(30)
    t_ns[60:63] += np.array([30, 20, 5], np.int64) * 1_000_000
    losses = losses_of(t_ns, unmarked(t_ns))
    assert losses.holes == 0
    assert rate_of(t_ns, 30).jitter_p99_ms > 10


def test_a_hole_that_the_driver_marked_counts_once():
    t_ns = np.delete(stamps(100), slice(200, 220))
    marked = unmarked(t_ns)
    marked[200] = True
    marked[0] = True  # what was before the first sample is nobody's loss
    losses = losses_of(t_ns, marked)
    assert (losses.holes, losses.missing) == (1, 20)
    marked[300] = True  # lost samples that the stamps do not show
    assert losses_of(t_ns, marked).holes == 2


def test_steps_back_and_repeated_stamps_are_counted():
    t_ns = stamps(100)
    t_ns[50], t_ns[51] = t_ns[51], t_ns[50]
    t_ns[80] = t_ns[79]
    losses = losses_of(t_ns, unmarked(t_ns))
    assert (losses.backwards, losses.repeated) == (1, 1)


def test_delay_is_the_age_of_samples_when_they_come():
    t_ns = stamps(100)
    delay = delay_of(t_ns, t_ns + 12_000_000)
    assert (delay.p50_ms, delay.p99_ms, delay.least_ms) == (12, 12, 12)
    assert delay_of(t_ns, t_ns - 3_000_000).least_ms == -3
    assert delay_of(np.empty(0, np.int64), np.empty(0, np.int64)) is None


@given(
    ppm=st.floats(-300, 300),
    tick_hz=st.sampled_from([1e3, 1e4, 1e6, 1e9]),
    bits=st.sampled_from([None, 32]),
    first=st.integers(0, 2**32 - 1),
    jitter_ms=st.floats(0, 2),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_drift_is_measured_within_its_error(ppm, tick_hz, bits, first, jitter_ms, seed):
    """200 Hz over 5 s, one-sided transport jitter, a counter that may wrap."""
    if bits and tick_hz > 1e8:
        bits = None  # 32 bits of nanoseconds wrap within the look, several times: no sensor does that
    random = np.random.default_rng(seed)
    true_s = np.arange(1000) / 200
    ticks = first + np.floor(true_s * (1 + ppm * 1e-6) * tick_hz).astype(np.int64)
    if bits:
        ticks %= 1 << bits
    arrivals = T0 + ((true_s + 0.004) * 1e9 + random.exponential(jitter_ms * 1e6, 1000)).astype(np.int64)
    drift = drift_of(ticks, arrivals)
    assert drift is not None
    assert drift.tick_hz == tick_hz
    quantum_ppm = 1e6 / tick_hz / 4
    assert abs(drift.ppm - ppm) < 6 * drift.err_ppm + 2 * quantum_ppm + 20 * jitter_ms + 0.1


def test_sound_drifts_by_its_samples():
    counts = np.arange(1, 501) * 480
    arrivals = T0 + np.round(counts / 48_000 / (1 + 150e-6) * 1e9).astype(np.int64)
    assert drift_of(counts, arrivals, 48_000).ppm == pytest.approx(150, abs=0.1)


@pytest.mark.parametrize(
    "ticks",
    [
        np.arange(1000) * 7,  # 1400 a second is no unit of time
        np.concatenate([np.arange(500), np.arange(500)]) * 5000,  # restarted, not wrapped
        np.zeros(1000),
    ],
)
def test_a_counter_that_is_no_clock_has_no_drift(ticks):
    arrivals = T0 + np.arange(1000) * 5_000_000
    assert drift_of(ticks.astype(np.int64), arrivals) is None


def test_a_counter_of_samples_is_a_clock_too():
    counts = np.arange(1, 501) * 480
    arrivals = T0 + np.round(counts / 48_000 * 1e9).astype(np.int64)
    assert drift_of(counts, arrivals) is None
    assert drift_of(counts, arrivals, rate_hz=48_000).tick_hz == 48_000


def test_what_comes_is_counted_by_host_time():
    assert coming_hz(np.array([10, 20, 30]), T0 + np.array([0, 1, 2]) * 100_000_000) == pytest.approx(100)
    assert coming_hz(np.array([10]), np.array([T0])) is None


def test_a_short_look_measures_no_drift():
    assert drift_of(np.arange(100) * 5000, T0 + np.arange(100) * 5_000_000) is None


@given(bits=st.sampled_from([16, 24, 32]), start=st.integers(0, 2**32), step=st.integers(1, 300))
def test_unwrapped_ticks_go_on_where_the_counter_wrapped(bits, start, step):
    true = np.arange(2000, dtype=np.int64) * step
    raw = (start + true) % (1 << bits)
    counted = unwrap(raw)
    assert counted is not None
    if raw.max() > (1 << bits) * 0.9:  # else nothing tells how wide the counter is
        np.testing.assert_array_equal(counted, true)

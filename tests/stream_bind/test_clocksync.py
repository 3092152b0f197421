"""Clock fits against simulated devices whose true time is known. The transport delay (2 ms) is not the fit's to see."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.clocksync import MAX_PPM, ClockFit, SampleClock, line_under

S = 1_000_000_000
MS = 1_000_000
T0 = 1_700_000_000 * S
DELAY_NS = 2 * MS


class Device:
    """Ticks of a device whose clock is `ppm` fast, and when they arrive: batched, jittered, in order."""

    def __init__(
        self,
        rate_hz: float,
        *,
        batch_s: float = 0.0,
        jitter_s: float = 0.0003,
        ppm: float = 0.0,
        seconds: float = 300,
        first_tick: int = 0,
        bits: int = 32,
    ) -> None:
        rng = np.random.default_rng(0)
        true_s = np.arange(0, seconds, 1 / rate_hz)
        self.ticks = (np.round(true_s * (1 + ppm * 1e-6) * 1e6).astype(np.int64) + first_tick) % (1 << bits)
        arrival = true_s + DELAY_NS / S
        if batch_s:
            arrival = np.ceil(arrival / batch_s) * batch_s
        _, batch = np.unique(arrival, return_inverse=True)
        arrival = np.maximum.accumulate(arrival + rng.exponential(jitter_s, batch.max() + 1)[batch])
        self.true_ns = T0 + np.round(true_s * S).astype(np.int64)
        self.host_ns = T0 + np.round(arrival * S).astype(np.int64)

    def stamp(self, fit: ClockFit) -> np.ndarray:
        """Stamps of all samples, read by read as they arrive."""
        edges = np.flatnonzero(np.diff(self.host_ns, prepend=-1, append=-1))
        return np.concatenate([fit.stamp(self.ticks[a:b], int(self.host_ns[a])) for a, b in itertools.pairwise(edges)])

    def error_ms(self, stamps: np.ndarray) -> np.ndarray:
        return (stamps - self.true_ns - DELAY_NS) / MS


SOURCES = {  # worst error measured (ms): in the first 60 s, after
    "1 kHz over USB, 1 ms": ({"rate_hz": 1000, "batch_s": 0.001}, 0.6, 0.001),
    "400 Hz over FTDI, 16 ms batches": ({"rate_hz": 400, "batch_s": 0.016}, 1.8, 0.04),
    "200 Hz, 0.5 ms jitter": ({"rate_hz": 200, "jitter_s": 0.0005}, 0.6, 0.003),
    "10 Hz, 1 ms jitter": ({"rate_hz": 10, "jitter_s": 0.001}, 1.1, 0.12),
    "camera at 30 fps, 4 ms jitter": ({"rate_hz": 30, "jitter_s": 0.004}, 4.3, 0.15),
}


@pytest.mark.parametrize("ppm", [200, -200, 50])
@pytest.mark.parametrize("source", SOURCES)
def test_drift_batching_jitter_and_a_wrap_stay_below_a_millisecond(source, ppm):
    kind, warm_ms, settled_ms = SOURCES[source]
    device = Device(**kind, ppm=ppm, first_tick=2**32 - 100_000_000)  # wraps after 100 s
    fit = ClockFit(1e6, bits=32)
    stamps = device.stamp(fit)
    error = np.abs(device.error_ms(stamps))
    settled = device.true_ns - T0 > 60 * S
    assert error[~settled].max() < max(1.5 * warm_ms, 0.6) <= 6.5
    if "camera" not in source:
        assert error[~settled].max() < 5
    assert error[device.true_ns - T0 > 3 * S].max() < 1
    assert error[settled].max() < max(2 * settled_ms, 0.01) < 1
    assert (np.diff(stamps) > 0).all()
    assert fit.epoch == 0
    assert (stamps <= device.host_ns + len(stamps)).all()
    assert fit.anchor().ppm == pytest.approx(-ppm, abs=2)
    assert fit.err_ns / MS == pytest.approx(error[settled].mean(), abs=0.4)


def test_the_rate_follows_a_clock_that_warms_up_and_never_slews_faster_than_500_ppm():
    seconds = np.arange(0, 400, 0.01)
    # From 0 to 100 ppm within the first 200 s, as a crystal does.
    rate = 1 + 1e-6 * np.minimum(seconds / 2, 100)
    ticks = np.round(np.cumsum(rate) * 0.01 * 1e6).astype(np.int64)
    host = (
        T0
        + np.round(seconds * S).astype(np.int64)
        + np.random.default_rng(0).exponential(3e5, len(seconds)).astype(np.int64)
    )
    host = np.maximum.accumulate(host)
    fit = ClockFit(1e6)
    stamps = np.array([int(fit.stamp([t], int(h))[0]) for t, h in zip(ticks, host, strict=True)])
    error = stamps - (T0 + np.round(seconds * S).astype(np.int64))
    assert np.abs(error[seconds > 10]).max() < 1 * MS
    # Where the stamp is the fit's own and not held down to its arrival.
    free = (stamps < host)[1:] & (stamps < host)[:-1] & (seconds[1:] > 4)
    gained = np.diff(stamps) / (np.diff(ticks) * 1000) - 1
    assert np.abs(gained[free]).max() <= 1e-6 * MAX_PPM * 1.01
    assert free.mean() > 0.9


def test_arrivals_seconds_late_do_not_move_the_fit():
    device = Device(100, seconds=120, jitter_s=0.0005, ppm=30)
    late = device.host_ns.copy()
    for at in (20, 50, 51, 90):  # the host stalls for 2 s, then reads all at once
        stalled = (device.true_ns >= T0 + at * S) & (device.true_ns < T0 + (at + 2) * S)
        late[stalled] = np.maximum(late[stalled], T0 + (at + 2) * S + DELAY_NS)
    device.host_ns = np.maximum.accumulate(late)
    error = device.error_ms(device.stamp(ClockFit(1e6, bits=32)))
    assert np.abs(error[1000:]).max() < 0.5


def test_one_glitched_tick_from_the_future_does_not_poison_the_envelope():
    device = Device(200, seconds=60, ppm=20)
    device.ticks[4000] += 40_000
    stamps = device.stamp(ClockFit(1e6, bits=32))
    error = device.error_ms(stamps)
    assert stamps[4000] <= device.host_ns[4000]
    assert np.abs(np.delete(error, slice(3999, 4012))[800:]).max() < 0.5


@pytest.mark.parametrize("bits", [16, 32, None])
def test_a_restarted_counter_begins_a_new_fit_without_running_backwards(bits):
    a = Device(100, seconds=30, bits=40, first_tick=1_000_000)
    fit = ClockFit(1e6 if bits != 16 else 1000, bits=bits)
    scale = 1 if bits != 16 else 1000
    a.ticks //= scale
    first = a.stamp(fit)
    b = Device(100, seconds=30, first_tick=0, bits=40)
    b.ticks //= scale
    b.host_ns += 31 * S
    b.true_ns += 31 * S
    second = b.stamp(fit)
    assert fit.epoch == 1
    assert second[0] > first[-1]
    assert np.abs(b.error_ms(second)).max() < 2
    assert (np.diff(second) > 0).all()


def test_a_counter_that_was_silent_for_longer_than_its_span_is_still_known():
    fit = ClockFit(1000, bits=16)  # wraps every 65.5 s
    for k in range(1000):
        fit.add(k * 10, T0 + k * 10 * MS)
    gone_ms = 10_000 + 200_000
    fit.add(gone_ms % 65536, T0 + gone_ms * MS)
    assert fit.epoch == 0
    assert int(fit.to_host_ns([gone_ms % 65536])[0]) == pytest.approx(T0 + gone_ms * MS, abs=1 * MS)


def test_a_counter_that_counts_on_from_elsewhere_is_found_out_after_a_few_seconds():
    fit = ClockFit(1e6, bits=32)
    for k in range(1000):
        fit.add(k * 10_000, T0 + k * 10 * MS)
    for k in range(1000):  # back after 100 s, as if 20 s had passed
        fit.stamp([30_000_000 + k * 10_000], T0 + 110 * S + k * 10 * MS)
    assert fit.epoch == 1
    assert int(fit.to_host_ns([30_000_000 + 9_990_000])[0]) == pytest.approx(T0 + 110 * S + 9990 * MS, abs=1 * MS)


def test_a_packet_overtaken_by_the_next_is_no_restart():
    fit = ClockFit(1e6, bits=32)
    for tick in (0, 10_000, 30_000, 20_000, 40_000):
        fit.add(tick, T0 + tick * 1000)
    assert fit.epoch == 0
    assert fit.to_host_ns([20_000, 40_000]).tolist() == [T0 + 20 * MS, T0 + 40 * MS]


def test_the_driver_may_say_that_the_counter_restarted():
    fit = ClockFit(1e6)
    fit.add(5_000_000, T0)
    fit.restart()
    fit.add(5_100_000, T0 + 9 * S)
    assert fit.epoch == 1
    assert fit.to_host_ns([5_100_000]).tolist() == [T0 + 9 * S]


def test_equal_ticks_keep_equal_stamps_and_no_ticks_give_none():
    fit = ClockFit(1e6)
    assert fit.stamp([], T0).tolist() == []
    stamps = fit.stamp([0, 10_000, 10_000], T0)
    assert stamps.tolist() == [T0 - 10 * MS, T0, T0]


def test_the_anchor_states_the_model():
    device = Device(200, seconds=90, ppm=100, first_tick=7_000_000)
    fit = ClockFit(1e6, bits=32)
    stamps = device.stamp(fit)
    anchor = fit.anchor()
    told = anchor.host_ns0 + (int(device.ticks[-500]) - anchor.tick0) * 1e9 / anchor.tick_hz * (1 + anchor.ppm * 1e-6)
    assert told == pytest.approx(int(stamps[-500]), abs=20_000)
    assert (anchor.epoch, anchor.tick_hz) == (0, 1e6)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="tick_hz must be above 0"):
        ClockFit(0)
    with pytest.raises(ValueError, match="not both"):
        ClockFit(1, bits=8, modulus=9)
    with pytest.raises(ValueError, match="no tick was added yet"):
        ClockFit(1).to_host_ns([1])


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=40))
def test_the_line_lies_under_all_points_and_touches_two(values):
    x = np.arange(len(values), dtype=float)
    y = np.array(values, dtype=float)
    slope, at, value = line_under(x, y)
    above = y - (value + slope * (x - at))
    assert above.min() > -1e-6
    assert (above < 1e-6).sum() >= 2
    # No line through two points that lies under all has a smaller sum.
    for i in range(len(x)):
        for j in range(i):
            k = (y[i] - y[j]) / (x[i] - x[j])
            other = y - (y[i] + k * (x - x[i]))
            if other.min() > -1e-9:
                assert above.sum() <= other.sum() + 1e-6


@settings(deadline=None, max_examples=50)
@given(
    reads=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 80), st.integers(-5, 5)), min_size=1, max_size=60),
    bits=st.sampled_from([None, 24, 32]),
)
def test_stamps_are_strictly_increasing_whatever_arrives(reads, bits):
    fit = ClockFit(1e6, bits=bits)
    tick, host, out = 0, T0, []
    for n, wait_ms, jump_s in reads:
        host += wait_ms * MS
        if jump_s == 5:
            tick = 0
        ticks = tick + np.arange(1, n + 1) * 5000
        tick = int(ticks[-1])
        out.append(fit.stamp(ticks % (1 << bits) if bits else ticks, host))
    assert (np.diff(np.concatenate(out)) > 0).all()


def blocks(
    seconds: float, *, rate_hz: float = 48_000, ppm: float = 0.0, n: int = 480, jitter_s: float = 0.002, seed: int = 0
):
    """Per block: true start, arrival, ADC time with jitter of its own."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz / n)
    start_s = np.arange(count) * n / (rate_hz * (1 + ppm * 1e-6))
    end_s = start_s + n / (rate_hz * (1 + ppm * 1e-6))
    arrival = np.maximum.accumulate(end_s + rng.exponential(jitter_s, count))
    adc = start_s + rng.exponential(0.0003, count)
    to_ns = lambda s: (T0 + np.round(s * S)).astype(np.int64)  # noqa: E731
    return to_ns(start_s), to_ns(arrival), to_ns(adc)


@pytest.mark.parametrize("ppm", [200, -200])
@pytest.mark.parametrize("with_adc", [True, False])
def test_the_sample_counter_follows_true_time_within_half_a_millisecond(ppm, with_adc):
    clock = SampleClock(48_000)
    start, arrival, adc = blocks(120, ppm=ppm)
    stamps, gaps = zip(
        *(clock.stamp(480, int(a), int(d) if with_adc else None) for a, d in zip(arrival, adc, strict=True)),
        strict=True,
    )
    error_ms = (np.array([t[0] for t in stamps]) - start) / MS
    # Measured: with ADC time 0.5 ms in the first minute (before the slope is known), 0.005 after; without 1.4, 0.01.
    assert np.abs(error_ms).max() < (1 if with_adc else 5)
    assert np.abs(error_ms[6000:]).max() < 0.5
    assert not any(gaps)
    assert (np.diff(np.concatenate(stamps[:500])) > 0).all()
    assert clock.clock.domain == "device"
    assert clock.anchor().ppm == pytest.approx(-ppm, abs=10)


def test_lost_sound_that_nobody_reported_is_found_when_adc_time_and_counter_disagree():
    clock = SampleClock(48_000)
    start, arrival, adc = blocks(30)
    kept = np.delete(np.arange(len(start)), slice(1000, 1010))  # 100 ms lost
    found = [clock.stamp(480, int(arrival[k]), int(adc[k])) for k in kept]
    gaps = [k for k, (_, gap) in zip(kept, found, strict=True) if gap]
    assert gaps == [1011]  # in the second block after the loss
    assert clock.anchored == 1
    error_ms = np.array([(t[0] - start[k]) / MS for k, (t, _) in zip(kept, found, strict=True)])
    assert np.abs(np.delete(error_ms, 1000)).max() < 1


def test_reported_loss_anchors_at_once():
    clock = SampleClock(48_000)
    start, arrival, _ = blocks(10, jitter_s=0.0005)
    assert clock.stamp(480, int(arrival[0]), lost=True)[1] is False  # before the first block nothing was lost
    for k in range(1, 500):
        clock.stamp(480, int(arrival[k]))
    t, gap = clock.stamp(480, int(arrival[600]), lost=True)
    assert gap
    assert t[0] == pytest.approx(start[600], abs=5 * MS)


def test_one_odd_adc_time_or_one_that_stands_still_is_not_believed():
    clock = SampleClock(48_000)
    start, arrival, adc = blocks(30)
    adc[500] += 30 * MS
    adc[900:] = 0
    found = [clock.stamp(480, int(a), int(d)) for a, d in zip(arrival, adc, strict=True)]
    assert not any(gap for _, gap in found)
    error_ms = np.array([(t[0] - x) / MS for (t, _), x in zip(found, start, strict=True)])
    assert np.abs(error_ms).max() < 1


def test_an_empty_block_has_no_stamps():
    t, gap = SampleClock(48_000).stamp(0, T0)
    assert (len(t), gap) == (0, False)


@pytest.mark.parametrize("jitter", ["uniform", "exponential"])
@pytest.mark.parametrize("rate_hz", [30, 200, 1000])
@pytest.mark.parametrize("ppm", [100, -100])
def test_a_wrap_and_a_three_second_hole_leave_stamps_within_a_millisecond_after_a_minute(rate_hz, ppm, jitter):
    """Measured, worst of three seeds: 0.13 ms after 60 s, 0.73 ms from 3 s on, 3.2 ms before that."""
    rng = np.random.default_rng(1)
    true_s = np.arange(0, 120, 1 / rate_hz)
    true_s = true_s[(true_s < 50) | (true_s >= 53)]
    first = 2**32 - 30_000_000  # wraps after 30 s
    ticks = (np.round(true_s * (1 + ppm * 1e-6) * 1e6).astype(np.int64) + first) % 2**32
    late_s = rng.uniform(0, 0.005, len(true_s))
    if jitter == "exponential":
        late_s = np.minimum(rng.exponential(0.0015, len(true_s)), 0.005)
    host_ns = T0 + DELAY_NS + np.round(np.maximum.accumulate(true_s + late_s) * S).astype(np.int64)
    fit = ClockFit(1e6, bits=32)
    stamps = np.concatenate([fit.stamp([tick], int(host)) for tick, host in zip(ticks, host_ns, strict=True)])
    error_ms = np.abs(stamps - T0 - DELAY_NS - np.round(true_s * S).astype(np.int64)) / MS
    assert error_ms[true_s >= 60].max() < 0.3
    assert error_ms[true_s >= 3].max() < 1.0
    assert error_ms.max() < 5.0
    assert (np.diff(stamps) > 0).all()
    assert fit.epoch == 0

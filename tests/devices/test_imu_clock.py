"""Stamps of motion samples on made-up arrivals: batches, wraps, restarts, losses, and reopened connections."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from devices.imu_clock import ImuClock
from devices.protocols.base import ImuSamples

START_NS = 1_795_000_000 * 10**9
Int = NDArray[np.int64]


def samples(
    n: int, ticks: Int | None = None, counts: Int | None = None, bad_before: list[int] | None = None
) -> ImuSamples:
    bad = np.zeros(n, np.int64) if bad_before is None else np.array(bad_before)
    return ImuSamples(np.zeros((n, 3)), bad, ticks, counts)


def batched(true_ns: Int, batch_ns: int) -> list[tuple[slice, int]]:
    """The samples as an adapter delivers them that hands over its bytes every batch_ns."""
    due = -(-(true_ns - true_ns[0] + 1) // batch_ns)
    edges = [0, *(np.flatnonzero(np.diff(due)) + 1).tolist(), len(true_ns)]
    return [(slice(a, b), int(true_ns[0] + due[a] * batch_ns)) for a, b in pairwise(edges) if b > a]


def test_batches_of_16_ms_do_not_show_in_stamps_from_device_time() -> None:
    """An FTDI adapter left as it is, a 400 Hz sensor 80 ppm fast, its 32-bit microseconds wrapping on the way."""
    n = 400 * 60
    true_ns = START_NS + (np.arange(n) * 2_500_000).astype(np.int64)
    ticks = (np.rint((true_ns - START_NS) / 1e3 * (1 + 80e-6)).astype(np.int64) + 2**32 - 20_000_000) % 2**32
    clock = ImuClock(400, 1e6, 2**32, None)
    out, naive = [], []
    for part, host_ns in batched(true_ns, 16_000_000):
        t_ns, lost = clock.stamp(samples(part.stop - part.start, ticks[part]), host_ns)
        assert not lost.any()
        out.append(t_ns)
        naive += [host_ns] * (part.stop - part.start)
    error = np.concatenate(out) - true_ns
    assert (np.diff(np.concatenate(out)) > 0).all()
    after = error[400 * 5 :] / 1e6
    constant = np.median(after)
    # What clocksync measured for this transport: 0.5 ms to the 60th second; arrivals are off by the whole batch.
    assert np.abs(after - constant).max() < 0.5
    assert np.ptp(np.array(naive) - true_ns) / 1e6 > 12
    assert clock.restarts == 0


def test_batches_of_16_ms_even_out_for_a_sensor_that_sends_only_a_counter() -> None:
    n = 100 * 30
    true_ns = START_NS + np.rint(np.arange(n) / 99.5 * 1e9).astype(np.int64)
    clock = ImuClock(100, None, None, 256)
    out = []
    for part, host_ns in batched(true_ns, 16_000_000):
        counts = np.arange(part.start, part.stop) % 256
        t_ns, lost = clock.stamp(samples(len(counts), counts=counts), host_ns)
        assert not lost.any()
        out.append(t_ns)
    error = (np.concatenate(out) - true_ns)[1500:] / 1e6
    assert np.abs(error - np.median(error)).max() < 3.0
    assert clock.clock.domain == "host"


def feed(clock: ImuClock, ticks: list[int], host_s: float) -> tuple[list[float], list[bool]]:
    t_ns, lost = clock.stamp(samples(len(ticks), np.array(ticks)), START_NS + round(host_s * 1e9))
    return ((t_ns - START_NS) / 1e9).tolist(), lost.tolist()


def test_ticks_that_go_on_while_the_connection_was_away_keep_their_clock() -> None:
    clock = ImuClock(100, 1e3, 2**32, None)
    for i in range(300):
        feed(clock, [5000 + i * 10], i * 0.01)
    clock.reopened()
    # 20 s later; the first read of the new connection is 100 ms late, and the model knows.
    t_s, lost = feed(clock, [5000 + 23_000], 23.1)
    assert t_s == pytest.approx([23.0], abs=0.002)
    assert clock.restarts == 0
    assert lost == [False]


def test_ticks_that_began_anew_while_it_was_away_are_anchored_anew() -> None:
    """Even where they lie ahead of the last ones: a sensor that ran for 3 s, was away for 20, and came back 5 s ago."""
    clock = ImuClock(100, 1e3, 2**32, None)
    for i in range(300):
        feed(clock, [i * 10], i * 0.01)
    clock.reopened()
    t_s, _ = feed(clock, [5000, 5010], 23.0)
    assert t_s == pytest.approx([22.99, 23.0], abs=0.002)
    assert clock.restarts == 1


def test_a_wrap_while_it_was_away_is_no_restart() -> None:
    clock = ImuClock(100, 1e6, 2**32, None)
    feed(clock, [2**32 - 5_000_000], 0.0)
    clock.reopened()
    t_s, _ = feed(clock, [5_000_000], 10.05)
    assert t_s == pytest.approx([10.0], abs=0.06)
    assert clock.restarts == 0


def test_a_restart_in_the_middle_of_a_batch_is_cut_there() -> None:
    clock = ImuClock(100, 1e3, 2**32, None)
    for i in range(1000):
        feed(clock, [i * 10], i * 0.01)
    t_s, lost = feed(clock, [10_000, 10_010, 3, 13], 10.04)
    assert lost == [False, False, True, False]
    assert t_s == pytest.approx([10.0, 10.01, 10.03, 10.04], abs=0.012)
    assert clock.restarts == 1


def test_a_clock_that_was_set_ahead_is_a_restart_and_no_stamp_lies_in_the_future() -> None:
    """MAVLink's time_usec becomes UNIX time once the vehicle knows it."""
    clock = ImuClock(100, 1e6, None, None)
    for i in range(100):
        feed(clock, [i * 10_000], i * 0.01)
    t_s, lost = feed(clock, [1_000_000, 1_795_000_000_000_000, 1_795_000_000_010_000], 1.02)
    assert lost == [False, True, False]
    assert max(t_s) <= 1.02 + 1e-6


def test_ticks_coarser_than_the_samples_still_give_increasing_stamps() -> None:
    clock = ImuClock(1000, 100.0, None, None)
    out = [feed(clock, [i // 10], i / 1000)[0][0] for i in range(200)]
    t_ns, _ = clock.stamp(samples(3, np.array([20, 20, 20])), START_NS + 200_000_000)
    assert (np.diff(t_ns) > 0).all()
    assert all(b >= a for a, b in pairwise(out))


def number(clock: ImuClock, counts: list[int], host_s: float) -> list[bool]:
    return clock.stamp(samples(len(counts), counts=np.array(counts)), START_NS + round(host_s * 1e9))[1].tolist()


def test_a_counter_tells_what_was_lost_and_where() -> None:
    clock = ImuClock(100, None, None, 256)
    assert number(clock, [253, 254, 255, 0], 0.0) == [False] * 4
    assert number(clock, [1, 4, 5], 0.05) == [False, True, False]
    assert clock.lost_samples == 2
    assert clock.restarts == 0


def test_a_counter_that_begins_anew_is_told_but_not_counted_as_a_loss_of_thousands() -> None:
    clock = ImuClock(100, None, None, 65536)
    number(clock, [30_000, 30_001], 0.0)
    assert number(clock, [0, 1], 0.02) == [True, False]
    assert (clock.lost_samples, clock.restarts) == (0, 1)


def test_samples_without_a_counter_are_lost_where_a_packet_was_broken() -> None:
    clock = ImuClock(100, None, None, None)
    _, lost = clock.stamp(samples(3, bad_before=[0, 2, 0]), START_NS)
    assert lost.tolist() == [False, True, False]
    assert clock.lost_samples == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_time_never_runs_backwards_whatever_the_ticks_say(data: st.DataObject) -> None:
    clock = ImuClock(100, 1e3, data.draw(st.sampled_from([None, 2**16, 2**32])), None)
    host_ns, newest = START_NS, -1
    for _ in range(data.draw(st.integers(1, 12))):
        host_ns += data.draw(st.integers(0, 3_000_000_000))
        ticks = data.draw(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=5))
        if data.draw(st.booleans()):
            clock.reopened()
        t_ns, lost = clock.stamp(samples(len(ticks), np.array(ticks)), host_ns)
        assert len(t_ns) == len(lost) == len(ticks)
        assert (np.diff(t_ns, prepend=newest) > 0).all()
        newest = int(t_ns[-1])

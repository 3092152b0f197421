"""The time of a network camera's pictures, in numbers: no camera, no waiting."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from devices.stream_clock import Seen, StreamClock
from stream_bind.errors import DeviceError

T0 = 1_790_000_000_000_000_000
PERIOD = 33_333_333
HZ = 90_000.0


def make() -> tuple[StreamClock, Counter[str]]:
    counters: Counter[str] = Counter()
    return StreamClock("cam", counters), counters


def tick(i: int) -> int:
    return round(i * PERIOD * HZ / 1e9)


@pytest.mark.parametrize("pause_ns", [0, 60_000_000], ids=["at once", "with a pause in it"])
def test_a_burst_of_old_pictures_is_dropped_and_what_follows_stamped_right(pause_ns: int) -> None:
    clock, counters = make()
    clock.opened("fit", HZ)
    rng = np.random.default_rng(1)
    errors = []
    for i in range(300):
        taken_ns = T0 + i * PERIOD
        # The first 30 come at once when the last of them is taken, the others up to 8 ms late.
        arrived_ns = taken_ns + int(rng.integers(0, 8_000_000))
        if i < 30:
            arrived_ns = T0 + 29 * PERIOD + i * 200_000 - (pause_ns if i < 10 else 0)
        stamped = clock.stamp(Seen(arrived_ns, 0, tick(i)))
        if stamped is not None:
            errors.append(stamped[0] - taken_ns)
            assert stamped[1].domain == "device"
    assert 29 <= counters["burst_frames"] <= 34
    assert len(errors) == 300 - counters["burst_frames"]
    assert max(map(abs, errors)) < 10_000_000
    assert max(map(abs, errors[100:])) < 2_000_000


def test_a_picture_without_a_tick_has_no_time() -> None:
    clock, counters = make()
    clock.opened("fit", HZ)
    assert clock.stamp(Seen(T0)) is None
    assert counters["burst_frames"] == 1, "FFmpeg's first"
    for i in range(1, 9):
        clock.stamp(Seen(T0 + i * PERIOD, 0, tick(i)))
    assert clock.stamp(Seen(T0 + 9 * PERIOD)) is None
    assert counters["unstamped_frames"] == 1


def test_time_goes_on_where_the_ticks_begin_anew() -> None:
    clock, _ = make()
    stamps = []
    for connection in range(3):
        clock.opened("fit", HZ)
        for i in range(60):
            taken_ns = T0 + connection * 5_000_000_000 + i * PERIOD
            stamped = clock.stamp(Seen(taken_ns + 3_000_000, 0, tick(i) + 1000 * connection))
            if stamped is not None:
                stamps.append(stamped[0])
                assert abs(stamped[0] - taken_ns - 3_000_000) < 1_000_000
    assert (np.diff(stamps) > 0).all()


def test_time_never_goes_back_from_one_way_to_another() -> None:
    clock, _ = make()
    clock.opened("arrival")
    first = clock.stamp(Seen(T0, 5))
    assert first is not None
    assert first[1].err_ns == 5
    assert first[1].domain == "host"
    clock.opened("sender")
    again = clock.stamp(Seen(T0 + 10, sender_ns=T0 - 500))
    assert again is not None
    assert again[0] == T0 + 1


def test_the_senders_time_is_taken_as_it_is() -> None:
    clock, counters = make()
    clock.opened("sender")
    assert clock.stamp(Seen(T0, 0, 0)) is None, "no report yet"
    stamped = clock.stamp(Seen(T0 + 10**9, 0, 5, T0 + 999_000_000))
    assert stamped is not None
    assert stamped[0] == T0 + 999_000_000
    assert stamped[1].domain == "device"
    assert counters["unstamped_frames"] == 1


@pytest.mark.parametrize(("off_s", "words"), [(-3600.0, r"3600\.0 s behind ours"), (2.5, r"2\.5 s ahead of ours")])
def test_a_camera_whose_clock_is_not_set_is_not_believed(off_s: float, words: str) -> None:
    clock, _ = make()
    clock.opened("sender")
    with pytest.raises(DeviceError, match=words) as caught:
        clock.stamp(Seen(T0, sender_ns=T0 + round(off_s * 1e9)))
    assert "time: auto" in str(caught.value)
    assert not caught.value.permanent, "it may get its time yet"


def test_a_camera_that_never_tells_its_time_is_given_up() -> None:
    clock, _ = make()
    clock.opened("sender")
    for i in range(300):
        assert clock.stamp(Seen(T0 + i * PERIOD, 0, tick(i))) is None
    with pytest.raises(DeviceError, match="RTCP sender reports"):
        clock.stamp(Seen(T0 + 11 * 10**9, 0, 1))

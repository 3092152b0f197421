"""How old a motion-JPEG picture is, against a body whose bytes come when the test says, under a clock that it moves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest

from devices.mjpeg_source import MjpegSource
from devices.pixels import BrokenFrame
from devices.stream_picture import Picture
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError

T0 = 1_790_000_000_000_000_000
JPEG = cv2.imencode(".jpg", np.full((8, 16, 3), (10, 20, 200), np.uint8))[1].tobytes()


def part(jpeg: bytes = JPEG, headers: str = "") -> bytes:
    return f"--b\r\nContent-Length: {len(jpeg)}\r\n{headers}\r\n".encode() + jpeg + b"\r\n"


class Body:
    """Bytes with the time (s after T0) they come; a reader that comes later finds them waiting."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.due: list[tuple[float, bytes]] = []
        self.over = False

    def now(self) -> float:
        return (self.clock.unix_ns() - T0) / 1e9

    def receive(self) -> bytes | None:
        data = b""
        while self.due and self.due[0][0] <= self.now() + 1e-9 and len(data) < 4096:
            data += self.due.pop(0)[1]
        return None if not data and self.over and not self.due else data

    def wait(self, timeout_s: float) -> bool:
        until = min(self.now() + timeout_s, self.due[0][0] if self.due else 1e9)
        self.clock.advance(max(0.0, until - self.now()))
        return bool(self.due) and self.due[0][0] <= self.now() + 1e-9

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, rate_hz: float = 20.0, header: str = "") -> None:
        self.clock = ManualClock(T0)
        self.body = Body(self.clock)
        self.counters: Counter[str] = Counter()
        body: Any = self.body
        self.source = MjpegSource("cam", body, self.clock, self.counters, rate_hz=rate_hz, header=header)

    def pictures(self, until_s: float) -> list[Picture]:
        out = []
        while (left_s := until_s - self.body.now()) > 1e-6:
            picture = self.source.take(min(left_s, 0.2))
            if picture is not None:
                out.append(picture)
        return out


def times(pictures: list[Picture]) -> list[float]:
    return [round((p.seen.arrived_ns - T0) / 1e9, 3) for p in pictures]


def test_a_picture_is_of_the_time_its_first_byte_came() -> None:
    bench = Bench()
    whole = part()
    at = whole.index(JPEG)
    # Header, first half, second half: a slow link.
    bench.body.due = [(0.5, whole[:at]), (0.51, whole[at : at + 40]), (0.53, whole[at + 40 :])]
    (picture,) = bench.pictures(1.0)
    assert times([picture]) == [0.51]
    assert picture.seen.err_ns == 0
    assert not picture.gap
    assert picture.jpeg == JPEG
    assert picture.pixels()[4, 8].tolist() == pytest.approx([200, 20, 10], abs=6)


def test_what_waited_while_nobody_read_is_dropped_to_the_newest_and_counted() -> None:
    bench = Bench()
    bench.body.due = [(k * 0.05, part()) for k in range(1, 201)]
    assert len(bench.pictures(1.01)) == 20
    bench.clock.advance(5.0)
    late = bench.pictures(9.0)
    assert times(late)[0] == pytest.approx(6.05, abs=0.06), "caught up at once"
    assert late[0].gap
    assert not any(p.gap for p in late[1:])
    assert np.diff(times(late)) == pytest.approx(0.05)
    assert bench.counters["stale_frames"] == 100 + (times(late)[0] > 6.06)


def test_a_camera_that_catches_up_itself_is_not_believed_either() -> None:
    bench = Bench()
    bench.body.due = [(k * 0.05, part()) for k in range(1, 21)]
    # What it could not send came 1 ms after the other once there was room again, then one a period.
    bench.body.due += [(6.0 + k * 0.001, part()) for k in range(60)]
    bench.body.due += [(6.1 + k * 0.05, part()) for k in range(20)]
    assert len(bench.pictures(1.01)) == 20
    bench.clock.advance(4.99)
    late = bench.pictures(7.0)
    assert times(late)[0] == pytest.approx(6.1, abs=0.06)
    assert bench.counters["stale_frames"] >= 60


def test_a_reader_busy_for_a_moment_loses_nothing() -> None:
    bench = Bench()
    bench.body.due = [(k * 0.05, part()) for k in range(1, 41)]
    assert len(bench.pictures(1.01)) == 20
    bench.clock.advance(0.12)
    late = bench.pictures(2.01)
    assert len(late) == 20
    assert late[0].seen.err_ns == pytest.approx(0.12e9, abs=0.05e9), "but says how unsure it is"
    assert bench.counters["stale_frames"] == 0


def test_a_camera_faster_than_the_config_says_is_followed() -> None:
    bench = Bench(rate_hz=5.0)
    bench.body.due = [(k * 0.02, part()) for k in range(1, 501)]
    assert len(bench.pictures(3.0)) >= 149
    bench.clock.advance(2.0)
    late = bench.pictures(9.0)
    assert times(late)[0] < 5.1
    assert late[0].gap


def test_pictures_that_tell_their_time_are_all_delivered() -> None:
    bench = Bench(header="X-Timestamp")
    bench.body.due = [(k * 0.05, part(headers=f"x-timestamp: {1000 + k * 0.05:.6f}\r\n")) for k in range(1, 101)]
    bench.pictures(1.01)
    bench.clock.advance(3.0)
    late = bench.pictures(4.02)
    assert len(late) == 60
    assert late[0].seen.tick == 1001_050_000_000
    assert bench.counters["stale_frames"] == 0


@pytest.mark.parametrize("said", ["", "X-Timestamp: soon\r\n", "X-Timestamp: NaN\r\n", "X-Timestamp: 1e999\r\n"])
def test_a_missing_time_is_said_with_what_there_is(said: str) -> None:
    bench = Bench(header="X-Timestamp")
    bench.body.due = [(0.1, part(headers=f"{said}X-Framerate: 25\r\n"))]
    with pytest.raises(DeviceError, match=r"wanted seconds that advance in header x-timestamp.*x-framerate"):
        bench.pictures(1.0)


def test_a_time_that_stands_still_is_no_time() -> None:
    bench = Bench(header="X-Timestamp")
    bench.body.due = [(k * 0.05, part(headers="X-Timestamp: 0.000000\r\n")) for k in range(1, 40)]
    with pytest.raises(DeviceError, match=r"advance.*found '0\.000000'"):
        bench.pictures(2.0)


def test_a_cut_picture_is_broken_and_what_is_none_is_left_out() -> None:
    bench = Bench()
    bench.body.due = [(0.1, part(JPEG[:-30])), (0.2, part(b"no picture")), (0.3, part())]
    cut, good = bench.pictures(1.0)
    with pytest.raises(BrokenFrame):
        cut.pixels()
    assert good.pixels().shape == (8, 16, 3)
    assert good.gap
    assert bench.counters["bad_packets"] == 1


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000, 1_000_000_000])
def test_unix_time_is_understood_in_seconds_and_in_smaller_units(factor: int) -> None:
    bench = Bench(header="X-Timestamp")
    bench.body.due = [(0.1, part(headers=f"X-Timestamp: {1_800_000_000 * factor}\r\n"))]
    assert bench.pictures(1.0)[0].seen.tick == 1_800_000_000 * 10**9


def test_pictures_are_brought_to_the_size_that_was_first() -> None:
    bench = Bench()
    bench.source.size = (4, 8)
    bench.body.due = [(0.1, part())]
    (picture,) = bench.pictures(0.5)
    assert picture.pixels().shape == (4, 8, 3)


def test_the_end_is_an_error_after_the_last_picture() -> None:
    bench = Bench()
    bench.body.due, bench.body.over = [(0.1, part())], True
    assert bench.source.take(0.2) is not None
    with pytest.raises(DeviceError, match="ended the stream"):
        bench.source.take(0.2)

"""The reader thread over a scripted device: faults, reopening, endings, drivers that hang or have a bug."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from actors.inbox import Arrival, Inbox
from actors.reader import Reader
from stream_bind.adjust import Adjust
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk, StreamSpec
from stream_bind.restart import Backoff

SPEC = StreamSpec("imu", "imu", 20.0, (1,), "float32", "si", ("accel_x",))
END = EndOfStream()


def chunk(t_ns: int) -> Chunk:
    return Chunk(np.ones((1, 1), np.float32), np.array([t_ns]))


class Device:
    """Delivers what is put into `reads`; `opens` holds what the next opens raise."""

    spec = SPEC

    def __init__(self) -> None:
        self.reads: queue.Queue[Any] = queue.Queue()
        self.opens: list[Exception] = []
        self.calls: list[str] = []
        self.closed = threading.Event()
        self.reading = threading.Event()

    def open(self) -> None:
        self.calls.append("open")
        self.closed.clear()
        if self.opens:
            raise self.opens.pop(0)

    def read(self, timeout_s: float) -> Chunk | None:
        self.reading.set()
        item = self.reads.get(timeout=10.0)
        if isinstance(item, Exception):
            raise item
        if callable(item):
            item()
            return None
        return item  # type: ignore[no-any-return]

    def close(self) -> None:
        self.calls.append("close")
        self.closed.set()


class Bench:
    def __init__(self, *, patient: bool = False, adjust: Any = None) -> None:
        self.device = Device()
        self.clock = ManualClock(unix_ns=1_000)
        self.arrived: queue.Queue[Arrival] = queue.Queue()
        inbox = Inbox(lambda: None)
        inbox.put = self.arrived.put  # type: ignore[method-assign]
        backoff = Backoff(1e-3, 1e-2, uniform=lambda: 0.5)
        adjust = adjust or Adjust(SPEC)
        self.reader = Reader("imu", self.device, adjust, inbox, self.clock, backoff, patient=patient)

    def next(self) -> Arrival:
        return self.arrived.get(timeout=5.0)

    def start(self, *reads: Any, opens: tuple[Exception, ...] = (), hold: bool = False) -> Bench:
        self.device.opens = list(opens)
        for item in reads:
            self.device.reads.put(item)
        self.reader.start(hold=hold)
        return self


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**settings: Any) -> Bench:
        made.append(Bench(**settings))
        return made[-1]

    yield make
    for it in made:
        it.reader.ask_to_stop()
        it.device.reads.put(None)
        if it.device.calls:
            assert it.reader.stop(5.0)


def test_chunks_arrive_stamped_with_host_time_until_the_recording_ends(bench) -> None:
    it = bench().start(chunk(1), None, chunk(2), END)
    arrivals = [it.next() for _ in range(3)]
    assert [int(a.chunk.t_ns[0]) for a in arrivals[:2]] == [1, 2]
    assert arrivals[0].arrived_ns == 1_000
    assert arrivals[2].end
    assert it.device.closed.wait(5.0)
    assert it.device.calls == ["open", "close"]


def test_chunks_are_adjusted(bench) -> None:
    it = bench(adjust=Adjust(SPEC, delay_ms=1e-6 * 5)).start(chunk(100))
    assert int(it.next().chunk.t_ns[0]) == 95


def test_a_device_that_cannot_be_opened_at_the_start_is_fatal(bench) -> None:
    it = bench().start(opens=(DeviceError("imu: no such port; check the cable"),))
    assert it.next().fatal == "imu: no such port; check the cable"
    assert not it.reader.opened.is_set()
    assert it.device.calls == ["open", "close", "close"]


def test_after_a_restart_of_its_actor_a_device_that_is_not_there_yet_is_waited_for(bench) -> None:
    it = bench(patient=True).start(chunk(7), opens=(DeviceError("away"), DeviceError("away")))
    assert it.next().notice.reason == "device_back"
    assert int(it.next().chunk.t_ns[0]) == 7
    assert it.device.calls.count("open") == 3


def test_not_even_a_restarted_actor_waits_for_what_cannot_come(bench) -> None:
    it = bench(patient=True).start(opens=(DeviceError("no such file", permanent=True),))
    assert it.next().fatal == "no such file"


def test_a_device_that_breaks_is_reopened_with_two_notices_and_a_gap(bench) -> None:
    it = bench().start(chunk(1), DeviceError("unplugged"), chunk(9), chunk(10), opens=())
    first, lost = it.next(), it.next()
    assert not first.chunk.gap_before
    assert (lost.notice.reason, lost.notice.detail) == ("device_lost", "unplugged")
    assert it.next().notice.reason == "device_back"
    assert [(int(c.t_ns[0]), c.gap_before) for c in (it.next().chunk, it.next().chunk)] == [(9, True), (10, False)]
    assert it.device.calls == ["open", "close", "open"]


def test_the_event_of_a_return_holds_the_hole_in_event_time(bench) -> None:
    period_ns = SPEC.period_ns
    it = bench().start(chunk(1_000), DeviceError("unplugged"), chunk(5 * 10**9))
    it.next()
    lost, back = it.next().notice, it.next().notice
    assert (lost.t_ns, lost.t_end_ns) == (1_000 + period_ns, 0)
    assert (back.t_ns, back.t_end_ns) == (1_000 + period_ns, 5 * 10**9)
    assert "4.950 s" in back.detail
    assert it.next().chunk.gap_before


def test_a_device_lost_again_before_its_first_sample_is_told_once(bench) -> None:
    it = bench().start(
        chunk(1), DeviceError("unplugged"), DeviceError("still shaky"), DeviceError("and again"), chunk(9)
    )
    told = [it.next() for _ in range(4)]
    assert [a.notice.reason if a.notice else a.chunk.gap_before for a in told] == [
        False,
        "device_lost",
        "device_back",
        True,
    ]
    assert not it.reader.away


def test_a_device_may_stay_away_for_many_tries(bench) -> None:
    it = bench()
    it.start(chunk(1), opens=())
    it.next()
    it.device.opens = [DeviceError("still away")] * 5
    it.device.reads.put(DeviceError("unplugged"))
    it.device.reads.put(chunk(2))
    assert [it.next().notice.reason for _ in range(2)] == ["device_lost", "device_back"]
    assert it.next().chunk.gap_before
    assert it.device.calls.count("open") == 7


def test_a_drivers_bug_ends_its_stream_with_a_sentence_that_names_it(bench) -> None:
    it = bench().start(ZeroDivisionError("division by zero"))
    assert it.next().fatal == "imu: the driver failed: ZeroDivisionError: division by zero"
    assert it.device.closed.wait(5.0)


def test_nothing_is_read_before_the_release(bench) -> None:
    it = bench().start(chunk(1), hold=True)
    assert it.reader.opened.wait(5.0)
    assert not it.device.reading.is_set()
    assert it.arrived.empty()
    it.reader.release()
    assert int(it.next().chunk.t_ns[0]) == 1


def test_a_reader_that_was_never_released_can_be_stopped(bench) -> None:
    it = bench().start(hold=True)
    assert it.reader.opened.wait(5.0)
    it.device.reads.put(None)
    assert it.reader.stop(5.0)
    assert it.device.calls == ["open", "close"]


def test_a_driver_that_hangs_is_not_waited_for_longer_than_asked(bench) -> None:
    it = bench()
    hang = threading.Event()
    it.start(hang.wait)
    assert it.device.reading.wait(5.0)
    assert not it.reader.stop(0.05)
    hang.set()
    assert it.reader.stop(5.0)
    assert it.device.calls == ["open", "close"]


def test_stopping_a_reader_that_waits_to_reopen_takes_no_time(bench) -> None:
    it = bench()
    it.reader._backoff = Backoff(60.0, 60.0)
    it.start(chunk(1), DeviceError("unplugged"))
    it.next()
    assert it.next().notice.reason == "device_lost"
    assert it.reader.stop(2.0)

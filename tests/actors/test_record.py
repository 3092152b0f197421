"""Taps and the record actor over real sockets: what is lost when it dies, when the disk stalls, and when it is full."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.host import Host
from actors.inbox import Arrival
from actors.plan import RecordPlan, TapPlan
from actors.record import RecordWorker
from actors.recorded import PublishedRecording, StreamRecording
from stream_bind.clock import SystemClock
from stream_bind.errors import LogError
from stream_bind.log.codec import Mark
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.writer import LogWriter
from stream_bind.messages import Chunk, Embedding, Event, StreamSpec

SPEC = StreamSpec("imu", "imu", 100.0, (3,), "float32", "si", ("accel_x", "accel_y", "accel_z"))
T0 = 1_700_000_000_000_000_000


class Sensor:
    """All that a recording asks of a device."""

    spec = SPEC


def chunk(i: int, n: int = 4, width: int = 3) -> Chunk:
    t_ns = T0 + np.arange(i * n, i * n + n, dtype=np.int64) * 10_000_000
    return Chunk(np.full((n, width), i, np.float32), t_ns)


def arrival(i: int) -> Arrival:
    found = chunk(i)
    return Arrival(int(found.t_ns[-1]) + 5, chunk=found, sent=found)


def wait_for(what: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


class Bench:
    """A record actor in its host, and taps to it."""

    def __init__(self, folder: Path, **plan: Any) -> None:
        self.path = folder / "walk.mcap"
        self.clock = SystemClock()
        self.endpoint = f"ipc://{folder}/record"
        self.plan = RecordPlan(str(self.path), self.endpoint, {"rig": "bench"}, **plan)
        self.taps: list[Any] = []
        self.hosts: list[Host] = []

    def recorder(self, *, restarted: bool = False) -> RecordWorker:
        host = Host("record", lambda again: RecordWorker(self.plan, self.clock, restarted=again))
        host.start(restarted=restarted)
        self.hosts.append(host)
        wait_for(host.opened.is_set)
        if host.fatal:
            raise LogError(host.fatal)
        found: RecordWorker = host.worker
        return found

    def tap(self, life: str = "a", max_bytes: int = 64 << 20, *, restarted: bool = False) -> StreamRecording:
        plan = TapPlan(self.endpoint, max_bytes)
        made = StreamRecording(plan, Sensor(), self.clock, life, restarted=restarted)  # type: ignore[arg-type]
        made.start()
        self.taps.append(made)
        return made

    def close(self) -> None:
        for tap in self.taps:
            tap.close()
        for host in self.hosts:
            host.stop()

    def chunks(self) -> list[int]:
        """Numbers of the chunks in the log, in its order."""
        log = open_log(self.path)
        items = [found.item for found in StreamReader(log.parts, log.streams["imu"])]
        return [int(item.data[0, 0]) for item in items if isinstance(item, Chunk)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**plan: Any) -> Bench:
        made.append(Bench(tmp_path, **plan))
        return made[-1]

    yield make
    for each in made:
        each.close()


def finish(bench: Bench, recorder: RecordWorker) -> None:
    for tap in bench.taps:
        tap.end()
    wait_for(lambda: all(tap.idle for tap in bench.taps))
    recorder.request_stop()
    wait_for(lambda: recorder.done)


def test_everything_is_on_the_disk_once_a_tap_is_idle(bench):
    its = bench()
    recorder, tap = its.recorder(), its.tap()
    for i in range(100):
        tap.take(arrival(i))
    tap.idle_until(T0 + 9)
    tap.end()
    wait_for(lambda: tap.idle)
    # Not closed yet: what a crash would leave right now.
    assert its.chunks() == list(range(100))
    finish(its, recorder)
    log = open_log(its.path)
    assert log.indexed
    found = list(StreamReader(log.parts, log.streams["imu"]))
    marks = [each.item for each in found if isinstance(each.item, Mark)]
    assert next((mark.reason, mark.t_ns) for mark in marks) == ("idle", T0 + 9)
    assert marks[1].reason == "end"
    assert found[0].arrived_ns == T0 + 30_000_005
    assert log.session["rig"] == "bench"


def test_a_recorder_that_dies_costs_nothing_and_its_next_life_writes_beside_it(bench, monkeypatch):
    its = bench()
    its.recorder()
    tap = its.tap()
    for i in range(50):
        tap.take(arrival(i))
    # Dead without a word: neither flushed nor closed, as after kill -9.
    dead = its.hosts[0]
    monkeypatch.setattr(LogWriter, "flush", lambda _: None)
    monkeypatch.setattr(LogWriter, "close", lambda _, reason="": None)
    for i in range(50, 80):
        tap.take(arrival(i))
    time.sleep(0.3)
    assert dead.stop()
    monkeypatch.undo()
    again = its.recorder(restarted=True)
    for i in range(80, 100):
        tap.take(arrival(i))
    finish(its, again)
    assert [path.name for path in open_log(its.path).parts] == ["walk.mcap", "walk_0001.mcap"]
    assert its.chunks() == list(range(100))


def test_memory_is_given_back_while_samples_keep_coming(bench):
    """Batches that follow each other without a pause are beats as well."""
    b = bench()
    b.recorder()
    tap = b.tap()
    held = [0]

    def given_back() -> bool:
        tap.take(arrival(len(held)))
        held.append(tap.health()["waiting_bytes"])
        return held[-1] < held[-2]

    wait_for(given_back)


def test_a_disk_that_stalls_for_two_seconds_loses_nothing(bench, monkeypatch):
    its = bench()
    recorder, tap = its.recorder(), its.tap()
    stalls, real = [], os.fsync

    def stall(descriptor: int) -> None:
        if not stalls:
            stalls.append(time.monotonic())
            time.sleep(2.0)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", stall)
    for i in range(250):
        tap.take(arrival(i))
        time.sleep(0.01)
    finish(its, recorder)
    assert stalls
    assert its.chunks() == list(range(250))
    assert tap.health()["dropped"] == 0


def test_what_finds_no_memory_is_counted_and_leaves_a_hole_that_says_so(bench):
    its = bench()
    tap = its.tap(max_bytes=10 * chunk(0).data.nbytes)
    for i in range(40):  # nobody takes them yet
        tap.take(arrival(i))
    assert tap.health()["dropped"] == 30
    recorder = its.recorder()
    wait_for(lambda: tap.idle)
    tap.take(arrival(40))
    finish(its, recorder)
    assert its.chunks() == [*range(10), 40]
    log = open_log(its.path)
    items = [found.item for found in StreamReader(log.parts, log.streams["imu"])]
    assert [item.reason for item in items if isinstance(item, Mark)] == ["recording_lost", "end"]
    assert [item.gap_before for item in items if isinstance(item, Chunk)] == [False] * 10 + [True]
    ends = [found for found in Scan(its.path) if getattr(found, "name", "") == "stream_bind.end"]
    assert ends[0].metadata == {"reason": "ended", "dropped /imu/samples": "30"}


def test_a_full_disk_ends_the_recording_and_nothing_else(bench, monkeypatch):
    its = bench()
    recorder, tap = its.recorder(), its.tap()
    tap.take(arrival(0))
    wait_for(lambda: recorder.health()["messages"])
    wait_for(lambda: tap.idle)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for i in range(1, 20):
        tap.take(arrival(i))
    wait_for(lambda: recorder.health()["state"] == "full")
    monkeypatch.undo()
    tap.take(arrival(20))
    finish(its, recorder)
    health = recorder.health()
    assert "the disk is full" in health["problem"]
    assert health["dropped"] > 0
    assert its.chunks()[0] == 0


def test_a_life_of_the_sensor_after_another_is_not_taken_for_a_repeat(bench):
    its = bench()
    recorder, first = its.recorder(), its.tap("a")
    for i in range(5):
        first.take(arrival(i))
    first.end()
    wait_for(lambda: first.idle)
    second = its.tap("b", restarted=True)
    for i in range(5, 10):
        second.take(arrival(i))
    finish(its, recorder)
    assert its.chunks() == list(range(10))


def test_a_recording_that_waits_keeps_the_seconds_before_its_event(bench):
    its = bench(before_ns=10_000_000_000, after_ns=1_000_000_000, triggers=("outage",))
    recorder, tap = its.recorder(), its.tap()
    published = PublishedRecording(TapPlan(its.endpoint), its.clock, "p")
    published.start()
    its.taps.append(published)
    now_ns = its.clock.unix_ns()

    def at(i: int, age_s: float) -> None:
        tap.take(Arrival(now_ns - round(age_s * 1e9), chunk=chunk(i), sent=chunk(i)))

    at(0, 60.0)
    wait_for(lambda: tap.idle)
    at(1, 5.0)
    wait_for(lambda: tap.idle)
    published.take(Event("bench", "imu", "e", "starting", t_pub=now_ns))
    wait_for(lambda: tap.idle and published.idle)
    assert recorder.health()["state"] == "waiting"
    assert not its.path.exists()
    published.take(Event("bench", "imu", "e", "outage", t_pub=now_ns))
    wait_for(lambda: recorder.health()["state"] == "recording")
    at(2, 0.0)
    wait_for(lambda: recorder.health()["state"] == "waiting")
    at(3, 0.0)
    finish(its, recorder)
    assert its.chunks() == [1, 2]


def test_vectors_and_events_come_back_as_they_were_published(bench):
    from stream_bind.log.vectors import embedding_of, event_of

    its = bench()
    recorder = its.recorder()
    published = PublishedRecording(TapPlan(its.endpoint), its.clock, "p")
    published.start()
    its.taps.append(published)
    vector = np.array([0.6, 0.8], np.float32)
    sent = Embedding("r", "head.cam", "e-1", "vision", 7, 1, 2, vector, "m@1", 0.9, "partial", ((1, 2),), 3.0, False)
    event = Event("r", "head.cam", "", "device_lost", "gone", t_start=5, t_end=6)
    published.take(sent)
    published.take(event)
    finish(its, recorder)
    messages = [found for found in Scan(its.path) if isinstance(found, LogMessage)]
    assert [found.topic for found in messages] == ["/head/cam/embedding/e_1", "/head/cam/events"]
    again = embedding_of(messages[0].data)
    assert np.array_equal(again.vector, vector)
    for name in ("rig", "stream", "encoder", "modality", "window", "coverage", "status", "gaps", "scale", "trained"):
        assert getattr(again, name) == getattr(sent, name)
    back = event_of(messages[1].data)
    assert (back.reason, back.detail, back.window, back.to_window, back.t_end) == ("device_lost", "gone", None, None, 6)


def test_a_log_that_is_there_already_is_refused_before_anything_starts(bench, tmp_path):
    (tmp_path / "walk.mcap").write_bytes(b"precious")
    with pytest.raises(LogError, match="is there already"):
        bench().recorder()
    assert (tmp_path / "walk.mcap").read_bytes() == b"precious"


def test_putting_never_waits_for_the_disk(bench):
    its = bench()
    tap = its.tap(max_bytes=1 << 20)
    threads = threading.active_count()
    begun_s = time.monotonic()
    for i in range(2000):
        tap.take(arrival(i))
    # Without a recorder at all; a wait of any kind would show as seconds.
    assert time.monotonic() - begun_s < 2.0
    assert threading.active_count() <= threads

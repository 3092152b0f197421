"""The packet thread against a made-up FFmpeg: bounded, prompt to end, and closing what it was given exactly once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from devices.packet_pump import MOST_BYTES, Arrived, PacketPump


@dataclass
class Packet:
    number: int
    size: int = 1000
    is_keyframe: bool = False


class Container:
    """What PyAV gives: `demux` blocks until something is fed; closing it while it is in there is what must not be."""

    def __init__(self) -> None:
        self.fed: queue.Queue[Packet | Exception | None] = queue.Queue()
        self.closed = 0
        self.inside = False

    def demux(self, _: object) -> Iterator[Packet]:
        while True:
            self.inside = True
            item = self.fed.get()
            self.inside = False
            if item is None:
                yield Packet(-1, 0)  # as PyAV ends
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        assert not self.inside, "closed while it is read"
        self.closed += 1


class Time:
    ns = 10**18

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def container() -> Container:
    return Container()


def take(pump: PacketPump) -> Arrived:
    arrived = pump.take(5.0)
    assert arrived is not None
    return arrived


def feed(container: Container, now: Time, n: int, key_every: int, step_ns: int = 33_000_000, size: int = 1000) -> None:
    """Packets one by one, each taken in before the next."""
    for i in range(n):
        now.ns += step_ns
        container.fed.put(Packet(i, size, i % key_every == 0))
        while not container.fed.empty() or not container.inside:
            time.sleep(0.0005)


def drain(pump: PacketPump) -> list[Arrived]:
    out = []
    while (arrived := pump.take(0.0)) is not None:
        out.append(arrived)
    return out


def test_packets_come_in_order_with_their_arrival_and_the_one_before(container: Container) -> None:
    now = Time()
    pump = PacketPump("cam", container, None, now)
    feed(container, now, 5, 5)
    got = drain(pump)
    assert [a.packet.number for a in got] == list(range(5))
    assert [a.before_ns for a in got] == [0, *(a.at_ns for a in got[:-1])]
    assert got[1].at_ns - got[0].at_ns == 33_000_000
    assert pump.take(0.0) is None
    pump.stop()


def test_a_silent_camera_holds_no_read(container: Container) -> None:
    pump = PacketPump("cam", container, None, Time())
    began = time.monotonic()
    assert pump.take(0.2) is None
    assert 0.15 < time.monotonic() - began < 1.0
    began = time.monotonic()
    pump.stop(0.2)
    assert time.monotonic() - began < 1.0
    assert container.closed == 0, "the thread is still in there"
    container.fed.put(OSError("timed out"))
    pump.stop(5.0)
    assert container.closed == 1


@pytest.mark.parametrize("end", [None, OSError("reset")])
def test_what_came_before_the_end_is_delivered_before_the_end_is_told(
    container: Container, end: Exception | None
) -> None:
    pump = PacketPump("cam", container, None, Time())
    container.fed.put(Packet(0, is_keyframe=True))
    container.fed.put(end)
    assert take(pump).packet.number == 0
    for _ in range(2):
        with pytest.raises(EOFError if end is None else OSError):
            pump.take(5.0)
    assert container.closed == 0, "its packets may still be decoded"
    pump.stop()
    pump.stop()
    assert container.closed == 1


def test_a_reader_that_does_not_come_finds_the_newest_key_frame(container: Container) -> None:
    now = Time()
    pump = PacketPump("cam", container, None, now)
    feed(container, now, 300, 15)
    got = drain(pump)
    numbers = [a.packet.number for a in got]
    assert got[0].packet.is_keyframe
    assert got[0].gap
    assert not any(a.gap for a in got[1:])
    assert numbers == list(range(numbers[0], 300))
    assert len(got) <= 61, "2 s"
    assert pump.dropped == 300 - len(got)
    pump.stop()


def test_without_a_newer_key_frame_the_next_one_is_waited_for(container: Container) -> None:
    now = Time()
    pump = PacketPump("cam", container, None, now)
    feed(container, now, 100, 90)
    got = drain(pump)
    assert [a.packet.number for a in got] == list(range(90, 100))
    assert [a.gap for a in got] == [True] + [False] * 9
    pump.stop()


def test_the_backlog_is_bounded_in_bytes_too(container: Container) -> None:
    now = Time()
    pump = PacketPump("cam", container, None, now)
    feed(container, now, 40, 1, step_ns=1_000_000, size=MOST_BYTES // 10)
    assert 0 < len(drain(pump)) <= 10
    pump.stop()


def test_it_is_one_thread_and_it_ends(container: Container) -> None:
    before = threading.active_count()
    pump = PacketPump("cam", container, None, Time())
    assert threading.active_count() == before + 1
    container.fed.put(None)
    pump.stop(5.0)
    assert threading.active_count() == before

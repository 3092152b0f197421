"""Between the reader thread and the loop: order, bounds, holes that are marked, and few wake-ups."""

from __future__ import annotations

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.inbox import Arrival, Inbox
from stream_bind.messages import Chunk, Notice

FAR = 1 << 62


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


def arrival(t_ns: int, nbytes: int = 10, *, gap_before: bool = False) -> Arrival:
    return Arrival(t_ns, Chunk(np.zeros((1, nbytes), np.uint8), np.array([t_ns]), gap_before))


def stamps(inbox: Inbox) -> list[tuple[int, bool]]:
    """(event time, gap_before) of every chunk left, taken out."""
    out = []
    while (item := inbox.take()) is not None:
        if item.chunk is not None:
            out.append((int(item.chunk.t_ns[0]), item.chunk.gap_before))
    return out


def test_what_goes_in_comes_out_in_order() -> None:
    inbox = Inbox(Bell())
    inbox.put(arrival(1))
    inbox.put(Arrival(2, notice=Notice("a", "device_lost", "unplugged")))
    inbox.put(arrival(3, gap_before=True))
    inbox.put(Arrival(4, end=True))
    taken = [inbox.take() for _ in range(5)]
    assert [t and t.arrived_ns for t in taken] == [1, 2, 3, 4, None]
    assert len(inbox) == 0


def test_the_loop_is_woken_only_when_a_window_can_close() -> None:
    bell = Bell()
    inbox = Inbox(bell)
    inbox.wake_at_ns = 100
    for t in (10, 20, 99):
        inbox.put(arrival(t))
    assert bell.rung == 0
    inbox.put(arrival(100))
    assert bell.rung == 1


def test_what_is_no_sample_wakes_at_once() -> None:
    for item in (Arrival(0, end=True), Arrival(0, fatal="no"), Arrival(0, notice=Notice("a", "late", ""))):
        bell = Bell()
        inbox = Inbox(bell)
        inbox.wake_at_ns = FAR
        inbox.put(item)
        assert bell.rung == 1


def test_many_small_chunks_wake_the_loop_before_they_pile_up() -> None:
    bell = Bell()
    inbox = Inbox(bell, wake_every=64)
    inbox.wake_at_ns = FAR
    for t in range(640):
        inbox.put(arrival(t))
    assert bell.rung == 10


def test_a_full_inbox_drops_the_oldest_and_marks_the_hole() -> None:
    inbox = Inbox(Bell(), max_bytes=30)
    for t in range(5):
        inbox.put(arrival(t))
    assert inbox.dropped_chunks == 2
    assert stamps(inbox) == [(2, True), (3, False), (4, False)]


def test_the_hole_is_marked_on_the_next_chunk_also_if_none_was_left() -> None:
    inbox = Inbox(Bell(), max_bytes=15)
    inbox.put(arrival(1))
    inbox.put(Arrival(2, notice=Notice("a", "late", "")))
    inbox.put(arrival(3, 40))  # larger than the bound by itself
    assert stamps(inbox) == []
    inbox.put(arrival(4))
    assert stamps(inbox) == [(4, True)]


def test_what_is_no_sample_is_never_dropped() -> None:
    inbox = Inbox(Bell(), max_bytes=20)
    inbox.put(Arrival(0, notice=Notice("a", "device_back", "")))
    for t in range(1, 10):
        inbox.put(arrival(t))
    first = inbox.take()
    assert first is not None
    assert first.notice is not None


@given(st.lists(st.one_of(st.integers(1, 40), st.just(0)), max_size=60))
def test_nothing_vanishes_without_a_mark_and_the_bound_holds(sizes: list[int]) -> None:
    """0 takes one out; a size puts a chunk in. Where numbers are missing, the next chunk says so."""
    inbox = Inbox(Bell(), max_bytes=60)
    number, last = 0, -1

    def look(item: Arrival | None) -> None:
        nonlocal last
        if item is not None and item.chunk is not None:
            t = int(item.chunk.t_ns[0])
            assert item.chunk.gap_before == (t != last + 1)
            last = t

    for size in sizes:
        if size:
            inbox.put(arrival(number, size))
            number += 1
            assert inbox._bytes <= 60
        else:
            look(inbox.take())
    while len(inbox):
        look(inbox.take())
    assert inbox._bytes == 0
    assert number - inbox.dropped_chunks >= 0
    assert last == number - 1


def test_a_waiting_inbox_holds_its_reader_until_something_is_taken() -> None:
    bell = Bell()
    inbox = Inbox(bell, max_bytes=15, wait=True)
    inbox.put(arrival(1))
    held = threading.Thread(target=inbox.put, args=(arrival(2),))
    held.start()
    held.join(0.1)
    assert held.is_alive()
    assert len(inbox) == 1
    assert inbox.take() is not None
    held.join(0.3)
    assert not held.is_alive()
    assert stamps(inbox) == [(2, False)]
    assert inbox.dropped_chunks == 0


def test_closing_lets_a_waiting_reader_go_and_takes_nothing_more() -> None:
    inbox = Inbox(Bell(), max_bytes=15, wait=True)
    inbox.put(arrival(1))
    held = threading.Thread(target=inbox.put, args=(arrival(2),))
    held.start()
    inbox.close()
    held.join(5.0)
    assert not held.is_alive()
    inbox.put(arrival(3))
    assert stamps(inbox) == [(1, False)]

"""The rules of the link, each broken once: credit, leases, retries, overflow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.mailbox import MAX_ATTEMPTS, SILENT_S, STUCK_S, Mailbox, WorkerLink
from stream_bind.messages import Clip

HOP_NS = 500_000_000


def clip(window: int, nbytes: int = 8) -> Clip:
    return Clip(
        "cam", "ib", "vision", window, window * HOP_NS - 4 * HOP_NS, window * HOP_NS, np.zeros(nbytes, np.uint8)
    )


def filled(n: int, **settings: object) -> Mailbox:
    box = Mailbox(**settings)  # type: ignore[arg-type]
    for window in range(n):
        box.put(clip(window))
    return box


def test_nothing_leaves_without_credit() -> None:
    assert filled(3).take() == []


def test_credit_is_cumulative_so_a_repeated_grant_changes_nothing() -> None:
    box = filled(5)
    box.grant("w", 2)
    assert [c.window for _, c, _ in box.take()] == [0, 1]
    box.grant("w", 2)
    assert box.take() == []
    box.grant("w", 3)
    assert [c.window for _, c, _ in box.take()] == [2]


def test_an_older_grant_that_arrives_late_takes_nothing_back() -> None:
    box = filled(3)
    box.grant("w", 3)
    box.grant("w", 1)
    assert len(box.take()) == 3


def test_a_clip_stays_until_it_is_acknowledged() -> None:
    box = filled(1)
    box.grant("w", 1)
    box.take()
    assert len(box) == 1
    assert box.ack(0)
    assert len(box) == 0
    assert not box.ack(0)


def test_a_lost_workers_clips_go_first_to_the_next_one_in_their_order() -> None:
    box = filled(4)
    box.grant("a", 3)
    box.take()
    assert box.lose_worker("a", "silent") == []
    box.grant("b", 4)
    assert [(w, c.window, tries) for w, c, tries in box.take()] == [("b", 0, 1), ("b", 1, 1), ("b", 2, 1), ("b", 3, 0)]


def test_a_clip_that_takes_its_worker_down_three_times_becomes_an_event() -> None:
    box = filled(1)
    for life in range(MAX_ATTEMPTS - 1):
        box.grant(f"w{life}", 1)
        assert len(box.take()) == 1
        assert box.lose_worker(f"w{life}", "killed") == []
    box.grant("last", 1)
    box.take()
    (dropped,) = box.lose_worker("last", "killed")
    assert (dropped.reason, dropped.clip.window) == ("failed", 0)
    assert "killed" in dropped.detail
    assert len(box) == 0


def test_an_error_counts_as_a_try_and_a_stale_one_does_not() -> None:
    box = filled(1)
    box.grant("w", 9)
    box.take()
    assert box.nack(0, "somebody else", "no") == []
    assert len(box.take()) == 0
    assert box.nack(0, "w", "bad pixels") == []
    assert len(box.take()) == 1


def test_overflow_drops_the_oldest_clip_that_is_not_leased() -> None:
    box = filled(3, depth=3)
    box.grant("w", 1)
    box.take()
    assert box.put(clip(3)) == []  # 0 is leased, so three wait
    (dropped,) = box.put(clip(4))
    assert (dropped.reason, dropped.clip.window) == ("dropped", 1)
    assert box.floor_ns == 1 * HOP_NS


def test_overflow_is_bounded_in_bytes_too() -> None:
    box = Mailbox(depth=100, max_bytes=100)
    for window in range(3):
        box.put(clip(window, 40))
    assert len(box) == 2


def test_backpressure_never_drops_and_says_that_it_is_full() -> None:
    box = filled(5, depth=3, policy="backpressure")
    assert len(box) == 5
    assert box.full
    box.grant("w", 3)
    box.take()
    assert not box.full


def test_a_group_that_one_lane_dropped_is_skipped_by_the_others_unless_leased() -> None:
    box = filled(4)
    box.grant("w", 1)
    box.take()
    assert [d.clip.window for d in box.skip_until(2 * HOP_NS, ())] == [1, 2]
    assert box.skip_until(2 * HOP_NS, ()) == []
    assert len(box) == 2


def test_a_moment_that_another_sensor_was_served_for_is_completed_not_skipped() -> None:
    box = filled(5, depth=5)
    assert [d.clip.window for d in box.skip_until(2 * HOP_NS, [1 * HOP_NS])] == [0, 2]
    for window in (5, 6):
        assert box.put(clip(window)) == []
    (dropped,) = box.put(clip(7))
    assert dropped.clip.window == 3  # 1 belongs to a moment already begun


def test_backpressure_lanes_skip_nothing() -> None:
    assert filled(4, policy="backpressure").skip_until(99 * HOP_NS, ()) == []


def test_a_silent_worker_is_lost() -> None:
    link = WorkerLink("w", 0.0)
    link.beat("ready", 0, 0.0, 10.0)
    assert link.lost(10.0 + SILENT_S) is None
    assert "silent" in str(link.lost(10.1 + SILENT_S))


def test_a_worker_without_progress_is_lost_after_ten_seconds_or_five_p99() -> None:
    link = WorkerLink("w", 0.0)
    for p99_s, patience_s in ((0.0, STUCK_S), (4.0, 20.0)):
        link.beat("busy", 1, p99_s, 100.0)
        link.beat("busy", 2, p99_s, 100.0)
        link.beat("busy", 2, p99_s, 100.0 + patience_s)
        assert link.lost(100.0 + patience_s) is None
        link.beat("busy", 2, p99_s, 100.5 + patience_s)
        assert "no progress" in str(link.lost(100.5 + patience_s))


def test_a_worker_that_loads_for_minutes_keeps_its_leases() -> None:
    link = WorkerLink("w", 0.0)
    for second in range(300):
        link.beat("loading", 0, 0.0, float(second))
        assert link.lost(float(second)) is None


class AnyLife(RuleBasedStateMachine):
    """Whatever happens, every clip has exactly one fate and no worker holds more than its credit."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Mailbox(depth=4)
        self.window = 0
        self.gone: set[int] = set()
        self.out: dict[str, set[int]] = {}
        self.granted: dict[str, int] = {}
        self.sent: dict[str, int] = {}

    def _lost(self, dropped: list) -> None:
        for item in dropped:
            assert item.clip.window not in self.gone
            self.gone.add(item.clip.window)

    @rule()
    def put(self) -> None:
        self._lost(self.box.put(clip(self.window)))
        self.window += 1

    @rule(worker=st.sampled_from("abc"), more=st.integers(0, 3))
    def grant(self, worker: str, more: int) -> None:
        self.granted[worker] = self.granted.get(worker, 0) + more
        self.box.grant(worker, self.granted[worker])

    @rule()
    def take(self) -> None:
        for worker, taken, _ in self.box.take():
            assert all(taken.window not in held for held in self.out.values())
            self.out.setdefault(worker, set()).add(taken.window)
            self.sent[worker] = self.sent.get(worker, 0) + 1
            assert self.sent[worker] <= self.granted[worker]

    @precondition(lambda self: any(self.out.values()))
    @rule(data=st.data(), good=st.booleans())
    def finish(self, data: st.DataObject, good: bool) -> None:
        worker = data.draw(st.sampled_from([w for w, held in self.out.items() if held]))
        window = data.draw(st.sampled_from(sorted(self.out[worker])))
        self.out[worker].discard(window)
        if good:
            assert self.box.ack(window)
            self.gone.add(window)
        else:
            self._lost(self.box.nack(window, worker, "error"))

    @rule(worker=st.sampled_from("abc"))
    def lose(self, worker: str) -> None:
        self._lost(self.box.lose_worker(worker, "killed"))
        self.out.pop(worker, None)
        self.granted.pop(worker, None)
        self.sent.pop(worker, None)

    @invariant()
    def every_clip_is_here_or_gone(self) -> None:
        assert len(self.box) + len(self.gone) == self.window
        assert self.box.n_leased == sum(map(len, self.out.values()))
        assert self.box.n_waiting <= 4 + self.box.n_retried
        assert self.box.nbytes == 8 * len(self.box)


AnyLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyLife = AnyLife.TestCase


@given(st.permutations(range(6)))
def test_acknowledgements_in_any_order_empty_the_mailbox(order: list[int]) -> None:
    box = filled(6)
    box.grant("w", 6)
    box.take()
    assert all(box.ack(window) for window in order)
    assert (len(box), box.n_leased, box.nbytes) == (0, 0, 0)

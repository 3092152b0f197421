"""Window order at the publisher: each window once, in order, and no hole without a word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.order import GRACE_S, Account, Hole, LaneOrder, Leaving


def left(answer: tuple[bool, list[Leaving[str]]]) -> tuple[bool, list[str]]:
    return answer[0], [leaving.item for leaving in answer[1]]


def ticked(answer: tuple[list[Leaving[str]], list[Hole]]) -> tuple[list[str], list[Hole]]:
    return [leaving.item for leaving in answer[0]], answer[1]


def announced(first: int = 0) -> LaneOrder[str]:
    order: LaneOrder[str] = LaneOrder()
    order.announce(first)
    return order


def test_what_comes_in_order_leaves_at_once() -> None:
    order = announced(5)
    assert left(order.offer(5, 6, "a")) == (True, ["a"])
    assert left(order.offer(6, 7, "b")) == (True, ["b"])


def test_what_overtakes_waits_for_its_turn() -> None:
    order = announced()
    assert left(order.offer(1, 2, "b")) == (True, [])
    assert left(order.offer(0, 1, "a")) == (True, ["a", "b"])


def test_repeats_are_known_whether_they_left_or_wait() -> None:
    order = announced()
    order.offer(0, 1, "a")
    order.offer(2, 3, "c")
    assert left(order.offer(0, 1, "a again")) == (False, [])
    assert left(order.offer(2, 3, "c again")) == (False, [])


def test_a_vector_that_overtakes_its_lanes_announcement_is_kept() -> None:
    order: LaneOrder[str] = LaneOrder()
    assert left(order.offer(3, 4, "a")) == (True, [])
    assert [leaving.item for leaving in order.announce(3)] == ["a"]


def test_a_new_publisher_starts_where_an_old_worker_still_has_something() -> None:
    lane: LaneOrder[str] = LaneOrder()
    lane.offer(10, 11, "unconfirmed when the last publisher died")
    assert [leaving.item for leaving in lane.announce(15)] == ["unconfirmed when the last publisher died"]
    assert lane.n_held == 0
    lane.tick(0.0)
    assert ticked(lane.tick(GRACE_S)) == ([], [Hole(11, 15)])


def test_a_range_settles_all_its_windows() -> None:
    order = announced()
    assert left(order.offer(0, 10, "outage")) == (True, ["outage"])
    assert left(order.offer(4, 5, "late")) == (False, [])
    assert left(order.offer(10, 11, "next")) == (True, ["next"])


def test_an_unsettled_window_may_take_as_long_as_it_likes() -> None:
    order = announced()
    order.offer(1, 2, "b")
    assert ticked(order.tick(0.0)) == ([], [])
    assert ticked(order.tick(1e6)) == ([], [])


def test_a_settled_window_that_never_came_is_a_hole_after_the_grace_period() -> None:
    order = announced()
    order.offer(3, 4, "d")
    order.settled = 3
    assert ticked(order.tick(0.0)) == ([], [])
    assert ticked(order.tick(GRACE_S - 0.1)) == ([], [])
    assert ticked(order.tick(GRACE_S)) == ([], [Hole(0, 3)])
    assert ticked(order.tick(GRACE_S)) == (["d"], [])


def test_a_restarted_capture_actor_leaves_a_hole_that_its_old_vectors_may_still_fill() -> None:
    order = announced()
    order.offer(0, 1, "a")
    order.announce(4)
    order.offer(4, 5, "e")
    assert ticked(order.tick(0.0)) == ([], [])
    assert left(order.offer(1, 2, "b, in flight when its actor died")) == (True, ["b, in flight when its actor died"])
    order.tick(1.0)
    assert ticked(order.tick(1.0 + GRACE_S)) == ([], [Hole(2, 4)])
    assert ticked(order.tick(1.0 + GRACE_S)) == (["e"], [])


def test_a_lane_is_done_when_its_last_window_left() -> None:
    order = announced()
    order.finish(2)
    order.offer(0, 1, "a")
    assert not order.done
    order.offer(1, 2, "b")
    assert order.done


@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=8), st.integers(-20, 20))
def test_any_arrival_order_with_repeats_leaves_once_and_in_order(
    order: list[int], again: list[int], first: int
) -> None:
    lane = announced(first)
    items = []
    for window in [*order, *again]:
        items += lane.offer(first + window, first + window + 1, first + window)[1]
    assert [leaving.item for leaving in items] == [first + w for w in range(8)]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=20),
    st.integers(0, 40),
)
def test_windows_are_accounted_for_exactly_once_whatever_ranges_arrive(
    ranges: list[tuple[int, int]], settled: int
) -> None:
    lane: LaneOrder[tuple[int, int]] = LaneOrder()
    lane.announce(0)
    covered: list[int] = []
    cursor = 0

    def leave(items: list[Leaving[tuple[int, int]]] | list[Hole]) -> None:
        nonlocal cursor
        for item in items:
            assert item.window == cursor
            covered.extend(range(item.window, item.to_window))
            cursor = item.to_window

    for start, length in ranges:
        leave(lane.offer(start, start + length, (start, start + length))[1])
    lane.settled = max(lane.settled, settled)
    for now_s in (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0) * 5:
        items, holes = lane.tick(now_s)
        leave(items)
        leave(holes)
    assert covered == list(range(len(covered)))
    assert lane.cursor == cursor >= settled


def test_accounts_add_up() -> None:
    total = Account(3)
    total.events["gap"] += 2
    more = Account(1, repeats=4)
    more.events["gap"] += 1
    total.add(more)
    assert (total.due, total.vectors, total.events["gap"], total.repeats) == (7, 4, 3, 4)

"""Batches are diverse, complete and fixed by seed and step."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.training.batches import BatchPlan, Feed
from stream_bind.training.pairs import Moment


def moments_of(counts: list[int]) -> list[Moment]:
    """counts: moments in each ten-second span of its own source."""
    return [Moment(f"source {i}", 0, 20 * 10**9 + k * 10**7) for i, count in enumerate(counts) for k in range(count)]


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    batch=st.integers(1, 64),
    per_span=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_no_batch_holds_more_of_a_span_than_allowed_and_no_moment_twice(
    counts: list[int], batch: int, per_span: int, seed: int
) -> None:
    moments = moments_of(counts)
    plan = BatchPlan(moments, np.arange(len(moments)), batch, per_span, 10.0, seed)
    assert 1 <= plan.batch <= batch
    for epoch in range(2):
        rows = [plan.of_step(epoch * plan.per_epoch + i) for i in range(plan.per_epoch)]
        assert all(len(r) == plan.batch for r in rows)
        together = np.concatenate(rows)
        assert len(set(together.tolist())) == len(together)
        for some in rows:
            sources = [moments[r].source for r in some]
            assert max(sources.count(s) for s in set(sources)) <= per_span


def test_an_epoch_shows_nearly_everything_and_the_next_one_in_another_order() -> None:
    moments = moments_of([10] * 40)
    plan = BatchPlan(moments, np.arange(400), 32, 1, 10.0, 0)
    first, second = (
        np.concatenate([plan.of_step(e * plan.per_epoch + i) for i in range(plan.per_epoch)]) for e in (0, 1)
    )
    assert len(first) >= 0.9 * 400
    assert first.tolist() != second.tolist()


def test_a_span_with_few_moments_does_not_shorten_the_epoch() -> None:
    moments = moments_of([20] * 60 + [1])
    plan = BatchPlan(moments, np.arange(len(moments)), 128, 1, 10.0, 0)
    assert plan.batch * plan.per_epoch > 0.9 * len(moments)


def test_steps_can_be_asked_for_in_any_order() -> None:
    moments = moments_of([3] * 50)
    rows = np.arange(0, 150, 2)
    one, other = (BatchPlan(moments, rows, 8, 1, 10.0, 7) for _ in range(2))
    forward = [one.of_step(s).tolist() for s in range(30)]
    assert [other.of_step(s).tolist() for s in reversed(range(30))][::-1] == forward
    assert set(np.concatenate(forward)) <= set(rows.tolist())


def test_a_feed_gives_all_items_in_order_and_ends_its_thread() -> None:
    with Feed(lambda n: n * n, range(3, 9)) as feed:
        assert list(feed) == [n * n for n in range(3, 9)]
    with Feed(lambda n: n, range(10**6)) as feed:
        assert next(iter(feed)) == 0
    assert not any(t.name == "batches" and t.is_alive() for t in threading.enumerate())


def test_what_fails_in_the_thread_is_raised_where_the_item_would_have_come() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise ValueError("no such clip")
        return number

    got = []
    with Feed(make, range(5)) as feed, pytest.raises(ValueError, match="no such clip"):
        got.extend(iter(feed))
    assert got in ([], [0, 1])

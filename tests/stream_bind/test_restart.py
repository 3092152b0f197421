from __future__ import annotations

import random

import pytest

from stream_bind.restart import Backoff


def test_waits_double_up_to_the_limit():
    backoff = Backoff(0.5, 30.0, jitter=0.0)
    assert [backoff.next_delay_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert backoff.failures == 9


def test_a_thousand_failures_do_not_overflow():
    backoff = Backoff(1.0, 60.0, jitter=0.0)
    assert {backoff.next_delay_s() for _ in range(2000)} == {1, 2, 4, 8, 16, 32, 60}


def test_jitter_spreads_the_waits_but_not_above_the_limit():
    one, other = (Backoff(1.0, 4.0, jitter=0.25, uniform=random.Random(seed).random) for seed in (1, 2))
    a, b = ([backoff.next_delay_s() for _ in range(6)] for backoff in (one, other))
    assert a != b
    for wait_s, middle_s in zip(a, (1, 2, 4, 4, 4, 4), strict=True):
        assert 0.75 * middle_s <= wait_s <= min(1.25 * middle_s, 4.0)


def test_failures_are_forgiven_after_a_healthy_time_only():
    backoff = Backoff(1.0, 60.0, jitter=0.0, healthy_s=10.0)
    backoff.next_delay_s()
    backoff.healthy(100.0)
    backoff.healthy(109.0)
    assert backoff.next_delay_s() == 2.0
    backoff.healthy(120.0)  # the healthy time begins anew
    backoff.healthy(129.9)
    assert backoff.failures == 2
    backoff.healthy(130.0)
    assert backoff.next_delay_s() == 1.0


def test_without_a_time_success_is_believed_at_once():
    backoff = Backoff(1.0, 60.0, jitter=0.0)
    backoff.next_delay_s()
    backoff.healthy()
    assert backoff.next_delay_s() == 1.0


@pytest.mark.parametrize(
    "wrong", [{"first_s": 0}, {"first_s": 31}, {"factor": 0.5}, {"jitter": 1.0}, {"healthy_s": -1}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="back-off needs"):
        Backoff(**wrong)

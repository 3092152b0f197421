from __future__ import annotations

import time

import pytest

from stream_bind.clock import Clock, ManualClock, SystemClock, measure_offset_ns

S = 1_000_000_000


def test_both_clocks_keep_the_contract():
    assert isinstance(SystemClock(), Clock)
    assert isinstance(ManualClock(), Clock)


def test_the_system_clock_is_monotonic_time_plus_a_fixed_offset():
    clock = SystemClock()
    assert abs(clock.unix_ns() - time.time_ns()) < S
    before = time.monotonic_ns()
    assert before <= clock.monotonic_ns() <= clock.unix_ns() - clock.offset_ns <= time.monotonic_ns()


def test_an_offset_handed_over_is_kept_so_that_every_actor_has_the_same_time():
    first = SystemClock()
    second = SystemClock(first.offset_ns)
    assert second.offset_ns == first.offset_ns
    assert SystemClock(12_345).unix_ns() - time.monotonic_ns() <= 12_345


def test_a_step_of_the_system_clock_shows_and_moves_nothing(monkeypatch):
    clock = SystemClock()
    assert abs(clock.step_ns()) < 50_000_000
    before = clock.unix_ns()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * S)
    assert clock.step_ns() == pytest.approx(3600 * S, abs=50_000_000)
    assert clock.unix_ns() - before < 10 * S


def test_the_offset_is_that_of_the_tightest_reading(monkeypatch):
    monotonic = iter([0, 1000, 2000, 2010, 3000, 9000])  # brackets of 1000, 10 and 6000 ns
    unix = iter([10**18 + 900, 10**18 + 2005, 10**18 + 8000])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(monotonic))
    monkeypatch.setattr(time, "time_ns", lambda: next(unix))
    assert measure_offset_ns(tries=3) == 10**18


def test_sleeping_for_nothing_returns_at_once():
    before = time.monotonic()
    SystemClock().sleep(0)
    SystemClock().sleep(-5)
    assert time.monotonic() - before < 1


def test_the_system_clock_sleeps():
    clock = SystemClock()
    before = clock.monotonic_ns()
    clock.sleep(0.001)
    assert clock.monotonic_ns() - before >= 1_000_000


def test_a_manual_clock_moves_only_when_told():
    clock = ManualClock(unix_ns=100 * S, monotonic_ns=5 * S)
    assert (clock.unix_ns(), clock.monotonic_ns()) == (100 * S, 5 * S)
    clock.advance(1.5)
    clock.sleep(0.5)
    clock.sleep(-1)
    assert (clock.unix_ns(), clock.monotonic_ns()) == (102 * S, 7 * S)


def test_a_manual_step_of_the_system_clock_leaves_the_grid():
    clock = ManualClock(unix_ns=100 * S)
    clock.step_system(-0.02)
    assert clock.step_ns() == -20_000_000
    assert clock.unix_ns() == 100 * S

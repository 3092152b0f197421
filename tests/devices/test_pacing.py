"""Where a recording's time starts, and when its samples are due."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from devices.pacing import Pacer, RecordingConfig, parse_time_ns
from stream_bind.clock import ManualClock


@pytest.mark.parametrize(
    ("told", "t_ns"),
    [
        (12, 12_000_000_000),
        (0.25, 250_000_000),
        ("1.5", 1_500_000_000),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:00.000001+01:00", 1000),
        ("1970-01-02", 86_400 * 10**9),
    ],
)
def test_times_in_seconds_or_iso_8601(told: float | str, t_ns: int) -> None:
    assert parse_time_ns(told) == t_ns
    assert RecordingConfig(start_time=told).origin_ns(7, ManualClock()) == t_ns


def test_by_default_the_file_says_when_it_was_and_now_is_now() -> None:
    assert RecordingConfig().origin_ns(7, ManualClock(99)) == 7
    assert RecordingConfig(start_time="now").origin_ns(7, ManualClock(99)) == 99


def test_yaml_dates_and_times_are_taken_as_such() -> None:
    for value in (date(1970, 1, 2), datetime(1970, 1, 2, tzinfo=UTC)):
        assert RecordingConfig.model_validate({"start_time": value}).origin_ns(7, ManualClock()) == 86_400 * 10**9


@pytest.mark.parametrize(("key", "value"), [("start_time", "yesterday"), ("rate", 0), ("rate", -2), ("rate", "fast")])
def test_nonsense_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        RecordingConfig.model_validate({key: value})


def test_samples_are_due_in_the_time_between_them() -> None:
    clock = ManualClock()
    pacer = Pacer(clock, 2.0)
    assert pacer.wait(10**18, 0.0)
    assert not pacer.wait(10**18 + 10**9, 0.2)
    assert clock.monotonic_ns() == 200_000_000
    assert pacer.wait(10**18 + 10**9, 1.0)
    assert clock.monotonic_ns() == 500_000_000


def test_at_full_speed_everything_is_due() -> None:
    clock = ManualClock()
    pacer = Pacer(clock, "max")
    assert all(pacer.wait(t, 1.0) for t in (0, 10**12, 5))
    assert clock.monotonic_ns() == 0

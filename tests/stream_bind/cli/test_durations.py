"""Lengths of time on a command line."""

from __future__ import annotations

import pytest
import typer

from stream_bind.cli.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("2m", 120),
        ("500ms", 0.5),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1m500ms", 60.5),
        ("2.5s", 2.5),
        ("7", 7),
        (3.0, 3),
    ],
)
def test_a_length_of_time_is_seconds(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5x", "s", "-3s", "1h 30m x", "ten", "5 s", "1e3s"])
def test_anything_else_says_what_is_wanted(text):
    with pytest.raises(typer.BadParameter, match="write 500ms, 30s, 2m"):
        parse_duration(text)

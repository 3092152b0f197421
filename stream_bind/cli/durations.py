"""Lengths of time as people write them on a command line."""

from __future__ import annotations

import re

import typer

__all__ = ["parse_duration"]

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h)")


def parse_duration(text: str | float) -> float:
    """Seconds in `text`: 500ms, 30s, 2m, 1h, 1h30m; a bare number is seconds. typer.BadParameter otherwise."""
    words = str(text).strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", words):
        return float(words)
    if not words or PART.sub("", words):
        raise typer.BadParameter(f"{words!r} is no length of time; write 500ms, 30s, 2m, 1h or 1h30m")
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(words))

"""A judgement of what a sensor delivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One property judged."""

    noun: str
    """What was judged: gravity, rotation, sound, picture, distance, warmth, motion."""
    fine: bool
    detail: str
    """What was found, with its figures."""
    remedy: str = ""
    """Where to look if it is not fine."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers, named with their units."""

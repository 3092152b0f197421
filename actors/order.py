"""Window order and the account of one lane at the publisher.

Pure. Vectors and events of a lane arrive from several workers in any order, perhaps twice; they leave in window order,
each window exactly once. A window that its capture actor considers settled and that still has not come after a grace
period is a hole: it leaves as an event "lost", so that nothing is ever silently missing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Account", "Hole", "LaneOrder", "Leaving"]

T = TypeVar("T")

GRACE_S = 3.0
"""A settled window may still be on its way from a worker (its capture actor may just have been restarted)."""


@dataclass(frozen=True, slots=True)
class Leaving(Generic[T]):
    """An item whose turn has come, and the windows [window, to_window) that it settles: of a range that begins below
    what had left already, only the rest."""

    window: int
    to_window: int
    item: T


@dataclass(frozen=True, slots=True)
class Hole:
    """Windows [window, to_window) that nobody explained."""

    window: int
    to_window: int


@dataclass(slots=True)
class Account:
    """What became of every due window of a lane."""

    vectors: int = 0
    events: Counter[str] = field(default_factory=Counter)
    """Windows (not messages) by event reason."""
    repeats: int = 0

    @property
    def due(self) -> int:
        return self.vectors + sum(self.events.values())

    def add(self, other: Account) -> None:
        self.vectors += other.vectors
        self.events.update(other.events)
        self.repeats += other.repeats


@dataclass(slots=True)
class LaneOrder(Generic[T]):
    """`offer` what arrives, publish what it returns, call `tick` now and then for holes."""

    cursor: int | None = None
    """The next window to leave; None until the lane was announced."""
    end: int | None = None
    """One past the last due window, once the capture actor said so."""
    settled: int = 0
    """Every window below this is settled as far as the capture actor knows: acknowledged, or sent as an event."""
    _held: dict[int, tuple[int, T]] = field(default_factory=dict)
    _hole_since_s: float | None = None

    @property
    def n_held(self) -> int:
        return len(self._held)

    @property
    def done(self) -> bool:
        return self.end is not None and self.cursor is not None and self.cursor >= self.end

    def announce(self, first_window: int) -> list[Leaving[T]]:
        """A capture actor starts (or restarts) this lane at first_window; what leaves now comes back. Only the first
        start sets the cursor; a later one leaves a hole below it, for `tick` to report unless its vectors come."""
        if self.cursor is None:
            # What was held already may lie below: both this publisher and the capture actor are new, the worker is not.
            self.cursor = min([first_window, *self._held])
        self.settled = max(self.settled, first_window)
        self.end = None
        return self._release()

    def finish(self, end_window: int) -> None:
        self.end = end_window
        self.settled = max(self.settled, end_window)

    def offer(self, window: int, to_window: int, item: T) -> tuple[bool, list[Leaving[T]]]:
        """Something for [window, to_window): (False, []) if it is a repeat, else (True, what leaves now)."""
        if window in self._held or (self.cursor is not None and to_window <= self.cursor):
            return False, []
        if self.cursor is None:  # a vector that overtook its lane's announcement
            self._held[window] = (to_window, item)
            return True, []
        # A range that begins below the cursor (a restarted actor's outage) still explains what lies above it.
        self._held[max(window, self.cursor)] = (to_window, item)
        return True, self._release()

    def tick(self, now_s: float) -> tuple[list[Leaving[T]], list[Hole]]:
        """(items that leave, holes to report before them). Call again until both are empty."""
        if self.cursor is None or self.cursor >= self.settled or self.cursor in self._held:
            self._hole_since_s = None
            return self._release(), []
        if self._hole_since_s is None:
            self._hole_since_s = now_s
        if now_s - self._hole_since_s < GRACE_S:
            return [], []
        return [], [self.close_hole()]

    def close_hole(self) -> Hole:
        """Give up waiting for the windows between the cursor and the next thing held, or the settled mark."""
        assert self.cursor is not None
        marks = [w for w in (self.settled, *self._held) if w > self.cursor]
        hole = Hole(self.cursor, min(marks, default=self.cursor + 1))
        self.cursor = hole.to_window
        self._hole_since_s = None
        return hole

    def _release(self) -> list[Leaving[T]]:
        out = []
        while self.cursor is not None and self.cursor in self._held:
            start = self.cursor
            to_window, item = self._held.pop(start)
            self.cursor = max(to_window, start + 1)
            out.append(Leaving(start, self.cursor, item))
            self._hole_since_s = None
            self._drop_settled()
        return out

    def _drop_settled(self) -> None:
        """A range may have moved the cursor past windows that were held: it has settled them."""
        assert self.cursor is not None
        for window in [w for w in self._held if w < self.cursor]:
            to_window, item = self._held.pop(window)
            if to_window > self.cursor and self.cursor not in self._held:
                self._held[self.cursor] = (to_window, item)

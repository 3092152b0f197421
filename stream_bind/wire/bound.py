"""Binding in time: collects what all lanes of a rig have for one `t_end`. Pure: the caller says what time it is.

A lane is settled for a `t_end` when its vector or an event for that window came, while an outage of it goes on, or when
a later vector of it came first (each lane is published in window order, so nothing older follows).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stream_bind.messages import Embedding, Event
from stream_bind.wire.message import Announcement, Lane, Message

__all__ = ["Binder", "Bound"]

LaneKey = tuple[str, str]

_MAX_RANGES = 1024
"""Explained window ranges remembered per lane; ten minutes of single windows at a hop of 0.5 s."""


class Bound(dict[LaneKey, Embedding]):
    """The vectors of one rig at one `t_end`, by (stream, encoder), and why others are absent."""

    def __init__(self, rig: str, t_end: int) -> None:
        super().__init__()
        self.rig = rig
        self.t_end = t_end
        """UNIX ns, the end of every window in here."""
        self.absent: dict[LaneKey, str] = {}
        """Lanes without a vector: the event's reason, "lost" where a later vector came first, or "timeout"."""

        self.complete = False
        """Every lane that the rig announced for this `t_end` has its vector."""

    def of(self, encoder: str) -> dict[str, Embedding]:
        """The vectors of one encoder, by stream."""
        return {stream: embedding for (stream, name), embedding in self.items() if name == encoder}


@dataclass(slots=True)
class _LaneState:
    lane: Lane | None = None
    first_seen: int | None = None
    newest: int = -(2**63)
    outage: int | None = None
    outage_reason: str = "outage"
    ranges: deque[tuple[int, int, str]] = field(default_factory=lambda: deque(maxlen=_MAX_RANGES))

    def last_due(self, t_end: int) -> int | None:
        """The newest due window that ends at `t_end` or before; None if there is none."""
        if self.lane is None:
            return None
        window = t_end // self.lane.hop_ns
        if self.lane.end_window is not None:
            window = min(window, self.lane.end_window - 1)
        first = self.lane.first_window if self.lane.first_window is not None else self.first_seen
        return None if first is None or window < first else window

    def end_of(self, window: int) -> int:
        return window * self.lane.hop_ns if self.lane is not None else 0

    def fate(self, window: int) -> str | None:
        """Why this window has no vector; None while it may still come."""
        for start, end, reason in reversed(self.ranges):
            if start <= window < end:
                return reason
        if self.outage is not None and window >= self.outage:
            return self.outage_reason
        return "lost" if window < self.newest else None


@dataclass(slots=True)
class _Rig:
    lanes: dict[LaneKey, _LaneState] = field(default_factory=dict)
    open: dict[int, tuple[Bound, int]] = field(default_factory=dict)
    """By t_end: what is there, and when it has to be closed (monotonic ns)."""
    announced: bool = False
    closed_to: int = -(2**63)
    since: int = 2**63
    """Earliest t_end heard of: what a slow lane owes from before that is not waited for."""


class Binder:
    """Feed it every message; it gives back each `t_end` once, in order per rig.

    covers: whether a topic is subscribed at all; lanes that are not are not waited for.
    """

    def __init__(self, timeout_s: float, covers: Callable[[str], bool]) -> None:
        self._timeout_ns = round(timeout_s * 1e9)
        self._covers = covers
        self._rigs: dict[str, _Rig] = {}
        self.late = 0
        """Vectors that came after their `t_end` had been given out."""

    def feed(self, message: Message, now_ns: int) -> Iterator[Bound]:
        """Take a message, at monotonic time `now_ns`; gives what it completes."""
        rig = self._rigs.setdefault(message.rig, _Rig())
        if isinstance(message, Embedding):
            self._take_embedding(rig, message, now_ns)
        elif isinstance(message, Event):
            self._take_event(rig, message)
        elif isinstance(message, Announcement):
            self._take_lanes(rig, message.streams)
        return self._release(rig, now_ns)

    def expire(self, now_ns: int) -> Iterator[Bound]:
        """What has waited long enough at monotonic time `now_ns`."""
        for rig in self._rigs.values():
            yield from self._release(rig, now_ns)

    def deadline_ns(self) -> int | None:
        """When `expire` will next have something to give, monotonic ns; None if nothing is open."""
        return min((due for rig in self._rigs.values() for _, due in rig.open.values()), default=None)

    def _take_embedding(self, rig: _Rig, embedding: Embedding, now_ns: int) -> None:
        key = (embedding.stream, embedding.encoder)
        state = rig.lanes.setdefault(key, _LaneState())
        state.newest = max(state.newest, embedding.window)
        if state.first_seen is None:
            state.first_seen = embedding.window
        if state.outage is not None and embedding.window >= state.outage:
            state.ranges.append((state.outage, embedding.window, state.outage_reason))
            state.outage = None
        if embedding.t_end <= rig.closed_to:
            self.late += 1
            return
        rig.since = min(rig.since, embedding.t_end)
        if embedding.t_end not in rig.open:
            rig.open[embedding.t_end] = (Bound(embedding.rig, embedding.t_end), now_ns + self._timeout_ns)
        rig.open[embedding.t_end][0][key] = embedding

    def _take_event(self, rig: _Rig, event: Event) -> None:
        if event.window is None:
            return
        keys = [key for key in rig.lanes if key[0] == event.stream] if not event.encoder else []
        for key in keys or [(event.stream, event.encoder)]:
            state = rig.lanes.setdefault(key, _LaneState())
            if state.lane is not None:
                rig.since = min(rig.since, state.end_of(event.window))
            if event.to_window is None:
                state.outage, state.outage_reason = event.window, event.reason
            else:
                state.ranges.append((event.window, event.to_window, event.reason))
                if state.outage is not None and event.to_window > state.outage:
                    state.outage = None

    def _take_lanes(self, rig: _Rig, lanes: list[Lane]) -> None:
        rig.announced = True
        for state in rig.lanes.values():
            state.lane = None
        for lane in lanes:
            if not self._covers(lane.topic):
                continue
            state = rig.lanes.setdefault((lane.stream, lane.encoder), _LaneState())
            state.lane, state.outage = lane, lane.outage

    def _release(self, rig: _Rig, now_ns: int) -> Iterator[Bound]:
        """Give out the oldest moments as long as they are settled or overdue; never a newer one before an older."""
        while rig.open:
            t_end = min(rig.open)
            bound, due_ns = rig.open[t_end]
            overdue = now_ns >= due_ns
            waiting = not rig.announced
            absent: dict[LaneKey, str] = {}
            for key, state in rig.lanes.items():
                window = state.last_due(t_end)
                if key in bound or window is None or not max(rig.closed_to + 1, rig.since) <= state.end_of(window):
                    continue
                fate = state.fate(window)
                # A lane with a longer hop may still owe an older moment that nobody else has a vector for.
                waiting |= fate is None and state.newest != window
                if state.end_of(window) == t_end:
                    absent[key] = fate or "timeout"
            if waiting and not overdue:
                return
            bound.absent, bound.complete = absent, rig.announced and not absent
            del rig.open[t_end]
            rig.closed_to = t_end
            yield bound

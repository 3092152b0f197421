"""What was lost: a state machine over sequence numbers, heartbeats and epochs. Pure: no socket, no clock.

It relies on one fact: what a publisher sends to one subscriber arrives in the order of sending, or not at all. So a
heartbeat that says "last seq 41" settles everything up to 41. A topic starts to count
- from the welcome, for every topic the subscriber is subscribed to (`welcome`), and
- else from its first message, since nobody can know what a late joiner missed on purpose.
A publisher that starts anew (another epoch) counts from 0 again, and everything it sends counts from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Loss", "SequenceTracker"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages [from_seq, to_seq) of a topic never arrived."""

    topic: str
    epoch: int
    from_seq: int
    to_seq: int

    @property
    def count(self) -> int:
        return self.to_seq - self.from_seq


@dataclass(slots=True)
class _Rig:
    epoch: int
    next_seq: dict[str, int] = field(default_factory=dict)
    live: tuple[str, ...] = ()
    """Topic prefixes for which everything counts."""


class SequenceTracker:
    """Follows every topic of every rig and says, each message exactly once, which never came."""

    def __init__(self) -> None:
        self._rigs: dict[str, _Rig] = {}
        self.restarts = 0
        """Times a rig's publisher was seen to have started anew."""
        self.repeated = 0
        """Messages that came a second time."""

    def receive(self, rig: str, epoch: int, topic: str, seq: int) -> tuple[bool, Loss | None]:
        """Note a message. Returns whether it is new (no repeat), and the loss it reveals."""
        state = self._at_epoch(rig, epoch)
        expected = state.next_seq.get(topic)
        if expected is None:
            expected = 0 if topic.startswith(state.live) else seq
        if seq < expected:
            self.repeated += 1
            return False, None
        state.next_seq[topic] = seq + 1
        return True, Loss(topic, epoch, expected, seq) if seq > expected else None

    def heartbeat(self, rig: str, epoch: int, last: Mapping[str, int]) -> list[Loss]:
        """Note the last seq of every topic; returns the losses that reveals."""
        state = self._at_epoch(rig, epoch)
        losses = []
        for topic, seq in last.items():
            expected = state.next_seq.get(topic)
            if expected is None:
                if not topic.startswith(state.live):
                    continue
                expected = 0
            if seq >= expected:
                losses.append(Loss(topic, epoch, expected, seq + 1))
                state.next_seq[topic] = seq + 1
        return losses

    def welcome(self, rig: str, epoch: int, last: Mapping[str, int], prefixes: Iterable[str]) -> list[Loss]:
        """Note that subscriptions to `prefixes` are in force: from here on everything under them counts.

        A repeated welcome (after a reconnect) counts as a heartbeat for the prefixes that were live before.
        """
        state = self._at_epoch(rig, epoch)
        prefixes = tuple(prefixes)
        for topic, seq in last.items():
            if topic.startswith(prefixes) and not topic.startswith(state.live):
                state.next_seq.setdefault(topic, seq + 1)
        state.live = prefixes
        return self.heartbeat(rig, epoch, last)

    def _at_epoch(self, rig: str, epoch: int) -> _Rig:
        state = self._rigs.get(rig)
        if state is None:
            state = self._rigs[rig] = _Rig(epoch)
        elif state.epoch != epoch:
            self.restarts += 1
            state.epoch = epoch
            state.next_seq.clear()
        return state

"""What both subscribers do with the frames they get: decode, follow the sequence, keep the books. No socket here."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from stream_bind.errors import WireError
from stream_bind.messages import Embedding, Event
from stream_bind.wire.message import Announcement, Heartbeat, Message, decode
from stream_bind.wire.sequence import Loss, SequenceTracker
from stream_bind.wire.topic import WELCOME_PREFIX

__all__ = ["Intake"]

log = logging.getLogger(__name__)

_MAX_GAPS = 1000
_OWN_TOPICS = ("hb/", "meta/")


class Intake:
    """Turns frames into messages and remembers what was lost, damaged or announced on the way."""

    def __init__(self, topics: Iterable[str], on_loss: Callable[[Loss], None] | None = None) -> None:
        self.topics = tuple(topics)
        """Prefixes of which messages are handed on."""
        self.watched = self.topics
        """Prefixes that are subscribed; more than `topics` while events are needed for binding only."""
        self.welcome_topic = b""
        self.new_welcome()
        self.live = False
        """All of `watched` is in force at the publisher."""
        self.meta: dict[str, Announcement] = {}
        self.closing: set[str] = set()
        self.lost = 0
        self.malformed = 0
        self.gaps: deque[Loss] = deque(maxlen=_MAX_GAPS)
        self._tracker = SequenceTracker()
        self._on_loss = on_loss

    @property
    def restarts(self) -> int:
        return self._tracker.restarts

    @property
    def repeated(self) -> int:
        return self._tracker.repeated

    def new_welcome(self) -> bytes:
        """Make and return a topic that nobody else asks for; its answer will prove what is subscribed before it."""
        self.welcome_topic = WELCOME_PREFIX + secrets.token_hex(8).encode()
        self.live = False
        return self.welcome_topic

    def subscriptions(self) -> list[bytes]:
        """Everything to subscribe, in this order: the welcome last, so that its answer covers the others."""
        return [topic.encode() for topic in dict.fromkeys((*self.watched, *_OWN_TOPICS))] + [self.welcome_topic]

    def watches(self, topic: str) -> bool:
        return topic.startswith(self.watched)

    def wants(self, topic: str) -> bool:
        return topic.startswith(self.topics)

    def take(self, frames: Sequence[bytes]) -> Message | None:
        """The message in `frames`; None if it is damaged (counted), a repeat, or of a kind not read here."""
        try:
            message = decode(frames)
        except WireError as error:
            self.malformed += 1
            if self.malformed == 1:
                log.warning("a message could not be read (further ones are only counted): %s", error)
            return None
        if isinstance(message, Embedding | Event):
            topic = frames[0].decode("ascii")
            new, loss = self._tracker.receive(message.rig, message.epoch, topic, message.seq)
            if loss is not None:
                self._count(loss)
            if not new:
                return None
        elif isinstance(message, Heartbeat):
            self._note(self._tracker.heartbeat(message.rig, message.epoch, message.last))
            (self.closing.add if message.closing else self.closing.discard)(message.rig)
        elif isinstance(message, Announcement):
            self._take_announcement(message, frames[0] == self.welcome_topic)
        return message

    def _take_announcement(self, meta: Announcement, is_welcome: bool) -> None:
        self.meta[meta.rig] = meta
        self.closing.discard(meta.rig)
        if is_welcome:
            self.live = True
            self._note(self._tracker.welcome(meta.rig, meta.epoch, meta.last, self.watched))
        else:
            self._note(self._tracker.heartbeat(meta.rig, meta.epoch, meta.last))

    def _note(self, losses: list[Loss]) -> None:
        for loss in losses:
            self._count(loss)

    def _count(self, loss: Loss) -> None:
        self.lost += loss.count
        self.gaps.append(loss)
        if self._on_loss is not None:
            self._on_loss(loss)

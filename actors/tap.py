"""The way of one actor's recording to the record actor: coded in a thread of its own, kept until it is on the disk.

What does not fit into memory while the disk cannot follow is dropped and counted; nothing ever waits for the disk but
a replay or an import, which may.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from actors.transport import LINK_VERSION, Message, Outlet, Poller, Waker, each
from stream_bind.clock import Clock
from stream_bind.log.codec import Entry, TopicInfo

__all__ = ["Coder", "Tap", "pack_entries", "unpack_entries"]

log = logging.getLogger(__name__)

BEAT_S = 0.5
GATHER_S = 0.4
"""How long samples gather before they go out together: every message wakes four threads. Gathering for 0.25 s cost five
sensors another percent of a core, sending up to 100 messages a second several."""
BATCH_BYTES = 16 << 20
"""More than a camera's uncompressed pictures in GATHER_S, 640x480 at 30 fps."""

Packed = tuple[int, str, int, int]
"""Log time, topic, publish time, length."""
Item_contra = TypeVar("Item_contra", contravariant=True)


class Coder(Protocol[Item_contra]):
    """Turns what is tapped into log messages; called in the tap's thread only."""

    def topics(self, item: Item_contra) -> dict[str, TopicInfo]:
        """The topics that this item needs and that were not told before."""

    def entries(self, item: Item_contra, *, after_loss: bool) -> Iterable[Entry]:
        """The messages of one item. after_loss: what came before it was dropped."""


@dataclass(slots=True)
class _Waiting:
    item: Any
    n_bytes: int
    log_time_ns: int
    after_loss: bool
    put_ns: int
    """Monotonic."""


@dataclass(slots=True)
class _Sent:
    head: dict[str, Any]
    data: NDArray[np.uint8]


def pack_entries(timed: Iterable[tuple[int, Entry]]) -> tuple[list[Packed], NDArray[np.uint8]]:
    """Of (log time, entry) pairs: what each is, and their bytes in one piece."""
    listed = list(timed)
    data = np.frombuffer(b"".join(part for _, entry in listed for part in (entry.head, entry.tail)), np.uint8)
    return [(t_ns, entry.topic, entry.publish_time, entry.n_bytes) for t_ns, entry in listed], data


def unpack_entries(packed: Iterable[Packed], data: NDArray[np.uint8]) -> Iterable[tuple[int, Entry]]:
    """What `pack_entries` packed; the messages are views of it."""
    view, start = data.data, 0
    for t_ns, topic, publish_time, length in packed:
        yield t_ns, Entry(topic, view[start : start + length], publish_time)
        start += length


class Tap:
    """One per recorded stream, and one for what is published. `put` may be called from one thread, any."""

    def __init__(self, endpoint: str, name: str, coder: Coder[Any], clock: Clock, *, max_bytes: int) -> None:
        """endpoint: the record actor's. name: no other tap's, nor that of this actor's former life."""
        self._endpoint, self._name, self._coder, self._clock = endpoint, name, coder, clock
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._kept: OrderedDict[int, _Sent] = OrderedDict()
        self._bytes = self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._topics: dict[str, TopicInfo] = {}
        self._after_loss = False
        self._dropped: Counter[str] = Counter()
        self._n_sent = 0
        self._life: str | None = None
        self._stop = self._hurry = self._hurried = False
        self.n_dropped = 0
        """Items that found no room."""
        self.error = ""
        """Why this tap records no more, if so."""
        self._waker = Waker()
        self._thread = threading.Thread(target=self._run, name=f"tap-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def full(self) -> bool:
        """The next item may be dropped."""
        return self._bytes >= self._max_bytes

    @property
    def idle(self) -> bool:
        """Everything that was put is on the disk, or will never be."""
        return bool(self.error) or not self._bytes

    def put(self, item: Any, n_bytes: int, log_time_ns: int, topic: str, *, vital: bool = False) -> bool:
        """Record `item`, which takes about n_bytes of memory; False if there is no room, counted under `topic`. vital:
        it is small, few are like it, and it must not be missing."""
        with self._lock:
            if self.error:
                return False
            # One item always fits: a frame may be larger than what a user allows.
            if not vital and self._bytes and self._bytes + n_bytes > self._max_bytes:
                self.n_dropped += 1
                self._dropped[topic] += 1
                self._after_loss = True
                return False
            self._bytes += n_bytes
            now_ns = self._clock.monotonic_ns()
            self._waiting.append(_Waiting(item, n_bytes, log_time_ns, self._after_loss, now_ns))
            self._after_loss = False
            most = min(BATCH_BYTES, self._max_bytes // 4)
            hasten = self._waiting_bytes <= most < self._waiting_bytes + n_bytes
            self._waiting_bytes += n_bytes
        if hasten:
            self._waker.wake()
        return True

    def hurry(self) -> None:
        """The end is near: ask the record actor to put on the disk what it has."""
        self._hurry = self._hurried = True
        self._waker.wake()

    def health(self) -> dict[str, Any]:
        return {"waiting_bytes": self._bytes, "dropped": self.n_dropped, "error": self.error}

    def close(self, timeout_s: float = 2.0) -> None:
        self._stop = True
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        outlet = Outlet(self._endpoint, f"tap-{self._name}", linger_ms=500)
        # What the record actor says can wait for the next batch, unless somebody waits for it: to be woken by every
        # word cost each tap 0.15 % of a core.
        patient, eager = Poller(self._waker), Poller(self._waker, outlet)
        next_beat_s = 0.0
        try:
            while not self._stop:
                (eager if self._life is None or self._hurried or self.full else patient).wait(GATHER_S)
                self._waker.clear()
                each(outlet.drain(), lambda message: self._receive(message, outlet))
                now_s = self._clock.monotonic_ns() / 1e9
                hurry, self._hurry = self._hurry, False
                due = hurry or now_s >= next_beat_s
                if due:
                    next_beat_s = now_s + BEAT_S
                    if outlet.revive(now_s):
                        self._send_again(outlet)
                # Before its first beat nobody knows which life of the record actor would get this.
                while self._waiting and self._life is not None:
                    # A batch is as good as a beat, and one message less for two processes to wake for.
                    self._send_batch(outlet, beat=due and not hurry)
                    due = hurry
                if due:
                    outlet.send("beat", {"name": self._name, "v": LINK_VERSION, "hurry": hurry})
        except Exception as error:  # a recording that fails must not take the sensor with it
            log.exception("%s: recording of it has failed", self._name)
            self.error = f"{type(error).__name__}: {error}"
        finally:
            outlet.close()
            self._waker.close()

    def _send_batch(self, outlet: Outlet, *, beat: bool) -> None:
        batch, size = [], 0
        while self._waiting and size < BATCH_BYTES:
            waiting = self._waiting.popleft()
            batch.append(waiting)
            size += waiting.n_bytes
        self._announce_new(batch, outlet)
        packed, data = pack_entries(
            (waiting.log_time_ns, entry)
            for waiting in batch
            for entry in self._coder.entries(waiting.item, after_loss=waiting.after_loss)
        )
        self._n_sent += 1
        with self._lock:
            self._waiting_bytes -= size
            dropped = dict(self._dropped)
            self._dropped.clear()
            age_ns = self._clock.monotonic_ns() - batch[0].put_ns
            head = {"name": self._name, "n": self._n_sent, "entries": packed, "dropped": dropped, "age_ns": age_ns}
            sent = self._kept[self._n_sent] = _Sent(head, data)
            self._bytes += data.nbytes - size
        self._send(sent, outlet, beat=beat)

    def _announce_new(self, batch: list[_Waiting], outlet: Outlet) -> None:
        needed = {name: info for waiting in batch for name, info in self._coder.topics(waiting.item).items()}
        fresh = {name: info for name, info in needed.items() if name not in self._topics}
        if fresh:
            self._topics |= fresh
            self._announce(outlet, fresh)

    def _send(self, sent: _Sent, outlet: Outlet, *, beat: bool = False) -> None:
        outlet.send("entries", sent.head | {"to": self._life, "beat": beat}, sent.data)

    def _send_again(self, outlet: Outlet) -> None:
        self._announce(outlet, self._topics)
        for sent in list(self._kept.values()):
            self._send(sent, outlet)

    def _announce(self, outlet: Outlet, topics: dict[str, TopicInfo]) -> None:
        told = {name: (info.type, info.metadata) for name, info in topics.items()}
        outlet.send("topics", {"name": self._name, "topics": told})

    def _receive(self, message: Message, outlet: Outlet) -> None:
        """A beat of the record actor: how far it has got, in which life."""
        head = message.head
        life, saved = head["life"], head["saved"]
        new, self._life = self._life not in {None, life}, life
        if new:
            self._send_again(outlet)
        with self._lock:
            while self._kept and next(iter(self._kept)) <= saved:
                _, done = self._kept.popitem(last=False)
                self._bytes -= done.data.nbytes

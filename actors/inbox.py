"""From the reader thread to the loop of a capture actor: chunks in order, bounded in bytes, with few wake-ups."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from stream_bind.messages import Chunk, Notice

__all__ = ["Arrival", "Inbox"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One thing the reader saw: a chunk, a notice, a fatal error, the end of the stream; or, replayed, that the source
    was found idle."""

    arrived_ns: int
    chunk: Chunk | None = None
    sent: Chunk | None = None
    """The chunk as the device delivered it, before adjustments; None where nothing is recorded."""
    idle_ns: int | None = None
    """Event time up to which windows were closed by host time."""
    notice: Notice | None = None
    fatal: str | None = None
    end: bool = False


class Inbox:
    """Bounded by bytes. A full one drops its oldest chunk and marks the hole (live), or makes the reader wait
    (recordings with policy backpressure). Waking a loop costs about 100 us, so the reader wakes it only when an event
    time at which a window closes has come, or `wake_every` items wait."""

    def __init__(
        self, wake: Callable[[], None], *, max_bytes: int = 64 << 20, wait: bool = False, wake_every: int = 64
    ) -> None:
        self._wake = wake
        self._max_bytes = max_bytes
        self._wait = wait
        self._wake_every = wake_every
        self._items: deque[Arrival] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self._hole = False
        self.wake_at_ns: int = -(1 << 62)
        """Event time at which the next window closes; set by the loop."""
        self.dropped_chunks = 0

    def put(self, arrival: Arrival) -> None:
        size = arrival.chunk.data.nbytes if arrival.chunk is not None else 0
        with self._changed:
            while self._wait and self._items and self._bytes + size > self._max_bytes and not self._closed:
                self._wake()
                self._changed.wait(0.5)
            if self._closed:
                return
            self._items.append(arrival)
            self._bytes += size
            while not self._wait and self._bytes > self._max_bytes and len(self._items) > 1:
                self._drop_oldest()
            n_items = len(self._items)
        due = arrival.chunk is None or (len(arrival.chunk) > 0 and int(arrival.chunk.t_ns.max()) >= self.wake_at_ns)
        if due or n_items % self._wake_every == 0:
            self._wake()

    def _drop_oldest(self) -> None:
        for i, item in enumerate(self._items):
            if item.chunk is not None:
                self._bytes -= item.chunk.data.nbytes
                del self._items[i]
                self.dropped_chunks += 1
                for j in range(i, len(self._items)):
                    follower = self._items[j]
                    if follower.chunk is not None:
                        self._items[j] = replace(follower, chunk=replace(follower.chunk, gap_before=True))
                        return
                self._hole = True
                return

    def take(self) -> Arrival | None:
        """The oldest item, or None."""
        with self._changed:
            if not self._items:
                return None
            item = self._items.popleft()
            if item.chunk is not None:
                self._bytes -= item.chunk.data.nbytes
                if self._hole:
                    item, self._hole = replace(item, chunk=replace(item.chunk, gap_before=True)), False
            self._changed.notify()
            return item

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """Let a waiting reader go; what is put from now on is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

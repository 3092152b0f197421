"""The one thread of the network camera: FFmpeg's blocking read, which only notes arrivals and queues packets.

FFmpeg cannot be interrupted and resumed (docs/decisions/0005-network-cameras.md), so without it no read of a silent
camera would return in time, and old pictures would pile up in sockets where nobody can tell how old they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Arrived", "PacketPump"]

logger = logging.getLogger(__name__)

MOST_NS = 2_000_000_000
"""Packets kept for a reader that does not come; a longer backlog is cut to the newest key frame."""
MOST_BYTES = 32 << 20


class Arrived(NamedTuple):
    """A compressed picture."""

    packet: Any
    before_ns: int
    """When the packet before it was handed out; 0 for the first."""
    at_ns: int
    """When this one was."""
    gap: bool
    """Packets before it were thrown away."""


class PacketPump:
    """Packets of one track of an open PyAV container, in order. It owns the container from now on."""

    def __init__(self, name: str, container: Any, track: Any, now_ns: Callable[[], int]) -> None:
        self.dropped = 0
        """Packets thrown away because nobody took them."""
        self._name = name
        self._container = container
        self._track = track
        self._now_ns = now_ns
        self._queue: deque[Arrived] = deque()
        self._bytes = 0
        self._wait_for_key = False
        self._gap = False
        self._error: Exception | None = None
        self._ended = self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"packets {name}", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Arrived | None:
        """The next packet, None if none comes within timeout_s. Raises what FFmpeg raised, EOFError at the end, once
        all packets are taken."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self._queue:
                if self._ended:
                    raise self._error or EOFError
                left_s = end - time.monotonic()
                if left_s <= 0:
                    return None
                self._changed.wait(left_s)
            arrived = self._queue.popleft()
            self._bytes -= arrived.packet.size
            return arrived

    def stop(self, timeout_s: float = 0.3) -> None:
        """Let go. Where FFmpeg does not come back in time, the thread closes the container when it does, at the latest
        when the read timeout it was opened with is over."""
        with self._changed:
            ours_to_close = self._ended and not self._stopping
            self._stopping = True
            self._queue.clear()
        if ours_to_close:
            self._close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        before_ns = 0
        try:
            for packet in self._container.demux(self._track):
                at_ns = self._now_ns()
                if packet.size:  # empty ones tell a decoder to hand out what it holds back
                    self._put(packet, before_ns, at_ns)
                    before_ns = at_ns
                if self._stopping:
                    break
        except Exception as error:  # handed to the reader, who knows what to say
            self._error = error
        with self._changed:
            self._ended = True
            stopping = self._stopping
            self._changed.notify()
        if stopping:
            self._close()

    def _put(self, packet: Any, before_ns: int, at_ns: int) -> None:
        with self._changed:
            if self._wait_for_key and not packet.is_keyframe:
                self.dropped += 1
                return
            arrived = Arrived(packet, before_ns, at_ns, self._gap)
            self._wait_for_key = self._gap = False
            self._queue.append(arrived)
            self._bytes += packet.size
            if at_ns - self._queue[0].at_ns > MOST_NS or self._bytes > MOST_BYTES:
                self._cut()
            self._changed.notify()

    def _cut(self) -> None:
        """Go on with the newest key frame: what follows needs nothing from before it."""
        queue = list(self._queue)
        newest = max((k for k, arrived in enumerate(queue) if arrived.packet.is_keyframe), default=0)
        # Where one group of pictures fills it all, the next key frame it is.
        keep = queue[newest:] if newest else []
        self.dropped += len(queue) - len(keep)
        if keep:
            keep[0] = keep[0]._replace(gap=True)
        else:
            self._wait_for_key = self._gap = True
        self._queue = deque(keep)
        self._bytes = sum(arrived.packet.size for arrived in keep)

    def _close(self) -> None:
        try:
            self._container.close()
        except Exception as error:  # FFmpeg's parting words about a dead connection help nobody
            logger.debug("%s: closing: %s", self._name, error)

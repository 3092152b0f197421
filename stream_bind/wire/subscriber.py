"""The consumer's end: waits until its subscription is in force, hands on messages in order and says what was lost.

A subscriber has to be polled (iterate, `recv`) to stay alive: libzmq sends the subscriptions again after a reconnect
only when the socket's own thread lets it, so one that is never read stays deaf after the publisher restarts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import zmq

from stream_bind.wire.async_subscriber import AsyncSubscriber
from stream_bind.wire.bound import Binder, Bound
from stream_bind.wire.message import Message
from stream_bind.wire.subscription import (
    DEFAULT_ENDPOINT,
    SAY_WAITING_S,
    Data,
    Subscription,
    deadline,
    until,
)

__all__ = ["DEFAULT_ENDPOINT", "AsyncSubscriber", "Bound", "Subscriber"]


class Subscriber(Subscription):
    """Receives vectors: `with Subscriber() as subscriber: for embedding in subscriber: ...`

    Yields Embeddings, and Events where `evt/` is among the topics, in the order they were sent. Entering the context
    returns when the subscription is in force. Not thread-safe: use it in one thread.

    endpoint: the publisher's. topics: prefixes, each best ended by "/" (`emb/headset/cam1` also matches `cam10`);
    `evt/` adds events. backfill: fetch lost messages again, where the publisher's meta names a backfill endpoint
    (null says it has none). hwm: messages queued here before the publisher drops the newest. timeout_s: how long
    entering the context waits for the publisher; None is for ever. on_loss: called with every loss as it is found.
    WireError if the endpoint is none.
    """

    def __enter__(self) -> Subscriber:
        try:
            self.wait_live(self.timeout_s)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    def wait_live(self, timeout_s: float | None = None) -> None:
        """Return once the publisher has confirmed the subscription. What is published after that arrives or counts as
        lost; what came before is kept and handed on. WireError after `timeout_s`; None waits for ever."""
        start_ns = self._clock.monotonic_ns()
        until_ns = until(start_ns, timeout_s)
        say_ns: float = start_ns + SAY_WAITING_S * 1e9
        while not self.live:
            if self._receive(min(until_ns, say_ns)) is not None:
                continue
            now_ns = self._clock.monotonic_ns()
            if now_ns >= until_ns:
                raise self._no_publisher(timeout_s or 0.0)
            if now_ns >= say_ns:
                self._say_waiting()
                say_ns = math.inf

    def recv(self, timeout_s: float | None = None) -> Data | None:
        """The next message, or None after `timeout_s`; None waits for ever."""
        until_ns = until(self._clock.monotonic_ns(), timeout_s)
        while not self._ready:
            if self._receive(until_ns) is None and self._clock.monotonic_ns() >= until_ns:
                return None
        return self._pop()

    def __iter__(self) -> Iterator[Data]:
        return self

    def __next__(self) -> Data:
        message = None
        while message is None:
            message = self.recv()
        return message

    def bound(self, timeout_s: float = 5.0) -> Iterator[Bound]:
        """What all streams of one `t_end` have, as one dict per `t_end` and rig, in order.

        Given out as soon as every announced lane of that `t_end` has its vector or an event that says why not, at the
        latest `timeout_s` after its first vector. Subscribes to events by itself. Use it instead of iterating.
        """
        self._watch_events()
        binder = self._binder(timeout_s)
        return self._bound(binder)

    def _bound(self, binder: Binder) -> Iterator[Bound]:
        early = [message for message, _ in self._ready]
        self._ready.clear()
        for message in early:
            yield from binder.feed(message, self._clock.monotonic_ns())
        while True:
            taken = self._receive(deadline(binder))
            self._ready.clear()
            now_ns = self._clock.monotonic_ns()
            yield from binder.expire(now_ns) if taken is None else binder.feed(taken, now_ns)

    def _receive(self, until_ns: float) -> Message | None:
        """Wait for one message, at most until a monotonic time, and book it. None if none came or it was no good."""
        try:
            frames = self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            if not self._socket.poll(self._wait_ms(until_ns)):
                self._redial_if_silent()
                return None
            frames = self._socket.recv_multipart()
        return self._take(frames)

"""The socket that vectors leave by: one XPUB per rig, used from one thread.

A subscriber that is slower than the stream loses messages at its own high-water mark inside libzmq, newest first, and
nobody else is held up (XPUB_NODROP, which would hold everyone up, stays off). It learns of the loss from `seq` and from
the heartbeat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import zmq
from msgspec import UNSET, structs

from stream_bind.clock import Clock, SystemClock
from stream_bind.errors import WireError
from stream_bind.messages import Embedding, Event, Intrinsics
from stream_bind.wire.context import end_context
from stream_bind.wire.endpoint import bindable, explain_bind, is_ipv6, refuse_open_bind
from stream_bind.wire.message import (
    DTYPES,
    Announcement,
    Heartbeat,
    Lane,
    encode_announcement,
    encode_embedding,
    encode_event,
    encode_heartbeat,
)
from stream_bind.wire.topic import WELCOME_PREFIX, check_id, embedding_topic, event_topic, meta_topic

__all__ = ["HEARTBEAT_S", "Publisher"]

HEARTBEAT_S = 1.0
"""A heartbeat at least this often, as long as `beat` is called."""

_MAX_WELCOME = 64
"""Bytes of a `~` topic that are answered; our subscribers use 17."""
# Free the queue of a subscriber whose machine went away silently. By TCP's own means: ZMTP heartbeats would cut off
# one that is merely stuck at its high-water mark (subscription.py has the rest). Linux counts a closed window too, so
# this is also how long a subscriber may stall before it has to connect again.
_KEEPALIVE_IDLE_S, _KEEPALIVE_EVERY_S, _KEEPALIVE_TRIES = 10, 5, 4
_UNACKNOWLEDGED_MS = 120_000


class Publisher:
    """Publishes one rig's vectors and events. Not thread-safe: make and use it in one thread.

    endpoint: what to bind (`tcp://127.0.0.1:*` picks a free port; see `endpoint`). epoch: a number no earlier
    publisher of this rig used, by default the UNIX ns of now. hwm: messages kept per subscriber before it loses the
    newest. dtype: "<f4", or "<f2" for half the bytes. Raises WireError if the endpoint cannot or must not be bound.
    """

    def __init__(
        self,
        endpoint: str,
        rig: str,
        *,
        epoch: int | None = None,
        hwm: int = 10_000,
        insecure: bool = False,
        curve: None = None,
        dtype: str = "<f4",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise WireError(f"publish.dtype: {dtype!r} is none of {', '.join(DTYPES)}")
        if curve is not None:
            raise WireError("publish.curve: this release knows no CURVE keys; use a loopback or ipc endpoint")
        self.rig = check_id("rig", rig)
        refuse_open_bind(endpoint, encrypted=False, insecure=insecure)
        bound = bindable(endpoint)
        self._clock = clock or SystemClock()
        self.epoch = self._clock.unix_ns() if epoch is None else epoch
        self._dtype = dtype
        self._meta_topic = meta_topic(rig)
        self._version = _program()
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._cameras: dict[str, Intrinsics] = {}
        self._last: dict[str, int] = {}
        self._outages: dict[tuple[str, str], int] = {}
        self._subscriptions: dict[bytes, int] = {}
        self._beat_due_ns = self._clock.monotonic_ns()
        self._own_context = context is None
        self._context = context or zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(zmq.XPUB)
        """For a poller: readable when subscribers come or go, which `beat` then handles."""
        self._closed = False
        try:
            self._open(bound, hwm)
        except BaseException:
            self.close(linger_ms=0)
            raise
        self.endpoint: str = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        """Where subscribers connect, the port filled in where `*` was asked for."""

    def _open(self, endpoint: str, hwm: int) -> None:
        # Verbose, so that the second subscriber of a topic is seen too; verboser, so that the count goes down again.
        self.socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self.socket.setsockopt(zmq.SNDHWM, hwm)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_EVERY_S)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_TRIES)
        self.socket.setsockopt(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)
        self.socket.setsockopt(zmq.IPV6, int(is_ipv6(endpoint)))
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise WireError(explain_bind(endpoint, error.errno or 0, str(error))) from error

    @property
    def subscribers(self) -> int:
        """At least so many subscribers are connected: the most that share one topic prefix, as of the last `beat`."""
        return max(self._subscriptions.values(), default=0)

    def subscribed(self, prefix: str = "emb/") -> bool:
        """Whether anyone, as of the last `beat`, would get some message whose topic starts with `prefix`."""
        wanted = prefix.encode()
        return any(wanted.startswith(topic) or topic.startswith(wanted) for topic in self._subscriptions)

    def publish(self, embedding: Embedding) -> Embedding:
        """Send a vector. Returns it with `seq`, `epoch` and `t_pub` (host UNIX ns at sending) filled in.

        WireError, and nothing sent, if it is of another rig or no unit vector.
        """
        self._check_rig(embedding.rig)
        topic = embedding_topic(self.rig, embedding.stream, embedding.encoder).decode()
        seq = self._last.get(topic, -1) + 1
        numbered = replace(embedding, seq=seq, epoch=self.epoch, t_pub=self._clock.unix_ns())
        self.socket.send_multipart(encode_embedding(numbered, self._dtype))
        self._last[topic] = seq
        if self._outages and embedding.window >= self._outages.get(
            lane := (embedding.stream, embedding.encoder), math.inf
        ):
            del self._outages[lane]
        return numbered

    def event(self, event: Event) -> Event:
        """Send an event. Returns it with `seq`, `epoch` and `t_pub` filled in. WireError if it is of another rig."""
        self._check_rig(event.rig)
        topic = event_topic(self.rig, event.stream).decode()
        seq = self._last.get(topic, -1) + 1
        numbered = replace(event, seq=seq, epoch=self.epoch, t_pub=self._clock.unix_ns())
        self.socket.send_multipart(encode_event(numbered))
        self._last[topic] = seq
        if event.window is not None:
            lane = (event.stream, event.encoder)
            if event.to_window is None:
                self._outages[lane] = event.window
            elif event.to_window > self._outages.get(lane, event.to_window):
                del self._outages[lane]
        return numbered

    def set_meta(self, lanes: Sequence[Lane], cameras: Mapping[str, Intrinsics] | None = None) -> None:
        """Say what this rig publishes; sent to everyone now and to each new subscriber. Call it again on any change.

        cameras: stream to the calibration that its camera carries.
        """
        self._cameras = dict(cameras or {})
        self._lanes = {(lane.stream, lane.encoder): structs.replace(lane, dtype=self._dtype) for lane in lanes}
        self._announce(self._meta_topic)

    def beat(self) -> float:
        """Greet new subscribers and send the heartbeat if it is due. Call it several times a second.

        Returns the seconds until the next heartbeat, for a poller's timeout.
        """
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._take_subscription(self.socket.recv())
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._beat_due_ns:
            self._send_heartbeat(closing=False)
            self._beat_due_ns = now_ns + round(HEARTBEAT_S * 1e9)
        return (self._beat_due_ns - now_ns) / 1e9

    def close(self, linger_ms: int = 1000) -> None:
        """Send a last heartbeat marked `closing` and close; wait at most `linger_ms` for subscribers to take what is
        queued. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        if linger_ms > 0 and not self.socket.closed:
            self._send_heartbeat(closing=True)
        self.socket.close(linger=linger_ms)
        if self._own_context:
            end_context(self._context, max(0, linger_ms) / 1000)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _take_subscription(self, frame: bytes) -> None:
        joined, topic = frame[:1] == b"\x01", frame[1:]
        count = self._subscriptions.get(topic, 0) + (1 if joined else -1)
        if count > 0:
            self._subscriptions[topic] = count
        else:
            self._subscriptions.pop(topic, None)
        if not joined:
            return
        if topic.startswith(WELCOME_PREFIX):
            # Sorts after every other topic, so libzmq has activated all of this subscriber's topics before this one,
            # also when it sends them again after a reconnect (in byte order): once answered, nothing is missed.
            if len(topic) <= _MAX_WELCOME:
                self._announce(topic)
        elif self._meta_topic.startswith(topic):
            self._announce(self._meta_topic)

    def _announce(self, topic: bytes) -> None:
        whole = {stream: window for (stream, encoder), window in self._outages.items() if not encoder}
        lanes = [
            structs.replace(lane, outage=self._outages.get(key, whole.get(lane.stream)))
            for key, lane in self._lanes.items()
        ]
        meta = Announcement(
            rig=self.rig,
            epoch=self.epoch,
            t_pub=self._clock.unix_ns(),
            version=self._version,
            last=self._last,
            streams=lanes,
            cameras=self._cameras or UNSET,
        )
        self.socket.send_multipart(encode_announcement(meta, topic))

    def _send_heartbeat(self, *, closing: bool) -> None:
        beat = Heartbeat(rig=self.rig, epoch=self.epoch, t_pub=self._clock.unix_ns(), last=self._last, closing=closing)
        self.socket.send_multipart(encode_heartbeat(beat))

    def _check_rig(self, rig: str) -> None:
        if rig != self.rig:
            raise WireError(f"a message of rig {rig!r} came to the publisher of rig {self.rig!r}")


def _program() -> str:
    try:
        return f"stream-bind {version('stream-bind')}"
    except PackageNotFoundError:
        return "stream-bind"

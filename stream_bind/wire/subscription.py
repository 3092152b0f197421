"""What the two subscribers share: the socket with its options, and the books. Nothing in here waits."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import zmq

from stream_bind.clock import Clock, SystemClock
from stream_bind.errors import WireError
from stream_bind.messages import Embedding, Event
from stream_bind.wire.bound import Binder
from stream_bind.wire.context import end_context
from stream_bind.wire.intake import Intake
from stream_bind.wire.message import Announcement, Message, decode_header
from stream_bind.wire.sequence import Loss

__all__ = ["DEFAULT_ENDPOINT", "SAY_WAITING_S", "SILENCE_S", "Data", "Subscription", "deadline", "until"]

log = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5556"

SAY_WAITING_S = 2.0
"""A subscriber that waits longer than this for its publisher says so in the log, once."""

# Reconnect after a publisher's restart: 4-17 ms with a first interval of 10 ms, 53-126 ms with 100 (measured).
_RECONNECT_MS, _RECONNECT_MAX_MS = 10, 1000

SILENCE_S = 10.0
"""A publisher sends a heartbeat every second; a link silent for so long is made anew (cable pulled, laptop asleep).

ZMTP's own heartbeats (ZMQ_HEARTBEAT_IVL) are no way to find that out: on a socket at its high-water mark they take the
unread answers for a dead peer, and the reconnect that follows aborts the process (libzmq 4.3.5, "Assertion failed:
_input_stopped", libzmq#3937; seen here after a stall of 10 s).
"""

Data = Embedding | Event


class Subscription:
    """A SUB socket that knows what it lost. `Subscriber` and `AsyncSubscriber` add the waiting."""

    _socket: zmq.Socket[Any]

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        topics: Iterable[str] = ("emb/",),
        backfill: bool = True,
        curve: None = None,
        *,
        hwm: int = 10_000,
        timeout_s: float | None = None,
        on_loss: Callable[[Loss], None] | None = None,
        clock: Clock | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        if isinstance(topics, str):
            topics = (topics,)
        if curve is not None:
            raise WireError("this release knows no CURVE keys; connect to a loopback or ipc endpoint without `curve`")
        self.endpoint = endpoint
        self.backfill = backfill
        self.timeout_s = timeout_s
        self._clock = clock or SystemClock()
        self._intake = Intake(topics, on_loss)
        self._silent_ns = self._clock.monotonic_ns() + round(SILENCE_S * 1e9)
        self._ready: deque[tuple[Data, list[bytes]]] = deque()
        self._frames: list[bytes] = []
        self._own_context = context is None
        self._context: zmq.Context[Any] = context or self._make_context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, hwm)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self._socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._close()
            raise WireError(
                f"{endpoint!r} is no endpoint to connect to ({error}); write tcp://HOST:PORT or ipc://PATH"
            ) from error
        for topic in self._intake.subscriptions():
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    def _make_context(self) -> zmq.Context[Any]:
        return zmq.Context()

    @property
    def live(self) -> bool:
        """The publisher has confirmed the subscription: from here on every message arrives or counts as lost."""
        return self._intake.live

    @property
    def meta(self) -> dict[str, Announcement]:
        """What each rig last said it publishes."""
        return self._intake.meta

    @property
    def lost(self) -> int:
        """Messages that were sent to this subscription and never came."""
        return self._intake.lost

    @property
    def recovered(self) -> int:
        """Messages that were lost and then fetched from a publisher's backfill."""
        return 0

    @property
    def gaps(self) -> list[Loss]:
        """Where messages were lost, the latest 1000."""
        return list(self._intake.gaps)

    @property
    def malformed(self) -> int:
        """Messages that could not be read, and were skipped. They are in `lost` too, once the next one comes."""
        return self._intake.malformed

    @property
    def repeated(self) -> int:
        """Messages that came twice, and were skipped."""
        return self._intake.repeated

    @property
    def restarts(self) -> int:
        """Times a publisher was seen to have started anew (another epoch). What it still had to send is unknown."""
        return self._intake.restarts

    @property
    def closed_by_publisher(self) -> bool:
        """Every rig heard of has said that it ends here. It may come back; a subscriber reconnects by itself."""
        return bool(self._intake.meta) and self._intake.closing >= self._intake.meta.keys()

    @property
    def header(self) -> dict[str, Any]:
        """The header of the message returned last, key for key as it came; empty before the first."""
        return decode_header(self._frames) if self._frames else {}

    @property
    def topic(self) -> str:
        """The topic of the message returned last; "" before the first."""
        return self._frames[0].decode("ascii") if self._frames else ""

    def _close(self) -> None:
        self._socket.close(linger=0)
        if self._own_context:
            end_context(self._context)

    def _take(self, frames: list[bytes]) -> Message | None:
        """Book a message. Data is put into the queue if it is wanted, everything else only noted."""
        self._silent_ns = self._clock.monotonic_ns() + round(SILENCE_S * 1e9)
        message = self._intake.take(frames)
        if isinstance(message, Data) and self._intake.wants(frames[0].decode("ascii")):
            self._ready.append((message, frames))
        return message

    def _wait_ms(self, until_ns: float) -> int:
        """How long to poll, in whole milliseconds, rounded up so that a wait never ends just before its time."""
        return max(0, math.ceil((min(until_ns, self._silent_ns) - self._clock.monotonic_ns()) / 1e6))

    def _redial_if_silent(self) -> None:
        """Called when a poll found nothing. libzmq sends the subscriptions again on the new link."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._silent_ns:
            return
        self._silent_ns = now_ns + round(SILENCE_S * 1e9)
        if not self.endpoint.startswith("inproc://"):
            self._socket.disconnect(self.endpoint)
            self._socket.connect(self.endpoint)

    def _pop(self) -> Data:
        message, self._frames = self._ready.popleft()
        return message

    def _watch_events(self) -> None:
        """Subscribe to events too, for binding, with a new welcome to say when that is in force."""
        if self._intake.watches("evt/"):
            return
        self._socket.setsockopt(zmq.UNSUBSCRIBE, self._intake.welcome_topic)
        self._intake.watched = (*self._intake.topics, "evt/")
        self._socket.setsockopt(zmq.SUBSCRIBE, b"evt/")
        self._socket.setsockopt(zmq.SUBSCRIBE, self._intake.new_welcome())

    def _binder(self, timeout_s: float) -> Binder:
        binder = Binder(timeout_s, self._intake.watches)
        now_ns = self._clock.monotonic_ns()
        for meta in self._intake.meta.values():
            list(binder.feed(meta, now_ns))
        return binder

    def _no_publisher(self, timeout_s: float) -> WireError:
        return WireError(
            f"no publisher answered at {self.endpoint} within {timeout_s:g} s; "
            "start one with `stream-bind run CONFIG`, or check its publish.endpoint"
        )

    def _say_waiting(self) -> None:
        log.warning("waiting for a publisher at %s", self.endpoint)


def until(start_ns: int, timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else start_ns + timeout_s * 1e9


def deadline(binder: Binder) -> float:
    due_ns = binder.deadline_ns()
    return math.inf if due_ns is None else due_ns

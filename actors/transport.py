"""ZeroMQ between actors: the frames and the sockets. What must arrive at the publisher goes through actors/outbox.py.

The only file of the actors that imports zmq. Frames after the routing identity: [kind, head (msgpack map), array?].
`inproc` shares one context inside a process, `ipc` crosses processes, `tcp` stays on loopback until CURVE keys exist.
A socket belongs to the thread that made it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from stream_bind.errors import LinkError
from stream_bind.messages import Clip, ClockInfo, Gap

__all__ = [
    "LINK_VERSION",
    "Inlet",
    "Message",
    "Outlet",
    "Poller",
    "Waker",
    "check_version",
    "clip_head",
    "clip_of",
    "each",
    "free_port",
    "incarnation",
]

log = logging.getLogger(__name__)

LINK_VERSION = 1
"""Actors of one run come from one checkout; `check_version` catches one of another version on a shared cluster."""
COPIED_BYTES = 1 << 20
"""Messages up to this are copied for sending. pyzmq lends larger ones out, and a thread of its own wakes up to take
each back: 0.4 % of a core when five sensors are recorded."""

Head = dict[str, Any]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def incarnation() -> str:
    """A fresh name for one life of an actor; the same actor restarted has another."""
    return secrets.token_hex(6)


def shared_context() -> zmq.Context[Any]:
    """One context a process, so that inproc endpoints meet."""
    return zmq.Context.instance()


class Message:
    """One received message. `array` is a read-only view of the received frame."""

    __slots__ = ("array", "head", "kind", "peer")

    def __init__(self, peer: bytes, kind: str, head: Head, array: NDArray[Any] | None) -> None:
        self.peer, self.kind, self.head, self.array = peer, kind, head, array


def _pack(kind: str, head: Head, array: NDArray[Any] | None) -> list[Any]:
    if array is None:
        return [kind.encode(), _encoder.encode(head)]
    array = np.ascontiguousarray(array)
    head = {**head, "shape": array.shape, "dtype": array.dtype.str}
    return [kind.encode(), _encoder.encode(head), array.reshape(-1).view(np.uint8).data if array.size else b""]


def _unpack(peer: bytes, frames: Sequence[Any]) -> Message:
    try:
        kind = bytes(frames[0].buffer).decode()
        head = _decoder.decode(frames[1].buffer)
        if not isinstance(head, dict):
            raise TypeError(f"its head should be a map, found {type(head).__name__}")
        array = None
        if len(frames) > 2:
            array = np.frombuffer(frames[2].buffer, np.dtype(head.pop("dtype"))).reshape(head.pop("shape"))
            array.flags.writeable = False  # over inproc it is the sender's own memory, kept for another try
    except (msgspec.DecodeError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise LinkError(f"message between actors that cannot be read: {error}") from error
    return Message(peer, kind, head, array)


def _readable(received: Iterable[tuple[bytes, Sequence[Any]]]) -> Iterator[Message]:
    """Any program on this host may connect; what it sends that is no message must not take a loop down."""
    for peer, frames in received:
        try:
            yield _unpack(peer, frames)
        except LinkError as error:
            log.warning("dropped a %s", error)


def each(messages: Iterable[Message], take: Callable[[Message], object]) -> None:
    """Hand every message to `take`. One that lacks what its kind carries, or names a lane that is not here, is logged
    and dropped: sent again, it would only take the restarted loop down as well."""
    for message in messages:
        try:
            take(message)
        except (LookupError, TypeError, ValueError, AttributeError):
            log.exception("dropped a %r message between actors that does not follow the protocol", message.kind)


def check_version(message: Message) -> None:
    """LinkError if the peer's greeting or beat is of another version of this protocol."""
    found = message.head.get("v")
    if found != LINK_VERSION:
        raise LinkError(
            f"an actor of this run speaks link version {found}, this one {LINK_VERSION}; install the same release of "
            "stream-bind on every node of the cluster"
        )


def _received(socket: zmq.Socket[Any], most: int) -> Iterator[Sequence[Any]]:
    for _ in range(most):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return


def _loopback(endpoint: str) -> str:
    if endpoint.startswith("tcp://") and not endpoint.startswith(("tcp://127.", "tcp://localhost", "tcp://[::1]")):
        raise LinkError(
            f"{endpoint}: clips between hosts need CURVE keys, which this version does not have; "
            "keep the actors of a rig on one host"
        )
    return endpoint


class Inlet:
    """The side that is bound: many peers, each known by the identity it chose."""

    def __init__(self, endpoint: str) -> None:
        self.socket = shared_context().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)  # bounded by credit and by unconfirmed messages instead
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        try:
            self._bind(_loopback(endpoint))
        except zmq.ZMQError as error:
            self.socket.close()
            raise LinkError(f"{endpoint}: cannot bind ({error.strerror}); is another run using it?") from error
        self.endpoint = endpoint

    def _bind(self, endpoint: str) -> None:
        # libzmq closes sockets in the background, so the name of an actor that just died may still be taken.
        for attempt in range(20):
            try:
                self.socket.bind(endpoint)
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EADDRINUSE or attempt == 19:
                    raise
                time.sleep(0.05)

    def send(self, peer: bytes, kind: str, head: Head, array: NDArray[Any] | None = None) -> bool:
        """False if the peer is gone."""
        try:
            self.socket.send_multipart([peer, *_pack(kind, head, array)], zmq.NOBLOCK, copy=False)
        except zmq.ZMQError:
            return False
        return True

    def drain(self, most: int = 256) -> Iterator[Message]:
        """What has arrived, at most `most` messages."""
        return _readable((bytes(frames[0].buffer), frames[1:]) for frames in _received(self.socket, most))

    def close(self) -> None:
        self.socket.close(0)


class Outlet:
    """The side that connects. `identity` must differ between lives.

    ipc and tcp reconnect by themselves when the bound side is restarted; inproc never does, and a half-open tcp link
    does not notice. So a link that should have brought a beat and has not for DEAF_S is made anew by `revive`.
    """

    DEAF_S = 3.0

    def __init__(self, endpoint: str, identity: str, linger_ms: int = 0) -> None:
        self.endpoint = _loopback(endpoint)
        self.identity = identity
        self._linger_ms = linger_ms
        self._heard_s: float | None = None
        self._revived = 0
        self.poller: Poller | None = None
        self.socket = self._connect()

    def _connect(self) -> zmq.Socket[bytes]:
        made: zmq.Socket[bytes] = shared_context().socket(zmq.DEALER)
        # A bound side that has not yet forgotten our old connection would refuse its name.
        made.setsockopt(zmq.IDENTITY, f"{self.identity}.{self._revived}".encode())
        made.copy_threshold = COPIED_BYTES
        made.setsockopt(zmq.LINGER, self._linger_ms)
        made.setsockopt(zmq.SNDHWM, 0)
        made.setsockopt(zmq.RCVHWM, 0)
        made.setsockopt(zmq.RECONNECT_IVL, 10)
        made.setsockopt(zmq.RECONNECT_IVL_MAX, 500)
        made.connect(self.endpoint)
        return made

    @property
    def peer(self) -> str:
        """The name by which the bound side knows this link."""
        return f"{self.identity}.{self._revived}"

    def send(self, kind: str, head: Head, array: NDArray[Any] | None = None) -> None:
        with contextlib.suppress(zmq.Again):
            self.socket.send_multipart(_pack(kind, head, array), zmq.NOBLOCK, copy=False)

    def drain(self, most: int = 256) -> Iterator[Message]:
        for message in _readable((b"", frames) for frames in _received(self.socket, most)):
            self._heard_s = None
            yield message

    @property
    def heard(self) -> bool:
        """Something has come since the last `revive`: the bound side is working through what it is sent."""
        return self._heard_s is None

    def revive(self, now_s: float) -> bool:
        """Call with every beat: connects anew, and says True, if nothing has come back for too long."""
        if self._heard_s is None:
            self._heard_s = now_s
        if now_s - self._heard_s < self.DEAF_S:
            return False
        if self.poller is not None:
            self.poller.drop(self)
        self.socket.close(0)
        self._revived += 1
        self._heard_s = now_s
        self.socket = self._connect()
        if self.poller is not None:
            self.poller.add(self)
        return True

    def close(self) -> None:
        self.socket.close()


class Waker:
    """Wakes a polling loop from another thread; many wakes before the loop looks are one."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def wake(self) -> None:
        # Full means a wake is pending already; closed means nobody waits any more.
        with contextlib.suppress(BlockingIOError, OSError):
            self._write.send(b"!")

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._read.recv(4096)) == 4096:
                pass

    def fileno(self) -> int:
        return self._read.fileno()

    def close(self) -> None:
        self._read.close()
        self._write.close()


class Poller:
    """Waits until one of the sockets or wakers has something."""

    def __init__(self, *sources: Any) -> None:
        self._poller = zmq.Poller()
        for source in sources:
            self.add(source)

    def add(self, source: Any) -> None:
        self._poller.register(getattr(source, "socket", source), zmq.POLLIN)
        if isinstance(source, Outlet):
            source.poller = self

    def drop(self, source: Any) -> None:
        self._poller.unregister(getattr(source, "socket", source))

    def wait(self, timeout_s: float) -> bool:
        return bool(self._poller.poll(max(0, round(timeout_s * 1000))))


def clip_head(clip: Clip, attempts: int, sent_ns: int) -> Head:
    """The head of a CLIP message; the array travels in its own frame."""
    return {
        "stream": clip.stream,
        "encoder": clip.encoder,
        "modality": clip.modality,
        "window": clip.window,
        "t_start": clip.t_start_ns,
        "t_end": clip.t_end_ns,
        "coverage": clip.coverage,
        "status": clip.status,
        "gaps": [(g.start_ns, g.end_ns) for g in clip.gaps],
        "clock": (clip.clock.domain, clip.clock.err_ns),
        "closed": clip.closed_ns,
        "sent": sent_ns,
        "attempts": attempts,
    }


def clip_of(message: Message) -> Clip:
    """The clip of a CLIP message."""
    head = message.head
    if message.array is None:
        raise ValueError("a clip without its array")
    return Clip(
        stream=head["stream"],
        encoder=head["encoder"],
        modality=head["modality"],
        window=head["window"],
        t_start_ns=head["t_start"],
        t_end_ns=head["t_end"],
        array=message.array,
        coverage=head["coverage"],
        status=head["status"],
        gaps=tuple(Gap(a, b) for a, b in head["gaps"]),
        clock=ClockInfo(*head["clock"]),
        closed_ns=head["closed"],
    )


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

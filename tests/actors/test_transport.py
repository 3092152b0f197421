"""The links between actors: frames, sockets that outlive their peers, and messages kept until they are confirmed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.outbox import Outbox
from actors.transport import (
    LINK_VERSION,
    Inlet,
    Message,
    Outlet,
    Poller,
    Waker,
    check_version,
    clip_head,
    clip_of,
    each,
    free_port,
    incarnation,
)
from stream_bind.errors import LinkError
from stream_bind.messages import Clip, ClockInfo, Gap


@pytest.fixture
def close() -> Iterator[Callable[[Any], Any]]:
    """close(thing) -> thing, closed when the test ends."""
    things: list[Any] = []

    def later(thing: Any) -> Any:
        things.append(thing)
        return thing

    yield later
    for thing in things:
        thing.close()


@pytest.fixture
def pair(close) -> tuple[Inlet, Outlet]:
    name = f"inproc://pair-{incarnation()}"
    return close(Inlet(name)), close(Outlet(name, "w"))


def first(end: Inlet | Outlet) -> Message:
    assert Poller(end).wait(5.0)
    return next(iter(end.drain()))


def test_a_message_keeps_its_head_and_the_array_its_shape_and_type(pair) -> None:
    inlet, outlet = pair
    array = np.arange(6, dtype=np.float32).reshape(2, 3)[:, ::-1]
    outlet.send("clip", {"window": 7, "gaps": [(1, 2)]}, array)
    message = first(inlet)
    assert (message.kind, message.head) == ("clip", {"window": 7, "gaps": [[1, 2]]})
    assert message.array.dtype == np.float32
    np.testing.assert_array_equal(message.array, array)
    assert not message.array.flags.writeable


def test_an_empty_array_arrives_as_one(pair) -> None:
    inlet, outlet = pair
    outlet.send("clip", {}, np.zeros((0, 4), np.uint8))
    assert first(inlet).array.shape == (0, 4)


def test_a_clip_is_the_same_at_both_ends(pair) -> None:
    inlet, outlet = pair
    sent = Clip(
        "cam", "ib", "vision", 7, 100, 200, np.ones((2, 2), np.uint8), 0.75, "partial",
        (Gap(110, 120),), ClockInfo("device", 5), 210,
    )  # fmt: skip
    outlet.send("clip", clip_head(sent, 2, 220), sent.array)
    message = first(inlet)
    got = clip_of(message)
    assert (message.head["attempts"], message.head["sent"]) == (2, 220)
    for name in ("stream", "encoder", "modality", "window", "t_start_ns", "t_end_ns", "coverage", "status", "gaps"):
        assert getattr(got, name) == getattr(sent, name)
    assert (got.clock, got.closed_ns) == (sent.clock, sent.closed_ns)
    np.testing.assert_array_equal(got.array, sent.array)


HEAD = msgspec.msgpack.encode({"a": 1})


@pytest.mark.parametrize(
    "frames",
    [
        [b"beat"],
        [b"\xff\xfe", HEAD],
        [b"beat", b"\xc1"],
        [b"beat", msgspec.msgpack.encode([1, 2])],
        [b"clip", HEAD, b"1234"],
        [b"clip", msgspec.msgpack.encode({"dtype": "O", "shape": [1]}), b"12345678"],
        [b"clip", msgspec.msgpack.encode({"dtype": "no such", "shape": [1]}), b"1"],
        [b"clip", msgspec.msgpack.encode({"dtype": "<f4", "shape": [3]}), b"1234"],
        [b"clip", msgspec.msgpack.encode({"dtype": "<f4", "shape": "x"}), b"1234"],
        [b"beat", b"\x91" * 5000],
    ],
    ids=["no head", "kind", "head", "no map", "no dtype", "object dtype", "dtype", "size", "shape", "depth"],
)
def test_frames_that_are_no_message_are_dropped_and_what_follows_is_read(pair, caplog, frames: list[bytes]) -> None:
    inlet, outlet = pair
    outlet.socket.send_multipart(frames)
    outlet.send("beat", {"ok": True})
    assert first(inlet).head == {"ok": True}
    assert "cannot be read" in caplog.text
    inlet.socket.send_multipart([b"w.0", *frames])
    inlet.send(b"w.0", "beat", {"ok": True})
    assert first(outlet).head == {"ok": True}


def test_a_message_whose_head_lacks_a_key_is_dropped_and_the_next_is_taken(caplog) -> None:
    taken: list[int] = []
    heads: list[dict[str, Any]] = [{}, {"n": 2}, {"n": None}, {"n": 4}]
    each([Message(b"", "kind", head, None) for head in heads], lambda m: taken.append(m.head["n"] + 0))
    assert taken == [2, 4]
    assert caplog.text.count("does not follow the protocol") == 2


def test_another_version_of_the_link_is_refused_in_a_sentence() -> None:
    check_version(Message(b"", "beat", {"v": LINK_VERSION}, None))
    for head in ({"v": LINK_VERSION + 1}, {}):
        with pytest.raises(LinkError, match="same release"):
            check_version(Message(b"", "beat", head, None))


@pytest.mark.parametrize("end", [Inlet, lambda e: Outlet(e, "w")], ids=["bind", "connect"])
@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:5559", "tcp://192.168.1.2:5559", "tcp://*:5559", "tcp://robot:1"])
def test_tcp_beyond_loopback_is_refused(end: Callable[[str], object], endpoint: str) -> None:
    with pytest.raises(LinkError, match="CURVE"):
        end(endpoint)


def test_a_taken_endpoint_is_one_sentence(close) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    close(Inlet(endpoint))
    with pytest.raises(LinkError, match="another run"):
        Inlet(endpoint)


def test_sending_to_a_peer_that_is_gone_says_so(pair) -> None:
    inlet, outlet = pair
    outlet.send("beat", {})
    peer = first(inlet).peer
    assert inlet.send(peer, "beat", {})
    assert not inlet.send(b"nobody", "beat", {})


def test_a_link_that_hears_nothing_is_made_anew_under_another_name(close) -> None:
    name = f"inproc://{incarnation()}"
    inlet = close(Inlet(name))
    outlet = close(Outlet(name, "w"))
    poller = Poller(outlet)
    assert not outlet.revive(100.0)
    assert not outlet.revive(100.0 + Outlet.DEAF_S - 0.1)
    inlet.close()
    inlet = close(Inlet(name))  # inproc: the old link is dead for good
    assert outlet.revive(100.0 + Outlet.DEAF_S)
    outlet.send("beat", {})
    message = first(inlet)
    assert message.peer == b"w.1" == outlet.peer.encode()
    inlet.send(message.peer, "welcome", {})
    assert poller.wait(5.0)
    assert [m.kind for m in outlet.drain()] == ["welcome"]


def test_a_link_that_hears_something_lives_on(pair) -> None:
    inlet, outlet = pair
    outlet.send("beat", {})
    peer = first(inlet).peer
    for beat in range(20):
        inlet.send(peer, "beat", {})
        assert [m.kind for m in outlet.drain()] == ["beat"]
        assert not outlet.revive(10.0 * beat)


def test_many_wakes_are_one_and_none_is_lost(close) -> None:
    waker = close(Waker())
    poller = Poller(waker)
    assert not poller.wait(0.0)
    threads = [threading.Thread(target=lambda: [waker.wake() for _ in range(5000)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert poller.wait(0.0)
    waker.clear()
    assert not poller.wait(0.0)
    waker.wake()
    assert poller.wait(0.0)


def test_waking_a_loop_that_has_ended_does_nothing() -> None:
    waker = Waker()
    waker.close()
    waker.wake()


class _Line:
    """An outlet that writes down what it was to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, head: dict[str, Any], array: object = None) -> None:
        self.sent.append((kind, head))


@pytest.fixture
def line() -> _Line:
    return _Line()


@pytest.fixture
def outbox(line: _Line) -> Outbox:
    return Outbox(line)  # type: ignore[arg-type]


def test_what_is_sent_is_kept_until_it_is_confirmed(outbox: Outbox, line: _Line) -> None:
    outbox.send(("e", 1), "event", {"n": 1}, None, 0.0)
    assert line.sent == [("event", {"n": 1, "key": ("e", 1)})]
    assert outbox.pending() == [("e", 1)]
    assert outbox.confirm(["e", 1])  # msgpack brings tuples back as lists
    assert not outbox.confirm(["e", 1])
    assert len(outbox) == 0


def test_only_what_is_old_is_sent_again_and_not_again_at_once(outbox: Outbox, line: _Line) -> None:
    outbox.send(("a",), "event", {}, None, 0.0)
    outbox.send(("b",), "event", {}, None, 3.0)
    line.sent.clear()
    outbox.resend(5.0, older_than_s=5.0)
    outbox.resend(6.0, older_than_s=5.0)
    assert [head["key"] for _, head in line.sent] == [("a",)]


def test_a_new_publisher_gets_everything_again_in_the_old_order(outbox: Outbox, line: _Line) -> None:
    assert outbox.meet("one")
    for n in range(3):
        outbox.send((n,), "event", {}, None, 0.0)
    outbox.confirm((1,))
    line.sent.clear()
    assert not outbox.meet("one")
    assert outbox.meet("two")
    outbox.resend(0.0)
    assert [head["key"] for _, head in line.sent] == [(0,), (2,)]


def test_a_message_kept_by_one_thread_may_be_confirmed_by_another(outbox: Outbox) -> None:
    def keep() -> None:
        for n in range(3000):
            outbox.keep((n,), "vector", {}, None, 0.0)

    thread = threading.Thread(target=keep)
    thread.start()
    confirmed = 0
    while confirmed < 3000:
        outbox.resend(1.0)
        confirmed += sum(outbox.confirm(key) for key in outbox.pending())
    thread.join()
    assert len(outbox) == 0

"""The publish worker: what a subscriber sees of vectors, events and meta, and what the senders hear back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq
from msgspec import UNSET

from actors.plan import LanePlan, PublishPlan
from actors.publish import NOTICES_REMEMBERED, PublishWorker
from actors.transport import LINK_VERSION, Outlet, incarnation
from stream_bind.clock import ManualClock
from stream_bind.messages import Embedding, Event, Intrinsics
from stream_bind.wire.message import Announcement, Heartbeat, Message, decode

S = 1_000_000_000
HOP_NS = S // 2


class Bench:
    """A publisher, one sender and any number of subscribers."""

    def __init__(self, tmp_path: Any, *encoders: str) -> None:
        self.clock = ManualClock(unix_ns=1_000 * S, monotonic_ns=S)
        lanes = tuple(LanePlan("cam", e, "vision", "x", {}, 2 * S, HOP_NS) for e in encoders)
        self.endpoint = f"ipc://{tmp_path}/data"
        self.inlet = f"inproc://{incarnation()}"
        self.worker = PublishWorker(PublishPlan("rig", self.inlet, self.endpoint, lanes=lanes), self.clock)
        self.worker.open()
        self.sender = Outlet(self.inlet, "w")
        self.subscribers: list[zmq.Socket[bytes]] = []

    def subscribe(self, topic: bytes = b"") -> zmq.Socket[bytes]:
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, topic)
        socket.connect(self.endpoint)
        self.subscribers.append(socket)
        counts = self.worker.publisher._subscriptions
        seen = sum(counts.values())
        self.until(lambda: sum(counts.values()) > seen)
        return socket

    def until(self, true: Callable[[], Any], timeout_s: float = 5.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline
            self.worker.step(0.005)

    def send(self, kind: str, key: tuple[Any, ...], head: dict[str, Any], array: Any = None) -> None:
        self.sender.send(kind, {"stream": "cam", "encoder": "ib", "key": key, **head}, array)

    def lane(self, first: int, life: str = "one", encoder: str = "ib") -> None:
        self.send("lane", ("lane", "cam", encoder), {"first": first, "life": life, "encoder": encoder})

    def vector(self, window: int, vector: Any = (1.0, 0.0), **head: Any) -> None:
        now_ns = self.clock.unix_ns()
        timing = dict.fromkeys(("closed", "sent", "received", "batched", "encoded"), now_ns - 2_000_000)
        full = {
            "modality": "vision", "window": window, "t_start": window * HOP_NS - 2 * S, "t_end": window * HOP_NS,
            "coverage": 1.0, "status": "ok", "gaps": [], "clock": ("host", 0), "model": "m@1", "scale": 100.0,
            "trained": False, "ready": 0, "timing": timing, **head,
        }  # fmt: skip
        self.send("vector", ("cam", head.get("encoder", "ib"), window), full, np.array(vector, np.float32))

    def event(self, n: int, window: int | None, to_window: int | None, reason: str = "dropped") -> None:
        head = {"reason": reason, "detail": "why", "window": window, "to_window": to_window}
        times = {"t_start": 0, "t_end": 0, "coverage": 0.0}
        self.send("event", ("e", "cam", "ib", window, to_window, n, "one"), head | times)

    def confirmed(self, n: int) -> list[tuple[Any, ...]]:
        """The next n keys that are confirmed to the sender."""
        keys: list[tuple[Any, ...]] = []

        def look() -> bool:
            for message in self.sender.drain():
                if message.kind == "confirm":
                    keys.extend(tuple(key) for key in message.head["keys"])
            return len(keys) >= n

        self.until(look)
        return keys

    def received(self, socket: zmq.Socket[bytes], n: int = 1, kinds: Any = (Embedding, Event)) -> list[Any]:
        """The next n messages of these kinds."""
        out: list[Message] = []

        def look() -> bool:
            while len(out) < n and socket.poll(0):
                message = decode(socket.recv_multipart())
                if isinstance(message, kinds):
                    out.append(message)
            return len(out) >= n

        self.until(look)
        return out

    def health(self, lane: int = 0) -> dict[str, Any]:
        health: dict[str, Any] = self.worker.health()["lanes"][lane]
        return health

    def close(self) -> None:
        for socket in self.subscribers:
            socket.close(0)
        self.sender.close()
        self.worker.close()


@pytest.fixture
def bench(tmp_path: Any) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(*encoders: str) -> Bench:
        made.append(Bench(tmp_path, *(encoders or ("ib",))))
        return made[-1]

    yield make
    for it in made:
        it.close()


def test_vectors_leave_in_window_order_numbered_and_confirmed(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    for window in (5, 4, 6):
        it.vector(window)
    got = it.received(listener, 3)
    assert [(m.window, m.seq) for m in got] == [(4, 0), (5, 1), (6, 2)]
    assert got[0].scale == 100.0
    assert not got[0].trained
    assert set(it.confirmed(4)) == {("lane", "cam", "ib"), *[("cam", "ib", w) for w in (4, 5, 6)]}
    assert it.health()["latency_p50_s"] == pytest.approx(0.002)


def test_a_late_subscriber_learns_of_every_lane_at_once(bench) -> None:
    it = bench("ib", "second")
    it.lane(4)
    it.lane(4, encoder="second")
    it.vector(4)
    it.until(lambda: it.health()["vectors"])
    for topic in (b"meta/", b""):
        (meta,) = it.received(it.subscribe(topic), 1, Announcement)
        lanes = {lane.encoder: lane for lane in meta.streams}
        assert (lanes["ib"].first_window, lanes["ib"].model, lanes["ib"].dim, lanes["ib"].trained) == (
            4,
            "m@1",
            2,
            False,
        )
        assert (lanes["second"].first_window, lanes["second"].model, lanes["second"].dim) == (4, "", 0)
        assert meta.last["emb/rig/cam/ib/"] == 0


def test_meta_carries_the_calibration_of_a_stream_that_has_one(bench) -> None:
    it = bench("ib", "second")
    listener = it.subscribe(b"meta/")
    camera = {
        "width": 640,
        "height": 480,
        "fx": 600.0,
        "fy": 601.0,
        "cx": 320.0,
        "cy": 240.0,
        "model": "",
        "coeffs": (),
    }
    it.lane(4)
    it.send("lane", ("lane", "cam", "second"), {"first": 4, "life": "one", "encoder": "second", "intrinsics": camera})
    told = it.received(listener, 3, kinds=Announcement)
    assert told[-1].cameras["cam"] == Intrinsics(**camera)
    assert told[-2].cameras is UNSET


def test_meta_says_when_a_stream_has_ended_and_a_repeated_start_does_not_take_it_back(bench) -> None:
    it = bench()
    it.lane(4)
    it.send("end", ("end", "cam", "ib"), {"end": 4})
    it.lane(4)
    it.confirmed(3)
    (meta,) = it.received(it.subscribe(b"meta/"), 1, Announcement)
    assert meta.streams[0].end_window == 4
    it.lane(9, life="two")  # a restarted actor does
    it.confirmed(1)
    (meta,) = it.received(it.subscribe(b"meta/"), 1, Announcement)
    assert meta.streams[0].end_window is None


@pytest.mark.parametrize("vector", [(np.nan, 1.0), (0.0, 0.0), (3.0, 4.0), (np.inf, 0.0)], ids=str)
def test_a_vector_that_is_no_embedding_becomes_a_failed_event_of_its_window(bench, vector) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    it.vector(4, vector)
    it.vector(5)
    failed, good = it.received(listener, 2)
    assert (failed.kind, failed.reason, failed.window, failed.to_window) == ("evt", "failed", 4, 5)
    assert "length 1" in failed.detail
    assert (good.window, good.seq) == (5, 0)
    assert (it.health()["vectors"], it.health()["events"]) == (1, {"failed": 1})
    assert ("cam", "ib", 4) in it.confirmed(3)


def test_repeats_are_dropped_and_confirmed_again(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    it.vector(4)
    it.confirmed(2)
    it.vector(4)
    assert it.confirmed(1) == [("cam", "ib", 4)]
    it.event(1, 4, 5)
    it.vector(5)
    assert [m.window for m in it.received(listener, 2)] == [4, 5]
    assert (it.health()["vectors"], it.health()["repeats"], it.health()["due"]) == (2, 2, 2)


def test_a_repeat_of_what_still_waits_is_not_confirmed_before_it_has_left(bench) -> None:
    it = bench()
    it.lane(4)
    it.confirmed(1)
    it.vector(5)
    it.vector(5)
    it.until(lambda: it.health()["repeats"] == 1)
    it.worker.step(0.01)
    assert it.health()["held"] == 1
    assert [m.kind for m in it.sender.drain()] == []
    it.event(1, 4, 5)
    assert set(it.confirmed(2)) == {("e", "cam", "ib", 4, 5, 1, "one"), ("cam", "ib", 5)}


def test_a_vector_is_confirmed_to_the_link_it_names_and_one_sent_again_to_its_own(bench) -> None:
    it = bench()
    other = Outlet(it.inlet, "other")
    try:
        other.send("beat", {"v": LINK_VERSION})
        it.lane(4)
        it.confirmed(1)
        it.vector(4, reply="other.0")
        heard: list[Any] = []
        it.until(lambda: heard.extend(m for m in other.drain() if m.kind == "confirm") or heard)
        assert heard[0].head["keys"] == [["cam", "ib", 4]]
        it.vector(4)
        assert it.confirmed(1) == [("cam", "ib", 4)]
    finally:
        other.close()


def test_a_notice_is_told_once_and_settles_no_window(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.event(1, None, None, "device_lost")
    it.event(1, None, None, "device_lost")
    it.event(2, None, None, "device_back")
    assert [m.reason for m in it.received(listener, 2)] == ["device_lost", "device_back"]
    assert len(it.confirmed(3)) == 3
    assert it.health()["due"] == 0


def test_notices_are_remembered_up_to_a_bound(bench) -> None:
    it = bench()
    for n in range(NOTICES_REMEMBERED + 50):
        it.event(n, None, None, "late")
    it.confirmed(NOTICES_REMEMBERED + 50)
    assert len(it.worker._notices) == NOTICES_REMEMBERED


def test_an_event_that_the_wire_refuses_leaves_all_the_same(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    it.event(1, 4, 6, "No Such Word!")
    (event,) = it.received(listener)
    assert (event.reason, event.window, event.to_window) == ("failed", 4, 6)
    assert "No Such Word!" in event.detail
    assert it.health()["due"] == 2


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("vector", {"stream": "nobody"}),
        ("vector", {"window": 4}),
        ("event", {"encoder": "nobody"}),
        ("lane", {}),
        ("end", {}),
        ("beat", {"v": LINK_VERSION, "settled": [["cam", "nobody", 3]]}),
        ("beat", {"v": LINK_VERSION, "settled": 3}),
    ],
)
def test_what_names_an_unknown_lane_or_lacks_a_key_is_dropped(bench, kind: str, head: dict[str, Any]) -> None:
    it = bench()
    listener = it.subscribe()
    it.send(kind, ("k",), head)
    it.lane(4)
    it.vector(4)
    assert [m.window for m in it.received(listener)] == [4]


def test_a_window_that_its_actor_takes_for_settled_and_that_never_came_is_lost_after_a_grace(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    it.vector(7)
    it.sender.send("beat", {"v": LINK_VERSION, "settled": [["cam", "ib", 7]]})
    it.until(lambda: it.health()["held"])
    it.worker.step(0.01)
    it.clock.advance(2.9)
    it.worker.step(0.01)
    assert it.health()["due"] == 0
    it.clock.advance(0.2)
    lost, vector = it.received(listener, 2)
    assert (lost.reason, lost.window, lost.to_window, vector.window) == ("lost", 4, 7, 7)
    assert (lost.t_start, lost.t_end) == (4 * HOP_NS - 2 * S, 6 * HOP_NS)
    assert it.health()["due"] == 4


def test_a_beat_is_answered_with_this_life(bench) -> None:
    it = bench()
    it.sender.send("beat", {"v": LINK_VERSION})
    heard: list[Any] = []
    it.until(lambda: heard.extend(it.sender.drain()) or heard)
    assert (heard[0].kind, heard[0].head) == ("beat", {"life": it.worker.life})


def test_at_the_end_what_is_held_leaves_and_what_never_came_is_said(bench) -> None:
    it = bench()
    listener = it.subscribe()
    it.lane(4)
    it.vector(6)
    it.until(lambda: it.health()["held"])
    it.worker.request_stop()
    it.until(lambda: it.worker.done)
    lost, vector = it.received(listener, 2)
    assert (lost.reason, lost.window, lost.to_window, vector.window) == ("lost", 4, 6, 6)
    it.worker.close()
    (last,) = [m for m in _rest(listener) if isinstance(m, Heartbeat) and m.closing]
    assert last.last["emb/rig/cam/ib/"] == 0
    it.worker.close = lambda: None  # type: ignore[method-assign]


def _rest(socket: zmq.Socket[bytes]) -> Iterator[Message | None]:
    while socket.poll(500):
        yield decode(socket.recv_multipart())

"""The encode worker by itself: what shares a batch, what is waited for, and what a failing clip costs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from actors.encode import EncodeWorker
from actors.plan import EncodePlan, LanePlan
from actors.transport import LINK_VERSION, Message, clip_head, incarnation
from stream_bind.clock import SystemClock
from stream_bind.errors import EncoderError, LinkError
from stream_bind.messages import Clip

HOP_NS = 500_000_000


class Bench:
    """A worker whose mailbox and publisher are the test."""

    def __init__(self, worker: EncodeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker = worker
        self.link = worker._links[0]
        self.batches: list[tuple[str, list[int]]] = []
        """Modality and windows of every call of the encoder."""
        self.sent: list[tuple[str, int, np.ndarray]] = []
        """Stream, window and vector of what went to the publisher."""
        self.told: list[tuple[str, dict[str, Any]]] = []
        """What went to the mailbox, beats aside."""
        self.fail: Callable[[list[int]], Any] = lambda windows: None
        assert worker._encoder is not None
        self._embed = worker._encoder.embed
        monkeypatch.setattr(worker._encoder, "embed", self.embed)
        monkeypatch.setattr(worker._out, "send", lambda _, h, v: self.sent.append((h["stream"], h["window"], v)))
        monkeypatch.setattr(self.link.outlet, "send", lambda kind, head: self.told.append((kind, head)))
        self.welcome("box")

    def embed(self, modality: str, clips: np.ndarray) -> Any:
        windows = [int(c[0]) for c in clips]
        self.batches.append((modality, windows))
        answer = self.fail(windows)
        return self._embed(modality, clips) if answer is None else answer

    def welcome(self, box: str, version: int = LINK_VERSION) -> None:
        self.worker._from_mailbox(self.link, Message(b"", "welcome", {"box": box, "v": version}, None))

    def clip(self, stream: str, window: int, *, modality: str = "imu", attempts: int = 0, box: str = "box") -> None:
        t = window * HOP_NS
        array = np.array([window, 0.0])
        clip = Clip(stream, "probe", modality, window, t - 2 * HOP_NS, t, array)
        head = clip_head(clip, attempts, 0) | {"box": box, "floor": 0}
        self.worker._from_mailbox(self.link, Message(b"", "clip", head, array))

    def confirm(self, stream: str, window: int) -> None:
        self.worker._from_publisher(Message(b"", "confirm", {"keys": [[stream, "probe", window]]}, None))

    def answers(self, kind: str) -> list[tuple[Any, ...]]:
        self.worker.step(0.0)
        return [(head["stream"], head["window"]) for k, head in self.told if k == kind]

    def credit(self) -> dict[str, int]:
        self.worker._next_beat_s = 0.0
        self.worker.step(0.0)
        credit: dict[str, int] = [head for kind, head in self.told if kind == "beat"][-1]["credit"]
        return credit


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    made: list[EncodeWorker] = []

    def make(*lanes: str | tuple[str, str] | tuple[str, str, int], **plan: Any) -> Bench:
        """lanes: a stream, (stream, modality) or (stream, modality, hop in ns)."""
        full = [(lane, "imu") if isinstance(lane, str) else lane for lane in lanes]
        plans = tuple(
            LanePlan(s, "probe", m, "probe", {}, 2 * HOP_NS, *(rest or (HOP_NS,)))  # type: ignore[misc]
            for s, m, *rest in full
        )
        name = incarnation()
        ends = (f"inproc://{name}-box",), f"inproc://{name}-publish"
        # Long: a test that waits for it by mistake shows.
        plan = {"batch_wait_s": 5.0, **plan}
        worker = EncodeWorker(EncodePlan("encode-0", "probe", "probe", {}, plans, *ends, **plan), SystemClock())
        worker.open()
        worker.load()
        made.append(worker)
        return Bench(worker, monkeypatch)

    yield make
    for worker in made:
        worker.close_compute()
        worker.close()


def step(bench: Bench, within_s: float = 1.0) -> None:
    started = time.monotonic()
    assert bench.worker.compute_step(0.0)
    assert time.monotonic() - started < within_s


def test_clips_of_one_moment_share_a_batch_across_streams(bench) -> None:
    it = bench("a", "b", "c")
    for stream in "abc":
        it.clip(stream, 4)
    step(it)
    assert it.batches == [("imu", [4, 4, 4])]
    assert [(s, w) for s, w, _ in it.sent] == [("a", 4), ("b", 4), ("c", 4)]


def test_a_stream_alone_waits_for_nobody(bench) -> None:
    it = bench("a", ("cam", "vision"))
    it.clip("a", 4)
    step(it)
    assert it.batches == [("imu", [4])]


def test_a_clip_waits_for_the_stream_that_can_still_bring_one_of_its_moment(bench) -> None:
    it = bench("a", "b")
    it.clip("a", 4)
    late = threading.Timer(0.15, it.clip, ("b", 4))
    late.start()
    step(it)
    late.join()
    assert it.batches == [("imu", [4, 4])]


def test_a_clip_waits_no_longer_than_it_may(bench) -> None:
    it = bench("a", "b", batch_wait_s=0.05)
    it.clip("a", 4)
    step(it)
    assert it.batches == [("imu", [4])]


def test_nobody_waits_for_a_stream_whose_clip_of_this_moment_was_served_already(bench) -> None:
    it = bench("a", "b", batch_wait_s=0.05)
    it.clip("a", 4)
    step(it)
    it.worker._plan.__dict__["batch_wait_s"] = 5.0
    it.clip("b", 4)
    step(it)
    assert it.batches == [("imu", [4]), ("imu", [4])]


def test_nobody_waits_for_a_stream_that_has_nothing_due_at_this_moment(bench) -> None:
    it = bench("a", ("slow", "imu", 5 * HOP_NS))
    it.clip("a", 4)
    step(it)
    assert it.batches == [("imu", [4])]


def test_a_clip_that_comes_while_another_waits_keeps_its_own_modality(bench) -> None:
    it = bench(("t1", "thermal"), ("t2", "thermal"), ("depth", "depth"))
    it.clip("t1", 4, modality="thermal")
    # Same shape, sorted first: a batch of it and the waiting clip would give one of them the other's encoder.
    earlier = threading.Timer(0.1, it.clip, ("depth", 4), {"modality": "depth"})
    enough = threading.Timer(0.2, it.clip, ("t2", 4), {"modality": "thermal"})
    earlier.start()
    enough.start()
    for _ in range(2):
        assert it.worker.compute_step(0.0)
    enough.join()
    assert sorted(it.batches) == [("depth", [4]), ("thermal", [4, 4])]


def test_a_batch_is_no_longer_than_it_may_be_and_oldest_first(bench) -> None:
    it = bench("a", max_batch=2)
    for window in (6, 5, 4):
        it.clip("a", window)
    step(it)
    step(it)
    assert it.batches == [("imu", [4, 5]), ("imu", [6])]


def test_a_clip_that_has_failed_before_goes_alone(bench) -> None:
    it = bench("a")
    it.clip("a", 4, attempts=1)
    for window in (5, 6, 7):
        it.clip("a", window, attempts=int(window == 6))
    for _ in range(3):
        step(it)
    assert it.batches == [("imu", [4]), ("imu", [5, 7]), ("imu", [6])]


def _bad(window: int) -> Callable[[list[int]], None]:
    def fail(windows: list[int]) -> None:
        if window in windows:
            raise ValueError("bad pixels")

    return fail


def test_one_bad_clip_in_a_batch_costs_only_itself_and_its_error_is_named(bench) -> None:
    it = bench("a")
    it.fail = _bad(5)
    for window in (4, 5, 6):
        it.clip("a", window)
    step(it)
    assert [w for _, w, _ in it.sent] == [4, 6]
    assert it.answers("failed") == [("a", 5)]
    (failed,) = [head for kind, head in it.told if kind == "failed"]
    assert failed["error"] == "ValueError: bad pixels"


def test_an_encoder_that_gives_too_few_vectors_fails_clips_not_the_worker(bench) -> None:
    it = bench("a")
    it.fail = lambda windows: np.ones((0, 2), np.float32)
    it.clip("a", 4)
    it.clip("a", 5)
    step(it)
    assert it.answers("failed") == [("a", 4), ("a", 5)]
    assert all("1 clips gave 0 vectors" in head["error"] for kind, head in it.told if kind == "failed")


def test_a_clip_is_acknowledged_when_its_vector_is_confirmed_and_not_before(bench) -> None:
    it = bench("a")
    it.clip("a", 4)
    step(it)
    assert it.answers("done") == []
    it.confirm("a", 4)
    assert it.answers("done") == [("a", 4)]
    it.confirm("a", 4)
    assert it.answers("done") == [("a", 4)]
    assert not it.worker._leases
    assert not len(it.worker._outbox)


def test_credit_rises_with_every_clip_computed_or_given_back(bench) -> None:
    it = bench("a", "b", capacity=4)
    assert it.credit() == {"a": 2, "b": 2}
    it.clip("a", 4)
    it.clip("b", 4)
    step(it)
    assert it.credit() == {"a": 3, "b": 3}


def test_under_another_name_of_the_mailbox_credit_starts_anew_and_old_clips_are_let_go(bench) -> None:
    it = bench("a", capacity=4)
    it.clip("a", 4)
    step(it)
    it.clip("a", 5)
    it.welcome("box of the next actor")
    it.clip("a", 6)  # sent before it was killed
    assert not it.worker.compute_step(0.0)
    it.clip("a", 7, box="box of the next actor")
    step(it)
    assert it.batches == [("imu", [4]), ("imu", [7])]
    assert it.credit() == {"a": 5}


def test_clips_let_go_while_their_batch_waits_leave_nothing_to_do(bench) -> None:
    it = bench("a", "b", batch_wait_s=0.3)
    it.clip("a", 4)
    change = threading.Timer(0.1, it.welcome, ("another",))
    change.start()
    assert not it.worker.compute_step(0.0)
    change.join()


def test_a_moment_given_up_elsewhere_is_skipped_and_said_so(bench) -> None:
    it = bench("a")
    for window in (4, 5, 6):
        it.clip("a", window)
    it.worker._floor_ns = 5 * HOP_NS
    step(it)
    assert it.batches == [("imu", [6])]
    assert it.answers("failed") == [("a", 4), ("a", 5)]
    assert all(head["skipped"] for kind, head in it.told if kind == "failed")


def test_a_mailbox_of_another_version_ends_the_run_with_a_sentence(bench) -> None:
    with pytest.raises(LinkError, match="link version"):
        bench("a").welcome("box", LINK_VERSION + 1)


def test_an_encoder_that_cannot_load_says_why(bench, monkeypatch) -> None:
    worker = bench("a").worker
    encoder = type(worker._encoder)
    for error, text in (
        (EncoderError("no weights at /nowhere"), "^no weights at /nowhere$"),
        (MemoryError("no room"), "probe: cannot load: MemoryError: no room"),
    ):

        def load(self: object, modalities: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(encoder, "load", load)
        with pytest.raises(type(error)):
            worker.load()
        assert worker.fatal is not None
        assert re.search(text, worker.fatal)

"""Sinks of the publish actor: they get what subscribers get, and cannot end the rig."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from actors.plan import LanePlan, PublishPlan
from actors.publish import PublishWorker
from actors.transport import Outlet, incarnation
from stream_bind.clock import ManualClock
from stream_bind.errors import SinkError
from stream_bind.registry import SINKS

S = 1_000_000_000


class FragileConfig(BaseModel):
    pass


class Fragile:
    """Takes events, and breaks at the first vector."""

    def __init__(self, config: FragileConfig, rig: str) -> None:
        pass

    def open(self) -> None:
        pass

    def publish(self, embedding: Any) -> None:
        raise OSError(28, "No space left on device")

    def event(self, event: Any) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fragile() -> Iterator[None]:
    SINKS.register("fragile", FragileConfig, ())(Fragile)
    yield
    SINKS._entries.pop("fragile")


def plan(tmp_path: Path, *sinks: tuple[str, dict[str, Any]]) -> PublishPlan:
    lane = LanePlan("cam", "ib", "vision", "x", {}, 2 * S, S // 2)
    return PublishPlan("rig", f"inproc://{incarnation()}", f"ipc://{tmp_path}/data", lanes=(lane,), sinks=sinks)


def feed(worker: PublishWorker, inlet: str, *windows: int) -> None:
    sender = Outlet(inlet, "w")
    lane = {"stream": "cam", "encoder": "ib"}
    sender.send("lane", {**lane, "key": ("lane", "cam", "ib"), "first": windows[0], "life": "one"})
    stages = dict.fromkeys(("closed", "sent", "received", "batched", "encoded"), 0)
    about = {"modality": "vision", "model": "m@1", "coverage": 1.0, "status": "ok", "gaps": [], "scale": 1.0}
    for window in windows:
        head = {"window": window, "t_start": 0, "t_end": window, "key": ("cam", "ib", window), "ready": 0}
        rest = {"trained": True, "clock": ("host", 0), "timing": stages}
        sender.send("vector", lane | about | head | rest, np.array([1, 0], np.float32))
    for _ in range(20):
        worker.step(0.01)
    sender.close()


def test_a_sink_gets_numbered_messages_and_one_that_fails_becomes_an_event(tmp_path):
    path = tmp_path / "out.jsonl"
    whole = plan(tmp_path, ("fragile", {}), ("jsonl", {"path": str(path)}))
    worker = PublishWorker(whole, ManualClock(unix_ns=1_000 * S, monotonic_ns=S))
    worker.open()
    feed(worker, whole.inlet, 5, 6, 7)
    worker.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    vectors = [line for line in lines if line["kind"] == "emb"]
    assert [(line["window"], line["seq"], line["epoch"]) for line in vectors] == [
        (window, seq, worker.publisher.epoch) for seq, window in enumerate((5, 6, 7))
    ]
    (event,) = [line for line in lines if line["kind"] == "evt"]
    assert (event["reason"], event["window"], event["stream"]) == ("sink_failed", None, "cam")
    assert event["detail"] == "sink fragile gets nothing more: OSError: [Errno 28] No space left on device"


def test_a_sink_that_does_not_open_leaves_no_socket_bound(tmp_path):
    missing = plan(tmp_path, ("jsonl", {"path": f"{tmp_path}/no/out.jsonl"}))
    with pytest.raises(SinkError, match="there is no folder"):
        PublishWorker(missing, ManualClock()).open()
    (tmp_path / "no").mkdir()
    worker = PublishWorker(missing, ManualClock())
    worker.open()
    worker.close()

"""A rig in one process whose sensor and model are at the edge of the test; real sockets and workers between them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from actors.capture import CaptureWorker
from actors.encode import EncodeWorker
from actors.plan import CapturePlan, EncodePlan, LanePlan, PublishPlan, SensorPlan
from actors.publish import PublishWorker
from actors.transport import free_port
from stream_bind.clock import SystemClock
from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import EndOfStream
from stream_bind.messages import Chunk, Embedding, Event, StreamSpec, Window
from stream_bind.registry import register_device, register_encoder

S = 1_000_000_000
HOP_NS = S // 2
LENGTH_NS = S
RATE_HZ = 20

FEEDS: dict[str, queue.Queue[Any]] = {}
"""What each scripted stream delivers next: chunks, exceptions to raise, or nothing."""
FAIL_WINDOWS: set[int] = set()
"""Windows at which the probe encoder raises."""
SLOW_S: list[float] = [0.0]


class ScriptConfig(BaseModel):
    type: str = "script"
    live: bool = False
    max_delay_s: float = 1.0


@register_device("script", config=ScriptConfig, modalities=("imu",))
class ScriptDevice:
    def __init__(self, config: ScriptConfig, stream_id: str, clock: object) -> None:
        self.spec = StreamSpec(
            stream_id, "imu", RATE_HZ, (1,), "float32", "si", ("accel_x",), config.live, config.max_delay_s, 0.0
        )
        self._feed = FEEDS.setdefault(stream_id, queue.Queue())

    def open(self) -> None: ...

    def read(self, timeout_s: float) -> Chunk | None:
        try:
            item = self._feed.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None: ...


class ProbeConfig(BaseModel):
    model: str = "probe"


class ProbeMaker:
    """The clip is the window index and the sum of its samples, so that any loss or mix-up shows in the vector."""

    spec = ClipSpec("imu", LENGTH_NS / 1e9, HOP_NS / 1e9, (2,), "float64")

    def make(self, window: Window, stream: StreamSpec) -> np.ndarray:
        data = np.asarray(window.data)[window.n_context :]
        return np.array([window.index, data.sum()], np.float64)


@register_encoder("probe", config=ProbeConfig, modalities=("imu",))
class ProbeEncoder:
    """Vectors carry the window index as an angle."""

    model, dim, trained = "probe@1", 2, True

    def __init__(self, name: str, config: ProbeConfig) -> None: ...

    @classmethod
    def clip_maker(cls, config: ProbeConfig, modality: str, length_s: float | None = None) -> ProbeMaker:
        return ProbeMaker()

    @classmethod
    def modalities(cls, config: ProbeConfig) -> tuple[str, ...]:
        return ("imu",)

    def load(self, modalities: Sequence[str] | None = None) -> None: ...

    def embed(self, modality: str, clips: np.ndarray) -> np.ndarray:
        time.sleep(SLOW_S[0])
        if FAIL_WINDOWS & {int(c[0]) for c in clips}:
            raise ValueError("bad pixels")
        angles = np.asarray(clips)[:, 0].astype(np.float64) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def scale(self, modality: str) -> float:
        return 1.0

    def close(self) -> None: ...


def samples(start_s: float, stop_s: float) -> Chunk:
    """20 Hz samples of value 1 in [start_s, stop_s)."""
    t = np.arange(round(start_s * RATE_HZ), round(stop_s * RATE_HZ), dtype=np.int64) * (S // RATE_HZ)
    return Chunk(np.ones((len(t), 1), np.float32), t)


class Rig:
    """Publisher, captures and workers stepped by hand, so that any of them can be killed between two steps."""

    def __init__(
        self,
        transport: str,
        tmp_path: Any,
        streams: Sequence[str] = ("a",),
        encoders: Sequence[str] = ("probe",),
        **lane: Any,
    ) -> None:
        self._transport, self._tmp_path = transport, tmp_path
        self._names = 0
        self.clock = SystemClock()
        self.inlet = self.endpoint("inlet")
        self.boxes = {s: self.endpoint(f"box-{s}") for s in streams}
        self.device: dict[str, Any] = {}
        self.lanes = tuple(
            LanePlan(s, encoder, "imu", "probe", {}, LENGTH_NS, HOP_NS, **{"policy": "backpressure", **lane})
            for s in streams
            for encoder in encoders
        )
        self.plan = PublishPlan("rig", self.inlet, f"inproc://data-{id(self)}", lanes=self.lanes)
        self.publisher = PublishWorker(self.plan, self.clock)
        self.publisher.open()
        self.sent: list[Embedding | Event] = []
        self._listen()
        self.captures: dict[str, CaptureWorker] = {}
        self.workers: list[EncodeWorker] = []

    def endpoint(self, name: str) -> str:
        if self._transport == "tcp":
            return f"tcp://127.0.0.1:{free_port()}"
        if self._transport == "ipc":
            return f"ipc://{self._tmp_path}/{name}"
        return f"inproc://{name}-{id(self)}"

    def _listen(self) -> None:
        """Records what leaves the publisher, as it would be decoded at the far end."""
        publisher = self.publisher.publisher
        publish, event = publisher.publish, publisher.event
        publisher.publish = lambda m: self.sent.append(out := publish(m)) or out  # type: ignore[method-assign, func-returns-value]
        publisher.event = lambda m: self.sent.append(out := event(m)) or out  # type: ignore[method-assign, func-returns-value]

    def restart_publisher(self) -> None:
        """Killed and started again: what its predecessor held is gone."""
        self.publisher.close()
        self.publisher = PublishWorker(self.plan, self.clock)
        self.publisher.open()
        self._listen()

    def capture(self, stream: str = "a", *others: str, restarted: bool = False) -> CaptureWorker:
        """A capture actor of one stream, or of a group."""
        sensors = tuple(
            SensorPlan(s, "imu", "script", self.device, tuple(lane for lane in self.lanes if lane.stream == s))
            for s in (stream, *others)
        )
        worker = CaptureWorker(
            CapturePlan(f"capture-{stream}", sensors, self.boxes[stream], self.inlet), self.clock, restarted=restarted
        )
        worker.open()
        self.captures[stream] = worker
        return worker

    def kill_capture(self, stream: str = "a") -> None:
        """As SIGKILL would: no drain, no word."""
        self.captures.pop(stream).close()

    def worker(self, encoder: str = "probe", *, load: bool = True, **plan: Any) -> EncodeWorker:
        self._names += 1
        worker = EncodeWorker(
            EncodePlan(
                f"encode-{self._names}",
                encoder,
                "probe",
                {},
                tuple(lane for lane in self.lanes if lane.encoder == encoder),
                tuple(self.boxes.values()),
                self.inlet,
                **plan,
            ),
            self.clock,
        )
        worker.open()
        if load:
            worker.load()
        self.workers.append(worker)
        return worker

    def kill_worker(self, worker: EncodeWorker) -> None:
        self.workers.remove(worker)
        worker.close_compute()
        worker.close()

    def pump(self, until: Callable[[], bool], timeout_s: float = 10.0, *, compute: bool = True) -> None:
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"did not happen within {timeout_s} s; sent so far: {self.fates()}"
            for capture in self.captures.values():
                capture.step(0.001)
            for worker in self.workers:
                worker.step(0.001)
                if compute:
                    worker.compute_step(0.0)
            self.publisher.step(0.001)

    def run_out(self) -> None:
        """Until every capture actor is done."""
        self.pump(lambda: all(c.done for c in self.captures.values()))

    def fates(self, stream: str = "a", encoder: str = "probe") -> list[tuple[str, int, int]]:
        """(reason or "vector", window, to_window) of everything that accounts for windows, as published."""
        out = []
        for message in self.sent:
            if (message.stream, message.encoder) != (stream, encoder) or message.window is None:
                continue
            if isinstance(message, Embedding):
                assert message.vector == pytest.approx([np.cos(message.window / 100), np.sin(message.window / 100)])
                out.append(("vector", message.window, message.window + 1))
            elif message.to_window is not None:
                out.append((message.reason, message.window, message.to_window))
        return out

    def windows(self, stream: str = "a", fate: str = "vector", encoder: str = "probe") -> list[int]:
        return [w for kind, start, end in self.fates(stream, encoder) if kind == fate for w in range(start, end)]

    def assert_exactly_once(self, stream: str = "a", encoder: str = "probe") -> None:
        """Every due window once, in order, none left out."""
        ranges = [(start, end) for _, start, end in self.fates(stream, encoder)]
        covered = [w for start, end in ranges for w in range(start, end)]
        assert covered == list(range(covered[0], covered[-1] + 1))

    def close(self) -> None:
        for capture in self.captures.values():
            capture.close()
        for worker in self.workers:
            worker.close_compute()
            worker.close()
        self.publisher.close()


@pytest.fixture
def make_rig(tmp_path: Any) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []
    FEEDS.clear()
    FAIL_WINDOWS.clear()
    SLOW_S[0] = 0.0

    def make(transport: str = "inproc", streams: Sequence[str] = ("a",), **plan: Any) -> Rig:
        for stream in streams:
            FEEDS[stream] = queue.Queue()
        rigs.append(Rig(transport, tmp_path, streams, **plan))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def feed() -> Callable[..., None]:
    """feed(stream, *items): chunks, or exceptions the device raises."""

    def put(stream: str, *items: Any) -> None:
        for item in items:
            FEEDS[stream].put(item)

    return put


@pytest.fixture
def probe() -> dict[str, Any]:
    """Handles of the test's edges."""
    return {"fail": FAIL_WINDOWS, "slow": SLOW_S, "samples": samples, "end": EndOfStream()}

"""Whole rigs under both launchers: simulated sensors, the small model, real sockets, and processes that are killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.supervise import RunResult, Snapshot
from actors.transport import free_port
from stream_bind import Subscriber, load_config, run
from stream_bind.errors import StreamBindError
from stream_bind.messages import Embedding, Event

CONFIG = """\
version: 1
rig: test
encoder: {{model: imagebind, weights: random, size: small}}
streams:
  - {{id: cam, modality: vision, device: {{type: simulated, modality: vision}}}}
  - {{id: thermal, modality: thermal, device: {{type: simulated, modality: thermal}}}}
publish: {{endpoint: "tcp://127.0.0.1:{port}", wait_for_subscriber_s: 20}}
"""

IMU_CONFIG = """\
version: 1
rig: test
encoder: {{model: imagebind, weights: random, size: small, max_batch: 1, threads: 1}}
streams:
  - id: imu
    modality: imu
    queue_policy: backpressure
    device: {{type: imu_csv, path: {path}, rate: max, start_time: 1000}}
publish: {{endpoint: "tcp://127.0.0.1:{port}", wait_for_subscriber_s: 20}}
"""


class Rig:
    """A run with a subscriber beside it."""

    def __init__(self, tmp_path: Path, text: str, **values: Any) -> None:
        self.port = free_port()
        path = tmp_path / "rig.yaml"
        path.write_text(text.format(port=self.port, **values))
        self.config = load_config(path)
        self.received: list[Embedding | Event] = []
        self.lost = 0

    def run(self, *, local: bool, act: Callable[[Snapshot], None] | None = None, **options: Any) -> RunResult:
        stop = threading.Event()

        def listen() -> None:
            with Subscriber(f"tcp://127.0.0.1:{self.port}", topics=("emb/", "evt/")) as subscriber:
                while not stop.is_set():
                    message = subscriber.recv(0.2)
                    if message is not None:
                        self.received.append(message)
                self.lost = subscriber.lost

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            return run(self.config, local=local, on_poll=act, **options)
        finally:
            time.sleep(0.3)
            stop.set()
            thread.join(5)

    def assert_exactly_once(self) -> dict[str, int]:
        """Every due window of every stream once and in order; vectors per stream."""
        assert self.lost == 0
        windows: dict[str, list[int]] = defaultdict(list)
        vectors: dict[str, int] = defaultdict(int)
        seq: dict[str, list[int]] = defaultdict(list)
        for message in self.received:
            if isinstance(message, Embedding):
                seq[message.stream].append(message.seq)
                windows[message.stream].append(message.window)
                vectors[message.stream] += 1
            elif message.window is not None and message.to_window is not None:
                windows[message.stream] += range(message.window, message.to_window)
        for stream, its in windows.items():
            assert its == list(range(its[0], its[-1] + 1)), stream
            assert seq[stream] == list(range(len(seq[stream])))
        return dict(vectors)


@pytest.fixture
def imu_csv(tmp_path: Path) -> Path:
    path = tmp_path / "imu.csv"
    t = np.arange(0, 20, 1 / 200)
    columns = [np.sin(2 * np.pi * (k + 1) * t) for k in range(6)]
    header = "time (s),accel_x (m/s2),accel_y (m/s2),accel_z (m/s2),gyro_x (rad/s),gyro_y (rad/s),gyro_z (rad/s)"
    np.savetxt(path, np.column_stack([t, *columns]), delimiter=",", header=header, comments="", fmt="%.6f")
    return path


@pytest.mark.parametrize("local", [True, False], ids=["local", "ray"])
def test_a_simulated_rig_publishes_every_window_and_keeps_the_account(tmp_path: Path, local: bool) -> None:
    rig = Rig(tmp_path, CONFIG)
    result = rig.run(local=local, duration_s=5)
    vectors = rig.assert_exactly_once()
    assert vectors["cam"] >= 4
    assert vectors["thermal"] >= 4
    assert {key[0]: a.vectors for key, a in result.accounts.items()} == vectors
    assert all(not m.trained for m in rig.received if isinstance(m, Embedding))


def test_ray_and_threads_give_the_same_vectors_bit_for_bit(tmp_path: Path, imu_csv: Path) -> None:
    vectors = {}
    for local in (True, False):
        rig = Rig(tmp_path, IMU_CONFIG, path=imu_csv)
        rig.run(local=local)
        rig.assert_exactly_once()
        vectors[local] = {m.window: m.vector.tobytes() for m in rig.received if isinstance(m, Embedding)}
    assert len(vectors[True]) == 7  # 20 s of samples, 5 s windows on hops of 2.5 s
    assert vectors[True] == vectors[False]


def _kill_once(name: str, after_vectors: int) -> tuple[Callable[[Snapshot], None], list[int]]:
    """Kills the process of the actor called `name` once the rig has published that many vectors."""
    killed: list[int] = []

    def act(snapshot: Snapshot) -> None:
        vectors = sum(lane["vectors"] for lane in snapshot.publisher.get("lanes", ()))
        for health in (*snapshot.captures, *snapshot.encoders):
            if health["name"] == name and not killed and vectors >= after_vectors:
                killed.append(health["pid"])
                os.kill(health["pid"], signal.SIGKILL)

    return act, killed


def test_a_killed_encode_process_costs_a_pause_and_no_window(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CONFIG)
    act, killed = _kill_once("encode-imagebind-0", 6)
    result = rig.run(local=False, duration_s=16, act=act)
    assert killed
    vectors = rig.assert_exactly_once()
    assert vectors["cam"] >= 20
    assert not result.dropped
    assert result.snapshot.encoders[0]["pid"] != killed[0]


def test_a_killed_capture_process_leaves_an_event_and_the_other_stream_untouched(tmp_path: Path) -> None:
    rig = Rig(tmp_path, CONFIG)
    act, killed = _kill_once("capture-cam", 6)
    rig.run(local=False, duration_s=14, act=act)
    assert killed
    rig.assert_exactly_once()
    events = {s: {m.reason for m in rig.received if isinstance(m, Event) and m.stream == s} for s in ("cam", "thermal")}
    assert "lost" in events["cam"]
    assert events["thermal"] <= {"starting", "ending"}


@pytest.mark.parametrize("local", [True, False], ids=["local", "ray"])
def test_a_port_in_use_is_one_sentence(tmp_path: Path, local: bool) -> None:
    import socket

    rig = Rig(tmp_path, CONFIG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", rig.port))
        taken.listen()
        with pytest.raises(StreamBindError, match=rf"{rig.port}.*(in use|another)"):
            run(rig.config, local=local, duration_s=2)


@pytest.mark.parametrize("local", [True, False], ids=["local", "ray"])
def test_a_device_that_is_not_there_ends_the_run_with_a_sentence(tmp_path: Path, local: bool) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(
        "version: 1\nrig: test\nencoder: {model: imagebind, weights: random, size: small}\n"
        "streams: [{id: imu, modality: imu, device: {type: serial_imu, port: /dev/ttyNONE, rate_hz: 100}}]\n"
        f"publish: {{endpoint: 'tcp://127.0.0.1:{free_port()}'}}\n"
    )
    with pytest.raises(StreamBindError, match="/dev/ttyNONE"):
        run(load_config(path), local=local, duration_s=3)

"""The real thing from a person's chair: a real video with sound and an IMU log, run and subscribe as two processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from actors.transport import free_port

ROOT = Path(__file__).resolve().parents[3]
CLI = [sys.executable, "-m", "stream_bind.cli"]

# Measured by another reader: picture 362 frames, sound 566 packets, motion 16539 rows. The last sample stands for a
# period, so a stream lasts from its first sample to one period after its last.
LENGTHS_S = {"cam": 12.0787, "mic": 12.0747, "imu": 41.618}
WINDOW_S = {"cam": (2.0, 0.5), "mic": (2.0, 0.5), "imu": (5.0, 2.5)}


def due(duration_s: float, length_s: float, hop_s: float) -> int:
    """Windows that overlap a stream that begins on the grid and lasts duration_s: they end at hop, 2 hop, ... as long
    as they begin before the stream's end."""
    return math.ceil((duration_s + length_s) / hop_s) - 1


@pytest.mark.parametrize("launcher", ["ray", "local"])
def test_a_real_recording_publishes_every_due_window(shared_data: Path, tmp_path: Path, launcher: str) -> None:
    video, motion = shared_data / "gopro" / "karma.mp4", shared_data / "imu_csv" / "xio_short_walk.csv"
    for path in (video, motion):
        if not path.exists():
            pytest.skip(f"{path} is not here")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    environment = {**os.environ, "STREAM_BIND_VIDEO": str(video), "STREAM_BIND_IMU": str(motion)}
    out = tmp_path / "received.jsonl"
    with out.open("w") as sink:
        subscriber = subprocess.Popen(
            [*CLI, "subscribe", endpoint, "--json", "--idle-exit", "8s"], stdout=sink, stderr=subprocess.PIPE, text=True
        )
    # Ten times as fast as life, so that the test takes seconds; `rate: 1` is what the file says.
    faster = [f"--set=streams.{stream}.device.rate=10" for stream in LENGTHS_S]
    ran = subprocess.run(
        [*CLI, "run", "configs/recorded.yaml", f"--set=publish.endpoint={endpoint}", *faster]
        + (["--local"] if launcher == "local" else []),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    _, said = subscriber.communicate(timeout=60)
    assert subscriber.returncode == 0, said
    windows: dict[str, list[int]] = defaultdict(list)
    seq: dict[str, list[int]] = defaultdict(list)
    reasons: Counter[str] = Counter()
    for message in map(json.loads, out.read_text().splitlines()):
        seq[message["topic"]].append(message["seq"])
        if message["kind"] == "emb":
            windows[message["stream"]].append(message["window"])
            assert message["trained"] is False
        elif message["window"] is not None and message["to_window"] is not None:
            windows[message["stream"]] += range(message["window"], message["to_window"])
            reasons[message["reason"]] += 1
    for stream, length_s in LENGTHS_S.items():
        its = windows[stream]
        assert sorted(its) == list(range(min(its), max(its) + 1))
        assert len(its) == due(length_s, *WINDOW_S[stream])
    assert all(numbers == list(range(len(numbers))) for numbers in seq.values())
    assert set(reasons) == {"starting", "ending"}
    assert "lost 0" in said

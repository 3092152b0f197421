"""docs/extending.md as an out-of-tree distribution: its files run as they are printed, found by their entry points."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), re.M | re.S)
MODULES = ("acme_udp_imu", "acme_motion", "acme_latest")


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder for sys.path that holds the examples as an installed distribution of somebody else's, and the rig."""
    for module, text in zip(MODULES, blocks("python"), strict=True):
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    info = tmp_path / "acme_sensors-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sensors\nVersion: 1.0\n")
    (toml,) = blocks("toml")
    entries = toml.replace("[project.entry-points.", "[").replace('"', "")
    (info / "entry_points.txt").write_text(entries)
    (rig,) = blocks("yaml")
    (tmp_path / "rig.yaml").write_text(rig, encoding="utf-8")
    (tmp_path / "latest").mkdir()
    return tmp_path


@pytest.fixture
def phone() -> Iterator[int]:
    """A phone that lies still on a table, 50 samples a second; the port it sends to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.wait(0.02):
                out.sendto(b"0.1 0 9.81 0 0 0", ("127.0.0.1", port))
                out.sendto(b"no sample", ("127.0.0.1", port))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield port
    stop.set()
    thread.join()


def python(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(folder)])
    env = os.environ | {"PYTHONPATH": paths, "LATEST": str(folder / "latest"), "OMP_NUM_THREADS": "1"} | environ
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120
    )


def stream_bind(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "stream_bind.cli", *arguments, **environ)


def test_the_rig_of_the_page_is_valid_and_every_type_is_known(elsewhere):
    result = stream_bind(elsewhere, "validate", "rig.yaml")
    assert result.returncode == 0, result.stderr
    schema = json.loads(stream_bind(elsewhere, "validate", "--schema").stdout)
    titles = {
        one["title"] for name in ("Device", "Encoder", "Sink") for one in schema["$defs"][f"{name}Config"]["oneOf"]
    }
    assert titles >= {"udp_imu", "motion", "latest", "simulated", "imagebind", "jsonl"}


@pytest.mark.parametrize(
    ("setting", "place", "words"),
    [
        ("publish.sinks.0.type=lates", "publish.sinks[0].type", "unknown sink type 'lates'; did you mean 'latest'?"),
        ("publish.sinks.0.foldr=x", "publish.sinks[0].foldr", "unknown key 'foldr'; did you mean 'folder'?"),
        ("publish.sinks.0.folder=nowhere", "publish.sinks[0]", "latest: there is no folder nowhere"),
        ("streams.imu.device.port=0", "streams[0].device.port", "must be greater than or equal to 1"),
        ("encoder.spread=wide", "encoder.spread", "expected a number"),
    ],
)
def test_settings_of_a_plug_in_are_checked_like_our_own(elsewhere, setting, place, words):
    result = stream_bind(elsewhere, "validate", "rig.yaml", "--set", setting)
    assert result.returncode == 2
    assert f" {place}: " in result.stdout + result.stderr
    assert words in result.stdout + result.stderr


def test_the_driver_and_the_encoder_of_the_page_give_vectors(elsewhere, phone):
    arguments = ("run", "rig.yaml", "--local", "--duration", "4s", "--print")
    data = f"publish.endpoint=ipc://{elsewhere}/data"
    result = stream_bind(elsewhere, *arguments, "--set", data, PHONE_PORT=str(phone))
    assert result.returncode == 0, result.stderr
    vectors = [line for line in result.stdout.splitlines() if "d=12" in line]
    assert len(vectors) >= 4
    assert all("[+0.010 +0.000 +1.000 +0.000 ...]" in line for line in vectors[1:-1])


def test_the_sink_of_the_page_gets_what_the_plan_sends_it(elsewhere):
    script = """
import sys
import numpy as np
from stream_bind.cli.compose import Endpoints, plan_run
from stream_bind.config import load_config
from stream_bind.messages import Embedding, Event
from stream_bind.sinks.group import SinkGroup

assert "acme_latest" not in sys.modules
plan = plan_run(load_config("rig.yaml", files=True), Endpoints("inproc")).publisher
sinks = SinkGroup(plan.sinks, plan.rig)
sinks.open()
for window in (4, 5):
    vector = np.eye(12, dtype=np.float32)[window]
    assert sinks.send(Embedding(plan.rig, "imu", "motion", "imu", window, 0, 10**9, vector)) == []
assert sinks.send(Event(plan.rig, "imu", "motion", "outage", window=6)) == []
sinks.close()
assert "acme_latest" in sys.modules
"""
    result = python(elsewhere, "-c", script)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (elsewhere / "latest").iterdir()) == ["imu.json", "imu.npy"]
    assert np.load(elsewhere / "latest" / "imu.npy").tolist() == np.eye(12)[5].tolist()
    assert json.loads((elsewhere / "latest" / "imu.json").read_text())["window"] == 5


def test_the_examples_keep_the_contracts(elsewhere):
    script = """
from devices.base import Device
from stream_bind.clock import SystemClock
from stream_bind.encoders.base import ClipMaker, Encoder
from stream_bind.registry import DEVICES, ENCODERS, SINKS
from stream_bind.sinks.base import Sink

device, encoder, sink = DEVICES.get("udp_imu"), ENCODERS.get("motion"), SINKS.get("latest")
assert isinstance(device.cls(device.config(port=5005, rate_hz=50), "imu", SystemClock()), Device)
assert isinstance(encoder.cls("motion", encoder.config()), Encoder)
assert isinstance(encoder.cls.clip_maker(encoder.config(), "imu"), ClipMaker)
assert encoder.cls.modalities(encoder.config()) == encoder.modalities
assert isinstance(sink.cls(sink.config(folder="."), "phone"), Sink)
"""
    result = python(elsewhere, "-c", script)
    assert result.returncode == 0, result.stderr


def test_the_examples_pass_the_linter(elsewhere):
    files = [str(elsewhere / f"{module}.py") for module in MODULES]
    command = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr

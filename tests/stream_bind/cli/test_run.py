"""`run` from the command line: what --print shows, and what ends it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors.transport import free_port
from stream_bind.cli.conduct import reachable
from stream_bind.config import load_config

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """\
version: 1
rig: test
encoder: {{model: imagebind, weights: random, size: small}}
streams: [{{id: thermal, modality: thermal, device: {{type: simulated, modality: thermal}}}}]
publish: {{endpoint: "{endpoint}", insecure: true}}
"""


@pytest.fixture
def rig(tmp_path: Path):
    def write(endpoint: str) -> Path:
        path = tmp_path / "rig.yaml"
        path.write_text(CONFIG.format(endpoint=endpoint))
        return path

    return write


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stream_bind.cli", "run", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5556"),
        ("tcp://0.0.0.0:5556", "tcp://127.0.0.1:5556"),
        ("tcp://*:5556", "tcp://127.0.0.1:5556"),
        ("ipc:///tmp/x", "ipc:///tmp/x"),
    ],
)
def test_a_subscriber_beside_the_run_connects_where_the_run_is_bound(rig, endpoint: str, found: str) -> None:
    config = load_config(rig(endpoint))
    assert reachable(config) == (config, found)


def test_any_port_becomes_one_that_both_know(rig) -> None:
    config, found = reachable(load_config(rig("tcp://127.0.0.1:*")))
    assert config.publish.endpoint == found
    assert found.rpartition(":")[2].isdigit()


def test_every_published_vector_is_printed_up_to_the_last(rig) -> None:
    with start(rig("tcp://127.0.0.1:*"), "--local", "--print", "--duration", "4s") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    printed = [line for line in out.splitlines() if "thermal" in line]
    assert f"= {len(printed)} vectors" in err
    assert len(printed) >= 3


def test_a_run_whose_output_nobody_reads_any_more_ends_with_a_drain(rig) -> None:
    with start(rig(f"tcp://127.0.0.1:{free_port()}"), "--local", "--print", "--duration", "60s") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        started = time.monotonic()
        assert "thermal" in process.stdout.readline()
        process.stdout.close()  # head -1
        assert process.wait(40) == 0
        assert time.monotonic() - started < 40
        err = process.stderr.read()
    assert "account:" in err
    assert "Traceback" not in err

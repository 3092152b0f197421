"""A run whose sensors are pulled out and plugged in again, from a person's chair: what subscribers are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import tty
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from actors.transport import free_port

ROOT = Path(__file__).resolve().parents[3]
CLI = [sys.executable, "-m", "stream_bind.cli"]
RATE_HZ = 100
CONFIG = """\
version: 1
rig: wrist
encoder: {{model: imagebind, weights: random, size: small, modalities: [imu]}}
streams:
  - id: imu
    modality: imu
    device: {{type: serial_imu, port: "{port}", rate_hz: {rate_hz}}}
    window: {{length_s: 1, hop_s: 0.5}}
publish: {{endpoint: "{endpoint}"}}
"""


class Plug:
    """A serial sensor on a pty behind a link that stays: it sends while it is in, and notes when it did (UNIX s)."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.first_s = self.last_s = 0.0
        self._master = -1
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def put_in(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        name = os.ttyname(slave)
        held = self.link.with_suffix(".new")
        held.symlink_to(name)
        os.replace(held, self.link)
        os.set_blocking(self._master, False)
        self._stop.clear()
        self._thread = threading.Thread(target=self._send, args=(slave,), daemon=True)
        self._thread.start()

    def pull_out(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        os.close(self._master)

    def _send(self, slave: int) -> None:
        # Held open until somebody else has it: a pty without a reader says end of file.
        next_s = time.monotonic()
        sent = 0
        while not self._stop.is_set():
            try:
                os.write(self._master, b"0.1,0.2,9.81,0.01,0.02,0.03\n")
            except BlockingIOError:
                pass  # nobody reads yet
            now_s = time.time()
            self.first_s = self.first_s if sent else now_s
            self.last_s = now_s
            sent += 1
            if sent == RATE_HZ:
                os.close(slave)
            next_s += 1 / RATE_HZ
            time.sleep(max(0.0, next_s - time.monotonic()))
        if sent < RATE_HZ:
            os.close(slave)


def events(path: Path, reason: str) -> list[dict[str, Any]]:
    lines = path.read_text().splitlines()
    told = [json.loads(line) for line in lines if line.endswith("}")]
    return [m for m in told if m.get("reason") == reason]


def wait_for(true: Any, timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.mark.requires("pty")
@pytest.mark.parametrize("launcher", ["ray", "local"])
def test_a_sensor_pulled_out_is_one_outage_and_its_stream_goes_on(tmp_path: Path, launcher: str) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    plug = Plug(tmp_path / "imu0")
    plug.put_in()
    config, out = tmp_path / "rig.yaml", tmp_path / "received.jsonl"
    config.write_text(CONFIG.format(port=plug.link, rate_hz=RATE_HZ, endpoint=endpoint))
    with out.open("w") as sink:
        listening = [*CLI, "subscribe", endpoint, "--json", "--idle-exit", "10s"]
        subscriber = subprocess.Popen(listening, stdout=sink, stderr=subprocess.PIPE, text=True)
    extra = ["--local"] if launcher == "local" else []
    run = subprocess.Popen(
        [*CLI, "run", str(config), "--set=publish.wait_for_subscriber_s=20", *extra],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: '"kind": "emb"' in out.read_text() or '"kind":"emb"' in out.read_text())
        time.sleep(2.0)
        plug.pull_out()
        gone_s = plug.last_s
        wait_for(lambda: events(out, "device_lost"))
        time.sleep(4.0)
        plug.put_in()
        back_s = time.time()
        wait_for(lambda: events(out, "device_back"), 20.0)
        resumed_after_s = time.time() - back_s
        time.sleep(3.0)
    finally:
        run.terminate()
        _, said = run.communicate(timeout=60)
        plug.pull_out()
        subscriber.communicate(timeout=60)
    assert "Traceback" not in said
    messages = [json.loads(line) for line in out.read_text().splitlines()]
    back = events(out, "device_back")[0]
    hole_s = (back["t_end"] - back["t_start"]) / 1e9
    # The sensor's own test holds the length to 20 ms; this machine may be busy with anything.
    assert hole_s == pytest.approx(plug.first_s - gone_s, abs=1.0)
    assert 4.0 < hole_s < 12.0
    assert resumed_after_s < 5.0
    assert len(events(out, "device_lost")) == len(events(out, "device_back")) == 1
    outages = [m for m in messages if m.get("reason") == "outage" and m["to_window"] is not None]
    assert len(outages) == 1
    assert outages[0]["to_window"] - outages[0]["window"] >= 5
    fate: dict[int, int] = defaultdict(int)
    for m in messages:
        if m["kind"] == "emb":
            fate[m["window"]] += 1
        elif m["window"] is not None and m["to_window"] is not None:
            for w in range(m["window"], m["to_window"]):
                fate[w] += 1
    assert set(fate.values()) == {1}
    assert sorted(fate) == list(range(min(fate), max(fate) + 1))
    after = [m for m in messages if m["kind"] == "emb" and m["window"] >= outages[0]["to_window"]]
    assert after
    assert all(m["t_end"] % 500_000_000 == 0 for m in after)

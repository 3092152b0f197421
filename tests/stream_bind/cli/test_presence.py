"""Which devices are here: found by opening them, whatever hangs, and swapped for twins by `run --simulate-missing`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from devices.simulated import Simulated
from stream_bind.cli.compose import Endpoints, plan_run
from stream_bind.cli.presence import absent_devices
from stream_bind.config import load_config

RIG = """\
version: 1
rig: test
encoder: {model: imagebind, weights: random, size: small}
streams:
  - {id: here, modality: thermal, device: {type: simulated}}
  - {id: gone, modality: imu, device: {type: serial_imu, port: /dev/serial/by-id/nothing, rate_hz: 100}}
  - {id: afar, modality: imu, node: robot, device: {type: serial_imu, port: /dev/serial/by-id/nothing, rate_hz: 100}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Any:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return load_config(path)


def test_only_what_cannot_be_opened_is_absent_and_other_nodes_are_not_judged(config: Any) -> None:
    absent = absent_devices(config)
    assert list(absent) == ["gone"]
    assert "/dev/serial/by-id/nothing" in absent["gone"]


def test_a_device_that_hangs_is_absent_too(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = threading.Event()
    monkeypatch.setattr(Simulated, "open", lambda self: hang.wait(10))
    assert "did not open within 0.2 s" in absent_devices(config, patience_s=0.2)["here"]
    hang.set()


def test_a_drivers_bug_is_told_in_one_line(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "open", lambda self: 1 / 0)
    assert absent_devices(config)["here"] == "simulated: the driver failed: ZeroDivisionError: division by zero"


def test_only_the_named_streams_are_swapped(config: Any) -> None:
    endpoints = Endpoints("inproc")
    plan = plan_run(config, endpoints, simulate={"gone": "why"})
    endpoints.close()
    types = {s.stream: s.device_type for c in plan.captures for s in c.sensors}
    assert types == {"here": "simulated", "gone": "simulated", "afar": "serial_imu"}
    twins = [s.device_config for c in plan.captures for s in c.sensors if s.stream == "gone"]
    assert (twins[0]["modality"], twins[0]["rate_hz"]) == ("imu", 100)

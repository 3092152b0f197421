"""`doctor`: what it finds, and when a run would fail."""

from __future__ import annotations

import json
import socket

import pytest

from stream_bind.cli import sensor_needs
from stream_bind.cli.machine import endpoint_finding
from stream_bind.cli.main import main

RIG = """\
version: 1
rig: bench
encoder: {model: imagebind, size: small, weights: random, device: cpu, modalities: [imu, depth]}
streams:
  - id: imu
    modality: imu
    device: {type: simulated}
publish: {endpoint: "tcp://127.0.0.1:PORT"}
"""


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def rig(tmp_path, port):
    path = tmp_path / "rig.yaml"
    path.write_text(RIG.replace("PORT", str(port)))
    return path


def findings(capsys):
    return {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_it_names_what_every_run_needs(capsys):
    main(["doctor", "--json"])
    found = findings(capsys)
    assert {"python", "ray", "torch", "av", "machine", "gpu", "portaudio", "serial ports", "data port"} <= found.keys()
    assert found["torch"]["status"] == "ok"
    assert "cores" in found["machine"]["detail"]


def test_an_encoder_that_keeps_up_is_timed_here(rig, capsys):
    assert main(["doctor", str(rig), "--json"]) == 0
    found = findings(capsys)["pace of imagebind"]
    assert found["status"] == "ok"
    assert "keeps up here: imu" in found["detail"]


def test_one_that_does_not_gets_the_hop_that_would(rig, capsys):
    assert main(["doctor", str(rig), "--json", "--set", "streams.imu.window.hop_s=0.001"]) == 0
    found = findings(capsys)["pace of imagebind"]
    assert found["status"] == "note"
    assert "cannot keep up" in found["detail"]
    assert "hops" in found["detail"]


def test_the_published_size_with_random_weights_is_judged_by_the_table(rig, capsys):
    args = ["--set", "encoder.size=huge", "--set", "streams.imu.window.hop_s=0.01"]
    assert main(["doctor", str(rig), "--json", *args]) == 0
    assert "like the one measured" in findings(capsys)["pace of imagebind"]["detail"]


def test_missing_weights_are_lacking(rig, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path))
    assert main(["doctor", str(rig), "--json", "--set", "encoder={model: imagebind}"]) == 1
    found = findings(capsys)["weights of imagebind"]
    assert found["status"] == "lacking"
    assert "no weights" in found["detail"]


def test_a_port_in_use_is_lacking_with_the_way_to_find_who_has_it(rig, port, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert main(["doctor", str(rig), "--json"]) == 1
    found = findings(capsys)["data port"]
    assert found["status"] == "lacking"
    assert f":{port}" in found["remedy"]


def test_people_see_the_remedy_below_the_finding(capsys, monkeypatch):
    monkeypatch.setattr(sensor_needs.ctypes.util, "find_library", lambda name: None)
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("note     portaudio"))
    assert "-> sudo apt-get install libportaudio2" in lines[at + 1]


def test_a_wrong_file_is_told_before_the_machine_is_looked_at(tmp_path, capsys):
    path = tmp_path / "rig.yaml"
    path.write_text("version: 1\n")
    assert main(["doctor", str(path)]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("endpoint", ["ipc:///tmp/x", "tcp://127.0.0.1:*"])
def test_an_endpoint_without_a_port_cannot_be_taken(endpoint):
    assert endpoint_finding(endpoint).status == "ok"


SENSORS = """\
version: 1
rig: bench
encoder: {model: imagebind, size: small, weights: random, device: cpu}
streams:
  - {id: imu, modality: imu, device: {type: simulated}}
  - {id: gone, modality: imu, device: {type: serial_imu, port: /dev/serial/by-id/nothing, rate_hz: 100}}
  - {id: afar, modality: imu, node: robot, device: {type: serial_imu, port: /dev/serial/by-id/nothing, rate_hz: 100}}
publish: {endpoint: "ipc:///tmp/stream-bind-doctor-test"}
"""


def test_the_sensors_of_a_file_are_watched_and_one_that_is_not_there_is_lacking(tmp_path, capsys):
    path = tmp_path / "rig.yaml"
    path.write_text(SENSORS)
    assert main(["doctor", str(path), "--json", "--seconds", "1"]) == 1
    captured = capsys.readouterr()
    found = {line["name"]: line for line in map(json.loads, captured.out.splitlines())}
    assert found["imu rate"]["rate_hz"] == pytest.approx(200, rel=0.05)
    assert found["imu rate"]["stream"] == "imu"
    assert found["imu gravity"]["status"] == "ok"
    assert found["gone"]["status"] == "lacking"
    assert "/dev/serial/by-id/nothing" in found["gone"]["detail"]
    assert "hangs on node robot" in found["afar"]["detail"]
    assert "watching imu, gone for 1 s" in captured.err


def test_sensors_are_left_alone_where_that_is_asked_for(tmp_path, capsys):
    path = tmp_path / "rig.yaml"
    path.write_text(SENSORS)
    assert main(["doctor", str(path), "--json", "--skip-sensors"]) == 0
    assert not {"imu rate", "gone", "afar"} & findings(capsys).keys()


@pytest.mark.parametrize("seconds", ["0", "-1", "601"])
def test_an_absurd_length_of_watching_is_a_usage_error(seconds, capsys):
    assert main(["doctor", "--seconds", seconds]) == 2
    assert "--seconds" in capsys.readouterr().err

"""`validate`: what it prints and when it fails."""

from __future__ import annotations

import json

import jsonschema
import pytest

from stream_bind.cli.main import main

RIG = """\
version: 1
rig: bench
encoder: {model: imagebind, size: small, weights: random}
streams:
  - id: cam
    modality: vision
    device: {type: simulated}
  - id: imu
    modality: imu
    device: {type: serial_imu, port: /dev/not-there, rate_hz: 200}
"""


@pytest.fixture
def rig(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(RIG)
    return path


def test_a_sound_file_is_told_with_its_lanes_and_topics(rig, capsys):
    assert main(["validate", str(rig), "--simulate"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "2 streams, 1 encoder" in out
    assert "emb/bench/imu/imagebind/" in out


def test_hardware_that_is_not_there_is_told_but_not_needed_to_simulate(rig, capsys):
    assert main(["validate", str(rig)]) == 2
    assert (
        f"stream-bind: {rig}:10:38: streams[1].device.port: there is no device /dev/not-there"
        in capsys.readouterr().err
    )


def test_set_reaches_into_the_file(rig, capsys):
    assert main(["validate", str(rig), "--simulate", "--set", "streams.cam.window.hop_s=0.25", "--set", "rig=b2"]) == 0
    assert "2 s every 0.25 s" in capsys.readouterr().out
    assert main(["validate", str(rig), "--simulate", "--set", "streams.cma.delay_ms=1"]) == 2
    assert "known: cam, imu" in capsys.readouterr().err


def test_an_encoder_that_cannot_keep_up_is_a_warning_on_stderr(rig, capsys):
    assert main(["validate", str(rig), "--simulate", "--set", "encoder.size=huge", "--set", "encoder.device=cpu"]) == 0
    out, err = capsys.readouterr()
    assert "cannot keep up" in err
    assert "hop_s:" in err
    assert "cannot keep up" not in out


def test_missing_weights_are_refused_with_the_way_to_get_them(rig, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path))
    assert main(["validate", str(rig), "--simulate", "--set", "encoder={model: imagebind}"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "weights" in line]
    assert "no weights at" in line
    assert main(["validate", str(rig), "--simulate", "--set", f"encoder.weights={tmp_path}/none.pth"]) == 2


def test_a_file_that_is_no_video_is_told_at_its_path(rig, capsys, tmp_path):
    (tmp_path / "notes.mp4").write_text("shopping list")
    device = f"{{type: video_file, path: {tmp_path}/notes.mp4}}"
    assert main(["validate", str(rig), "--set", f"streams.cam.device={device}"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "notes.mp4: " in line]
    assert "streams[0].device.path:" in line


def test_the_schema_is_a_schema(capsys):
    assert main(["validate", "--schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))

"""A model directory with sensor types of its own, from the command line: a recorded barometer, a simulated armband."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_bind.cli.clips_of_files import clips_of
from stream_bind.encoders.imagebind import ImageBind, ImageBindEncoderConfig
from stream_bind.encoders.imagebind.directory import save_directory
from stream_bind.encoders.load import load_encoder

ROOT = Path(__file__).resolve().parents[3]
BAROMETER = {"name": "barometer", "channels": 1, "rate_hz": 25, "length_s": 4, "kernel": 10, "unit": "Pa"}
EMG = {"name": "emg", "channels": 2, "rate_hz": 100, "length_s": 2, "kernel": 10, "unit": "mV", "axes": ["l", "r"]}
RIG = """\
version: 1
rig: bench
encoder: {{model: imagebind, weights: {model}, device: cpu}}
streams:
  - id: baro
    modality: barometer
    device: {{type: signal_csv, path: {table}, unit: Pa, rate: 5}}
    queue_policy: backpressure
  - id: arm
    modality: emg
    device: {{type: simulated, axes: [r, x, l]}}
publish: {{endpoint: "tcp://127.0.0.1:*", sinks: [{{type: jsonl, path: {out}, vectors: true}}]}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = ImageBindEncoderConfig(
        weights="random",
        size={"out_embed_dim": 16},
        signals=[{**BAROMETER, "detrend": "mean"}, EMG],
        modalities=("barometer", "emg"),
    )
    state = ImageBind(replace(config.architecture(), modalities=config.modalities))
    folder = tmp_path_factory.mktemp("model")
    save_directory(folder, config=config, state=state.state_dict(), name="bench-model", licence="Apache-2.0")
    return folder


def run(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream_bind.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


def test_streams_of_own_sensor_types_become_vectors(model, tmp_path):
    table = tmp_path / "pressure.csv"
    table.write_text("t_s,pressure\n" + "".join(f"{i / 50},{101325 + 20 * np.sin(i / 40):.2f}\n" for i in range(1000)))
    rig, out = tmp_path / "rig.yaml", tmp_path / "out.jsonl"
    rig.write_text(RIG.format(model=model, table=table, out=out))
    checked = run("validate", rig)
    assert checked.returncode == 0, checked.stderr
    ran = run("run", rig, "--local", "--duration", "7s")
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    vectors = [row for row in rows if row["kind"] == "emb"]
    assert {(row["stream"], row["modality"]) for row in vectors} == {("baro", "barometer"), ("arm", "emg")}
    assert all(row["model"].startswith("bench-model@") and row["trained"] for row in vectors)
    assert all(row["scale"] == pytest.approx(5.0) for row in vectors)
    pressure = {row["t_end"]: row["vector"] for row in vectors if row["stream"] == "baro"}
    # 20 s from 0 on: whole windows end at 4.0, 4.5, ... 20.0 s.
    assert [t / 1e9 for t in sorted(pressure)] == [4 + i / 2 for i in range(33)]
    config = ImageBindEncoderConfig(weights=str(model), device="cpu")
    encoder = load_encoder("imagebind", str(model), device="cpu")
    driver = {"unit": "Pa"}
    clips = list(clips_of(table, "barometer", "imagebind", config, 0.5, driver))
    expected = encoder.embed("barometer", np.stack([clip.array for clip in clips if clip.coverage > 0.99]))
    found = np.array([pressure[t] for t in sorted(pressure)])
    # The first windows have no samples before them for the filter to run in; later ones see the same in both.
    assert np.abs(found[2:] - expected[2 : len(found)]).max() < 1e-3


def test_a_rig_of_own_sensor_types_runs_on_their_twins(model, tmp_path):
    rig, out = tmp_path / "rig.yaml", tmp_path / "out.jsonl"
    rig.write_text(RIG.format(model=model, table=tmp_path / "none.csv", out=out))
    assert "there is no file" in run("validate", rig, "--files").stderr + run("validate", rig).stderr
    ran = run("run", rig, "--simulate", "--local", "--duration", "7s")
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["stream"] for row in rows if row["kind"] == "emb"} == {"baro", "arm"}

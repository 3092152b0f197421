"""A rig with LanguageBind on files of every kind: made here, and the reference's own samples where they are at hand."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from actors.transport import free_port

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("STREAM_BIND_SHARED", ROOT.parent / "shared"))
RIG = """
version: 1
rig: files
encoders:
  lb: {{model: languagebind, weights: random, size: small}}
  still: {{model: languagebind, modalities: {{vision: image}}, weights: random, seed: 1, size: small}}
streams:
  - {{id: cam, modality: vision, encoder: lb, device: {{type: video_file, path: {video}, rate: max}}}}
  - {{id: mic, modality: audio, encoder: lb, device: {{type: audio_file, path: {audio}, rate: max}},
     window: {{partial: true, min_coverage: 0.9}}}}
  - {{id: depth, modality: depth, encoder: lb, device: {{type: image_file, path: {depth}, duration_s: 4, rate: max}}}}
  - {{id: heat, modality: thermal, encoder: lb,
     device: {{type: image_file, path: {thermal}, duration_s: 4, rate: max}}}}
  - {{id: pics, modality: vision, encoder: still,
     device: {{type: image_file, path: {image}, duration_s: 4, rate: max}}}}
publish: {{endpoint: "{endpoint}"}}
"""
STREAMS = {"cam": "lb", "mic": "lb", "depth": "lb", "heat": "lb", "pics": "still"}


def made(folder: Path) -> dict[str, Path]:
    """Small files of every kind; the sound is 10.242 s long, as the reference's samples are."""
    rng = np.random.default_rng(4)
    files = {kind: folder / f"{kind}{end}" for kind, end in {
        "video": ".mp4", "audio": ".wav", "depth": ".png", "thermal": ".jpg", "image": ".jpg"
    }.items()}  # fmt: skip
    video = cv2.VideoWriter(str(files["video"]), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (96, 64))
    for i in range(150):
        video.write(np.full((64, 96, 3), i, np.uint8))
    video.release()
    soundfile.write(files["audio"], rng.normal(0, 0.1, 163_872), 16000, subtype="PCM_16")
    cv2.imwrite(str(files["depth"]), rng.integers(400, 9000, (48, 64), np.uint16))
    cv2.imwrite(str(files["thermal"]), np.repeat(rng.integers(0, 256, (48, 64, 1), np.uint8), 3, axis=2))
    cv2.imwrite(str(files["image"]), rng.integers(0, 256, (48, 64, 3), np.uint8))
    return files


def samples() -> dict[str, Path]:
    assets = SHARED / "fixtures" / "languagebind" / "assets"
    names = {"video": "0.mp4", "audio": "0.wav", "depth": "0.png", "thermal": "0.jpg", "image": "0.jpg"}
    return {kind: assets / kind / name for kind, name in names.items()}


@pytest.mark.parametrize("source", ["made", "samples"])
def test_files_of_every_kind_become_vectors(source: str, tmp_path: Path) -> None:
    files = made(tmp_path) if source == "made" else samples()
    for path in files.values():
        if not path.exists():
            pytest.skip(f"{path} is not here")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    rig = tmp_path / "rig.yaml"
    rig.write_text(RIG.format(endpoint=endpoint, **files))
    cli = [sys.executable, "-m", "stream_bind.cli"]
    subscribe = [*cli, "subscribe", endpoint, "--json", "--idle-exit", "8s"]
    with (tmp_path / "received.jsonl").open("w") as sink:
        subscriber = subprocess.Popen(subscribe, stdout=sink, stderr=subprocess.PIPE, text=True)
    ran = subprocess.run(
        [*cli, "run", str(rig), "--local"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    _, said = subscriber.communicate(timeout=60)
    assert subscriber.returncode == 0, said
    received = [json.loads(line) for line in (tmp_path / "received.jsonl").read_text().splitlines()]
    vectors = [message for message in received if message["kind"] == "emb"]
    # Every window that was due is one vector or in an event. (The first events may be out before a subscriber is in.)
    for stream, encoder in STREAMS.items():
        told = re.search(rf"{stream} → {encoder}: (\d+) windows due = (\d+) vectors \+ (\d+) in events", ran.stderr)
        assert told is not None, ran.stderr
        due, n_vectors, in_events = (int(number) for number in told.groups())
        assert due == n_vectors + in_events
        assert n_vectors == sum(message["stream"] == stream for message in vectors) > 0
    # The sound is shorter than one window: repeated until it fills the picture, its coverage is what there is of it.
    (heard,) = (message for message in vectors if message["stream"] == "mic")
    assert heard["coverage"] == pytest.approx(10.0 / 10.375, abs=0.01)
    assert heard["status"] == "partial"
    # Two text towers are two spaces, and every vector says whose it is.
    models = {stream: {m["model"] for m in vectors if m["stream"] == stream} for stream in STREAMS}
    assert all(len(found) == 1 for found in models.values())
    assert models["cam"] == models["mic"] == models["depth"] == models["heat"] != models["pics"]
    assert {message["dim"] for message in vectors} == {64}

"""The model cache: which file is found, its digest, and that looking takes no torch."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_bind.encoders import cache as subject
from stream_bind.encoders.cache import file_digest, find_weights, hash_file, model_cache, note_digest
from stream_bind.errors import WeightsError

ROOT = Path(__file__).resolve().parents[3]
RIG = """\
version: 1
rig: bench
encoder: {model: imagebind}
streams:
  - id: imu
    modality: imu
    device: {type: simulated}
"""


def test_absent_weights_name_the_command_and_the_place(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path / "cache"))
    with pytest.raises(WeightsError, match=r"no weights at .*stream-bind models pull toy.*weights: random"):
        find_weights("toy", None, ("toy.safetensors", "toy.pth"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "toy.pth").write_bytes(b"x")
    assert find_weights("toy", None, ("toy.safetensors", "toy.pth")) == model_cache() / "toy.pth"
    with pytest.raises(WeightsError, match=r"mine\.pth"):
        find_weights("toy", str(tmp_path / "mine.pth"), ())


def test_the_digest_is_worked_out_once_and_again_when_the_file_changes(tmp_path, monkeypatch):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    first = file_digest(path)
    assert first == hashlib.sha256(b"one").hexdigest()
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    monkeypatch.setattr(subject, "hash_file", None)
    assert file_digest(path) == first
    monkeypatch.undo()
    path.write_bytes(b"other")
    assert file_digest(path) == hashlib.sha256(b"other").hexdigest()


def test_the_digest_of_a_file_in_a_read_only_place_is_kept_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path / "cache"))
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    path.with_name("weights.bin.sha256.json").mkdir()
    assert file_digest(path) == file_digest(path) == hashlib.sha256(b"one").hexdigest()
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_folder_may_be_written_with_a_tilde(monkeypatch):
    monkeypatch.setenv("STREAM_BIND_MODELS", "~/models")
    assert model_cache() == Path.home() / "models"
    monkeypatch.delenv("STREAM_BIND_MODELS")
    assert model_cache().parts[-2:] == ("stream-bind", "models")


def test_a_path_that_is_wrong_is_told_apart_from_weights_that_were_never_pulled(tmp_path):
    with pytest.raises(WeightsError, match=r"models pull toy` and leave `weights` out, or set `weights: random`"):
        find_weights("toy", str(tmp_path / "mine.pth"), ())


def test_a_noted_digest_spares_the_reading_until_the_file_changes(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"one")
    note_digest(path, "00ff")
    assert file_digest(path) == "00ff"
    path.write_bytes(b"other")
    assert file_digest(path) == hashlib.sha256(b"other").hexdigest()


def test_hashing_tells_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "BLOCK", 4)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"0123456789")
    seen: list[tuple[int, int | None]] = []
    assert hash_file(path, lambda done, total: seen.append((done, total))) == hashlib.sha256(b"0123456789").hexdigest()
    assert seen == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(
    "call",
    [
        "main(['validate', rig])",
        "main(['models', 'list'])",
        "main(['models', 'verify'])",
        "ImageBindEncoder.check_weights(ImageBindEncoderConfig())",
    ],
)
def test_looking_for_weights_imports_no_torch(tmp_path, call):
    (tmp_path / "imagebind_huge.safetensors").write_bytes(b"weights")
    (tmp_path / "rig.yaml").write_text(RIG)
    code = (
        "import sys; rig = sys.argv[1];"
        "from stream_bind.cli.main import main;"
        "from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig;"
        f"failed = {call}; print(failed or 0, {{'torch', 'ray', 'zmq'}} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "rig.yaml")]
    environment = {**os.environ, "STREAM_BIND_MODELS": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.stdout.endswith("0 set()\n"), done.stdout + done.stderr

"""A torch checkpoint as .safetensors: the same tensors, the same bytes every time, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from stream_bind.encoders.cache import file_digest
from stream_bind.encoders.convert import to_safetensors
from stream_bind.encoders.weights import Checkpoint
from stream_bind.errors import WeightsError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(6, 10, generator=generator)
    return {
        "b.weight": wide,
        "a.view": wide[:, 2:5].t(),
        "scale": torch.tensor(3.5),
        "half": wide[:3].bfloat16(),
        "ids": torch.arange(7),
        "flags": torch.tensor([True, False, True]),
        "none": torch.zeros(0, 4),
    }


@pytest.fixture
def checkpoint(tmp_path, state) -> Checkpoint:
    torch.save(state, tmp_path / "toy.pth")
    return Checkpoint(tmp_path / "toy.pth", "toy")


def test_every_tensor_arrives_bit_for_bit(tmp_path, checkpoint, state):
    target = tmp_path / "toy.safetensors"
    digest = to_safetensors(checkpoint, target)
    loaded = load_file(target)
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        assert loaded[key].dtype == value.dtype
        assert torch.equal(loaded[key], value)
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest() == file_digest(target)


def test_the_bytes_are_those_of_the_formats_own_writer_whatever_the_order(tmp_path, checkpoint, state):
    ours = to_safetensors(checkpoint, tmp_path / "toy.safetensors")
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "toy.safetensors").read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()
    torch.save(dict(reversed(state.items())), tmp_path / "reversed.pth")
    assert to_safetensors(Checkpoint(tmp_path / "reversed.pth", "toy"), tmp_path / "again.safetensors") == ours


def test_progress_ends_at_the_size_of_the_file(tmp_path, checkpoint):
    seen: list[tuple[int, int | None]] = []
    to_safetensors(checkpoint, tmp_path / "toy.safetensors", lambda done, total: seen.append((done, total)))
    size = (tmp_path / "toy.safetensors").stat().st_size
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_numbers_that_the_format_lacks_are_refused(tmp_path):
    torch.save({"wave": torch.zeros(2, dtype=torch.complex64)}, tmp_path / "toy.pth")
    with pytest.raises(WeightsError, match=r"toy: wave in .*toy\.pth is torch\.complex64"):
        to_safetensors(Checkpoint(tmp_path / "toy.pth", "toy"), tmp_path / "toy.safetensors")


def test_a_full_disk_leaves_the_original_alone(tmp_path, checkpoint, monkeypatch):
    def fail(key):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name for path in tmp_path.iterdir()}
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as context:
        context.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
        with pytest.raises(WeightsError, match=r"are needed to convert toy\.pth, 100 bytes are free"):
            to_safetensors(checkpoint, tmp_path / "toy.safetensors")
    with monkeypatch.context() as context:
        context.setattr("pathlib.Path.replace", lambda self, target: fail(target))
        with pytest.raises(WeightsError, match="the disk is full"):
            to_safetensors(checkpoint, tmp_path / "toy.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == before


def test_what_a_killed_run_left_is_overwritten_and_what_a_running_one_writes_is_not(tmp_path, checkpoint):
    (tmp_path / "toy.safetensors.part").write_bytes(b"half")
    digest = to_safetensors(checkpoint, tmp_path / "toy.safetensors")

    def second(done: int, total: int | None) -> None:
        with pytest.raises(WeightsError, match="another process is writing"):
            to_safetensors(checkpoint, tmp_path / "toy.safetensors")

    assert to_safetensors(checkpoint, tmp_path / "toy.safetensors", second) == digest
    assert not (tmp_path / "toy.safetensors.part").exists()

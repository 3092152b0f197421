"""Checkpoint files: what loads, and every way a file can be wrong."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stream_bind.encoders.weights import Checkpoint, assign
from stream_bind.errors import WeightsError


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 3)
        self.b = nn.Linear(3, 2)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {key: torch.randn_like(value) for key, value in Model().state_dict().items()}


def load(path, **options):
    with torch.device("meta"):
        model = Model()
    options = {
        "wanted": lambda key: True,
        "device": torch.device("cpu"),
        "dtype_of": lambda key: torch.float32,
    } | options
    assign(model, Checkpoint(path, "toy"), **options)
    return model


@pytest.fixture(params=["safetensors", "pth", "legacy"])
def saved(request, tmp_path):
    def save(state):
        path = tmp_path / f"weights.{request.param}"
        if request.param == "safetensors":
            save_file(state, path)
        else:
            torch.save(state, path, _use_new_zipfile_serialization=request.param == "pth")
        return path

    return save


def test_tensors_arrive_whole_from_every_format(saved, state):
    model = load(saved(state))
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


def test_precision_is_chosen_per_key(saved, state):
    model = load(saved(state), dtype_of=lambda key: torch.bfloat16 if key.startswith("a.") else torch.float32)
    assert (model.a.weight.dtype, model.b.weight.dtype) == (torch.bfloat16, torch.float32)


def test_missing_extra_and_misshaped_keys_are_named(saved, state):
    with pytest.raises(WeightsError, match=r"1 keys are missing, the first b.bias"):
        load(saved({k: v for k, v in state.items() if k != "b.bias"}))
    with pytest.raises(WeightsError, match=r"1 keys are unknown, the first c"):
        load(saved(state | {"c": torch.zeros(1)}))
    with pytest.raises(WeightsError, match=r"a.weight should have shape \(3, 4\), found \(4, 3\)"):
        load(saved(state | {"a.weight": torch.zeros(4, 3)}))


def test_values_that_are_not_finite_are_refused(saved, state):
    state["a.weight"][0, 0] = float("nan")
    with pytest.raises(WeightsError, match=r"not finite in a\.weight"):
        load(saved(state))


def test_a_truncated_file_is_refused_in_one_line(saved, state):
    path = saved(state | {"c": torch.zeros(4096)})
    data = path.read_bytes()
    for share in (0.2, 0.5, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(WeightsError) as error:
            load(path)
        assert "\n" not in str(error.value)
        assert "stream-bind models pull toy" in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4803147960\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"", "empty"),
        (b"RIFF....WAVEfmt ", "neither safetensors nor a torch file"),
        (b"\xff" * 8 + b"{", "cannot be read"),
    ],
)
def test_files_that_are_no_checkpoint_are_recognised(tmp_path, content, says):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        Checkpoint(path, "toy")


class Malice:
    def __reduce__(self):
        return os.mkdir, ("/nonexistent/never",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": Malice()}, path)
    with pytest.raises(WeightsError, match="cannot be read"):
        Checkpoint(path, "toy")
    path.write_bytes(pickle.dumps({"a": Malice()}))
    with pytest.raises(WeightsError, match="cannot be read"):
        Checkpoint(path, "toy")


def test_a_torch_file_that_is_no_table_of_tensors_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "epoch": 3}, path)
    with pytest.raises(WeightsError, match="no flat table"):
        Checkpoint(path, "toy")


def test_unwanted_keys_are_never_read(tmp_path, state, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file(state | {"huge": torch.zeros(8)}, path)
    read = []
    tensor = Checkpoint.tensor
    monkeypatch.setattr(Checkpoint, "tensor", lambda self, key: read.append(key) or tensor(self, key))
    load(path, wanted=lambda key: key != "huge")
    assert sorted(read) == sorted(state)

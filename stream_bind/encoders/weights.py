"""Checkpoint files to modules: safetensors or torch's weights-only format, strictly, only the keys that are wanted.

Nothing here executes what a file holds. Imports torch; only `load()` paths of encoders import this.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from stream_bind.encoders.cache import PULL
from stream_bind.errors import WeightsError

__all__ = ["SMALL_TENSOR", "Checkpoint", "assign", "check_fit"]

SMALL_TENSOR = 1 << 16


class Checkpoint:
    """Lazy view of one checkpoint file: names and shapes at once, tensors on demand, mapped rather than read."""

    def __init__(self, path: Path, name: str, remedy: str | None = None, nested: str = "") -> None:
        """WeightsError where the file is missing, truncated, not a checkpoint, or would have to run code to load.

        remedy: the next step that errors name; None is to pull the published file. nested: a torch file may hold the
        table under this key, beside what else a training run saved.
        """
        self.path, self.name, self._nested = path, name, nested
        self.remedy = PULL.format(name=name) if remedy is None else remedy
        self._tensors: Mapping[str, Tensor] | None = None
        start = self._first_bytes()
        try:
            if start[:2] == b"PK" or start[:1] == b"\x80":
                self._tensors = self._load_torch(zipped=start[:2] == b"PK")
                self.shapes = {key: tuple(value.shape) for key, value in self._tensors.items()}
            elif start[8:9] == b"{":
                self._file = file = _open_safetensors(path)
                self.shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            else:
                raise self._error(f"is no checkpoint: {_looks_like(start)}")
        except (
            SafetensorError,
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            OSError,
            ValueError,
            KeyError,
        ) as error:
            raise self._error(f"cannot be read ({_one_line(error)})") from error

    def tensor(self, key: str) -> Tensor:
        """One tensor on the CPU, backed by the file where the format allows."""
        try:
            value: Tensor = self._file.get_tensor(key) if self._tensors is None else self._tensors[key]
        except (SafetensorError, RuntimeError, OSError) as error:
            raise self._error(f"cannot be read at {key} ({_one_line(error)})") from error
        return value

    def finite_tensor(self, key: str) -> Tensor:
        """One tensor whose every value is finite, WeightsError otherwise. Attention masks hold -inf and pass."""
        value = self.tensor(key)
        if not key.endswith(".mask") and not _finite(value):
            raise self._error(f"hold values that are not finite in {key}")
        return value

    def _first_bytes(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                return file.read(256)
        except OSError as error:
            raise self._error(f"cannot be opened: {error.strerror or error}") from error

    def _load_torch(self, *, zipped: bool) -> Mapping[str, Tensor]:
        loaded: Any = torch.load(self.path, map_location="cpu", weights_only=True, mmap=zipped)
        if self._nested and isinstance(loaded, Mapping) and isinstance(loaded.get(self._nested), Mapping):
            loaded = loaded[self._nested]
        if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
            raise self._error("holds no flat table of tensors by name")
        return loaded

    def _error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.name}: weights {self.path} {what}; {self.remedy}")


def assign(
    module: nn.Module,
    checkpoint: Checkpoint,
    *,
    wanted: Callable[[str], bool],
    device: torch.device,
    dtype_of: Callable[[str], torch.dtype],
) -> None:
    """Put the checkpoint's tensors into `module` (built on the meta device), one at a time, without a second copy.

    `wanted(key)` says which keys of the file concern this module. WeightsError if these are not exactly the module's,
    in name and shape, or if a value is not finite.
    """
    check_fit(module, checkpoint, wanted=wanted)
    loaded = {}
    for key in module.state_dict():
        tensor = checkpoint.finite_tensor(key)
        # One small tensor that stays as it is (a scale) would keep the whole file mapped beside converted ones.
        loaded[key] = tensor.to(device=device, dtype=dtype_of(key), copy=tensor.numel() < SMALL_TENSOR)
    module.load_state_dict(loaded, strict=True, assign=True)


def check_fit(module: nn.Module, checkpoint: Checkpoint, *, wanted: Callable[[str], bool] = lambda key: True) -> None:
    """WeightsError unless the wanted keys of the checkpoint are exactly the module's, in name and shape."""
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: shape for key, shape in checkpoint.shapes.items() if wanted(key)}
    fault = _fault(expected, found)
    if fault:
        raise WeightsError(
            f"{checkpoint.name}: weights {checkpoint.path} do not fit the model: {fault}; {checkpoint.remedy}"
        )


def _finite(tensor: Tensor) -> bool:
    """Whether every value is finite, without a temporary of the tensor's size."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    return all(math.isfinite(float(edge)) for edge in torch.aminmax(tensor))


def _fault(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str:
    """The first disagreement, in words; empty if there is none."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        return f"{len(missing)} keys are missing, the first {missing[0]}"
    if extra:
        return f"{len(extra)} keys are unknown, the first {extra[0]}"
    for key, shape in expected.items():
        if found[key] != shape:
            return f"{key} should have shape {shape}, found {found[key]}"
    return ""


def _open_safetensors(path: Path) -> Any:
    return safe_open(str(path), framework="pt", device="cpu")


def _looks_like(start: bytes) -> str:
    text = start.lstrip().lower()
    if not start:
        return "it is empty"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, fetch the file it stands for"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, the download answered with an error or a log-in"
    return "neither safetensors nor a torch file"


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__

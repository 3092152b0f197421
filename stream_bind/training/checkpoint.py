"""A run's state on disk: written whole or not at all, and taken up only by a run that means the same."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stream_bind.errors import ConfigError

__all__ = ["CHECKPOINT", "differences", "load_checkpoint", "save_checkpoint", "write_whole"]

CHECKPOINT = "checkpoint.pt"
VERSION = 1


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there in full or as it was before, whenever the process or the machine dies."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def save_checkpoint(path: Path, body: Mapping[str, Any]) -> None:
    """body: tensors and plain values only."""
    buffer = io.BytesIO()
    torch.save({"version": VERSION, **body}, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What was saved, on the CPU; None if there is none. ConfigError if it cannot be read."""
    if not path.exists():
        return None
    try:
        body: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ConfigError(f"{path}: not a checkpoint of this program ({error}); start over with --fresh") from error
    if body.get("version") != VERSION:
        raise ConfigError(f"{path}: version {VERSION} is wanted, found {body.get('version')}; start over with --fresh")
    return body


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """`key: found, wanted` for every value in which two nested mappings differ."""
    told: list[str] = []
    for key in dict.fromkeys([*found, *wanted]):
        a, b = found.get(key), wanted.get(key)
        name = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            told += differences(a, b, f"{name}.")
        elif a != b:
            told.append(f"{name} was {a} and is now {b}")
    return told

"""A torch checkpoint to a .safetensors file, tensor by tensor, so that memory holds one of them. Imports torch."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import IO

import torch

from stream_bind.encoders.cache import Progress, note_digest
from stream_bind.encoders.download import disk_error, hold_alone, human_size, partial
from stream_bind.encoders.weights import Checkpoint
from stream_bind.errors import WeightsError

__all__ = ["to_safetensors"]

# Names and alignment: the safetensors format (huggingface/safetensors, README, "Format").
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ALIGNMENT = 8


def to_safetensors(checkpoint: Checkpoint, target: Path, progress: Progress | None = None) -> str:
    """Write all tensors of `checkpoint` to `target`, which appears whole or not at all. Returns the file's sha256.

    The bytes depend on names and values alone, so every machine gets the same digest, and models the same identity.
    WeightsError for kinds of numbers the format lacks, and for a disk that is full.
    """
    part = partial(target)
    try:
        with part.open("ab") as file:
            hold_alone(file, part)
            try:
                digest = _write(checkpoint, file, part.parent, progress)
                file.flush()
                if Checkpoint(part, checkpoint.name, checkpoint.remedy).shapes != checkpoint.shapes:
                    raise WeightsError(f"{part}: does not read back as it was written; check the disk")
                os.fsync(file.fileno())
                part.replace(target)
            except (OSError, WeightsError):
                part.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise disk_error(error, target) from error
    note_digest(target, digest)
    return digest


def _write(checkpoint: Checkpoint, file: IO[bytes], folder: Path, progress: Progress | None) -> str:
    head, keys, total = _head(checkpoint)
    free = shutil.disk_usage(folder).free
    if free < total:
        raise WeightsError(
            f"{folder}: {human_size(total)} are needed to convert {checkpoint.path.name}, {human_size(free)} are "
            "free; make room, or set STREAM_BIND_MODELS to a folder on another disk"
        )
    digest, done = hashlib.sha256(head), len(head)
    # A run that was killed may have left something here.
    file.truncate(0)
    file.write(head)
    for key in keys:
        data = checkpoint.tensor(key).contiguous().reshape(-1).view(torch.uint8).numpy().data
        file.write(data)
        digest.update(data)
        done += data.nbytes
        if progress is not None:
            progress(done, total)
    return digest.hexdigest()


def _head(checkpoint: Checkpoint) -> tuple[bytes, list[str], int]:
    """The file up to its first tensor, the tensors' names in order, and the size of it all."""
    tensors = {key: checkpoint.tensor(key) for key in checkpoint.shapes}
    for key, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise WeightsError(f"{checkpoint.name}: {key} in {checkpoint.path} is {tensor.dtype}, which is not handled")
    # Wide numbers first, as the format's own writer does: every tensor is then aligned without gaps.
    keys = sorted(tensors, key=lambda key: (-tensors[key].itemsize, key))
    table, offset = {}, 0
    for key in keys:
        end = offset + tensors[key].numel() * tensors[key].itemsize
        entry = {"dtype": DTYPES[tensors[key].dtype], "shape": list(tensors[key].shape), "data_offsets": [offset, end]}
        table[key], offset = entry, end
    text = json.dumps({"__metadata__": {"format": "pt"}, **table}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text, keys, 8 + len(text) + offset

"""Which files of a LanguageBind directory hold its weights. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path

from stream_bind.errors import WeightsError

__all__ = ["REMEDY", "WEIGHTS_FILES", "weights_files"]

TRAINING = ("*.pt", "*.pth")
"""What a training run saves: one of them is taken where nothing else is there."""
REMEDY = "take the directory again from where it came"
WEIGHTS_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""What a directory's weights may be called, in the order of preference; an index names several parts."""


def weights_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold a directory's weights. WeightsError if there are none."""
    for name in WEIGHTS_FILES:
        file = directory / name
        if not file.is_file():
            continue
        if not name.endswith(".json"):
            return (file,)
        try:
            parts = sorted(set(json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise WeightsError(f"{file}: is no index of weights ({error}); {REMEDY}") from error
        if not parts or any(Path(part).name != part for part in parts):
            raise WeightsError(f"{file}: names no files beside it; {REMEDY}")
        return tuple(directory / part for part in parts)
    training = sorted(path for pattern in TRAINING for path in directory.glob(pattern))
    if len(training) == 1:
        return (training[0],)
    raise WeightsError(f"{directory}: holds no weights; one of {', '.join(WEIGHTS_FILES)} is wanted")

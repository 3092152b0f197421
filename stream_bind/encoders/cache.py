"""The folder of pulled models: which file an encoder loads from it, and what a file's digest is. Imports no torch."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from stream_bind.errors import WeightsError

__all__ = ["PULL", "Progress", "file_digest", "find_weights", "hash_file", "model_cache", "note_digest"]

PULL = "get the published file with `stream-bind models pull {name}`"
BLOCK = 1 << 22

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all (None: not known)."""


def model_cache() -> Path:
    """Where `stream-bind models pull` puts weights and vocabularies; `STREAM_BIND_MODELS` overrides it."""
    named = os.environ.get("STREAM_BIND_MODELS")
    return Path(named).expanduser() if named else user_cache_path("stream-bind") / "models"


def find_weights(name: str, path: str | None, files: tuple[str, ...]) -> Path:
    """The weights file of model `name`: `path`, or the first of `files` in the model cache. WeightsError if absent."""
    if path:
        candidates = [Path(path).expanduser()]
        remedy = f"{PULL.format(name=name)} and leave `weights` out"
    else:
        candidates = [model_cache() / file for file in files]
        remedy = PULL.format(name=name)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = " or ".join(str(c) for c in candidates)
    raise WeightsError(f"{name}: no weights at {places}; {remedy}, or set `weights: random` for untrained vectors")


def file_digest(path: Path) -> str:
    """sha256 of a file in hex, noted beside it (or in the model cache) until its size or time changes."""
    stamp = _stamp(path)
    for note in _notes(path):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            known = json.loads(note.read_text())
            if {key: known.get(key) for key in stamp} == stamp:
                return str(known["sha256"])
    digest = hash_file(path)
    note_digest(path, digest)
    return digest


def note_digest(path: Path, sha256: str) -> None:
    """Spare `file_digest` the reading of a file whose digest was just worked out."""
    text = json.dumps({**_stamp(path), "sha256": sha256})
    for note in _notes(path):
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(text)
            break


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """sha256 of a file in hex, read from end to end."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()


def _stamp(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _notes(path: Path) -> Iterator[Path]:
    """Beside the file first; in the cache where that place is read-only."""
    yield path.with_name(path.name + ".sha256.json")
    yield model_cache() / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.sha256.json"

"""What was agreed to and fetched: one small JSON file per model in the cache. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream_bind.encoders.catalogue import PublishedModel
from stream_bind.encoders.download import disk_error

__all__ = ["FileRecord", "Receipt", "read_receipt"]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file as it was when it came."""

    size: int
    sha256: str
    source: str
    """The address it came from, or what it was converted from."""
    at: str
    """ISO 8601, UTC."""
    published: bool = False
    """The publisher named this digest."""


@dataclass(slots=True)
class Receipt:
    """Of one model. Written anew at every change."""

    path: Path
    licence: str = ""
    """Name of the terms that were accepted; empty before that."""
    accepted: str = ""
    """When and how."""
    files: dict[str, FileRecord] = field(default_factory=dict)
    """By name in the cache."""
    revision: str = ""
    """Commit of the hub's repository that the files are taken from; empty for models that are not from a hub."""

    def accept(self, model: PublishedModel, how: str) -> None:
        """Record that the user agreed to the model's licence, or was shown one that asks for no more."""
        self.licence, self.accepted = model.licence.name, f"{_now()}, {how}"
        self._write()

    def record(self, name: str, path: Path, sha256: str, source: str, *, published: bool = False) -> None:
        """Record a file that has just arrived or been made."""
        self.files[name] = FileRecord(path.stat().st_size, sha256, source, _now(), published)
        self._write()

    def move(self, name: str, source: str) -> None:
        """Record that the publisher has the same bytes at `source`."""
        self.files[name] = replace(self.files[name], source=source, published=True)
        self._write()

    def take_revision(self, revision: str) -> None:
        """Record the commit from which files are taken from now on."""
        if revision != self.revision:
            self.revision = revision
            self._write()

    def forget(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        content = {
            "licence": self.licence,
            "accepted": self.accepted,
            "revision": self.revision,
            "files": {name: asdict(record) for name, record in self.files.items()},
        }
        part = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(content, indent=2) + "\n")
            part.replace(self.path)
        except OSError as error:
            raise disk_error(error, self.path) from error


def read_receipt(folder: Path, model: PublishedModel) -> Receipt:
    """The receipt of `model` in `folder`; an empty one where there is none that can be read."""
    path = folder / f"{model.name}.receipt.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        files = {str(name): FileRecord(**record) for name, record in content["files"].items()}
        return Receipt(path, str(content["licence"]), str(content["accepted"]), files, str(content.get("revision", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Receipt(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

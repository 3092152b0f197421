"""One file fetched to one place on disk: resumed where it broke, checked, and moved in whole or not at all.

Knows nothing of models. Nothing that arrives is looked into, let alone executed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from stream_bind.encoders.cache import Progress, note_digest
from stream_bind.encoders.source import Answer, BrokenConnectionError, ask
from stream_bind.errors import WeightsError

__all__ = ["Fetched", "disk_error", "download", "hold_alone", "human_size", "partial"]

ATTEMPTS = 5
"""Tries in a row that bring nothing new before we give up."""
PAUSE_S = 2.0
"""Before the second try; doubles with each further one."""
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that has arrived whole."""

    path: Path
    size: int
    sha256: str
    resumed_at: int
    """Bytes that were there before this call."""


def human_size(n_bytes: float) -> str:
    """4803147960 as 4.80 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.2f} {unit}"
    return f"{n_bytes:.0f} bytes"


def partial(target: Path) -> Path:
    """Where a download to `target` grows."""
    return target.with_name(target.name + ".part")


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    copies: int = 1,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch `url` (https, http, file) to `target`, which is replaced only by a whole and checked file.

    A `.part` file beside it is continued if the server still has the same version (ETag or date by If-Range, and the
    size). size, sha256: what is wanted, where it is known. copies: how many times the file must fit on the disk (2
    where it is converted afterwards).
    WeightsError, one sentence with the next step, for everything that can go wrong.
    """
    part = partial(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("a+b") as file:
            hold_alone(file, part)
            try:
                fetched = _Growth(url, part, file, copies, progress).finish(size, sha256)
            finally:
                file.flush()
                if not os.fstat(file.fileno()).st_size:
                    part.unlink(missing_ok=True)
                    _note_of(part).unlink(missing_ok=True)
            os.fsync(file.fileno())
            part.replace(target)
    except OSError as error:
        raise disk_error(error, part) from error
    _note_of(part).unlink(missing_ok=True)
    note_digest(target, fetched.sha256)
    return Fetched(target, fetched.size, fetched.sha256, fetched.resumed_at)


class _Growth:
    """A `.part` file: what has arrived, its digest, and (in a note beside it) which version of the file it is of."""

    def __init__(self, url: str, part: Path, file: IO[bytes], copies: int, progress: Progress | None) -> None:
        self.url, self.part, self.file = url, part, file
        self.copies, self.progress = copies, progress
        self.digest, self.done = hashlib.sha256(), 0
        self.version = self._read_note()
        if self.version:
            file.seek(0)
            while block := file.read(BLOCK):
                self._count(block)
        else:
            self._start_over()

    def finish(self, size: int | None, sha256: str | None) -> Fetched:
        """Fetch what is missing, in as many tries as bring something new."""
        resumed_at = at_start = self.done
        failures = 0
        while True:
            before = self.done
            try:
                self._fetch(size, patient=self.done > at_start)
                break
            except BrokenConnectionError as error:
                failures = 1 if self.done > before else failures + 1
                if failures >= ATTEMPTS:
                    raise WeightsError(
                        f"{self.url}: {error} after {human_size(self.done)}, {ATTEMPTS} times in a row; what arrived "
                        "is kept: run the same command again to go on from there"
                    ) from error
                time.sleep(PAUSE_S * 2 ** (failures - 1))
        found = self.digest.hexdigest()
        if sha256 is not None and found != sha256:
            self._start_over()
            raise WeightsError(
                f"{self.url}: sha256 {sha256[:12]} is wanted, found {found[:12]}; what arrived is removed: run the "
                "same command again, and if that fails too name another source with --url"
            )
        return Fetched(self.part, self.done, found, resumed_at)

    def _fetch(self, wanted_size: int | None, *, patient: bool) -> None:
        if self.done and self.done == self.version.get("size"):
            # All had arrived when the last call ended; asking for the rest would be answered with an error.
            return
        with ask(self.url, self.done, self.version, patient=patient) as answer:
            if wanted_size is not None and answer.size not in {None, wanted_size}:
                self._start_over()
                raise WeightsError(
                    f"{self.url}: {wanted_size:,} bytes are wanted, the server offers {answer.size:,}; it is not the "
                    "published file, name another source with --url"
                )
            if answer.start != self.done:
                self._start_over()
            if not self.done:
                self._write_note(answer)
            size = wanted_size if answer.size is None else answer.size
            self._check_room(size)
            self._take(answer, size)
        if size is not None and self.done < size:
            raise BrokenConnectionError("the connection broke")
        if size is not None and self.done > size:
            self._start_over()
            raise BrokenConnectionError("the server sent more than it announced")

    def _take(self, answer: Answer, size: int | None) -> None:
        if self.progress is not None:
            self.progress(self.done, size)
        while block := answer.read(BLOCK):
            self.file.write(block)
            self._count(block)
            if self.progress is not None:
                self.progress(self.done, size)

    def _count(self, block: bytes) -> None:
        self.digest.update(block)
        self.done += len(block)

    def _check_room(self, size: int | None) -> None:
        if size is None:
            return
        need, free = size * self.copies - self.done, shutil.disk_usage(self.part.parent).free
        if free < need:
            raise WeightsError(
                f"{self.part.parent}: {human_size(need)} are needed, {human_size(free)} are free; make room, or set "
                "STREAM_BIND_MODELS to a folder on another disk"
            )

    def _start_over(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        _note_of(self.part).unlink(missing_ok=True)
        self.digest, self.done, self.version = hashlib.sha256(), 0, {}

    def _read_note(self) -> dict[str, Any]:
        try:
            version = json.loads(_note_of(self.part).read_text())
        except (OSError, ValueError):
            return {}
        return version if isinstance(version, dict) and version.get("url") == self.url else {}

    def _write_note(self, answer: Answer) -> None:
        self.version = {"url": self.url, **answer.version}
        _note_of(self.part).write_text(json.dumps(self.version))


def _note_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def hold_alone(file: IO[bytes], part: Path) -> None:
    """Lock the file opened at `part`; WeightsError if another process has it, who would write into ours."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have moved or removed the file between our opening and locking it.
        alone = part.exists() and part.stat().st_ino == os.fstat(file.fileno()).st_ino
    except BlockingIOError:
        alone = False
    if not alone:
        raise WeightsError(f"{part}: another process is writing this file; wait for it, then run the command again")


def disk_error(error: OSError, path: Path) -> WeightsError:
    """What to tell of a failure to write to `path`."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return WeightsError(
            f"{path}: the disk is full; what arrived is kept: make room and run the same command again, or set "
            "STREAM_BIND_MODELS to a folder on another disk"
        )
    return WeightsError(
        f"{error.filename or path}: {error.strerror or error}; set STREAM_BIND_MODELS to a folder you may write to"
    )

"""What every importer gives: the streams of a foreign recording, their chunks in order, and what it could not take."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import LogError
from stream_bind.messages import Chunk, ClockInfo, StreamSpec

__all__ = ["Batch", "ImportOptions", "Piece", "Source", "check_readable", "in_order", "merged", "stream_name"]

_LFS_POINTER = b"version https://git-lfs"
HEAD_BYTES = 4096
LONGEST_NAME = 64
"""Of a stream, as the config has it."""
MOTION_S = 0.02
"""Seconds of a chunk of motion: what our drivers deliver, so that an import replays like a live stream."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a person can tell of a recording that does not say it itself. None: as the file says, or refused."""

    profile: str | None = None
    """Name of a table's layout, such as phyphox; None: recognised by its titles."""
    columns: dict[str, str | int] | None = None
    """Tables: title or position (from 0) of `time` and of each axis."""
    time_unit: Literal["s", "ms", "us", "ns", "iso"] | None = None
    """Tables: unit of the time column."""
    accel_unit: Literal["m/s2", "g", "mg"] | None = None
    """What acceleration is in, against what the format says."""
    gyro_unit: Literal["rad/s", "deg/s", "mdeg/s"] | None = None
    """What angular rate is in, against what the format says."""
    modality: Literal["vision", "depth", "thermal"] | None = None
    """Pictures: what they show."""
    depth_unit_m: float | None = None
    """Depth: metres per count."""
    scale_k: float | None = None
    """Thermal: kelvin per count ..."""
    offset_k: float = 0.0
    """... and at 0 counts."""
    rate_hz: float | None = None
    """Pictures without times: how many a second."""
    start_ns: int | None = None
    """UNIX ns at which a recording begins whose clock is not UNIX time."""
    by_arrival: bool = False
    """Take the recorder's stamps instead of the sensors' own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive samples of one stream."""

    stream: str
    chunk: Chunk
    log_time_ns: int | None = None
    """UNIX ns at which the first recorder got them; None: it does not say, the last sample's time stands in."""


@runtime_checkable
class Source(Protocol):
    """One foreign recording, opened. Reading it twice gives the same; memory does not grow with its length."""

    format: str
    """What it is, in words: "ROS 1 bag", "WAV"."""
    specs: dict[str, StreamSpec]
    """Its streams by name. Specs are whole: no -1 in a shape, rates measured where the file states none."""
    skipped: dict[str, str]
    """What else is in it, and why that is no stream."""
    doubts: list[str]
    """What may be wrong with it though it is taken; complete only when `pieces` has ended."""
    losses: list[str]
    """What is damaged or missing; complete only when `pieces` has ended."""

    def pieces(self) -> Iterator[Piece]:
        """All chunks of all streams, each stream's own in the order of its recording, the streams interleaved by time.

        Raises LogError for what cannot go on.
        """

    def close(self) -> None:
        """Let go of the file. May be called twice."""


def check_readable(path: Path) -> bytes:
    """The first bytes of `path` (b"" for a folder). LogError unless it is a folder with something in it, or a file
    with content of its own."""
    if not path.exists():
        raise LogError(f"{path}: no such file or folder")
    try:
        if path.is_dir():
            if not any(path.iterdir()):
                raise LogError(f"{path}: is an empty folder; there is nothing to import")
            return b""
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not head:
        raise LogError(f"{path}: is empty; there is nothing to import")
    if head.startswith(_LFS_POINTER):
        raise LogError(f"{path}: is a Git LFS pointer, not the file; run `git lfs pull`")
    return head


def stream_name(text: str, taken: Iterable[str] = ()) -> str:
    """A stream's id from a topic's or a file's name: /camera/color/image_raw as camera.color.image_raw. Ids hold a-z,
    digits, `_`, `-` and `.`; one that is taken gets a number."""
    words = (re.sub(r"[^a-z0-9_-]", "_", part.lower()).strip("_") for part in text.split("/"))
    name = ".".join(word for word in words if word) or "stream"
    unique, number, others = name[:LONGEST_NAME], 1, set(taken)
    while unique in others:
        number += 1
        unique = f"{name[: LONGEST_NAME - 4]}_{number}"
    return unique


def merged(streams: Iterable[Iterator[Piece]]) -> Iterator[Piece]:
    """The pieces of several streams by the time of their last samples; each stream keeps its own order."""
    for _, piece in heapq.merge(*map(_timed, streams), key=lambda timed: timed[0]):
        yield piece


def _timed(pieces: Iterator[Piece]) -> Iterator[tuple[int, Piece]]:
    """With times that never step back, whatever the stamps do: a merge needs that."""
    latest = -(1 << 62)
    for piece in pieces:
        latest = max(latest, int(piece.chunk.t_ns.max()))
        yield latest, piece


def in_order(pieces: Iterator[Piece], horizon_ns: int = 1_000_000_000) -> Iterator[Piece]:
    """Each stream's pieces by their first stamps, as far as they are out of order by less than `horizon_ns`; what
    comes later than that keeps its place, and the windows count it as late."""
    waiting: dict[str, list[tuple[int, int, Piece]]] = {}
    newest: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        t_ns = int(piece.chunk.t_ns[0])
        held = waiting.setdefault(piece.stream, [])
        heapq.heappush(held, (t_ns, number, piece))
        newest[piece.stream] = max(newest.get(piece.stream, t_ns), t_ns)
        while held and held[0][0] <= newest[piece.stream] - horizon_ns:
            yield heapq.heappop(held)[2]
    rest = [entry for held in waiting.values() for entry in held]
    for _, _, piece in sorted(rest, key=lambda entry: entry[:2]):
        yield piece


@dataclass(slots=True)
class Batch:
    """Single samples of one stream, gathered to chunks of `span_s`; a hole begins a new one."""

    spec: StreamSpec
    clock: ClockInfo = field(default_factory=lambda: ClockInfo("file", 0))
    span_s: float = MOTION_S
    _rows: list[NDArray[np.float32]] = field(default_factory=list)
    _t_ns: list[int] = field(default_factory=list)
    _log_time_ns: int | None = None
    _gap: bool = False

    def add(
        self, t_ns: int, row: NDArray[np.float32], log_time_ns: int | None = None, *, gap: bool = False
    ) -> Iterator[Piece]:
        """One sample (len(axes),) float32; the chunk before it where it does not go into that."""
        if self._t_ns and (gap or abs(t_ns - self._t_ns[0]) >= self.span_s * 1e9):
            yield from self.flush()
        self._gap |= gap
        self._rows.append(row)
        self._t_ns.append(t_ns)
        self._log_time_ns = log_time_ns

    def flush(self) -> Iterator[Piece]:
        """What is held, if anything."""
        if not self._t_ns:
            return
        data, t_ns = np.stack(self._rows).astype(np.float32), np.array(self._t_ns, np.int64)
        chunk = Chunk(data, t_ns, self._gap, self.clock)
        self._rows, self._t_ns, self._gap = [], [], False
        yield Piece(self.spec.id, chunk, self._log_time_ns)

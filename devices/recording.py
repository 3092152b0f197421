"""The device behind every file: blocks read in order, cut to the chunk size, stamped, paced and looped.

A driver says what the file holds (`_describe`) and yields its samples (`_blocks`); nothing here knows a format.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.pacing import Pacer, RecordingConfig
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk, ClockInfo, IntArray, StreamSpec

__all__ = ["Block", "Contents", "Recording", "check_file", "describe_file"]

_LFS_POINTER = b"version https://git-lfs"
_FILE_CLOCK = ClockInfo("file", 0)


@dataclass(frozen=True, slots=True)
class Block:
    """Samples as they come out of a file: data (n, *shape), t_ns (n,) from the recording's own zero."""

    data: NDArray[Any]
    t_ns: IntArray
    gap_before: bool = False


@dataclass(frozen=True, slots=True)
class Contents:
    """What opening a file told."""

    spec: StreamSpec
    recorded_ns: int = 0
    """UNIX ns of the recording's zero as the file states it, 0 where it states none."""
    length_ns: int | None = None
    """Length of one pass, for looping; by default last sample - zero + one period."""


def check_file(path: Path, driver: str, wanted: str) -> None:
    """Raise DeviceError(permanent) unless `path` is a file with content of its own."""
    if not path.exists():
        raise DeviceError(f"{driver} {path}: no such file; wanted {wanted}", permanent=True)
    if path.is_dir():
        raise DeviceError(f"{driver} {path}: is a folder; wanted {wanted}", permanent=True)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise DeviceError(
            f"{driver} {path}: cannot be read: {error.strerror}; wanted {wanted}", permanent=True
        ) from error
    if not head:
        raise DeviceError(f"{driver} {path}: the file is empty; wanted {wanted}", permanent=True)
    if head.startswith(_LFS_POINTER):
        raise DeviceError(
            f"{driver} {path}: is a Git LFS pointer, not the file; wanted {wanted}: run `git lfs pull`",
            permanent=True,
        )


def describe_file(path: Path) -> str:
    """A few words on what a file that could not be read looks like, for error messages."""
    with path.open("rb") as file:
        head = file.read(256)
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start >= len(head) - 3 else ""
    if text and all(character.isprintable() or character.isspace() for character in text):
        first = text.strip().split("\n")[0][:40].strip()
        return f"text that begins {first!r}"
    return f"{path.stat().st_size} bytes that begin {head[:4].hex(' ')}"


class Recording(ABC):
    """A file as a device. Samples and stamps are the same at every pass and for every chunk size."""

    def __init__(self, config: RecordingConfig, stream_id: str, clock: Clock) -> None:
        self._timing = config
        self._id = stream_id
        self._clock = clock
        self._pacer = Pacer(clock, config.rate)
        self._contents: Contents | None = None
        self._chunks: Iterator[Block] | None = None
        self._pending: Chunk | None = None
        self._origin_ns = 0
        self._pass_end_ns = 0
        self._ended = False

    @property
    def spec(self) -> StreamSpec:
        """Before `open` from a look at the file, or the driver's nominal spec where there is no readable file yet."""
        if self._contents is None:
            try:
                self._contents = self._describe()
            except DeviceError:
                return self._nominal()
        return self._contents.spec

    @abstractmethod
    def _nominal(self) -> StreamSpec:
        """The spec that the config alone allows."""

    @abstractmethod
    def _describe(self) -> Contents:
        """Look into the file. Raises DeviceError."""

    @abstractmethod
    def _blocks(self) -> Iterator[Block]:
        """One pass over the file, t_ns from the recording's zero. Raises DeviceError."""

    @abstractmethod
    def _block_size(self, spec: StreamSpec) -> int:
        """Samples per read where the config sets none."""

    def contents(self) -> Contents:
        """What the file holds. Raises DeviceError."""
        self._contents = self._describe()
        return self._contents

    def blocks(self) -> Iterator[Block]:
        """One pass over the file without pace or loop, t_ns from its own zero. Raises DeviceError."""
        size = self._timing.chunk_size or self._block_size(self.contents().spec)
        yield from _recut(self._blocks(), size)

    def open(self) -> None:
        self.close()
        self._contents = self._describe()
        self._origin_ns = self._timing.origin_ns(self._contents.recorded_ns, self._clock)
        self._pacer.reset()
        self._ended = False
        self._pass_end_ns = 0
        self._chunks = self._pass()

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ended:
            raise EndOfStream(self._id)
        if self._chunks is None or self._contents is None:
            raise DeviceError(f"{self._id}: read before open; open the device first")
        if self._pending is None:
            self._pending = self._next()
        if not self._pacer.wait(int(self._pending.t_ns[-1]), timeout_s):
            return None
        chunk, self._pending = self._pending, None
        return chunk

    def close(self) -> None:
        # Closing the generator runs the driver's own clean-up of the open file.
        closing = getattr(self._chunks, "close", None)
        if closing is not None:
            closing()
        self._chunks = None
        self._pending = None

    def _next(self) -> Chunk:
        assert self._chunks is not None
        block = next(self._chunks, None)
        if block is None and self._timing.loop and self._pass_end_ns > 0:
            self._origin_ns += self._pass_end_ns
            self._pass_end_ns = 0
            self._chunks = self._pass()
            block = next(self._chunks, None)
        if block is None:
            self._ended = True
            raise EndOfStream(self._id)
        return Chunk(block.data, block.t_ns + self._origin_ns, block.gap_before, _FILE_CLOCK)

    def _pass(self) -> Iterator[Block]:
        assert self._contents is not None
        spec = self._contents.spec
        size = self._timing.chunk_size or self._block_size(spec)
        for block in _recut(self._blocks(), size):
            self._pass_end_ns = max(self._pass_end_ns, int(block.t_ns.max()) + spec.period_ns)
            yield block
        if self._contents.length_ns is not None:
            self._pass_end_ns = max(self._pass_end_ns, self._contents.length_ns)


def _recut(blocks: Iterator[Block], size: int) -> Iterator[Block]:
    """Blocks of exactly `size` samples; shorter only before a gap and at the end."""
    held: list[Block] = []
    n_held = 0
    for block in blocks:
        if block.gap_before and held:
            yield _join(held)
            held, n_held = [], 0
        if not len(block.t_ns):
            continue
        held.append(block)
        n_held += len(block.t_ns)
        if n_held < size:
            continue
        joined = _join(held)
        start = 0
        while n_held - start >= size:
            yield _slice(joined, start, start + size)
            start += size
        held = [_slice(joined, start, n_held)] if start < n_held else []
        n_held -= start
    if held:
        yield _join(held)


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    data = np.concatenate([block.data for block in blocks])
    return Block(data, np.concatenate([block.t_ns for block in blocks]), blocks[0].gap_before)


def _slice(block: Block, start: int, stop: int) -> Block:
    if start == 0 and stop == len(block.t_ns):
        return block
    return Block(block.data[start:stop], block.t_ns[start:stop], block.gap_before and start == 0)

"""A ROS 1 bag read forwards, record by record: for what `rosbag record` left when it was killed, without an index.

Layout: wiki.ros.org/Bags/Format/2.0.
"""

from __future__ import annotations

import bz2
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import lz4.frame

__all__ = ["VERSION", "Rosbag1Scan", "ScannedConnection"]

VERSION = b"#ROSBAG V2.0\n"
MESSAGE, CHUNK, CONNECTION = 0x02, 0x05, 0x07
LENGTH = struct.Struct("<I")
LARGEST = 1 << 31
"""Bytes of one record that we believe in; chunks have less than one MiB, or one message."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A message type's text, as rosbags has it."""

    data: str
    format: str = "MSG"


@dataclass(slots=True)
class ScannedConnection:
    """A topic of a bag; fields as in rosbags."""

    topic: str
    msgtype: str
    msgdef: Definition
    msgcount: int = 0


@dataclass(slots=True)
class Rosbag1Scan:
    """The bag at `path`, of which everything is read up to its last whole message."""

    path: Path
    lost_bytes: int = 0
    """Behind the last whole record; complete when `messages` has ended."""
    _by_id: dict[int, ScannedConnection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, _, _ in self._scan():
            self._by_id[number].msgcount += 1

    @property
    def connections(self) -> list[ScannedConnection]:
        return list(self._by_id.values())

    def messages(self, connections: Collection[ScannedConnection]) -> Iterator[tuple[ScannedConnection, int, bytes]]:
        """(connection, UNIX ns of recording, bytes), in the order of the file."""
        wanted = {id(each) for each in connections}
        for number, t_ns, data in self._scan():
            connection = self._by_id[number]
            if id(connection) in wanted:
                yield connection, t_ns, data

    def close(self) -> None:
        """Every pass opens the file anew."""

    def _scan(self) -> Iterator[tuple[int, int, bytes]]:
        """(connection's number, UNIX ns, bytes) of each message of a known connection."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            file.seek(len(VERSION))
            sound = file.tell()
            while (record := _record(file)) is not None:
                header, data, whole = record
                if header.get(b"op") == bytes([CHUNK]):
                    yield from self._inside(_unpacked(header.get(b"compression", b"none"), data))
                else:
                    yield from self._one(header, data)
                if not whole:
                    break
                sound = file.tell()
        self.lost_bytes = size - sound

    def _inside(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The records of a chunk, as far as they go."""
        at = 0
        while at + 4 <= len(data):
            head = LENGTH.unpack_from(data, at)[0]
            if at + 8 + head > len(data):
                return
            header = _fields(data[at + 4 : at + 4 + head])
            n = LENGTH.unpack_from(data, at + 4 + head)[0]
            begin = at + 8 + head
            if begin + n > len(data):
                return
            yield from self._one(header, data[begin : begin + n])
            at = begin + n

    def _one(self, header: dict[bytes, bytes], data: bytes) -> Iterator[tuple[int, int, bytes]]:
        op, conn = header.get(b"op"), header.get(b"conn", b"")
        if len(conn) != 4:
            return
        number = LENGTH.unpack(conn)[0]
        if op == bytes([CONNECTION]) and number not in self._by_id:
            about = _fields(data)
            kind = about.get(b"type", b"").decode(errors="replace").replace("/", "/msg/", 1)
            text = about.get(b"message_definition", b"").decode(errors="replace")
            topic = header.get(b"topic", b"").decode(errors="replace")
            self._by_id[number] = ScannedConnection(topic, kind, Definition(text))
        elif op == bytes([MESSAGE]) and number in self._by_id and len(header.get(b"time", b"")) == 8:
            seconds, rest = struct.unpack("<II", header[b"time"])
            yield number, seconds * 1_000_000_000 + rest, data


def _record(file: IO[bytes]) -> tuple[dict[bytes, bytes], bytes, bool] | None:
    """Header, data, and whether all of the data is there; None at the end or where no record begins."""
    length = file.read(4)
    if len(length) < 4 or not 0 < (n := LENGTH.unpack(length)[0]) < LARGEST:
        return None
    head = file.read(n)
    length = file.read(4)
    if len(head) < n or len(length) < 4 or (m := LENGTH.unpack(length)[0]) >= LARGEST:
        return None
    header = _fields(head)
    if b"op" not in header:
        return None
    data = file.read(m)
    return header, data, len(data) == m


def _fields(data: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        n = LENGTH.unpack_from(data, at)[0]
        name, mark, value = data[at + 4 : at + 4 + n].partition(b"=")
        if not mark:
            break
        found[name] = value
        at += 4 + n
    return found


def _unpacked(compression: bytes, data: bytes) -> bytes:
    """What a chunk holds, as far as it can be unpacked."""
    if compression == b"none":
        return data
    unpacker = bz2.BZ2Decompressor() if compression == b"bz2" else lz4.frame.LZ4FrameDecompressor()
    done = []
    # In pieces: of a damaged one, those before it are kept.
    for at in range(0, len(data), 4096):
        try:
            done.append(unpacker.decompress(data[at : at + 4096]))
        except (OSError, RuntimeError, EOFError, ValueError):
            break
    return b"".join(done)

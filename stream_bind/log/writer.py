"""A log as it is written: MCAP, profile `ros2`, every channel CDR; what a crash can take is bounded by time."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap.writer import CompressionType, Writer

import stream_bind
from stream_bind.errors import LogError
from stream_bind.log.schemas import schema_text

__all__ = ["END", "LOG_VERSION", "SESSION", "Attached", "LogWriter"]

LOG_VERSION = 1
"""Of what our own topics mean (docs/log.md); a reader refuses a higher one."""
SESSION, END = "stream_bind.session", "stream_bind.end"
"""Metadata records: at the beginning what this log is, at the end what became of it."""
CHUNK_BYTES = 1 << 20
FLUSH_S = 0.75
"""The age at which samples are flushed: a crash takes what is younger. Chunks alone bound it by bytes, which in a slow
stream is minutes."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that travels in the log."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class _Topic:
    type: str
    metadata: Mapping[str, str]


@dataclass(slots=True)
class LogWriter:
    """One recording: a file, or with a split a row of them (`walk_0000.mcap` ...), each complete in itself.

    Not thread-safe. A disk that fills up ends the recording, not the program: `full` says so, and what comes then is
    counted in `dropped`.
    """

    path: Path
    session: Mapping[str, str]
    """The `stream_bind.session` record."""
    attachments: tuple[Attached, ...] = ()
    """Written first, so that they survive a crash."""
    split_bytes: int | None = None
    split_ns: int | None = None
    """A new file once this much was written, or this much time has passed in it."""
    sync: bool = True
    """fsync with every flush: a power cut then takes no more than a crash."""
    full: str = ""
    """Why nothing is written any more; empty while all is well."""
    written: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    """Messages by topic."""
    paths: list[Path] = field(default_factory=list)
    _topics: dict[str, _Topic] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _schemas: dict[str, int] = field(default_factory=dict)
    _file: IO[bytes] | None = None
    _writer: Writer | None = None
    _sound_bytes: int = 0
    """Length of the file at the last flush."""
    _unflushed: bool = False
    _oldest_ns: int | None = None
    """Since when what is not flushed has existed."""
    _begun_ns: int | None = None
    _pending_bytes: int = 0

    def open(self) -> None:
        """Begin the first file. LogError where it exists already or cannot be written."""
        self._begin()

    def topic(self, name: str, type_name: str, metadata: Mapping[str, str] | None = None) -> None:
        """Announce a topic before its first message. type_name: of ROS 2, such as sensor_msgs/msg/Imu, or ours."""
        self._topics[name] = _Topic(type_name, {"offered_qos_profiles": "", **(metadata or {})})

    def write(self, topic: str, data: bytes | memoryview, log_time_ns: int, publish_time_ns: int) -> bool:
        """Append one CDR message; False if it is not in the log because the disk is full. KeyError before `topic`."""
        kind = self._topics[topic]
        if self.full:
            self.dropped[topic] = self.dropped.get(topic, 0) + 1
            return False
        try:
            self._split(log_time_ns)
            assert self._writer is not None
            if topic not in self._ids:
                self._ids[topic] = self._register(topic, kind)
            count = self.written.get(topic, 0)
            # The library writes any buffer, though it asks for bytes.
            self._writer.add_message(self._ids[topic], log_time_ns, data, publish_time_ns, count & 0xFFFFFFFF)  # type: ignore[arg-type]
        except OSError as error:
            self._fail(error)
            self.dropped[topic] = self.dropped.get(topic, 0) + 1
            return False
        self._unflushed = True
        self._pending_bytes += len(data)
        self.written[topic] = count + 1
        return True

    def tick(self, monotonic_ns: int, since_ns: int | None = None) -> None:
        """Flush what is FLUSH_S old. since_ns: when the oldest of what was written since the last tick came to be, if
        that was before now."""
        if not self._unflushed:
            return
        since_ns = monotonic_ns if since_ns is None else since_ns
        self._oldest_ns = since_ns if self._oldest_ns is None else min(self._oldest_ns, since_ns)
        if monotonic_ns >= self._oldest_ns + round(FLUSH_S * 1e9):
            self.flush()

    def due_s(self, monotonic_ns: int) -> float | None:
        """Seconds until a tick will flush; None while there is nothing to flush."""
        return None if self._oldest_ns is None else max(0.0, FLUSH_S - (monotonic_ns - self._oldest_ns) / 1e9)

    @property
    def pending(self) -> bool:
        """Something that was written may still be lost; a full disk has lost it already."""
        return self._unflushed and not self.full

    def flush(self) -> None:
        """Everything written so far to the disk."""
        if self.full or self._writer is None or self._file is None:
            return
        try:
            self._writer.flush()  # type: ignore[no-untyped-call]
            here = self._file.tell()
            if self.sync:
                os.fsync(self._file.fileno())
                self._forget(self._sound_bytes, here)
        except OSError as error:
            self._fail(error)
            return
        self._sound_bytes, self._pending_bytes, self._unflushed, self._oldest_ns = here, 0, False, None

    def _forget(self, start: int, end: int) -> None:
        """What is on the disk need not stay in the system's cache, where an hour of recording would push out whatever
        else the machine is working with. Fresh memory for it also cost 1.7 % of a core at 10 MB/s."""
        if self._file is not None and hasattr(os, "posix_fadvise"):  # not on macOS
            # A file system that cannot do it has the log all the same.
            with suppress(OSError):
                os.posix_fadvise(self._file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)

    def close(self, reason: str = "ended") -> None:
        """Write the `stream_bind.end` record and the index. May be called twice."""
        if self._writer is not None:
            self._end(reason)

    def _begin(self) -> None:
        path = self.path
        if self.split_bytes is not None or self.split_ns is not None:
            path = path.with_name(f"{path.stem}_{len(self.paths):04d}{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb")
        except FileExistsError as error:
            raise LogError(f"{path}: is there already, and a recording replaces nothing; name another file") from error
        except OSError as error:
            raise LogError(f"{path}: cannot be written ({error.strerror or error}); name another file") from error
        self.paths.append(path)
        self._ids, self._schemas, self._begun_ns, self._sound_bytes = {}, {}, None, 0
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
        try:
            self._writer.start("ros2", f"stream-bind {stream_bind.__version__}")
            about = {"version": str(LOG_VERSION), **self.session, "part": str(len(self.paths) - 1)}
            self._writer.add_metadata(SESSION, about)
            for attached in self.attachments:
                self._writer.add_attachment(0, 0, attached.name, attached.media_type, attached.data)
            self.flush()
        except OSError as error:
            self._fail(error)

    def _split(self, log_time_ns: int) -> None:
        assert self._file is not None
        if self._begun_ns is None:
            self._begun_ns = log_time_ns
            return
        large = self.split_bytes is not None and self._sound_bytes + self._pending_bytes >= self.split_bytes
        long = self.split_ns is not None and log_time_ns - self._begun_ns >= self.split_ns
        if large or long:
            self._end("split")
            self._begin()
            self._begun_ns = log_time_ns

    def _register(self, topic: str, kind: _Topic) -> int:
        assert self._writer is not None
        if kind.type not in self._schemas:
            text = schema_text(kind.type).encode()
            self._schemas[kind.type] = self._writer.register_schema(kind.type, SchemaEncoding.ROS2, text)
        return self._writer.register_channel(topic, MessageEncoding.CDR, self._schemas[kind.type], dict(kind.metadata))

    def _end(self, reason: str) -> None:
        assert self._writer is not None
        assert self._file is not None
        try:
            if not self.full:
                told = {f"dropped {topic}": str(n) for topic, n in self.dropped.items()}
                self._writer.add_metadata(END, {"reason": reason, **told})
                self._writer.finish()  # type: ignore[no-untyped-call]
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            self._fail(error)
        finally:
            with suppress(OSError):
                self._file.close()
            self._writer = None

    def _fail(self, error: OSError) -> None:
        """Nothing more is written. The file is cut back to its last flush, from where `recover` makes an index."""
        assert self._file is not None
        why = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else (error.strerror or str(error))
        self.full = f"{self.paths[-1]}: {why}; recording has stopped, `stream-bind recover` closes the file"
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), self._sound_bytes)

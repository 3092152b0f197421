"""A log of ours as replay reads it: its streams, the files that came with it, and each stream's chunks in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mcap.reader import make_reader
from mcap.records import Attachment, Metadata
from mcap.summary import Summary

from stream_bind.errors import LogError
from stream_bind.log.codec import SAMPLES, ChunkReader, Recorded, namespace
from stream_bind.log.scan import FAULTS, LogMessage, Scan, check_magic
from stream_bind.log.writer import LOG_VERSION, SESSION
from stream_bind.messages import Chunk, StreamSpec

__all__ = ["Log", "StreamReader", "log_parts", "open_log"]

PAYLOADS = {"vision": ("image/compressed", "video"), "depth": ("image",), "audio": ("audio",)}
"""Topics beside `samples` that may hold a stream's samples; what lies in others are copies for viewers."""


@dataclass(slots=True)
class Log:
    """What a recording holds, known without reading all of it where it has an index."""

    parts: tuple[Path, ...]
    """Its files in order."""
    streams: dict[str, StreamSpec] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0
    """UNIX ns at which the first and the last message were recorded."""
    session: dict[str, str] = field(default_factory=dict)
    attachments: dict[str, bytes] = field(default_factory=dict)
    indexed: bool = True

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


def log_parts(path: Path) -> tuple[Path, ...]:
    """The files of a recording: the file itself; where there is none of that name, its parts (walk.mcap for
    walk_0000.mcap ...); or all logs of a folder. LogError where there is none of these."""
    if path.is_file():
        # What a recorder wrote after it died and was started again lies beside it.
        later = sorted(
            each for each in _numbered(path) if not path.with_name(f"{path.stem}_0000{path.suffix}").exists()
        )
        return (path, *later)
    if path.is_dir():
        found = sorted(path.glob("*.mcap"))
        if not found:
            raise LogError(f"{path}: no .mcap file lies in this folder; name a log, or the folder of a split one")
        return tuple(found)
    parts = _numbered(path)
    if not parts:
        raise LogError(f"{path}: no such log")
    return tuple(sorted(parts))


def _numbered(path: Path) -> list[Path]:
    pattern = f"{path.stem}_[0-9][0-9][0-9][0-9]{path.suffix or '.mcap'}"
    return list(path.parent.glob(pattern)) if path.parent.is_dir() else []


def open_log(path: Path) -> Log:
    """Look into a recording of ours. LogError where it is none, or one without a stream."""
    log = Log(log_parts(path))
    kinds: set[str] = set()
    for part in log.parts:
        _look(part, log, kinds)
    version = log.session.get("version", str(LOG_VERSION))
    if not version.isdigit() or int(version) > LOG_VERSION:
        raise LogError(
            f"{path}: is of log version {version}, this program reads {LOG_VERSION}; install a newer stream-bind"
        )
    if not log.streams:
        held = f"it holds {', '.join(sorted(kinds)[:5])}" if kinds else "it holds no message"
        raise LogError(
            f"{path}: is no recording of stream-bind: {held}; `stream-bind import {path} -o LOG.mcap` makes one of it"
        )
    return log


def _look(part: Path, log: Log, kinds: set[str]) -> None:
    check_magic(part)
    for record in Scan(part):
        # They stand first, so that a crash leaves them.
        if isinstance(record, Attachment):
            log.attachments.setdefault(record.name, record.data)
        elif isinstance(record, Metadata) and record.name == SESSION:
            log.session = log.session or dict(record.metadata)
        elif isinstance(record, LogMessage):
            break
    summary = _summary(part)
    if summary is not None and summary.statistics is not None:
        for channel in summary.channels.values():
            schema = summary.schemas.get(channel.schema_id)
            kinds.add(schema.name if schema is not None else channel.message_encoding)
            if schema is not None and schema.name == SAMPLES:
                _add(log, channel.metadata)
        if summary.statistics.message_count:
            _span(log, summary.statistics.message_start_time, summary.statistics.message_end_time)
        return
    log.indexed = False
    seen: set[int] = set()
    for record in Scan(part):
        if not isinstance(record, LogMessage):
            continue
        _span(log, record.log_time, record.log_time)
        if record.channel.id in seen:
            continue
        seen.add(record.channel.id)
        kinds.add(record.schema.name if record.schema is not None else record.channel.message_encoding)
        if record.schema is not None and record.schema.name == SAMPLES:
            _add(log, record.channel.metadata)


def _summary(part: Path) -> Summary | None:
    try:
        with part.open("rb") as file:
            return make_reader(file).get_summary()
    except (OSError, *FAULTS):
        return None


def _add(log: Log, metadata: dict[str, str]) -> None:
    spec = ChunkReader.of_topic(metadata).spec
    log.streams.setdefault(spec.id, spec)


def _span(log: Log, first_ns: int, last_ns: int) -> None:
    log.start_ns = first_ns if not log.start_ns else min(log.start_ns, first_ns)
    log.end_ns = max(log.end_ns, last_ns)


@dataclass(slots=True)
class StreamReader:
    """One stream of a log, in the order in which its windows saw it. Iterate once.

    What is damaged is left out, counted in `lost`, and the chunk behind it says gap_before.
    """

    parts: Sequence[Path]
    spec: StreamSpec
    start_ns: int | None = None
    """Only what was recorded at or after this UNIX ns ..."""
    end_ns: int | None = None
    """... and before this."""
    lost: int = 0
    """Chunks and marks that are not in the log any more."""

    def __iter__(self) -> Iterator[Recorded]:
        prefix = namespace(self.spec.id)
        names = {f"{prefix}/samples", f"{prefix}/marks"}
        names.update(f"{prefix}/{topic}" for topic in PAYLOADS.get(self.spec.modality, ()))
        reader = ChunkReader(self.spec)
        last: int | None = None
        failed = 0
        for part in self.parts:
            self._prime(reader, part, f"{prefix}/video")
            scan = Scan(part, topics=frozenset(names), start_ns=self.start_ns, end_ns=self.end_ns)
            for found in scan:
                if not isinstance(found, LogMessage):
                    continue
                try:
                    item = reader.feed(found)
                except LogError:
                    self.lost += 1
                    failed += 1
                    continue
                if item is None:
                    continue
                order = reader.order
                if last is not None and order <= last:
                    continue  # a recorder that died had sent it to the disk, but could not say so any more
                missed = 0 if last is None else _missed(last, order)
                # Of what is missing, some was there and could not be decoded: that is counted already.
                self.lost += max(0, missed - failed)
                missed, last, failed = missed + failed, order, 0
                if missed and isinstance(item, Chunk):
                    item = replace(item, gap_before=True)
                yield Recorded(item, found.log_time)

    def _prime(self, reader: ChunkReader, part: Path, topic: str) -> None:
        """Show the decoder the pictures of a video that the first one which is wanted builds on."""
        if self.spec.modality != "vision" or self.start_ns is None:
            return
        early = Scan(part, topics=frozenset({topic}), start_ns=self.start_ns - PRIME_NS, end_ns=self.start_ns)
        for found in early:
            if isinstance(found, LogMessage):
                with contextlib.suppress(LogError, ValueError):
                    reader.prime(found)


PRIME_NS = 3_000_000_000
"""A key frame comes every second; a chunk may wait for the disk."""
LIFE = 1 << 40
"""Orders count from 0, and in the next life of an actor from the UNIX ns of its start."""


def _missed(last: int, order: int) -> int:
    step = order - last - 1
    return step if step < LIFE else 0

"""Any MCAP file: ROS 2 (CDR), ROS 1 and Foxglove's schemas in protobuf or JSON, whole or damaged."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from mcap.records import Schema

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.message_log import LoggedTopic, MessageSource, open_messages
from stream_bind.importers.records import Record, decoder, from_json
from stream_bind.importers.ros_types import Decode, ros_decoder
from stream_bind.log.codec import SAMPLES
from stream_bind.log.scan import FAULTS, MAGIC, LogMessage, Scan

__all__ = ["McapReader", "open_source", "unpacked"]

ZSTD = b"\x28\xb5\x2f\xfd"
"""Of a frame. CDR begins 00 00 or 00 01, so that a message that rosbag2 compressed is told by it."""
MOST_LOSSES = 5


def open_source(path: Path, head: bytes, options: ImportOptions) -> MessageSource | None:
    """An MCAP file; None if `path` is none. LogError where it is a log of our own, which needs no import."""
    if path.is_dir() or not head.startswith(MAGIC[:5]):
        return None
    return open_messages(McapReader([path]), options)


def unpacked(data: bytes) -> bytes:
    """A message as it was before rosbag2 compressed it. ValueError where it is damaged."""
    if not data.startswith(ZSTD):
        return data
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


@dataclass(slots=True)
class McapReader:
    """One recording in one file or several, in order."""

    paths: list[Path]
    format: str = "MCAP file"
    topics: dict[str, LoggedTopic] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    _decoders: dict[tuple[str, str, bytes], Decode | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts: dict[str, int] = {}
        for path in self.paths:
            for topic, kind, n in _channels(path):
                if kind == SAMPLES:
                    raise LogError(f"{path}: is a log of our own and needs no import; `stream-bind replay {path}`")
                counts[topic] = counts.get(topic, 0) + n
                if topic not in self.topics:
                    self.topics[topic] = LoggedTopic(kind)
        self.topics = {topic: LoggedTopic(about.type, counts[topic]) for topic, about in self.topics.items()}

    def records(self, topics: Collection[str]) -> Iterator[tuple[str, Record | None, int]]:
        """See MessageReader."""
        losses = []
        for path in self.paths:
            scan = Scan(path, topics=frozenset(topics))
            for found in scan:
                if isinstance(found, LogMessage):
                    yield found.topic, self._record(found), found.log_time
            losses += [f"{path.name}: {lost.n_bytes:,} bytes at {lost.offset:,}: {lost.reason}" for lost in scan.losses]
            if scan.n_orphans:
                losses.append(f"{path.name}: {scan.n_orphans} messages whose description is lost")
        more = [f"and {len(losses) - MOST_LOSSES} more stretches are damaged"] if len(losses) > MOST_LOSSES else []
        self.losses = losses[:MOST_LOSSES] + more

    def close(self) -> None:
        """Nothing is kept open between passes."""

    def _record(self, found: LogMessage) -> Record | None:
        schema = found.schema
        read = decoder(schema.name) if schema is not None else None
        if schema is None or read is None:
            return None
        key = (str(found.channel.message_encoding), str(schema.name), bytes(schema.data))
        if key not in self._decoders:
            self._decoders[key] = _decoder(*key, schema)
        decode = self._decoders[key]
        if decode is None:
            return None
        try:
            return read(decode(unpacked(found.data)))
        except Exception:
            # Whatever damaged bytes bring three libraries to: the message is lost, and counted.
            return None


def _channels(path: Path) -> Iterator[tuple[str, str, int]]:
    """(topic, type, messages) of each channel that holds any, by the index, or else by reading the file once."""
    from mcap.reader import make_reader

    with path.open("rb") as file:
        try:
            summary = make_reader(file).get_summary()
        except (OSError, *FAULTS):
            summary = None
    if summary is not None and summary.statistics is not None and summary.channels:
        for number, channel in summary.channels.items():
            schema = summary.schemas.get(channel.schema_id)
            n = summary.statistics.channel_message_counts.get(number, 0)
            yield channel.topic, "no schema" if schema is None else schema.name, n
        return
    counts: dict[tuple[str, str], int] = {}
    for found in Scan(path):
        if isinstance(found, LogMessage):
            key = found.topic, "no schema" if found.schema is None else str(found.schema.name)
            counts[key] = counts.get(key, 0) + 1
    for (topic, kind), n in counts.items():
        yield topic, kind, n


def _decoder(encoding: str, name: str, text: bytes, schema: Schema) -> Decode | None:
    """What turns bytes into a message with attributes; None where nothing does."""
    if encoding == "json":
        return lambda data: from_json(json.loads(data))
    if encoding == "protobuf":
        from mcap_protobuf.decoder import DecoderFactory

        found: Decode | None = DecoderFactory().decoder_for(encoding, schema)
        return found
    if encoding not in {"cdr", "ros1"}:
        return None
    said = text.decode(errors="replace")
    return ros_decoder(name, said, serialization=encoding, idl=schema.encoding == "ros2idl")

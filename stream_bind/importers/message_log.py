"""A log of messages by topic (ROS bags, MCAP) as a source of streams; where its messages come from a reader says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.base import ImportOptions, Piece, in_order, merged, stream_name
from stream_bind.importers.combine import COMBINED, Combined, Rows
from stream_bind.importers.records import NOT_TAKEN, Lens, Picture, Record, Sound, SoundInfo, bare_type, decoder
from stream_bind.importers.times import Timed
from stream_bind.importers.topics import TopicStream, beside, topic_stream
from stream_bind.messages import IMU_AXES, StreamSpec

__all__ = ["LoggedTopic", "MessageReader", "MessageSource", "open_messages"]

FIRST = 500
"""Messages of each topic from which its rate and columns are judged ..."""
ENOUGH = 20_000
"""... as long as they come among so many."""
WORDS = {"raw", "sample", "samples", "image", "image_raw", "compressed", "data", "data_raw", "imu_raw"}
"""Ends of topics that say nothing: a stream's name leaves them out where it stays unique."""


@dataclass(frozen=True, slots=True)
class LoggedTopic:
    """A topic of a log."""

    type: str
    n_messages: int | None = None
    """None: the log does not say."""


class MessageReader(Protocol):
    """What a container gives."""

    format: str
    topics: dict[str, LoggedTopic]
    losses: list[str]
    """What is damaged; complete when `records` has ended."""
    doubts: list[str]

    def records(self, topics: Collection[str]) -> Iterator[tuple[str, Record | None, int]]:
        """(topic, what the message says, UNIX ns of its logging) of these topics, in the order of the log, anew at
        every call; None for a message that cannot be decoded. LogError for what cannot go on."""

    def close(self) -> None:
        """Let go of the files."""


@dataclass(slots=True)
class MessageSource:
    """The streams of a log of messages."""

    reader: MessageReader
    options: ImportOptions
    format: str = ""
    specs: dict[str, StreamSpec] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Streams by topic."""
    _first: dict[str, list[Timed]] = field(default_factory=dict)
    _told: dict[str, Lens | SoundInfo] = field(default_factory=dict)
    _combined: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, and the topics of the accelerometer and the gyroscope it is made of."""

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        streams = [in_order(self._pieces(self.names))]
        streams.extend(
            Combined.of(
                lambda topic=accel: self._rows(topic),  # type: ignore[misc]
                lambda topic=gyro: self._rows(topic),  # type: ignore[misc]
                (self.specs[self.names[accel]], self.specs[self.names[gyro]]),
                name,
            ).pieces()
            for name, accel, gyro in self._combined
        )
        yield from merged(streams) if len(streams) > 1 else streams[0]

    def close(self) -> None:
        """Let go of the files."""
        self.reader.close()

    def _pieces(self, topics: Collection[str]) -> Iterator[Piece]:
        made: dict[str, TopicStream] = {topic: self._stream(topic) for topic in topics}
        undecoded = dict.fromkeys(topics, 0)
        for topic, record, at in self.reader.records(topics):
            if record is None:
                undecoded[topic] += 1
            else:
                yield from made[topic].take(record, at)
        for stream in made.values():
            yield from stream.flush()
        self.losses = list(self.reader.losses)
        for topic, stream in made.items():
            self.losses.extend(f"{topic}: {n} messages {why}" for why, n in stream.lost.most_common(3) if n)
            if undecoded[topic]:
                self.losses.append(f"{topic}: {undecoded[topic]} messages are not of the type they are said to be")

    def _stream(self, topic: str) -> TopicStream:
        made = topic_stream(self.names[topic], topic, self._first[topic], beside(topic, self._told), self.options)
        assert not isinstance(made, str)
        stream = made[0]
        stream.spec = self.specs[self.names[topic]]
        return stream

    def _rows(self, topic: str) -> Iterator[Rows]:
        for piece in in_order(self._pieces([topic])):
            data: NDArray[np.float32] = piece.chunk.data
            yield piece.chunk.t_ns, data, piece.chunk.gap_before


def open_messages(reader: MessageReader, options: ImportOptions) -> MessageSource:
    """Look at the beginning of every topic that may be a stream, and say of the others why they are none."""
    source = MessageSource(reader, options, reader.format)
    source.doubts.extend(reader.doubts)
    usable = {}
    for topic, about in sorted(reader.topics.items()):
        if about.n_messages == 0:
            source.skipped[topic] = f"{about.type}: holds no message"
        elif decoder(about.type) is None:
            kind = bare_type(about.type).replace(".", "/").rsplit("/", 1)[-1]
            source.skipped[topic] = f"{about.type}: {NOT_TAKEN.get(kind, 'is no picture, sound or motion')}"
        else:
            usable[topic] = about
    source._first = first = _beginnings(reader, usable)
    for topic, found in first.items():
        said = found[0][0]
        if isinstance(said, Lens | SoundInfo):
            source._told[topic] = said
    for topic, about in usable.items():
        found = first.get(topic, [])
        if not found:
            source.skipped[topic] = f"{about.type}: holds no message that can be read"
        elif topic not in source._told:
            _add(source, topic, found)
    source.losses = list(reader.losses)
    _combine(source)
    return source


def _beginnings(reader: MessageReader, usable: Collection[str]) -> dict[str, list[Timed]]:
    """The first messages of each topic. Of pictures and sound only the first keeps its bytes."""
    first: dict[str, list[Timed]] = {}
    open_topics = set(usable)
    if not usable:
        return first
    for n, (topic, record, at) in enumerate(reader.records(usable)):
        held = first.setdefault(topic, [])
        if record is not None and len(held) < FIRST:
            light = replace(record, data=b"") if held and isinstance(record, Picture | Sound) else record
            held.append((light, at))
        if len(held) >= FIRST:
            open_topics.discard(topic)
        if not open_topics or (n >= ENOUGH and all(first.get(each) for each in open_topics)):
            break
    return {topic: held for topic, held in first.items() if held}


def _add(source: MessageSource, topic: str, found: Sequence[Timed]) -> None:
    name = _name(topic, source.specs)
    made = topic_stream(name, topic, found, beside(topic, source._told), source.options)
    if isinstance(made, str):
        source.skipped[topic] = made
        return
    stream, doubts = made
    source.names[topic], source.specs[name] = name, stream.spec
    source.doubts.extend(doubts)


def _name(topic: str, taken: Collection[str]) -> str:
    parts = [part for part in topic.split("/") if part]
    short = [part for part in parts if part.lower() not in WORDS] or parts
    name = stream_name("/".join(short))
    return name if name not in taken else stream_name("/".join(parts), taken)


def _combine(source: MessageSource) -> None:
    """Accelerometers and gyroscopes with a topic each and a folder in common make one stream more."""
    halves: dict[str, dict[bool, str]] = {}
    for topic, name in source.names.items():
        axes = source.specs[name].axes
        if axes in {IMU_AXES[:3], IMU_AXES[3:]}:
            folder = topic.rsplit("/", 2)[0] if topic.rsplit("/", 1)[-1] in WORDS else topic.rsplit("/", 1)[0]
            halves.setdefault(folder, {}).setdefault(axes == IMU_AXES[:3], topic)
    for folder, found in halves.items():
        if len(found) < 2:
            continue
        accel, gyro = found[True], found[False]
        name = stream_name(f"{folder}/{COMBINED}", source.specs)
        specs = source.specs[source.names[accel]], source.specs[source.names[gyro]]
        made = Combined.of(lambda: iter(()), lambda: iter(()), specs, name)
        source.specs = {name: made.made, **source.specs}
        source.doubts.append(made.doubt)
        source._combined.append((name, accel, gyro))

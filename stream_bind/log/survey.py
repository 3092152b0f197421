"""What a log holds: topics, streams with their rates, gaps and clocks, and what is lost of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mcap.records import Attachment, Metadata

from stream_bind.log.codec import SAMPLES, ChunkReader
from stream_bind.log.scan import LogMessage, Loss, Scan
from stream_bind.log.schemas import deserialize
from stream_bind.messages import IntArray, StreamSpec
from stream_bind.resample import BRIDGE_NS

__all__ = ["StreamSurvey", "Survey", "TopicSurvey", "survey"]

GAP_PERIODS = 1.5
"""Samples further apart than this many nominal periods have a gap between them. Of motion, whose loggers jitter, only
those that no straight line bridges (resample.BRIDGE_NS) count."""


@dataclass(slots=True)
class TopicSurvey:
    """One topic, whoever wrote it."""

    type: str
    encoding: str
    n_messages: int = 0
    n_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    """Log time of the first and the last message."""


@dataclass(slots=True)
class StreamSurvey:
    """One of our own streams."""

    spec: StreamSpec
    n_samples: int = 0
    n_chunks: int = 0
    first_ns: int = 0
    last_ns: int = 0
    """Event time of the earliest and the latest sample."""
    n_gaps: int = 0
    longest_gap_ns: int = 0
    n_repeated: int = 0
    """Samples with the event time of the one before."""
    n_backwards: int = 0
    """Samples with an earlier event time than the one before."""
    clock_domain: str = ""
    worst_clock_err_ns: int = 0
    _previous_ns: int | None = None

    @property
    def duration_s(self) -> float:
        """From the first sample to the last."""
        return (self.last_ns - self.first_ns) / 1e9

    @property
    def rate_hz(self) -> float:
        """Samples per second as they came; 0 where one sample says nothing."""
        return (self.n_samples - 1) / self.duration_s if self.n_samples > 1 and self.duration_s > 0 else 0.0

    def add(self, t_ns: IntArray, gap_before: bool, domain: str, err_ns: int) -> None:
        """Take note of a chunk's samples."""
        if not len(t_ns):
            return
        self.n_chunks += 1
        self.n_samples += len(t_ns)
        begun = self._previous_ns is not None
        self.first_ns = min(self.first_ns, int(t_ns.min())) if begun else int(t_ns.min())
        self.last_ns = max(self.last_ns, int(t_ns.max())) if begun else int(t_ns.max())
        self.clock_domain, self.worst_clock_err_ns = domain, max(self.worst_clock_err_ns, err_ns)
        before = [] if self._previous_ns is None else [self._previous_ns]
        steps = np.diff(np.concatenate([np.array(before, np.int64), t_ns]))
        self._previous_ns = int(t_ns[-1])
        self.n_repeated += int(np.count_nonzero(steps == 0))
        self.n_backwards += int(np.count_nonzero(steps < 0))
        holes = steps > max(GAP_PERIODS * self.spec.period_ns, BRIDGE_NS if self.spec.modality == "imu" else 0)
        if gap_before and before:
            holes[0] = True
        self.n_gaps += int(np.count_nonzero(holes))
        self.longest_gap_ns = max(self.longest_gap_ns, int(steps[holes].max(initial=0)))


@dataclass(slots=True)
class Survey:
    """The whole of one file."""

    path: Path
    n_bytes: int = 0
    profile: str = ""
    library: str = ""
    topics: dict[str, TopicSurvey] = field(default_factory=dict)
    streams: dict[str, StreamSurvey] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    attachments: dict[str, int] = field(default_factory=dict)
    """Name to size in bytes."""
    losses: tuple[Loss, ...] = ()
    closed: bool = False
    indexed: bool = False

    @property
    def n_messages(self) -> int:
        return sum(topic.n_messages for topic in self.topics.values())

    @property
    def whole(self) -> bool:
        """Nothing to recover."""
        return self.closed and self.indexed and not self.losses


def survey(path: Path) -> Survey:
    """Read `path` from end to end, every checksum included. LogError if it is no MCAP file."""
    scan, found = Scan(path), Survey(path)
    for record in scan:
        if isinstance(record, Metadata):
            found.metadata[record.name] = dict(record.metadata)
        elif isinstance(record, Attachment):
            found.attachments[record.name] = len(record.data)
        else:
            _add(found, record)
    found.n_bytes = path.stat().st_size
    if scan.header is not None:
        found.profile, found.library = scan.header.profile, scan.header.library
    found.losses, found.closed, found.indexed = tuple(scan.losses), scan.closed, scan.indexed
    return found


def _add(found: Survey, message: LogMessage) -> None:
    name = message.schema.name if message.schema is not None else ""
    topic = found.topics.setdefault(message.topic, TopicSurvey(name, message.channel.message_encoding))
    topic.first_ns = min(topic.first_ns or message.log_time, message.log_time)
    topic.last_ns = max(topic.last_ns, message.log_time)
    topic.n_messages += 1
    topic.n_bytes += len(message.data)
    if name == SAMPLES:
        value = deserialize(SAMPLES, message.data)
        stream = str(value.header.frame_id)
        if stream not in found.streams:
            found.streams[stream] = StreamSurvey(ChunkReader.of_topic(message.channel.metadata).spec)
        t_ns = np.asarray(value.t_ns, np.int64)
        found.streams[stream].add(t_ns, bool(value.gap_before), value.clock_domain, int(value.clock_err_ns))

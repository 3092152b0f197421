"""The messages of one topic as one of our streams: times chosen, pixels and counts unpacked, units applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from devices.units import ACCEL_MPS2, GYRO_RADPS
from stream_bind.importers.base import Batch, ImportOptions, Piece
from stream_bind.importers.combine import mean_rate_hz
from stream_bind.importers.picture_topics import REP_118_M, picture_topic
from stream_bind.importers.records import Lens, Motion, Picture, Record, Sound, SoundInfo
from stream_bind.importers.times import Timed, Times
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, Raw, StreamSpec

__all__ = ["TopicStream", "beside", "topic_stream"]

FILE = ClockInfo("file", 0)
PCM: dict[str, tuple[str, str, float]] = {
    "pcm-s16": ("<i2", "pcm_s16le", 2.0**-15),
    "pcm-s32": ("<i4", "pcm_s32le", 2.0**-31),
    "pcm-f32": ("<f4", "pcm_f32le", 1.0),
    "pcm-u8": ("|u1", "", 2.0**-7),
}
SOUND_SLACK_NS = 20_000_000
"""Blocks whose stamps are off by less follow each other without a seam: stamps jitter, sample counters do not."""


class TopicStream(Protocol):
    """One topic as one stream."""

    spec: StreamSpec
    lost: Counter[str]
    """Messages that could not be used, by why."""

    def take(self, record: Record, log_time_ns: int) -> Iterator[Piece]:
        """The chunks that this record completes."""

    def flush(self) -> Iterator[Piece]:
        """What is held, at the end."""


def topic_stream(
    name: str, topic: str, first: Sequence[Timed], about: Lens | SoundInfo | None, options: ImportOptions
) -> tuple[TopicStream, list[str]] | str:
    """A stream for the topic whose first messages these are, and doubts; or why there can be none."""
    times = Times.of(topic, first, options)
    stamps = np.array([times(record, at) for record, at in first], np.int64)
    rate_hz = mean_rate_hz(stamps) or options.rate_hz or 1.0
    doubts = [times.doubt] if times.doubt else []
    made: TopicStream | str
    match first[0][0]:
        case Motion():
            made = _motion(name, topic, first, rate_hz, times, options)
        case Sound() as sound:
            made = _sound(name, sound, about if isinstance(about, SoundInfo) else None, times)
        case Picture() as picture:
            made = picture_topic(
                name, topic, picture, rate_hz, about if isinstance(about, Lens) else None, times, options
            )
        case _:
            made = "says how something was recorded"
    if isinstance(made, str):
        return made
    if made.spec.modality == "depth" and options.depth_unit_m is None and getattr(made, "scale", 1.0) == REP_118_M:
        doubts.append(f"{topic}: 16-bit depth is taken as millimetres (REP 118); --depth-unit-m says otherwise")
    return made, doubts


def beside(topic: str, told: Mapping[str, Lens | SoundInfo]) -> Lens | SoundInfo | None:
    """What a topic in the same folder says of this one: /camera/color/camera_info of /camera/color/image_raw."""
    folders = {info.rsplit("/", 1)[0]: about for info, about in told.items()}
    found = [folder for folder in folders if topic.startswith(f"{folder}/")]
    return folders[max(found, key=len)] if found else None


# -- motion ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class MotionTopic:
    """Samples of an IMU, gathered to chunks."""

    spec: StreamSpec
    times: Times
    factors: tuple[float, float]
    lost: Counter[str] = field(default_factory=Counter)
    _batch: Batch | None = None
    _gap: bool = False

    def take(self, record: Record, log_time_ns: int) -> Iterator[Piece]:
        """See TopicStream."""
        assert isinstance(record, Motion)
        if self._batch is None:
            self._batch = Batch(self.spec)
        values: list[float] = []
        for kind, vector, factor in (
            ("accel_x", record.accel, self.factors[0]),
            ("gyro_x", record.gyro, self.factors[1]),
        ):
            if kind in self.spec.axes:
                values.extend([] if vector is None else (float(value) * factor for value in vector))
        if len(values) != len(self.spec.axes) or not np.isfinite(values).all():
            self.lost["are not numbers"] += 1
            self._gap = True
            return
        t_ns = self.times(record, log_time_ns)
        yield from self._batch.add(t_ns, np.array(values, np.float32), log_time_ns, gap=self._gap)
        self._gap = False

    def flush(self) -> Iterator[Piece]:
        """See TopicStream."""
        if self._batch is not None:
            yield from self._batch.flush()


def _motion(
    name: str, topic: str, first: Sequence[Timed], rate_hz: float, times: Times, options: ImportOptions
) -> MotionTopic | str:
    found = [record for record, _ in first if isinstance(record, Motion)]
    # Drivers with one sensor a topic (RealSense: accel/sample, gyro/sample) leave the other half of the message 0.
    forces = any(record.accel is not None and any(record.accel) for record in found)
    turns = any(record.gyro is not None and any(record.gyro) for record in found)
    bare = topic.lower()
    turns |= any(record.gyro is not None for record in found) and not ("accel" in bare and "gyro" not in bare)
    axes = (IMU_AXES[:3] if forces else ()) + (IMU_AXES[3:] if turns else ())
    if not axes:
        return "says that it measures neither acceleration nor angular rate"
    spec = StreamSpec(name, "imu", rate_hz, (len(axes),), "float32", "si", axes=axes, live=False, domain="file")
    factors = ACCEL_MPS2[options.accel_unit or "m/s2"], GYRO_RADPS[options.gyro_unit or "rad/s"]
    return MotionTopic(spec, times, factors)


# -- sound -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SoundTopic:
    """Blocks of sound. Their samples are counted; a stamp that is far off begins anew."""

    spec: StreamSpec
    times: Times
    dtype: str
    encoding: str
    scale: float
    lost: Counter[str] = field(default_factory=Counter)
    _anchor_ns: int | None = None
    _counted: int = 0

    def take(self, record: Record, log_time_ns: int) -> Iterator[Piece]:
        """See TopicStream."""
        assert isinstance(record, Sound)
        channels = self.spec.shape[0]
        data = bytes(record.data)
        size = np.dtype(self.dtype).itemsize * channels
        n = len(data) // size
        if n == 0:
            self.lost["hold no sample"] += 1
            return
        native = np.frombuffer(data, self.dtype, n * channels).reshape(n, channels)
        rate = round(self.spec.rate_hz)
        t_ns, gap = self.times(record, log_time_ns), False
        if self._anchor_ns is None:
            self._anchor_ns = t_ns
        expected_ns = self._anchor_ns + self._counted * 1_000_000_000 // rate
        # Arrival is when a block was whole, and late by what the network did: half a block may be that.
        slack_ns = max(SOUND_SLACK_NS, n * 500_000_000 // rate) if self.times.by_log else SOUND_SLACK_NS
        if abs(t_ns - expected_ns) > slack_ns:
            gap, self._anchor_ns, self._counted = t_ns > expected_ns, t_ns, 0
        counter = np.arange(self._counted, self._counted + n, dtype=np.int64)
        self._counted += n
        samples = native.astype(np.float32) * np.float32(self.scale)
        if self.dtype == "|u1":
            samples -= np.float32(1.0)
        raw = Raw(native, self.encoding, self.scale) if self.encoding else None
        chunk = Chunk(samples, self._anchor_ns + counter * 1_000_000_000 // rate, gap, FILE, raw=raw)
        yield Piece(self.spec.id, chunk, log_time_ns)

    def flush(self) -> Iterator[Piece]:
        """See TopicStream."""
        yield from ()


def _sound(name: str, first: Sound, info: SoundInfo | None, times: Times) -> SoundTopic | str:
    if not first.encoding and info is not None:
        first = replace(first, encoding=info.encoding, rate_hz=info.rate_hz, channels=info.channels)
    if first.encoding not in PCM:
        return f"its sound is {first.encoding or 'of a format that it does not say'}; wanted {', '.join(PCM)}"
    if first.rate_hz <= 0 or first.channels < 1:
        return "its sound does not say its rate and channels"
    spec = StreamSpec(
        name, "audio", first.rate_hz, (first.channels,), "float32", "full_scale", live=False, domain="file"
    )
    return SoundTopic(spec, times, *PCM[first.encoding])

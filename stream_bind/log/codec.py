"""Chunks of a stream to log messages and back: what replay reads, and the copies that viewers draw.

What is stored is what the device sent, as long as the very same numbers come out of it again; else the numbers
themselves. Colour alone may be stored with a loss (JPEG), and then only where the camera did not send JPEG itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import LogError
from stream_bind.log.scan import LogMessage
from stream_bind.log.schemas import RAW_AUDIO, ROS_TIMES_NS, deserialize, message, opening, ros_time, serialize, time_ns
from stream_bind.log.video import FrameDecoder, FrameEncoder, is_key
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, Intrinsics, Raw, StreamSpec

__all__ = [
    "END",
    "IDLE",
    "ChunkReader",
    "ChunkWriter",
    "Entry",
    "Mark",
    "Recorded",
    "TopicInfo",
    "decode_picture",
    "namespace",
]

SAMPLES, MARK = "stream_bind_msgs/msg/Samples", "stream_bind_msgs/msg/Mark"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
VIDEO = "foxglove_msgs/msg/CompressedVideo"
COMPRESSED, IMAGE, IMU = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image", "sensor_msgs/msg/Imu"
JPEG_QUALITY = 90
FULL_COLOUR = (7, 0x111111)
"""cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444. With colour at half the resolution the worst of 46 vectors had a cosine of
0.99956 to that of the picture itself (0.9985 was seen elsewhere), with all of it 0.99996, for a third more bytes; the
worst of 270 in five recordings had 0.9997."""
ZERO_CELSIUS_K = 273.15
PCM: dict[str, str] = {"pcm_s16le": "<i2", "pcm_s32le": "<i4", "pcm_f32le": "<f4"}
"""FFmpeg's names of native sound samples to numpy's."""
COUNTS: dict[str, str] = {"16UC1": "<u2", "mono16": "<u2", "16SC1": "<i2", "mono8": "|u1"}
"""ROS's names of image encodings to numpy's."""
MILLIMETRE_M = 0.001
ABSENT = -1.0
"""First element of a covariance in sensor_msgs/Imu: this is not measured."""
CDR_HEADER_BYTES = 4
FORCE, TURNING = -(3 + 9) * 8, -2 * (3 + 9) * 8
"""Where the vectors of a sensor_msgs/Imu begin, from its end: each has three float64 and a covariance of nine."""
CALIBRATION_NS = 1_000_000_000
ROS_DISTORTION = {"brown_conrady": "plumb_bob", "kannala_brandt4": "equidistant"}
"""Our names of distortion models to those of sensor_msgs/distortion_models.hpp."""
NOTHING, NO_TICKS = np.zeros(0, np.uint8), np.zeros(0, np.int64)
NAN_BITS = np.float32(np.nan).view(np.uint32)
BLOCK = 1 << 14
"""Samples that are compared with what their counts give at a time."""
FINEST_PNG = 1
"""zlib level: 6 times as fast as the default and 10 % larger."""

Colour = Literal["jpeg", "h264", "lossless"]


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic of a stream, before its first message."""

    type: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to be written."""

    topic: str
    head: bytes | memoryview
    publish_time: int
    tail: bytes | memoryview = b""
    """The end of the message where that is large: the samples' own memory, which is not copied on the way."""

    @property
    def data(self) -> bytes | memoryview:
        """The whole message."""
        return b"".join((self.head, self.tail)) if self.tail else self.head

    @property
    def n_bytes(self) -> int:
        return len(self.head) + len(self.tail)


IDLE, END = "idle", "end"
"""Reasons of marks: windows were closed by host time; the stream has ended."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something recorded between two chunks that the windows depend on; fields as in stream_bind_msgs/Mark."""

    reason: str
    t_ns: int
    t_end_ns: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One thing in a stream's recording, in the order in which its windows saw them."""

    item: Chunk | Mark
    arrived_ns: int
    """UNIX ns at which the host had it."""


def namespace(stream: str) -> str:
    """A stream's id as the beginning of ROS topic names: head.cam as /head/cam."""
    name = "/".join(re.sub(r"\W", "_", part, flags=re.ASCII) or "_" for part in stream.split("."))
    return "/" + re.sub(r"(^|/)(?=\d)", r"\1n", name)


@dataclass(slots=True)
class ChunkWriter:
    """The messages of one stream. Not thread-safe; the coding of pictures is where its time goes."""

    stream: str
    spec: StreamSpec
    colour: Colour = "jpeg"
    copies: bool = True
    """Also write what viewers draw where they cannot draw the recording itself."""
    order: int = 0
    """Of the next chunk or mark."""
    _video: FrameEncoder | None = None
    _prefix: str = ""
    _told_ns: int | None = None
    """Event time at which the calibration was last written."""
    _still: bytes = b""
    """A sensor_msgs/Imu of this stream, in which stamp and numbers are yet to be filled in."""

    def __post_init__(self) -> None:
        self._prefix = namespace(self.stream)

    def topics(self) -> dict[str, TopicInfo]:
        """Every topic that may come."""
        about = {"stream": self.stream, "modality": self.spec.modality, "unit": self.spec.unit}
        spec = json.dumps(asdict(self.spec))
        found = {
            self._samples: TopicInfo(SAMPLES, {**about, "spec": spec}),
            f"{self._prefix}/marks": TopicInfo(MARK, about),
        }
        if self.spec.intrinsics is not None:
            found[f"{self._prefix}/camera_info"] = TopicInfo(CAMERA_INFO, about)
        match self.spec.modality:
            case "vision" if self.colour == "h264":
                # A camera's own JPEG is kept as it comes, and which of the two it is shows the first picture only.
                found[self._film] = TopicInfo(VIDEO, about)
                found[self._compressed] = TopicInfo(COMPRESSED, about)
            case "vision":
                found[self._compressed] = TopicInfo(COMPRESSED, about)
            case "depth":
                found[self._image] = TopicInfo(IMAGE, {**about, "depth_unit": "16UC1 mm, 32FC1 m"})
            case "thermal" if self.spec.unit == "K":
                found[self._image] = TopicInfo(IMAGE, {**about, "unit": "degC"})
            case "thermal":
                found[self._image] = TopicInfo(IMAGE, about)
            case "audio":
                found[f"{self._prefix}/audio"] = TopicInfo(RAW_AUDIO, about)
            case "imu" if set(IMU_AXES[:3]) <= set(self.spec.axes):
                found[f"{self._prefix}/imu"] = TopicInfo(IMU, about)
        return found

    @property
    def _samples(self) -> str:
        return f"{self._prefix}/samples"

    @property
    def _compressed(self) -> str:
        return f"{self._prefix}/image/compressed"

    @property
    def _film(self) -> str:
        return f"{self._prefix}/video"

    @property
    def _image(self) -> str:
        return f"{self._prefix}/image"

    def chunk(self, chunk: Chunk) -> Iterator[Entry]:
        """The messages of one chunk, its Samples last: with it the chunk is complete."""
        yield from self._calibration(chunk)
        match self.spec.modality:
            case "vision":
                yield from self._pictures(chunk)
            case "audio":
                yield from self._sound(chunk)
            case "depth" | "thermal":
                yield from self._maps(chunk)
            case _:
                yield from self._numbers(chunk)

    def _calibration(self, chunk: Chunk) -> Iterator[Entry]:
        """What the camera says of its lens, once a second: a reader may begin anywhere."""
        told, t_ns = self.spec.intrinsics, int(chunk.t_ns[0])
        if told is None or (self._told_ns is not None and 0 <= t_ns - self._told_ns < CALIBRATION_NS):
            return
        self._told_ns = t_ns
        k = np.array([told.fx, 0, told.cx, 0, told.fy, told.cy, 0, 0, 1], np.float64)
        value = message(
            CAMERA_INFO,
            header=self._header(t_ns),
            height=told.height,
            width=told.width,
            distortion_model=ROS_DISTORTION.get(told.model, told.model),
            d=np.array(told.coeffs, np.float64),
            k=k,
            r=np.eye(3).reshape(-1),
            p=np.hstack([k.reshape(3, 3), np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=message(
                "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )
        yield Entry(f"{self._prefix}/camera_info", serialize(CAMERA_INFO, value), t_ns)

    def mark(self, mark: Mark) -> Entry:
        """What happened between two chunks."""
        fields = {"reason": mark.reason, "t_ns": mark.t_ns, "t_end_ns": mark.t_end_ns, "detail": mark.detail}
        value = message(MARK, header=self._header(mark.t_ns), order=self._next(), **fields)
        return Entry(f"{self._prefix}/marks", serialize(MARK, value), mark.t_ns)

    def _pictures(self, chunk: Chunk) -> Iterator[Entry]:
        raw = chunk.raw
        if raw is not None and raw.encoding == "jpeg":
            encoding, pictures = "jpeg", [bytes(picture) for picture in raw.samples]
        elif self.colour == "h264":
            yield from self._filmed(chunk)
            return
        else:
            encoding = "png" if self.colour == "lossless" else "jpeg"
            pictures = [_compressed(frame, encoding) for frame in chunk.data]
        for t_ns, picture in zip(chunk.t_ns.tolist(), pictures, strict=True):
            value = message(COMPRESSED, header=self._header(t_ns), format=encoding, data=NOTHING)
            yield Entry(self._compressed, opening(COMPRESSED, value, len(picture)), t_ns, picture)
        yield self._complete(chunk, encoding, chunk.data.shape[1:], payload=self._compressed)

    def _filmed(self, chunk: Chunk) -> Iterator[Entry]:
        """One message for each picture; those of a second build on each other."""
        if self._video is None:
            self._video = FrameEncoder(self.spec.rate_hz)
        for t_ns, frame in zip(chunk.t_ns.tolist(), chunk.data, strict=True):
            data = np.frombuffer(self._video.packed(frame), np.uint8)
            value = message(VIDEO, timestamp=ros_time(t_ns), frame_id=self.stream, data=data, format="h264")
            yield Entry(self._film, serialize(VIDEO, value), t_ns)
        yield self._complete(chunk, "h264", chunk.data.shape[1:], payload=self._film)

    def _sound(self, chunk: Chunk) -> Iterator[Entry]:
        native, encoding, scale, _ = _native(chunk, self.spec.unit, PCM)
        topic = f"{self._prefix}/audio"
        if encoding == "pcm_s16le":
            yield self._audio(topic, chunk, native)
            yield self._complete(chunk, encoding, native.shape[1:], scale=scale, payload=topic)
            return
        if self.copies:
            loud = np.rint(np.clip(np.nan_to_num(chunk.data), -1.0, 32767 / 32768) * 32768.0).astype("<i2")
            yield self._audio(topic, chunk, loud)
        yield self._complete(chunk, encoding, native.shape[1:], native, scale)

    def _audio(self, topic: str, chunk: Chunk, pcm: NDArray[Any]) -> Entry:
        t_ns = int(chunk.t_ns[0])
        value = message(
            RAW_AUDIO,
            timestamp=ros_time(t_ns),
            data=_bytes(pcm),
            format="pcm-s16",
            sample_rate=round(self.spec.rate_hz),
            number_of_channels=int(pcm.shape[1]),
        )
        return Entry(topic, serialize(RAW_AUDIO, value), t_ns)

    def _maps(self, chunk: Chunk) -> Iterator[Entry]:
        native, encoding, scale, offset = _native(chunk, self.spec.unit, COUNTS)
        depth = self.spec.modality == "depth"
        if (depth and encoding == "16UC1" and scale == MILLIMETRE_M) or (depth and encoding == "<f4"):
            name = "16UC1" if encoding == "16UC1" else "32FC1"
            yield from self._images(chunk, native, name)
            yield self._complete(chunk, encoding, native.shape[1:], None, scale, offset, payload=self._image)
            return
        if self.copies:
            shown = chunk.data - np.float32(ZERO_CELSIUS_K) if self.spec.unit == "K" else chunk.data
            yield from self._images(chunk, shown, "mono8" if shown.dtype == np.uint8 else "32FC1")
        yield self._complete(chunk, encoding, native.shape[1:], native, scale, offset)

    def _images(self, chunk: Chunk, frames: NDArray[Any], encoding: str) -> Iterator[Entry]:
        for t_ns, frame in zip(chunk.t_ns.tolist(), frames, strict=True):
            value = message(
                IMAGE,
                header=self._header(t_ns),
                height=frame.shape[0],
                width=frame.shape[1],
                encoding=encoding,
                is_bigendian=0,
                step=frame.shape[1] * frame.itemsize,
                data=NOTHING,
            )
            pixels = _bytes(frame).data
            yield Entry(self._image, opening(IMAGE, value, len(pixels)), t_ns, pixels)

    def _numbers(self, chunk: Chunk) -> Iterator[Entry]:
        if self.copies and self.spec.modality == "imu" and set(IMU_AXES[:3]) <= set(self.spec.axes):
            yield from self._motion(chunk)
        yield self._complete(chunk, chunk.data.dtype.newbyteorder("<").str, chunk.data.shape[1:], chunk.data)

    def _motion(self, chunk: Chunk) -> Iterator[Entry]:
        """One sensor_msgs/Imu for each sample: the same message but for its stamp and six numbers, so the library
        makes one, and the rest are filled in all at once (400 a second cost it 1 % of a core)."""
        columns = {axis: i for i, axis in enumerate(self.spec.axes)}
        turns = set(IMU_AXES[3:]) <= set(self.spec.axes)
        if not self._still:
            self._still = self._motionless(turns=turns)
        values = chunk.data.astype("<f8")
        blank = np.frombuffer(self._still, np.uint8)
        filled = np.tile(blank, (len(values), 1))
        stamps = np.stack(np.divmod(np.clip(chunk.t_ns, *ROS_TIMES_NS), 1_000_000_000), axis=1).astype("<u4")
        filled[:, CDR_HEADER_BYTES : CDR_HEADER_BYTES + 8] = stamps.view(np.uint8)
        for axes, vector in ((IMU_AXES[:3], FORCE), (IMU_AXES[3:], TURNING)):
            if set(axes) <= set(columns):
                numbers = np.ascontiguousarray(values[:, [columns[axis] for axis in axes]])
                filled[:, len(blank) + vector : len(blank) + vector + 24] = numbers.view(np.uint8)
        packed, size = filled.tobytes(), len(blank)
        for i, t_ns in enumerate(chunk.t_ns.tolist()):
            yield Entry(f"{self._prefix}/imu", packed[i * size : (i + 1) * size], t_ns)

    def _motionless(self, *, turns: bool) -> bytes:
        unknown, absent = np.zeros(9), np.zeros(9)
        absent[0] = ABSENT
        still = message("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        value = message(
            IMU,
            header=self._header(0),
            orientation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            orientation_covariance=absent,
            angular_velocity=still,
            angular_velocity_covariance=unknown if turns else absent,
            linear_acceleration=still,
            linear_acceleration_covariance=unknown,
        )
        return serialize(IMU, value)

    def _complete(
        self,
        chunk: Chunk,
        encoding: str,
        shape: Sequence[int],
        data: NDArray[Any] | None = None,
        scale: float = 1.0,
        offset: float = 0.0,
        payload: str = "",
    ) -> Entry:
        t_ns = int(chunk.t_ns[0])
        value = message(
            SAMPLES,
            header=self._header(t_ns),
            order=self._next(),
            t_ns=chunk.t_ns,
            ticks=NO_TICKS if chunk.ticks is None else chunk.ticks,
            gap_before=chunk.gap_before,
            clock_domain=chunk.clock.domain,
            clock_err_ns=chunk.clock.err_ns,
            payload=payload,
            encoding=encoding,
            shape=np.array(shape, np.uint32),
            scale=scale,
            offset=offset,
            data=NOTHING,
        )
        own = b"" if data is None else _bytes(data).data
        return Entry(self._samples, opening(SAMPLES, value, len(own)), t_ns, own)

    def _header(self, t_ns: int) -> Any:
        return message("std_msgs/msg/Header", stamp=ros_time(t_ns), frame_id=self.stream)

    def _next(self) -> int:
        self.order += 1
        return self.order - 1


@dataclass(slots=True)
class ChunkReader:
    """The other way round, for one stream: feed it the stream's messages in the order of the log."""

    spec: StreamSpec
    order: int = -1
    """Of the latest chunk or mark."""
    _held: dict[str, list[LogMessage]] = field(default_factory=dict)
    _video: FrameDecoder | None = None
    """None before a key frame: what comes before it cannot be decoded."""

    @classmethod
    def of_topic(cls, metadata: dict[str, str]) -> ChunkReader:
        """From the metadata of a Samples topic. LogError where they are not as we write them."""
        try:
            fields = json.loads(metadata["spec"])
            intrinsics = fields.pop("intrinsics")
            if intrinsics is not None:
                intrinsics = Intrinsics(**{**intrinsics, "coeffs": tuple(intrinsics["coeffs"])})
            fields |= {name: tuple(fields[name]) for name in ("shape", "axes")}
            return cls(StreamSpec(**fields, intrinsics=intrinsics))
        except (KeyError, TypeError, ValueError) as error:
            raise LogError(f"a topic of samples describes no stream ({error})") from error

    def feed(self, found: LogMessage) -> Chunk | Mark | None:
        """The chunk that this message completes, or the mark it is. LogError for what cannot be decoded."""
        kind = found.schema.name if found.schema is not None else ""
        if kind == MARK:
            value = deserialize(MARK, found.data)
            if int(value.order) <= self.order:
                return None
            self.order = int(value.order)
            return Mark(value.reason, int(value.t_ns), int(value.t_end_ns), value.detail)
        if kind == SAMPLES:
            value = deserialize(SAMPLES, found.data)
            if int(value.order) <= self.order:
                # A recorder that died had sent it to the disk, but could not say so any more; a video must not see it
                # twice.
                self._held.clear()
                return None
            if self.order >= 0 and int(value.order) != self.order + 1:
                self._video = None
            self.order = int(value.order)
            held = self._held.get(value.payload, [])
            # Whatever else came before these samples were copies for viewers.
            self._held.clear()
            try:
                return self._chunk(value, held)
            except (ValueError, TypeError, KeyError) as error:
                raise LogError(f"{found.topic}: message {found.sequence} cannot be decoded ({error})") from error
        self._held.setdefault(found.topic, []).append(found)
        return None

    def _chunk(self, value: Any, held: list[LogMessage]) -> Chunk:
        t_ns, shape = np.array(value.t_ns, np.int64), tuple(int(n) for n in value.shape)
        clock = ClockInfo(value.clock_domain, int(value.clock_err_ns))
        ticks = np.array(value.ticks, np.int64) if len(value.ticks) else None
        raw: Raw | None = None
        if value.encoding in {"jpeg", "png"}:
            pictures = [deserialize(COMPRESSED, m.data) for m in _own(held, len(t_ns))]
            _check_stamps(pictures, t_ns)
            sent = [picture.data.tobytes() for picture in pictures]
            data: NDArray[Any] = np.stack([decode_picture(picture) for picture in sent])
            raw = Raw(sent, value.encoding) if value.encoding == "jpeg" else None
        elif value.encoding == "h264":
            data = np.stack(self._frames(_own(held, len(t_ns)), t_ns, shape))
        else:
            counts = _of_bytes(_joined(value, held, len(t_ns)), value.encoding, (len(t_ns), *shape))
            data = counts
            if not value.encoding.startswith(("<", "|")):
                data = _physical(counts, value.scale, value.offset, self.spec.unit)
                raw = Raw(counts, value.encoding, value.scale, value.offset)
        return Chunk(data, t_ns, bool(value.gap_before), clock, ticks, raw)

    def prime(self, found: LogMessage) -> None:
        """A picture of the video before the first chunk that is wanted: those behind it build on it."""
        value = deserialize(VIDEO, found.data)
        self._decoded(value.data.tobytes(), 0)

    def _frames(self, held: list[LogMessage], t_ns: NDArray[np.int64], shape: tuple[int, ...]) -> list[NDArray[Any]]:
        pictures = [deserialize(VIDEO, found.data) for found in held]
        if [time_ns(each.timestamp) for each in pictures] != [time_ns(ros_time(t)) for t in t_ns.tolist()]:
            raise ValueError("the pictures before it are of other times")
        frames = []
        for picture in pictures:
            frame = self._decoded(picture.data.tobytes(), 0)
            if frame is None:
                self._video = None
                raise ValueError("its picture builds on one that is lost")
            # Sides that were odd had been made even.
            frames.append(frame[: shape[0], : shape[1]])
        return frames

    def _decoded(self, data: bytes, t_ns: int) -> NDArray[np.uint8] | None:
        if self._video is None:
            if not is_key(data):
                return None
            self._video = FrameDecoder("h264")
        return next((frame for _, frame in self._video.frames(data, t_ns)), None)


def _native(chunk: Chunk, unit: str, encodings: dict[str, str]) -> tuple[NDArray[Any], str, float, float]:
    """What the device sent, if the chunk's numbers come out of it to the last bit; else these numbers."""
    raw = chunk.raw
    if raw is not None and raw.encoding in encodings and isinstance(raw.samples, np.ndarray):
        counts = np.ascontiguousarray(raw.samples, encodings[raw.encoding])
        if _gives(counts, raw, unit, chunk.data):
            return counts, raw.encoding, raw.scale, raw.offset
    data = np.ascontiguousarray(chunk.data, chunk.data.dtype.newbyteorder("<"))
    return data, data.dtype.str, 1.0, 0.0


def _physical(counts: NDArray[Any], scale: float, offset: float, unit: str) -> NDArray[Any]:
    """Counts in the stream's unit, computed as the drivers do: float32, and 0 is no measurement of depth or heat."""
    values: NDArray[np.float32] = counts.astype(np.float32) * np.float32(scale)
    absent = unit in {"m", "K"}
    if offset or absent:
        values += np.float32(offset)  # of -0 it makes 0
    if absent:
        # By its bits: a masked assignment takes five times as long where a third of the picture is missing.
        bits = values.view(np.uint32)
        bits |= np.multiply(values == 0, NAN_BITS, dtype=np.uint32)
    return values


def _gives(counts: NDArray[Any], raw: Raw, unit: str, data: NDArray[Any]) -> bool:
    """Whether `_physical` makes these very numbers of the counts, to the last bit."""
    if data.dtype != np.float32 or data.shape != counts.shape:
        return False
    flat, wanted = counts.reshape(-1), np.ascontiguousarray(data).reshape(-1).view(np.uint32)
    # In pieces that stay in the processor's cache: a picture's worth of fresh memory costs more than the arithmetic.
    return all(
        np.array_equal(
            _physical(flat[i : i + BLOCK], raw.scale, raw.offset, unit).view(np.uint32), wanted[i : i + BLOCK]
        )
        for i in range(0, len(flat), BLOCK)
    )


def _joined(value: Any, held: list[LogMessage], n: int) -> NDArray[np.uint8]:
    """The bytes of a chunk's samples, from itself or from the messages that hold them."""
    if not value.payload:
        return np.asarray(value.data, np.uint8)
    kind = held[-1].schema.name if held and held[-1].schema is not None else ""
    found = [deserialize(kind, m.data) for m in _own(held, 1 if kind == RAW_AUDIO else n)]
    if kind == IMAGE:
        _check_stamps(found, np.array(value.t_ns))
    return np.concatenate([each.data for each in found])


def _own(held: list[LogMessage], n: int) -> list[LogMessage]:
    """The last n: pictures whose Samples were lost may stand before those of this one."""
    if len(held) < n:
        raise ValueError(f"{n} messages hold its samples, found {len(held)}")
    return held[-n:]


def _check_stamps(found: list[Any], t_ns: NDArray[np.int64]) -> None:
    # Compared as stamps, which end in 2038.
    if [time_ns(each.header.stamp) for each in found] != [time_ns(ros_time(t)) for t in t_ns.tolist()]:
        raise ValueError("the pictures before it are of other times")


def _of_bytes(data: NDArray[np.uint8], encoding: str, shape: tuple[int, ...]) -> NDArray[Any]:
    dtype = np.dtype(PCM.get(encoding) or COUNTS.get(encoding) or encoding)
    # A copy: the message's memory is read-only, and is not kept.
    return np.frombuffer(data.tobytes(), dtype).reshape(shape).copy()


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8)


def _compressed(frame: NDArray[np.uint8], encoding: str) -> bytes:
    import cv2

    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    if encoding == "png":
        done, packed = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, FINEST_PNG])
    else:
        done, packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *FULL_COLOUR])
    if not done:
        raise LogError(f"a picture of {frame.shape[1]}x{frame.shape[0]} cannot be stored as {encoding}")
    return bytes(packed)


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """RGB (H, W, 3), decoded as `devices.pixels` decodes a camera's own JPEG."""
    import cv2

    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{len(data)} bytes are no picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, picture), np.uint8)

"""VRS, as Project Aria's glasses write it: cameras, motion, sound and depth in one file."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import LogError
from stream_bind.importers.base import Batch, ImportOptions, Piece, in_order, stream_name
from stream_bind.importers.combine import mean_rate_hz
from stream_bind.importers.picture_topics import physical
from stream_bind.importers.pictures import Unreadable, counts_of, rgb_of
from stream_bind.importers.records import Picture
from stream_bind.log.codec import decode_picture
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, Raw, StreamSpec

__all__ = ["VrsSource", "open_source"]

MAGIC = b"VisionRe"
"""First bytes of a file header: vrs/FileFormat.cpp of facebookresearch/vrs."""
NAMES = {
    "214": "camera-rgb",
    "1201": "camera-slam",
    "211": "camera-eye",
    "1202": "imu",
    "231": "microphone",
    "345": "depth",
}
"""Recordable types of Aria (projectaria_tools, "Sensor streams") to names."""
PIXELS = {"grey8": "mono8", "grey16": "mono16", "rgb8": "rgb8", "bgr8": "bgr8", "rgba8": "rgba8", "depth32f": "32FC1"}
CLOCK = ClockInfo("device", 0)
LOOKED_AT = 200
MILLIMETRE_M = 0.001


@dataclass(slots=True)
class VrsSource:
    """One file; its records in the order of their times."""

    path: Path
    reader: Any
    options: ImportOptions
    specs: dict[str, StreamSpec] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Streams by VRS's own ids."""
    shift_ns: int = 0
    begun: list[int] = field(default_factory=list)
    """First stamp of each stream, in ns of the device."""
    format: str = "VRS"

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        yield from in_order(self._pieces())

    def close(self) -> None:
        """Let go of the file."""
        if self.reader is not None:
            with _quiet():
                self.reader.close()
            self.reader = None

    def _pieces(self) -> Iterator[Piece]:
        batches = {key: Batch(self.specs[name], CLOCK) for key, name in self.names.items()}
        lost: Counter[str] = Counter()
        records = self.reader.filtered_by_fields(stream_ids=set(self.names), record_types={"data"})
        for number in range(len(records)):
            try:
                record = records[number]
            except Exception as error:
                lost[f"records cannot be read ({str(error)[:80]})"] += 1
                continue
            spec = self.specs[self.names[record.stream_id]]
            t_ns = _time(record) + self.shift_ns
            try:
                if spec.modality == "imu":
                    yield from batches[record.stream_id].add(t_ns, _motion(record, spec))
                elif spec.modality == "audio":
                    yield Piece(spec.id, _sound(record, spec, self.shift_ns))
                else:
                    yield Piece(spec.id, _shown(record, spec, t_ns, self.options))
            except (Unreadable, ValueError, KeyError, IndexError) as error:
                lost[f"records of {spec.id} cannot be read ({str(error)[:80]})"] += 1
        for batch in batches.values():
            yield from batch.flush()
        self.losses = [f"{self.path}: {n} {why}" for why, n in lost.most_common(5)]


def open_source(path: Path, head: bytes, options: ImportOptions) -> VrsSource | None:
    """A VRS file; None if `path` is none. LogError without `pyvrs`, and for a file that it cannot read."""
    if path.is_dir() or not head.startswith(MAGIC):
        return None
    try:
        with _quiet():
            from pyvrs import SyncVRSReader
    except ImportError as error:
        raise LogError(
            f"{path}: VRS is read with pyvrs; `pip install --no-deps vrs` (its own dependencies are of Python 3.6)"
        ) from error
    try:
        with _quiet():
            reader = SyncVRSReader(str(path))
    except Exception as error:
        raise LogError(f"{path}: is a VRS file that cannot be read ({str(error)[:160]}); is it whole?") from error
    source = VrsSource(path, reader, options)
    for key in sorted(reader.stream_ids):
        _look(source, key)
    if source.specs:
        begun_ns = min(source.begun)
        if options.start_ns is not None:
            source.shift_ns = options.start_ns - begun_ns
        else:
            source.doubts.append(
                f"{path}: its times are of the device's own clock ({begun_ns / 1e9:.3f} s at its first record); "
                "--start says when it began"
            )
    return source


def _look(source: VrsSource, key: str) -> None:
    """Judge one stream by its first records."""
    reader = source.reader
    told = str(reader.get_stream_info(key).get("device_name", key))
    records = reader.filtered_by_fields(stream_ids={key}, record_types={"data"})
    if not len(records):
        source.skipped[f"{told} {key}"] = "holds no record of data"
        return
    kind, _, instance = key.partition("-")
    name = stream_name(f"{NAMES.get(kind, told)}_{instance}", source.specs)
    try:
        first = records[0]
        stamps = [_time(records[i]) for i in range(min(len(records), LOOKED_AT))]
        made = _spec(first, name, told, mean_rate_hz(np.array(stamps, np.int64)) or 1.0, source.options)
    except Exception as error:
        made = f"its first record cannot be read ({str(error)[:120]})"
    if isinstance(made, str):
        source.skipped[f"{told} {key}"] = made
        return
    source.specs[name], source.names[key] = made, name
    source.begun.append(stamps[0])


def _spec(record: Any, name: str, told: str, rate_hz: float, options: ImportOptions) -> StreamSpec | str:
    if record.n_image_blocks:
        if "depth" in told.lower() or options.modality == "depth":
            shape = counts_of(_picture(record)).shape
            return StreamSpec(name, "depth", rate_hz, shape, "float32", "m", live=False, domain="device")
        packed = str(record.image_specs[0]) == "jpg"
        shape = _jpeg(record)[0].shape if packed else rgb_of(_picture(record)).shape
        return StreamSpec(name, "vision", rate_hz, shape, "uint8", "rgb8", live=False, domain="device")
    if record.n_audio_blocks:
        samples = np.asarray(record.audio_blocks[0])
        channels = int(getattr(record.audio_specs[0], "channel_count", samples.shape[-1] if samples.ndim > 1 else 1))
        sampled_hz = float(getattr(record.audio_specs[0], "sample_rate", 48000))
        return StreamSpec(name, "audio", sampled_hz, (channels,), "float32", "full_scale", live=False, domain="device")
    values = _fields(record)
    axes = (IMU_AXES[:3] if values.get("accelerometer_valid") else ()) + (
        IMU_AXES[3:] if values.get("gyroscope_valid") else ()
    )
    if not axes:
        return "is no picture, sound or motion"
    return StreamSpec(name, "imu", rate_hz, (len(axes),), "float32", "si", axes=axes, live=False, domain="device")


def _fields(record: Any) -> dict[str, Any]:
    return {key: value for block in record.metadata_blocks for key, value in block.items()}


def _time(record: Any) -> int:
    """When it was captured, in ns of the device; where the record does not say, its own time."""
    captured = _fields(record).get("capture_timestamp_ns", 0)
    return int(captured) if captured and int(captured) > 0 else round(float(record.timestamp) * 1e9)


def _motion(record: Any, spec: StreamSpec) -> NDArray[np.float32]:
    values, row = _fields(record), []
    for kind, key in (("accel_x", "accelerometer"), ("gyro_x", "gyroscope")):
        if kind in spec.axes:
            if not values.get(f"{key}_valid"):
                raise ValueError(f"{key} is not valid")
            row.extend(values[key])
    return np.array(row, np.float32)


def _sound(record: Any, spec: StreamSpec, shift_ns: int) -> Chunk:
    """Aria's sound is 32-bit integers, channels interleaved, with a time for each sample."""
    channels = spec.shape[0]
    block = np.ascontiguousarray(record.audio_blocks[0])
    said = str(getattr(record.audio_specs[0], "sample_format", ""))
    if block.dtype.itemsize == 1 and ("16" in said or "32" in said):
        block = block.reshape(-1).view("<i2" if "16" in said else "<i4")
    native = block.reshape(-1, channels)
    times = np.asarray(_fields(record).get("capture_timestamps_ns", ()), np.int64)
    if len(times) != len(native):
        begin_ns = int(times[0]) if len(times) else _time(record)
        times = begin_ns + np.arange(len(native), dtype=np.int64) * 1_000_000_000 // round(spec.rate_hz)
    if np.issubdtype(native.dtype, np.floating):
        return Chunk(native.astype(np.float32), times + shift_ns, False, CLOCK)
    scale = 2.0 ** (1 - 8 * native.dtype.itemsize)
    encoding = {2: "pcm_s16le", 4: "pcm_s32le"}.get(native.dtype.itemsize)
    data = native.astype(np.float32) * np.float32(scale)
    raw = None if encoding is None else Raw(native, encoding, scale)
    return Chunk(data, times + shift_ns, False, CLOCK, raw=raw)


def _shown(record: Any, spec: StreamSpec, t_ns: int, options: ImportOptions) -> Chunk:
    raw: Raw | None = None
    data: NDArray[Any]
    if spec.modality == "depth":
        counts = counts_of(_picture(record))
        integers = np.issubdtype(counts.dtype, np.integer)
        data, raw = physical(counts, options.depth_unit_m or (MILLIMETRE_M if integers else 1.0))
    elif str(record.image_specs[0]) == "jpg":
        data, sent = _jpeg(record)
        raw = Raw([sent], "jpeg")
    else:
        data = rgb_of(_picture(record))
    if data.shape != spec.shape:
        raise ValueError(f"is {data.shape[1]}x{data.shape[0]}, the first was {spec.shape[1]}x{spec.shape[0]}")
    return Chunk(data[None], np.array([t_ns], np.int64), False, CLOCK, raw=raw)


def _jpeg(record: Any) -> tuple[NDArray[np.uint8], bytes]:
    sent = np.asarray(record.image_blocks[0], np.uint8).tobytes()
    return decode_picture(sent), sent


def _picture(record: Any) -> Picture:
    """A raw image block: raw/640x480/pixel=grey16/stride=1280."""
    said = str(record.image_specs[0])
    parts = said.split("/")
    if parts[0] != "raw" or len(parts) < 3:
        if parts[0] == "png":
            return Picture(None, "png", np.asarray(record.image_blocks[0], np.uint8).tobytes())
        raise Unreadable(f"its pictures are {said}; jpg, png and raw ones are read")
    width, height = map(int, parts[1].split("x"))
    about = dict(part.split("=", 1) for part in parts[2:] if "=" in part)
    name = about.get("pixel", "")
    encoding = PIXELS.get(name)
    if encoding is None:
        raise Unreadable(f"its pixels are {name or said}; read are {', '.join(PIXELS)}")
    block = np.ascontiguousarray(record.image_blocks[0])
    step = int(about.get("stride", 0)) if block.nbytes >= int(about.get("stride", 0)) * height else 0
    return Picture(None, encoding, block.tobytes(), width, height, step)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library logs to standard output and error, which are ours for answers."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with open(os.devnull, "wb") as nowhere:
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
        yield
    finally:
        # It writes through C's buffers, which must be empty before ours come back.
        ctypes.CDLL(None).fflush(None)
        for number, ours in zip((1, 2), kept, strict=True):
            os.dup2(ours, number)
            os.close(ours)

"""XDF, as LSL's LabRecorder writes it: motion and sound among the streams of a recording."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.units import ACCEL_MPS2, GYRO_RADPS
from stream_bind.errors import LogError
from stream_bind.importers.base import Batch, ImportOptions, Piece, merged, stream_name
from stream_bind.importers.combine import mean_rate_hz
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, IntArray, Raw, StreamSpec

__all__ = ["XdfSource", "open_source"]

MAGIC = b"XDF:"
CLOCK = ClockInfo("device", 0)
SOUND_BLOCK_S = 0.02
UNITS = {
    "m/s^2": "m/s2",
    "m/s2": "m/s2",
    "meters/second^2": "m/s2",
    "g": "g",
    "mg": "mg",
    "milli-g": "mg",
    "rad/s": "rad/s",
    "rad/sec": "rad/s",
    "radians/second": "rad/s",
    "deg/s": "deg/s",
    "degrees/second": "deg/s",
    "dps": "deg/s",
    "°/s": "deg/s",
}
FULL_SCALE = {"int8": 2.0**-7, "int16": 2.0**-15, "int32": 2.0**-31}


@dataclass(frozen=True, slots=True)
class Held:
    """One stream's samples, times in ns."""

    spec: StreamSpec
    t_ns: IntArray
    data: NDArray[Any]
    raw: NDArray[np.int16] | None = None


@dataclass(slots=True)
class XdfSource:
    """One recording; pyxdf reads it whole."""

    held: list[Held] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    format: str = "XDF"

    @property
    def specs(self) -> dict[str, StreamSpec]:
        return {each.spec.id: each.spec for each in self.held}

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        yield from merged([_sound(each) if each.spec.modality == "audio" else _motion(each) for each in self.held])

    def close(self) -> None:
        """Everything is in memory."""


def open_source(path: Path, head: bytes, options: ImportOptions) -> XdfSource | None:
    """An XDF file; None if `path` is none. LogError without `pyxdf`, and for a file that it cannot read."""
    if path.is_dir() or not head.startswith(MAGIC):
        return None
    try:
        import pyxdf
    except ImportError as error:
        raise LogError(f"{path}: XDF is read with pyxdf; pip install 'stream-bind[lsl]'") from error
    said = _Said()
    logger = logging.getLogger("pyxdf")
    logger.addHandler(said)
    before, logger.propagate = logger.propagate, False
    try:
        # Clocks of several computers are brought to one; stamps stay as they were taken.
        found, _ = pyxdf.load_xdf(str(path), synchronize_clocks=True, dejitter_timestamps=False)
    except Exception as error:
        raise LogError(f"{path}: is an XDF file that cannot be read ({str(error)[:160]})") from error
    finally:
        logger.removeHandler(said)
        logger.propagate = before
    source = XdfSource(losses=[f"{path}: {text}" for text in said.texts[:5]])
    for stream in found:
        _take(source, stream, options)
    _place(source, path, options)
    return source


class _Said(logging.Handler):
    """Warnings of the library are what is wrong with the file."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line of it."""
        text = record.getMessage().strip().split("\n")[0][:160]
        if text not in self.texts:
            self.texts.append(text)


def _take(source: XdfSource, stream: dict[str, Any], options: ImportOptions) -> None:
    info = stream["info"]
    told, kind = _one(info, "name") or "stream", (_one(info, "type") or "").lower()
    t_ns = np.rint(np.asarray(stream["time_stamps"], np.float64) * 1e9).astype(np.int64)
    name = stream_name(told, source.specs)
    if _one(info, "channel_format") == "string" or not len(t_ns):
        source.skipped[told] = "holds words" if len(t_ns) else "holds no sample"
        return
    values = np.asarray(stream["time_series"])
    if kind == "audio":
        source.held.append(_sounding(name, info, t_ns, values))
        return
    axes, columns, factors, why = _axes(info, kind, options)
    if not axes:
        source.skipped[told] = f"{kind or 'of no type'}: {why}"
        return
    data = (values[:, columns].astype(np.float64) * np.array(factors)).astype(np.float32)
    rate_hz = mean_rate_hz(t_ns) or float(_one(info, "nominal_srate") or 0) or 1.0
    spec = StreamSpec(name, "imu", rate_hz, (len(axes),), "float32", "si", axes=axes, live=False, domain="device")
    good = np.isfinite(data).all(axis=1)
    if not good.all():
        source.losses.append(f"{told}: {int((~good).sum())} samples are not numbers")
    source.held.append(Held(spec, t_ns[good], data[good]))


def _sounding(name: str, info: dict[str, Any], t_ns: IntArray, values: NDArray[Any]) -> Held:
    kind = _one(info, "channel_format") or ""
    rate_hz = float(_one(info, "nominal_srate") or 0) or mean_rate_hz(t_ns)
    data = (values.astype(np.float64) * FULL_SCALE.get(kind, 1.0)).astype(np.float32)
    spec = StreamSpec(name, "audio", rate_hz, (values.shape[1],), "float32", "full_scale", live=False, domain="device")
    return Held(spec, t_ns, data, values.astype("<i2") if kind == "int16" else None)


def _axes(
    info: dict[str, Any], kind: str, options: ImportOptions
) -> tuple[tuple[str, ...], list[int], list[float], str]:
    """Axes, their channels, factors to SI; and why there are none."""
    channels = _channels(info)
    found: dict[str, tuple[int, str]] = {}
    for number, channel in enumerate(channels):
        axis = _axis(channel.get("label", ""), channel.get("type", "") or kind)
        if axis is not None:
            found.setdefault(axis, (number, channel.get("unit", "")))
    n = int(_one(info, "channel_count") or 0)
    if not found and kind in {"accelerometer", "accel", "acc", "gyroscope", "gyro", "imu"} and n in {3, 6}:
        # Bare streams of phones: x, y, z of what their type says.
        first = 0 if n == 6 or kind.startswith("acc") else 3
        found = {axis: (number, "") for number, axis in enumerate(IMU_AXES[first : first + n])}
    axes = tuple(axis for axis in IMU_AXES if axis in found)
    if not ({*IMU_AXES[:3]} <= {*axes} or {*IMU_AXES[3:]} <= {*axes}):
        return (), [], [], "no channel is acceleration or angular rate"
    factors = []
    for axis in axes:
        said = UNITS.get(found[axis][1].lower().strip().replace("²", "^2"), "")
        if axis.startswith("accel"):
            unit = options.accel_unit or (said if said in ACCEL_MPS2 else "")
            if not unit:
                return (), [], [], "its acceleration does not say its unit; add --accel-unit g, mg or m/s2"
            factors.append(ACCEL_MPS2[unit])
        else:
            unit = options.gyro_unit or (said if said in GYRO_RADPS else "")
            if not unit:
                return (), [], [], "its angular rate does not say its unit; add --gyro-unit deg/s or rad/s"
            factors.append(GYRO_RADPS[unit])
    return axes, [found[axis][0] for axis in axes], factors, ""


def _axis(label: str, kind: str) -> str | None:
    words = f"{label} {kind}".lower()
    match = re.search(r"(?:^|[\W_\d])([xyz])(?:$|[\W_\d])", label.lower()) or re.search(r"([xyz])$", label.lower())
    if match is None or "mag" in words:
        return None
    if "gyr" in words or "angular" in words or "rotation" in words:
        return f"gyro_{match.group(1)}"
    return f"accel_{match.group(1)}" if "acc" in words else None


def _channels(info: dict[str, Any]) -> list[dict[str, str]]:
    """desc/channels/channel as LSL has it: every value is a list of one."""
    try:
        found = info["desc"][0]["channels"][0]["channel"]
    except (KeyError, IndexError, TypeError):
        return []
    return [{key: str(value[0]) if value and value[0] else "" for key, value in each.items()} for each in found]


def _one(info: dict[str, Any], key: str) -> str | None:
    value = info.get(key)
    return str(value[0]) if isinstance(value, list) and value and value[0] is not None else None


def _place(source: XdfSource, path: Path, options: ImportOptions) -> None:
    if not source.held:
        return
    if options.start_ns is None:
        source.doubts.append(f"{path}: LSL counts from the start of a computer; --start says when the recording began")
        return
    shift_ns = options.start_ns - min(int(each.t_ns[0]) for each in source.held)
    source.held = [Held(each.spec, each.t_ns + shift_ns, each.data, each.raw) for each in source.held]


def _motion(held: Held) -> Iterator[Piece]:
    batch = Batch(held.spec, CLOCK)
    for i, t_ns in enumerate(held.t_ns.tolist()):
        yield from batch.add(t_ns, held.data[i])
    yield from batch.flush()


def _sound(held: Held) -> Iterator[Piece]:
    size = max(1, round(held.spec.rate_hz * SOUND_BLOCK_S))
    for start in range(0, len(held.t_ns), size):
        part = slice(start, start + size)
        raw = None if held.raw is None else Raw(held.raw[part], "pcm_s16le", 2.0**-15)
        yield Piece(held.spec.id, Chunk(held.data[part], held.t_ns[part], False, CLOCK, raw=raw))

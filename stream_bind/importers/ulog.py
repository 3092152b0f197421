"""PX4's ULog: the motion that its autopilot flew by. `pyulog` reads a whole file into memory, as its format asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import LogError
from stream_bind.importers.base import Batch, ImportOptions, Piece, merged
from stream_bind.importers.combine import Combined, Rows, mean_rate_hz
from stream_bind.messages import IMU_AXES, IntArray, StreamSpec

__all__ = ["UlogSource", "open_source"]

MAGIC = b"ULog\x01\x12\x35"
"""docs.px4.io, "ULog File Format"."""
UTC_FIELDS = (("vehicle_gps_position", "time_utc_usec"), ("sensor_gps", "time_utc_usec"))
BLOCK = 512
EARLIEST_UTC_US = 10**15


@dataclass(slots=True)
class UlogSource:
    """The motion of one flight."""

    streams: dict[str, tuple[StreamSpec, IntArray, NDArray[np.float32], IntArray]]
    """Spec, UNIX or boot ns, SI values, and the indices of samples before which some are missing."""
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    combined: list[Combined] = field(default_factory=list)
    format: str = "PX4 ULog"

    @property
    def specs(self) -> dict[str, StreamSpec]:
        made = {each.made.id: each.made for each in self.combined}
        return made | {name: spec for name, (spec, _, _, _) in self.streams.items()}

    def rows(self, name: str) -> Iterator[Rows]:
        """One sensor's samples, in blocks that end before a hole."""
        _, t_ns, values, holes = self.streams[name]
        edges = sorted({0, *range(0, len(t_ns), BLOCK), *holes.tolist()})
        for start, stop in zip(edges, [*edges[1:], len(t_ns)], strict=True):
            yield t_ns[start:stop], values[start:stop], start in holes

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        yield from merged([*(each.pieces() for each in self.combined), *map(self._pieces, self.streams)])

    def close(self) -> None:
        """Everything is in memory."""

    def _pieces(self, name: str) -> Iterator[Piece]:
        batch = Batch(self.streams[name][0])
        for times, values, lost in self.rows(name):
            for i, t_ns in enumerate(times.tolist()):
                yield from batch.add(t_ns, values[i], gap=lost and i == 0)
        yield from batch.flush()


def open_source(path: Path, head: bytes, options: ImportOptions) -> UlogSource | None:
    """A ULog; None if `path` is none. LogError without `pyulog`, and for a file that it cannot read."""
    if path.is_dir() or not head.startswith(MAGIC):
        return None
    try:
        from pyulog import ULog
    except ImportError as error:
        raise LogError(f"{path}: a PX4 ULog is read with pyulog; pip install 'stream-bind[px4]'") from error
    try:
        log = ULog(str(path))
    except Exception as error:  # it raises whatever damaged bytes bring struct and numpy to
        raise LogError(f"{path}: is a damaged ULog: {error or type(error).__name__}") from error
    source = UlogSource({})
    drops = [int(each.timestamp) * 1000 for each in log.dropouts]
    if drops:
        lost_ms = sum(int(each.duration) for each in log.dropouts)
        source.losses.append(f"{path}: {len(drops)} dropouts of the logger, {lost_ms} ms in all")
    if getattr(log, "_file_corrupt", False):
        source.losses.append(f"{path}: is damaged or cut short; what could be read is taken")
    shift_ns = _shift_ns(log, path, options, source.doubts)
    chosen = any(data.name == "sensor_combined" and len(data.data["timestamp"]) > 1 for data in log.data_list)
    for data in log.data_list:
        _take(source, data, drops, shift_ns, chosen=chosen)
    _prefer_combined(source)
    return source


def _take(source: UlogSource, data: Any, drops: list[int], shift_ns: int, *, chosen: bool) -> None:
    """One topic: those of raw motion become streams."""
    columns, name = data.data, data.name + (f"_{data.multi_id}" if data.multi_id else "")
    force = [columns.get(key) for key in _names(columns, "accelerometer_m_s2[{}]", "{}")]
    turn = [columns.get(key) for key in _names(columns, "gyro_rad[{}]", "{}")]
    kinds = {"sensor_combined": (force, turn), "sensor_accel": (force, None), "sensor_gyro": (None, turn)}
    parts = kinds.get(data.name)
    if parts is not None and chosen and data.name != "sensor_combined":
        source.skipped[name] = "is one of the sensors that sensor_combined was chosen from"
        return
    if parts is None:
        source.skipped[name] = "is no raw motion, picture or sound"
        return
    found = [part for part in parts if part is not None]
    if any(column is None for part in found for column in part):
        source.skipped[name] = "lacks an axis"
        return
    boot_ns = columns["timestamp"].astype(np.int64) * 1000
    values = np.stack([column for part in found for column in part], axis=1).astype(np.float32)
    good = np.isfinite(values).all(axis=1)
    holes = np.searchsorted(boot_ns[good], np.array(drops, np.int64), side="right")
    axes = (IMU_AXES[:3] if parts[0] is not None else ()) + (IMU_AXES[3:] if parts[1] is not None else ())
    rate_hz = mean_rate_hz(boot_ns[good])
    if rate_hz <= 0:
        source.skipped[name] = f"holds {int(good.sum())} samples"
        return
    spec = StreamSpec(
        name.replace("sensor_combined", "imu"),
        "imu",
        rate_hz,
        (len(axes),),
        "float32",
        "si",
        axes=axes,
        live=False,
        domain="device",
    )
    inside = holes[(holes > 0) & (holes < int(good.sum()))]
    source.streams[spec.id] = (spec, boot_ns[good] + shift_ns, values[good], np.unique(inside))


def _names(columns: dict[str, Any], indexed: str, plain: str) -> list[str]:
    return [indexed.format(i) if indexed.format(0) in columns else plain.format(axis) for i, axis in enumerate("xyz")]


def _shift_ns(log: Any, path: Path, options: ImportOptions, doubts: list[str]) -> int:
    """From boot to UNIX: by the first GPS fix, or as told."""
    first_ns = int(log.start_timestamp) * 1000
    if options.start_ns is not None:
        return options.start_ns - first_ns
    for topic, column in UTC_FIELDS:
        for data in log.data_list:
            if data.name != topic or column not in data.data:
                continue
            fixed = np.flatnonzero(data.data[column].astype(np.int64) > EARLIEST_UTC_US)
            if len(fixed):
                i = fixed[0]
                return (int(data.data[column][i]) - int(data.data["timestamp"][i])) * 1000
    doubts.append(
        f"{path}: without a fix of GPS its times count from the autopilot's start; --start says when it began"
    )
    return 0


def _prefer_combined(source: UlogSource) -> None:
    """An accelerometer and a gyroscope make one stream more where the autopilot did not log them together."""
    if "imu" in source.streams:
        return
    if {"sensor_accel", "sensor_gyro"} <= set(source.streams):
        specs = source.streams["sensor_accel"][0], source.streams["sensor_gyro"][0]
        made = Combined.of(lambda: source.rows("sensor_accel"), lambda: source.rows("sensor_gyro"), specs)
        source.combined.append(made)
        source.doubts.append(made.doubt)

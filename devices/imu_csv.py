"""A table of motion samples as an IMU: columns found by their titles, units read or told, never guessed."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from devices.pacing import RecordingConfig
from devices.recording import Block, Contents, Recording, check_file, describe_file
from devices.units import ACCEL_MPS2, GYRO_RADPS, TIME_NS, axis_of_title, unit_of_title
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import IMU_AXES, StreamSpec
from stream_bind.registry import register_device

__all__ = ["ImuCsv", "ImuCsvConfig"]

logger = logging.getLogger(__name__)

_WANTED = "a text table with titles, a time column and accelerometer columns"
_HEAD_ROWS = 20000
"""Rows from which rate and gravity are judged: 50 s at 400 Hz, 0.1 s of reading."""
_BLOCK_ROWS = 512


class ImuCsvConfig(RecordingConfig):
    """A text table of IMU samples, one row each."""

    type: Literal["imu_csv"] = "imu_csv"
    """The device type, always "imu_csv"."""
    path: Path
    """The table; commas, semicolons, tabs or blanks between columns."""
    columns: dict[str, str | int] | None = None
    """Title (or position, from 0) of `time` and of each axis; by default recognised from the titles."""
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    """Unit of the time column; auto reads it from its title, as in "Time (s)"."""
    accel_unit: Literal["auto", "m/s2", "g", "mg"] = "auto"
    """Unit of the acceleration columns; auto reads it from their titles."""
    gyro_unit: Literal["auto", "rad/s", "deg/s", "mdeg/s"] = "auto"
    """Unit of the angular rate columns; auto reads it from their titles."""
    rate_hz: float | None = Field(default=None, gt=0)
    """Nominal rate, by default measured from the time column."""

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str | int] | None) -> dict[str, str | int] | None:
        unknown = [name for name in value or () if name not in {"time", *IMU_AXES}]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} unknown; known: time, {', '.join(IMU_AXES)}")
        if value is not None and ("time" not in value or len(value) < 2):
            raise ValueError("must name the time column and at least one axis")
        return value


@dataclass(frozen=True, slots=True)
class _Layout:
    """How to read a row."""

    delimiter: str | None
    has_titles: bool
    time_column: int
    time_ns: int
    """ns per unit of the time column."""
    axes: tuple[str, ...]
    columns: tuple[tuple[int, float], ...]
    """Per axis: position and factor to SI."""

    def sample(self, row: list[str]) -> tuple[int, list[float]] | None:
        """(t_ns, values in SI) of a row, None if it is not numbers."""
        try:
            text = row[self.time_column]
            # Epoch nanoseconds do not fit into a float.
            t_ns = int(text) * self.time_ns if text.strip().isdigit() else round(Decimal(text) * self.time_ns)
            values = [float(row[position]) * factor for position, factor in self.columns]
        except (ValueError, IndexError, ArithmeticError):
            return None
        return (t_ns, values) if all(map(math.isfinite, values)) else None


@register_device("imu_csv", config=ImuCsvConfig, modalities=("imu",))
class ImuCsv(Recording):
    """float32 (len(axes),) in m/s^2 and rad/s, every row as it stands, repeated stamps too.

    `bad_rows` counts rows that are not numbers; they leave a gap.
    """

    def __init__(self, config: ImuCsvConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, stream_id, clock)
        self._config = config
        self._layout: _Layout | None = None
        self._zero_ns = 0
        self.bad_rows = 0

    def _nominal(self, rate_hz: float = 100.0, axes: tuple[str, ...] | None = None) -> StreamSpec:
        if axes is None:
            axes = tuple(axis for axis in IMU_AXES if axis in (self._config.columns or IMU_AXES))
        return StreamSpec(
            id=self._id,
            modality="imu",
            rate_hz=self._config.rate_hz or rate_hz,
            shape=(len(axes),),
            dtype="float32",
            unit="si",
            axes=axes,
            live=False,
            domain="file",
        )

    def _block_size(self, spec: StreamSpec) -> int:
        return max(1, round(spec.rate_hz / 50))

    def _refuse(self, problem: str) -> DeviceError:
        return DeviceError(f"imu_csv {self._config.path}: {problem}", permanent=True)

    def _describe(self) -> Contents:
        check_file(self._config.path, "imu_csv", _WANTED)
        self._layout = layout = self._find_layout()
        with self._rows() as rows:
            head = [sample for row in islice(rows, _HEAD_ROWS) if (sample := layout.sample(row)) is not None]
        if len(head) < 2:
            raise self._refuse(f"{len(head)} rows can be read as numbers; wanted {_WANTED}")
        self._zero_ns = head[0][0]
        span_ns = head[-1][0] - self._zero_ns
        if span_ns <= 0:
            raise self._refuse(f"its time column does not advance over {len(head)} rows; set columns.time")
        self._judge_gravity([values for _, values in head])
        return Contents(self._nominal((len(head) - 1) * 1e9 / span_ns, layout.axes), self._zero_ns)

    def _judge_gravity(self, values: list[list[float]]) -> None:
        assert self._layout is not None
        if not set(IMU_AXES[:3]) <= set(self._layout.axes):
            return
        # The accelerometer axes come first in IMU_AXES order.
        median = float(np.median(np.linalg.norm(np.array(values)[:, :3], axis=1)))
        if not 7.0 < median < 13.0:
            logger.warning(
                "%s: %s: the median acceleration is %.3g m/s^2, far from gravity's 9.81; "
                "check accel_unit, or whether the recorder has taken gravity out",
                self._id,
                self._config.path,
                median,
            )

    def _blocks(self) -> Iterator[Block]:
        assert self._layout is not None
        self.bad_rows = 0
        gap = False
        held: list[tuple[int, list[float]]] = []
        with self._rows() as rows:
            for row in rows:
                sample = self._layout.sample(row)
                if sample is not None:
                    held.append(sample)
                else:
                    self.bad_rows += 1
                if held and (sample is None or len(held) == _BLOCK_ROWS):
                    yield self._block(held, gap)
                    held, gap = [], False
                gap = gap or sample is None
        if held:
            yield self._block(held, gap)
        if self.bad_rows:
            logger.warning("%s: %s: %d rows are not numbers", self._id, self._config.path, self.bad_rows)

    def _block(self, samples: list[tuple[int, list[float]]], gap: bool) -> Block:
        t_ns = np.array([t for t, _ in samples], dtype=np.int64) - self._zero_ns
        return Block(np.array([values for _, values in samples], dtype=np.float32), t_ns, gap)

    @contextmanager
    def _rows(self) -> Iterator[Iterator[list[str]]]:
        """The rows below the titles; blank lines do not count."""
        assert self._layout is not None
        with self._config.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = _split((line for line in file if line.strip()), self._layout.delimiter)
            if self._layout.has_titles:
                next(rows, None)
            yield rows

    def _find_layout(self) -> _Layout:
        path = self._config.path
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            first = next((line[:65536] for line in file if line.strip()), "")
        if not first or not all(character.isprintable() or character.isspace() for character in first):
            raise self._refuse(f"is no text table; wanted {_WANTED}, found {describe_file(path)}")
        delimiter = next((mark for mark in (",", ";", "\t") if mark in first), None)
        titles = [cell.strip().lstrip("#").strip() for cell in next(_split(iter([first]), delimiter))]
        has_titles = not all(map(_is_number, titles))
        found = self._told_columns(titles, has_titles) or self._recognised_columns(titles, has_titles)
        axes = tuple(axis for axis in IMU_AXES if axis in found)
        columns = tuple((found[axis], self._factor(axis, titles[found[axis]])) for axis in axes)
        return _Layout(delimiter, has_titles, found["time"], self._time_ns(titles[found["time"]]), axes, columns)

    def _told_columns(self, titles: list[str], has_titles: bool) -> dict[str, int]:
        found = {}
        for name, where in (self._config.columns or {}).items():
            if isinstance(where, int) and 0 <= where < len(titles):
                found[name] = where
            elif has_titles and where in titles:
                found[name] = titles.index(str(where))
            else:
                raise self._refuse(f"columns.{name}: it has no column {where!r}, only {', '.join(titles)[:200]}")
        return found

    def _recognised_columns(self, titles: list[str], has_titles: bool) -> dict[str, int]:
        if not has_titles:
            raise self._refuse("its columns have no titles; set columns, as in {time: 0, accel_x: 1, ...}")
        found: dict[str, int] = {}
        for position, title in enumerate(titles):
            name = axis_of_title(title)
            if name is not None:
                found.setdefault(name, position)
        missing = [name for name in ("time", *IMU_AXES[:3]) if name not in found]
        if missing:
            raise self._refuse(
                f"no column is recognised as {', '.join(missing)} among {', '.join(titles)[:200]}; set columns"
            )
        return found

    def _factor(self, axis: str, title: str) -> float:
        accel = axis.startswith("accel")
        factors = ACCEL_MPS2 if accel else GYRO_RADPS
        told: str = self._config.accel_unit if accel else self._config.gyro_unit
        unit = unit_of_title(title, factors) if told == "auto" else told
        if unit is None:
            key = "accel_unit" if accel else "gyro_unit"
            raise self._refuse(f"column {title!r} does not say its unit; set {key} to one of {', '.join(factors)}")
        return factors[unit]

    def _time_ns(self, title: str) -> int:
        told: str = self._config.time_unit
        unit = unit_of_title(title, TIME_NS) if told == "auto" else told
        if unit is None:
            raise self._refuse(f"column {title!r} does not say its unit; set time_unit to one of {', '.join(TIME_NS)}")
        return TIME_NS[unit]


def _split(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    return (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""A table of motion samples as an IMU: columns found by their titles, units read or told, never guessed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from devices.pacing import RecordingConfig
from devices.text_table import Layout, TextTable
from devices.units import ACCEL_MPS2, GYRO_RADPS, axis_of_title, unit_of_title
from stream_bind.clock import Clock
from stream_bind.messages import IMU_AXES, StreamSpec
from stream_bind.registry import register_device

__all__ = ["ImuCsv", "ImuCsvConfig"]

logger = logging.getLogger(__name__)


class ImuCsvConfig(RecordingConfig):
    """A text table of IMU samples, one row each."""

    type: Literal["imu_csv"] = "imu_csv"
    """The device type, always "imu_csv"."""
    path: Path
    """The table; commas, semicolons, tabs or blanks between columns."""
    columns: dict[str, str | int] | None = None
    """Title (or position, from 0) of `time` and of each axis; by default recognised from the titles."""
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso"] = "auto"
    """Unit of the time column, or `iso` for ISO 8601 times; auto reads it from its title, as in "Time (s)"."""
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


@register_device("imu_csv", config=ImuCsvConfig, modalities=("imu",))
class ImuCsv(TextTable):
    """float32 (len(axes),) in m/s^2 and rad/s, every row as it stands, repeated stamps too.

    `bad_rows` counts rows that are not numbers; they leave a gap.
    """

    driver = "imu_csv"
    wanted = "a text table with titles, a time column and accelerometer columns"

    def __init__(self, config: ImuCsvConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, config.path, stream_id, clock)
        self._config = config

    def _nominal(self) -> StreamSpec:
        return self._spec(100.0, tuple(axis for axis in IMU_AXES if axis in (self._config.columns or IMU_AXES)))

    def _spec(self, rate_hz: float, axes: tuple[str, ...]) -> StreamSpec:
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

    def _judge(self, values: list[list[float]]) -> None:
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

    def _lay_out(self, delimiter: str | None, titles: list[str], has_titles: bool) -> Layout:
        told = self._told_columns(self._config.columns or {}, titles, has_titles)
        found = told or self._recognised_columns(titles, has_titles)
        axes = tuple(axis for axis in IMU_AXES if axis in found)
        columns = tuple((found[axis], self._factor(axis, titles[found[axis]])) for axis in axes)
        time_ns = self._time_ns(self._config.time_unit, found["time"], titles[found["time"]])
        return Layout(delimiter, has_titles, found["time"], time_ns, axes, columns)

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

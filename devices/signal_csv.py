"""A table of samples of any sensor type as a device: channels named by the config or by the table's titles."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from devices.pacing import RecordingConfig
from devices.text_table import Layout, TextTable
from devices.units import axis_of_title
from stream_bind.clock import Clock
from stream_bind.messages import MODALITIES, StreamSpec
from stream_bind.registry import ANY_SIGNAL, register_device

__all__ = ["SignalCsv", "SignalCsvConfig"]


class SignalCsvConfig(RecordingConfig):
    """A text table of a sensor's samples, one row each."""

    type: Literal["signal_csv"] = "signal_csv"
    """The device type, always "signal_csv"."""
    path: Path
    """The table; commas, semicolons, tabs or blanks between columns."""
    modality: str
    """The sensor type, as the encoder declares it; within a rig that of the stream."""
    columns: dict[str, str | int] | None = None
    """Title (or position, from 0) of `time` and of each channel, in the channels' order; by default time is recognised
    from the titles and every other column is a channel."""
    unit: str = Field(min_length=1)
    """Unit of the values, which are taken as they stand."""
    time_unit: Literal["auto", "s", "ms", "us", "ns", "iso"] = "auto"
    """Unit of the time column, or `iso` for ISO 8601 times; auto reads it from its title, as in "Time (s)"."""
    rate_hz: float | None = Field(default=None, gt=0)
    """Nominal rate, by default measured from the time column; needed where there is none."""

    @field_validator("modality")
    @classmethod
    def _of_its_own(cls, value: str) -> str:
        if value in MODALITIES:
            raise ValueError(f"{value} has drivers of its own (imu_csv, audio_file, video_file, image_file)")
        return value

    @model_validator(mode="after")
    def _has_channels(self) -> SignalCsvConfig:
        if self.columns is not None and not [name for name in self.columns if name != "time"]:
            raise ValueError("columns must name at least one channel beside time")
        if self.columns is not None and "time" not in self.columns and self.rate_hz is None:
            raise ValueError("columns without time needs rate_hz: rows then come at an even rate")
        return self


@register_device("signal_csv", config=SignalCsvConfig, modalities=(ANY_SIGNAL,))
class SignalCsv(TextTable):
    """float32 (len(axes),) in the unit told, every row as it stands. `bad_rows` counts rows that are not numbers."""

    driver = "signal_csv"
    wanted = "a text table with one row a sample"

    def __init__(self, config: SignalCsvConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, config.path, stream_id, clock)
        self._config = config

    def _nominal(self) -> StreamSpec:
        axes = tuple(name for name in self._config.columns or () if name != "time")
        spec = self._spec(100.0, axes)
        return spec if axes else replace(spec, shape=(-1,))

    def _spec(self, rate_hz: float, axes: tuple[str, ...]) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality=self._config.modality,
            rate_hz=self._config.rate_hz or rate_hz,
            shape=(len(axes),),
            dtype="float32",
            unit=self._config.unit,
            axes=axes,
            live=False,
            domain="file",
        )

    def _lay_out(self, delimiter: str | None, titles: list[str], has_titles: bool) -> Layout:
        config = self._config
        found = self._told_columns(config.columns or {}, titles, has_titles) or self._recognised(titles, has_titles)
        axes = tuple(name for name in found if name != "time")
        columns = tuple((found[name], 1.0) for name in axes)
        if "time" not in found:
            assert config.rate_hz is not None
            return Layout(delimiter, has_titles, None, 1, axes, columns, 1e9 / config.rate_hz)
        time_ns = self._time_ns(config.time_unit, found["time"], titles[found["time"]])
        return Layout(delimiter, has_titles, found["time"], time_ns, axes, columns)

    def _recognised(self, titles: list[str], has_titles: bool) -> dict[str, int]:
        if not has_titles:
            raise self._refuse("its columns have no titles; set columns, as in {time: 0, pressure: 1}")
        time = next((i for i, title in enumerate(titles) if axis_of_title(title) == "time"), None)
        if time is None and self._config.rate_hz is None:
            raise self._refuse(
                f"no column is recognised as time among {', '.join(titles)[:200]}; set columns, or rate_hz for rows "
                "that come at an even rate"
            )
        found: dict[str, int] = {} if time is None else {"time": time}
        for position, title in enumerate(titles):
            if position != time:
                found.setdefault(_name_of(title) or f"column_{position}", position)
        if len(found) == (time is not None):
            raise self._refuse("it has a time column and no other; wanted at least one channel")
        return found


def _name_of(title: str) -> str:
    """A title as a channel's name: "Pressure (Pa)" is pressure."""
    bare = re.sub(r"[(\[].*?[)\]]", " ", title).lower()
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")

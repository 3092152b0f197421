"""What is recorded of a rig, where, and when."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["RecordConfig", "TriggerConfig"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class TriggerConfig(_Section):
    """Recording around events instead of all the time: the last seconds are held in memory until one comes."""

    on: tuple[str, ...] = ()
    """Reasons of events that start it, such as device_lost or outage; SIGUSR1 to the run starts it as well."""
    before_s: float = Field(default=30.0, gt=0, le=3600)
    """Seconds before the event that are kept."""
    after_s: float = Field(default=30.0, gt=0, le=86_400)
    """Seconds after the latest event that are kept."""


class RecordConfig(_Section):
    """The recording of a run: an MCAP file that ROS tools, Foxglove and Rerun open and `stream-bind replay` replays."""

    path: str | None = None
    """The log, such as logs/{rig}-{time}.mcap, where {time} is the start in UTC; absent: only `--record` records."""
    colour: Literal["jpeg", "h264", "lossless"] = "jpeg"
    """How frames of colour are stored that the camera did not send as JPEG itself: JPEG of quality 90, H.264 (a
    quarter of the bytes for twice the work), or PNG."""
    copies: bool = True
    """Also store what viewers draw, where they cannot draw the recording itself (single IMU samples, thermal in °C)."""
    split_mb: float | None = Field(default=None, gt=0)
    """A new file after so many megabytes; each is complete in itself."""
    split_s: float | None = Field(default=None, gt=0)
    """A new file after so many seconds."""
    buffer_mb: float = Field(default=64.0, ge=1, le=1 << 16)
    """Memory for each stream while the disk cannot follow; what does not fit is lost, counted and said."""
    trigger: TriggerConfig | None = None
    """Record around events only."""

    @field_validator("path")
    @classmethod
    def _known_fields(cls, value: str | None) -> str | None:
        unknown = [name for name in re.findall(r"\{([^}]*)\}", value or "") if name not in {"rig", "time"}]
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} stands for nothing; there are {{rig}} and {{time}}")
        if value is not None and not value.endswith(".mcap"):
            raise ValueError(f"expected a file that ends in .mcap, found {value!r}")
        return value

    @model_validator(mode="after")
    def _whole_files(self) -> Self:
        if self.split_s is not None and self.split_s < 1:
            raise ValueError(f"split_s ({self.split_s:g}) must be at least 1 s")
        if self.split_mb is not None and self.split_mb < 1:
            raise ValueError(f"split_mb ({self.split_mb:g}) must be at least 1 MB")
        return self

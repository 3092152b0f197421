"""InfiRay P2 Pro, Topdon TC001 and their kin: a USB camera whose lower half of each picture is temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field

from devices.base import Found
from devices.pixels import counts
from devices.thermal_frames import Repeats, implausible, to_kelvin
from devices.v4l2 import Layout
from devices.v4l2_found import found_for
from devices.v4l2_source import Frame, Setup, V4l2Config, V4l2Source, Withheld
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["InfirayThermal", "InfirayThermalConfig"]

_WIDTH, _HEIGHT = 256, 192
_FIRST_PICTURE_S = 2.0
_MOST_K = 500.0
"""An ordinary picture read as counts is near 514 K everywhere: the neutral chroma 128 is their high byte."""
_SCALE_K = 1 / 64
"""Kelvin per count (PyThermalCamera's tc001v4.2.py and P2Pro-Viewer: raw / 64 - 273.15 is degrees Celsius)."""


class InfirayThermalConfig(V4l2Config):
    """A camera of the InfiRay P2 Pro and Topdon TC001 class."""

    type: Literal["infiray_thermal"] = "infiray_thermal"
    """The device type, always "infiray_thermal"."""
    rate_hz: float = Field(default=25.0, gt=0, le=60)
    """Frames per second; these cameras have one rate."""
    during_shutter: Literal["drop", "keep"] = "drop"
    """Frames repeated while the shutter is closed for calibration: a gap, or passed on."""
    stall_timeout_s: float = Field(default=3.0, gt=0, le=600)
    """Silence after which the camera is given up and opened again."""


@register_device("infiray_thermal", config=InfirayThermalConfig, modalities=("thermal",))
class InfirayThermal:
    """float32 kelvin (192, 256), one frame a chunk. The camera calls its frames YUYV 256x384; rows 192 and below are
    16-bit counts, low byte first. Counts repeated_frames."""

    def __init__(self, config: InfirayThermalConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._source = V4l2Source("infiray_thermal", stream_id, clock, config)
        self._repeats = Repeats()
        self._ahead: Chunk | None = None
        self._believed = False

    @property
    def spec(self) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="thermal",
            rate_hz=self._source.rate_hz or self._config.rate_hz,
            shape=(_HEIGHT, _WIDTH),
            dtype="float32",
            unit="K",
            max_delay_s=2.0,
            domain=self._source.domain,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._source.counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        return found_for("infiray_thermal", probe)

    def open(self) -> None:
        self._source.open(Setup(["YUYV"], [(_WIDTH, 2 * _HEIGHT)], self._config.rate_hz))
        self._repeats = Repeats()
        self._believed = False
        # Counts that are no temperatures are a mistake to be told at once, so opening waits for a picture.
        try:
            self._ahead = self._source.read(_FIRST_PICTURE_S, self._decode)
        except DeviceError:
            self._source.close()
            raise

    def read(self, timeout_s: float) -> Chunk | None:
        ahead, self._ahead = self._ahead, None
        return ahead or self._source.read(timeout_s, self._decode)

    def close(self) -> None:
        self._ahead = None
        self._source.close()

    def _decode(self, buffer: memoryview, layout: Layout) -> Frame:
        both = counts(buffer, layout.width, layout.height, layout.bytesperline)
        heat = np.ascontiguousarray(both[_HEIGHT:])
        repeated = self._repeats.judge(heat)
        if repeated and self._config.during_shutter == "drop":
            raise Withheld("repeated_frames", gap=Repeats.is_frozen(repeated))
        problem = "" if self._believed else implausible(heat, _SCALE_K, _MOST_K)
        self._believed = True
        if problem:
            raise DeviceError(
                f"{self._source.name}: the lower half of its picture holds no temperatures: {problem}; "
                f"check that it is a P2 Pro, a TC001 or alike",
                permanent=True,
            )
        return Frame(to_kelvin(heat, _SCALE_K), Raw(heat[None], "16UC1", _SCALE_K))

"""A camera on Linux, or a depth camera that sends 16-bit counts, through the kernel's video interface."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from devices.base import Found
from devices.pixels import COLOUR, COUNTS, colour, counts
from devices.v4l2 import Layout
from devices.v4l2_found import found_for
from devices.v4l2_source import Frame, Setup, V4l2Config, V4l2Source
from stream_bind.clock import Clock
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["V4l2Camera", "V4l2CameraConfig"]

_FORMATS = {"vision": COLOUR, "depth": COUNTS}
_NAMES = {"Y16": "Y16 ", "Z16": "Z16 "}


class V4l2CameraConfig(V4l2Config):
    """A camera of the kernel's video interface (Video4Linux2)."""

    type: Literal["v4l2_camera"] = "v4l2_camera"
    """The device type, always "v4l2_camera"."""
    modality: Literal["vision", "depth"] = "vision"
    """Colour pictures, or 16-bit depth (Z16, Y16)."""
    width: int = Field(default=640, ge=1, le=16384)
    """Pixels in a line; the camera must offer exactly this size."""
    height: int = Field(default=480, ge=1, le=16384)
    """Lines of a frame."""
    rate_hz: float = Field(default=30.0, gt=0, le=1000)
    """Frames per second to ask for."""
    pixel_format: Literal["auto", "MJPG", "JPEG", "YUYV", "UYVY", "NV12", "RGB3", "BGR3", "GREY", "Z16", "Y16"] = "auto"
    """How pictures cross the bus; auto: uncompressed where the camera offers it at this size and rate, else MJPG."""
    exposure_ms: float | Literal["auto"] | None = None
    """Exposure time, or auto; absent: as the camera is."""
    gain: int | None = None
    """Gain in the camera's own unit; absent: as the camera is."""
    depth_unit_m: float | None = Field(default=None, gt=0, le=1)
    """Depth: metres per count, which the camera does not say here (0.001 for most, 0.0001 for a RealSense D405)."""
    time: Literal["kernel", "arrival"] = "kernel"
    """Stamps by the kernel, or on arrival where a driver's stamps are wrong."""

    @model_validator(mode="after")
    def _makes_sense(self) -> V4l2CameraConfig:
        if self.modality == "depth" and self.depth_unit_m is None:
            raise ValueError("depth_unit_m is needed for depth: metres per count, such as 0.001; makers differ by ten")
        if self.modality == "vision" and self.depth_unit_m is not None:
            raise ValueError("depth_unit_m is a setting of modality depth")
        name = _NAMES.get(self.pixel_format, self.pixel_format)
        if name != "auto" and name not in _FORMATS[self.modality]:
            known = ", ".join(one.strip() for one in _FORMATS[self.modality])
            raise ValueError(f"pixel_format {self.pixel_format} carries no {self.modality}; wanted auto, {known}")
        if isinstance(self.exposure_ms, float) and self.exposure_ms <= 0:
            raise ValueError(f"exposure_ms must be above 0, or auto; found {self.exposure_ms:g}")
        if self.stall_timeout_s < 2 / self.rate_hz:
            raise ValueError(f"stall_timeout_s must be at least two frames: {2 / self.rate_hz:g} s")
        return self


@register_device("v4l2_camera", config=V4l2CameraConfig, modalities=("vision", "depth"))
class V4l2Camera:
    """One frame a chunk: uint8 RGB, or float32 metres with NaN where there is no measurement."""

    def __init__(self, config: V4l2CameraConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._source = V4l2Source("v4l2_camera", stream_id, clock, config, config.time == "arrival")
        name = _NAMES.get(config.pixel_format, config.pixel_format)
        self._formats = _FORMATS[config.modality] if name == "auto" else (name,)

    @property
    def spec(self) -> StreamSpec:
        config = self._config
        depth = config.modality == "depth"
        # Before opening the rate is the wanted one, after it the one the driver gave.
        rate_hz = self._source.rate_hz or config.rate_hz
        size = (config.height, config.width)
        return StreamSpec(
            id=self._id,
            modality=config.modality,
            rate_hz=rate_hz,
            shape=size if depth else (*size, 3),
            dtype="float32" if depth else "uint8",
            unit="m" if depth else "rgb8",
            max_delay_s=max(1.0, 3 / rate_hz),
            domain=self._source.domain,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._source.counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        return found_for("v4l2_camera", probe)

    def open(self) -> None:
        config = self._config
        if config.modality == "vision":
            # Loaded by the first picture, it would let frames pass by (1 s of them on a slow machine: measured).
            import cv2  # noqa: F401
        size = (config.width, config.height)
        self._source.open(Setup(self._formats, [size], config.rate_hz, config.exposure_ms, config.gain))

    def read(self, timeout_s: float) -> Chunk | None:
        return self._source.read(timeout_s, self._depth if self._config.modality == "depth" else _picture)

    def close(self) -> None:
        self._source.close()

    def _depth(self, buffer: memoryview, layout: Layout) -> Frame:
        raw = counts(buffer, layout.width, layout.height, layout.bytesperline)
        unit_m = self._config.depth_unit_m
        assert unit_m is not None
        metres = raw * np.float32(unit_m)
        metres[raw == 0] = np.nan
        return Frame(metres, Raw(raw[None], "16UC1", unit_m))


def _picture(buffer: memoryview, layout: Layout) -> Frame:
    rgb, native, encoding = colour(layout.fourcc, buffer, layout.width, layout.height, layout.bytesperline)
    return Frame(rgb, None if native is None else Raw(native, encoding))

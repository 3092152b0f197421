"""Which simulated device stands in for a real one."""

from __future__ import annotations

from typing import Any

from devices.simulated.config import UNITS
from stream_bind.messages import IMU_AXES, StreamSpec

__all__ = ["twin"]


def twin(spec: StreamSpec, seed: int = 0) -> dict[str, Any]:
    """The `device:` mapping of the simulated twin of a device with this spec (known before it opens).

    Modality, rate, axes, channels and picture size are taken over; what the spec leaves open (an axis of -1, a size
    too small for a picture, a unit of its own) gets the twin's defaults.
    """
    config: dict[str, Any] = {"type": "simulated", "modality": spec.modality, "seed": seed}
    if spec.rate_hz > 0:
        config["rate_hz"] = spec.rate_hz
    if spec.modality in {"vision", "depth", "thermal"}:
        if len(spec.shape) >= 2 and min(spec.shape[:2]) >= 8:
            config["height"], config["width"] = spec.shape[0], spec.shape[1]
        if spec.unit == "grey8":
            config["grey8"] = True
    elif spec.modality == "audio":
        if len(spec.shape) == 1 and spec.shape[0] >= 1:
            config["channels"] = spec.shape[0]
    elif spec.modality == "imu":
        axes = [axis for axis in spec.axes if axis in IMU_AXES]
        if axes:
            config["axes"] = axes
    elif spec.modality in UNITS:
        n_channels = spec.shape[0] if len(spec.shape) == 1 else -1
        if spec.modality == "emg" and n_channels >= 1:
            config["channels"] = n_channels
        if len(spec.axes) == n_channels and (spec.modality == "emg" or n_channels == 1):
            config["axes"] = list(spec.axes)
        if spec.unit in UNITS[spec.modality]:
            config["unit"] = spec.unit
    return config

"""Irregular motion samples to the 6 x 2000 block the IMU branch sees.

The reference defines that shape alone: order, units, gravity, rate and standardisation are unknown upstream (ImageBind
issues 48, 66, 114, 131) and settings here.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from stream_bind.messages import IMU_AXES
from stream_bind.resample import resample_imu

__all__ = ["ImuSettings", "motion_block"]

FloatArray = NDArray[np.float32]
Six = tuple[float, float, float, float, float, float]

STANDARD_GRAVITY_MPS2 = 9.80665


class ImuSettings(BaseModel):
    """What the IMU branch is fed. The rate is 2000 samples over the window: 400 Hz for the default 5 s."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    order: tuple[str, ...] = IMU_AXES
    """Channel order of the model's input; accelerometer first is our choice."""
    accel_unit: Literal["m/s2", "g"] = "m/s2"
    """Unit in which the model is given acceleration."""
    gyro_unit: Literal["rad/s", "deg/s"] = "rad/s"
    """Unit in which the model is given angular rate."""
    gravity: Literal["keep", "remove"] = "keep"
    """`remove` subtracts each acceleration channel's mean over the window."""
    standardise: Literal["none", "channel", "sensor"] = "none"
    """Zero mean and unit variance over the window, per channel or for each sensor's three channels together."""
    mean: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Fixed mean per channel in `order`, subtracted after the steps above."""
    std: Six = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    """Fixed deviation per channel in `order`, divided by last."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sorted(self.order) != sorted(IMU_AXES):
            raise ValueError(f"order must name each of {', '.join(IMU_AXES)} once, found {', '.join(self.order)}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {list(self.std)}")
        return self


def motion_block(
    samples: FloatArray,
    t_ns: NDArray[np.int64],
    t_start_ns: int,
    t_end_ns: int,
    settings: ImuSettings,
    n_samples: int = 2000,
) -> FloatArray:
    """(n, 6) SI samples in `settings.order` at `t_ns` to (6, n_samples) float32 on a uniform grid over the window.

    Context before t_start_ns may be included. ValueError below two samples.
    """
    if len(samples) < 2:
        raise ValueError(f"{len(samples)} motion samples, at least 2 are needed")
    block = np.ascontiguousarray(resample_imu(samples, t_ns, t_start_ns, t_end_ns, n_samples).T, dtype=np.float32)
    accel = np.array([name.startswith("accel") for name in settings.order])
    if settings.accel_unit == "g":
        block[accel] /= np.float32(STANDARD_GRAVITY_MPS2)
    if settings.gyro_unit == "deg/s":
        block[~accel] *= np.float32(180.0 / np.pi)
    if settings.gravity == "remove":
        block[accel] -= block[accel].mean(axis=1, keepdims=True)
    if settings.standardise != "none":
        groups = [accel, ~accel] if settings.standardise == "sensor" else [np.arange(6) == i for i in range(6)]
        for group in groups:
            part = block[group]
            # A channel that does not move stays zero instead of becoming noise at full scale.
            block[group] = (part - part.mean()) / max(float(part.std()), 1e-6)
    block -= np.array(settings.mean, np.float32)[:, None]
    block /= np.array(settings.std, np.float32)[:, None]
    return block

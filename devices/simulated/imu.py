"""The simulated IMU: what the wearer's head feels, with the noise of a small sensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.motion import HeadMotion
from devices.simulated.world import Noise, World
from stream_bind.messages import IMU_AXES, IntArray

__all__ = ["Imu"]

# LSM6DSO data sheet: 70 ug/rtHz and 3.8 mdps/rtHz at 200 Hz bandwidth, rounded up.
_ACCEL_NOISE_MPS2 = 0.02
_GYRO_NOISE_RADPS = 0.002
_NOISE = np.array([_ACCEL_NOISE_MPS2] * 3 + [_GYRO_NOISE_RADPS] * 3)


class Imu:
    """float32 (len(axes),): m/s^2 and rad/s; at rest +z reads +9.81 m/s^2."""

    rate_hz = 200.0
    dtype = "float32"
    unit = "si"

    def __init__(self, config: SimulatedConfig) -> None:
        self.axes = config.axes or IMU_AXES
        self.shape: tuple[int, ...] = (len(self.axes),)
        self._columns = [IMU_AXES.index(axis) for axis in self.axes]
        self._world = World(config.seed)
        self._noise = Noise(config.seed, 2)
        self._motion: HeadMotion | None = None

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, len(axes)) float32 at event times t_ns; `first` is the index of the first sample."""
        full = np.empty((len(t_ns), len(IMU_AXES)), dtype=np.float64)
        for scene, span, age_s in self._world.spans(t_ns):
            if self._motion is None or self._motion.scene is not scene:
                self._motion = HeadMotion(scene)
            full[span] = self._motion.felt(age_s)
        full += _NOISE * self._noise.columns(first, len(t_ns), len(IMU_AXES))
        return full[:, self._columns].astype(np.float32)

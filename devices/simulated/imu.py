"""The simulated IMU: what the wearer's head feels, with the noise of a small sensor."""

from __future__ import annotations

import math
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
_CROOKED_RAD = 0.05
"""Nobody mounts a board on a headset squarer than 3 degrees."""
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
        rng = np.random.default_rng([config.seed, 0x1A7])
        self._mounted = _turn(*(float(angle) for angle in rng.uniform(-_CROOKED_RAD, _CROOKED_RAD, 3)))

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, len(axes)) float32 at event times t_ns; `first` is the index of the first sample."""
        full = np.empty((len(t_ns), len(IMU_AXES)), dtype=np.float64)
        for scene, span, age_s in self._world.spans(t_ns):
            if self._motion is None or self._motion.scene is not scene:
                self._motion = HeadMotion(scene)
            felt = self._motion.felt(age_s)
            for triad in (0, 3):
                # Axis by axis: a matrix product may round differently for different lengths.
                ahead, left, up = (felt[:, triad + i : triad + i + 1] * self._mounted[i] for i in range(3))
                full[span, triad : triad + 3] = ahead + left + up
        full += _NOISE * self._noise.columns(first, len(t_ns), len(IMU_AXES))
        return full[:, self._columns].astype(np.float32)


def _turn(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """(3, 3): row i is what the board reads of one unit along the head's axis i."""
    cr, sr, cp, sp, cy, sy = (f(angle) for angle in (roll, pitch, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)

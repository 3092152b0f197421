"""The simulated thermal camera: the scene's temperatures in kelvin, or as an 8-bit picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.simulated.canvas import Lens
from devices.simulated.config import SimulatedConfig
from devices.simulated.picture import Picture, join
from devices.simulated.world import Noise, World
from stream_bind.messages import IntArray

__all__ = ["Thermal"]

LENS = Lens(hfov_deg=57.0, offset=(0.0, 0.03, 0.03))
"""FLIR Lepton 3.5 data sheet: 57 degrees across."""
# FLIR Lepton data sheet: thermal sensitivity below 50 mK.
_NOISE_K = 0.05
_BLUR_PX = 3
"""The optics of a 160 x 120 core do not resolve its single pixels."""
# The 8-bit picture spans 0 to 51 degC, 0.2 K a count.
_GREY_ZERO_K, _GREY_STEP_K = 273.15, 0.2


class Thermal:
    """float32 (height, width) kelvin, or uint8 grey where the config says grey8."""

    rate_hz = 9.0
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        height, width = config.height or 120, config.width or 160
        self.shape: tuple[int, ...] = (height, width)
        self.grey = config.grey8
        self.dtype, self.unit = ("uint8", "grey8") if self.grey else ("float32", "K")
        self._noise = Noise(config.seed, 4)
        self._picture = Picture(World(config.seed), "thermal", height, width, LENS)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, height, width) at event times t_ns; `first` is the index of the first sample."""
        return join([self._frame(first + i, int(t)) for i, t in enumerate(t_ns)])

    def _frame(self, index: int, t_ns: int) -> NDArray[Any]:
        frame: NDArray[Any] = self._picture.frame(t_ns)[1]
        noise = np.float32(_NOISE_K) * self._noise.image(index, (self.shape[0], self.shape[1]))
        frame = np.asarray(cv2.blur(frame, (_BLUR_PX, _BLUR_PX)) + noise, np.float32)
        if self.grey:
            frame = np.asarray(np.clip((frame - _GREY_ZERO_K) / _GREY_STEP_K, 0, 255), np.uint8)
        return frame

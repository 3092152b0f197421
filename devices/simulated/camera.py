"""The simulated camera: the scene in colours, with the noise of a small sensor."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.simulated.canvas import Lens
from devices.simulated.config import SimulatedConfig
from devices.simulated.picture import Picture, join
from devices.simulated.world import World
from stream_bind.messages import IntArray

__all__ = ["Camera"]

LENS = Lens(hfov_deg=78.0)
"""As a common webcam or headset camera."""
_NOISE_SIGMA = 3.0
"""Counts: a small sensor indoors."""
_NOISE_FRAMES = 8


class Camera:
    """uint8 RGB frames (height, width, 3)."""

    rate_hz = 30.0
    dtype = "uint8"
    unit = "rgb8"
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        height, width = config.height or 240, config.width or 320
        self.shape: tuple[int, ...] = (height, width, 3)
        self._picture = Picture(World(config.seed), "colour", height, width, LENS)
        rng = np.random.default_rng([config.seed, 0xCA3E4A])
        # One long strip of noise, read from another place for every frame: drawing fresh noise costs 4 ms a frame.
        strip = rng.normal(0.0, _NOISE_SIGMA, (height + 64, width, 3)).round().astype(np.int16)
        self._noise = strip

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, height, width, 3) uint8 at event times t_ns; `first` is the index of the first sample."""
        return join([self._frame(first + i, int(t)) for i, t in enumerate(t_ns)])

    def _frame(self, index: int, t_ns: int) -> NDArray[Any]:
        _, frame = self._picture.frame(t_ns)
        top = (index * 37) % 64
        noise = self._noise[top : top + self.shape[0]]
        return np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U))

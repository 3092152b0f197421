"""The simulated depth sensor: ranges of the scene in metres, with the holes real sensors have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.canvas import Lens
from devices.simulated.config import SimulatedConfig
from devices.simulated.picture import Picture, join
from devices.simulated.world import Noise, World
from stream_bind.messages import IntArray

__all__ = ["Depth"]

LENS = Lens(hfov_deg=70.0, offset=(0.0, -0.03, 0.02))
"""As a stereo depth camera beside the colour camera."""
# Stereo and ToF sensors lose a few percent of the pixels to glare, edges and their own parallax.
_HOLE_SIGMA = 2.0
_NOISE_SHARE = 0.004
"""Of the range, one sigma: a stereo camera at 2 m is good to about a centimetre."""
_NEAREST_M, _FARTHEST_M = 0.15, 16.0


class Depth:
    """float32 (height, width) metres; NaN where there is no measurement."""

    rate_hz = 15.0
    dtype = "float32"
    unit = "m"
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        height, width = config.height or 120, config.width or 160
        self.shape: tuple[int, ...] = (height, width)
        self._noise = Noise(config.seed, 3)
        self._picture = Picture(World(config.seed), "depth", height, width, LENS)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, height, width) float32 metres at event times t_ns; `first` is the index of the first sample."""
        return join([self._frame(first + i, int(t)) for i, t in enumerate(t_ns)])

    def _frame(self, index: int, t_ns: int) -> NDArray[np.float32]:
        _, frame = self._picture.frame(t_ns)
        noise = self._noise.image(index, (self.shape[0], self.shape[1]))
        frame[(noise > _HOLE_SIGMA) | (frame < _NEAREST_M) | (frame > _FARTHEST_M)] = np.nan
        frame *= 1.0 + np.float32(_NOISE_SHARE) * noise
        # The left edge is seen by one of two imagers only.
        frame[:, : self.shape[1] // 40] = np.nan
        return np.asarray(frame, dtype=np.float32)

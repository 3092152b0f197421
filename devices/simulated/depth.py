"""The simulated depth sensor: ranges of the shared world in metres, with the holes real sensors have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.picture import Picture, join
from devices.simulated.world import Noise, Scene, Thing, World
from stream_bind.messages import IntArray

__all__ = ["Depth"]

# Stereo and ToF sensors lose a few percent of the pixels to glare, edges and their own parallax.
_HOLE_SIGMA = 2.0
_NOISE_M = 0.01


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
        self._picture = Picture(World(config.seed), height, width, _plate, _ink)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, height, width) float32 metres at event times t_ns; `first` is the index of the first sample."""
        return join([self._frame(first + i, int(t)) for i, t in enumerate(t_ns)])

    def _frame(self, index: int, t_ns: int) -> NDArray[np.float32]:
        _, frame = self._picture.frame(t_ns)
        noise = self._noise.image(index, (self.shape[0], self.shape[1]))
        frame += np.float32(_NOISE_M) * noise
        frame[noise > _HOLE_SIGMA] = np.nan
        # The left edge is seen by one of two imagers only.
        frame[:, : self.shape[1] // 40] = np.nan
        return np.asarray(frame, dtype=np.float32)


def _plate(scene: Scene, h: int, w: int) -> NDArray[Any]:
    """A wall at the scene's distance above, a floor that comes nearer below."""
    fall = np.clip((np.arange(h) / h - 0.45) / 0.55, 0, 1)
    rows = scene.distance_m * (1 - 0.8 * fall)
    return np.repeat(rows[:, None], w, axis=1).astype(np.float32)


def _ink(scene: Scene, thing: Thing) -> Any:
    return np.float32(thing.range_m)

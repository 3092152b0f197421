"""The simulated camera: coloured shapes that move before a background in the scene's colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.picture import Picture, join
from devices.simulated.world import Scene, Thing, World
from stream_bind.messages import IntArray

__all__ = ["Camera"]


class Camera:
    """uint8 RGB frames (height, width, 3)."""

    rate_hz = 30.0
    dtype = "uint8"
    unit = "rgb8"
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        height, width = config.height or 240, config.width or 320
        self.shape: tuple[int, ...] = (height, width, 3)
        self._picture = Picture(World(config.seed), height, width, _plate, _ink)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, height, width, 3) uint8 at event times t_ns; `first` is the index of the first sample."""
        return join([self._picture.frame(int(t))[1] for t in t_ns])


def _plate(scene: Scene, h: int, w: int) -> NDArray[Any]:
    """Lighter above than below, with a chequered texture so that sway and resizing show."""
    y, x = np.mgrid[0:h, 0:w]
    shade = scene.light * (1.1 - 0.5 * y / h) * (1.0 - 0.12 * ((x * 10 // h + y * 10 // h) % 2))
    return np.asarray(np.clip(shade[:, :, None] * np.asarray(scene.colour), 0, 255), dtype=np.uint8)


def _ink(scene: Scene, thing: Thing) -> Any:
    return np.clip(np.asarray(thing.colour) * scene.light, 0, 255).astype(np.uint8)

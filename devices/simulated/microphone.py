"""The simulated microphone: what sounds in the scene, and its own noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.sound import Sound
from devices.simulated.world import Noise, World
from stream_bind.messages import IntArray

__all__ = ["Microphone"]

_NOISE = 3e-4
"""-70 dB of full scale: a MEMS capsule of 65 dB(A) signal to noise at 94 dB SPL, turned up for a quiet room."""


class Microphone:
    """float32 (channels,) in [-1, 1]."""

    rate_hz = 48000.0
    dtype = "float32"
    unit = "full_scale"
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        self.shape: tuple[int, ...] = (config.channels or 1,)
        self._rate_hz = config.rate_hz or self.rate_hz
        self._world = World(config.seed)
        self._noise = Noise(config.seed, 1)
        self._sound: Sound | None = None

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, channels) float32 at event times t_ns; `first` is the index of the first sample."""
        out = np.empty((len(t_ns), self.shape[0]), dtype=np.float32)
        for scene, span, age_s in self._world.spans(t_ns):
            if self._sound is None or self._sound.scene != scene:
                self._sound = Sound(scene, self._rate_hz)
            heard = self._sound.at(age_s)
            for channel in range(self.shape[0]):
                noise = self._noise.at(first + span.start, span.stop - span.start, stride=1 + 2 * channel)
                out[span, channel] = np.clip(heard * 0.9**channel + _NOISE * noise, -1.0, 1.0)
        return out

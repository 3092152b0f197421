"""The simulated microphone: the scene's hum, its noise and the wearer's steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.world import Noise, World, sine
from stream_bind.messages import IntArray

__all__ = ["Microphone"]


class Microphone:
    """float32 (channels,) in [-1, 1]."""

    rate_hz = 48000.0
    dtype = "float32"
    unit = "full_scale"
    axes: tuple[str, ...] = ()

    def __init__(self, config: SimulatedConfig) -> None:
        self.shape: tuple[int, ...] = (config.channels or 1,)
        self._world = World(config.seed)
        self._noise = Noise(config.seed, 1)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, channels) float32 at event times t_ns; `first` is the index of the first sample."""
        out = np.empty((len(t_ns), self.shape[0]), dtype=np.float32)
        for scene, span, age_s in self._world.spans(t_ns):
            hum = 0.5 * sine(age_s * scene.pitch_hz) + 0.2 * sine(age_s * (2 * scene.pitch_hz))
            # Every step is a noise burst that has faded after a third of the step.
            fade = 1.0 - (age_s * scene.tempo_hz) % 1.0
            fade *= fade
            fade *= fade
            fade *= fade
            loudness = 0.1 + (0.4 if scene.vigour else 0.0) * fade
            for channel in range(self.shape[0]):
                noise = self._noise.at(first + span.start, span.stop - span.start, stride=1 + 2 * channel)
                mixed = scene.level * (hum + loudness * noise) * (0.9**channel)
                out[span, channel] = np.clip(mixed, -1.0, 1.0)
        return out

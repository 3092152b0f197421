"""The simulated barometer in the headset: weather, height, wind, and the air of a bus.

Where nothing changes the pressure there is no signal: rooms are told apart by their height at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.motion import HeadMotion
from devices.simulated.world import FloatArray, Noise, Scene, World, sine
from stream_bind.messages import IntArray

__all__ = ["PA_PER_M", "Barometer", "stairs_m"]

PA_PER_M = 12.0
"""Air of 1.22 kg/m^3 (15 degC, sea level) weighs 12.0 N/m^3."""
_AIR_KGPM3 = 1.2
# Bosch BMP390 data sheet: 0.02 Pa rms at its slowest setting; fast, with little oversampling, some tenths of a pascal.
# Its absolute accuracy is 50 Pa.
_NOISE_PA = 0.3
_OFFSET_PA = 50.0
_STEP_M = 0.17
"""Height of a comfortable step; one is taken at every beat."""
_FELT_SHARE = 0.35
"""Of the dynamic pressure, behind the small hole of a housing that is not aimed at the wind."""

_WIND_MPS = {
    "dog_walk": (0.5, 3.0),
    "beach_run": (2.0, 6.0),
    "cycling": (1.0, 4.0),
    "rowing": (1.0, 4.0),
    "camp_fire": (0.2, 1.0),
}
"""Wind at the head, where there is any."""
_SLOPE = {"dog_walk": 0.01, "cycling": 0.015, "bus_ride": 0.02}
"""How steep the road may be, up or down."""


def stairs_m(scene: Scene, age_s: FloatArray) -> FloatArray:
    """(n,): how far the wearer has climbed in `scene` at ages (n,)."""
    step_m = _STEP_M if scene.name == "stairs" else 0.0
    return np.asarray(step_m * scene.tempo_hz * age_s)


class Barometer:
    """float32 (1,) pascals, or in the unit of the config."""

    rate_hz = 25.0
    dtype = "float32"

    def __init__(self, config: SimulatedConfig) -> None:
        self.axes = config.axes or ("pressure",)
        self.shape: tuple[int, ...] = (1,)
        self.unit = config.unit or "Pa"
        self._scale = {"hPa": 0.01, "mbar": 0.01, "kPa": 0.001}.get(self.unit, 1.0)
        self._world = World(config.seed)
        self._noise = Noise(config.seed, 5)
        self._air: _Air | None = None
        rng = np.random.default_rng([config.seed, 0xBA50])
        self._day_pa = 101_325.0 + float(rng.uniform(-1500.0, 1500.0)) + float(rng.normal(0.0, _OFFSET_PA / 2))
        self._ground_m = float(rng.uniform(0.0, 400.0))
        # Weather: some hectopascals in a day and a half, some pascals in a quarter of an hour.
        self._weather = [
            (float(rng.uniform(150.0, 500.0)), 1.3e5 * float(rng.uniform(0.8, 1.2)), float(rng.uniform())),
            (float(rng.uniform(2.0, 6.0)), 900.0 * float(rng.uniform(0.8, 1.2)), float(rng.uniform())),
        ]

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, 1) float32 at event times t_ns; `first` is the index of the first sample."""
        out = np.empty((len(t_ns), 1))
        for scene, span, age_s in self._world.spans(t_ns):
            if self._air is None or self._air.scene is not scene:
                self._air = _Air(scene)
            out[span, 0] = self._air.pressure_pa(age_s)
        t_s = t_ns.astype(np.float64) * 1e-9
        for amplitude_pa, period_s, turns in self._weather:
            out[:, 0] += amplitude_pa * sine(t_s / period_s + turns)
        out[:, 0] += self._day_pa - PA_PER_M * self._ground_m
        out[:, 0] += _NOISE_PA * self._noise.at(first, len(t_ns))
        out *= self._scale
        return out.astype(np.float32)


class _Air:
    """What one scene adds to the pressure of the day at the height of the town."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._motion = HeadMotion(scene)
        rng = scene.rng("barometer")
        # Houses stand a little higher or lower, and rooms are on some floor.
        self._place_m = float(rng.uniform(-8.0, 8.0)) + scene.eye_m
        self._slope = float(rng.uniform(-1.0, 1.0)) * _SLOPE.get(scene.name, 0.0)
        wind = _WIND_MPS.get(scene.name)
        self._wind_mps = 0.0 if wind is None else float(rng.uniform(*wind))
        self._windy = wind is not None
        self._ahead = float(rng.uniform(-1.0, 1.0))
        hz = np.array([0.07, 0.17, 0.4, 0.9, 1.9]) * rng.uniform(0.7, 1.4, 5)
        # Gusts lose strength with frequency as turbulence does (-5/3 of the power).
        self._gusts = [(0.45 * (f / 0.1) ** -0.4 / 5**0.5, float(f), float(rng.uniform())) for f in hz]
        self._vents = [(float(rng.uniform(0.5, 1.5)), float(f), float(rng.uniform())) for f in rng.uniform(0.1, 1.2, 4)]
        # Passing lorries push the air in a bus for half a second.
        self._pushes = [
            (float(rng.uniform(0.0, 10.0)), float(rng.uniform(3.0, 9.0))) for _ in range(rng.integers(0, 3))
        ]

    def pressure_pa(self, age_s: FloatArray) -> FloatArray:
        """(n,) pascals at ages (n,), against the pressure of the day at the height of the town."""
        scene = self.scene
        climbed_m = stairs_m(scene, age_s) + self._slope * scene.speed_mps * age_s
        pressure = -PA_PER_M * (self._place_m + self._motion.height_m(age_s) + climbed_m)
        if self._windy:
            pressure += _FELT_SHARE * self._dynamic_pa(age_s)
        if scene.name == "bus_ride":
            for amplitude_pa, hz, turns in self._vents:
                pressure += amplitude_pa * sine(hz * age_s + turns)
            for at_s, amplitude_pa in self._pushes:
                # A quarter of a second up, a quarter down.
                near = np.maximum(0.0, 1.0 - np.abs(age_s - at_s) * 4.0)
                pressure += amplitude_pa * near * near * (3.0 - 2.0 * near)
        return pressure

    def _dynamic_pa(self, age_s: FloatArray) -> FloatArray:
        """Half the density of air times the square of its speed past the head."""
        gusty = np.ones(len(age_s))
        for share, hz, turns in self._gusts:
            gusty += share * sine(hz * age_s + turns)
        wind = self._wind_mps * gusty
        along = self.scene.speed_mps + self._ahead * wind
        aside = (1.0 - self._ahead * self._ahead) * wind * wind
        return 0.5 * _AIR_KGPM3 * (along * along + aside)

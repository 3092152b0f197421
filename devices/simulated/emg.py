"""The simulated armband: what the muscles of the right forearm do, as electrodes around it pick it up.

Surface EMG is noise whose strength follows the effort. Places around the arm are given in turns: 0 over the muscles
that close the hand, 0.5 over those that open it and lift the wrist, fingers in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.config import SimulatedConfig
from devices.simulated.world import FloatArray, Scene, World, sine
from stream_bind.messages import IntArray

__all__ = ["Emg"]

_REST_MV = 0.006
"""Electrodes and amplifier: some microvolts. A hard grip gives some tenths of a millivolt rms."""
_BAND_HZ = (20.0, 95.0)
"""Most of the power of surface EMG lies above 20 Hz; an armband of 200 samples a second sees it up to 95."""
_TABLE = 65537
_TAP_S = 0.07


@dataclass(frozen=True, slots=True)
class _Effort:
    """One muscle at work: always by `steady`, and by `mv` more in swells that come `per_beat` times a beat."""

    muscle: float
    mv: float = 0.0
    steady: float = 0.0
    per_beat: float = 1.0
    centre: float = 0.0
    """Turns after the beat at which a swell is strongest."""
    sharp: int = 0
    """0: as long as the pause; every 2 more halve the length."""


@dataclass(frozen=True, slots=True)
class _Taps:
    """Fingers that strike keys, each with its own muscle, at shares of a beat with a chance of `chance`."""

    mv: float
    steady: float
    shares: tuple[float, ...]
    chance: float


_CLOSE, _OPEN, _THUMB = 0.0, 0.5, 0.2

_WORK: dict[str, tuple[_Effort, ...]] = {
    "dog_walk": (_Effort(_CLOSE, 0.05, 0.09, 0.5, 0.3), _Effort(_OPEN, 0.02, 0.02, 0.5, 0.8)),
    "supermarket": (_Effort(_CLOSE, 0.03, 0.07, 0.5, 0.2), _Effort(_OPEN, 0.03, 0.06, 1.0, 0.1)),
    "beach_run": (_Effort(_CLOSE, 0.05, 0.03, 0.5, 0.2, 1), _Effort(_OPEN, 0.05, 0.02, 0.5, 0.7, 1)),
    "stairs": (_Effort(_CLOSE, 0.10, 0.02, 0.5, 0.3, 1), _Effort(_OPEN, 0.02, 0.02, 0.5, 0.8)),
    "cycling": (_Effort(_CLOSE, 0.02, 0.12), _Effort(_OPEN, 0.02, 0.08, 1.0, 0.5)),
    "washing_up": (
        _Effort(_CLOSE, 0.12, 0.10, 1.0, 0.1),
        _Effort(_OPEN, 0.10, 0.03, 1.0, 0.6),
        _Effort(_THUMB, 0.08, 0.05, 2.0, 0.3),
    ),
    "vacuuming": (_Effort(_CLOSE, 0.16, 0.12, 1.0, 0.75), _Effort(_OPEN, 0.12, 0.03, 1.0, 0.25)),
    # The grip tightens before the blow and takes it; the wrist is lifted in between.
    "hammering": (_Effort(_CLOSE, 0.65, 0.15, 1.0, -0.04, 4), _Effort(_OPEN, 0.25, 0.04, 1.0, 0.5, 1)),
    # The oars are pulled through the first half of a beat and feathered after it.
    "rowing": (_Effort(_CLOSE, 0.45, 0.06, 1.0, 0.23, 1), _Effort(_OPEN, 0.16, 0.02, 1.0, 0.68, 2)),
    "tooth_brushing": (
        _Effort(_CLOSE, 0.10, 0.08, 1.0, 0.0),
        _Effort(_OPEN, 0.12, 0.03, 1.0, 0.5),
        _Effort(_THUMB, 0.0, 0.10),
    ),
}
"""Who is not named here rests, or plays."""
_PLAY: dict[str, _Taps] = {
    "typing": _Taps(0.12, 0.025, (0.0,), 0.9),
    "piano": _Taps(0.22, 0.04, (0.0, 0.5), 0.8),
}


class Emg:
    """float32 (channels,) millivolts, or in the unit of the config; electrodes follow one another around the arm."""

    rate_hz = 200.0
    dtype = "float32"

    def __init__(self, config: SimulatedConfig) -> None:
        n = config.channels or len(config.axes or ()) or 8
        self.axes = config.axes or tuple(f"emg_{i + 1}" for i in range(n))
        self.shape: tuple[int, ...] = (n,)
        self.unit = config.unit or "mV"
        self._scale = {"uV": 1000.0, "V": 0.001}.get(self.unit, 1.0)
        self._world = World(config.seed)
        self._hand: _Hand | None = None
        rng = np.random.default_rng([config.seed, 0xE46])
        # Nobody puts a band on twice in the same way, and skin is not everywhere the same.
        self._places = (np.arange(n) / n + float(rng.uniform())) % 1.0
        self._gains = rng.uniform(0.8, 1.25, n)
        self._carrier = _band_noise(rng, config.rate_hz or self.rate_hz)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, channels) float32 at event times t_ns; `first` is the index of the first sample."""
        n_channels = self.shape[0]
        strength = np.full((len(t_ns), n_channels), _REST_MV)
        for scene, span, age_s in self._world.spans(t_ns):
            if self._hand is None or self._hand.scene is not scene:
                self._hand = _Hand(scene)
            for muscle, effort_mv in self._hand.efforts_mv(age_s):
                strength[span] += effort_mv[:, None] * (self._gains * _reach(self._places, muscle))
        rows = np.arange(first, first + len(t_ns), dtype=np.int64)[:, None]
        carrier = self._carrier[(rows + np.arange(n_channels) * 7919) % _TABLE]
        return np.asarray(strength * carrier * self._scale, dtype=np.float32)


class _Hand:
    """What the right hand does in one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        rng = scene.rng("emg")
        self._efforts = _WORK.get(scene.name, ())
        self._rise = float(rng.uniform())
        self._steady_mv, self._tap_mv, times_s = 0.0, 0.0, np.zeros(0)
        play = _PLAY.get(scene.name)
        if play is not None:
            self._steady_mv, self._tap_mv = play.steady, play.mv
            beats_s = scene.beats_s(-1.0, 10.0)
            every = np.sort(np.concatenate([beats_s + share / scene.tempo_hz for share in play.shares]))
            times_s = every[rng.uniform(size=len(every)) < play.chance]
        # The muscle acts before the key is down.
        self._taps_s = times_s - 0.03
        self._fingers = rng.choice((-0.12, 0.0, 0.1, 0.22), len(times_s))
        self._force = rng.uniform(0.6, 1.4, len(times_s))

    def efforts_mv(self, age_s: FloatArray) -> list[tuple[float, FloatArray]]:
        """(place of the muscle, its strength (n,)) of all that work at ages (n,), ascending."""
        vigour = self.scene.vigour
        # No effort is held evenly.
        drift = vigour * (1.0 + 0.2 * sine(0.3 * age_s + self._rise))
        out = []
        beat = self.scene.tempo_hz * age_s + (1.0 - self.scene.phase)
        for effort in self._efforts:
            # 1 more keeps what sine is asked for positive; 0.25 makes it a cosine.
            swell = 0.5 + 0.5 * sine(effort.per_beat * beat - effort.centre + 1.25)
            for _ in range(effort.sharp):
                swell = swell * swell
            out.append((effort.muscle, drift * (effort.steady + effort.mv * swell)))
        if self._steady_mv:
            out.append((_OPEN, drift * self._steady_mv))
            out.extend(self._tapping(age_s))
        return out

    def _tapping(self, age_s: FloatArray) -> list[tuple[float, FloatArray]]:
        if len(age_s) == 0:
            return []
        first, last = np.searchsorted(self._taps_s, (age_s[0] - _TAP_S, age_s[-1]))
        out = []
        for i in range(int(first), int(last)):
            u = np.clip((age_s - self._taps_s[i]) / _TAP_S, 0.0, 1.0)
            burst = 4.0 * u * (1.0 - u)
            out.append((float(self._fingers[i]), self._tap_mv * self.scene.vigour * self._force[i] * burst))
        return out


def _reach(places: FloatArray, muscle: float) -> FloatArray:
    """(n,): how much of a muscle the electrodes at `places` pick up; a quarter of the arm away it is a tenth."""
    off = np.abs((places - muscle + 0.5) % 1.0 - 0.5)
    return np.asarray(np.exp(-37.0 * off * off))


def _band_noise(rng: np.random.Generator, rate_hz: float) -> FloatArray:
    """(_TABLE,) unit-variance noise of the EMG's band whose end joins its beginning."""
    spectrum = np.fft.rfft(rng.standard_normal(_TABLE))
    hz = np.fft.rfftfreq(_TABLE, 1.0 / rate_hz)
    high_hz = min(_BAND_HZ[1], 0.475 * rate_hz)
    low_hz = min(_BAND_HZ[0], 0.2 * high_hz)
    noise = np.fft.irfft(np.where((hz >= low_hz) & (hz <= high_hz), spectrum, 0.0), _TABLE)
    return np.asarray(noise / noise.std())

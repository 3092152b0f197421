"""A score: everything that sounds in one scene, as tables and when and how loud they are played."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from devices.simulated.sounds.tables import Bins, Samples, Spectrum, cycle, db, noise, wander, white
from devices.simulated.world import SCENE_NS, FloatArray, Scene

__all__ = ["CONTROL_HZ", "SCENE_S", "Bed", "Hit", "Later", "Score", "Stroke", "Tone"]

SCENE_S = SCENE_NS * 1e-9
CONTROL_HZ = 100.0
"""Gains and pitches are given at this rate and run straight between its points."""
_LOOP_S = 2.5
_VOICE: Spectrum = ((80, -24), (160, -4), (450, 0), (1200, -9), (3500, -24), (8000, -45))


@dataclass(frozen=True, slots=True)
class Bed:
    """Noise that lasts: a table in a loop."""

    table: Samples
    first: int
    """Index in the table at the scene's beginning."""
    gains: FloatArray | float
    """At the control rate from the scene's beginning, or constant."""


@dataclass(frozen=True, slots=True)
class Tone:
    """One cycle, played at a pitch that may change."""

    table: Samples
    turns: FloatArray
    """Cycles gone by at the control rate."""
    gains: FloatArray | float


class Later:
    """A stroke that is made when it is first heard: a dozen notes made at once would hold up a reader."""

    def __init__(self, length: int, make: Callable[[], Samples]) -> None:
        """length: samples that `make` will give. It must draw nothing from the score."""
        self._length = length
        self._make = make
        self._samples: Samples | None = None

    def __len__(self) -> int:
        return self._length

    def samples(self) -> Samples:
        if self._samples is None:
            self._samples = self._make()
        return self._samples


Stroke = Samples | Later


@dataclass(frozen=True, slots=True)
class Hit:
    """A short sound at a time: its first sample falls on the sample nearest to `at_s`."""

    at_s: float
    stroke: Stroke
    gain: float


class Score:
    """Collects what sounds. Levels are in dB of full scale: rms of beds and tones, peak of strokes.

    `near=True` is said of what the wearer makes or carries: its level does not depend on the scene's distance.
    """

    def __init__(self, scene: Scene, rate_hz: float) -> None:
        self.scene = scene
        self.rate_hz = rate_hz
        self.rng = scene.rng("sound")
        """Draws everything but noise; what is drawn from it must not depend on the rate."""
        self.times_s = np.arange(int(SCENE_S * CONTROL_HZ) + 2) / CONTROL_HZ
        self.beds: list[Bed] = []
        self.tones: list[Tone] = []
        self.hits: list[Hit] = []
        self._noises = 0
        self._bins: Bins | None = None

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def wander(self, hz: float) -> FloatArray:
        """A slow random curve at the control rate, about -1.5 to 1.5."""
        return wander(self.rng, self.times_s, hz * self.between(0.75, 1.3))

    def swell(self, hz: float, depth_db: float) -> FloatArray:
        """A slow random gain about 1 at the control rate, up and down by up to 1.5 times `depth_db`."""
        return np.asarray(10.0 ** (self.wander(hz) * depth_db / 20.0))

    def at_random(self, per_s: float, start_s: float = 0.0, end_s: float = SCENE_S) -> FloatArray:
        """Sorted times of a Poisson process in [start_s, end_s)."""
        n = int(self.rng.poisson(max(0.0, per_s * (end_s - start_s))))
        return np.sort(self.rng.uniform(start_s, end_s, n))

    def beats(self) -> FloatArray:
        """The scene's beats, from a second before it begins: their ends are still heard."""
        return self.scene.beats_s(-1.0, SCENE_S)

    def varied(self, spectrum: Spectrum) -> Spectrum:
        """The same character in other words: shifted by up to a quarter octave, tilted and bent by some dB."""
        shift = 2.0 ** self.between(-0.25, 0.25)
        tilt = self.between(-1.2, 1.2)
        bends = self.rng.uniform(-1.5, 1.5, len(spectrum))
        return [
            (hz * shift, level + tilt * float(np.log2(hz / 1000)) + float(bend))
            for (hz, level), bend in zip(spectrum, bends, strict=True)
        ]

    def noise(self, spectrum: Spectrum, length_s: float) -> Samples:
        """At least `length_s` of noise of rms 1, its own each time."""
        # Whole hundredths of a second: lengths that are primes take a transform ten times as long.
        length_s = math.ceil(length_s * 100) / 100
        return noise(self._white(length_s), self.rate_hz, length_s, spectrum)

    def _white(self, length_s: float) -> Bins:
        self._noises += 1
        return white(self.scene.rng(f"noise {self._noises}"), self.rate_hz, length_s)

    def factor(self, near: bool) -> float:
        """What the scene's loudness and distance make of a level."""
        return self.scene.loudness if near else self.scene.loudness / self.scene.distance

    def bed(self, spectrum: Spectrum, level_db: float, gains: FloatArray | float = 1.0, *, near: bool = False) -> None:
        """Lasting noise of this spectrum, varied."""
        self._bed(self.varied(spectrum), gains * (db(level_db) * self.factor(near)))

    def tone(
        self,
        harmonics: Sequence[float],
        pitch_hz: FloatArray | float,
        level_db: float,
        gains: FloatArray | float = 1.0,
        *,
        near: bool = False,
    ) -> None:
        """A lasting tone; `harmonics` are amplitudes from the first on."""
        self._tone(harmonics, pitch_hz, gains * (db(level_db) * self.factor(near)))

    def hit(self, at_s: float, stroke: Stroke, level_db: float, *, near: bool = False) -> None:
        """A stroke (of peak 1) at `at_s`."""
        self.hits.append(Hit(at_s, stroke, db(level_db) * self.factor(near)))

    def play(
        self,
        at_s: Iterable[float],
        strokes: Sequence[Stroke],
        level_db: float,
        spread_db: float = 2.0,
        *,
        near: bool = False,
    ) -> None:
        """One of `strokes` at each time, louder and softer by about `spread_db`."""
        for t in at_s:
            stroke = strokes[int(self.rng.integers(len(strokes)))]
            self.hit(float(t), stroke, level_db + spread_db * float(self.rng.normal()), near=near)

    def background(self) -> None:
        """What is always there, of the same kinds in every scenario and of levels that tell nothing."""
        self._bed(
            self.varied([(30, 6), (120, 0), (1000, -12 + self.between(-8, 8)), (10000, -30 + self.between(-12, 12))]),
            db(self.between(-64, -50)),
        )
        if self.chance(0.5):
            traffic: Spectrum = ((30, 0), (80, 3), (300, -6), (1000, -14), (4000, -36))
            self._bed(self.varied(traffic), self.swell(0.3, 4) * db(self.between(-62, -48)))
        if self.chance(0.35):
            self._bed(self.varied(_VOICE), self.syllables() * db(self.between(-64, -52)))
        if self.chance(0.35):
            hum = [1.0, 0.7, 0.3, 0.25, 0.1, 0.1]
            self._tone(hum, 50.0 if self.chance(0.7) else 60.0, db(self.between(-68, -54)))

    def syllables(self) -> FloatArray:
        """Gains that rise and fall as speech does, some four times a second, with pauses."""
        return np.clip(self.wander(4.0), 0, None) * np.clip(self.wander(0.6) + 0.8, 0, 1.5)

    def voices(self, level_db: float) -> None:
        """Far people talking: a murmur without words."""
        for _ in range(2):
            self.bed(_VOICE, level_db, self.syllables())

    def _bed(self, spectrum: Spectrum, gains: FloatArray | float) -> None:
        # Beds share their random bins, a third of what a table costs: begun at other places they are strangers.
        if self._bins is None:
            self._bins = self._white(_LOOP_S)
        table = noise(self._bins, self.rate_hz, _LOOP_S, spectrum)
        self.beds.append(Bed(table, round(self.between(0, _LOOP_S) * self.rate_hz), gains))

    def _tone(self, harmonics: Sequence[float], pitch_hz: FloatArray | float, gains: FloatArray | float) -> None:
        pitches = np.broadcast_to(pitch_hz, self.times_s.shape)
        turns = np.concatenate([[0.0], np.cumsum(pitches[:-1])]) / CONTROL_HZ
        highest = int(0.45 * self.rate_hz / float(pitches.max()))
        self.tones.append(Tone(cycle(self.rng, harmonics, highest), turns, gains))

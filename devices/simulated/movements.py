"""What a head's motion is put together from: waves, shocks and glances.

One list of movements a scene. How much of which a walk or a bus has is said in `gaits`; what the camera sees and what
the IMU feels of them is worked out in `motion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from devices.simulated.world import FloatArray, Scene

__all__ = ["AXES", "FELT", "Burst", "Glance", "Movements", "Wave"]

AXES = ("x", "y", "z", "yaw", "pitch", "roll")
"""Degrees of freedom of the head: metres forward, left and up; radians as in canvas.Pose."""
FELT = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
"""What is felt alone: m/s^2 along the scene's axes, rad/s about the head's."""

_SCENE_S = 10.0


@dataclass(frozen=True, slots=True)
class Wave:
    """amplitude * sin(2 pi (hz * age + turns)) on one axis."""

    axis: str
    amplitude: float
    """Of one of AXES in m or rad, of one of FELT in m/s^2 or rad/s."""
    hz: float
    turns: float


@dataclass(frozen=True, slots=True)
class Burst:
    """A damped ringing that begins at each of `times_s`, felt alone: its displacement is microscopic."""

    times_s: FloatArray
    factors: FloatArray
    """(len(times_s),): strength of each."""
    peaks: tuple[float, float, float, float, float, float]
    """On each of FELT."""
    hz: float
    length_s: float


@dataclass(frozen=True, slots=True)
class Glance:
    """A turn of the head to somewhere and back, with the smooth speed of a reaching movement (minimum jerk)."""

    start_s: float
    move_s: float
    hold_s: float
    yaw: float
    pitch: float

    @property
    def length_s(self) -> float:
        return 2 * self.move_s + self.hold_s


class Movements:
    """The movements of one scene, all scaled by its vigour."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.rng = scene.rng("motion")
        self.waves: list[Wave] = []
        self.bursts: list[Burst] = []
        self.glances: list[Glance] = []
        self.posture = {"yaw": self._near(0.03), "pitch": self._near(0.05), "roll": self._near(0.025)}
        """How the head is held all the time, besides the stage's gaze: radians."""

    def beat(self, axis: str, amplitude: float, per_beat: float = 1.0, turns: float = 0.0) -> None:
        """A wave locked to the rhythm; at a beat its sine is at `turns` (0.75: lowest, being pushed up)."""
        s = self.scene
        # beat(age) = tempo * age - phase + 1.
        self.wave(axis, amplitude, per_beat * s.tempo_hz, per_beat * (1.0 - s.phase) + turns)

    def sway(self, axis: str, amplitude: float, hz: tuple[float, float], n: int = 3) -> None:
        """Irregular slow motion: n waves of random frequencies and phases, together about `amplitude` at their most."""
        for hz_one in self.rng.uniform(*hz, n):
            self.wave(axis, amplitude / n**0.5 * self._about(1.0, 0.3), float(hz_one), float(self.rng.uniform()))

    def buzz(self, axis: str, rms: float, hz: tuple[float, float], n: int = 6) -> None:
        """Band-limited vibration of a road or a motor, felt alone; `rms` in m/s^2 or rad/s."""
        self.sway(axis, rms * 2**0.5, hz, n)

    def strike(self, up: float, forward: float = 0.0, aside: float = 0.0, *, hz: float = 13.0,
               length_s: float = 0.18, spread: float = 0.15) -> None:  # fmt: skip
        """The shock of a footfall or a blow at every beat: peaks in m/s^2.

        The trunk and the neck let little above 20 Hz through: it arrives at the head as a short, low ringing.
        """
        times_s = self.scene.beats_s(-length_s, _SCENE_S)
        self._burst(times_s, (forward, aside, up, 0.3 * aside / 3, 0.3 * (up + forward) / 9, 0.0), hz, length_s, spread)

    def bumps(self, most: int, up: float, *, hz: float, length_s: float) -> None:
        """Up to `most` bumps at random times."""
        times_s = np.sort(self.rng.uniform(0.0, _SCENE_S, int(self.rng.integers(0, most + 1))))
        self._burst(times_s, (0.25 * up, 0.25 * up, up, 0.02 * up, 0.04 * up, 0.01 * up), hz, length_s, 0.35)

    def glance_about(self, most: int, yaw: float, pitch: float) -> None:
        """One to `most` glances at random times, up to `yaw` and `pitch` aside; never two at once."""
        n = int(self.rng.integers(1, most + 1))
        for i in range(n):
            start_s = (i + float(self.rng.uniform(0.0, 0.3))) * _SCENE_S / n
            longest_s = 0.65 * _SCENE_S / n
            move_s = min(float(self.rng.uniform(0.35, 0.8)), longest_s / 2.5)
            hold_s = float(self.rng.uniform(0.2, 1.0)) * max(0.0, longest_s - 2 * move_s)
            aside = float(self.rng.choice((-1.0, 1.0))) * yaw * float(self.rng.uniform(0.35, 1.0))
            self.glances.append(Glance(start_s, move_s, hold_s, aside, self._near(pitch)))

    def wave(self, axis: str, amplitude: float, hz: float, turns: float) -> None:
        """A wave of any frequency; with hz = 1 / s it repeats every s seconds from `turns` on."""
        self.waves.append(Wave(axis, amplitude * self.scene.vigour, hz, turns))

    def _burst(self, times_s: FloatArray, peaks: tuple[float, float, float, float, float, float], hz: float,
               length_s: float, spread: float) -> None:  # fmt: skip
        factors = self.scene.vigour * self.rng.uniform(1 - spread, 1 + spread, len(times_s))
        self.bursts.append(Burst(times_s, factors, peaks, hz * self._about(1.0, 0.1), length_s))

    def _near(self, most: float) -> float:
        return float(self.rng.uniform(-most, most))

    def _about(self, value: float, share: float) -> float:
        return value * float(self.rng.uniform(1 - share, 1 + share))

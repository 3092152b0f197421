"""The wearer's head through one scene: one motion that moves the pictures and is felt by the IMU.

Positions and angles are sums of sine waves and glances; what is felt are their exact derivatives, with gravity, and the
shocks and vibrations that are too small to be seen. Arithmetic is element by element and adds up in a fixed order, so a
sample is the same in chunks of any length.
"""

from __future__ import annotations

import importlib
import math

import numpy as np

from devices.simulated.canvas import Pose
from devices.simulated.gaits import movements_of
from devices.simulated.movements import AXES, FELT, Burst, Glance, Wave
from devices.simulated.stages.base import STAGES, Stage
from devices.simulated.world import FloatArray, Scene, sine

__all__ = ["GRAVITY_MPS2", "HeadMotion", "gaze_of"]

GRAVITY_MPS2 = 9.81
_TURN = 2 * math.pi
_Z = AXES.index("z")

# Rows of what the waves are worked out to: accelerations along the scene's axes, angles, rates of the angles, and what
# is added to the angular rate about the head's axes.
_ACCEL, _ANGLE, _RATE, _SPIN = 0, 3, 6, 9
_N_ROWS = 12


def gaze_of(scene: Scene) -> tuple[float, float]:
    """(yaw, pitch) in radians to which the head points on average: the gaze of the scene's stage."""
    module, _, name = STAGES[scene.name].partition(":")
    stage: type[Stage] = getattr(importlib.import_module(module), name)
    return stage.gaze


class HeadMotion:
    """The head's motion through one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        movements = movements_of(scene)
        self._posture = tuple(movements.posture.get(axis, 0.0) for axis in AXES)
        self._glances = movements.glances
        self._bursts = movements.bursts
        self._gaze: tuple[float, float] | None = None
        self._seen = [(AXES.index(w.axis), w.amplitude, w.hz, w.turns % 1.0) for w in movements.waves if w.axis in AXES]
        rows = sorted((row for wave in movements.waves for row in _derivatives(wave)), key=lambda row: row[0])
        table = np.array([row[1:] for row in rows])
        self._amplitudes, self._hz, self._turns = (table[:, i : i + 1].copy() for i in range(3))
        self._rows = [row[0] for row in rows]

    def pose(self, age_s: float) -> Pose:
        """Where the head is `age_s` into the scene, apart from the stage's gaze."""
        values = list(self._posture)
        for axis, amplitude, hz, turns in self._seen:
            values[axis] += amplitude * math.sin(_TURN * (hz * age_s + turns))
        for glance in self._glances:
            if glance.start_s < age_s < glance.start_s + glance.length_s:
                gone = float(_gone(glance, np.array([age_s]))[0][0])
                values[3] += gone * glance.yaw
                values[4] += gone * glance.pitch
        return Pose(*values)

    def felt(self, age_s: FloatArray, *, shaken: bool = True) -> FloatArray:
        """(n, 6) at ascending ages (n,): specific force in m/s^2 and angular rate in rad/s, x forward, y left, z up.

        A level head at rest reads +9.81 on z. `shaken=False` leaves out shocks and vibrations: what remains is the
        motion that `pose` describes.
        """
        sums = self._sums(age_s, shaken)
        yaw_rate, pitch_rate, roll_rate = sums[_RATE], sums[_RATE + 1], sums[_RATE + 2]
        gaze = self._gaze = self._gaze or gaze_of(self.scene)
        # Sines look up whole turns; 2 more keep what they are asked for positive.
        turns = (sums[_ANGLE : _ANGLE + 3] + np.array([[gaze[0]], [gaze[1]], [0.0]])) / _TURN + 2.0
        (sy, sp, sr), (cy, cp, cr) = sine(turns), sine(turns + 0.25)

        forward, left, up = sums[0], sums[1], sums[2] + GRAVITY_MPS2
        # Into the head's frame: undo yaw, then pitch (nose up), then roll (left ear up).
        ahead, aside = cy * forward + sy * left, cy * left - sy * forward
        above = cp * up - sp * ahead
        out = np.empty((len(age_s), 6))
        out[:, 0] = cp * ahead + sp * up
        out[:, 1] = cr * aside + sr * above
        out[:, 2] = cr * above - sr * aside
        out[:, 3] = roll_rate + sp * yaw_rate + sums[_SPIN]
        out[:, 4] = cp * sr * yaw_rate - cr * pitch_rate + sums[_SPIN + 1]
        out[:, 5] = cp * cr * yaw_rate + sr * pitch_rate + sums[_SPIN + 2]
        return out

    def height_m(self, age_s: FloatArray) -> FloatArray:
        """(n,): z of `pose` at ages (n,)."""
        height = np.zeros(len(age_s))
        for axis, amplitude, hz, turns in self._seen:
            if axis == _Z:
                height += amplitude * sine(hz * age_s + turns)
        return height

    def _sums(self, age_s: FloatArray, shaken: bool) -> FloatArray:
        """(12, n): see _ACCEL, _ANGLE, _RATE and _SPIN."""
        sums = np.zeros((_N_ROWS, len(age_s)))
        sums[_ANGLE : _ANGLE + 3] += np.array(self._posture[3:])[:, None]
        values = self._amplitudes * sine(self._hz * age_s + self._turns)
        # Row by row: a matrix product or a sum along an axis may round differently for different n.
        for row, value in zip(self._rows, values, strict=True):
            if row < _N_ROWS:
                sums[row] += value
            elif shaken:
                felt = row - _N_ROWS
                sums[felt if felt < 3 else _SPIN + felt - 3] += value
        if len(age_s) == 0:
            return sums
        for glance in self._glances:
            _add_glance(sums, age_s, glance)
        if shaken:
            for burst in self._bursts:
                _add_burst(sums, age_s, burst)
        return sums


def _derivatives(wave: Wave) -> list[tuple[int, float, float, float]]:
    """(row, amplitude, hz, turns in 0..1) of all that is felt of a wave; rows from _N_ROWS on are shaking alone."""
    w = _TURN * wave.hz
    if wave.axis in FELT:
        return [(_N_ROWS + FELT.index(wave.axis), wave.amplitude, wave.hz, wave.turns % 1.0)]
    axis = AXES.index(wave.axis)
    if axis < 3:
        return [(_ACCEL + axis, wave.amplitude * w * w, wave.hz, (wave.turns + 0.5) % 1.0)]
    return [
        (_ANGLE + axis - 3, wave.amplitude, wave.hz, wave.turns % 1.0),
        (_RATE + axis - 3, wave.amplitude * w, wave.hz, (wave.turns + 0.25) % 1.0),
    ]


def _gone(glance: Glance, age_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far a glance has gone, 0 to 1, and its rate per second: there, a hold, and back."""
    there = (age_s - glance.start_s) / glance.move_s
    back = there - 1.0 - glance.hold_s / glance.move_s
    returning = back > 0.0
    u = np.clip(np.where(returning, back, there), 0.0, 1.0)
    # Minimum-jerk reach (Flash and Hogan 1985).
    gone = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    rate = 30.0 * u * u * (1.0 - u) * (1.0 - u) / glance.move_s
    return np.where(returning, 1.0 - gone, gone), np.where(returning, -rate, rate)


def _add_glance(sums: FloatArray, age_s: FloatArray, glance: Glance) -> None:
    part = _between(age_s, glance.start_s, glance.start_s + glance.length_s)
    if part is None:
        return
    gone, rate = _gone(glance, age_s[part])
    for i, amount in enumerate((glance.yaw, glance.pitch)):
        sums[_ANGLE + i, part] += amount * gone
        sums[_RATE + i, part] += amount * rate


def _add_burst(sums: FloatArray, age_s: FloatArray, burst: Burst) -> None:
    first, last = np.searchsorted(burst.times_s, (age_s[0] - burst.length_s, age_s[-1] + 1e-9))
    for i in range(int(first), int(last)):
        part = _between(age_s, burst.times_s[i], burst.times_s[i] + burst.length_s)
        if part is None:
            continue
        since_s = age_s[part] - burst.times_s[i]
        # (1 - u)^4 stands in for exp(-5 u): it ends, and it rounds alike everywhere.
        fade = 1.0 - since_s / burst.length_s
        fade *= fade
        fade *= fade
        ringing = burst.factors[i] * fade * sine(since_s * burst.hz)
        for row, peak in zip((0, 1, 2, _SPIN, _SPIN + 1, _SPIN + 2), burst.peaks, strict=True):
            if peak:
                sums[row, part] += peak * ringing


def _between(age_s: FloatArray, start_s: float, end_s: float) -> slice | None:
    """The ascending ages in [start_s, end_s); None if there are none."""
    first, last = np.searchsorted(age_s, (start_s, end_s))
    return slice(int(first), int(last)) if last > first else None

"""Whether a motion sensor can be where it claims to be: gravity has its length, and turning turns it.

Pure: arrays in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.judge.verdict import Verdict
from stream_bind.messages import IntArray

__all__ = ["STANDARD_GRAVITY", "judge_motion", "turn_ratio"]

STANDARD_GRAVITY = 9.80665
"""m/s^2, as the kilogram-force defines it; on Earth 9.78 to 9.83."""

_GRAVITIES = {"g": 1.0, "mg": 1000.0, "ft/s2": 32.174, "m/s2 multiplied by 9.81 again": 96.17}
_NEAR = 0.05
"""Scale errors of uncalibrated sensors stay within it (MPU-6050 data sheet: 3 %)."""
_STILL = 0.1
"""Spread of |accel| over its median up to which the sensor counts as held still."""
_BLOCK_S = 0.1
_TURN_BLOCKS = 3
_SWING_RAD = 0.05
"""3 degrees: gravity held so steady stands still."""
_TURNING_RADPS = 0.15
"""8.6 deg/s: larger offsets than good sensors have (ICM-20948 data sheet: 5 deg/s)."""
_NOISE_RADPS = 0.04
"""2.3 deg/s: no sensor at rest is so noisy (ICM-20948 data sheet: 0.2 deg/s at full bandwidth)."""
_FASTEST_RADPS = 70.0
"""4000 deg/s, the widest range sold."""
_FEWEST = 20

_Rows = NDArray[np.float64]


def judge_motion(samples: NDArray[Any], t_ns: IntArray, axes: Sequence[str]) -> list[Verdict]:
    """samples: (n, len(axes)) m/s^2 and rad/s, columns named as in IMU_AXES; t_ns: (n,)."""
    if len(samples) < _FEWEST:
        return []
    rows = np.asarray(samples, np.float64)
    bad = int((~np.isfinite(rows).all(axis=1)).sum())
    if bad:
        return [Verdict("motion", False, f"{bad} of {len(rows)} samples are not numbers", "look at the protocol")]
    if (rows == rows[0]).all():
        detail = "every sample is the same: frozen, or not the sensor's words"
        return [Verdict("motion", False, detail, "power it off and on; check protocol and columns")]
    accel, gyro = _columns(rows, axes, "accel"), _columns(rows, axes, "gyro")
    verdicts = []
    if accel is not None:
        verdicts.append(_gravity(accel))
    if gyro is not None:
        verdicts.append(_rotation(gyro, accel, t_ns))
    return verdicts


def turn_ratio(samples: NDArray[Any], t_ns: IntArray, axes: Sequence[str]) -> float | None:
    """How far gravity turns for each rad the gyroscope claims, by least squares over pieces of 0.3 s: near 1 in rad/s,
    near 0.017 in deg/s, anything where there is little turning. None where it cannot be said."""
    rows = np.asarray(samples, np.float64)
    accel, gyro = _columns(rows, axes, "accel"), _columns(rows, axes, "gyro")
    if accel is None or gyro is None or len(rows) < _FEWEST:
        return None
    blocks = ((t_ns - t_ns[0]) // round(_BLOCK_S * 1e9)).astype(np.int64)
    edges = np.concatenate(([0], np.flatnonzero(np.diff(blocks)) + 1))
    counts = np.diff(np.append(edges, len(blocks)))[:, None]
    down, rates = np.add.reduceat(accel, edges) / counts, np.add.reduceat(gyro, edges) / counts
    down /= np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-9)
    # Gravity stands still in the world: seen from a sensor that turns by w it turns by -w.
    steps = np.diff(blocks[edges])[:, None]
    claimed = -np.cross((rates[1:] + rates[:-1]) / 2, (down[1:] + down[:-1]) / 2) * steps * _BLOCK_S
    # Over a hole nothing is known of how it turned.
    claimed, seen = np.where(steps == 1, claimed, 0.0), np.where(steps == 1, np.diff(down, axis=0), 0.0)
    whole = len(seen) // _TURN_BLOCKS * _TURN_BLOCKS
    if not whole:
        return None
    claimed = claimed[:whole].reshape(-1, _TURN_BLOCKS, 3).sum(axis=1)
    seen = seen[:whole].reshape(-1, _TURN_BLOCKS, 3).sum(axis=1)
    weight = float((claimed**2).sum())
    return float((claimed * seen).sum()) / weight if weight > 0 else None


def _columns(rows: _Rows, axes: Sequence[str], kind: str) -> _Rows | None:
    names = [f"{kind}_{axis}" for axis in "xyz"]
    return rows[:, [list(axes).index(name) for name in names]] if set(names) <= set(axes) else None


def _spread(lengths: _Rows) -> tuple[float, float]:
    """Median and what lies between the 5th and 95th percentile."""
    low, middle, high = np.percentile(lengths, (5, 50, 95))
    return float(middle), float(high - low)


def _gravity(accel: _Rows) -> Verdict:
    middle, spread = _spread(np.linalg.norm(accel, axis=1))
    figures = {"accel_median_mps2": middle, "accel_spread_mps2": spread}
    still = spread <= _STILL * middle
    found = f"|accel| {middle:.4g} m/s², spread {spread:.2g}"
    if abs(middle / STANDARD_GRAVITY - 1) <= (_NEAR if still else 3 * _NEAR):
        return Verdict("gravity", True, f"{found}: {'at rest' if still else 'moving'}", figures=figures)
    # Who runs falls freely between two steps: the median is far off, what is felt on average is gravity all the same.
    if not still and abs(np.linalg.norm(accel.mean(axis=0)) / STANDARD_GRAVITY - 1) <= 3 * _NEAR:
        return Verdict("gravity", True, f"{found}: moving", figures=figures)
    if still:
        for unit, gravity in _GRAVITIES.items():
            if abs(middle / gravity - 1) <= _NEAR:
                remedy = f"set `accel_unit: {unit}`" if unit in {"g", "mg"} else "correct its scale at the source"
                return Verdict("gravity", False, f"{found}: looks like {unit}, not m/s²", remedy, figures)
    if middle + spread < 0.2 * STANDARD_GRAVITY:
        remedy = "have the sensor send acceleration with gravity (not `linear` or `free` acceleration)"
        return Verdict("gravity", False, f"{found}: gravity is missing", remedy, figures)
    if not still:
        return Verdict("gravity", False, f"{found}: not 9.81, but it moves", "hold it still and ask again", figures)
    remedy = "check accel_unit and the range the sensor is set to; calibrate it"
    return Verdict("gravity", False, f"{found}: not 9.81", remedy, figures)


def _rotation(gyro: _Rows, accel: _Rows | None, t_ns: IntArray) -> Verdict:
    middle = float(np.linalg.norm(np.median(gyro, axis=0)))
    noise = float(np.median(np.std(np.diff(gyro, axis=0), axis=0))) / np.sqrt(2)
    peak = float(np.abs(gyro).max())
    figures = {"gyro_median_radps": middle, "gyro_noise_radps": float(noise), "gyro_peak_radps": peak}
    found = f"|gyro| {middle:.3g} rad/s, noise {noise:.2g}"
    unit = "set `gyro_unit: deg/s`"
    if peak > _FASTEST_RADPS:
        return Verdict("rotation", False, f"{found}, peak {peak:.4g}: looks like deg/s, not rad/s", unit, figures)
    if accel is None or not (accel != 0).any():
        return Verdict("rotation", True, found, figures=figures)
    length, spread = _spread(np.linalg.norm(accel, axis=1))
    claimed, seen, swing, span_s = _turned(gyro, accel, t_ns)
    still = spread <= 0.5 * _STILL * length and swing < _SWING_RAD
    if still and noise > _NOISE_RADPS:
        detail = f"{found}: too noisy at rest, looks like deg/s, not rad/s"
        return Verdict("rotation", False, detail, unit, figures)
    # Only turning that would tilt it counts: a robot may turn on the spot, and gravity does not show it.
    if still and claimed > _TURNING_RADPS * span_s:
        detail = f"{found}: gravity stands still and it claims to tilt: looks like deg/s, not rad/s, or a large offset"
        return Verdict("rotation", False, detail, f"{unit}, or calibrate it at rest", figures)
    if claimed > 3 and 0.5 < 180 / np.pi * seen / claimed < 2:
        detail = f"{found}: gravity turned by {seen:.2g} rad, the gyroscope by {claimed:.3g}: looks like deg/s"
        return Verdict("rotation", False, detail, unit, figures)
    return Verdict("rotation", True, f"{found}: {'at rest' if still else 'moving'}", figures=figures)


def _turned(gyro: _Rows, accel: _Rows, t_ns: IntArray) -> tuple[float, float, float, float]:
    """How far gravity was turned, in rad: by what the gyroscope says, and as the accelerometer saw it; how far from its
    mean direction it ever was, and the seconds looked at."""
    blocks = ((t_ns - t_ns[0]) // round(_BLOCK_S * 1e9)).astype(np.int64)
    edges = np.concatenate(([0], np.flatnonzero(np.diff(blocks)) + 1))
    counts = np.diff(np.append(edges, len(blocks)))[:, None]
    down = np.add.reduceat(accel, edges) / counts
    lengths = np.linalg.norm(down, axis=1, keepdims=True)
    if len(edges) < 2 or not (lengths > 0).all():
        return 0.0, 0.0, 0.0, _BLOCK_S
    down /= lengths
    rates = np.add.reduceat(gyro, edges) / counts
    claimed = float(np.linalg.norm(np.cross(rates, down), axis=1).sum()) * _BLOCK_S
    cosines = np.clip((down[1:] * down[:-1]).sum(axis=1), -1, 1)
    mean = down.mean(axis=0)
    swing = np.arccos(np.clip(down @ mean / max(float(np.linalg.norm(mean)), 1e-9), -1, 1)).max()
    return claimed, float(np.arccos(cosines).sum()), float(swing), len(edges) * _BLOCK_S

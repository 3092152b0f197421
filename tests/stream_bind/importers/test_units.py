"""Doubts about units: said of what cannot be, never of what can."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from stream_bind.importers.units import STRETCHES, UnitCheck
from stream_bind.judge.motion import turn_ratio
from stream_bind.messages import IMU_AXES, Chunk, StreamSpec

RATE = 100.0
RNG = np.random.default_rng(5)


def spec(modality: str, rate_hz: float = RATE, unit: str = "si") -> StreamSpec:
    axes = IMU_AXES if modality == "imu" else ()
    return StreamSpec("s", modality, rate_hz, (6,), "float32", unit, axes=axes, live=False)


def doubts(modality: str, data: np.ndarray, rate_hz: float = RATE, unit: str = "si", size: int = 10) -> list[str]:
    check = UnitCheck(spec(modality, rate_hz, unit))
    t_ns = np.rint(np.arange(len(data)) * 1e9 / rate_hz).astype(np.int64)
    for start in range(0, len(data), size):
        check.add(Chunk(data[start : start + size], t_ns[start : start + size]))
    return check.doubts()


def swinging(seconds: float = 60.0, speed: float = 1.0, accel: float = 1.0, gyro: float = 1.0) -> np.ndarray:
    """A pendulum seen from itself: it nods and rolls, and gravity turns with it. accel, gyro: factors on the truth."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch, roll = 0.6 * np.sin(speed * 2 * t), 0.4 * np.sin(speed * 1.3 * t + 1)
    down = np.stack([-np.sin(pitch), np.cos(pitch) * np.sin(roll), np.cos(pitch) * np.cos(roll)], axis=1) * 9.80665
    dp, dr = 1.2 * speed * np.cos(speed * 2 * t), 0.52 * speed * np.cos(speed * 1.3 * t + 1)
    rates = np.stack([dr, dp * np.cos(roll), -dp * np.sin(roll)], axis=1)
    noise = RNG.normal(0, 0.02, down.shape)
    return np.concatenate([(down + noise) * accel, (rates + noise / 10) * gyro], axis=1).astype(np.float32)


def test_good_motion_raises_no_doubt() -> None:
    assert doubts("imu", swinging()) == []
    assert doubts("imu", swinging(speed=0.001)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gyro": 180 / np.pi}, "looks like deg/s"),
        ({"gyro": 180 / np.pi, "speed": 0.2}, "deg/s"),
        ({"accel": 1 / 9.80665, "speed": 0.01}, "looks like g, not m/s²; import it with `--accel-unit g`"),
        ({"accel": 1000 / 9.80665, "speed": 0.01}, "looks like mg, not m/s²; import it with `--accel-unit mg`"),
        ({"accel": 0.01, "speed": 0.01}, "gravity is missing"),
    ],
)
def test_a_wrong_unit_is_doubted_with_what_would_mend_it(change: dict[str, float], told: str) -> None:
    (doubt,) = doubts("imu", swinging(**change))
    assert doubt.startswith("s: ")
    assert told in doubt


@pytest.mark.parametrize(("gyro", "ratio"), [(1.0, 1.0), (180 / np.pi, np.pi / 180), (0.5, 2.0)])
def test_gravity_turns_by_what_the_gyroscope_says_in_radians(gyro: float, ratio: float) -> None:
    data = swinging(gyro=gyro)
    t_ns = np.arange(len(data), dtype=np.int64) * 10_000_000
    assert turn_ratio(data, t_ns, IMU_AXES) == pytest.approx(ratio, rel=0.1)
    assert turn_ratio(data[:, :3], t_ns, IMU_AXES[:3]) is None
    # A hole says nothing about turning.
    t_ns[3000:] += 100_000_000_000
    assert turn_ratio(data, t_ns, IMU_AXES) == pytest.approx(ratio, rel=0.1)


def test_very_fast_turning_is_said_with_what_gravity_says_to_it() -> None:
    data = swinging()
    data[1000:1010, 3] = 25.0
    (doubt,) = doubts("imu", data)
    assert "angular rate peaks at 25, 1,432 deg/s if that is rad/s" in doubt
    assert "which speaks for rad/s" in doubt


def test_one_bad_stretch_among_good_ones_is_no_doubt() -> None:
    data = swinging(100.0)
    data[2000:3000, :3] = 0.0  # dropped
    assert doubts("imu", data) == []


@pytest.mark.parametrize(
    ("modality", "unit", "data", "told"),
    [
        ("depth", "m", np.full((5, 40, 50), 1500.0, np.float32), "its unit may be 1000 times too large"),
        ("depth", "m", np.full((5, 40, 50), 0.0015, np.float32), "its unit may be 1000 times too small"),
        ("depth", "m", np.full((5, 40, 50), np.nan, np.float32), "no distance at all"),
        ("thermal", "K", np.full((5, 40, 50), 25.0, np.float32), "looks like degrees Celsius, not kelvin"),
        ("thermal", "K", np.full((5, 40, 50), 29_500.0, np.float32), "looks like counts of 0.01 K"),
        ("vision", "rgb8", np.zeros((5, 40, 50, 3), np.uint8), "black"),
        ("audio", "full_scale", np.zeros((1000, 1), np.float32), "dead silence"),
    ],
)
def test_pictures_distances_heat_and_sound(modality: str, unit: str, data: np.ndarray, told: str) -> None:
    (doubt,) = doubts(modality, data, unit=unit, size=1 if data.ndim > 2 else 100)
    assert told in doubt


def test_plausible_pictures_distances_heat_and_sound_raise_no_doubt() -> None:
    assert doubts("depth", RNG.uniform(0.5, 4, (5, 40, 50)).astype(np.float32), unit="m", size=1) == []
    assert doubts("thermal", RNG.uniform(290, 310, (5, 40, 50)).astype(np.float32), unit="K", size=1) == []
    assert doubts("vision", RNG.integers(0, 255, (5, 40, 50, 3), np.uint8), unit="rgb8", size=1) == []
    assert doubts("audio", RNG.normal(0, 0.1, (1000, 1)).astype(np.float32), unit="full_scale", size=100) == []


def test_stamps_that_repeat_or_step_back_are_counted() -> None:
    check = UnitCheck(spec("imu"))
    data = swinging(5.0)
    t_ns = np.arange(500, dtype=np.int64) * 10_000_000
    t_ns[100], t_ns[201] = t_ns[99], t_ns[199]
    check.add(Chunk(data, t_ns))
    told = check.doubts()
    assert "s: 1 of 500 stamps repeat the one before" in told
    assert "s: 1 of 500 stamps step back" in told


def test_memory_does_not_grow_with_the_stream() -> None:
    check = UnitCheck(spec("vision", 30.0, "rgb8"))

    def frames() -> Iterator[Chunk]:
        for i in range(2000):
            yield Chunk(np.full((1, 480, 640, 3), i % 200, np.uint8), np.array([i * 33_000_000], np.int64))

    for chunk in frames():
        check.add(chunk)
    held = [chunk for stretch in check._kept.values() for chunk in stretch]
    assert len(held) <= STRETCHES
    assert sum(chunk.data.nbytes for chunk in held) < STRETCHES * 256 * 256 * 3
    # Spread over all of it, not its beginning.
    assert max(int(chunk.t_ns[0]) for chunk in held) > 1900 * 33_000_000

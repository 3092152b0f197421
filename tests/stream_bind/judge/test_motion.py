"""What gravity and turning say about a motion sensor's units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.judge.motion import judge_motion
from stream_bind.messages import IMU_AXES

RATE_HZ = 200
N = 1000
T_NS = 1_772_366_400_000_000_000 + np.arange(N) * (1_000_000_000 // RATE_HZ)


def at_rest(seed=0, tilt=(0.1, -0.2, 0.97), accel_noise=0.03, gyro_noise=0.003, offset=0.02):
    random = np.random.default_rng(seed)
    down = np.array(tilt) / np.linalg.norm(tilt) * 9.81
    accel = down + random.normal(0, accel_noise, (N, 3))
    gyro = random.normal(0, gyro_noise, (N, 3)) + offset
    return np.concatenate([accel, gyro], axis=1)


def turned(seed=0, speed=2.0):
    """Rolled to and fro in the hand: gravity turns about the sensor's x axis as the gyroscope says."""
    t = np.arange(N) / RATE_HZ
    angle = 0.6 * np.sin(speed * t)
    rate = 0.6 * speed * np.cos(speed * t)
    # A world that stands still turns against the sensor: d(down)/dt = -w x down.
    accel = 9.81 * np.stack([np.zeros(N), np.sin(angle), np.cos(angle)], axis=1)
    gyro = np.stack([rate, np.zeros(N), np.zeros(N)], axis=1)
    random = np.random.default_rng(seed)
    return np.concatenate([accel, gyro], axis=1) + random.normal(0, [0.05] * 3 + [0.003] * 3, (N, 6))


def judged(rows, axes=IMU_AXES):
    return {verdict.noun: verdict for verdict in judge_motion(rows.astype(np.float32), T_NS[: len(rows)], axes)}


@given(seed=st.integers(0, 100), x=st.floats(-1, 1), y=st.floats(-1, 1), z=st.floats(0.2, 1))
@settings(max_examples=30, deadline=None)
def test_a_sensor_at_rest_is_fine_however_it_lies(seed, x, y, z):
    found = judged(at_rest(seed, (x, y, z)))
    assert found["gravity"].fine
    assert "at rest" in found["gravity"].detail
    assert found["gravity"].figures["accel_median_mps2"] == pytest.approx(9.81, abs=0.05)
    assert found["rotation"].fine


@pytest.mark.parametrize("speed", [0.3, 2, 8])
def test_a_sensor_turned_in_the_hand_is_fine(speed):
    found = judged(turned(speed=speed))
    assert found["gravity"].fine
    assert found["rotation"].fine


@pytest.mark.parametrize(
    ("factor", "words", "remedy"),
    [
        (1 / 9.80665, "looks like g, not m/s²", "accel_unit: g"),
        (1000 / 9.80665, "looks like mg", "accel_unit: mg"),
        (9.80665, "multiplied by 9.81 again", "scale"),
        (0.5, "not 9.81", "range"),
    ],
)
def test_a_wrong_unit_of_acceleration_is_named_with_its_setting(factor, words, remedy):
    rows = at_rest()
    rows[:, :3] *= factor
    verdict = judged(rows)["gravity"]
    assert not verdict.fine
    assert words in verdict.detail
    assert remedy in verdict.remedy


def test_acceleration_without_gravity_is_told():
    rows = at_rest()
    rows[:, :3] -= rows[:, :3].mean(axis=0)
    verdict = judged(rows)["gravity"]
    assert not verdict.fine
    assert "gravity is missing" in verdict.detail


@pytest.mark.parametrize("rows", [at_rest(offset=0.0), at_rest(offset=0.02), turned()])
def test_degrees_a_second_are_told_at_rest_and_moving(rows):
    assert judged(rows)["rotation"].fine
    rows = rows.copy()
    rows[:, 3:] *= 180 / np.pi
    verdict = judged(rows)["rotation"]
    assert not verdict.fine
    assert "looks like deg/s" in verdict.detail
    assert "gyro_unit: deg/s" in verdict.remedy


def test_degrees_a_second_beyond_any_range_need_no_gravity():
    rows = at_rest()[:, 3:]
    rows[100] = 500
    assert "looks like deg/s" in judged(rows, IMU_AXES[3:])["rotation"].detail


def test_a_still_sensor_that_says_it_turns_has_an_offset_or_another_unit():
    verdict = judged(at_rest(offset=0.3))["rotation"]
    assert not verdict.fine
    assert "claims to tilt" in verdict.detail


def test_turning_on_the_spot_is_fine():
    rows = at_rest(tilt=(0, 0, 1))
    rows[:, 5] += 1.2
    assert judged(rows)["rotation"].fine


def test_a_frozen_sensor_and_numbers_that_are_none_are_told():
    frozen = np.tile(at_rest()[0], (N, 1))
    assert "every sample is the same" in judged(frozen)["motion"].detail
    rows = at_rest()
    rows[3, 2] = np.nan
    assert "1 of 1000 samples are not numbers" in judged(rows)["motion"].detail


def test_what_cannot_be_judged_is_not():
    assert judge_motion(at_rest()[:5], T_NS[:5], IMU_AXES) == []
    assert judged(at_rest()[:, :2], IMU_AXES[:2]) == {}
    assert list(judged(at_rest()[:, :3], IMU_AXES[:3])) == ["gravity"]


def test_a_runner_has_gravity_on_average():
    # Bounced about: next to nothing is felt in flight, 2.5 g on the ground.
    rows = at_rest()
    turns = np.arange(N) / RATE_HZ * 2.7 * 2 * np.pi
    rows[:, 2] += 10 * np.cos(turns) + 4 * np.cos(2 * turns)
    found = judged(rows)["gravity"]
    assert abs(found.figures["accel_median_mps2"] / 9.81 - 1) > 0.15
    assert found.fine
    assert "moving" in found.detail

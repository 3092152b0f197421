"""Motion: irregular samples to 6 x 2000, and the settings for what upstream leaves open."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stream_bind.encoders.preprocess.imu import ImuSettings, motion_block

SECOND = 1_000_000_000
REST = np.array([0.0, 0.0, 9.80665, 0.0, 0.0, 0.5], np.float32)


def recording(rate_hz: float = 100.0, length_s: float = 5.0, jitter: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Samples from a little before 0 to a little after the window's end, a 1 Hz sway on accel_x over rest."""
    rng = np.random.default_rng(0)
    t = np.arange(-0.2, length_s + 0.2, 1 / rate_hz)
    t = t + rng.uniform(-jitter, jitter, len(t)) / rate_hz
    samples = np.tile(REST, (len(t), 1))
    samples[:, 0] += np.sin(2 * np.pi * t)
    return samples.astype(np.float32), np.round(t * SECOND).astype(np.int64)


def block(settings: ImuSettings, length_s: float = 5.0, **options) -> np.ndarray:
    samples, t_ns = recording(length_s=length_s, **options)
    inside = t_ns < round(length_s * SECOND)
    return motion_block(samples[inside], t_ns[inside], 0, round(length_s * SECOND), settings)


@pytest.mark.parametrize("length_s", [2.0, 5.0, 10.0])
def test_any_window_length_becomes_2000_samples(length_s):
    out = block(ImuSettings(), length_s)
    assert (out.shape, out.dtype) == ((6, 2000), np.float32)


def test_jittered_samples_land_on_the_uniform_grid():
    out = block(ImuSettings(), jitter=0.4)
    t = np.arange(2000) * 5.0 / 2000
    middle = slice(40, -40)
    np.testing.assert_allclose(out[0, middle], np.sin(2 * np.pi * t)[middle], atol=0.03)
    np.testing.assert_allclose(out[2, middle], 9.80665, atol=1e-3)


def test_units_are_those_of_the_settings():
    out = block(ImuSettings(accel_unit="g", gyro_unit="deg/s"))
    assert out[2, 1000] == pytest.approx(1.0, rel=1e-4)
    assert out[5, 1000] == pytest.approx(np.degrees(0.5), rel=1e-4)


def test_channels_are_converted_by_name_and_not_by_place():
    order = ("gyro_x", "gyro_y", "gyro_z", "accel_x", "accel_y", "accel_z")
    samples, t_ns = recording()
    swapped = motion_block(
        samples[:, [3, 4, 5, 0, 1, 2]], t_ns, 0, 5 * SECOND, ImuSettings(order=order, accel_unit="g")
    )
    assert swapped[5, 1000] == pytest.approx(1.0, rel=1e-4)
    assert swapped[2, 1000] == pytest.approx(0.5, rel=1e-4)


def test_gravity_and_standardisation():
    removed = block(ImuSettings(gravity="remove"))
    assert abs(removed[2]).max() < 1e-2
    assert removed[5, 1000] == pytest.approx(0.5, rel=1e-4)
    channel = block(ImuSettings(standardise="channel"))
    assert channel[0].std() == pytest.approx(1.0, rel=1e-3)
    assert np.abs(channel[2]).max() < 10.0
    sensor = block(ImuSettings(standardise="sensor"))
    assert sensor[:3].std() == pytest.approx(1.0, rel=1e-3)
    assert sensor[2].mean() > sensor[1].mean()


def test_fixed_statistics_apply_last():
    settings = ImuSettings(mean=(0, 0, 9.80665, 0, 0, 0.5), std=(1, 1, 2, 1, 1, 0.1))
    out = block(settings)
    assert np.abs(out[2, 100:-100]).max() < 1e-2
    assert np.abs(out[5, 100:-100]).max() < 1e-2


def test_too_few_samples_and_wrong_settings_are_refused():
    samples, t_ns = recording()
    with pytest.raises(ValueError, match="at least 2"):
        motion_block(samples[:1], t_ns[:1], 0, 5 * SECOND, ImuSettings())
    with pytest.raises(ValidationError, match="once"):
        ImuSettings(order=("accel_x",) * 6)
    with pytest.raises(ValidationError, match="positive"):
        ImuSettings(std=(1, 1, 0, 1, 1, 1))

"""What thermal cameras share."""

from __future__ import annotations

import numpy as np
import pytest

from devices.thermal_frames import Repeats, implausible, to_kelvin


def test_counts_become_kelvin_and_zero_becomes_nothing() -> None:
    counts = np.array([[0, 1, 29315]], np.uint16)
    kelvin = to_kelvin(counts, 0.01)
    assert kelvin.dtype == np.float32
    assert np.isnan(kelvin[0, 0])
    assert kelvin[0, 1:] == pytest.approx([0.01, 293.15])


@pytest.mark.parametrize("celsius", [-40, 20, 140, 400])
@pytest.mark.parametrize("scale_k", [0.01, 0.1, 1 / 64])
def test_what_such_cameras_see_is_plausible(celsius: float, scale_k: float) -> None:
    counts = round((celsius + 273.15) / scale_k)
    if counts < 65536:
        assert not implausible(np.full((120, 160), counts, np.uint16), scale_k)


@pytest.mark.parametrize("scale_k", [0.01, 0.1])
def test_raw_fourteen_bit_counts_are_not(scale_k: float) -> None:
    assert "8192" in implausible(np.full((120, 160), 8192, np.uint16), scale_k)


def test_repeats_are_told_from_a_slow_sensor_and_from_a_closed_shutter() -> None:
    repeats = Repeats()
    frames = [np.full((4, 4), k, np.uint16) for k in (1, 1, 1, 2, 3, 3, 3, 3, 3, 4)]
    runs = [repeats.judge(frame) for frame in frames]
    assert runs == [0, 1, 2, 0, 0, 1, 2, 3, 4, 0]
    assert [Repeats.is_frozen(run) for run in runs] == [False] * 8 + [True, False]

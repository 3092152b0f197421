"""Thermal: kelvin with a stated range, or 8-bit grey as it is."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stream_bind.encoders.preprocess.thermal import ThermalSettings, grey_plane

DEFAULT = ThermalSettings()


def test_kelvin_is_mapped_by_the_stated_range():
    plane = grey_plane(np.full((120, 160), 293.15, np.float32), DEFAULT)
    assert (plane.shape, plane.dtype) == ((1, 224, 224), np.float32)
    np.testing.assert_allclose(plane, 0.5, atol=1e-5)
    narrow = grey_plane(np.full((120, 160), 293.15, np.float32), ThermalSettings(range_k=(293.15, 303.15)))
    np.testing.assert_allclose(narrow, 0.0, atol=1e-5)


def test_what_lies_outside_the_range_saturates():
    frame = np.full((120, 160), 200.0, np.float32)
    frame[:, 80:] = 500.0
    plane = grey_plane(frame, DEFAULT)
    assert plane.min() == 0.0
    assert plane.max() == 1.0


def test_a_frames_own_range_stretches_it_and_survives_a_flat_frame():
    frame = np.linspace(300.0, 301.0, 120 * 160, dtype=np.float32).reshape(120, 160)
    plane = grey_plane(frame, ThermalSettings(range_k="frame"))
    assert plane.max() - plane.min() > 0.95
    assert np.isfinite(grey_plane(np.full((120, 160), 300.0, np.float32), ThermalSettings(range_k="frame"))).all()


def test_eight_bit_grey_is_divided_by_255_and_nothing_else():
    frame = np.random.default_rng(0).integers(0, 256, (224, 224), dtype=np.uint8)
    np.testing.assert_allclose(grey_plane(frame, DEFAULT)[0] * 255, frame, atol=1e-4)


def test_dead_pixels_take_their_neighbours_value():
    frame = np.full((120, 160), 293.15, np.float32)
    frame[50, 60] = np.nan
    np.testing.assert_allclose(grey_plane(frame, DEFAULT), 0.5, atol=1e-5)
    with pytest.raises(ValueError, match="no measured pixel"):
        grey_plane(np.full((120, 160), np.nan, np.float32), DEFAULT)


def test_other_arrays_and_falling_ranges_are_refused():
    with pytest.raises(ValueError, match="uint8 grey or float32 kelvin"):
        grey_plane(np.zeros((120, 160), np.uint16), DEFAULT)
    with pytest.raises(ValidationError, match="must rise"):
        ThermalSettings(range_k=(310.0, 300.0))

"""Depth: metres in, disparity out, holes never turn into a wall in front of the lens."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from stream_bind.encoders.preprocess.depth import DepthSettings, disparity_plane

DEFAULT = DepthSettings()


def wall(metres: float, shape: tuple[int, int] = (480, 640)) -> np.ndarray:
    return np.full(shape, metres, np.float32)


def test_a_flat_wall_has_the_disparity_of_the_formula():
    plane = disparity_plane(wall(2.0), DEFAULT)
    assert plane.shape == (1, 224, 224)
    assert plane.dtype == np.float32
    np.testing.assert_allclose(plane, 0.075 * 518.857901 / 2.0 / 75, rtol=1e-6)


def test_the_focal_length_follows_the_streams_width_unless_told_otherwise():
    half = disparity_plane(wall(2.0, (240, 320)), DEFAULT)
    np.testing.assert_allclose(half * 2, disparity_plane(wall(2.0), DEFAULT), rtol=1e-6)
    fixed = DepthSettings(fx_width_px=None)
    np.testing.assert_allclose(
        disparity_plane(wall(2.0, (240, 320)), fixed), disparity_plane(wall(2.0), fixed), rtol=1e-6
    )


def test_the_other_reading_of_the_unit_is_a_setting():
    eightfold = disparity_plane(wall(2.0), DepthSettings(depth_scale=8.0))
    np.testing.assert_allclose(eightfold * 8, disparity_plane(wall(2.0), DEFAULT), rtol=1e-6)


def test_near_things_saturate_at_the_largest_disparity():
    assert disparity_plane(wall(0.2), DEFAULT).max() == 1.0


@pytest.mark.parametrize("hole", [np.nan, 0.0, -1.0, np.inf])
def test_holes_take_their_neighbours_depth_and_not_the_nearest_distance(hole):
    frame = wall(3.0)
    frame[100:200, 250:400] = hole
    frame[0] = hole
    np.testing.assert_allclose(disparity_plane(frame, DEFAULT), disparity_plane(wall(3.0), DEFAULT), rtol=1e-6)


def test_holes_can_be_far_or_neutral():
    frame = wall(3.0)
    frame[200:280, 280:360] = np.nan
    far = disparity_plane(frame, DepthSettings(holes="far"))[0, 112, 112]
    mean = disparity_plane(frame, DepthSettings(holes="mean"))[0, 112, 112]
    assert far == pytest.approx(0.075 * 518.857901 / 50 / 75, rel=1e-5)
    assert mean == pytest.approx(DEFAULT.mean, rel=1e-5)


def test_a_frame_of_holes_is_refused():
    frame = wall(np.nan)
    with pytest.raises(ValueError, match="0% of the depth pixels"):
        disparity_plane(frame, DEFAULT)
    frame[:20] = 1.0
    with pytest.raises(ValueError, match="min_valid is 10%"):
        disparity_plane(frame, DEFAULT)
    with pytest.raises(ValueError, match="0% of the depth pixels"):
        disparity_plane(wall(np.nan), DepthSettings(min_valid=0))


def test_the_input_is_left_alone():
    frame = wall(3.0)
    frame[10, 10] = np.nan
    before = frame.copy()
    disparity_plane(frame, DEFAULT)
    np.testing.assert_array_equal(frame, before)


def test_settings_name_what_is_wrong():
    with pytest.raises(ValidationError, match="fx_px"):
        DepthSettings(fx_px=0)
    with pytest.raises(ValidationError, match="focal"):
        DepthSettings(focal=3)
    with pytest.raises(ValueError, match="metres"):
        disparity_plane(np.zeros((4, 4, 3), np.float32), DEFAULT)

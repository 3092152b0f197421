"""Filling unmeasured pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream_bind.encoders.preprocess.holes import fill_nearest


def test_the_nearest_of_the_row_wins_and_empty_rows_follow_their_neighbour():
    image = np.array([[1, 0, 0, 0, 9], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 5, 5, 5, 5]], np.float32)
    filled = fill_nearest(image, image > 0)
    assert filled.tolist() == [[1, 1, 1, 9, 9], [1, 1, 1, 9, 9], [5] * 5, [5] * 5]


@given(arrays(np.bool_, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_valid_pixels_stay_and_holes_take_a_valid_value(valid):
    image = np.where(valid, np.arange(valid.size, dtype=np.float32).reshape(valid.shape) + 1, np.nan).astype(np.float32)
    if not valid.any():
        with pytest.raises(ValueError, match="no valid pixel"):
            fill_nearest(image, valid)
        return
    filled = fill_nearest(image, valid)
    assert np.array_equal(filled[valid], image[valid])
    assert np.isin(filled, image[valid]).all()
    for row, mask, out in zip(image, valid, filled, strict=True):
        for column in np.flatnonzero(~mask) if mask.any() else ():
            distances = np.abs(np.flatnonzero(mask) - column)
            nearest = row[np.flatnonzero(mask)[distances == distances.min()]]
            assert out[column] in nearest

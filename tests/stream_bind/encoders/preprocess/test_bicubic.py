"""Bicubic resizing against torch's own operator, which is what the reference calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.encoders.preprocess.bicubic import resize_bicubic


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(height * 7919 + width).random((height, width, channels), dtype=np.float32)


def by_torch(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(x, size=shape, mode="bicubic", align_corners=False, antialias=False)
    return resized[0].permute(1, 2, 0).numpy()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 120), st.integers(1, 120))
def test_it_is_torchs_of_any_size(height, width, out_height, out_width):
    image = noise(height, width)
    # Positions up to 300 px have a float32 step of 3e-5, by which the weights of white noise may differ.
    np.testing.assert_allclose(
        resize_bicubic(image, (out_height, out_width)), by_torch(image, (out_height, out_width)), atol=1e-4
    )


@pytest.mark.parametrize("size", [(1080, 1920), (453, 256)])
def test_real_sizes_are_as_exact_as_float32_goes(size):
    image = noise(*size)
    short = min(size)
    shape = tuple(int(224 * side / short) for side in size)
    part = tuple(slice((side - 224) // 2, (side - 224) // 2 + 224) for side in shape)
    assert np.abs(resize_bicubic(image, shape, part) - by_torch(image, shape)[part]).max() < 5e-6


def test_a_part_is_the_same_part_of_the_whole():
    image = noise(40, 61)
    part = (slice(3, 20), slice(10, 33))
    assert np.array_equal(resize_bicubic(image, (31, 50), part), resize_bicubic(image, (31, 50))[part])


def test_the_same_size_changes_nothing_and_planes_and_bytes_do():
    image = np.random.default_rng(1).integers(0, 65536, (30, 20)).astype(np.uint16)
    assert np.array_equal(resize_bicubic(image, (30, 20)), image.astype(np.float32))
    small = (image >> 8).astype(np.uint8)
    np.testing.assert_array_equal(resize_bicubic(small, (15, 10)), resize_bicubic(small[:, :, None], (15, 10))[:, :, 0])


def test_it_overshoots_at_an_edge_and_nothing_is_clamped():
    step = np.zeros((8, 8), np.float32)
    step[:, 4:] = 1
    resized = resize_bicubic(step, (32, 32))
    assert resized.min() < -0.05
    assert resized.max() > 1.05

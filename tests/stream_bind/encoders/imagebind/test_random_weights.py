"""Seeded weights: the same everywhere, different per key, and not so tame that all inputs look alike."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.encoders.imagebind.random_weights import random_tensor

ATTENTION = "modality_trunks.imu.blocks.0.attn"
GOLDEN_ROW = [0.38242459, -0.49730608, 0.057348654, 0.19824505]


def test_values_are_fixed_by_seed_and_key():
    first = random_tensor(f"{ATTENTION}.out_proj.weight", (4, 4), 7)
    assert np.array_equal(first, random_tensor(f"{ATTENTION}.out_proj.weight", (4, 4), 7))
    assert not np.array_equal(first, random_tensor(f"{ATTENTION}.out_proj.weight", (4, 4), 8))
    assert not np.array_equal(first, random_tensor("modality_trunks.imu.blocks.1.attn.out_proj.weight", (4, 4), 7))
    assert first.dtype == np.float32
    # Published in vectors of `weights: random` runs: a change here makes old and new runs disagree.
    np.testing.assert_allclose(first[0], GOLDEN_ROW, rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("modality_trunks.imu.blocks.0.norm_1.weight", 1.0),
        ("modality_trunks.imu.blocks.0.norm_2.bias", 0.0),
        ("modality_trunks.vision.pre_transformer_layer.0.weight", 1.0),
        ("modality_preprocessors.audio.rgbt_stem.norm_layer.weight", 1.0),
        ("modality_heads.imu.0.weight", 1.0),
        ("modality_heads.text.proj.0.bias", 0.0),
        (f"{ATTENTION}.in_proj_bias", 0.0),
    ],
)
def test_norms_start_as_identity_and_biases_at_zero(key, value):
    assert np.all(random_tensor(key, (6,), 0) == value)


@pytest.mark.parametrize(
    ("key", "shape", "std"),
    [
        ("modality_heads.audio.2.weight", (256, 300), 300**-0.5),
        ("modality_preprocessors.vision.rgbt_stem.proj.1.weight", (64, 3, 2, 14, 14), (3 * 2 * 14 * 14) ** -0.5),
        (f"{ATTENTION}.in_proj_weight", (300, 100), 2 * 100**-0.5),
        ("modality_preprocessors.imu.pos_embed", (1, 251, 100), 0.02),
    ],
)
def test_matrices_keep_the_variance_of_what_passes(key, shape, std):
    values = random_tensor(key, shape, 0)
    assert values.std() == pytest.approx(std, rel=0.03)
    assert abs(values.mean()) < std * 0.03


def test_the_mask_is_causal_and_scales_are_the_references_initial_ones():
    mask = random_tensor("modality_preprocessors.text.mask", (4, 4), 0)
    assert np.all(np.isneginf(mask) == np.triu(np.ones((4, 4), bool), 1))
    assert random_tensor("modality_postprocessors.thermal.1.log_logit_scale", (), 0) == np.float32(np.log(10.0))

"""Varied clips keep their shape and meaning, and repeat themselves."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.encoders.preprocess.imu import ImuSettings
from stream_bind.training.augment import Augmenter
from stream_bind.training.batches import rng_of
from stream_bind.training.settings import AugmentSettings

ZERO = (
    "brightness contrast shift plane_gain plane_offset plane_noise audio_gain_db time_mask mel_mask signal_gain "
    "rotation_deg signal_shift signal_noise"
)
STILL = dict.fromkeys(ZERO.split(), 0)
SHAPES = {
    "vision": (2, 32, 32, 3),
    "depth": (1, 32, 32),
    "thermal": (1, 32, 32),
    "audio": (1, 16, 24),
    "imu": (6, 50),
    "barometer": (1, 50),
}


def clips_of(modality: str, n: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    if modality == "vision":
        return rng.integers(0, 256, (n, *SHAPES[modality]), np.uint8)
    return rng.random((n, *SHAPES[modality]), np.float32)


def augmenter(imu: ImuSettings | None = None, **changes: float) -> Augmenter:
    return Augmenter(AugmentSettings(**(STILL | changes)), imu or ImuSettings())


@pytest.mark.parametrize("modality", SHAPES)
def test_the_same_numbers_give_the_same_clips_and_the_originals_stay(modality: str) -> None:
    clips = clips_of(modality)
    before = clips.copy()
    vary = Augmenter(AugmentSettings(), ImuSettings())
    one, other, third = (vary(modality, clips, rng_of(1, step)) for step in (0, 0, 1))
    assert one.shape == clips.shape
    assert one.dtype == clips.dtype
    assert one.tobytes() == other.tobytes() != third.tobytes()
    assert clips.tobytes() == before.tobytes()


@pytest.mark.parametrize("modality", SHAPES)
def test_nothing_set_changes_nothing(modality: str) -> None:
    clips = clips_of(modality)
    assert np.allclose(augmenter()(modality, clips, rng_of(0)), clips, atol=1e-6)


def test_a_shifted_picture_is_the_picture_elsewhere_with_its_edge_repeated() -> None:
    picture = np.ascontiguousarray(
        np.broadcast_to((np.arange(32, dtype=np.uint8) * 8)[None, None, :, None, None], (8, 2, 32, 32, 3))
    )
    moved = augmenter(shift=0.2)("vision", picture, rng_of(3))
    rows = moved[:, 0, :, 5, 0].astype(int) // 8
    for row in rows:
        steps = np.diff(row)
        assert set(steps.tolist()) <= {0, 1}
        assert (steps == 0).sum() == abs(row[16] - 16)
    assert len({tuple(r) for r in rows}) > 2


def test_both_frames_of_a_clip_are_varied_alike() -> None:
    clips = np.repeat(clips_of("vision")[:, :1], 2, axis=1)
    varied = Augmenter(AugmentSettings(), ImuSettings())("vision", clips, rng_of(5))
    assert varied[:, 0].tobytes() == varied[:, 1].tobytes()


def test_motion_is_turned_in_its_own_units_whatever_the_scaling() -> None:
    imu = ImuSettings(
        order=("gyro_x", "gyro_y", "gyro_z", "accel_x", "accel_y", "accel_z"),
        mean=(0.1, 0, 0, 0, 0, 8.0),
        std=(0.5, 0.5, 0.5, 3, 3, 4),
    )
    mean, std = (np.array(v, np.float32)[:, None] for v in (imu.mean, imu.std))
    clips = clips_of("imu")
    body = clips * std + mean
    turned = augmenter(imu, rotation_deg=30)("imu", clips, rng_of(0)) * std + mean
    for sensor in (slice(0, 3), slice(3, 6)):
        lengths = [np.linalg.norm(x[:, sensor], axis=1) for x in (body, turned)]
        assert np.allclose(*lengths, rtol=1e-4)
    assert np.abs(turned - body).max() > 0.1


def test_masked_sound_is_its_mean_and_gain_is_what_it_says() -> None:
    clips = clips_of("audio", 50)
    louder = augmenter(audio_gain_db=6)("audio", clips, rng_of(0)) - clips
    assert np.abs(louder).max() <= 6 * np.log(10) / 10 + 1e-5
    masked = augmenter(time_mask=0.3)("audio", clips, rng_of(0))
    changed = (masked != clips).any(axis=(1, 2))
    assert changed.sum(axis=1).max() <= 0.3 * 24 + 1
    assert changed.any()
    clip, where = masked[changed.any(axis=1)][0], changed[changed.any(axis=1)][0]
    assert np.ptp(clip[0][:, where]) < 1e-6

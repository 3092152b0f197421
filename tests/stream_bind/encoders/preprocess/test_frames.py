"""Still and video frames: geometry, rounding, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.encoders.preprocess import frames


def gradient(height: int, width: int) -> np.ndarray:
    x = np.linspace(0, 255, width)[None, :, None]
    y = np.linspace(0, 255, height)[:, None, None]
    return np.broadcast_to(
        np.concatenate([x + 0 * y, y + 0 * x, 0 * x + 0 * y + 128], axis=2), (height, width, 3)
    ).astype(np.uint8)


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (1080, 1920), (100, 100), (225, 401), (7, 1000)])
def test_any_shape_becomes_the_square_the_model_wants(shape):
    still, video = frames.still(gradient(*shape)), frames.video_frame(gradient(*shape))
    assert (still.shape, still.dtype) == ((224, 224, 3), np.uint8)
    assert (video.shape, video.dtype) == ((224, 224, 3), np.float32)
    assert 0.0 <= video.min() <= video.max() <= 1.0


def test_a_frame_of_the_right_size_passes_untouched():
    frame = gradient(224, 224)
    assert np.array_equal(frames.still(frame), frame)
    np.testing.assert_allclose(frames.video_frame(frame) * 255, frame, atol=1e-4)


def test_crop_offsets_round_up_for_video_and_half_to_even_for_stills():
    assert frames.crop_offset(349, 224, "centre") == 63
    assert frames.centre_geometry(100, 156, 224) == ((224, 349), (0, 62))
    assert frames.crop_offset(349, 224, "first") == 0
    assert frames.crop_offset(349, 224, "last") == 125


def test_crops_move_along_the_long_side():
    wide, tall = gradient(240, 480), gradient(480, 240)
    left, right = (frames.video_frame(wide, crop=c)[..., 0].mean() for c in ("first", "last"))
    top, bottom = (frames.video_frame(tall, crop=c)[..., 1].mean() for c in ("first", "last"))
    assert right - left > 0.4
    assert bottom - top > 0.4


def test_grey_frames_become_three_equal_channels():
    grey = gradient(240, 320)[..., 0]
    video = frames.video_frame(grey)
    assert np.array_equal(video[..., 0], video[..., 2])


def test_the_part_of_a_resize_equals_the_part_of_the_whole():
    image = np.random.default_rng(0).random((60, 90), dtype=np.float32)
    whole = frames.resize_bilinear(image, (224, 336))
    part = frames.resize_bilinear(image, (224, 336), (slice(0, 224), slice(56, 280)))
    assert np.array_equal(part, whole[:, 56:280])


def test_video_spans_are_those_of_five_clips():
    assert frames.video_spans(53, 10.0) == [(0, 20), (9, 29), (17, 37), (25, 45), (33, 53)]
    assert frames.video_spans(15, 10.0) == [(0, 15)] * 5


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(bad):
    with pytest.raises(ValueError, match="a frame is"):
        frames.still(bad)
    with pytest.raises(ValueError, match="a frame is"):
        frames.video_frame(bad)


def test_an_unknown_crop_is_refused():
    with pytest.raises(ValueError, match="first, centre, last"):
        frames.video_frame(gradient(240, 320), crop="middle")

"""The rules of LanguageBind's inputs: picture kinds, frames, depth, heat and the length of sound."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stream_bind.encoders.languagebind import inputs
from stream_bind.encoders.preprocess import fbank

rng = np.random.default_rng(4)
RGB = rng.integers(0, 256, (240, 331, 3), dtype=np.uint8)
GREY = RGB[:, :, 0]


def test_grey_is_three_equal_channels_and_transparency_is_dropped():
    grey = inputs.picture(np.repeat(GREY[:, :, None], 3, axis=2))
    for frame in (GREY, GREY[:, :, None]):
        assert np.array_equal(inputs.picture(frame), grey)
    assert np.array_equal(inputs.picture(np.dstack([RGB, GREY])), inputs.picture(RGB))
    np.testing.assert_array_equal(inputs.grey_plane(GREY)[0], grey[:, :, 0])


def test_a_picture_of_16_bits_is_one_of_65535():
    wide = GREY.astype(np.uint16) * 257
    np.testing.assert_allclose(inputs.picture(wide), inputs.picture(GREY), atol=1e-6)
    np.testing.assert_allclose(inputs.grey_plane(wide), inputs.grey_plane(GREY), atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK", "I;16", "I"])
def test_pillows_modes_become_colour_or_16_bits(mode):
    image = Image.fromarray(GREY).point(lambda v: 255 * (v > 127)) if mode == "1" else Image.fromarray(RGB)
    if mode in {"I;16", "I"}:
        counts = GREY.astype(np.uint16) * 257
        pixels = inputs.picture_pixels(Image.fromarray(counts.astype(np.int32) if mode == "I" else counts))
        assert np.array_equal(pixels, counts)
        assert pixels.dtype == np.uint16
        return
    converted = image.convert(mode)
    pixels = inputs.picture_pixels(converted)
    assert (pixels.shape, pixels.dtype) == ((240, 331, 3), np.uint8)
    assert np.array_equal(pixels, np.asarray(converted.convert("RGB")))


def test_a_transparent_pixel_keeps_its_colour():
    pixels = np.dstack([RGB, np.zeros_like(GREY)])
    assert np.array_equal(inputs.picture_pixels(Image.fromarray(pixels)), RGB)


@pytest.mark.parametrize("counts", [np.full((4, 4), 70000, np.int32), np.ones((4, 4), np.float32)])
def test_pictures_without_a_known_white_are_refused(counts):
    with pytest.raises(ValueError, match="no known white"):
        inputs.picture_pixels(Image.fromarray(counts))


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros(4)],
)
def test_what_is_no_picture_is_refused(frame):
    with pytest.raises(ValueError, match="a picture is"):
        inputs.picture(frame)


def test_the_centre_rounds_half_to_even():
    # 397 - 224 = 173 and 173 / 2 = 86.5: a portrait of 406 x 720, which rounding up would crop one row lower.
    frame = np.zeros((397, 224, 3), np.uint8)
    frame[86] = 255
    assert np.all(inputs.picture(frame)[0] == 1)
    assert np.all(inputs.video_frame(frame)[0] == 1)


@pytest.mark.parametrize(("crop", "column"), [("first", 0), ("centre", 38), ("last", 76)])
def test_the_square_can_be_another(crop, column):
    frame = np.repeat(np.arange(300)[None, :, None] % 256, 224, axis=0).repeat(3, axis=2).astype(np.uint8)
    for clip in (inputs.picture(frame, crop=crop), inputs.video_frame(frame, crop=crop)):
        np.testing.assert_allclose(clip[0, 0] * 255, column, atol=1e-4)
    with pytest.raises(ValueError, match="middle"):
        inputs.picture(frame, crop="middle")  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 64))
def test_frame_ids_rise_from_the_first_to_the_last_and_round_down(n, wanted):
    ids = inputs.frame_ids(n, wanted)
    assert len(ids) == wanted
    assert ids[0] == 0
    assert wanted == 1 or ids[-1] == n - 1
    assert np.all(np.diff(ids) >= 0)
    exact = np.arange(wanted) * (n - 1) / max(wanted - 1, 1)
    assert np.all(ids <= exact + 1e-9)
    assert np.all(ids > exact - 1 - 1e-9)


@pytest.mark.parametrize(
    ("n", "ids"),
    [
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (5, [0, 0, 1, 1, 2, 2, 3, 4]),
        (16, [0, 2, 4, 6, 8, 10, 12, 15]),
        (300, [0, 42, 85, 128, 170, 213, 256, 299]),
    ],
)
def test_frame_ids_of_the_reference(n, ids):
    assert inputs.frame_ids(n, 8).tolist() == ids


def test_a_video_needs_a_frame_and_shows_few_more_than_once():
    with pytest.raises(ValueError, match="0 frames"):
        inputs.video([])
    clip = inputs.video([RGB, RGB // 2], 4)
    assert clip.shape == (4, 224, 224, 3)
    assert np.array_equal(clip[0], clip[2])
    assert not np.array_equal(clip[2], clip[3])
    with pytest.raises(ValueError, match="uint8"):
        inputs.video([RGB.astype(np.uint16)])


def flat(value: float) -> np.ndarray:
    return np.full((250, 230), value, np.float32)


@pytest.mark.parametrize(
    ("metres", "shown"), [(5.0, 0.5), (0.001, 0.001), (25.0, 1.0), (0.0, 0.001), (np.nan, 0.001), (-1.0, 0.001)]
)
def test_depth_is_clipped_and_divided_and_a_hole_is_closest(metres, shown):
    np.testing.assert_allclose(inputs.depth_plane(flat(metres)), shown, rtol=1e-5)


def test_depth_without_a_limit_is_divided_by_its_own_greatest():
    plane = flat(2.0)
    plane[:125] = 8.0
    shown = inputs.depth_plane(plane, 0.0)[0]
    np.testing.assert_allclose([shown[5, 5], shown[-5, 5]], [1.0, 0.25], rtol=1e-5)
    np.testing.assert_allclose(inputs.depth_plane(flat(0.0), 0.0), 1.0, rtol=1e-5)


@pytest.mark.parametrize(("holes", "shown"), [("near", 0.001), ("far", 1.0), ("nearest", 0.3)])
def test_holes_can_be_filled(holes, shown):
    plane = flat(3.0)
    plane[100:150, 80:150] = np.inf
    np.testing.assert_allclose(inputs.depth_plane(plane, holes=holes)[0, 112, 112], shown, rtol=1e-5)


@pytest.mark.parametrize("holes", ["far", "nearest"])
def test_a_blind_frame_cannot_be_filled(holes):
    with pytest.raises(ValueError, match="no measured pixel"):
        inputs.depth_plane(flat(np.nan), holes=holes)


def test_16_bit_depth_is_millimetres_and_8_bit_depth_is_refused():
    np.testing.assert_allclose(inputs.depth_plane(flat(4500).astype(np.uint16)), 0.45, rtol=1e-5)
    for frame in (flat(200).astype(np.uint8), np.zeros((4, 4, 3), np.uint16)):
        with pytest.raises(ValueError, match="uint16 millimetres"):
            inputs.depth_plane(frame)


def test_the_values_the_facts_name():
    hole, far = (inputs.normalised_pixels(inputs.depth_plane(flat(d)))[0, 0, 0] for d in (0.0, 12.0))
    assert hole == pytest.approx(-1.7885, abs=1e-4)
    assert far == pytest.approx(1.9303, abs=1e-4)
    silence = inputs.normalised_mel(inputs.mel_picture(np.zeros((1, 16000), np.float32)), -4.2677393, 4.5689974)
    assert silence == pytest.approx(-1.27759, abs=1e-5)


def test_heat_is_stretched_from_its_coldest_to_its_hottest():
    kelvin = flat(300.0)
    kelvin[0, 0], kelvin[1, 1], kelvin[2, 2] = 290.0, 310.0, np.nan
    grey = inputs.stretched(kelvin)
    assert (grey[0, 0], grey[1, 1]) == (0.0, 1.0)
    np.testing.assert_allclose([grey[9, 9], grey[2, 2]], 0.5)
    np.testing.assert_allclose(inputs.stretched(kelvin, (280.0, 320.0))[9, 9], 0.5)
    assert np.all(inputs.stretched(flat(300.0)) == 0)
    with pytest.raises(ValueError, match="no measured pixel"):
        inputs.stretched(flat(np.nan))


def mel(frames: int, n_mels: int = 2) -> np.ndarray:
    """Every value is the number of its frame."""
    return np.tile(np.arange(frames, dtype=np.float32), (n_mels, 1))


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 120))
def test_fusion_repeats_what_is_short_and_crops_what_is_long(found, wanted):
    planes = inputs.fused(mel(found), wanted)
    assert planes.shape == (1 if found <= wanted else 3, 2, wanted)
    if found <= wanted:
        assert np.array_equal(planes[0, 0], np.arange(wanted) % found)
        return
    starts = planes[:, 0, 0].astype(int)
    assert np.array_equal(planes[:, 1], starts[:, None] + np.arange(wanted))
    parts = np.array_split(np.arange(found - wanted + 1), 3)
    for start, part in zip(starts, parts, strict=True):
        assert start in part if len(part) else start == 0


@pytest.mark.parametrize(
    ("found", "starts"), [(1037, (0, 1, 0)), (1038, (0, 1, 2)), (1041, (0, 2, 4)), (1332, (49, 148, 247))]
)
def test_the_crops_of_long_sound_lie_in_the_middle_of_each_part(found, starts):
    assert inputs.mel_starts(found, 1036) == starts


def test_the_model_s_own_length_is_taken_as_it_is():
    assert inputs.length_of_frames(1036) == 10.375
    assert inputs.mel_frames(166000) == 1036
    assert [inputs.mel_frames(n) for n in (0, 399, 400, 559, 560)] == [0, 0, 1, 1, 2]
    assert np.array_equal(inputs.fused(mel(1036), 1036), mel(1036)[None])
    named = inputs.fused(mel(1332), 1036, (75, 126, 204))
    assert named[:, 0, 0].tolist() == [75, 126, 204]


def test_sound_is_its_first_channel_less_the_mean_of_all():
    left, right = rng.uniform(-0.5, 0.5, (2, 8000)).astype(np.float32)
    wave = np.stack([left, right + np.float32(0.2)])
    expected = fbank.log_mel(left - wave.mean(), 112, rounded=True)
    assert np.array_equal(inputs.mel_picture(wave, 112, 48)[0], expected[:, :48])
    # With filters that are not rounded as the reference rounds, one of them can be 0.010 off (see test_fbank.py).
    assert not np.array_equal(expected, fbank.log_mel(left - wave.mean(), 112))
    assert inputs.mel_picture(wave)[0].shape == (112, 1036)


def test_the_callers_arrays_are_left_alone():
    wave, depth, frame = np.ones((1, 800), np.float32) * 0.3, flat(0.0), RGB.copy()
    kept = [a.copy() for a in (wave, depth, frame)]
    inputs.mel_picture(wave)
    inputs.depth_plane(depth)
    inputs.video([frame])
    inputs.picture(frame)
    for before, after in zip(kept, (wave, depth, frame), strict=True):
        assert np.array_equal(before, after)


def test_16_bit_sound_and_too_short_sound_are_refused():
    with pytest.raises(ValueError, match="32768"):
        inputs.mel_picture(np.zeros((1, 1000), np.int16))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="400"):
        inputs.mel_picture(np.zeros((1, 399), np.float32))


def test_the_makers_of_clips_need_no_torch():
    code = (
        "import sys; import stream_bind.encoders.languagebind.clips; "
        "import stream_bind.encoders.languagebind.inputs; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

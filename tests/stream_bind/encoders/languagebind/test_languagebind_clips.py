"""Windows to packed clips: which frames, which seconds, which windows are refused, and what the model then gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from stream_bind.encoders.base import ClipMaker
from stream_bind.encoders.languagebind import inputs
from stream_bind.encoders.languagebind.clips import (
    AudioClips,
    DepthClips,
    DepthSettings,
    ImageClips,
    ThermalClips,
    ThermalSettings,
    VideoClips,
    VisionSettings,
)
from stream_bind.encoders.languagebind.normalise import Normaliser
from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.sinc import resample_sinc
from stream_bind.errors import ClipError
from stream_bind.messages import StreamSpec, Window

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def spec(modality: str, dtype: str = "uint8", rate_hz: float = 10.0, unit: str = "") -> StreamSpec:
    return StreamSpec("s", modality, rate_hz, (), dtype, unit)


def window(data, t_s, length_s: float = 2.0, n_context: int = 0) -> Window:
    t_ns = START + np.round(np.asarray(t_s, np.float64) * SECOND).astype(np.int64)
    return Window("s", 3, START, START + round(length_s * SECOND), data, t_ns, n_context, len(t_ns), 1.0)


def numbered(n: int) -> tuple[np.ndarray, ...]:
    """Frames whose every pixel is their number."""
    return tuple(np.full((240, 320, 3), i, np.uint8) for i in range(n))


def test_what_each_kind_asks_of_the_windower():
    makers: dict[str, ClipMaker] = {
        "video": VideoClips(VisionSettings()),
        "image": ImageClips(VisionSettings()),
        "depth": DepthClips(DepthSettings()),
        "thermal": ThermalClips(ThermalSettings()),
        "audio": AudioClips(),
    }
    table = {name: (m.spec.modality, m.spec.length_s, m.spec.hop_s, m.spec.payload) for name, m in makers.items()}
    assert table == {
        "video": ("vision", 2.0, 0.5, "all"),
        "image": ("vision", 2.0, 0.5, "edges"),
        "depth": ("depth", 2.0, 0.5, "edges"),
        "thermal": ("thermal", 2.0, 0.5, "edges"),
        "audio": ("audio", 10.375, 2.5, "all"),
    }
    assert {m.spec.dtype for m in makers.values()} == {"float32"}


def test_a_video_clip_is_eight_frames_of_the_windows_own():
    clip = VideoClips(VisionSettings()).make(window(numbered(61), np.arange(-1, 60) / 30, n_context=1), spec("vision"))
    assert (clip.shape, clip.dtype) == ((8, 224, 224, 3), np.float32)
    seen = [1 + i for i in inputs.frame_ids(60, 8).tolist()]
    np.testing.assert_allclose(clip[:, 0, 0, 0] * 255, seen, atol=1e-4)


def test_another_model_sees_another_number_of_frames_and_one_frame_is_repeated():
    maker = VideoClips(VisionSettings(), num_frames=12, size=112)
    clip = maker.make(window(numbered(1), [0.5]), spec("vision"))
    assert clip.shape == maker.spec.shape == (12, 112, 112, 3)
    assert np.all(clip == clip[0])


@pytest.mark.parametrize("maker", [VideoClips(VisionSettings()), ImageClips(VisionSettings())])
def test_a_window_without_a_frame_is_refused(maker):
    with pytest.raises(ClipError, match=r"^s: window 3 holds no frame"):
        maker.make(window((), []), spec("vision"))
    with pytest.raises(ClipError, match=r"^s: a picture is"):
        maker.make(window((np.zeros((4, 4, 2), np.uint8),), [0.1]), spec("vision"))


@pytest.mark.parametrize(("pick", "number"), [("first", 0), ("middle", 9), ("last", 19)])
def test_a_still_model_sees_the_picked_frame(pick, number):
    clip = ImageClips(VisionSettings(pick=pick)).make(window(numbered(20), np.arange(20) / 10), spec("vision"))
    assert clip.shape == (224, 224, 3)
    np.testing.assert_allclose(clip * 255, number, atol=1e-4)


def test_the_crop_is_the_settings():
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    left = VisionSettings(crop="first")
    assert np.array_equal(
        ImageClips(left).make(window((frame,), [0.5]), spec("vision")), inputs.picture(frame, crop="first")
    )
    video = VideoClips(left).make(window((frame,), [0.5]), spec("vision"))
    assert np.array_equal(video[0], inputs.video_frame(frame, crop="first"))


def depth(metres: float, dtype: str = "float32", unit: str = "m", settings: DepthSettings | None = None, **of_model):
    frames = tuple(np.full((240, 320), metres * i / 20, np.float32).astype(dtype) for i in range(1, 21))
    maker = DepthClips(settings or DepthSettings(), **of_model)
    return maker.make(window(frames, np.arange(20) / 10), spec("depth", dtype, unit=unit))


def test_depth_comes_in_metres_or_millimetres():
    for clip in (depth(4.0), depth(4000.0, unit="mm"), depth(4000.0, "uint16", ""), depth(4.0, "float64")):
        assert (clip.shape, clip.dtype) == ((1, 224, 224), np.float32)
        np.testing.assert_allclose(clip, 0.4, rtol=1e-5)
    with pytest.raises(ClipError, match=r"^s: depth wants the unit m or mm, found 'ft'"):
        depth(4.0, unit="ft")
    with pytest.raises(ClipError, match="uint8"):
        depth(200.0, "uint8")


def test_the_greatest_depth_is_the_settings_or_the_models():
    np.testing.assert_allclose(depth(4.0, max_depth_m=20.0), 0.2, rtol=1e-5)
    np.testing.assert_allclose(depth(4.0, settings=DepthSettings(max_depth_m=5.0), max_depth_m=20.0), 0.8, rtol=1e-5)
    np.testing.assert_allclose(depth(4.0, settings=DepthSettings(max_depth_m=0.0)), 1.0, rtol=1e-5)


def test_a_frame_with_too_little_depth_is_refused_unless_allowed():
    blind = window((np.full((240, 320), np.nan, np.float32),), [0.5])
    with pytest.raises(ClipError, match=r"^s: 0% of the depth pixels"):
        DepthClips(DepthSettings()).make(blind, spec("depth", "float32", unit="m"))
    allowed = DepthClips(DepthSettings(min_valid=0.0)).make(blind, spec("depth", "float32", unit="m"))
    np.testing.assert_allclose(allowed, 0.001, rtol=1e-5)


def test_radiometric_heat_is_stretched_and_grey_heat_is_not():
    kelvin = np.linspace(280, 320, 240 * 320, dtype=np.float32).reshape(240, 320)
    thermal = spec("thermal", "float32", unit="K")
    clip = ThermalClips(ThermalSettings()).make(window((kelvin,), [0.5]), thermal)
    assert clip.shape == (1, 224, 224)
    assert clip.min() == pytest.approx(0, abs=0.02)
    assert clip.max() == pytest.approx(1, abs=0.02)
    fixed = ThermalClips(ThermalSettings(range_k=(200.0, 400.0))).make(window((kelvin,), [0.5]), thermal)
    np.testing.assert_allclose([fixed.min(), fixed.max()], [0.4, 0.6], atol=0.01)
    grey = np.full((240, 320), 100, np.uint8)
    for frame in (grey, np.repeat(grey[:, :, None], 3, axis=2)):
        shown = ThermalClips(ThermalSettings()).make(window((frame,), [0.5]), spec("thermal"))
        np.testing.assert_allclose(shown, 100 / 255, rtol=1e-5)
    with pytest.raises(ClipError, match=r"^s: a thermal frame is"):
        ThermalClips(ThermalSettings()).make(window((np.zeros((4, 4, 4), np.uint8),), [0.5]), spec("thermal"))


def sound(seconds: float, rate: int, channels: int = 1, begin_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(n, channels) of noise and its times."""
    t_s = begin_s + np.arange(round(seconds * rate)) / rate
    return np.random.default_rng(rate).uniform(-0.5, 0.5, (len(t_s), channels)).astype(np.float32), t_s


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_full_window_of_sound_is_what_the_reference_makes_of_a_file(rate):
    data, t_s = sound(10.375, rate, 2)
    clip = AudioClips().make(window(data, t_s, 10.375), spec("audio", "float32", float(rate)))
    assert (clip.shape, clip.dtype) == ((1, 112, 1036), np.float32)
    expected = inputs.mel_picture(resample_sinc(np.ascontiguousarray(data.T), rate, 16000)[:, :166000])
    np.testing.assert_allclose(clip, expected, atol=1e-4)


def test_sound_before_the_window_is_not_heard():
    data, t_s = sound(11.0, 16000, begin_s=-0.625)
    n_context = int((t_s < 0).sum())
    clip = AudioClips().make(window(data, t_s, 10.375, n_context), spec("audio", "float32", 16000.0))
    expected = inputs.mel_picture(np.ascontiguousarray(data[n_context:].T))
    np.testing.assert_allclose(clip, expected, atol=1e-4)
    with pytest.raises(ClipError, match="holds no sound"):
        AudioClips().make(
            window(data[:n_context], t_s[:n_context], 10.375, n_context), spec("audio", "float32", 16000.0)
        )


@pytest.mark.parametrize("begin_s", [0.0, 7.0])
def test_sound_that_ends_or_begins_in_the_window_is_repeated_not_followed_by_silence(begin_s):
    data, t_s = sound(3.0, 16000, begin_s=begin_s)
    clip = AudioClips().make(window(data, t_s, 10.375), spec("audio", "float32", 16000.0))
    np.testing.assert_allclose(clip, inputs.mel_picture(np.ascontiguousarray(data.T)), atol=1e-4)
    assert clip.min() > np.log(fbank.FLOOR) + 1


def test_a_gap_inside_is_silence_in_its_place():
    data, t_s = sound(10.375, 16000)
    kept = (t_s < 4.0) | (t_s >= 6.0)
    clip = AudioClips().make(window(data[kept], t_s[kept], 10.375), spec("audio", "float32", 16000.0))
    silent = clip[0, :, 405:590]
    assert silent.mean() < -9
    assert clip[0, :, 650:1000].mean() > -3


def test_long_windows_show_front_middle_and_back():
    data, t_s = sound(15.0, 16000)
    maker = AudioClips(length_s=15.0)
    clip = maker.make(window(data, t_s, 15.0), spec("audio", "float32", 16000.0))
    assert clip.shape == maker.spec.shape == (3, 112, 1036)
    np.testing.assert_allclose(clip, inputs.mel_picture(np.ascontiguousarray(data.T)), atol=1e-4)
    short = maker.make(window(data[:32000], t_s[:32000], 15.0), spec("audio", "float32", 16000.0))
    assert short.shape == (3, 112, 1036)
    assert np.array_equal(short[0], short[2])


def test_a_model_of_another_size_wants_another_length():
    maker = AudioClips(96, 200)
    assert maker.spec.length_s == pytest.approx(2.015)
    assert maker.spec.shape == (1, 96, 200)
    assert AudioClips(96, 200, 2.02).spec.shape == (1, 96, 200)
    assert AudioClips(96, 200, 2.03).spec.shape == (3, 96, 200)


def test_too_little_sound_is_refused():
    data, t_s = sound(0.02, 16000)
    with pytest.raises(ClipError, match=r"^s: .*400"):
        AudioClips().make(window(data, t_s, 10.375), spec("audio", "float32", 16000.0))


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (VisionSettings, {"frames": 2}),
        (VisionSettings, {"crop": "middle"}),
        (DepthSettings, {"max_depth_m": -1}),
        (DepthSettings, {"holes": "ignore"}),
        (ThermalSettings, {"range_k": (300.0, 300.0)}),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("modality", "shape", "wanted"),
    [
        ("vision", (2, 224, 224, 3), (2, 3, 224, 224)),
        ("vision", (2, 8, 40, 30, 3), (2, 3, 8, 40, 30)),
        ("depth", (2, 1, 40, 30), (2, 3, 40, 30)),
        ("thermal", (2, 1, 40, 30), (2, 3, 40, 30)),
        ("audio", (2, 1, 112, 50), (2, 3, 112, 50)),
        ("audio", (2, 3, 112, 50), (2, 3, 112, 50)),
        ("audio", (0, 1, 112, 50), (0, 3, 112, 50)),
    ],
)
def test_the_normaliser_makes_what_the_model_takes(modality, shape, wanted):
    clips = np.random.default_rng(0).random(shape, dtype=np.float32)
    normalised = Normaliser(torch.device("cpu"), audio_mean=-4.0, audio_std=4.5)(modality, torch.from_numpy(clips))
    assert tuple(normalised.shape) == wanted
    for clip, ours in zip(clips, normalised.numpy(), strict=True):
        expected = inputs.normalised_mel(clip, -4.0, 4.5) if modality == "audio" else inputs.normalised_pixels(clip)
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_normaliser_doubles_the_deviation_of_sound():
    silence = torch.full((1, 1, 112, 9), float(np.log(fbank.FLOOR)))
    assert Normaliser(torch.device("cpu"))("audio", silence).numpy() == pytest.approx(-1.27759, abs=1e-5)

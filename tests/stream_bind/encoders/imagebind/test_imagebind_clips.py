"""Windows to packed clips: which frames, which seconds, and which windows are refused."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.encoders.preprocess import fbank, frames
from stream_bind.errors import ClipError, ConfigError
from stream_bind.messages import IMU_AXES, StreamSpec, Window

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def maker(modality: str, length_s: float | None = None, **settings):
    config = ImageBindEncoderConfig(weights="random", size="small", **settings)
    return ImageBindEncoder.clip_maker(config, modality, length_s)


def spec(modality: str, dtype: str = "uint8", axes: tuple[str, ...] = (), rate_hz: float = 10.0) -> StreamSpec:
    return StreamSpec("s", modality, rate_hz, (), dtype, "", axes)


def window(data, t_s, length_s: float = 2.0, n_context: int = 0) -> Window:
    t_ns = START + np.round(np.asarray(t_s, np.float64) * SECOND).astype(np.int64)
    return Window("s", 3, START, START + round(length_s * SECOND), data, t_ns, n_context, len(t_ns), 1.0)


def numbered(n: int) -> tuple[np.ndarray, ...]:
    """Frames whose every pixel is their number."""
    return tuple(np.full((240, 320, 3), i, np.uint8) for i in range(n))


def test_a_vision_clip_is_the_first_and_last_frame_inside_the_window():
    clip = maker("vision").make(window(numbered(21), np.arange(-1, 20) / 10, n_context=1), spec("vision"))
    assert (clip.shape, clip.dtype) == ((2, 224, 224, 3), np.float32)
    np.testing.assert_allclose(clip[0] * 255, 1.0, atol=1e-4)
    np.testing.assert_allclose(clip[1] * 255, 20.0, atol=1e-4)


def test_a_longer_vision_window_still_takes_its_first_and_last_frame():
    five = maker("vision", 5.0)
    assert five.spec.length_s == 5.0
    clip = five.make(window(numbered(50), np.arange(50) / 10, 5.0), spec("vision"))
    np.testing.assert_allclose(clip[:, 0, 0, 0] * 255, [0.0, 49.0], atol=1e-4)


def test_a_single_frame_is_shown_twice_and_none_is_refused():
    clip = maker("vision").make(window(numbered(1), [0.5]), spec("vision"))
    assert np.array_equal(clip[0], clip[1])
    with pytest.raises(ClipError, match="holds no frame"):
        maker("vision").make(window((), []), spec("vision"))


@pytest.mark.parametrize(("pick", "number"), [("first", 0), ("middle", 9), ("last", 19)])
def test_one_frame_stays_bytes_and_is_the_picked_one(pick, number):
    one = maker("vision", vision={"frames": 1, "pick": pick})
    clip = one.make(window(numbered(20), np.arange(20) / 10), spec("vision"))
    assert (clip.shape, clip.dtype, one.spec.dtype) == ((224, 224, 3), np.uint8, "uint8")
    assert np.all(clip == number)


def test_the_still_and_the_video_path_are_the_references_own():
    frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    still = maker("vision", vision={"frames": 1}).make(window((frame,), [0.5]), spec("vision"))
    assert np.array_equal(still, frames.still(frame))
    left = maker("vision", vision={"crop": "first"}).make(window((frame, frame), [0.1, 1.9]), spec("vision"))
    assert np.array_equal(left[0], frames.video_frame(frame, crop="first"))


def test_depth_and_thermal_take_the_newest_frame_of_the_window():
    depths = tuple(np.full((240, 320), 1.0 + i, np.float32) for i in range(20))
    clip = maker("depth").make(window(depths, np.arange(20) / 10), spec("depth", "float32"))
    assert clip.shape == (1, 224, 224)
    np.testing.assert_allclose(clip, 0.075 * 518.857901 / 2 / 20.0 / 75, rtol=1e-5)
    kelvins = tuple(np.full((120, 160), 280.0 + i, np.float32) for i in range(20))
    first = maker("thermal", thermal={"pick": "first"}).make(
        window(kelvins, np.arange(20) / 10), spec("thermal", "float32")
    )
    np.testing.assert_allclose(first, (280.0 - 273.15) / 40, atol=1e-5)


def test_a_frame_without_depth_is_refused_with_the_streams_name():
    blind = (np.full((240, 320), np.nan, np.float32),)
    with pytest.raises(ClipError, match=r"^s: 0% of the depth pixels"):
        maker("depth").make(window(blind, [1.0]), spec("depth", "float32"))


def sound(length_s: float, rate_hz: int = 16000, hz: float = 500.0) -> tuple[np.ndarray, np.ndarray]:
    t_s = np.arange(-round(0.1 * rate_hz), round(length_s * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * t_s)).astype(np.float32)[:, None], t_s


def test_sound_at_the_models_rate_is_the_spectrogram_of_the_window():
    wave, t_s = sound(2.0)
    clip = maker("audio").make(window(wave, t_s, n_context=1600), spec("audio", "float32", rate_hz=16000.0))
    assert clip.shape == (1, 128, 204)
    expected = fbank.spectrogram(wave[1600:].T)
    loud = expected > expected.max() - 8
    assert np.abs(clip - expected)[loud].max() < 0.02
    assert np.all(clip[..., 198:] == 0)


def test_sound_at_another_rate_keeps_its_pitch():
    wave, t_s = sound(2.0, 48000)
    clip = maker("audio").make(window(wave, t_s, n_context=4800), spec("audio", "float32", rate_hz=48000.0))
    reference = fbank.spectrogram(sound(2.0)[0][1600:].T)
    assert clip[0, :, 50].argmax() == reference[0, :, 50].argmax()


def test_a_longer_sound_window_becomes_evenly_spaced_clips():
    wave, t_s = sound(5.0)
    five = maker("audio", 5.0)
    clip = five.make(window(wave, t_s, 5.0, n_context=1600), spec("audio", "float32", rate_hz=16000.0))
    assert clip.shape == five.spec.shape == (3, 1, 128, 204)
    assert maker("audio", 5.0, audio={"clips": 1}).spec.shape == (1, 1, 128, 204)


def test_a_shorter_sound_window_is_padded_as_the_reference_pads():
    wave, t_s = sound(0.5)
    clip = maker("audio", 0.5).make(window(wave, t_s, 0.5, n_context=1600), spec("audio", "float32", rate_hz=16000.0))
    assert np.all(clip[..., 48:] == 0)
    assert np.all(clip[0, 20, :48] != 0)


def test_a_window_without_sound_of_its_own_is_refused():
    wave, t_s = sound(0.5)
    before = t_s < 0
    with pytest.raises(ClipError, match="holds no sound"):
        maker("audio").make(
            window(wave[before], t_s[before], n_context=1600), spec("audio", "float32", rate_hz=16000.0)
        )


@pytest.mark.parametrize(("modality", "length_s"), [("audio", 0.02), ("vision", 0.0), ("imu", -1.0)])
def test_window_lengths_nothing_can_be_made_of_are_refused_early(modality, length_s):
    with pytest.raises(ConfigError, match="too short"):
        maker(modality, length_s)


def motion(n: int = 1000, length_s: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    t_s = np.arange(n) * length_s / n
    return np.tile(np.arange(6, dtype=np.float32), (n, 1)), t_s


def test_motion_columns_are_found_by_name():
    data, t_s = motion()
    shuffled = ("gyro_z", "accel_x", "gyro_x", "accel_z", "gyro_y", "accel_y")
    clip = maker("imu").make(window(data, t_s, 5.0), spec("imu", "float32", shuffled))
    assert (clip.shape, clip.dtype) == ((6, 2000), np.float32)
    np.testing.assert_allclose(clip[:, 1000], [1, 5, 3, 2, 4, 0], atol=1e-4)


def test_missing_axes_and_too_few_samples_are_refused():
    data, t_s = motion()
    with pytest.raises(ClipError, match="gyro_z"):
        maker("imu").make(window(data[:, :5], t_s, 5.0), spec("imu", "float32", IMU_AXES[:5]))
    with pytest.raises(ClipError, match="1 motion samples"):
        maker("imu").make(window(data[:1], t_s[:1], 5.0), spec("imu", "float32", IMU_AXES))


def test_what_each_modality_asks_of_the_windower():
    table = {m: maker(m).spec for m in ("vision", "audio", "depth", "thermal", "imu")}
    assert {m: (s.length_s, s.hop_s) for m, s in table.items()} == {
        "vision": (2.0, 0.5),
        "audio": (2.0, 0.5),
        "depth": (2.0, 0.5),
        "thermal": (2.0, 0.5),
        "imu": (5.0, 2.5),
    }
    assert {m for m, s in table.items() if s.payload == "edges"} == {"vision", "depth", "thermal"}
    assert {m for m, s in table.items() if s.context_s > 0} == {"audio", "imu"}
    assert table["imu"].axes == IMU_AXES

"""Our own numbers, committed: they hold the preprocessing still where no fixtures are at hand, and each known slip
must show in them.

Made by this code while it met the reference (see test_languagebind_preprocess_parity.py); regenerate with
`python tests/stream_bind/encoders/languagebind/test_languagebind_golden_inputs.py` only when the reference changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from stream_bind.encoders.languagebind import inputs
from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.sinc import resample_sinc

GOLDEN = Path(__file__).parent / "data" / "languagebind_inputs.npz"
MEAN, STD = -4.2677393, 4.5689974
LIMITS = {
    "image": 5e-6,
    "image_grey": 5e-6,
    "depth": 5e-6,
    "depth_own": 5e-6,
    "heat": 5e-6,
    "video": 5e-6,
    "sound_short": 6e-4,
    "sound_long": 6e-4,
    "sound_stereo_44k": 6e-4,
}
"""As the parity fixtures allow: mel 5e-3 at most, divided by twice the deviation."""


def blocks(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Blocks of 9 px in random colours with grain: edges for a cubic to overshoot at, detail to alias."""
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, channels))
    fine = np.repeat(np.repeat(coarse, 9, axis=0), 9, axis=1)[:height, :width] + rng.integers(
        -40, 41, (height, width, channels)
    )
    return np.clip(fine, 0, 255).astype(np.uint8)


def millimetres() -> np.ndarray:
    depth = blocks(200, 301, 1)[:, :, 0].astype(np.uint16) * 45 + 300
    depth[40:60, 50:90] = 0
    return depth


def chirp(seconds: float, rate: int = 16000) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    rng = np.random.default_rng(3)
    tone = 0.3 * np.sin(2 * np.pi * (150 + 2600 / seconds * t) * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 1.7 * t))
    return (tone + rng.normal(0, 0.003, len(t))).astype(np.float32)[None]


def stereo() -> np.ndarray:
    left, right = chirp(1.3, 44100), chirp(1.3, 44100)[:, ::-1]
    return np.concatenate([left, 0.7 * right + np.float32(0.05)])


def heard(wave: np.ndarray) -> np.ndarray:
    planes = inputs.normalised_mel(inputs.mel_picture(wave, 112, 1036), MEAN, STD)
    return planes[:, 4::14, 5::61]


def one(name: str) -> np.ndarray:
    def sparse(clip: np.ndarray) -> np.ndarray:
        return inputs.normalised_pixels(clip)[..., 3::31, 5::29]

    match name:
        case "image":
            return sparse(inputs.picture(blocks(301, 427)))
        case "image_grey":
            return sparse(inputs.grey_plane(blocks(333, 250, 1)[:, :, 0]))
        case "depth":
            return sparse(inputs.depth_plane(millimetres(), 10.0))
        case "depth_own":
            return sparse(inputs.depth_plane(millimetres(), 0.0))
        case "heat":
            kelvin = 290 + blocks(60, 80, 1)[:, :, 0].astype(np.float32) / 20
            return sparse(inputs.grey_plane(inputs.stretched(kelvin)))
        case "video":
            return sparse(inputs.video([blocks(240 + i, 331) for i in range(21)], 4))
        case "sound_short":
            return heard(chirp(3.1))
        case "sound_long":
            return heard(chirp(12.5))
        case "sound_stereo_44k":
            return heard(resample_sinc(stereo(), 44100, 16000))
    raise AssertionError(name)


def errors(name: str) -> np.ndarray:
    """Ours against the committed values, in units of the network's input."""
    golden = np.load(GOLDEN)[name]
    ours = one(name)
    assert ours.shape == golden.shape
    return np.abs(ours - golden)


@pytest.mark.parametrize("name", LIMITS)
def test_preprocessing_still_gives_the_committed_values(name):
    assert errors(name).max() <= LIMITS[name]


def antialiased(image: np.ndarray, shape: Any, part: Any = (slice(None), slice(None))) -> np.ndarray:
    """An antialiased resize, as torchvision's default is today and Pillow's always was."""
    planes = np.atleast_3d(image).astype(np.float32)
    resized = [
        np.asarray(Image.fromarray(planes[..., c]).resize(shape[::-1], Image.Resampling.BICUBIC))[part]
        for c in range(planes.shape[2])
    ]
    return np.stack(resized, axis=-1) if image.ndim == 3 else resized[0]


def clamped(function: Any) -> Any:
    def inner(image: np.ndarray, *args: Any) -> np.ndarray:
        return np.clip(function(image, *args), 0, 255 if image.dtype == np.uint8 else 1)

    return inner


def blue_first(function: Any) -> Any:
    def inner(frame: np.ndarray) -> Any:
        pixels, white = function(frame)
        return pixels[:, :, ::-1], white

    return inner


def set_(target: Any, name: str, change: Any) -> Any:
    """A trap that replaces `name` of a module by change(its value)."""
    return lambda patch: patch.setattr(target, name, change(getattr(target, name)))


def povey(_: Any) -> Any:
    hann = fbank._window()
    return lambda: hann ** np.float32(0.85)


def zero_padded(_: Any) -> Any:
    def fused(mel: np.ndarray, n_frames: int, starts: Any = None) -> np.ndarray:
        out = np.zeros((1, mel.shape[0], n_frames), np.float32)
        out[0, :, : mel.shape[1]] = mel[:, :n_frames]
        return out

    return fused


def on_wave(change: Any) -> Any:
    """Changes the sound before it is analysed."""

    def wrap(function: Any) -> Any:
        return lambda wave, *args: function(change(wave), *args)

    return set_(inputs, "mel_picture", wrap)


def on_depth(change: Any) -> Any:
    def wrap(function: Any) -> Any:
        return lambda depth, limit: function(*change(depth, limit))

    return set_(inputs, "depth_plane", wrap)


def area_cv2(_: Any) -> Any:
    def resize(image: np.ndarray, shape: Any, part: Any = (slice(None), slice(None))) -> np.ndarray:
        return np.asarray(cv2.resize(image.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA))[part]

    return resize


RESIZE = "resize_bicubic"
TRAPS = {
    # name: (what is put in the code's place, the case that must show it, least effect: rms of the network input)
    "image resized with antialias": (set_(inputs, RESIZE, lambda _: antialiased), "image", 0.02),
    "grey resized with antialias": (set_(inputs, RESIZE, lambda _: antialiased), "image_grey", 0.02),
    "depth resized with antialias": (set_(inputs, RESIZE, lambda _: antialiased), "depth", 3e-4),
    "video resized with antialias": (set_(inputs, "resize_bilinear", area_cv2), "video", 0.02),
    "clamped after the cubic": (set_(inputs, RESIZE, clamped), "image", 1e-3),
    "heat clamped after the cubic": (set_(inputs, RESIZE, clamped), "heat", 1e-3),
    "blue first, as OpenCV reads": (set_(inputs, "_colour", blue_first), "image", 0.1),
    "video blue first, as OpenCV reads": (set_(inputs, "_colour", blue_first), "video", 0.1),
    "frame ids rounded": (
        set_(inputs, "frame_ids", lambda _: lambda n, t: np.round(np.linspace(0, n - 1, t)).astype(int)),
        "video",
        0.2,
    ),
    "frame ids k * N / T": (
        set_(inputs, "frame_ids", lambda _: lambda n, t: np.arange(t) * n // t),
        "video",
        0.2,
    ),
    "video mirrored": (set_(inputs, "video_frame", lambda f: lambda *a: f(*a)[:, ::-1]), "video", 0.2),
    "centre rounded up": (
        lambda patch: patch.setattr(inputs, "round", lambda x: int(np.floor(x + 0.5)), raising=False),
        "image",
        0.05,
    ),
    "deviation of sound not doubled": (
        set_(inputs, "normalised_mel", lambda f: lambda clip, mean, std: f(clip, mean, std / 2)),
        "sound_short",
        0.1,
    ),
    "sound in 16-bit numbers": (on_wave(lambda wave: wave * np.float32(32768)), "sound_short", 1.0),
    "short sound padded with zeros": (set_(inputs, "fused", zero_padded), "sound_short", 0.05),
    "povey window": (set_(fbank, "_window", povey), "sound_short", 0.005),
    "no pre-emphasis": (set_(fbank, "PREEMPHASIS", lambda _: np.float32(0)), "sound_short", 0.1),
    "channels mixed down": (on_wave(lambda wave: wave.mean(axis=0, keepdims=True)), "sound_stereo_44k", 0.05),
    "long sound: front crop only": (
        set_(inputs, "mel_starts", lambda _: lambda found, n: (0, 0, 0)),
        "sound_long",
        0.02,
    ),
    "depth divided by 65535": (
        on_depth(lambda depth, limit: (depth.astype(np.float32) / 65535 * limit, limit)),
        "depth",
        0.2,
    ),
    "depth divided by its own greatest": (on_depth(lambda depth, _: (depth, 0.0)), "depth", 0.001),
    "depth read as 8 bits": (
        on_depth(lambda depth, limit: ((depth >> 8).astype(np.uint16), limit)),
        "depth",
        0.2,
    ),
    "the model's greatest depth where its own is asked for": (
        on_depth(lambda depth, _: (depth, 10.0)),
        "depth_own",
        0.001,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_every_known_slip_shows_in_the_committed_values(trap, monkeypatch):
    fall, name, least = TRAPS[trap]
    fall(monkeypatch)
    wrong = errors(name)
    rms = float(np.sqrt((wrong**2).mean()))
    print(f"{trap}: rms {rms:.1e} max {wrong.max():.1e}")
    assert wrong.max() > 10 * LIMITS[name]
    assert rms > least


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **{name: one(name).astype(np.float32) for name in LIMITS})

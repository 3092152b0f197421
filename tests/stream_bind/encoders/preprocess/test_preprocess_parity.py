"""Images, video, spectrograms and spans against the reference, for every parity set found beside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from stream_bind.encoders.preprocess import depth, fbank, frames

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
SETS = sorted(p.parent for p in (SHARED / "fixtures" / "imagebind").glob("*/config.json"))
PIXELS, SPECTRUM = 1e-5, 1e-4


def sets_with(name: str) -> list[Path]:
    return [directory for directory in SETS if (directory / name).exists()]


def cases(name: str, suffixes: tuple[str, ...]) -> list[tuple[Path, str]]:
    return [(d, key) for d in sets_with(name) for key in np.load(d / name).files if key.endswith(suffixes)]


def case_id(value: object) -> str:
    return value.name if isinstance(value, Path) else str(value)


def normalised_pixels(image: np.ndarray) -> np.ndarray:
    return (image - np.array(frames.MEAN, np.float32)) / np.array(frames.STD, np.float32)


def report(name: str, error: float) -> float:
    print(f"{name} {error:.1e}")
    return error


pytestmark = pytest.mark.skipif(not SETS, reason=f"no parity set (config.json) under {SHARED}/fixtures/imagebind")


@pytest.mark.parametrize(("directory", "key"), cases("pre_image.npz", (".rgb", ".gray")), ids=case_id)
def test_still_images(directory, key):
    data = np.load(directory / "pre_image.npz")
    ours = normalised_pixels(frames.still(data[key]).astype(np.float32) / 255).transpose(2, 0, 1)
    assert report(key, np.abs(ours - data[key.rsplit(".", 1)[0] + ".out"]).max()) <= PIXELS


@pytest.mark.parametrize("directory", sets_with("pre_video.npz"), ids=case_id)
def test_video_clips_of_a_file(directory):
    data = np.load(directory / "pre_video.npz")
    spans = frames.video_spans(int(data["n_frames"]), float(data["fps"]))
    assert [(a, b, a, b - 1) for a, b in spans] == [tuple(row) for row in data["first_last_used"].tolist()]
    decoded = dict(zip(data["used_frame_index"].tolist(), data["used_frames"], strict=True))
    clips = np.stack(
        [
            np.stack([normalised_pixels(frames.video_frame(decoded[i], crop=crop)) for i in (first, end - 1)])
            for first, end in spans
            for crop in ("first", "centre", "last")
        ]
    ).transpose(0, 4, 1, 2, 3)
    assert report("strided", np.abs(clips[..., ::8, ::8] - data["out_strided8"]).max()) <= PIXELS
    assert report("crops", np.abs(clips[:3, :, :1] - data["out_clip0_crops"]).max()) <= PIXELS


@pytest.mark.parametrize(
    ("directory", "key"), cases("pre_audio.npz", (".clips", ".clips_independent", ".fbank")), ids=case_id
)
def test_spectrograms(directory, key):
    data = np.load(directory / "pre_audio.npz")
    name, kind = key.rsplit(".", 1)
    wave = data[f"{name}.wave"]
    if kind == "fbank":
        ours, reference = fbank.spectrogram(wave) / fbank.STD, data[key] / fbank.STD
    else:
        clips = fbank.file_clips(wave, len(data[key]), shared_mean=kind == "clips")
        ours, reference = (clips - np.float32(fbank.MEAN)) / np.float32(fbank.STD), data[key]
        assert fbank.clip_spans(wave.shape[1], len(data[key])) == [tuple(s) for s in data[f"{name}.spans"].tolist()]
    assert report(key, np.abs(ours - reference).max()) <= SPECTRUM


@pytest.mark.parametrize("directory", sets_with("pre_audio.npz"), ids=case_id)
def test_the_filter_table(directory):
    data = np.load(directory / "pre_audio.npz")
    np.testing.assert_allclose(fbank.mel_filters(), data["mel_banks"], atol=3e-5)


@pytest.mark.parametrize("directory", sets_with("pre_clip_spans.json"), ids=case_id)
def test_clip_spans_to_the_sample(directory):
    table = json.loads((directory / "pre_clip_spans.json").read_text())
    wrong = [
        (n, clips)
        for n, spans in table.items()
        for clips, expected in spans.items()
        if [list(span) for span in fbank.clip_spans(int(n), int(clips))] != expected
    ]
    assert wrong == []


@pytest.mark.parametrize("directory", sets_with("advisory_depth_omnivore_recipe.npz"), ids=case_id)
@pytest.mark.parametrize("antialias", [False, True])
def test_the_default_depth_recipe_is_omnivores(directory, antialias):
    data = np.load(directory / "advisory_depth_omnivore_recipe.npz")
    settings = depth.DepthSettings(
        fx_px=float(data["focal"]), fx_width_px=None, baseline_m=float(data["baseline"]), antialias=antialias
    )
    metres = data["metres"]
    # The recipe has no notion of a hole: depth 0 becomes its nearest distance.
    plane = depth.disparity_plane(np.maximum(metres, settings.near_m), settings)
    ours = (plane - settings.mean) / settings.std
    reference = data["out" if antialias else "out_no_antialias"]
    assert report("depth", np.abs(ours - reference).max()) <= (2e-4 if antialias else 1e-5)

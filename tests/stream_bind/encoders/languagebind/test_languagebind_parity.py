"""Numbers of the reference implementation, for every parity set found beside the repository.

A set is any directory of `$STREAM_BIND_SHARED/fixtures/languagebind` with models, text, preprocess or e2e in it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
import torch

from stream_bind.encoders.languagebind import LanguageBind, inputs
from stream_bind.encoders.languagebind.config import read_config
from stream_bind.encoders.languagebind.normalise import Normaliser
from stream_bind.encoders.preprocess.sinc import resample_sinc
from stream_bind.encoders.tokenizer import ClipTokenizer

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
ROOT = SHARED / "fixtures" / "languagebind"
MODELS = sorted(ROOT.glob("*/models/*/config.json"))
TEXTS = sorted(ROOT.glob("*/text/io.npz"))
CASES = sorted(ROOT.glob("*/preprocess/*.npz"))
ENDS = sorted(ROOT.glob("*/e2e/*/config.json"))
MEAN, STD = (np.array(values, np.float32) for values in (inputs.MEAN, inputs.STD))
PIXELS, MEL_RMS, MEL_MAX = 5e-6, 1e-4, 5e-3

pytestmark = pytest.mark.skipif(not MODELS, reason=f"no parity set under {ROOT}")


def told(path: Path) -> str:
    folder = path.parent if path.suffix != ".npz" or path.stem == "io" else path.with_suffix("")
    return f"{folder.parents[1].name}-{folder.name}"


def worst(ours: torch.Tensor | np.ndarray, reference: np.ndarray) -> float:
    found = np.asarray(ours)
    assert found.shape == reference.shape
    return float(np.abs(found - reference).max())


@pytest.mark.parametrize("path", MODELS, ids=told)
def test_every_stage_matches_the_reference(path: Path) -> None:
    model, case = LanguageBind.from_pretrained(path.parent), np.load(path.parent / "io.npz")
    seen = model.stages(torch.from_numpy(case["pixel_values"]))
    read = model.text_stages(torch.from_numpy(case["input_ids"]))
    clip = len(seen.last) // len(case["pixel_values"])
    factor = model.factor()
    found = {
        "hidden_after_pre_norm": (seen.after_pre_norm[:clip, :48], 1e-5),
        "hidden_after_layer0": (seen.after_layer0[:clip, :48], 1e-5),
        "hidden_last": (seen.last[:clip, :48], 2e-5),
        "pooled": (seen.pooled, 1e-5),
        "projected": (seen.projected, 1e-5),
        "embedding": (seen.embedding, 2e-6),
        "scaled_embedding": (factor * seen.embedding, 5e-5),
        "text_hidden_after_embeddings": (read.after_embeddings, 1e-6),
        "text_pooled": (read.pooled, 1e-5),
        "text_projected": (read.projected, 1e-5),
        "text_embedding": (read.embedding, 2e-6),
        "logits_per_image": (factor * seen.embedding @ read.embedding.T, 5e-5),
        "logits_per_text": (factor * read.embedding @ seen.embedding.T, 5e-5),
    }
    errors = {name: worst(ours, case[name]) for name, (ours, _) in found.items()}
    # Behind the end token the reference masks, ours looks; nothing reads it.
    said = case["attention_mask"].astype(bool)
    assert worst(read.last_normed[said], case["text_last_hidden_normed"][said]) <= 1e-5
    assert {name: error for name, error in errors.items() if error > found[name][1]} == {}
    assert float(model.logit_scale) == pytest.approx(float(case["logit_scale"][0]), abs=1e-7)
    mask = torch.from_numpy(case["attention_mask"])
    ids = torch.from_numpy(case["input_ids"])
    assert torch.equal(model.encode_text(ids, mask), model.encode_text(ids))


@pytest.mark.parametrize("path", TEXTS, ids=told)
def test_texts_match_the_reference(path: Path) -> None:
    case = np.load(path)
    texts = json.loads((path.parent / "texts.json").read_text())
    vocabulary = SHARED / "fixtures" / "vocab" / "bpe_simple_vocab_16e6.txt.gz"
    ids = ClipTokenizer(vocabulary)(texts)
    # Behind the end token padding differs, which nothing reads.
    until = np.arange(ids.shape[1]) <= case["pooled_at"][:, None]
    assert (np.where(until, ids, 0) == np.where(until, case["input_ids"], 0)).all()
    model = LanguageBind.from_pretrained(path.parent)
    for given in (ids, case["input_ids"]):
        assert worst(model.encode_text(torch.from_numpy(given)), case["text_embedding"]) <= 2e-6


@pytest.mark.parametrize("path", [p for p in CASES if not p.stem.startswith(("audio", "position"))], ids=told)
def test_pictures_match_the_reference(path: Path) -> None:
    case = np.load(path)
    kind = path.stem.partition("_")[0]
    if kind == "image":
        assert (
            worst(((inputs.picture(case["image_uint8"]) - MEAN) / STD).transpose(2, 0, 1), case["pixel_values"])
            <= PIXELS
        )
    elif kind == "thermal":
        grey = inputs.grey_plane(case["image_uint8"][:, :, 0])
        assert worst((grey[0] - MEAN[0]) / STD[0], case["pixel_values_channel0"]) <= PIXELS
    elif kind == "depth":
        plane = inputs.depth_plane(case["depth_uint16"], float(case["max_depth"]))[0]
        assert worst((plane - MEAN[0]) / STD[0], case["pixel_values_channel0"]) <= PIXELS
    else:
        seen = np.stack([(inputs.video_frame(frame) - MEAN) / STD for frame in case["frames_uint8_thwc"]])
        pixels = seen.transpose(3, 0, 1, 2)
        if case["flipped"]:
            # Half of the reference's clips come out mirrored. Ours never do.
            assert worst(pixels[..., ::-1][:, :, ::2, ::2], case["pixel_values_cthw_every2"]) <= PIXELS
        else:
            assert worst(pixels, case["pixel_values_cthw"]) <= PIXELS


@pytest.mark.parametrize("path", [p for p in CASES if p.stem.startswith("audio")], ids=told)
def test_sound_matches_the_reference(path: Path) -> None:
    case = np.load(path)
    config = json.loads((path.parent / "meta.json").read_text())[path.stem]["config"]
    # The reference draws the starts; ours are the middles of what it draws from.
    starts = case["starts"].tolist() if "starts" in case else None
    wave = resample_sinc(case["pcm_int16"].astype(np.float32) / 32768, int(case["sample_rate"]), 16000)
    picture = inputs.mel_picture(wave, config["num_mel_bins"], config["target_length"], starts)
    pixels = inputs.normalised_mel(picture, config["audio_mean"], config["audio_std"])
    off = pixels[:, ::3, ::5] - case["pixel_values_sub"]
    assert np.sqrt((off**2).mean()) <= MEL_RMS
    assert np.abs(off).max() <= MEL_MAX
    stats = [pixels.mean(), pixels.std(), pixels.min(), pixels.max()]
    assert stats == pytest.approx(case["pixel_values_stats"], abs=1e-3)


def test_frames_are_chosen_as_the_reference_chooses_them() -> None:
    for path in {case.parent for case in CASES}:
        for n_frames, by_wanted in json.loads((path / "meta.json").read_text())["video_frame_ids"].items():
            for wanted, ids in by_wanted.items():
                assert inputs.frame_ids(int(n_frames), int(wanted)).tolist() == ids


def packed(kind: str, path: Path, config: Any) -> np.ndarray:
    """A clip of a whole file, as the clip makers make one of a window."""
    if kind == "video":
        video = cv2.VideoCapture(str(path))
        found = []
        while (read := video.read())[0]:
            found.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
        return inputs.video(found, config.vision.num_frames)
    if kind == "audio":
        wave, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        assert rate_hz == 16000
        return inputs.mel_picture(wave.T, *config.vision.image_size)
    if kind == "depth":
        return inputs.depth_plane(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), config.vision.max_depth_m)
    image = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)
    if kind == "thermal":
        # The stream of a thermal camera is grey; the reference reads three channels, which are nearly equal here.
        return inputs.grey_plane(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    return inputs.picture(image)


@pytest.mark.parametrize("path", ENDS, ids=told)
def test_files_come_to_the_vectors_of_the_reference(path: Path) -> None:
    meta = json.loads((path.parent / "meta.json").read_text())
    expected, config = np.load(path.parent / "expected.npz"), read_config(path)
    model = LanguageBind.from_pretrained(path.parent)
    sound = config.vision
    normalise = Normaliser(torch.device("cpu"), audio_mean=sound.audio_mean, audio_std=sound.audio_std)
    for file in meta["files"]:
        clip = packed(meta["kind"], SHARED / "fixtures" / file["file"], config)
        vector = model.encode(normalise(config.modality, torch.from_numpy(clip[None])))
        # The reference has two decoders of video, which differ by 2.6e-3; which one OpenCV is like depends on its age.
        names = [name for name in (file["tag"], f"{file['tag']}_opencv") if f"{name}:embedding" in expected]
        errors = {name: worst(vector.reshape(-1), expected[f"{name}:embedding"].reshape(-1)) for name in names}
        print({name: f"{error:.1e}" for name, error in errors.items()})
        assert min(errors.values()) <= (1e-5 if meta["kind"] in {"audio", "depth"} else 1e-3)

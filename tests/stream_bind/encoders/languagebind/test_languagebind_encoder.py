"""LanguageBind as the pipeline's encoder: what a configuration may say, what loads, and whose space it is."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from stream_bind import load_encoder
from stream_bind.encoders.languagebind import LanguageBind, LanguageBindEncoder, LanguageBindEncoderConfig, checkpoint
from stream_bind.encoders.languagebind.config import parse_config
from stream_bind.encoders.languagebind.published import PUBLISHED, published_name
from stream_bind.errors import ConfigError, WeightsError

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
MANIFESTS = sorted((SHARED / "facts" / "manifests").glob("LanguageBind_*.json"))
PARAMETERS = {
    "video": 541_206_785,
    "video-ft": 528_623_873,
    "video-v1.5-ft": 528_631_041,
    "video-huge-v1.5-ft": 1_196_407_041,
    "audio": 429_533_441,
    "audio-ft": 427_960_577,
    "depth": 428_009_729,
    "thermal": 428_009_729,
    "image": 427_616_513,
}
"""As the reference counts them, low-rank updates included."""

Write = Callable[..., Path]


def config(**given: Any) -> LanguageBindEncoderConfig:
    return LanguageBindEncoderConfig.model_validate({"model": "languagebind", **given})


def lora_shapes(name: str) -> dict[str, tuple[int, ...]]:
    published = PUBLISHED[f"languagebind-{name}"].config
    rank, dim = published.vision.lora_r or 0, published.vision.hidden_size
    parts = {"A": (rank, dim), "B": (dim, rank)}
    return {
        f"{target}.lora_{part}.default.weight": shape
        for target in checkpoint.lora_targets(published)
        for part, shape in (parts.items() if rank else ())
    }


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_models_have_as_many_parameters_as_the_reference(name: str) -> None:
    shapes = checkpoint.expected_shapes(PUBLISHED[f"languagebind-{name}"].config) | lora_shapes(name)
    assert sum(math.prod(shape) for shape in shapes.values()) == PARAMETERS[name]


def sparse(path: Path, shapes: dict[str, tuple[int, ...]], dtypes: dict[str, str]) -> None:
    """A safetensors file of zeros that takes no room on the disk."""
    header: dict[str, Any] = {}
    at = 0
    for key, shape in shapes.items():
        size = math.prod(shape) * (8 if dtypes[key] == "I64" else 4)
        header[key] = {"dtype": dtypes[key], "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)


@pytest.mark.skipif(not MANIFESTS, reason=f"no manifests under {SHARED}/facts/manifests")
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_published_manifest_fits(path: Path, tmp_path: Path) -> None:
    manifest = json.loads(path.read_text())
    kind = f"LanguageBind{manifest['modality'].capitalize()}"
    body = {"model_type": kind, **manifest["config_used"]}
    name = published_name(manifest["hf_repo"])
    assert name is not None
    assert PUBLISHED[name].repository == manifest["hf_repo"]
    assert parse_config(body) == PUBLISHED[name].config
    keys = manifest["keys"]
    dtypes = {key: "I64" if entry["dtype"] == "int64" else "F32" for key, entry in keys.items()}
    shapes = {key: tuple(entry["shape"]) for key, entry in keys.items()}
    sparse(tmp_path / "model.safetensors", shapes, dtypes)
    checkpoint.check(tmp_path, PUBLISHED[name].config)
    spoiled = {key: shape for key, shape in shapes.items() if key != "visual_projection.weight"}
    sparse(tmp_path / "model.safetensors", spoiled, dtypes)
    with pytest.raises(WeightsError, match="the first visual_projection"):
        checkpoint.check(tmp_path, PUBLISHED[name].config)


@pytest.mark.parametrize(
    "word", ["video-ft", "languagebind-video-ft", "LanguageBind_Video_FT", "LanguageBind/LanguageBind_Video_FT"]
)
def test_a_published_model_has_many_spellings(word: str) -> None:
    assert published_name(word) == "languagebind-video-ft"


def test_windows_come_from_the_models() -> None:
    given = config(weights="random")
    lengths = {m: LanguageBindEncoder.clip_maker(given, m).spec for m in ("vision", "audio", "depth", "thermal")}
    assert {m: spec.length_s for m, spec in lengths.items()} == {
        "vision": 2.0, "audio": 10.375, "depth": 2.0, "thermal": 2.0
    }  # fmt: skip
    assert lengths["vision"].shape == (8, 224, 224, 3)
    assert lengths["audio"].shape == (1, 112, 1036)
    assert LanguageBindEncoder.clip_maker(given, "audio", 20.0).spec.shape == (3, 112, 1036)
    still = config(modalities={"vision": "image"}, weights="random")
    assert LanguageBindEncoder.clip_maker(still, "vision").spec.shape == (224, 224, 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"modalities": {"vision": "vide-ft"}}, "did you mean 'video-ft'?"),
        ({"modalities": {"vision": "audio-ft"}}, "of kind audio, which embeds audio"),
        ({"modalities": {"imu": "video-ft"}}, "vision"),
        ({"modalities": {"vision": "video-huge-v1.5-ft", "audio": "audio"}}, "vectors of one encoder have one length"),
        ({"modalities": {"vision": "image"}, "text": "audio"}, "text: audio is none of this encoder's modalities"),
        ({"size": "small"}, "set weights: random"),
        ({"frames": 8}, "frames"),
    ],
)
def test_what_a_configuration_cannot_mean_is_told(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        config(**given)
    assert words in str(caught.value)


def test_a_modality_it_was_not_given_is_told() -> None:
    with pytest.raises(ConfigError, match="makes no imu clips; it has vision, audio"):
        LanguageBindEncoder.clip_maker(config(modalities=["vision", "audio"], weights="random"), "imu")


def test_weights_that_are_not_there_are_told_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path))
    with pytest.raises(WeightsError, match="stream-bind models pull languagebind-video-ft"):
        LanguageBindEncoder.check_weights(config())
    # What is not asked for need not be there.
    with pytest.raises(WeightsError, match="languagebind-depth: there is no model"):
        load_encoder("languagebind", modalities=["depth"])


@pytest.fixture
def directories(layouts: SimpleNamespace, write: Write) -> dict[str, str]:
    """A model of every modality in one space, with one text tower of the full vocabulary."""
    made = {}
    for modality, layout in {
        "vision": "video_lora",
        "audio": "audio_lora",
        "depth": "depth_lora",
        "thermal": "thermal_lora",
    }.items():
        sizes = {"image_size": 224, "patch_size": 56} if modality != "audio" else {}
        body = layouts.body(layout, **sizes)
        body["text_config"] = {**body["text_config"], "vocab_size": 49408}
        made[modality] = str(write(body, layouts.state(body), modality))
    return made


def test_directories_load_one_modality_at_a_time(directories: dict[str, str]) -> None:
    encoder = LanguageBindEncoder("lb", config(modalities=directories, device="cpu"))
    encoder.load(["depth"])
    clips = np.random.default_rng(1).random((2, 1, 224, 224), np.float32)
    vectors = encoder.embed("depth", clips)
    assert vectors.shape == (2, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert encoder.scale("depth") == pytest.approx(1 / 0.07, rel=1e-4)
    assert encoder.label_scale() == 100.0
    assert encoder.trained
    before = encoder.model
    encoder.load(["vision"])
    assert encoder.model == before
    assert encoder.embed("vision", np.zeros((1, 8, 224, 224, 3), np.float32)).shape == (1, 16)
    with_text = load_encoder("languagebind", modalities={"depth": directories["depth"]}, device="cpu")
    assert with_text.embed("depth", clips) == pytest.approx(vectors, abs=1e-7)
    # The direct way gives the same vectors.
    model = LanguageBind.from_pretrained(directories["depth"])
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    direct = model.encode((torch.from_numpy(clips) - mean) / std).numpy()
    assert vectors == pytest.approx(direct, abs=1e-6)


def test_a_space_is_its_text_tower_and_how_inputs_are_made(directories: dict[str, str]) -> None:
    def name(loaded: tuple[str, ...] = ("depth",), **given: Any) -> str:
        encoder = LanguageBindEncoder("lb", config(**{"modalities": directories, "device": "cpu", **given}))
        encoder.load(loaded)
        return encoder.model

    first = name()
    assert first.startswith("languagebind@")
    # Whatever else stands beside it: the directories share their text tower.
    assert name(("vision",)) == name(modalities={"audio": directories["audio"]}, loaded=("audio",)) == first
    assert name(text="audio") == first
    assert name(depth={"max_depth_m": 4.0}) != first
    path = Path(directories["vision"]) / "model.safetensors"
    state = load_file(path)
    save_file({**state, "visual_projection.weight": -state["visual_projection.weight"]}, path)
    assert name() == first
    save_file({**state, "text_projection.weight": -state["text_projection.weight"]}, path)
    assert name() != first


def test_a_configuration_can_be_cut_down_to_what_is_asked_for(directories: dict[str, str]) -> None:
    whole = config(modalities=directories, text="audio")
    assert whole.only(["depth", "text"]).modalities == {"depth": directories["depth"]}
    assert whole.only(["depth"]).text is None
    assert whole.only(["audio"]).text == "audio"
    assert whole.only(["text"]).modalities == directories


def test_random_weights_need_no_files_and_say_so() -> None:
    encoder = load_encoder("languagebind", weights="random", size="small", modalities=["thermal"], device="cpu")
    assert not encoder.trained
    assert encoder.model.startswith("languagebind@random:0:")
    clips = np.random.default_rng(2).random((3, 1, 224, 224), np.float32)
    assert encoder.embed("thermal", clips).shape == (3, 64)
    assert encoder.embed("thermal", clips[:0]).shape == (0, 64)

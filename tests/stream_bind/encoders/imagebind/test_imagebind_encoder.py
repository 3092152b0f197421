"""The ImageBind encoder: loading by branch, refusal without weights, identity, text, and clips of one window."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from stream_bind.encoders import branches, tokenizer
from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig, ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.encoders.imagebind import encoder as subject
from stream_bind.encoders.imagebind.architecture import SMALL
from stream_bind.encoders.imagebind.random_weights import random_tensor
from stream_bind.encoders.preprocess import fbank, frames
from stream_bind.errors import ConfigError, EncoderError, WeightsError
from stream_bind.messages import MODALITIES

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
VOCABULARY = SHARED / "fixtures" / "vocab" / tokenizer.VOCABULARY_FILE
SETS = sorted(p.parent for p in (SHARED / "fixtures" / "imagebind").glob("*/config.json"))

SIZE = {**SMALL, "out_embed_dim": 32, "audio_embed_dim": 32, "vision_embed_dim": 32, "text_embed_dim": 32}


def encoder(modalities=None, **settings) -> ImageBindEncoder:
    built = ImageBindEncoder("test", ImageBindEncoderConfig(**{"weights": "random", "size": SIZE, **settings}))
    built.load(modalities)
    return built


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = ImageBind(ImageBindConfig(**SIZE))
    return {key: torch.from_numpy(random_tensor(key, tuple(v.shape), 5)) for key, v in model.state_dict().items()}


@pytest.fixture
def weights(tmp_path, state) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_weights_from_a_file_give_the_models_own_vectors(weights, state):
    loaded = encoder(["depth"], weights=str(weights), depth={"mean": 0.0, "std": 1.0})
    model = ImageBind(ImageBindConfig(**SIZE)).eval()
    model.load_state_dict(state)
    clips = noise(2, 1, 224, 224)
    with torch.inference_mode():
        expected = model({"depth": torch.from_numpy(clips)})["depth"].numpy() / loaded.scale("depth")
    np.testing.assert_allclose(loaded.embed("depth", clips), expected, atol=1e-6)
    assert loaded.trained


def test_torch_files_load_too(tmp_path, state, weights):
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    clips = noise(1, 6, 2000)
    ours = encoder(["imu"], weights=str(path)).embed("imu", clips)
    np.testing.assert_array_equal(ours, encoder(["imu"], weights=str(weights)).embed("imu", clips))


def test_only_the_branches_asked_for_are_read(weights, state, monkeypatch):
    from stream_bind.encoders.weights import Checkpoint

    read: list[str] = []
    tensor = Checkpoint.tensor
    monkeypatch.setattr(Checkpoint, "tensor", lambda self, key: read.append(key) or tensor(self, key))
    loaded = encoder(["depth", "imu"], weights=str(weights))
    assert sorted(read) == sorted(key for key in state if key.split(".")[1] in {"depth", "imu"})
    read.clear()
    loaded.load(["depth", "thermal"])
    assert {key.split(".")[1] for key in read} == {"thermal"}


def test_a_file_with_the_sensor_branches_alone_is_enough_for_them(tmp_path, state):
    path = tmp_path / "sensors.safetensors"
    save_file({key: value for key, value in state.items() if key.split(".")[1] == "imu"}, path)
    assert encoder(["imu"], weights=str(path)).embed("imu", noise(1, 6, 2000)).shape == (1, 32)
    with pytest.raises(WeightsError, match=r"keys are missing, the first modality_.*depth"):
        encoder(["depth"], weights=str(path))


def test_keys_of_nobody_are_reported(tmp_path, state):
    path = tmp_path / "odd.safetensors"
    save_file(state | {"modality_trunks.smell.blocks.0.norm_1.weight": torch.ones(3)}, path)
    with pytest.raises(WeightsError, match=r"1 keys are unknown, the first modality_trunks\.smell"):
        encoder(["imu"], weights=str(path))


def test_a_text_mask_that_is_not_causal_is_refused(tmp_path, state):
    path = tmp_path / "odd.safetensors"
    mask = torch.zeros_like(state["modality_preprocessors.text.mask"])
    save_file(state | {"modality_preprocessors.text.mask": mask}, path)
    with pytest.raises(WeightsError, match="not causal"):
        encoder(["text"], weights=str(path))


def test_a_checkpoint_of_other_dimensions_is_refused(weights):
    with pytest.raises(WeightsError, match="should have shape"):
        encoder(["imu"], weights=str(weights), size={**SIZE, "out_embed_dim": 64})


def test_without_weights_the_command_that_gets_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"imagebind_huge\.safetensors.*stream-bind models pull imagebind"):
        ImageBindEncoder("test", ImageBindEncoderConfig()).load(["imu"])


def test_random_branches_do_not_depend_on_what_else_is_loaded():
    clips = noise(1, 6, 2000)
    alone = encoder(["imu"]).embed("imu", clips)
    together = encoder(["depth", "imu"]).embed("imu", clips)
    assert np.array_equal(alone, together)
    assert np.abs(alone - encoder(["imu"], seed=1).embed("imu", clips)).max() > 1e-3


def test_the_identity_follows_weights_and_settings_and_nothing_else(weights):
    base = encoder(["imu"], weights=str(weights))
    assert base.model.startswith("imagebind-custom@")
    assert encoder(["depth"], weights=str(weights), device="cpu").model == base.model
    assert encoder(["imu"], weights=str(weights), imu={"accel_unit": "g"}).model != base.model
    random = encoder(["imu"], size="small", seed=3)
    assert random.model.startswith("imagebind-small@random:3:")
    assert not random.trained


def test_clips_of_one_window_are_averaged_and_brought_back_to_unit_length():
    loaded = encoder(["audio"])
    clips = noise(2, 3, 1, 128, 204) * 5 - 8
    together = loaded.embed("audio", clips)
    alone = loaded.embed("audio", clips.reshape(6, 1, 128, 204)).reshape(2, 3, -1).mean(axis=1)
    np.testing.assert_allclose(together, alone / np.linalg.norm(alone, axis=1, keepdims=True), atol=1e-6)


def test_normalisation_is_that_of_the_reference():
    loaded = encoder(["vision", "audio"])
    model = {m: loaded._branches[m] for m in ("vision", "audio")}
    still = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    pixels = (still.astype(np.float32) / 255 - np.array(frames.MEAN, np.float32)) / np.array(frames.STD, np.float32)
    with torch.inference_mode():
        expected = model["vision"]({"vision": torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())})["vision"]
        np.testing.assert_allclose(loaded.embed("vision", still), expected, atol=1e-6)
        pair = np.stack([still, still[:, ::-1]], axis=1).astype(np.float32) / 255
        pixels = (pair - np.array(frames.MEAN, np.float32)) / np.array(frames.STD, np.float32)
        clip = torch.from_numpy(pixels.transpose(0, 4, 1, 2, 3).copy())[:, None]
        np.testing.assert_allclose(loaded.embed("vision", pair), model["vision"]({"vision": clip})["vision"], atol=1e-6)
        mels = noise(1, 1, 128, 204) * 5 - 8
        expected = model["audio"]({"audio": torch.from_numpy((mels - fbank.MEAN) / np.float32(fbank.STD))})["audio"]
        np.testing.assert_allclose(loaded.embed("audio", mels), expected / 20, atol=1e-6)


def test_a_large_batch_is_cut_without_a_seam(monkeypatch):
    loaded = encoder(["imu"])
    clips = noise(5, 6, 2000)
    whole = loaded.embed("imu", clips)
    monkeypatch.setattr(ImageBindEncoder, "MAX_BATCH", 2)
    np.testing.assert_allclose(loaded.embed("imu", clips), whole, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_near_single(dtype):
    single, half = encoder(["depth", "imu"]), encoder(["depth", "imu"], dtype=dtype)
    for modality, shape in (("depth", (2, 1, 224, 224)), ("imu", (2, 6, 2000))):
        clips = noise(*shape)
        cosines = (single.embed(modality, clips) * half.embed(modality, clips)).sum(axis=1)
        assert cosines.min() > 0.995
        np.testing.assert_allclose(np.linalg.norm(half.embed(modality, clips), axis=1), 1.0, atol=1e-5)
        assert half.scale(modality) == single.scale(modality)


def test_an_input_that_is_not_finite_is_an_error_and_not_a_vector():
    with pytest.raises(EncoderError, match="not finite"):
        encoder(["imu"]).embed("imu", np.full((1, 6, 2000), np.nan, np.float32))


def test_clips_of_differing_shapes_cannot_share_a_batch():
    with pytest.raises(EncoderError, match="differ in shape"):
        encoder(["imu"]).embed("imu", [noise(6, 2000), noise(6, 1999)])


def test_text_needs_its_vocabulary_and_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path))
    loaded = encoder(["text"])
    assert loaded.embed_text([]).shape == (0, 32)
    with pytest.raises(WeightsError, match="stream-bind models pull imagebind"):
        loaded.embed_text(["a dog"])


def test_the_vocabulary_is_found_beside_the_weights(weights, tmp_path, monkeypatch):
    packed = gzip.compress(b"#version: 0.2\nd o\ndo g</w>\n" + b"\n" * (tokenizer.N_MERGES - 2), mtime=0)
    weights.with_name(tokenizer.VOCABULARY_FILE).write_bytes(packed)
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path / "empty"))
    monkeypatch.setattr(tokenizer.ClipTokenizer.__init__, "__defaults__", (hashlib.sha256(packed).hexdigest(),))
    vectors = encoder(["text"], weights=str(weights)).embed_text(["dog", "god", "dog"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


@pytest.mark.skipif(not SETS or not VOCABULARY.exists(), reason=f"no parity set or vocabulary under {SHARED}/fixtures")
@pytest.mark.parametrize("directory", SETS, ids=lambda d: d.name)
def test_texts_meet_the_reference_from_string_to_vector(directory):
    config = json.loads((directory / "config.json").read_text())
    loaded = encoder(
        ["text"], weights=str(directory / "weights.safetensors"), size=config["constructor"], vocab=VOCABULARY
    )
    case = np.load(directory / "model_text.npz")
    assert np.abs(loaded.embed_text(config["text"]) - case["unit"]).max() <= 2e-6
    assert np.abs(loaded.embed_text(config["text"]) * loaded.scale("text") - case["embedding"]).max() <= 2e-4


def test_the_licence_of_real_weights_is_shown_once(weights, monkeypatch, caplog):
    monkeypatch.setattr(branches, "_terms_shown", set())
    with caplog.at_level(logging.WARNING):
        encoder(["imu"], weights=str(weights))
        encoder(["depth"], weights=str(weights))
        encoder(["imu"])
    assert [r.message for r in caplog.records if "CC BY-NC-SA" in r.message] == [subject.IMAGEBIND_LICENCE.summary]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"weigths": "random"}, "weigths"),
        ({"size": "small"}, "weights: random"),
        ({"size": {"imu_num_heads": 5}, "weights": "random"}, "multiple of imu_num_heads"),
        ({"size": {"width": 5}, "weights": "random"}, "width"),
        ({"device": "gpu"}, "device"),
        ({"dtype": "int8"}, "dtype"),
        ({"modalities": ["smell"]}, "modalities"),
        ({"vision": {"frames": 3}}, "frames"),
    ],
)
def test_wrong_settings_are_named(settings, says):
    with pytest.raises(ValidationError, match=says):
        ImageBindEncoderConfig(**settings)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(EncoderError, match="no CUDA GPU is found"):
        encoder(["imu"], device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("modality", ["vision", "depth", "imu"])
def test_a_gpu_gives_the_vectors_of_the_cpu(modality):
    shapes = {"vision": (3, 2, 224, 224, 3), "imu": (3, 6, 2000)}
    clips = noise(*shapes.get(modality, (3, 1, 224, 224)))
    reference = encoder([modality], device="cpu").embed(modality, clips)
    assert np.abs(encoder([modality], device="cuda", dtype="float32").embed(modality, clips) - reference).max() < 1e-3
    cosines = (encoder([modality], device="cuda").embed(modality, clips) * reference).sum(axis=1)
    assert cosines.min() > 0.995


def test_a_restricted_encoder_offers_only_its_modalities():
    config = ImageBindEncoderConfig(weights="random", size="small", modalities=("imu",))
    assert ImageBindEncoder.modalities(config) == ("imu",)
    with pytest.raises(ConfigError, match="no vision clips; it has imu"):
        ImageBindEncoder.clip_maker(config, "vision")
    assert ImageBindEncoder.modalities(ImageBindEncoderConfig()) == MODALITIES

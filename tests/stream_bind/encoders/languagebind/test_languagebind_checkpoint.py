"""Published directories are read strictly: every key fits, or nothing loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stream_bind.encoders.languagebind import LanguageBind
from stream_bind.errors import WeightsError

Write = Callable[..., Path]
LAYOUTS = ["video_lora", "video_ft", "video_v15", "audio_lora", "audio_ft", "depth_lora", "thermal_lora", "image"]


def pixels(model: LanguageBind, n: int = 2) -> torch.Tensor:
    vision = model.config.vision
    frames = (vision.num_frames,) if model.config.kind == "video" else ()
    return torch.randn((n, 3, *frames, *vision.image_size), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads_and_makes_unit_vectors(layout: str, layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body(layout)
    model = LanguageBind.from_pretrained(write(body, layouts.state(body)))
    vectors = model.encode(pixels(model))
    assert vectors.shape == (2, 16)
    assert vectors.dtype == torch.float32
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("layout", ["video_lora", "audio_lora", "depth_lora"])
def test_both_spellings_of_peft_are_the_same_model(layout: str, layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body(layout)
    old, new = (
        LanguageBind.from_pretrained(write(body, layouts.state(body, spelling), spelling))
        for spelling in ("old", "new")
    )
    assert torch.equal(old.encode(pixels(old)), new.encode(pixels(new)))


@pytest.mark.parametrize("layout", ["video_lora", "thermal_lora"])
def test_updates_are_merged_with_alpha_over_r(layout: str, layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body(layout)
    state = layouts.state(body)
    model = LanguageBind.from_pretrained(write(body, state))
    which = "temporal_attn" if layout.startswith("video") else "self_attn"
    own = model.state_dict()[f"vision_model.encoder.layers.1.{which}.v_proj.weight"]
    raw = f"vision_model.encoder.base_model.model.layers.1.{which}.v_proj"
    a, b = (state[f"{raw}.lora_{part}.default.weight"] for part in "AB")
    assert torch.allclose(own, state[f"{raw}.weight"] + 16 / len(a) * b @ a, atol=1e-6)
    # Neither dropped nor at another scale: both would be far off.
    assert (own - state[f"{raw}.weight"]).abs().max() > 0.1
    untouched = model.state_dict()["text_model.encoder.layers.1.self_attn.v_proj.weight"]
    assert torch.equal(untouched, state["text_model.encoder.layers.1.self_attn.v_proj.weight"])


def test_a_rank_that_the_file_does_not_state_is_that_of_the_tensors(layouts: SimpleNamespace, write: Write) -> None:
    stated = layouts.body("depth_lora", lora_r=5)
    state = layouts.state(stated)
    silent = layouts.body("depth_lora")
    del silent["vision_config"]["lora_r"]
    del silent["vision_config"]["lora_alpha"]
    ours, same = (LanguageBind.from_pretrained(write(b, state, n)) for b, n in ((silent, "a"), (stated, "b")))
    assert torch.equal(ours.encode(pixels(ours)), same.encode(pixels(same)))


def test_position_ids_are_passed_over(layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body("image")
    state = layouts.state(body)
    for key in ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"):
        state[key] = torch.arange(77)[None]
    LanguageBind.from_pretrained(write(body, state))


def test_a_scale_of_one_number_in_a_row_is_a_scale(layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body("image")
    state = layouts.state(body)
    state["logit_scale"] = torch.tensor([1.5])
    model = LanguageBind.from_pretrained(write(body, state))
    assert model.factor() == pytest.approx(4.4816891)


def test_torch_files_and_training_checkpoints_are_read_without_running_them(
    layouts: SimpleNamespace, write: Write
) -> None:
    body = layouts.body("video_ft")
    state = layouts.state(body)
    first = LanguageBind.from_pretrained(write(body, state))
    directory = write(body, state, "bin")
    (directory / "model.safetensors").unlink()
    nested = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    for name in ("pytorch_model.bin", "epoch_3.pt"):
        torch.save(nested, directory / name)
        again = LanguageBind.from_pretrained(directory)
        assert torch.equal(first.encode(pixels(first)), again.encode(pixels(again)))
        (directory / name).unlink()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


def test_a_pickle_that_wants_to_run_is_refused(
    layouts: SimpleNamespace, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    body = layouts.body("image")
    directory = write(body, {})
    (directory / "model.safetensors").unlink()
    torch.save({"state_dict": Evil()}, directory / "pytorch_model.bin")
    with pytest.raises(WeightsError):
        LanguageBind.from_pretrained(directory)
    assert "ran" not in capsys.readouterr().out


def test_weights_in_parts_are_found_by_their_index(layouts: SimpleNamespace, write: Write) -> None:
    body = layouts.body("image")
    state = layouts.state(body)
    whole = LanguageBind.from_pretrained(write(body, state))
    directory = write(body, {}, "parts")
    (directory / "model.safetensors").unlink()
    names = {key: f"model-0000{i % 2 + 1}-of-00002.safetensors" for i, key in enumerate(state)}
    for part in set(names.values()):
        save_file({k: v for k, v in state.items() if names[k] == part}, directory / part)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    parts = LanguageBind.from_pretrained(directory)
    assert torch.equal(whole.encode(pixels(whole)), parts.encode(pixels(parts)))
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x"}}))
    with pytest.raises(WeightsError, match="names no files beside it"):
        LanguageBind.from_pretrained(directory)


def test_one_side_can_be_loaded_alone_and_the_other_is_checked_all_the_same(
    layouts: SimpleNamespace, write: Write
) -> None:
    body = layouts.body("image")
    state = layouts.state(body)
    directory = write(body, state)
    text = LanguageBind.from_pretrained(directory, vision=False)
    assert not any(key.startswith("vision") for key in text.state_dict())
    whole = LanguageBind.from_pretrained(directory)
    ids = torch.tensor([[97, 5, 98, 98]])
    assert torch.equal(text.encode_text(ids), whole.encode_text(ids))
    del state["vision_model.post_layernorm.bias"]
    with pytest.raises(WeightsError, match=r"lack 1 keys, the first vision_model\.post_layernorm\.bias"):
        LanguageBind.from_pretrained(write(body, state), vision=False)


def drop(state: dict[str, Any], ending: str) -> None:
    del state[next(key for key in state if key.endswith(ending))]


def change(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """One way to spoil a checkpoint of layout video_lora."""

    def spoil(body: dict[str, Any], state: dict[str, Any]) -> None:
        first = "vision_model.encoder.base_model.model.layers.0."
        wrapped = f"{first}temporal_attn.q_proj"
        match name:
            case "missing":
                drop(state, "fc1.bias")
            case "unknown":
                state["vision_model.extra"] = torch.zeros(2)
            case "shape":
                state["visual_projection.weight"] = torch.zeros(16, 25)
            case "rank":
                body["vision_config"]["lora_r"] = 8
            case "no_rank":
                body["vision_config"]["lora_r"] = 0
            case "half":
                drop(state, "lora_B.default.weight")
            case "one_missing":
                drop(state, "lora_A.default.weight")
                drop(state, "lora_B.default.weight")
            case "dropped":
                for key in [key for key in state if ".lora_" in key]:
                    del state[key]
            case "plain_without":
                for key in [key for key in state if ".lora_" in key]:
                    del state[key]
                for key in [key for key in state if ".base_model.model." in key]:
                    state[key.replace(".base_model.model.", ".")] = state.pop(key)
            case "mixed_layouts":
                state["vision_model.encoder.layers.0.layer_norm1.bias"] = state.pop(f"{first}layer_norm1.bias")
            case "mixed_spellings":
                state[f"{wrapped}.base_layer.weight"] = state.pop(f"{wrapped}.weight")
            case "wrong_place":
                for part in "AB":
                    key = f"lora_{part}.default.weight"
                    state[f"{first}self_attn.q_proj.{key}"] = state.pop(f"{wrapped}.{key}")
            case "time_mlp":
                state[f"{first}temporal_mlp.fc1.weight"] = torch.zeros(2, 2)
            case "whole":
                state["visual_projection.weight"] = torch.zeros((16, 24), dtype=torch.int32)
            case "nan":
                state["visual_projection.weight"][0, 0] = torch.nan
            case "lora_shape":
                state[f"{wrapped}.lora_B.default.weight"] = torch.zeros(24, 5)

    return spoil


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "lack 1 keys, the first"),
        ("unknown", "1 keys that are unknown, the first vision_model.extra"),
        ("shape", "visual_projection.weight of shape (16, 25), (16, 24) is wanted"),
        ("rank", "rank 4; lora_r 8 as config.json says is wanted"),
        ("no_rank", "rank 4; lora_r 0 as config.json says is wanted"),
        ("half", "half a low-rank update"),
        ("one_missing", "lack 1 low-rank updates"),
        ("dropped", "laid out for low-rank updates (LoRA) and hold none"),
        ("plain_without", "hold no low-rank updates (LoRA), config.json says lora_r 4"),
        ("mixed_layouts", "mix two layouts"),
        ("mixed_spellings", "mix two spellings"),
        ("wrong_place", "self_attn.q_proj, which a video model does not have"),
        ("time_mlp", "an MLP over time"),
        ("nan", "not finite in visual_projection.weight"),
        ("whole", "torch.int32 in visual_projection.weight"),
        ("lora_shape", "(r, 24) and (24, r) are wanted"),
    ],
)
def test_what_does_not_fit_is_an_error_and_never_a_random_weight(
    name: str, words: str, layouts: SimpleNamespace, write: Write
) -> None:
    body = layouts.body("video_lora")
    state = layouts.state(body)
    change(name)(body, state)
    with pytest.raises(WeightsError) as caught:
        LanguageBind.from_pretrained(write(body, state))
    assert words in str(caught.value)


def test_a_directory_without_weights(layouts: SimpleNamespace, write: Write) -> None:
    directory = write(layouts.body("image"), {})
    (directory / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="holds no weights; one of model"):
        LanguageBind.from_pretrained(directory)

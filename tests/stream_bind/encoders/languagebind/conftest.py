"""Small model directories in every published layout, written here: no weights are at hand."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stream_bind.encoders.languagebind.checkpoint import expected_shapes, lora_targets
from stream_bind.encoders.languagebind.config import parse_config
from stream_bind.encoders.languagebind.random_weights import random_tensor

TOWER = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
VISION: dict[str, Any] = {**TOWER, "image_size": 56, "patch_size": 14, "lora_alpha": 16, "lora_r": 0}
TEXT = {**TOWER, "vocab_size": 99, "max_position_embeddings": 77}
TIME = {"add_time_attn": True, "num_frames": 8}
LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "video_lora": ("Video", {**TIME, "lora_r": 4}),
    "video_ft": ("Video", TIME),
    "video_v15": ("Video", {**TIME, "clip_type": "vl_new", "tube_size": 1}),
    "audio_lora": ("Audio", {"num_mel_bins": 28.0, "target_length": 70, "lora_r": 3, "audio_std": 4.5}),
    "audio_ft": ("Audio", {"num_mel_bins": 28, "target_length": 70}),
    "depth_lora": ("Depth", {"lora_r": 2, "max_depth": 10}),
    "thermal_lora": ("Thermal", {"lora_r": 2}),
    "image": ("Image", {}),
}
PLAIN, PEFT = "vision_model.encoder.layers.", "vision_model.encoder.base_model.model.layers."


def body_of(layout: str, **vision: Any) -> dict[str, Any]:
    """config.json of a layout."""
    kind, own = LAYOUTS[layout]
    return {
        "model_type": f"LanguageBind{kind}",
        "projection_dim": 16,
        "logit_scale_init_value": 2.6592,
        "vision_config": {**VISION, **own, **vision},
        "text_config": TEXT,
    }


def perturbed(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Seeded weights of which every one shows: norms, biases, tables and updates are off their neutral values too."""
    values = random_tensor(key, shape, 11)
    if key != "logit_scale" and ("norm" in key or key.endswith("bias") or "embedding" in key or "lora" in key):
        values = values + 0.3 * np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
    return np.ascontiguousarray(values, np.float32)


def state_of(body: dict[str, Any], spelling: str = "old", rank: int | None = None) -> dict[str, torch.Tensor]:
    """A checkpoint's table; spelling: of the low-rank updates, as peft wrote them before and since 0.7."""
    config = parse_config(body)
    state = {key: torch.from_numpy(perturbed(key, shape)) for key, shape in expected_shapes(config).items()}
    rank = config.vision.lora_r if rank is None else rank
    if rank:
        dim = config.vision.hidden_size
        for name in lora_targets(config):
            if spelling == "new":
                for part in ("weight", "bias"):
                    state[f"{name}.base_layer.{part}"] = state.pop(f"{name}.{part}")
            for which, shape in (("A", (rank, dim)), ("B", (dim, rank))):
                key = f"{name}.lora_{which}.default.weight"
                state[key] = torch.from_numpy(perturbed(key, shape))
        state = {key.replace(PLAIN, PEFT): value for key, value in state.items()}
    return state


@pytest.fixture
def layouts() -> SimpleNamespace:
    """`.body(layout, **vision)` and `.state(body, spelling, rank)`."""
    return SimpleNamespace(body=body_of, state=state_of)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(body, state) makes a model directory and returns it."""

    def made(body: dict[str, Any], state: dict[str, torch.Tensor], name: str = "model") -> Path:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(json.dumps(body))
        save_file({key: value.contiguous() for key, value in state.items()}, directory / "model.safetensors")
        return directory

    return made

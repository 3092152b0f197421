"""The published dimensions: key names, parameter counts, and the reference's vectors for regenerated weights."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig
from stream_bind.messages import MODALITIES

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
MANIFEST = SHARED / "facts" / "manifests" / "imagebind_huge.json"
FIXTURES = SHARED / "fixtures" / "imagebind"
SEED = 4242
LOG_SCALES = {
    m: float(np.log(s)) for m, s in zip(MODALITIES, (1, 20, 5, 10, 5, 1 / 0.07), strict=True) if m != "vision"
}
TEXT = [49406, 320, 1297, 2274, 3251, 4228, 49407]
INPUTS = {
    "vision": (1, 3, 224, 224),
    "audio": (1, 1, 128, 204),
    "depth": (1, 1, 224, 224),
    "thermal": (1, 1, 224, 224),
    "imu": (1, 6, 2000),
}


def randinit():
    spec = importlib.util.spec_from_file_location("randinit", FIXTURES / "randinit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def meta_model() -> ImageBind:
    with torch.device("meta"):
        return ImageBind()


@pytest.mark.skipif(not MANIFEST.exists(), reason=f"no manifest of the published checkpoint at {MANIFEST}")
def test_the_default_model_has_exactly_the_published_keys_shapes_and_counts(meta_model):
    manifest = json.loads(MANIFEST.read_text())
    ours = {key: list(value.shape) for key, value in meta_model.state_dict().items()}
    assert ours == {key: entry["shape"] for key, entry in manifest["state_dict"].items()}
    assert len(ours) == manifest["n_keys"] == 1311
    parameters = {name for name, _ in meta_model.named_parameters()}
    assert parameters == {key for key, entry in manifest["state_dict"].items() if entry["kind"] == "parameter"}
    for modality, counts in manifest["per_modality"].items():
        mine = sum(p.numel() for name, p in meta_model.named_parameters() if name.split(".")[1] == modality)
        assert mine == counts["total_parameters"], modality
    assert sum(p.numel() for p in meta_model.parameters()) == manifest["n_parameters_total"]


def test_the_sensor_branches_alone_are_214_million_parameters(meta_model):
    sensors = {"audio", "depth", "thermal", "imu"}
    total = sum(p.numel() for name, p in meta_model.named_parameters() if name.split(".")[1] in sensors)
    assert total == 213_918_976


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("modality", MODALITIES)
def test_full_size_vectors_match_the_reference(modality):
    path = FIXTURES / "full" / f"full_{modality}.npz"
    if not path.exists():
        pytest.skip(f"no full-size vectors at {path}")
    expected, rule = np.load(path), randinit()
    with torch.device("meta"):
        model = ImageBind(replace(ImageBindConfig(), modalities=(modality,))).eval()
    state = {
        key: torch.from_numpy(np.asarray(rule.weight(key, tuple(value.shape), SEED, LOG_SCALES)))
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True, assign=True)
    del state
    if modality == "text":
        x = torch.zeros((1, 77), dtype=torch.int64)
        x[0, : len(TEXT)] = torch.tensor(TEXT)
    else:
        x = torch.from_numpy(rule.image_like(f"full.{modality}", SEED, INPUTS[modality]))
    stages = model.stages(modality, x)
    with torch.inference_mode():
        embedding = model({modality: x})[modality]
    picked = len(TEXT) - 1 if modality == "text" else 0
    errors = {
        "unit": np.abs(stages.unit.numpy() - expected["unit"]).max(),
        "embedding": np.abs(embedding.numpy() - expected["embedding"]).max() / model.scale(modality),
        "head": np.abs(stages.head.numpy() - expected["head"]).max(),
        "trunk": np.abs(stages.trunk[0, picked].numpy() - expected["trunk_selected"]).max(),
        "tokens": np.abs(stages.tokens[0, :6, :16].numpy() - expected["tokens_corner"]).max(),
    }
    print(modality, {name: f"{error:.1e}" for name, error in errors.items()})
    assert errors["unit"] <= 1e-5
    assert errors["embedding"] <= 1e-5
    assert errors["trunk"] <= 1e-5
    assert errors["head"] <= 1e-4

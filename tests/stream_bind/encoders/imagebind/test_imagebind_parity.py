"""Numbers of the reference implementation, for every parity set found beside the repository.

A set is any directory of `$STREAM_BIND_SHARED/fixtures/imagebind` with a config.json; dimensions and cases are read
from its files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[5] / "shared"))
SETS = sorted(p.parent for p in (SHARED / "fixtures" / "imagebind").glob("*/config.json"))
CASES = [(d, json.loads((d / "config.json").read_text()), path) for d in SETS for path in sorted(d.glob("model_*.npz"))]
UNIT, TRUNK, HEAD = 2e-6, 2e-6, 2e-5

needs_sets = pytest.mark.skipif(not CASES, reason=f"no parity set (config.json) under {SHARED}/fixtures/imagebind")
_models: dict[Path, ImageBind] = {}


def modality_of(config: dict, path: Path) -> str:
    return config["cases"][path.stem.removeprefix("model_")]["modality"]


def model_of(directory: Path, config: dict) -> ImageBind:
    if directory not in _models:
        with torch.device("meta"):
            model = ImageBind(ImageBindConfig(**config["constructor"])).eval()
        model.load_state_dict(load_file(directory / "weights.safetensors"), strict=True, assign=True)
        _models[directory] = model
    return _models[directory]


def case_id(value: object) -> str | None:
    return f"{value.parent.name}-{value.stem}" if isinstance(value, Path) and value.suffix == ".npz" else None


def worst(ours: torch.Tensor, reference: np.ndarray) -> float:
    assert tuple(ours.shape) == reference.shape
    return float(np.abs(ours.numpy() - reference).max())


@needs_sets
@pytest.mark.parametrize(("directory", "config", "path"), CASES, ids=case_id)
def test_every_stage_matches_the_reference(directory, config, path, record_property):
    model, modality, case = model_of(directory, config), modality_of(config, path), np.load(path)
    stages = model.stages(modality, torch.from_numpy(case["input"]))
    scale = model.scale(modality)
    limits = {"tokens": TRUNK, "trunk": TRUNK, "head": HEAD, "unit": UNIT, "embedding": UNIT * scale}
    errors = {name: worst(getattr(stages, name), case[name]) for name in limits if name in case.files}
    record_property("errors", errors)
    print(path.stem, {name: f"{error:.1e}" for name, error in errors.items()})
    assert {"trunk", "head", "unit", "embedding"} <= set(errors)
    assert {name: e for name, e in errors.items() if e > limits[name]} == {}
    if "eot_index" in case.files:
        assert (case["input"].argmax(axis=1) == case["eot_index"]).all()


@needs_sets
@pytest.mark.parametrize(("directory", "config", "path"), CASES, ids=case_id)
def test_the_shortened_forward_returns_what_the_reference_returns(directory, config, path):
    model, modality, case = model_of(directory, config), modality_of(config, path), np.load(path)
    x = torch.from_numpy(case["input"])
    with torch.inference_mode():
        embedding = model({modality: x})[modality]
        unit = model.unit(modality, x.flatten(0, 1) if x.ndim >= 5 else x)
    print(path.stem, f"unit {worst(unit, case['unit']):.1e} embedding {worst(embedding, case['embedding']):.1e}")
    assert worst(unit, case["unit"]) <= UNIT
    assert worst(embedding, case["embedding"]) <= UNIT * model.scale(modality)


@needs_sets
@pytest.mark.parametrize("directory", SETS, ids=lambda d: d.name)
def test_scales_are_those_of_the_weights_and_end_at_100(directory):
    config = json.loads((directory / "config.json").read_text())
    model = model_of(directory, config)
    for modality, value in config["logit_scales_exp"].items():
        assert model.scale(modality) == pytest.approx(min(value, config["logit_scale_clip"]), rel=1e-5)
    assert model.scale("vision") == 1.0

"""The model that comes with the package: it fits, it belongs to its labels, and it knows today's simulated world."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from devices.simulated.scenarios import FELT, LABELS, SCENARIOS
from stream_bind import load_encoder
from stream_bind.encoders.imagebind import ImageBindEncoder
from stream_bind.encoders.imagebind.directory import read_directory
from stream_bind.encoders.imagebind.settings import ImageBindTinyConfig
from stream_bind.retrieval import LabelSet, combine
from stream_bind.training.world_pairs import world_moments

SENSED = ("vision", "audio", "depth", "thermal", "imu")
STRANGE_WORLD = 77
"""Neither trained on nor among those of the model card."""


@pytest.fixture(scope="module")
def tiny() -> Any:
    encoder = load_encoder("imagebind-tiny", device="cpu")
    yield encoder
    encoder.close()


@pytest.fixture(scope="module")
def labels() -> LabelSet:
    found = LabelSet.load(ImageBindTinyConfig().directory().path)  # type: ignore[union-attr]
    assert found is not None
    return found


@pytest.fixture(scope="module")
def seen(tiny: Any) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Vectors and labels of one turn of a world, by modality."""
    makers = {modality: ImageBindEncoder.clip_maker(tiny.config, modality) for modality in SENSED}
    clips, told = defaultdict(list), defaultdict(list)
    for moment, found in world_moments([STRANGE_WORLD], makers, turns=2, per_scene=1):
        for modality, clip in found.items():
            clips[modality].append(clip)
            told[modality].append(moment.label)
    return {modality: (tiny.embed(modality, np.stack(clips[modality])), told[modality]) for modality in SENSED}


def test_the_directory_is_small_and_whole() -> None:
    directory = read_directory(ImageBindTinyConfig.shipped)
    directory.check(digest=True)
    assert sum(file.stat().st_size for file in directory.path.iterdir()) < 16_000_000
    assert directory.licence == "Apache-2.0"
    assert directory.base == ""
    assert directory.terms == ""
    assert (directory.path / "README.md").read_text(encoding="utf-8").startswith("# imagebind-tiny")


def test_the_labels_are_the_worlds_and_the_models(tiny: Any, labels: LabelSet) -> None:
    assert labels.texts == LABELS
    assert labels.groups == tuple(scenario.group for scenario in SCENARIOS)
    labels.check_model(tiny.model)
    assert tiny.embed_text(LABELS) == pytest.approx(labels.vectors, abs=1e-5)
    assert tiny.trained


@pytest.mark.parametrize(
    ("modality", "least"), [("vision", 0.85), ("audio", 0.75), ("depth", 0.65), ("thermal", 0.65), ("imu", 0.7)]
)
def test_it_still_knows_the_world_it_was_trained_on(
    modality: str, least: float, seen: dict[str, Any], labels: LabelSet
) -> None:
    """Far below the model card's figures, which a thousand windows stand behind; chance is 0.06, of groups 0.09."""
    vectors, true = seen[modality]
    told = [labels.nearest(vector)[0] for vector in vectors]
    group = {scenario.label: scenario.group for scenario in SCENARIOS}
    right = [t.group == group[name] if modality in FELT else t.text == name for t, name in zip(told, true, strict=True)]
    assert np.mean(right) >= least


def test_sounds_find_the_words_they_never_met(tiny: Any, seen: dict[str, Any]) -> None:
    sounds, true = seen["audio"]
    words = tiny.embed_text([f"a recording of someone {s.phrases[1]}" for s in SCENARIOS])
    first = (sounds @ words.T).argmax(axis=1)
    assert np.mean([LABELS[i] == name for i, name in zip(first, true, strict=True)]) >= 0.6


def test_words_it_has_not_read_still_make_vectors(tiny: Any) -> None:
    vectors = tiny.embed_text(["a purple submarine", "Ω≈ç√", ""])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert combine([(vectors[0], 1.0), (vectors[1], 1.0)]).shape == (tiny.dim,)

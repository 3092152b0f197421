"""Labels from texts, and the arithmetic beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.errors import ConfigError
from stream_bind.retrieval import LabelSet, combine

RNG = np.random.default_rng(4)


def unit(n: int, dim: int = 8) -> np.ndarray:
    vectors = RNG.standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def labels() -> LabelSet:
    return LabelSet(("walking", "running", "sleeping"), unit(3), ("up", "up", "down"), "tiny@abc", 50.0)


def test_the_nearest_label_of_a_labels_own_vector_is_itself() -> None:
    told = labels()
    for i, text in enumerate(told.texts):
        found = told.nearest(told.vectors[i], k=2)
        assert found[0].text == text
        assert found[0].cosine == pytest.approx(1.0, abs=1e-6)
        assert found[0].group == told.groups[i]
        assert found[0].probability > found[1].probability


def test_probabilities_share_one_and_sharpen_with_the_scale() -> None:
    told, vectors = labels(), unit(5)
    assert told.probabilities(vectors).sum(axis=1) == pytest.approx(np.ones(5))
    assert (told.probabilities(vectors, 100.0).max(axis=1) >= told.probabilities(vectors, 1.0).max(axis=1)).all()


def test_labels_come_back_from_disk_and_refuse_another_models_vectors(tmp_path: Path) -> None:
    told = labels()
    told.save(tmp_path)
    again = LabelSet.load(tmp_path)
    assert again is not None
    assert (again.texts, again.groups, again.model, again.scale) == (told.texts, told.groups, told.model, told.scale)
    assert again.vectors.tobytes() == told.vectors.tobytes()
    again.check_model("tiny@abc")
    with pytest.raises(ConfigError, match="tiny@abc are given, the vectors are of huge@1"):
        again.check_model("huge@1")


def test_a_directory_without_labels_has_none_and_a_damaged_one_says_so(tmp_path: Path) -> None:
    assert LabelSet.load(tmp_path) is None
    labels().save(tmp_path)
    for damage in (b"no array", b"", (tmp_path / "labels.npy").read_bytes()[:-4]):
        (tmp_path / "labels.npy").write_bytes(damage)
        with pytest.raises(ConfigError, match=r"labels\.json: cannot be read"):
            LabelSet.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 1 is known, found 2"),
        ({"texts": ["one"]}, "1 texts do not go with"),
        ({"scale": "loud"}, "could not convert"),
        ({"model": None, "scale": None}, "cannot be read"),
    ],
)
def test_labels_that_do_not_fit_together_on_disk_are_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    labels().save(tmp_path)
    body = json.loads((tmp_path / "labels.json").read_text())
    (tmp_path / "labels.json").write_text(json.dumps(body | change))
    with pytest.raises(ConfigError, match=words):
        LabelSet.load(tmp_path)
    del body["texts"]
    (tmp_path / "labels.json").write_text(json.dumps(body))
    with pytest.raises(ConfigError, match="the key 'texts' is missing"):
        LabelSet.load(tmp_path)


def test_several_wordings_make_one_label() -> None:
    vectors = unit(4)
    told = LabelSet.of(("a", "b"), vectors, per_label=2)
    mean = vectors[:2].mean(axis=0)
    assert told.vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


@pytest.mark.parametrize(("texts", "shape"), [(("a",), (2, 3)), ((), (0, 3)), (("a", "b"), (2,))])
def test_texts_and_vectors_must_go_together(texts: tuple[str, ...], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not go with"):
        LabelSet(texts, np.zeros(shape, np.float32))


@pytest.mark.parametrize("factor", [0.0, 2.0, float("nan")])
def test_label_vectors_of_another_length_than_one_are_refused_by_name(factor: float) -> None:
    vectors = unit(2)
    vectors[1] *= factor
    with pytest.raises(ValueError, match="that of 'b' has length"):
        LabelSet(("a", "b"), vectors)


def test_half_precision_keeps_a_vector_a_unit_vector() -> None:
    LabelSet(("a", "b"), unit(2, 1024).astype(np.float16).astype(np.float32))


def test_groups_come_by_their_nearest_text_and_share_one_among_them() -> None:
    told = labels()
    between = combine([(told.vectors[2], 1.0), (told.vectors[1], 0.2)])
    groups = told.nearest_groups(between, k=5)
    assert sorted(found.group for found in groups) == ["down", "up"]
    assert groups[0].text == "sleeping"
    assert sum(found.probability for found in groups) == pytest.approx(1.0)
    up = next(found for found in groups if found.group == "up")
    assert up.cosine == pytest.approx(float((told.vectors[:2] @ between).max()), abs=1e-6)
    with pytest.raises(ValueError, match="have no groups"):
        LabelSet(("a",), unit(1)).nearest_groups(unit(1)[0])


@given(st.integers(0, 10_000))
def test_the_nearest_group_is_that_of_the_nearest_text(seed: int) -> None:
    vector = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
    vector /= np.linalg.norm(vector)
    told = labels()
    assert told.nearest_groups(vector)[0].group == told.nearest(vector)[0].group


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="vectors of 8 numbers"):
        labels().scores(np.zeros(5, np.float32))


@given(st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_sum_lies_between_its_parts_and_lengths_do_not_matter(first: float, second: float) -> None:
    a, b = unit(2)
    total = combine([(a * first, 0.5), (b * second, 0.5)])
    assert np.linalg.norm(total) == pytest.approx(1.0, abs=1e-6)
    assert total @ a == pytest.approx(total @ b, abs=1e-5)
    assert total @ a >= a @ b - 1e-6


def test_taking_away_what_was_added_leaves_the_rest() -> None:
    a, b = unit(2)
    both = a + b
    assert combine([(both, float(np.linalg.norm(both))), (b, -1.0)]) == pytest.approx(a, abs=1e-5)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "nothing to combine"),
        ([(np.zeros(3), 1.0)], "not zero"),
        ([(np.ones(3), 1.0), (np.ones(4), 1.0)], "not of one space"),
        ([(np.ones(3), 1.0), (np.ones(3), -1.0)], "cancel out"),
        ([(np.array([np.nan, 1.0]), 1.0)], "finite"),
    ],
)
def test_sums_that_mean_nothing_are_refused(parts: list[tuple[np.ndarray, float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        combine(parts)

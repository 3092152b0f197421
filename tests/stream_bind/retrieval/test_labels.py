"""Labels from texts, and the arithmetic and index beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.errors import ConfigError
from stream_bind.retrieval import Index, LabelSet, combine

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
    (tmp_path / "labels.npy").write_bytes(b"no array")
    with pytest.raises(ConfigError, match=r"labels\.json: cannot be read"):
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


def test_an_index_finds_the_nearest_of_those_asked_for(tmp_path: Path) -> None:
    vectors = unit(20)
    index = Index(8, "tiny@abc")
    index.add(vectors[:12], [{"modality": "vision", "n": i} for i in range(12)], "tiny@abc")
    index.add(vectors[12:], [{"modality": "audio", "n": i} for i in range(12, 20)])
    found = index.search(vectors[3], k=5)
    assert found[0].about["n"] == 3
    assert [f.cosine for f in found] == sorted((f.cosine for f in found), reverse=True)
    sounds = index.search(vectors[3], k=99, where=lambda about: about["modality"] == "audio")
    assert {f.about["n"] for f in sounds} == set(range(12, 20))
    index.save(tmp_path / "index.npz")
    again = Index.load(tmp_path / "index.npz")
    assert len(again) == 20
    assert [f.row for f in again.search(vectors[3], k=5)] == [f.row for f in found]
    with pytest.raises(ConfigError, match="huge@1"):
        again.add(vectors[:1], [{}], "huge@1")


def test_an_index_refuses_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read"):
        Index.load(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="a query of 8 numbers"):
        Index(8).search(np.zeros(3, np.float32))

"""Held-out figures against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.retrieval import LabelSet
from stream_bind.training.evaluation import by_label, by_moment, clusters_of, to_captions
from stream_bind.training.pairs import Moment


def moments_of(n: int, sources: int = 10, labels: int = 4, hop_s: float = 10.0) -> list[Moment]:
    return [
        Moment(f"s{i % sources}", 0, round((20 + hop_s * (i // sources)) * 1e9), f"label {i % labels}", f"g{i % 2}")
        for i in range(n)
    ]


def units(n: int, seed: int = 0, d: int = 64) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_partners_that_are_equal_are_all_found_and_strangers_by_chance() -> None:
    moments, vectors = moments_of(200), units(200)
    found = by_moment(("a", "b"), vectors, vectors, moments, batch=50)
    assert [f.value for f in found] == [1.0, 1.0]
    assert [f.name for f in found] == ["a to b, by moment", "b to a, by moment"]
    assert found[0].chance == pytest.approx(1 / 50)
    strangers = by_moment(("a", "b"), vectors, units(200, 1), moments, batch=50)
    assert strangers[0].value < 0.08
    assert strangers[0].low <= 0.04


def test_a_label_is_found_through_any_other_moment_that_has_it_but_not_through_a_neighbour() -> None:
    moments = moments_of(80)
    kinds = units(4, 2)
    by_kind = kinds[[i % 4 for i in range(80)]]
    assert by_label(("a", "b"), by_kind, by_kind, moments)[0].value == 1.0
    assert by_label(("a", "b"), by_kind, by_kind, moments)[0].chance == pytest.approx(0.25, abs=0.03)
    own = units(80, 3)
    # Every vector is nearest to its own partner alone, which does not count.
    assert by_label(("a", "b"), own, own, moments)[0].value < 0.6
    groups = by_label(("a", "b"), by_kind, by_kind, moments, group=True)
    assert groups[0].name == "a to b, by group"
    assert by_label(("a", "b"), own, own, [Moment("s", 0, 1)] * 80) == []


def test_the_nearest_caption_is_right_or_of_the_right_group_and_unknown_labels_are_not_asked() -> None:
    moments = moments_of(80)
    kinds = units(4, 2).astype(np.float32)
    labels = LabelSet(tuple(f"label {i}" for i in range(4)), kinds, ("g0", "g1", "g0", "g1"))
    right = kinds[[i % 4 for i in range(80)]]
    exact, grouped = to_captions("a", right, labels, moments)
    assert (exact.name, exact.value, exact.chance, exact.n) == ("a to captions", 1.0, 0.25, 80)
    assert (grouped.name, grouped.value, grouped.chance) == ("a to captions, by group", 1.0, 0.5)
    other_of_the_group = kinds[[(i + 2) % 4 for i in range(80)]]
    exact, grouped = to_captions("a", other_of_the_group, labels, moments)
    assert (exact.value, grouped.value) == (0.0, 1.0)
    ungrouped = LabelSet(labels.texts[:2], kinds[:2])
    (figure,) = to_captions("a", right, ungrouped, moments)
    assert figure.n == 40
    assert to_captions("a", right, ungrouped, [Moment("s", 0, 1)] * 80) == []


def test_few_sources_are_cut_into_stretches() -> None:
    assert clusters_of(moments_of(50))[1] == "sources"
    few, named = clusters_of(moments_of(50, sources=1))
    assert named == "minutes"
    assert 5 <= len(set(few.tolist())) <= 12
    assert clusters_of(moments_of(12, sources=1))[1] == "stretches of ten seconds"

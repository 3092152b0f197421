"""Shares, chance and intervals of retrieval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.retrieval import bootstrap, chance, confusion, modality_table, recall_at_k

EYE = np.eye(4, dtype=np.float32)


def test_a_query_that_finds_its_own_label_first_is_a_hit() -> None:
    hits = recall_at_k(EYE[:2], EYE, ["a", "b"], ["a", "x", "y", "z"])
    assert hits.tolist() == [True, False]
    assert recall_at_k(EYE[:2], EYE, ["a", "y"], ["a", "x", "y", "z"], k=4).tolist() == [True, True]


def test_what_is_excluded_is_never_found() -> None:
    excluded = np.zeros((1, 4), bool)
    excluded[0, 0] = True
    assert not recall_at_k(EYE[:1], EYE, ["a"], ["a", "b", "c", "d"], excluded=excluded)[0]
    everything = np.ones((1, 4), bool)
    assert not recall_at_k(EYE[:1], EYE, ["a"], ["a", "a", "a", "a"], k=4, excluded=everything)[0]


@given(st.integers(1, 6), st.lists(st.sampled_from("abc"), min_size=3, max_size=12), st.integers(0, 100))
def test_chance_is_what_blind_drawing_reaches(k: int, labels: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = labels[0]
    n = 4000
    draws = [wanted in [labels[i] for i in rng.permutation(len(labels))[:k]] for _ in range(n)]
    assert chance([wanted], labels, k) == pytest.approx(np.mean(draws), abs=0.04)


def test_nothing_is_found_in_an_empty_gallery() -> None:
    with pytest.raises(ValueError, match="0 items"):
        recall_at_k(EYE, EYE[:0], list("abcd"), [])


def test_confusion_counts_true_by_told() -> None:
    counts = confusion(["a", "a", "b"], ["a", "b", "b"], ["a", "b"])
    assert counts.tolist() == [[1, 1], [0, 1]]


def test_intervals_are_wide_where_whole_recordings_differ() -> None:
    values = [1.0] * 50 + [0.0] * 50
    apart, mixed = ["r1"] * 50 + ["r2"] * 50, [str(i) for i in range(100)]
    mean, low, high = bootstrap(values, apart)
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    mean, low, high = bootstrap(values, mixed)
    assert mean == 0.5
    assert 0.37 < low < 0.44
    assert 0.56 < high < 0.63
    assert bootstrap([1.0, 1.0], ["one", "one"]) == (1.0, 0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(0, 5))
def test_the_mean_lies_within_its_interval_of_many_clusters(values: list[float], seed: int) -> None:
    mean, low, high = bootstrap(values, [str(i) for i in range(len(values))], seed=seed, level=0.999)
    assert low - 1e-9 <= mean <= high + 1e-9
    assert bootstrap(values, [str(i) for i in range(len(values))], seed=seed, level=0.999) == (mean, low, high)


def sides() -> tuple[dict[str, np.ndarray], dict[str, list[str]], dict[str, list[str]]]:
    """Four labels in each of three worlds: eyes tell them all, legs cannot tell c from d."""
    labels = list("abcd") * 3
    worlds = [f"world:{i // 4}" for i in range(12)]
    seen = EYE[[i % 4 for i in range(12)]]
    felt = EYE[[min(i % 4, 2) for i in range(12)]]
    vectors = {"eyes": seen, "legs": felt}
    return vectors, dict.fromkeys(vectors, labels), dict.fromkeys(vectors, worlds)


def test_a_table_has_every_ordered_pair_with_its_chance() -> None:
    table = modality_table(*sides())
    assert set(table) == {(a, b) for a in ("eyes", "legs") for b in ("eyes", "legs")}
    eyes = table["eyes", "eyes"]
    assert (eyes.mean, eyes.low, eyes.high, eyes.chance, eyes.n) == (1.0, 1.0, 1.0, 0.25, 12)
    assert eyes.times_chance == 4.0
    assert table["legs", "legs"].mean < 1.0


def test_pairs_with_a_side_that_feels_are_judged_by_group() -> None:
    groups = {"a": "a", "b": "b", "c": "still", "d": "still"}
    table = modality_table(*sides(), groups=groups, felt={"legs"})
    assert table["legs", "legs"].mean == 1.0
    assert table["legs", "legs"].chance == pytest.approx((2 * 0.25 + 2 * 0.5) / 4)
    assert table["eyes", "eyes"].chance == 0.25


def test_a_query_never_finds_its_own_recording() -> None:
    vectors, labels, worlds = sides()
    # Only its own world looks like it: what is found elsewhere is wrong.
    alone = {"eyes": np.eye(12, dtype=np.float32)}
    found = modality_table(alone, {"eyes": [f"{i}" for i in range(12)]}, {"eyes": worlds["eyes"]})
    assert found["eyes", "eyes"].mean == 0.0
    assert found["eyes", "eyes"].chance == 0.0
    with pytest.raises(ValueError, match="nothing outside of one"):
        modality_table(vectors, labels, dict.fromkeys(vectors, ["one"] * 12))

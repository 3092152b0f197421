"""How well retrieval and labels do, with intervals that know that neighbouring windows are no independent samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recall", "bootstrap", "chance", "confusion", "modality_table", "recall_at_k"]

Names = Sequence[str] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Recall:
    """One figure of a table: a share with its 95 % interval, and what blind drawing would reach."""

    mean: float
    low: float
    high: float
    chance: float
    n: int
    """Queries it was measured on."""

    @property
    def times_chance(self) -> float:
        return self.mean / self.chance if self.chance else float("inf")


def recall_at_k(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    query_labels: Names,
    gallery_labels: Names,
    k: int = 1,
    excluded: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """(n,) whether each query (n, d) has an item of its own label among the k nearest of the gallery (m, d).

    By identity: give every item a label of its own. excluded: (n, m), True where an item is not offered to a query,
    such as one from the same recording. ValueError for an empty gallery or k below 1.
    """
    if k < 1 or len(gallery) == 0:
        raise ValueError(f"at least one item and k >= 1 are wanted, found {len(gallery)} items and k {k}")
    scores = np.asarray(queries, np.float32) @ np.asarray(gallery, np.float32).T
    if excluded is not None:
        scores = np.where(excluded, -np.inf, scores)
    k = min(k, len(gallery))
    nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k] if k < len(gallery) else np.argsort(-scores, axis=1)
    hits = np.asarray(gallery_labels)[nearest] == np.asarray(query_labels)[:, None]
    if excluded is not None:
        hits &= ~np.take_along_axis(excluded, nearest, axis=1)
    return np.asarray(hits.any(axis=1))


def chance(query_labels: Names, gallery_labels: Names, k: int = 1) -> float:
    """Recall@k of somebody who draws k items of the gallery blindly, without putting them back."""
    labels, wanted = np.asarray(gallery_labels), np.asarray(query_labels)
    n = len(labels)
    if n == 0 or len(wanted) == 0:
        return 0.0
    k = min(k, n)
    shares = {}
    for label in np.unique(wanted):
        others = n - int((labels == label).sum())
        missed = np.prod([(others - i) / (n - i) for i in range(k)]) if others >= k else 0.0
        shares[label] = 1.0 - float(missed)
    return float(np.mean([shares[label] for label in wanted]))


def confusion(true: Names, told: Names, names: Sequence[str]) -> NDArray[np.int64]:
    """(n, n) counts: row the true name, column the one that was told. KeyError for a name that `names` lacks."""
    place = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for a, b in zip(true, told, strict=True):
        counts[place[str(a)], place[str(b)]] += 1
    return counts


def bootstrap(
    values: Sequence[float] | NDArray[Any], clusters: Names, level: float = 0.95, n: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of `values` (m,) and the bounds of its interval at `level`, by drawing whole clusters with replacement.

    clusters: (m,) what each value belongs to (a recording, a world); percentiles of `n` resampled means. With a single
    cluster nothing is known about the spread, and the bounds are 0 and 1. ValueError without values.
    """
    array = np.asarray(values, np.float64)
    if len(array) == 0 or len(array) != len(clusters):
        raise ValueError(
            f"as many values as clusters are wanted, and one at least; found {len(array)}, {len(clusters)}"
        )
    found, members = np.unique(np.asarray(clusters), return_inverse=True)
    mean = float(array.mean())
    if len(found) == 1:
        return mean, 0.0, 1.0
    sums, counts = np.bincount(members, weights=array), np.bincount(members)
    drawn = np.random.default_rng(seed).integers(len(found), size=(n, len(found)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return mean, float(low), float(high)


def modality_table(
    vectors: Mapping[str, NDArray[np.float32]],
    labels: Mapping[str, Names],
    clusters: Mapping[str, Names],
    *,
    k: int = 1,
    groups: Mapping[str, str] | None = None,
    felt: Collection[str] = (),
) -> dict[tuple[str, str], Recall]:
    """Recall@k of every ordered pair (query, searched) of modalities, a modality with itself among them.

    By modality: unit vectors (n, d), and the label and the cluster (recording, world) of each. A query's own cluster
    is left out of what is searched, so that nothing but the meaning can be recognised. groups, felt: pairs with a side
    in `felt` are judged by groups[label] instead. ValueError where only one cluster has been searched.
    """
    table = {}
    for query, gallery in product(vectors, vectors):
        names = [np.asarray(labels[side]) for side in (query, gallery)]
        if groups is not None and {query, gallery} & set(felt):
            names = [np.array([groups[str(name)] for name in side]) for side in names]
        own, others = np.asarray(clusters[query]), np.asarray(clusters[gallery])
        hits, blind = np.zeros(len(own), bool), np.zeros(len(own))
        for cluster in np.unique(own):
            asked, offered = own == cluster, others != cluster
            if not offered.any():
                raise ValueError(f"{gallery}: nothing outside of {cluster} to search; give several clusters")
            wanted, there = names[0][asked], names[1][offered]
            hits[asked] = recall_at_k(vectors[query][asked], vectors[gallery][offered], wanted, there, k)
            blind[asked] = chance(wanted, there, k)
        mean, low, high = bootstrap(hits, own)
        table[query, gallery] = Recall(mean, low, high, float(blind.mean()), len(hits))
    return table

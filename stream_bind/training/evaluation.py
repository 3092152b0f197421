"""How well a sensor and its anchor find each other on held-out moments, with intervals over sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.retrieval.labels import LabelSet
from stream_bind.retrieval.metrics import bootstrap
from stream_bind.training.batches import BatchPlan
from stream_bind.training.pairs import Moment

__all__ = ["Figure", "by_label", "by_moment", "clusters_of", "to_captions"]

FEW = 5
"""Below this many of them an interval says nothing."""
STRETCHES = (("sources", 0), ("minutes", 60_000_000_000), ("stretches of ten seconds", 10_000_000_000))


@dataclass(frozen=True, slots=True)
class Figure:
    """One share of right answers."""

    name: str
    value: float
    low: float
    """95 % interval, by bootstrap over clusters."""
    high: float
    chance: float
    n: int
    """Queries."""

    @property
    def times_chance(self) -> float:
        return self.value / self.chance if self.chance > 0 else float("inf")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"times_chance": self.times_chance}


def clusters_of(moments: Sequence[Moment]) -> tuple[NDArray[np.int64], str]:
    """What is resampled for each moment, as numbers, and its name: sources, or stretches where they are few."""
    keys: list[Any] = []
    named = ""
    for name, length_ns in STRETCHES:
        keys, named = [(m.source, m.t_end_ns // length_ns if length_ns else 0) for m in moments], name
        if len(set(keys)) >= FEW:
            break
    known: dict[Any, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64), named


def by_moment(
    names: tuple[str, str], left: NDArray[Any], right: NDArray[Any], moments: Sequence[Moment], batch: int = 256
) -> list[Figure]:
    """recall@1 both ways: which of up to `batch` moments, no two within ten seconds of one source, is the partner's.

    left, right: (n, d) unit vectors, row by row of the same moments.
    """
    plan = BatchPlan(moments, np.arange(len(moments)), batch, 1, 10.0, seed=0)
    clusters, _ = clusters_of(moments)
    hits: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
    rows = [plan.of_step(step) for step in range(plan.per_epoch)]
    for some in rows:
        cosines = left[some] @ right[some].T
        for found, one in zip(hits, (cosines, cosines.T), strict=True):
            found.append(one.argmax(axis=1) == np.arange(len(some)))
    asked = np.concatenate(rows)
    return [
        _figure(f"{one} to {other}, by moment", np.concatenate(found), clusters[asked], 1 / plan.batch)
        for (one, other), found in zip((names, names[::-1]), hits, strict=True)
    ]


def by_label(
    names: tuple[str, str],
    left: NDArray[Any],
    right: NDArray[Any],
    moments: Sequence[Moment],
    *,
    group: bool = False,
    apart_s: float = 10.0,
) -> list[Figure]:
    """recall@1 both ways where any moment of the same label is right, moments within `apart_s` of the query left out.

    Only labelled moments are asked and answered with. Empty where there are fewer than two labels.
    """
    told = np.array([(m.group if group else m.label) for m in moments])
    rows = np.flatnonzero(told != "")
    labels = told[rows]
    if len(np.unique(labels)) < 2:
        return []
    asked = [moments[r] for r in rows.tolist()]
    source = np.unique(np.array([m.source for m in asked]), return_inverse=True)[1]
    ends = np.array([m.t_end_ns for m in asked], np.int64)
    near = (source[:, None] == source[None]) & (np.abs(ends[:, None] - ends[None]) < apart_s * 1e9)
    same = labels[:, None] == labels[None]
    possible = (same & ~near).any(axis=1)
    if not possible.any():
        return []
    chance = float(((same & ~near).sum(axis=1) / np.maximum((~near).sum(axis=1), 1))[possible].mean())
    clusters, _ = clusters_of(asked)
    figures = []
    for (one, other), (queries, answers) in zip((names, names[::-1]), ((left, right), (right, left)), strict=True):
        cosines = np.where(near, -np.inf, queries[rows] @ answers[rows].T)
        hits = same[np.arange(len(rows)), cosines.argmax(axis=1)][possible]
        kind = "group" if group else "label"
        figures.append(_figure(f"{one} to {other}, by {kind}", hits, clusters[possible], chance))
    return figures


def to_captions(name: str, vectors: NDArray[Any], labels: LabelSet, moments: Sequence[Moment]) -> list[Figure]:
    """Zero-shot: is the nearest of the model's captions that of the moment, and is it one of its group?

    vectors: (n, d) unit vectors of the moments. Moments whose label is none of the captions are not asked about; empty
    where there are none.
    """
    rows = [i for i, moment in enumerate(moments) if moment.label in labels.texts]
    if not rows:
        return []
    asked = [moments[i] for i in rows]
    told = [labels.nearest(vectors[i])[0] for i in rows]
    clusters, _ = clusters_of(asked)
    right = np.array([t.text == m.label for t, m in zip(told, asked, strict=True)])
    figures = [_figure(f"{name} to captions", right, clusters, 1 / len(labels.texts))]
    if labels.groups:
        right = np.array([t.group == m.group for t, m in zip(told, asked, strict=True)])
        figures.append(_figure(f"{name} to captions, by group", right, clusters, 1 / len(set(labels.groups))))
    return figures


def _figure(name: str, hits: NDArray[Any], clusters: NDArray[np.int64], chance: float) -> Figure:
    mean, low, high = bootstrap(hits.astype(float), clusters)
    return Figure(name, mean, low, high, chance, len(hits))

"""What a model of the simulated world can do, measured on worlds it has never seen.

Zero-shot labels, every modality against every other, arithmetic and speed, with bootstrap intervals over worlds:
windows of one world overlap, share a sensor's noise and a day's weather, and are no independent samples.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated import SimulatedConfig
from devices.simulated.scenarios import FELT, GROUPS, LABELS, SCENARIOS
from devices.simulated.world import scene_of
from stream_bind.encoders.base import ClipMaker, Encoder
from stream_bind.retrieval import LabelSet, bootstrap, combine, confusion
from stream_bind.training.pairs import Pairs
from stream_bind.training.world_pairs import FIRST_TURN, LARGE, WorldSensor

__all__ = ["Measured", "arithmetic", "embedded", "retrieval_table", "speed", "zero_shot"]

Vectors = NDArray[np.float32]
GROUP_OF = {scenario.label: scenario.group for scenario in SCENARIOS}
SOUND_WEIGHT = 0.6
"""Of a sound that is added to a picture: pictures are nearer to pictures of their kind (cosine 0.71) than sounds are
(0.47), and with a half each the picture drowns the sound. Chosen on the validation worlds."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A share between 0 and 1 with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int
    """What it was measured on."""
    chance: float

    @classmethod
    def of(cls, values: NDArray[Any], clusters: Sequence[str], chance: float) -> Measured:
        mean, low, high = bootstrap(np.asarray(values, float), np.asarray(clusters))
        return cls(mean, low, high, len(values), chance)

    def __str__(self) -> str:
        return f"{self.mean:.1%} ({self.low:.1%} to {self.high:.1%})"


@dataclass(frozen=True, slots=True)
class Seen:
    """One modality's vectors and what their moments were."""

    vectors: Vectors
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    sources: NDArray[np.str_]
    rows: NDArray[np.intp]


def embedded(encoder: Encoder, pairs: Pairs, modalities: Sequence[str], batch: int = 64) -> dict[str, Seen]:
    """Every clip of these modalities as the encoder sees it; `text` is one caption a moment, never its bare label."""
    moments = pairs.moments
    seen = {}
    for modality in modalities:
        rows = np.flatnonzero(pairs.has(modality))
        parts = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        if modality == "text":
            # Captions repeat forms; each moment takes another one of its scene.
            texts = [moments[r].captions[1 + r % max(1, len(moments[r].captions) - 1)] for r in rows]
            vectors = encoder.embed_text(texts)
        else:
            vectors = np.concatenate([encoder.embed(modality, pairs.clips(modality, part)) for part in parts])
        seen[modality] = Seen(
            vectors,
            np.array([moments[r].label for r in rows]),
            np.array([moments[r].group for r in rows]),
            np.array([moments[r].source for r in rows]),
            rows,
        )
    return seen


def zero_shot(seen: Mapping[str, Seen], labels: LabelSet) -> dict[str, dict[str, Any]]:
    """For every modality: share told right among all labels and among all groups, and the confusion counts."""
    report = {}
    groups = np.array([GROUP_OF[text] for text in labels.texts])
    for modality, found in seen.items():
        told = np.asarray(labels.scores(found.vectors)).argmax(axis=1)
        names = np.array(labels.texts)[told]
        report[modality] = {
            "scenario": Measured.of(names == found.labels, found.sources.tolist(), 1 / len(LABELS)),
            "group": Measured.of(groups[told] == found.groups, found.sources.tolist(), _chance(found.groups)),
            "confusion": confusion(found.labels, names, LABELS),
            "group_confusion": confusion(found.groups, groups[told], GROUPS),
        }
    return report


def retrieval_table(seen: Mapping[str, Seen]) -> dict[tuple[str, str], Measured]:
    """Recall@1 for every ordered pair: is what a query finds first, in all other worlds, of its scenario?

    Of its group where one side only feels motion. The query's own world is left out of what is searched, so that
    nothing but the meaning can be recognised.
    """
    table = {}
    for query, gallery in itertools.product(seen, seen):
        a, b = seen[query], seen[gallery]
        scores = a.vectors @ b.vectors.T
        scores[a.sources[:, None] == b.sources[None, :]] = -np.inf
        first = scores.argmax(axis=1)
        by_group = query in FELT or gallery in FELT
        wanted, found = (a.groups, b.groups[first]) if by_group else (a.labels, b.labels[first])
        kinds = b.groups if by_group else b.labels
        # Chance: an item drawn at random from the gallery.
        shares = {kind: float((kinds == kind).mean()) for kind in np.unique(kinds)}
        chance = float(np.mean([shares.get(kind, 0.0) for kind in wanted]))
        table[query, gallery] = Measured.of(wanted == found, a.sources.tolist(), chance)
    return table


def arithmetic(
    encoder: Encoder, makers: Mapping[str, ClipMaker], seen: Mapping[str, Seen], seeds: Sequence[int], turn: int
) -> dict[str, Measured]:
    """Picture of A plus sound of B: do pictures that show A and B come before those that show one of them?

    For every two scenarios a picture with both is rendered: what two worlds show at the same time, side by side. The
    query takes its picture and its sound from other worlds, or from other turns of a world than the pictures with both,
    which are of `turn`. `above_a`, `above_b`: share of comparisons between a
    picture with both and one with A (with B) alone that the former wins, `above` the mean of the two; `above_halves`:
    the same with a half of each; `first`: share of queries whose first picture, among all with two scenarios and all
    with one, shows both.
    """
    both, names = _pictures_of_two(makers, seeds, turn)
    gallery = encoder.embed("vision", both)
    pictures, sounds = seen["vision"], seen["audio"]
    rng = np.random.default_rng(0)
    values: dict[str, list[float]] = {name: [] for name in ("above", "above_a", "above_b", "above_halves", "first")}
    clusters = []
    for label_a, label_b in itertools.permutations(LABELS, 2):
        a = int(rng.choice(np.flatnonzero(pictures.labels == label_a)))
        b = int(rng.choice(np.flatnonzero(sounds.labels == label_b)))
        others = ~np.isin(pictures.sources, [pictures.sources[a], sounds.sources[b]])
        of_both = gallery[[{label_a, label_b} == pair for pair in names]]
        alone = [pictures.vectors[others & (pictures.labels == label)] for label in (label_a, label_b)]
        for sound_weight, key in ((0.5, "above_halves"), (SOUND_WEIGHT, "above")):
            query = combine([(pictures.vectors[a], 1 - sound_weight), (sounds.vectors[b], sound_weight)])
            won = [float(((of_both @ query)[:, None] > (one @ query)[None, :]).mean()) for one in alone]
            values[key].append(sum(won) / 2)
        values["above_a"].append(won[0])
        values["above_b"].append(won[1])
        best = max(float((gallery @ query).max()), float((pictures.vectors[others] @ query).max()))
        values["first"].append(float((of_both @ query).max() >= best))
        clusters.append(f"{min(label_a, label_b)}+{max(label_a, label_b)}")
    by_chance = 1 / (len(names) + len(pictures.labels))
    return {
        key: Measured.of(np.array(found), clusters, by_chance if key == "first" else 0.5)
        for key, found in values.items()
    }


def _pictures_of_two(
    makers: Mapping[str, ClipMaker], seeds: Sequence[int], turn: int
) -> tuple[NDArray[Any], list[set[str]]]:
    """One vision clip for every two scenarios that happen at the same time in two of the worlds."""
    wanted = {frozenset(pair) for pair in itertools.combinations(LABELS, 2)}
    clips, names = [], []
    index = (FIRST_TURN + turn) * len(SCENARIOS)
    while wanted:
        for first, second in itertools.permutations(seeds, 2):
            a, b = (scene_of(seed, index) for seed in (first, second))
            pair = frozenset({a.scenario.label, b.scenario.label})
            if pair in wanted:
                wanted.remove(pair)
                sensor = WorldSensor(SimulatedConfig(modality="vision", seed=first), makers["vision"], second)
                clips.append(sensor.clip(a.begin_ns + 6_000_000_000))
                names.append(set(pair))
        index += 1
    return np.stack(clips), names


def speed(encoder: Encoder, makers: Mapping[str, ClipMaker], repeats: int = 40) -> dict[str, dict[str, float]]:
    """Clips per second of each modality with the threads torch has now, one clip at a time.

    `embed`: the encoder alone; `whole`: making the clip of a window as configs/headset.yaml has it, and embedding it.
    """
    rates = {}
    t_end_ns = scene_of(1, FIRST_TURN * len(SCENARIOS)).begin_ns + 8_000_000_000
    for modality, maker in makers.items():
        sensor = WorldSensor(
            SimulatedConfig.model_validate({"modality": modality, "seed": 1, **LARGE.get(modality, {})}), maker
        )
        window = sensor.window(t_end_ns)
        clip = maker.make(window, sensor.spec)[None]
        encoder.embed(modality, clip)
        start_s = time.perf_counter()
        for _ in range(repeats):
            encoder.embed(modality, clip)
        middle_s = time.perf_counter()
        for _ in range(repeats):
            encoder.embed(modality, maker.make(window, sensor.spec)[None])
        end_s = time.perf_counter()
        rates[modality] = {"embed": repeats / (middle_s - start_s), "whole": repeats / (end_s - middle_s)}
    return rates


def _chance(kinds: NDArray[np.str_]) -> float:
    """What somebody who guesses among the groups is right with."""
    return 1 / len(np.unique(kinds))

"""Refuses held-out data that training has seen: the same time, the same file, the same clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from stream_bind.errors import ConfigError
from stream_bind.training.pairs import Pairs

__all__ = ["check_files", "check_split"]

SHOWN = 5


def check_split(train: Pairs, held_out: Pairs, modalities: Iterable[str] | None = None) -> None:
    """ConfigError, naming the sources, where held-out moments are not new.

    A source may be on both sides only if split by time with a guard interval longer than the longest window between any
    two moments of different sides. No clip (of `modalities`, by default all) may be on both sides.
    """
    problems = _by_time(train, held_out) + _by_clip(train, held_out, modalities)
    if problems:
        raise ConfigError("\n".join(problems), tuple(problems))


def check_files(train: Mapping[str, str], held_out: Mapping[str, str]) -> None:
    """ConfigError where one content is given under two names. Both: path to content digest.

    The same path on both sides is a split by time, which check_split judges.
    """
    problems = []
    for path, digest in held_out.items():
        twins = [other for other, theirs in train.items() if theirs == digest and other != path]
        if twins:
            problems.append(
                f"held-out data: {path} holds the same bytes as the training file {', '.join(sorted(twins))}; hold "
                "out another recording, or name one file on both sides and split it by time"
            )
    if problems:
        raise ConfigError("\n".join(problems), tuple(problems))


def _by_time(train: Pairs, held_out: Pairs) -> list[str]:
    ours, theirs = _spans(train), _spans(held_out)
    lengths_s = [c.length_s for pairs in (train, held_out) for m, c in pairs.stored.items() if pairs.has(m).any()]
    guard_ns = round(max(lengths_s, default=0.0) * 1e9)
    problems = []
    for source in sorted(set(ours) & set(theirs)):
        gap_ns = _least_gap_ns(ours[source], theirs[source])
        if gap_ns > guard_ns:
            continue
        found = f"overlap by {-gap_ns / 1e9:g} s" if gap_ns < 0 else f"come as near as {gap_ns / 1e9:g} s"
        problems.append(
            f"held-out data: {source} is also trained on, and windows of both sides {found}; hold out other sources, "
            f"or split this one by time with more than {guard_ns / 1e9:g} s (the longest window) between the two"
        )
    return problems


def _spans(pairs: Pairs) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    """source: (n, 2) start and end of its moments."""
    found: dict[str, list[tuple[int, int]]] = {}
    for moment in pairs.moments:
        found.setdefault(moment.source, []).append((moment.t_start_ns, moment.t_end_ns))
    return {source: np.array(spans, np.int64) for source, spans in found.items()}


def _least_gap_ns(
    ours: np.ndarray[tuple[int, ...], np.dtype[np.int64]], theirs: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> int:
    """Least time between an interval of one and one of the other; negative where they overlap."""
    least = 1 << 62
    for start, end in theirs.tolist():
        gaps = np.maximum(ours[:, 0] - end, start - ours[:, 1])
        least = min(least, int(gaps.min()))
    return least


def _by_clip(train: Pairs, held_out: Pairs, modalities: Iterable[str] | None) -> list[str]:
    problems = []
    for modality in train.modalities if modalities is None else modalities:
        ours, theirs = train.digests(modality), held_out.digests(modality)
        twice = np.intersect1d(ours[ours != 0], theirs[theirs != 0])
        if not len(twice):
            continue
        names = [
            sorted({pairs.moments[i].source for i in np.flatnonzero(np.isin(digests, twice))})
            for pairs, digests in ((train, ours), (held_out, theirs))
        ]
        told = [", ".join(some[:SHOWN]) + (", ..." if len(some) > SHOWN else "") for some in names]
        problems.append(
            f"held-out data: {len(twice)} {modality} clips of {told[1]} are also trained on, in {told[0]}; take the "
            "same recording out of one side"
        )
    return problems

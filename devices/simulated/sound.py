"""The sound of one scene at one rate, rendered in blocks of half a second that are cut as the reader likes.

A vectorised kernel may round the same sample differently in arrays of other lengths; blocks always have the same ones.
"""

from __future__ import annotations

import numpy as np

from devices.simulated.sounds import CONTROL_HZ, Later, Score, score_of
from devices.simulated.sounds.tables import CYCLE, Samples
from devices.simulated.world import SCENE_NS, FloatArray, Scene

__all__ = ["Sound"]

_BLOCK_S = 0.5
_N_KEPT = 3
_FADE_S = 0.004
"""Scenes fade in and out, or each change would click."""


class Sound:
    """What is heard in `scene`, sampled `rate_hz` times a second from its beginning."""

    def __init__(self, scene: Scene, rate_hz: float) -> None:
        self.scene = scene
        self._rate_hz = rate_hz
        self._n = max(1, round(_BLOCK_S * rate_hz))
        self._score: Score = score_of(scene, rate_hz)
        hits = sorted(self._score.hits, key=lambda hit: hit.at_s)
        self._hits = [(round(hit.at_s * rate_hz), hit.stroke, np.float32(hit.gain)) for hit in hits]
        self._starts = np.array([start for start, _, _ in self._hits], dtype=np.int64)
        self._longest = max((len(stroke) for _, stroke, _ in self._hits), default=0)
        self._blocks: dict[int, Samples] = {}

    def at(self, age_s: FloatArray) -> FloatArray:
        """(n,) in -1..1 at ascending ages (n,) in seconds, by straight lines between the samples."""
        place = age_s * self._rate_hz
        index = place.astype(np.int64)
        part = place - index
        block = index // self._n
        out = np.empty(len(age_s))
        start = 0
        while start < len(age_s):
            number = int(block[start])
            stop = start + int(np.searchsorted(block[start:], number, side="right"))
            samples = self._block(number)
            local = index[start:stop] - number * self._n
            left = samples[local]
            out[start:stop] = left + part[start:stop] * (samples[local + 1] - left)
            start = stop
        return out

    def _block(self, number: int) -> Samples:
        """(n + 1,): the samples of block `number` and the one after it."""
        block = self._blocks.get(number)
        if block is None:
            while len(self._blocks) >= _N_KEPT:
                del self._blocks[next(iter(self._blocks))]
            block = self._blocks[number] = self._render(number * self._n, self._n + 1)
        return block

    def _render(self, first: int, n: int) -> Samples:
        index = np.arange(first, first + n)
        place = np.asarray(index * (CONTROL_HZ / self._rate_hz), dtype=np.float64)
        knots = np.arange(len(self._score.times_s), dtype=np.float64)
        out = np.zeros(n, dtype=np.float32)
        for bed in self._score.beds:
            out += _scaled(bed.table.take(index + bed.first, mode="wrap"), bed.gains, place, knots)
        for tone in self._score.tones:
            turns = np.interp(place, knots, tone.turns)
            out += _scaled(tone.table[(turns * CYCLE).astype(np.int64) & (CYCLE - 1)], tone.gains, place, knots)
        begin, end = np.searchsorted(self._starts, (first - self._longest, first + n))
        for start, stroke, gain in self._hits[int(begin) : int(end)]:
            skipped = max(0, first - start)
            if skipped >= len(stroke):
                continue
            samples = stroke.samples() if isinstance(stroke, Later) else stroke
            heard = samples[skipped : first + n - start]
            out[start + skipped - first :][: len(heard)] += gain * heard
        # A membrane gives way before it clips.
        np.tanh(out, out=out)
        age_s = index / self._rate_hz
        if first == 0 or age_s[-1] > SCENE_NS * 1e-9 - 2 * _FADE_S:
            out *= np.clip(np.minimum(age_s, SCENE_NS * 1e-9 - age_s) / _FADE_S, 0.0, 1.0)
        return out


def _scaled(samples: Samples, gains: FloatArray | float, place: FloatArray, knots: FloatArray) -> Samples:
    if isinstance(gains, np.ndarray):
        samples *= np.interp(place, knots, gains)
    else:
        samples *= np.float32(gains)
    return samples

"""The small seeded world all simulated sensors look at: a scene that changes every ten seconds.

Everything is a pure function of (seed, event time). Table look-ups stand in for sin and exp, because their vectorised
kernels may round differently for different array lengths, and the samples must not depend on how a stream is chunked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import IntArray

__all__ = ["SCENE_NS", "Noise", "Scene", "Thing", "World", "blob", "sine"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SCENE_NS = 10_000_000_000
"""Length of a scene."""

_SINE = np.sin(2 * np.pi * np.arange(65536) / 65536)


def sine(turns: FloatArray) -> FloatArray:
    """sin(2 pi turns) for turns >= 0, to 1e-4, the same for any array length."""
    return np.asarray(_SINE[(turns * 65536).astype(np.int64) & 65535])


@lru_cache(maxsize=64)
def blob(radius: int, boxy: bool) -> BoolArray:
    """(2r+1, 2r+1) mask of a disc, or of a box of the same width."""
    if boxy:
        return np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.bool_)
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius)


@dataclass(frozen=True, slots=True)
class Thing:
    """A body that every image sensor sees at the same place in its view."""

    colour: tuple[int, int, int]
    range_m: float
    temperature_k: float
    size: float
    """Radius as a share of the picture's height, at the range it has."""
    boxy: bool
    speed_hz: tuple[float, float]
    phase: tuple[float, float]

    def place(self, age_s: float) -> tuple[float, float]:
        """(x, y) in 0..1 of the view, `age_s` into the scene."""
        x = 0.5 + 0.42 * float(sine(np.asarray(self.phase[0] + self.speed_hz[0] * age_s)))
        y = 0.5 + 0.30 * float(sine(np.asarray(self.phase[1] + self.speed_hz[1] * age_s)))
        return x, y


@dataclass(frozen=True, slots=True)
class Scene:
    """Ten seconds of the world. `index` counts scenes since the UNIX epoch."""

    index: int
    name: str
    colour: tuple[int, int, int]
    """Background colour."""
    light: float
    """Brightness, 0..1."""
    level: float
    """How loud it is, 0..1 of full scale."""
    pitch_hz: float
    """The hum that is heard."""
    tempo_hz: float
    """Steps per second of the wearer: heard, felt and seen as sway; 0 at rest."""
    vigour: float
    """Strength of a step, in m/s^2."""
    temperature_k: float
    distance_m: float
    """How far the background is."""
    things: tuple[Thing, ...]


# name, colour, light, level, pitch, tempo, vigour, temperature, distance
_KINDS: tuple[tuple[str, tuple[int, int, int], float, float, float, float, float, float, float], ...] = (
    ("quiet room", (120, 120, 150), 0.55, 0.04, 180.0, 0.0, 0.0, 294.0, 3.0),
    ("walk outdoors", (70, 150, 70), 0.90, 0.15, 330.0, 1.8, 2.5, 285.0, 9.0),
    ("workshop", (190, 120, 40), 0.70, 0.45, 110.0, 0.7, 0.8, 301.0, 2.0),
    ("run by the road", (110, 140, 190), 1.00, 0.30, 520.0, 2.8, 6.0, 290.0, 7.0),
)


class World:
    """Scenes by event time."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._order = np.random.default_rng([seed, 0x5CE9]).permutation(len(_KINDS))
        self._scene: Scene | None = None

    def scene_at(self, t_ns: int) -> Scene:
        """The scene that covers UNIX time t_ns."""
        index = t_ns // SCENE_NS
        if self._scene is None or self._scene.index != index:
            self._scene = self._make(index)
        return self._scene

    def spans(self, t_ns: IntArray) -> Iterator[tuple[Scene, slice, FloatArray]]:
        """The scenes that ascending `t_ns` run through: (scene, slice of t_ns, seconds into the scene)."""
        start, end = 0, len(t_ns)
        while start < end:
            scene = self.scene_at(int(t_ns[start]))
            begin_ns = scene.index * SCENE_NS
            stop = start + int(np.searchsorted(t_ns[start:], begin_ns + SCENE_NS))
            yield scene, slice(start, stop), (t_ns[start:stop] - begin_ns).astype(np.float64) * 1e-9
            start = stop

    def _make(self, index: int) -> Scene:
        name, colour, light, level, pitch, tempo, vigour, temperature, distance = _KINDS[
            int(self._order[index % len(_KINDS)])
        ]
        rng = np.random.default_rng([self.seed, index])
        things = tuple(
            Thing(
                colour=(int(rng.integers(30, 256)), int(rng.integers(30, 256)), int(rng.integers(30, 256))),
                range_m=distance * float(rng.uniform(0.25, 0.8)),
                temperature_k=temperature + float(rng.uniform(2.0, 16.0)),
                size=float(rng.uniform(0.07, 0.18)),
                boxy=bool(rng.integers(2)),
                speed_hz=(float(rng.uniform(0.05, 0.25)), float(rng.uniform(0.05, 0.25))),
                phase=(float(rng.uniform()), float(rng.uniform())),
            )
            for _ in range(3)
        )
        return Scene(
            index=index,
            name=name,
            colour=colour,
            light=light * float(rng.uniform(0.9, 1.1)),
            level=level * float(rng.uniform(0.8, 1.2)),
            pitch_hz=pitch * float(rng.uniform(0.94, 1.06)),
            tempo_hz=tempo * float(rng.uniform(0.92, 1.08)),
            vigour=vigour,
            temperature_k=temperature + float(rng.uniform(-1.0, 1.0)),
            distance_m=distance,
            things=tuple(sorted(things, key=lambda thing: -thing.range_m)),
        )


class Noise:
    """Seeded noise by sample index, from a table: 2 us per 480 samples where a generator would need a state."""

    _LENGTH = 65537

    def __init__(self, seed: int, salt: int) -> None:
        self._table = np.random.default_rng([seed, 0x4015E, salt]).standard_normal(self._LENGTH).astype(np.float32)

    def at(self, first: int, n: int, stride: int = 1) -> NDArray[np.float32]:
        """(n,) unit-variance values of samples first, first + 1, ...; `stride` decorrelates columns of one source."""
        return self._table[(np.arange(first, first + n, dtype=np.int64) * stride) % self._LENGTH]

    def columns(self, first: int, n: int, n_columns: int) -> NDArray[np.float32]:
        """(n, n_columns) unit-variance values of samples first, first + 1, ..., each column its own."""
        rows = np.arange(first, first + n, dtype=np.int64)[:, None]
        return np.asarray(self._table[(rows * np.arange(1, 2 * n_columns, 2)) % self._LENGTH])

    def image(self, index: int, shape: tuple[int, int]) -> NDArray[Any]:
        """(h, w) unit-variance picture noise of frame `index`."""
        flat = shape[0] * shape[1]
        start = (index * 7919) % self._LENGTH
        return np.resize(np.roll(self._table, -start), flat).reshape(shape)

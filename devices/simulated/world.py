"""The seeded world all simulated sensors look at: a scene of ten seconds after another, each one of the scenarios.

Everything is a pure function of (seed, event time). Table look-ups stand in for sin and exp, because their vectorised
kernels may round differently for different array lengths, and the samples must not depend on how a stream is chunked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.scenarios import SCENARIOS, Scenario
from stream_bind.messages import IntArray

__all__ = ["COLOURS", "LIGHTS", "SCENE_NS", "Colour", "Light", "Noise", "Scene", "World", "sine"]

FloatArray = NDArray[np.float64]
Colour = tuple[float, float, float]
"""RGB, 0 to 255."""

SCENE_NS = 10_000_000_000
"""Length of a scene."""

_SINE = np.sin(2 * np.pi * np.arange(65536) / 65536)


def sine(turns: FloatArray) -> FloatArray:
    """sin(2 pi turns) for turns >= 0, to 1e-4, the same for any array length."""
    return np.asarray(_SINE[(turns * 65536).astype(np.int64) & 65535])


@dataclass(frozen=True, slots=True)
class Light:
    """What a time of day or a lamp does to colours and to warmth."""

    level: float
    """Brightness of a white surface, 0 to 1."""
    tint: Colour
    """Factor on red, green and blue, about 1."""
    sky: tuple[Colour, Colour]
    """Colour of the sky at the zenith and at the horizon, as seen (the level is in it)."""
    sun_k: float = 0.0
    """Kelvin by which sunlit ground is warmer than the air."""


LIGHTS: dict[str, Light] = {
    "in the morning": Light(0.85, (1.0, 0.98, 0.92), ((120, 170, 225), (225, 225, 215)), 3.0),
    "at noon": Light(1.0, (1.0, 1.0, 1.0), ((80, 140, 225), (190, 215, 240)), 9.0),
    "at dusk": Light(0.55, (1.05, 0.88, 0.80), ((60, 60, 110), (220, 140, 90)), 1.0),
    "at night": Light(0.16, (0.85, 0.92, 1.15), ((8, 10, 24), (18, 22, 38)), -1.0),
    "on a grey day": Light(0.65, (0.95, 0.98, 1.03), ((130, 138, 148), (165, 170, 175)), 0.5),
    "in the evening": Light(0.40, (1.06, 0.90, 0.76), ((45, 55, 85), (80, 80, 95)), 0.0),
    "in daylight": Light(0.90, (0.98, 1.0, 1.02), ((150, 185, 225), (215, 225, 235)), 1.0),
    "under a lamp": Light(0.75, (1.06, 0.95, 0.80), ((20, 24, 40), (35, 40, 55)), 0.0),
    "in dim light": Light(0.5, (1.02, 0.95, 0.88), ((60, 70, 90), (90, 95, 105)), 0.0),
    "under bright lamps": Light(0.97, (0.98, 1.02, 1.0), ((200, 205, 210), (215, 220, 220)), 0.0),
}

COLOURS: dict[str, Colour] = {
    "red": (190, 45, 40),
    "blue": (50, 85, 180),
    "green": (60, 140, 70),
    "yellow": (225, 190, 60),
    "white": (230, 230, 225),
    "black": (40, 38, 42),
    "brown": (125, 80, 50),
    "grey": (135, 138, 142),
}
"""The colours a scene's main thing can have, by the word a caption uses."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Ten seconds of the world, drawn from (seed, index). `index` counts scenes since the UNIX epoch."""

    seed: int
    index: int
    scenario: Scenario
    place: str
    """One of the scenario's places."""
    light_name: str
    """One of the scenario's lights."""
    exposure: float
    """Factor on the brightness of pictures, 0.8 to 1.2."""
    colour_name: str
    """Colour of the scenario's `things`, a key of COLOURS."""
    tempo_hz: float
    """Beats per second, 0 where nothing is rhythmic. Beat k falls at (k + phase) / tempo_hz seconds into the scene."""
    phase: float
    """0 to 1."""
    speed_mps: float
    vigour: float
    """Factor on how strongly the wearer moves, 0.75 to 1.3."""
    loudness: float
    """Factor on how loud the scene is, 0.6 to 1.5."""
    distance: float
    """Factor on how far things are, 0.8 to 1.25: what is near is large and loud."""
    eye_m: float
    """Height of the eyes over the ground."""
    air_k: float
    """Temperature of the air."""

    @property
    def name(self) -> str:
        return self.scenario.name

    @property
    def light(self) -> Light:
        return LIGHTS[self.light_name]

    @property
    def colour(self) -> Colour:
        return COLOURS[self.colour_name]

    @property
    def begin_ns(self) -> int:
        return self.index * SCENE_NS

    def rng(self, what: str) -> np.random.Generator:
        """Random numbers of this scene for one purpose, always the same ones."""
        return np.random.default_rng([self.seed, self.index & 0xFFFFFFFF, zlib.crc32(what.encode())])

    def travel_m(self, age_s: float) -> float:
        """How far the wearer has come, `age_s` into the scene."""
        return self.speed_mps * age_s

    def beats_s(self, start_s: float, end_s: float) -> FloatArray:
        """Times of the beats in [start_s, end_s), seconds into the scene; empty where nothing is rhythmic."""
        if self.tempo_hz <= 0:
            return np.zeros(0)
        first = int(np.ceil(start_s * self.tempo_hz - self.phase))
        last = int(np.ceil(end_s * self.tempo_hz - self.phase))
        return np.asarray((np.arange(first, last) + self.phase) / self.tempo_hz)

    def beat(self, age_s: float) -> float:
        """Turns of the rhythm at `age_s`: a whole number at every beat; at least 0."""
        return self.tempo_hz * age_s - self.phase + 1.0


class World:
    """Scenes by event time: in every sixteen in a row each scenario comes once, in an order of the seed's own."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._scene: Scene | None = None

    def scene_at(self, t_ns: int) -> Scene:
        """The scene that covers UNIX time t_ns."""
        index = t_ns // SCENE_NS
        if self._scene is None or self._scene.index != index:
            self._scene = scene_of(self.seed, index)
        return self._scene

    def spans(self, t_ns: IntArray) -> Iterator[tuple[Scene, slice, FloatArray]]:
        """The scenes that ascending `t_ns` run through: (scene, slice of t_ns, seconds into the scene)."""
        start, end = 0, len(t_ns)
        while start < end:
            scene = self.scene_at(int(t_ns[start]))
            stop = start + int(np.searchsorted(t_ns[start:], scene.begin_ns + SCENE_NS))
            yield scene, slice(start, stop), (t_ns[start:stop] - scene.begin_ns).astype(np.float64) * 1e-9
            start = stop


@lru_cache(maxsize=64)
def scene_of(seed: int, index: int) -> Scene:
    """The scene number `index` since the epoch in the world `seed`."""
    turn, place_in_turn = divmod(index, len(SCENARIOS))
    scenario = SCENARIOS[int(_order(seed, turn)[place_in_turn])]
    rng = np.random.default_rng([seed, index & 0xFFFFFFFF, 0x5CE9])

    def between(span: tuple[float, float]) -> float:
        return float(rng.uniform(*span))

    return Scene(
        seed=seed,
        index=index,
        scenario=scenario,
        place=str(rng.choice(scenario.places)),
        light_name=str(rng.choice(scenario.lights)),
        exposure=between((0.8, 1.2)),
        colour_name=str(rng.choice(scenario.colours or list(COLOURS))),
        tempo_hz=between(scenario.tempo_hz),
        phase=float(rng.uniform()),
        speed_mps=between(scenario.speed_mps),
        vigour=between((0.75, 1.3)),
        loudness=between((0.6, 1.5)),
        distance=between((0.8, 1.25)),
        eye_m=between(scenario.eye_m),
        air_k=273.15 + between(scenario.air_c),
    )


def _order(seed: int, turn: int) -> NDArray[np.int64]:
    """Order of the scenarios in one turn; no scenario follows itself across turns."""
    order = np.random.default_rng([seed, turn & 0xFFFFFFFF, 0x0D0E]).permutation(len(SCENARIOS))
    before = np.random.default_rng([seed, (turn - 1) & 0xFFFFFFFF, 0x0D0E]).permutation(len(SCENARIOS))
    if order[0] == before[-1]:
        order[:2] = order[1::-1]
    return order


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

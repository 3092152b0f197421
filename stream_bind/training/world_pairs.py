"""Moments of the simulated world for training and evaluation, without running its sensors in between.

A live camera renders sixty frames for a window of which the model sees two. Here only those two are rendered, and the
clip is byte for byte the one the pipeline would have made (tests compare them).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated import SimulatedConfig
from devices.simulated.captions import N_VARIANTS, caption
from devices.simulated.device import sampler_of
from devices.simulated.grid import SampleGrid
from devices.simulated.scenarios import FELT, SCENARIOS
from devices.simulated.world import SCENE_NS, Scene, scene_of
from stream_bind.encoders.base import ClipMaker
from stream_bind.errors import ClipError
from stream_bind.messages import ClockInfo, IntArray, StreamSpec, Window
from stream_bind.training.pairs import Moment

__all__ = ["LARGE", "WorldSensor", "company_moment", "moments_per_turn", "scene_moments", "world_moments"]

HOP_NS = 500_000_000
FIRST_TURN = 11_000_000
"""Number of the world's turn of sixteen scenes from which corpora are taken, in the year 2025: a world lasts for ever,
so the numbers do not matter, but those of live runs should be others."""
NARROW_TURN_SHARE = 0.5
"""Share of the turns seen by small pictures (the simulated sensors' defaults); the rest as in configs/headset.yaml."""
COMPANY = 500_000
"""Added to a seed to get the world beside it, far from the seeds of any corpus."""
_AND = ("{a} and {b}", "{a}, {b}", "{a} beside {b}", "{a} while there is {b}")
LARGE: Mapping[str, dict[str, Any]] = {
    "vision": {"width": 640, "height": 480},
    "depth": {"width": 640, "height": 480},
}
"""Pictures as large as those of configs/headset.yaml."""


@dataclass
class WorldSensor:
    """One simulated sensor and what makes its clips."""

    config: SimulatedConfig
    maker: ClipMaker
    beside: int | None = None
    """Seed of a second world, seen and heard too: the middles of both pictures side by side, both sounds."""
    hop_ns: int = HOP_NS

    def __post_init__(self) -> None:
        self._sampler = sampler_of(self.config)
        other = None if self.beside is None else self.config.model_copy(update={"seed": self.beside})
        self._other = None if other is None else sampler_of(other)
        rate_hz = self.config.rate_hz or self._sampler.rate_hz
        self._grid = SampleGrid.at(rate_hz, self.config.drift_ppm)
        self.spec = StreamSpec(
            id=self.config.modality,
            modality=self.config.modality,
            rate_hz=rate_hz,
            shape=self._sampler.shape,
            dtype=self._sampler.dtype,
            unit=self._sampler.unit,
            axes=self._sampler.axes,
            domain="simulated",
        )
        self.length_ns = round(self.maker.spec.length_s * 1e9)

    def clip(self, t_end_ns: int) -> Any:
        """The packed clip of the window that ends at `t_end_ns`, a multiple of the hop. ClipError if there is none."""
        return self.maker.make(self.window(t_end_ns), self.spec)

    def window(self, t_end_ns: int) -> Window:
        """That window, with the samples that its clip is made of."""
        t_start_ns = t_end_ns - self.length_ns
        context_ns = round(self.maker.spec.context_s * 1e9)
        # due(t - 1) is the index of the first sample at or after t.
        begin, first, stop = (self._grid.due(t - 1) for t in (t_start_ns - context_ns, t_start_ns, t_end_ns))
        data: Any
        if self.maker.spec.payload == "edges":
            # Of images the models see the first and the last frame of a window at most, of depth and heat one.
            pick = getattr(getattr(self.maker, "settings", None), "pick", "")
            one_frame = len(self.maker.spec.shape) == 3 and pick == "last"
            kept = [stop - 1] if one_frame else [first, stop - 1]
            t_ns = np.concatenate([self._grid.t_ns(k, 1) for k in kept])
            data = tuple(self._samples(k, self._grid.t_ns(k, 1))[0] for k in kept)
            begin = first
        else:
            t_ns = self._grid.t_ns(begin, stop - begin)
            data = self._samples(begin, t_ns)
        return Window(
            stream=self.spec.id,
            index=t_end_ns // self.hop_ns,
            t_start_ns=t_start_ns,
            t_end_ns=t_end_ns,
            data=data,
            t_ns=t_ns,
            n_context=first - begin,
            n_samples=stop - first,
            coverage=1.0,
            clock=ClockInfo("simulated", 0),
        )

    def _samples(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        samples = self._sampler.sample(first, t_ns)
        if self._other is None:
            return np.asarray(samples)
        other = self._other.sample(first, t_ns)
        if samples.ndim < 3:
            return np.asarray(np.clip(samples + other, -1.0, 1.0), samples.dtype)
        quarter = samples.shape[2] // 4
        middle = slice(quarter, samples.shape[2] - quarter)
        return np.asarray(np.concatenate([samples[:, :, middle], other[:, :, middle]], axis=2))


def scene_moments(
    scene: Scene, sensors: Mapping[str, WorldSensor], ends_s: Iterable[float]
) -> Iterator[tuple[Moment, dict[str, Any]]]:
    """Moments that end `ends_s` into the scene, each with the clips whose whole window lies within the scene."""
    captions = tuple(caption(scene, variant) for variant in range(N_VARIANTS))
    for end_s in sorted(ends_s):
        t_end_ns = scene.begin_ns + round(end_s * 1e9)
        inside = {m: s for m, s in sensors.items() if t_end_ns - s.length_ns >= scene.begin_ns}
        if inside:
            moment = Moment(
                source=f"world:{scene.seed}",
                t_start_ns=t_end_ns - max(s.length_ns for s in inside.values()),
                t_end_ns=t_end_ns,
                label=scene.scenario.label,
                group=scene.scenario.group,
                captions=tuple(dict.fromkeys(captions)),
            )
            yield moment, _clips(inside, t_end_ns)


def _clips(sensors: Mapping[str, WorldSensor], t_end_ns: int) -> dict[str, Any]:
    clips = {}
    for modality, sensor in sensors.items():
        # A depth picture may have too few measured pixels, as outdoors.
        with contextlib.suppress(ClipError):
            clips[modality] = sensor.clip(t_end_ns)
    return clips


def moments_per_turn(per_scene: int, company: bool) -> int:
    """How many moments `world_moments` takes from one turn of one world."""
    return len(SCENARIOS) * per_scene + (len(SCENARIOS) // 2 if company else 0)


def company_moment(scene: Scene, sensors: Mapping[str, WorldSensor], end_s: float) -> tuple[Moment, dict[str, Any]]:
    """A moment of two things at once: what `scene` shows and sounds like, beside a scene of another world.

    No label, for it has two; and no motion, for the wearer does but one of them.
    """
    other = scene_of(scene.seed + COMPANY, scene.index)
    t_end_ns = scene.begin_ns + round(end_s * 1e9)
    both = {
        modality: WorldSensor(sensor.config, sensor.maker, other.seed)
        for modality, sensor in sensors.items()
        if modality not in FELT
    }
    pairs = [(caption(scene, i), caption(other, i + 5)) for i in range(N_VARIANTS)]
    # Two captions of three name one of the two things, as people's do. The picture must then lie near either, which
    # is what makes its vector a sum of theirs; with captions of both alone it may lie anywhere (measured: arithmetic
    # at chance).
    captions = [w for i, (a, b) in enumerate(pairs) for w in (_AND[i % len(_AND)].format(a=a, b=b), a, b)]
    moment = Moment(
        source=f"world:{scene.seed}",
        t_start_ns=t_end_ns - max(s.length_ns for s in both.values()),
        t_end_ns=t_end_ns,
        captions=tuple(dict.fromkeys(captions)),
    )
    return moment, _clips(both, t_end_ns)


def world_moments(
    seeds: Sequence[int],
    makers: Mapping[str, ClipMaker],
    turns: int = 1,
    per_scene: int = 3,
    company: bool = False,
) -> Iterator[tuple[Moment, dict[str, Any]]]:
    """Moments of whole turns (each scenario once) of several worlds, for the modalities that `makers` names.

    per_scene: moments a scene, at random ends on the grid of half seconds; the first of three or more comes so early
    in the scene that only the short windows lie within it. company: after every second scene one more moment, of that
    scene beside another world's.
    """
    n_scenes = len(SCENARIOS)
    for seed in seeds:
        rng = np.random.default_rng([seed, 0xC0E])
        for turn in range(turns):
            small = rng.random() < NARROW_TURN_SHARE
            sensors = {
                modality: WorldSensor(
                    SimulatedConfig.model_validate(
                        {"modality": modality, "seed": seed, **({} if small else LARGE.get(modality, {}))}
                    ),
                    maker,
                )
                for modality, maker in makers.items()
            }
            for place in range(n_scenes):
                scene = scene_of(seed, (FIRST_TURN + turn) * n_scenes + place)
                early = rng.choice(np.arange(4, 10), size=1 if per_scene >= 3 else 0)
                late = rng.choice(np.arange(10, SCENE_NS // HOP_NS + 1), size=per_scene - len(early), replace=False)
                yield from scene_moments(scene, sensors, (np.concatenate([early, late]) * (HOP_NS / 1e9)).tolist())
                if company and place % 2 == 0:
                    yield company_moment(scene, sensors, float(rng.integers(4, 20)) * (HOP_NS / 1e9))

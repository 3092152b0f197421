"""The stages: pictures are finite, varied, moving, agree with each other and depend on nothing else."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache

import numpy as np
import pytest

from devices.simulated import camera, depth, thermal
from devices.simulated.canvas import Canvas, Kind, Pose
from devices.simulated.scenarios import SCENARIOS, scenario_named
from devices.simulated.stages.base import STAGES, stage_of
from devices.simulated.world import Scene, World, scene_of

_LENSES = {"colour": camera.LENS, "depth": depth.LENS, "thermal": thermal.LENS}
_KINDS: tuple[Kind, ...] = ("colour", "depth", "thermal")
_AGES_S = (0.0, 0.37, 4.2, 9.99)
_DRAWN = [name for name, where in STAGES.items() if importlib.util.find_spec(where.partition(":")[0])]


@lru_cache(maxsize=64)
def _scenes(name: str, n: int = 4) -> list[Scene]:
    """Scenes of one scenario: one a turn of the world."""
    found = [scene_of(3, index) for index in range(16_000, 16_000 + 16 * n)]
    return [scene for scene in found if scene.name == name]


def _picture(scene: Scene, kind: Kind, age_s: float, *, height: int = 60, width: int = 80) -> np.ndarray:
    canvas = Canvas(kind, height, width, _LENSES[kind])
    stage = stage_of(scene)
    canvas.begin(scene, Pose(yaw=stage.gaze[0], pitch=stage.gaze[1]))
    stage.draw(canvas, age_s)
    return canvas.image


def test_every_scenario_has_a_stage() -> None:
    assert list(STAGES) == [scenario.name for scenario in SCENARIOS]
    assert list(STAGES) == _DRAWN
    assert World(3).scene_at(_scenes("stairs")[0].begin_ns).name == "stairs"


@pytest.mark.parametrize("name", _DRAWN)
def test_pictures_are_in_range_at_any_age(name: str) -> None:
    for scene in _scenes(name):
        for age_s in _AGES_S:
            kelvin = _picture(scene, "thermal", age_s)
            assert np.isfinite(kelvin).all()
            assert kelvin.min() > 230
            assert kelvin.max() < 1300
            metres = _picture(scene, "depth", age_s)
            assert not np.isnan(metres).any()
            assert metres.min() > 0
            assert (metres < 16).mean() > 0.1
            # A picture, not one dark or white plane.
            assert _picture(scene, "colour", age_s).std() > 8


@pytest.mark.parametrize("name", _DRAWN)
@pytest.mark.parametrize("kind", _KINDS)
def test_scenes_of_a_scenario_differ(name: str, kind: Kind) -> None:
    pictures = [np.nan_to_num(_picture(scene, kind, 1.0), posinf=99.0) for scene in _scenes(name)]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (one != other).mean() > 0.02


@pytest.mark.parametrize("name", _DRAWN)
def test_something_moves(name: str) -> None:
    for scene in _scenes(name):
        before, after = _picture(scene, "colour", 2.0), _picture(scene, "colour", 2.45)
        assert (before != after).mean() > 1e-4


@pytest.mark.parametrize("name", _DRAWN)
@pytest.mark.parametrize("kind", _KINDS)
def test_a_frame_does_not_depend_on_those_drawn_before(name: str, kind: Kind) -> None:
    scene = _scenes(name)[0]
    stage = stage_of(scene)
    canvas = Canvas(kind, 60, 80, _LENSES[kind])
    for age_s in (8.1, 0.2, 3.3):
        canvas.begin(scene, Pose(yaw=stage.gaze[0], pitch=stage.gaze[1]))
        stage.draw(canvas, age_s)
    np.testing.assert_array_equal(canvas.image, _picture(scene, kind, 3.3))


@pytest.mark.parametrize("name", [s.name for s in SCENARIOS if s.speed_mps[1] > 0 or s.tempo_hz[1] > 0])
def test_what_moves_goes_with_the_scene_not_with_a_clock_of_its_own(name: str) -> None:
    if name not in _DRAWN:
        pytest.skip(f"{name} has no stage")
    scene = _scenes(name)[1]
    assert (_picture(scene, "depth", 1.0) != _picture(scene, "depth", 1.3)).any()


def test_places_of_a_scenario_look_different() -> None:
    for name in _DRAWN:
        by_place: dict[str, np.ndarray] = {}
        for scene in _scenes(name, 24):
            by_place.setdefault(scene.place, _picture(scene, "colour", 1.0))
        assert set(by_place) == set(scenario_named(name).places)
        pictures = list(by_place.values())
        for i, one in enumerate(pictures):
            for other in pictures[:i]:
                assert (np.abs(one.astype(int) - other) > 8).any(axis=2).mean() > 0.2


def _hottest(name: str, age_s: float = 5.0) -> float:
    return min(float(_picture(scene, "thermal", age_s, height=120, width=160).max()) for scene in _scenes(name))


def test_what_burns_is_hot_and_what_is_cooled_is_cold() -> None:
    assert _hottest("camp_fire") > 700
    for scene in _scenes("supermarket", 12):
        assert _picture(scene, "thermal", 1.0).min() < scene.air_k - 1.5 or scene.place == "between the shelves"
        if scene.place == "by the fridges":
            assert _picture(scene, "thermal", 1.0).min() < 285
    for scene in _scenes("dog_walk"):
        # The dog and the hand on its leash, whatever the weather.
        kelvin = _picture(scene, "thermal", 1.0, height=120, width=160)
        assert 304 < np.sort(kelvin.ravel())[-5] < 320


@pytest.mark.parametrize("name", ["dog_walk", "supermarket", "cycling", "rowing", "stairs", "beach_run"])
def test_the_wearers_hands_are_in_the_picture(name: str) -> None:
    for scene in _scenes(name):
        seen = [_picture(scene, "thermal", age_s, height=120, width=160) for age_s in (1.0, 1.2, 1.4, 1.6)]
        ranges = [_picture(scene, "depth", age_s, height=120, width=160) for age_s in (1.0, 1.2, 1.4, 1.6)]
        assert max((abs(k - 306.0) < 2.5).mean() for k in seen) > 0.002
        assert min(m.min() for m in ranges) < 1.3

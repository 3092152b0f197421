"""Simulated twins: exact grid, one shared world, the same samples however they are read."""

from __future__ import annotations

import itertools
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.simulated import Simulated, SimulatedConfig, twin
from devices.simulated.config import UNITS
from devices.simulated.grid import SampleGrid
from devices.simulated.scenarios import GROUPS, LABELS, SCENARIOS
from devices.simulated.world import COLOURS, LIGHTS, SCENE_NS, Scene, World, scene_of, sine
from stream_bind.clock import ManualClock
from stream_bind.messages import Chunk, StreamSpec

START_NS = 1_790_000_000_000_000_123
MODALITIES = ("vision", "audio", "depth", "thermal", "imu", "barometer", "emg")
IMAGES = ("vision", "depth", "thermal")


def device(clock: ManualClock, modality: str, **settings: object) -> Simulated:
    return Simulated(SimulatedConfig.model_validate({"modality": modality, **settings}), "s", clock)


def collect(source: Simulated, n: int) -> tuple[np.ndarray, np.ndarray]:
    chunks: list[Chunk] = []
    while sum(map(len, chunks)) < n:
        chunk = source.read(200.0)
        assert chunk is not None
        chunks.append(chunk)
    return np.concatenate([c.data for c in chunks])[:n], np.concatenate([c.t_ns for c in chunks])[:n]


def scene_named(name: str, seed: int = 0, nth: int = 0) -> Scene:
    """The nth scene of a kind after START_NS: every sixteen scenes hold one."""
    turn = START_NS // SCENE_NS // len(SCENARIOS) + 1 + nth
    indices = range(turn * len(SCENARIOS), (turn + 1) * len(SCENARIOS))
    return next(scene for scene in (scene_of(seed, index) for index in indices) if scene.name == name)


def seen(
    scene: Scene, modality: str, n: int, after_s: float = 0.0, **settings: object
) -> tuple[np.ndarray, np.ndarray]:
    """(n samples, their seconds into the scene) from `after_s` into it."""
    source = device(ManualClock(scene.begin_ns + int(after_s * 1e9) - 1), modality, seed=scene.seed, **settings)
    source.open()
    data, t_ns = collect(source, n)
    return data, (t_ns - scene.begin_ns) * 1e-9


@pytest.mark.parametrize(
    ("modality", "n"),
    [("audio", 4000), ("imu", 2400), ("emg", 2400), ("barometer", 800), ("vision", 21), ("depth", 21), ("thermal", 21)],
)
def test_samples_do_not_depend_on_the_chunk_size(modality: str, n: int) -> None:
    # Starts just before the scene changes, so chunks straddle two scenes.
    start_ns = START_NS - START_NS % SCENE_NS + SCENE_NS - 30_000_000
    reference = None
    size = {"width": 64, "height": 48} if modality in IMAGES else {}
    for chunk_size in (1, 7, 20) if modality in IMAGES else (1, 7, 20, 400, 2000):
        source = device(ManualClock(start_ns), modality, chunk_size=chunk_size, **size)
        source.open()
        data, t_ns = collect(source, n)
        if reference is None:
            reference = data, t_ns
        assert data.tobytes() == reference[0].tobytes()
        assert np.array_equal(t_ns, reference[1])


def test_a_read_delivers_the_configured_chunk_size() -> None:
    source = device(ManualClock(START_NS), "imu", chunk_size=7)
    source.open()
    assert [len(source.read(1.0) or ()) for _ in range(3)] == [7, 7, 7]


@pytest.mark.parametrize("modality", MODALITIES)
def test_samples_depend_on_seed_and_time_only(modality: str) -> None:
    a, b, other = (device(ManualClock(START_NS), modality, seed=seed) for seed in (3, 3, 4))
    for source in (a, b, other):
        source.open()
    first, second, third = (collect(source, 5)[0] for source in (a, b, other))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != third.tobytes()


def test_samples_come_when_they_are_due_and_not_before() -> None:
    clock = ManualClock(START_NS)
    source = device(clock, "thermal")
    source.open()
    assert source.read(0.01) is None
    chunk = source.read(1.0)
    assert chunk is not None
    assert 0 <= clock.unix_ns() - int(chunk.t_ns[-1]) < 1000
    assert not chunk.gap_before


def test_a_reader_that_slept_too_long_loses_samples_and_is_told() -> None:
    clock = ManualClock(START_NS)
    source = device(clock, "imu")
    source.open()
    source.read(1.0)
    clock.advance(100.0)
    chunk = source.read(1.0)
    assert chunk is not None
    assert chunk.gap_before
    assert clock.unix_ns() - int(chunk.t_ns[0]) <= 10_000_000_000


@given(
    rate=st.sampled_from([9.0, 29.97, 30.0, 200.0, 397.4, 44100.0, 48000.0]),
    ppm=st.floats(-200, 200),
    first=st.integers(0, 10**14),
)
def test_the_grid_is_exact_anywhere_in_time(rate: float, ppm: float, first: int) -> None:
    grid = SampleGrid.at(rate, ppm)
    assert grid.p / grid.q == pytest.approx(rate * (1 + ppm * 1e-6), rel=4e-6)
    first = min(first, int(4e9 * rate))
    t_ns = grid.t_ns(first, 5)
    assert [grid.time_of(first + i) for i in range(5)] == t_ns.tolist()
    assert grid.due(int(t_ns[2])) == first + 3
    assert grid.due(int(t_ns[2]) - 1) == first + 2


def test_a_drifting_sensor_delivers_more_samples_a_second() -> None:
    fast, true = SampleGrid.at(48000.0, 50.0), SampleGrid.at(48000.0)
    an_hour = 3600 * 10**9
    assert fast.due(an_hour) - true.due(an_hour) == pytest.approx(0.18 * 48000, abs=2)


def test_every_scenario_comes_once_in_sixteen_scenes() -> None:
    for seed in range(3):
        for turn in range(5):
            names = [scene_of(seed, 16 * (10_000_000 + turn) + i).name for i in range(16)]
            assert sorted(names) == sorted(scenario.name for scenario in SCENARIOS)


def test_no_scenario_follows_itself() -> None:
    for seed in range(20):
        names = [scene_of(seed, 16 * 10_000_000 + i).name for i in range(16 * 30)]
        assert all(a != b for a, b in itertools.pairwise(names))


def test_the_world_goes_on_before_its_epoch_and_remembers() -> None:
    world = World(1)
    assert world.scene_at(-1).index == -1
    assert world.scene_at(5 * SCENE_NS) == World(1).scene_at(6 * SCENE_NS - 1) != World(2).scene_at(5 * SCENE_NS)


def test_scenes_of_one_kind_differ() -> None:
    scenes = [scene_named("dog_walk", nth=i) for i in range(24)]
    assert {scene.place for scene in scenes} == set(scenes[0].scenario.places)
    assert {scene.light_name for scene in scenes} == set(scenes[0].scenario.lights)
    assert len({scene.colour_name for scene in scenes}) > len(COLOURS) / 2
    assert len({scene.tempo_hz for scene in scenes}) == 24
    assert all(scene.light is LIGHTS[scene.light_name] for scene in scenes)


def test_the_motion_groups_are_fixed() -> None:
    """Sixteen captions in eleven groups: changing them makes figures of models trained before meaningless."""
    assert len(set(LABELS)) == 16
    assert GROUPS == (
        "walking", "running", "climbing stairs", "cycling", "riding", "standing", "sitting", "vacuuming", "hammering",
        "rowing", "brushing teeth",
    )  # fmt: skip
    members = Counter(scenario.group for scenario in SCENARIOS)
    assert {group: n for group, n in members.items() if n > 1} == {"walking": 2, "standing": 2, "sitting": 4}


def spectral_peak_hz(values: np.ndarray, rate_hz: float, low_hz: float, high_hz: float) -> float:
    padded = 8 * len(values)
    power = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(len(values)), padded))
    hz = np.fft.rfftfreq(padded, 1 / rate_hz)
    power[(hz < low_hz) | (hz > high_hz)] = 0
    return float(hz[power.argmax()])


def test_steps_shake_the_pictures_and_the_imu_at_one_tempo() -> None:
    scene = scene_named("beach_run")
    motion, _ = seen(scene, "imu", 1800, 0.5)
    assert spectral_peak_hz(motion[:, 2], 200.0, 0.5, 6.0) == pytest.approx(scene.tempo_hz, abs=0.06)
    frames, _ = seen(scene, "vision", 130, 0.5, width=96, height=72, rate_hz=15.0)
    grey = frames.astype(np.float32).mean(axis=3)
    # How far the picture went up or down from frame to frame.
    went = [cv2.phaseCorrelate(a, b)[0][1] for a, b in itertools.pairwise(grey)]
    assert spectral_peak_hz(np.array(went), 15.0, 1.5, 5.0) == pytest.approx(scene.tempo_hz, abs=0.15)


def test_a_blow_of_the_hammer_is_heard_felt_and_seen_in_the_muscles_at_once() -> None:
    scene = scene_named("hammering")

    def strength_by_turn(data: np.ndarray, ages_s: np.ndarray) -> np.ndarray:
        """(20,) mean square of what changes quickly, by the part of a beat."""
        part = ((scene.tempo_hz * ages_s - scene.phase) % 1.0 * 20).astype(int)
        return np.bincount(part, np.square(data.astype(np.float64)), 20) / np.bincount(part, minlength=20)

    sound, heard_s = seen(scene, "audio", 400_000, 0.5)
    motion, felt_s = seen(scene, "imu", 1700, 0.5)
    muscles, used_s = seen(scene, "emg", 1700, 0.5)
    heard = strength_by_turn(sound[:, 0], heard_s)
    felt = strength_by_turn(np.diff(motion[:, 2], prepend=motion[0, 2]), felt_s)
    used = strength_by_turn(muscles[:, muscles.std(axis=0).argmax()], used_s)
    assert int(heard.argmax()) in {0, 1, 2, 3}
    assert int(felt.argmax()) in {0, 1, 2}
    assert int(used.argmax()) in {18, 19, 0, 1}


def test_the_kettle_is_warm_in_the_thermal_picture_and_near_in_the_depth() -> None:
    scene = scene_named("kettle")
    warmth = seen(scene, "thermal", 1, 8.0)[0][0]
    ranges_m = seen(scene, "depth", 1, 8.0)[0][0]
    row, column = np.unravel_index(int(warmth.argmax()), warmth.shape)
    assert warmth[row, column] > 40 + 273.15
    assert np.median(warmth) < 35 + 273.15
    # Both look ahead from nearly the same place; 57 and 70 degrees across.
    shrink = np.tan(np.radians(57 / 2)) / np.tan(np.radians(70 / 2))
    at = [int((i - half) * shrink + half) for i, half in ((row, 60), (column, 80))]
    patch = ranges_m[max(0, at[0] - 12) : at[0] + 12, max(0, at[1] - 18) : at[1] + 18]
    assert np.nanmin(patch) < 1.2


@pytest.mark.parametrize("name", ["supermarket", "typing", "stairs"])
def test_depth_has_some_holes_and_no_nonsense(name: str) -> None:
    data, _ = seen(scene_named(name), "depth", 8, 1.0)
    holes = float(np.isnan(data).mean())
    # 2.5 % of the left edge, 2 % of the pixels, and what lies beyond the range.
    assert 0.01 < holes < 0.35
    assert np.nanmin(data) > 0.1
    assert np.nanmax(data) < 17


def test_the_sine_table_is_good_enough() -> None:
    turns = np.linspace(0, 9, 10001)
    assert np.abs(sine(turns) - np.sin(2 * np.pi * turns)).max() < 1e-4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modality": "audio", "width": 320}, "width belongs to vision"),
        ({"modality": "imu", "axes": ["accel_w"]}, "accel_w unknown"),
        ({"modality": "imu", "rate": 3}, "rate"),
        ({"modality": "vision", "rate_hz": 0}, "rate_hz"),
        ({"modality": "gyroscope"}, "modality"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SimulatedConfig.model_validate(settings)


def test_the_twin_has_the_shape_of_the_device_it_stands_for() -> None:
    for settings in (
        {"modality": "vision", "width": 64, "height": 48, "rate_hz": 25.0},
        {"modality": "audio", "channels": 4, "rate_hz": 16000.0},
        {"modality": "imu", "axes": ("accel_x", "accel_y", "accel_z"), "rate_hz": 100.0},
        {"modality": "thermal", "grey8": True, "rate_hz": 9.0},
        {"modality": "barometer", "rate_hz": 50.0, "unit": "hPa", "axes": ("cabin",)},
        {"modality": "emg", "channels": 4, "rate_hz": 500.0, "unit": "uV"},
    ):
        real = device(ManualClock(), **settings).spec  # type: ignore[arg-type]
        copy = Simulated(SimulatedConfig.model_validate(twin(real, seed=5)), "s", ManualClock()).spec
        assert copy == real


def test_the_twin_of_a_signal_takes_over_what_it_can() -> None:
    assert tuple(UNITS) == ("barometer", "emg")
    odd = StreamSpec("s", "barometer", 10.0, (2,), "float32", "psi", ("inside", "outside"))
    assert twin(odd) == {"type": "simulated", "modality": "barometer", "seed": 0, "rate_hz": 10.0}
    SimulatedConfig.model_validate(twin(odd))
    unknown = StreamSpec("s", "emg", 0.0, (-1,), "", "")
    assert twin(unknown, seed=3) == {"type": "simulated", "modality": "emg", "seed": 3}

"""Simulated twins: exact grid, one shared world, the same samples however they are read."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.simulated import Simulated, SimulatedConfig, twin
from devices.simulated.grid import SampleGrid
from devices.simulated.world import SCENE_NS, World, sine
from stream_bind.clock import ManualClock
from stream_bind.messages import Chunk

START_NS = 1_790_000_000_000_000_123
MODALITIES = ("vision", "audio", "depth", "thermal", "imu")


def device(clock: ManualClock, modality: str, **settings: object) -> Simulated:
    return Simulated(SimulatedConfig.model_validate({"modality": modality, **settings}), "s", clock)


def collect(source: Simulated, n: int) -> tuple[np.ndarray, np.ndarray]:
    chunks: list[Chunk] = []
    while sum(map(len, chunks)) < n:
        chunk = source.read(10.0)
        assert chunk is not None
        chunks.append(chunk)
    return np.concatenate([c.data for c in chunks])[:n], np.concatenate([c.t_ns for c in chunks])[:n]


@pytest.mark.parametrize(("modality", "n"), [("audio", 4000), ("imu", 2400), ("vision", 21), ("depth", 21)])
def test_samples_do_not_depend_on_the_chunk_size(modality: str, n: int) -> None:
    # Starts just before the scene changes, so chunks straddle two scenes.
    start_ns = START_NS - START_NS % SCENE_NS + SCENE_NS - 30_000_000
    reference = None
    for chunk_size in (1, 7, 20, 400, 2000) if modality in {"audio", "imu"} else (1, 7, 20):
        source = device(ManualClock(start_ns), modality, chunk_size=chunk_size)
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


def test_the_sensors_agree_on_what_happens() -> None:
    """Scene by scene: the louder, the livelier; the hotter, the hotter in the thermal picture."""
    world = World(0)
    loudness, vigour, warmth, told = [], [], [], []
    for index in range(4):
        start_ns = (START_NS // SCENE_NS + index) * SCENE_NS + 10**9
        scene = world.scene_at(start_ns)
        sources = {m: device(ManualClock(start_ns), m) for m in ("audio", "imu", "thermal")}
        for source in sources.values():
            source.open()
        loudness.append(float(np.std(collect(sources["audio"], 48000)[0])))
        motion = collect(sources["imu"], 600)[0]
        assert np.linalg.norm(motion[:, :3], axis=1).mean() == pytest.approx(9.81, abs=1.5)
        vigour.append(float(motion[:, 2].std()))
        warmth.append(float(np.median(collect(sources["thermal"], 1)[0])))
        told.append((scene.level, scene.vigour, scene.temperature_k))
    for measured, wanted in zip((loudness, vigour, warmth), zip(*told, strict=True), strict=True):
        assert np.argsort(measured).tolist() == np.argsort(wanted).tolist()


def test_scenes_change_every_ten_seconds() -> None:
    world = World(1)
    names = [world.scene_at(i * SCENE_NS).name for i in range(8)]
    assert all(a != b for a, b in itertools.pairwise(names))
    assert len(set(names)) == 4


def test_camera_depth_and_thermal_show_the_same_bodies() -> None:
    t_ns = START_NS - START_NS % SCENE_NS + 3 * 10**9
    masks = {}
    for modality in ("vision", "depth", "thermal"):
        source = device(ManualClock(t_ns - 1), modality, width=160, height=120, rate_hz=10.0)
        source.open()
        data, stamps = collect(source, 1)
        assert stamps[0] == t_ns
        masks[modality] = data[0]
    scene = World(0).scene_at(t_ns)
    nearest = scene.things[-1]
    x, y = nearest.place((t_ns % SCENE_NS) * 1e-9)
    row, column = int(y * 120), int(x * 160)
    assert masks["vision"][row, column].tolist() == [
        int(c * scene.light) if c * scene.light < 255 else 255 for c in nearest.colour
    ]
    patch = masks["depth"][row - 2 : row + 3, column - 2 : column + 3]
    assert np.nanmedian(patch) == pytest.approx(nearest.range_m, abs=0.05)
    assert masks["thermal"][row, column] == pytest.approx(nearest.temperature_k, abs=0.3)


def test_depth_has_some_holes_and_no_nonsense() -> None:
    source = device(ManualClock(START_NS), "depth")
    source.open()
    data, _ = collect(source, 15)
    holes = float(np.isnan(data).mean())
    assert 0.01 < holes < 0.1
    assert np.nanmin(data) > 0.2
    assert np.nanmax(data) < 12


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
    ):
        real = device(ManualClock(), **settings).spec  # type: ignore[arg-type]
        copy = Simulated(SimulatedConfig.model_validate(twin(real, seed=5)), "s", ManualClock()).spec
        assert copy == real

"""The simulated barometer and EMG armband: what changes the pressure, and what the hand does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.simulated.barometer import PA_PER_M, stairs_m
from devices.simulated.config import SimulatedConfig
from devices.simulated.device import sampler_of
from devices.simulated.scenarios import SCENARIOS
from devices.simulated.world import Scene, scene_of
from stream_bind.messages import IntArray

FIRST_INDEX = 179_000_000 // 16 * 16
SITTING = ("camp_fire", "typing", "rain_window", "piano")


def moments(name: str, n: int, seed: int = 1) -> list[Scene]:
    every = (scene_of(seed, index) for index in range(FIRST_INDEX, FIRST_INDEX + 16 * n))
    return [scene for scene in every if scene.name == name]


def sampled(scene: Scene, modality: str, rate_hz: float, **settings: Any) -> np.ndarray:
    """(n, channels) float64: all of one scene."""
    sampler = sampler_of(SimulatedConfig(modality=modality, seed=scene.seed, **settings))  # type: ignore[arg-type]
    return np.asarray(sampler.sample(0, times_ns(scene, rate_hz)), dtype=np.float64)


def times_ns(scene: Scene, rate_hz: float) -> IntArray:
    return scene.begin_ns + (np.arange(int(10 * rate_hz)) / rate_hz * 1e9).astype(np.int64)


def pressures(scene: Scene) -> np.ndarray:
    return sampled(scene, "barometer", 25.0)[:, 0]


def levels(scene: Scene, **settings: Any) -> np.ndarray:
    """(channels,) rms in millivolts."""
    return np.asarray(sampled(scene, "emg", 200.0, **settings).std(axis=0))


def test_climbing_stairs_lowers_the_pressure_by_what_is_climbed() -> None:
    for scene in moments("stairs", 4):
        pressure = pressures(scene)
        fell_pa = pressure[:25].mean() - pressure[-25:].mean()
        climbed_m = float(stairs_m(scene, np.array([9.5]))[0] - stairs_m(scene, np.array([0.5]))[0])
        assert 2.0 < climbed_m < 4.0
        assert fell_pa == pytest.approx(PA_PER_M * climbed_m, abs=1.0)


@pytest.mark.parametrize("name", [s.name for s in SCENARIOS if s.group in {"sitting", "standing", "hammering"}])
def test_where_nothing_changes_the_pressure_there_is_noise_alone(name: str) -> None:
    for scene in moments(name, 4):
        assert pressures(scene).std() == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("name", ["cycling", "beach_run", "bus_ride"])
def test_wind_and_the_air_of_a_bus_are_felt(name: str) -> None:
    assert np.mean([pressures(scene).std() for scene in moments(name, 8)]) > 1.0


def test_the_pressure_is_that_of_some_place_on_earth_and_drifts_slowly() -> None:
    for seed in range(6):
        (scene,) = moments("kettle", 1, seed)
        pressure = pressures(scene)
        assert 93_000 < pressure.mean() < 105_000
        assert abs(pressure[:50].mean() - pressure[-50:].mean()) < 1.0


def test_the_hand_rests_where_it_does_nothing() -> None:
    for name in ("camp_fire", "rain_window", "kettle", "bus_ride"):
        for scene in moments(name, 3):
            assert levels(scene).max() < 0.01


def test_work_is_stronger_than_rest_and_blows_are_strongest() -> None:
    at_work = {s.name: np.mean([levels(x).max() for x in moments(s.name, 6)]) for s in SCENARIOS}
    assert at_work["hammering"] > at_work["vacuuming"] > at_work["typing"] > 3 * at_work["camp_fire"]
    assert at_work["rowing"] > at_work["dog_walk"] > 3 * at_work["camp_fire"]


def test_the_grip_tightens_at_every_blow() -> None:
    (scene,) = moments("hammering", 1)
    samples = sampled(scene, "emg", 200.0)
    loudest = np.abs(samples[:, samples.std(axis=0).argmax()])
    turns = (scene.tempo_hz * np.arange(len(samples)) / 200.0 - scene.phase) % 1.0
    near = loudest[(turns < 0.08) | (turns > 0.88)].mean()
    assert near > 2 * loudest[(turns > 0.2) & (turns < 0.4)].mean()


def test_keys_are_struck_in_short_bursts() -> None:
    (scene,) = moments("piano", 1)
    samples = sampled(scene, "emg", 200.0)
    smooth = np.sqrt(np.convolve((samples**2).sum(axis=1), np.ones(8) / 8, "same"))
    assert np.percentile(smooth, 95) > 2 * np.percentile(smooth, 20)


def test_the_signal_keeps_to_its_band() -> None:
    (scene,) = moments("rowing", 1)
    samples = sampled(scene, "emg", 200.0)
    power = (np.abs(np.fft.rfft(samples, axis=0)) ** 2).sum(axis=1)
    hz = np.fft.rfftfreq(len(samples), 1 / 200.0)
    assert power[(hz > 17) & (hz < 98)].sum() > 0.98 * power.sum()


def test_every_seed_wears_the_band_its_own_way() -> None:
    strongest = {int(levels(moments("hammering", 1, seed)[0]).argmax()) for seed in range(12)}
    assert len(strongest) > 3


@pytest.mark.parametrize(("unit", "factor"), [("hPa", 0.01), ("mbar", 0.01), ("kPa", 0.001), ("Pa", 1.0)])
def test_a_barometer_has_the_unit_it_is_told(unit: str, factor: float) -> None:
    (scene,) = moments("stairs", 1)
    np.testing.assert_allclose(
        sampled(scene, "barometer", 25.0, unit=unit), factor * sampled(scene, "barometer", 25.0), rtol=1e-6
    )


def test_an_armband_has_the_electrodes_and_the_unit_it_is_told() -> None:
    (scene,) = moments("hammering", 1)
    few = sampler_of(SimulatedConfig(modality="emg", axes=("flexor", "extensor"), unit="uV"))
    assert (few.axes, few.shape, few.unit) == (("flexor", "extensor"), (2,), "uV")
    assert few.sample(0, times_ns(scene, 200.0)).std() > 5.0
    assert sampler_of(SimulatedConfig(modality="emg")).axes == tuple(f"emg_{i}" for i in range(1, 9))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modality": "barometer", "axes": ["a", "b"]}, "one channel, not 2"),
        ({"modality": "barometer", "unit": "mV"}, "knows Pa, hPa, mbar, kPa, not mV"),
        ({"modality": "emg", "axes": ["a", "b"], "channels": 3}, "axes names 2 channels, channels says 3"),
        ({"modality": "imu", "unit": "Pa"}, "unit belongs to barometer and emg"),
    ],
)
def test_settings_of_signals_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SimulatedConfig.model_validate(settings)


def test_sitting_scenes_differ_by_their_keys_alone() -> None:
    spreads = {name: np.mean([pressures(scene).std() for scene in moments(name, 4)]) for name in SITTING}
    assert max(spreads.values()) < 1.15 * min(spreads.values())

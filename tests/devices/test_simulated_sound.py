"""The simulated world's sound: on the beat, louder when near, the same in any chunks and at any rate."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from devices.simulated import SimulatedConfig
from devices.simulated.grid import SampleGrid
from devices.simulated.microphone import Microphone
from devices.simulated.scenarios import SCENARIOS
from devices.simulated.sound import Sound
from devices.simulated.sounds import PIECES
from devices.simulated.world import SCENE_NS, Scene, scene_of

RATE_HZ = 16_000.0
FIRST = 11_000_000 * len(SCENARIOS)
NAMES = [scenario.name for scenario in SCENARIOS]


@lru_cache(maxsize=64)
def scene(name: str, seed: int = 1) -> Scene:
    return next(s for s in (scene_of(seed, FIRST + i) for i in range(len(SCENARIOS))) if s.name == name)


def heard(what: Scene, rate_hz: float = RATE_HZ, seconds: float = 10.0) -> np.ndarray:
    return np.asarray(Sound(what, rate_hz).at(np.arange(round(seconds * rate_hz)) / rate_hz))


def level_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(samples**2)) + 1e-9))


def above(samples: np.ndarray, low_hz: float, rate_hz: float = RATE_HZ) -> np.ndarray:
    bins = np.fft.rfft(samples)
    bins[np.fft.rfftfreq(len(samples), 1 / rate_hz) < low_hz] = 0
    return np.fft.irfft(bins, len(samples))


def test_every_scenario_has_a_piece() -> None:
    assert list(PIECES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_those_of_a_microphone_that_is_set_well(name: str) -> None:
    for seed in (1, 2):
        samples = heard(scene(name, seed))
        assert np.isfinite(samples).all()
        assert -55 < level_db(samples) < -10
        assert np.mean(np.abs(samples) > 0.95) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_two_scenes_of_one_scenario_sound_different(name: str) -> None:
    first, second = (np.abs(np.fft.rfft(heard(scene(name, seed)))) for seed in (1, 2))
    octaves = np.geomspace(100, 6000, 9)
    hz = np.fft.rfftfreq(160_000, 1 / RATE_HZ)
    spectra = np.array([[level_db(s[(hz >= a) & (hz < 1.68 * a)]) for a in octaves] for s in (first, second)])
    assert np.abs(spectra[0] - spectra[1]).max() > 1.5


@pytest.mark.parametrize(
    ("name", "low_hz"),
    [("hammering", 300.0), ("dog_walk", 1000.0), ("stairs", 150.0), ("piano", 200.0), ("tooth_brushing", 1500.0),
     ("rowing", 300.0), ("typing", 1500.0)],
)  # fmt: skip
def test_the_energy_rises_on_the_beats(name: str, low_hz: float) -> None:
    step = round(0.005 * RATE_HZ)
    on_beat = []
    for seed in range(1, 5):
        what = scene(name, seed)
        energy = (above(heard(what), low_hz) ** 2).reshape(-1, step).mean(axis=1)
        rise = np.log(energy[4:] + 1e-12) - np.log(energy[:-4] + 1e-12)
        beats = what.beats_s(0.2, 9.7)
        # Within 20 ms after a beat the energy rises by more than it does elsewhere.
        near = [rise[round(beat * 200) - 5 : round(beat * 200) + 1].max() for beat in beats]
        between = [rise[round(at * 200) - 5 : round(at * 200) + 1].max() for at in beats[:-1] + 0.3 / what.tempo_hz]
        on_beat.append(np.median(near) - np.median(between))
    assert np.median(on_beat) > 0.7


@pytest.mark.parametrize("name", ["hammering", "stairs"])
def test_every_blow_and_step_peaks_within_20_ms_of_its_beat(name: str) -> None:
    what = replace(scene(name), loudness=1.5)
    samples = np.abs(above(heard(what), 200.0))
    period_s = 1 / what.tempo_hz
    late_s = []
    for beat in what.beats_s(0.3 * period_s, 9.9 - 0.7 * period_s):
        start = round((beat - 0.3 * period_s) * RATE_HZ)
        cut = samples[start : start + round(period_s * RATE_HZ)]
        late_s.append(start / RATE_HZ + int(cut.argmax()) / RATE_HZ - beat)
    assert np.abs(np.median(late_s)) < 0.02
    assert np.mean(np.abs(late_s) < 0.02) > 0.8


@pytest.mark.parametrize("name", ["camp_fire", "hammering", "vacuuming", "piano", "washing_up"])
def test_nearer_is_louder(name: str) -> None:
    near, far = (level_db(heard(replace(scene(name), distance=distance, loudness=1.0))) for distance in (0.8, 1.25))
    # 20 log10(1.25 / 0.8) is 3.9 dB; background and saturation take some of it.
    assert 2.0 < near - far < 4.2


@pytest.mark.parametrize("name", NAMES)
def test_a_louder_scene_is_louder(name: str) -> None:
    loud, soft = (level_db(heard(replace(scene(name), loudness=loudness), seconds=4.0)) for loudness in (1.5, 0.6))
    assert loud > soft + 1.0


@pytest.mark.parametrize("seed", range(1, 7))
def test_the_kettle_hisses_more_and_more(seed: int) -> None:
    samples = above(heard(scene("kettle", seed)), 800.0).reshape(5, -1)
    levels = [level_db(part) for part in samples]
    assert levels[4] > levels[0] + 3
    assert levels[4] > levels[2]


def test_a_faster_ride_is_a_noisier_one() -> None:
    slow, fast = (level_db(heard(replace(scene("cycling"), speed_mps=speed))) for speed in (4.0, 7.0))
    assert fast > slow + 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_lower_rate_hears_the_same_without_the_highest(name: str) -> None:
    what = scene(name)
    high, low = heard(what, 48_000.0, 4.0), heard(what, 16_000.0, 4.0)
    bins = np.fft.rfft(high)[: len(low) // 2 + 1] / 3
    hz = np.fft.rfftfreq(len(low), 1 / 16_000.0)
    shared = (hz > 50) & (hz < 5000)
    other = np.fft.rfft(low)
    likeness = abs(np.vdot(bins[shared], other[shared])) / np.linalg.norm(bins[shared]) / np.linalg.norm(other[shared])
    assert likeness > 0.9


@pytest.mark.parametrize("rate_hz", [16_000.0, 48_000.0])
@pytest.mark.parametrize("ppm", [0.0, 80.0])
def test_sound_does_not_depend_on_the_chunks(rate_hz: float, ppm: float) -> None:
    """Across blocks of half a second and a change of scenes, on two channels."""
    grid = SampleGrid.at(rate_hz, ppm)
    config = SimulatedConfig(modality="audio", seed=3, rate_hz=rate_hz, channels=2, drift_ppm=ppm)
    first = grid.due((FIRST + 1) * SCENE_NS - 530_000_000)
    n = round(1.2 * rate_hz)
    whole = Microphone(config).sample(first, grid.t_ns(first, n))
    assert whole.shape == (n, 2)
    assert whole.dtype == np.float32
    for size in (7, 480, 9973):
        pieces = Microphone(config)
        skipped = 0 if size > 7 else n - 9000
        parts = [pieces.sample(first + k, grid.t_ns(first + k, min(size, n - k))) for k in range(skipped, n, size)]
        assert np.concatenate(parts).tobytes() == whole[skipped:].tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_blocks_leave_no_seams(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = heard(scene(name), seconds=2.0)
    monkeypatch.setattr("devices.simulated.sound._BLOCK_S", 0.37)
    other = heard(scene(name), seconds=2.0)
    # A tone's phase is rounded to one of 4096 places, now and then to the next one.
    assert np.allclose(usual, other, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [50.0, 8000.0, 44_100.0, 22_050.5])
def test_any_rate_makes_sound(rate_hz: float) -> None:
    microphone = Microphone(SimulatedConfig(modality="audio", rate_hz=rate_hz))
    grid = SampleGrid.at(rate_hz)
    first = grid.due(FIRST * SCENE_NS + 9_000_000_000)
    samples = microphone.sample(first, grid.t_ns(first, round(2 * rate_hz)))
    assert np.isfinite(samples).all()
    assert samples.std() > 1e-4


def test_channels_hear_the_same_with_noise_of_their_own() -> None:
    microphone = Microphone(SimulatedConfig(modality="audio", rate_hz=RATE_HZ, channels=2))
    grid = SampleGrid.at(RATE_HZ)
    first = grid.due(FIRST * SCENE_NS + 10**9)
    left, right = microphone.sample(first, grid.t_ns(first, 16_000)).T
    assert np.corrcoef(left, right)[0, 1] > 0.95
    assert not np.array_equal(left * np.float32(0.9), right)


def test_the_microphone_itself_is_never_silent() -> None:
    microphone = Microphone(SimulatedConfig(modality="audio"))
    assert microphone.rate_hz == 48_000.0
    grid = SampleGrid.at(48_000.0)
    first = grid.due(FIRST * SCENE_NS)
    # Scenes fade in, the capsule's noise does not.
    assert 1e-4 < microphone.sample(first, grid.t_ns(first, 12)).std() < 1e-2

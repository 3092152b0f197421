"""Moments rendered alone are the ones the pipeline would have cut."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from devices.simulated import Simulated, SimulatedConfig
from devices.simulated.scenarios import LABELS
from devices.simulated.world import scene_of
from stream_bind.clock import ManualClock
from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.messages import Window
from stream_bind.training.world_pairs import FIRST_TURN, HOP_NS, WorldSensor, scene_moments, world_moments
from stream_bind.window import Windower

SETTINGS = ImageBindEncoderConfig(size="small", weights="random")
SEED = 5


def maker(modality: str):  # type: ignore[no-untyped-def]
    return ImageBindEncoder.clip_maker(SETTINGS, modality)


@pytest.mark.parametrize("modality", ["vision", "audio", "depth", "thermal", "imu"])
def test_a_clip_rendered_alone_is_the_one_the_pipeline_cuts(modality: str) -> None:
    scene = scene_of(SEED, FIRST_TURN * len(LABELS) + 3)
    sensor = WorldSensor(SimulatedConfig(modality=modality, seed=SEED), maker(modality))
    clock = ManualClock(scene.begin_ns + HOP_NS // 2)
    device = Simulated(SimulatedConfig(modality=modality, seed=SEED), "s", clock)
    device.open()
    spec = sensor.maker.spec
    windower = Windower(
        device.spec,
        length_ns=sensor.length_ns,
        hop_ns=HOP_NS,
        context_ns=round(spec.context_s * 1e9),
        payload=spec.payload,
    )
    windows = []
    while clock.unix_ns() < scene.begin_ns + sensor.length_ns + 2_500_000_000:
        chunk = device.read(1.0)
        assert chunk is not None
        windows += windower.push(chunk)
    whole = [w for w in windows if isinstance(w, Window) and w.status == "ok"]
    assert len(whole) >= 2
    for window in whole[-2:]:
        expected = sensor.maker.make(window, device.spec)
        assert sensor.clip(window.t_end_ns).tobytes() == np.asarray(expected).tobytes()


def test_every_scenario_comes_once_a_turn_and_no_window_leaves_its_scene() -> None:
    moments = list(world_moments([7], {"imu": maker("imu"), "audio": maker("audio")}, per_scene=3))
    assert sorted({m.label for m, _ in moments}) == sorted(LABELS)
    assert len(moments) == 3 * len(LABELS)
    early = [clips for _, clips in moments if "imu" not in clips]
    assert len(early) == len(LABELS)
    for moment, _ in moments:
        scene = scene_of(7, moment.t_end_ns // 10**10 - (moment.t_end_ns % 10**10 == 0))
        assert scene.begin_ns <= moment.t_start_ns < moment.t_end_ns <= scene.begin_ns + 10**10
        assert moment.captions[0] == moment.label == scene.scenario.label


def test_two_worlds_beside_each_other_share_picture_and_sound() -> None:
    index = FIRST_TURN * len(LABELS)
    t_end_ns = scene_of(SEED, index).begin_ns + 4_000_000_000
    alone = [WorldSensor(SimulatedConfig(modality="audio", seed=seed), maker("audio")) for seed in (SEED, 6)]
    both = WorldSensor(SimulatedConfig(modality="audio", seed=SEED), maker("audio"), beside=6)
    loud = both.clip(t_end_ns)
    assert (loud > np.minimum(*(s.clip(t_end_ns) for s in alone)) - 1e-3).mean() > 0.9
    camera = WorldSensor(SimulatedConfig(modality="vision", seed=SEED), maker("vision"), beside=6)
    assert camera.clip(t_end_ns).shape == (2, 224, 224, 3)


def test_moments_of_one_scene_are_ordered_and_labelled() -> None:
    scene = scene_of(1, FIRST_TURN * len(LABELS))
    sensors = {"imu": WorldSensor(SimulatedConfig(modality="imu", seed=1), maker("imu"))}
    ends = [m.t_end_ns for m in (m for m, _ in scene_moments(scene, sensors, [10.0, 5.0, 7.5]))]
    assert ends == [scene.begin_ns + round(s * 1e9) for s in (5.0, 7.5, 10.0)]
    assert list(chain(scene_moments(scene, sensors, [4.5]))) == []

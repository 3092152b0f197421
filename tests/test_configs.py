"""Every file in configs/ loads, fits the schema, and stays runnable without hardware."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from stream_bind.config import json_schema, load_config, resolve
from stream_bind.config.document import read_document
from stream_bind.encoders.catalogue import SHIPPED
from stream_bind.errors import ConfigError
from stream_bind.training.binding import load_binding

FILES = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
CONFIGS = [path for path in FILES if not path.stem.startswith("bind_")]
BY_NAME = {path.stem: path for path in CONFIGS}
BINDINGS = [path for path in FILES if path.stem.startswith("bind_")]


def test_the_rigs_of_the_readme_are_there():
    assert [path.stem for path in CONFIGS] == ["headset", "languagebind", "recorded", "robot", "webcam"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_and_has_a_lane_for_every_stream(path):
    config = load_config(path)
    assert config.rig == path.stem
    assert {lane.stream for lane in resolve(config)} == {stream.id for stream in config.streams}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_validates_for_a_simulated_run_with_no_warning(path):
    assert load_config(path, simulate=True, files=True).warnings == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_fits_the_schema_for_editors(path):
    # As an editor sees it: variables are not replaced.
    data = read_document(path, _Unreplaced()).data
    jsonschema.validate(data, json_schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_weights_need_to_be_fetched(path):
    for encoder in load_config(path).encoders.values():
        assert encoder.model in SHIPPED or encoder.settings.weights == "random"


def test_the_headset_has_all_five_sensors():
    config = load_config(BY_NAME["headset"])
    assert {stream.modality for stream in config.streams} == {"vision", "audio", "depth", "thermal", "imu"}


def test_without_hardware_only_the_hardware_is_missing():
    with pytest.raises(ConfigError) as caught:
        load_config(BY_NAME["headset"], ["streams.imu.device.port=/dev/not-there"], files=True)
    assert "there is no device /dev/not-there" in caught.value.problems[-1]
    assert all("there is no device /dev/" in line for line in caught.value.problems)


def test_recordings_wait_for_a_listener_and_drop_nothing():
    config = load_config(BY_NAME["recorded"])
    assert config.publish.wait_for_subscriber_s == 10
    assert {stream.queue_policy for stream in config.streams} == {"backpressure"}
    assert {stream.device.settings.start_time for stream in config.streams} == {"2024-01-01T00:00:00Z"}


class _Unreplaced(dict):
    """An environment in which every variable stands for itself."""

    def get(self, name, default=None):
        return f"${{{name}}}"


@pytest.mark.parametrize("path", BINDINGS, ids=lambda path: path.stem)
def test_a_binding_loads_and_holds_other_worlds_out(path):
    config = load_binding(path).config
    assert path.stem == f"bind_{config.modality}"
    assert config.settings().bindings == ((config.modality, config.anchor),)
    seeds = [
        {seed for take in side for seed in (take.seeds or _seeds(take))}
        for side in (config.data.train, config.data.held_out)
    ]
    assert not seeds[0] & seeds[1]


def _seeds(take):
    return [stream["device"]["seed"] for stream in take.streams]

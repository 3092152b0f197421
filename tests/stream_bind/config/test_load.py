"""Wrong files: every fault once, in the file's order, each with its place."""

from __future__ import annotations

import pickle
import re

import pytest

from stream_bind.config import load_config, parse_config
from stream_bind.errors import ConfigError

PLACE = re.compile(r"^rig\.yaml:\d+:\d+: ")


def problems(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="rig.yaml", **options)
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_the_smallest_rig_loads_with_defaults(rig):
    config = parse_config(rig)
    assert config.rig == "bench"
    assert list(config.encoders) == ["toy"]
    assert config.encoder_names(config.streams[0]) == ("toy",)
    assert config.publish.endpoint == "tcp://127.0.0.1:5556"
    assert config.streams[0].queue_policy == "drop_oldest"


def test_a_file_is_read_and_named_in_its_faults(rig, tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(rig)
    assert load_config(path).rig == "bench"
    path.write_text(rig + "colour: red\n")
    with pytest.raises(ConfigError, match=re.escape(f"{path}:8:1: colour: unknown key")):
        load_config(path)


def test_a_config_survives_pickling_and_its_settings_build_themselves_again(rig):
    config = parse_config(rig)
    assert pickle.loads(pickle.dumps(config)) == config
    device, encoder = config.streams[0].device, config.encoders["toy"]
    assert type(device.settings)(**device.settings_dict()) == device.settings
    assert encoder.settings_dict() == {"model": "toy", "weights": "random"}


def test_a_driver_of_several_kinds_is_not_told_the_modality_twice():
    text = """\
version: 1
rig: r
encoder: {model: toy, weights: random}
streams:
  - {id: mic, modality: audio, device: {type: simulated}}
"""
    assert parse_config(text).streams[0].device.settings.modality == "audio"


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("rig: bench", "rgi: bench", "rig.yaml:2:1", "unknown key 'rgi'; did you mean 'rig'?"),
        ("rig: bench", "rig: Head Set", "rig.yaml:2:6", "expected 1 to 64 of a-z"),
        ("version: 1", "version: 7", "rig.yaml:1:10", "expected 1, found 7"),
        ("id: cam", "id: cam\n    delay_ms: 20ms", "rig.yaml:6:15", "a number of milliseconds, without a unit"),
        ("id: cam", "id: cam\n    delay_s: 1", "rig.yaml:6:5", "did you mean 'delay_ms'?"),
        ("type: bench", "type: bench, unit: G", "rig.yaml:7:33", "expected 'g' or 'mps2', found 'G'"),
        ("type: bench", "type: bench, rate: 3", "rig.yaml:7:27", "did you mean 'rate_hz'?"),
        ("type: bench", "type: benhc", "rig.yaml:7:20", "did you mean 'bench'?"),
        ("type: bench", "kind: vision", "rig.yaml:7:13", "the key 'type' is missing; known device types"),
        ("    device: {type: bench}\n", "", "rig.yaml:5:5", "the key 'device' is missing"),
        ("device: {type: bench}", "device: bench", "rig.yaml:7:13", "expected a section with the device's `type:`"),
        ("modality: vision", "modality: vison", "rig.yaml:6:15", "did you mean 'vision'?"),
        ("modality: vision", "modality: depth", "rig.yaml:6:15", "a bench device cannot deliver depth"),
        ("modality: vision", "modality: thermal", "rig.yaml:6:15", "toy has no thermal"),
        ("modality: vision", "modality: audio", "rig.yaml:6:15", "the device delivers vision, the stream says audio"),
        (
            "modality: vision",
            "modality: vision\n    encoder: toi",
            "rig.yaml:7:14",
            "no encoder 'toi'; did you mean 'toy'?",
        ),
        ("model: toy", "model: tyo", "rig.yaml:3:18", "did you mean 'toy'?"),
        ("model: toy", "model: toy, worker: 2", "rig.yaml:3:23", "did you mean 'workers'?"),
        ("model: toy", "model: toy, max_batch: 0", "rig.yaml:3:34", "must be greater than or equal to 1, found 0"),
        ("model: toy", "model: toy, num_gpus: 1.5", "rig.yaml:3:33", "more than one is a whole number"),
        ("id: cam", "id: cam\n    window: {hop_s: 0}", "rig.yaml:6:21", "must be greater than 0"),
        ("id: cam", "id: cam\n    window: {lateness_ms: -1}", "rig.yaml:6:27", "must be greater than or equal to 0"),
        ("id: cam", "id: cam\n    axes: [x, y, z]", "rig.yaml:6:11", "is a setting of imu streams"),
        ("id: cam", "id: cam\n    queue_policy: drop", "rig.yaml:6:19", "expected 'drop_oldest' or 'backpressure'"),
        ("rig: bench", "rig: bench\nrecord: {pth: a.mcap}", "rig.yaml:3:10", "did you mean 'path'?"),
        ("rig: bench", "rig: bench\nrecord: {path: a.bag}", "rig.yaml:3:16", "expected a file that ends in .mcap"),
        ("rig: bench", "rig: bench\nrecord: {path: '{day}.mcap'}", "rig.yaml:3:16", "{day} stands for nothing"),
        ("rig: bench", "rig: bench\npublish: {endpoint: 'udp://x'}", "rig.yaml:3:21", "expected tcp://ADDRESS:PORT"),
        (
            "rig: bench",
            "rig: bench\npublish: {endpoint: 'tcp://*:99999'}",
            "rig.yaml:3:21",
            "port 99999 does not exist",
        ),
        ("rig: bench", "rig: bench\npublish: {endpoint: 'tcp://*:5556'}", "rig.yaml:3:21", "nothing is encrypted"),
        ("rig: bench", "rig: bench\nruntime: {transport: inproc}", "rig.yaml:3:22", "with launcher ray use ipc or tcp"),
        ("rig: bench", "rig: bench\nruntime: {log_level: ${NOPE_X}}", "rig.yaml:3:", ""),
        ("rig: bench", "rig: ${NOPE_X}", "rig.yaml:2:6", "NOPE_X is not set"),
    ],
)
def test_one_fault_is_one_line_with_its_place(rig, old, new, place, words):
    assert old in rig
    found = problems(rig.replace(old, new, 1))
    told = [line for line in found if line.startswith(place) and words in line]
    assert told, found
    assert all("\n" not in line for line in found)


def test_two_streams_of_one_id_name_the_first(rig):
    second = "  - id: cam\n    modality: vision\n    device: {type: bench}\n"
    assert problems(rig + second) == ("rig.yaml:8:9: streams[1].id: 'cam' is taken by streams[0], line 5",)


def test_every_fault_is_told_at_once_in_the_files_order():
    text = """\
version: 2
rig: Bench X
encoder: {model: toy, worker: 2}
streams:
  - id: cam
    modality: vision
    delay_ms: 20ms
    device: {type: bench, rate: 3}
  - id: cam
    modality: audo
    device: {type: benc}
  - 3
publish: {endpoint: tcp}
"""
    found = problems(text)
    lines = [int(line.split(":")[1]) for line in found]
    assert lines == sorted(lines)
    assert lines == [1, 2, 3, 7, 8, 9, 10, 11, 12, 13]
    assert all(PLACE.match(line) for line in found)


def test_of_alternatives_of_one_value_only_one_is_told(rig):
    found = problems(rig.replace("id: cam", "id: cam\n    channel: [1]\n    encoder: {a: 1}"))
    assert len([line for line in found if "encoder" in line]) == 1


def test_one_encoder_or_several_but_not_both(rig):
    assert any("not both" in line for line in problems(rig + "encoders: {a: {model: toy, weights: random}}\n"))
    assert any("`model:`" in line for line in problems(rig.replace("encoder: {model: toy, weights: random}\n", "")))


def test_a_stream_must_choose_where_there_are_several_encoders(rig):
    two = "encoders: {a: {model: toy, weights: random}, b: {model: toy, weights: random}}"
    text = rig.replace("encoder: {model: toy, weights: random}", two)
    assert any("say which one" in line for line in problems(text))
    config = parse_config(text, ["streams.cam.encoder=[b, a]"])
    assert config.encoder_names(config.streams[0]) == ("b", "a")
    assert any("named twice" in line for line in problems(text, overrides=["streams.cam.encoder=[b, b]"]))


def test_an_encoder_name_must_fit_into_a_topic(rig):
    text = rig.replace("encoder: {model: toy, weights: random}", "encoders: {A b: {model: toy, weights: random}}")
    assert any(line.startswith("rig.yaml:3:12: encoders.A b:") for line in problems(text)), problems(text)


def test_set_wins_over_the_file_and_its_faults_name_it(rig):
    assert parse_config(rig, ["streams.cam.delay_ms=12"]).streams[0].delay_ms == 12
    found = problems(rig, overrides=["streams.cam.delay_ms=abc"])
    assert found[0].startswith("--set streams.cam.delay_ms=abc: streams[0].delay_ms: expected a number of milliseconds")


def test_an_open_endpoint_is_allowed_by_word_only(rig):
    text = rig + "publish: {endpoint: 'tcp://0.0.0.0:5556', insecure: true}\n"
    assert parse_config(text).publish.insecure
    for endpoint in ("tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///tmp/x"):
        assert parse_config(rig, [f"publish.endpoint={endpoint}"])
    for endpoint in ("tcp://*:1", "tcp://eth0:1", "tcp://192.168.0.2:1"):
        assert any("nothing is encrypted" in line for line in problems(rig, overrides=[f"publish.endpoint={endpoint}"]))

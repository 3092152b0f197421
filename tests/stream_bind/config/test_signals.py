"""Streams of sensor types that an encoder declares: taken where it does, named where it does not."""

from __future__ import annotations

import dataclasses
import re

import pytest
from pydantic import BaseModel

from stream_bind.config import json_schema, parse_config, resolve
from stream_bind.errors import ConfigError
from stream_bind.messages import StreamSpec
from stream_bind.registry import ANY_SIGNAL, DEVICES, Entry, register_device

RIG = """\
version: 1
rig: bench
encoder:
  model: imagebind
  weights: random
  size: small
  signals:
    - {name: barometer, channels: 1, rate_hz: 25, length_s: 8, kernel: 10, unit: Pa}
streams:
  - id: baro
    modality: barometer
    device: {type: signal_bench}
"""


class Settings(BaseModel):
    rate_hz: float = 10.0


SPEC = StreamSpec("baro", "barometer", 10.0, (1,), "float32", "Pa", ("pressure",))


@pytest.fixture(autouse=True)
def bench(monkeypatch):
    """A driver of any signal; it delivers `spec`."""

    class Bench:
        spec = SPEC

        def __init__(self, config, stream_id, clock) -> None: ...

    monkeypatch.setattr(DEVICES, "_entries", {**DEVICES._entries})
    register_device("signal_bench", config=Settings, modalities=(ANY_SIGNAL,))(Bench)
    return Bench


def problems(text: str, **how) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="rig.yaml", **how)
    return caught.value.problems


def test_a_declared_signal_is_a_modality_with_windows_of_its_own():
    config = parse_config(RIG)
    (lane,) = resolve(config)
    assert (lane.modality, lane.length_ns, lane.hop_ns) == ("barometer", 8 * 10**9, 5 * 10**8)
    assert lane.context_ns == round(23 / 25 * 1e9)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("modality: barometer", "modality: barometr", "rig.yaml:11:15: .*found 'barometr'; did you mean 'barometer'"),
        ("modality: barometer", "modality: emg", "rig.yaml:11:15: .*or a signal that an encoder declares, found 'emg'"),
        ("modality: barometer", "modality: vision", "cannot deliver vision; it delivers signals that an encoder"),
        ("modality: barometer", "modality: text", "expected one of vision, audio, depth, thermal, imu, barometer"),
        ("modality: barometer", "modality: Baro-1", "rig.yaml:11:15"),
        (
            "type: signal_bench}",
            "type: microphone, name: default}",
            "a microphone device cannot deliver barometer; it delivers audio",
        ),
        ("signal_bench}", "signal_bench}\n    window: {length_s: 4}", "rig.yaml:13:13: .*windows of 8 s, found 4 s"),
        ("signal_bench}", "signal_bench}\n    axes: [x, y, z]", "axes: is a setting of imu streams"),
        ("kernel: 10", "kernel: 7", "kernel 7 must divide the 200 samples"),
        ("channels: 1", "channels: one", "signals"),
        ("unit: Pa", "unti: Pa", "unti"),
    ],
)
def test_a_fault_is_told_with_its_place(old, new, says):
    assert old in RIG
    found = problems(RIG.replace(old, new, 1))
    assert [line for line in found if re.search(says, line)], found


def test_a_device_in_another_unit_or_with_other_channels_is_refused(bench):
    bench.spec = dataclasses.replace(SPEC, unit="hPa")
    assert "in Pa, the device delivers hPa" in problems(RIG)[0]
    bench.spec = dataclasses.replace(SPEC, shape=(2,), axes=("a", "b"))
    assert "samples of 1 channels are wanted, found shape (2,)" in problems(RIG)[0]
    bench.spec = dataclasses.replace(SPEC, axes=("b",))
    named = RIG.replace("unit: Pa", "unit: Pa, axes: [pressure]")
    assert "channels pressure are wanted, found b" in problems(named)[0]


def test_what_has_no_twin_cannot_be_simulated(bench):
    bench.spec = dataclasses.replace(SPEC, modality="pulse")
    pulse = RIG.replace("barometer", "pulse")
    parse_config(pulse)
    assert "pulse cannot be simulated, only vision" in problems(pulse, simulate=True)[0]
    bench.spec = SPEC
    parse_config(RIG, simulate=True)


def test_a_driver_of_any_signal_delivers_none_of_the_models_own_kinds():
    entry = Entry("x", object, object, (ANY_SIGNAL,))
    assert entry.delivers("barometer")
    assert not entry.delivers("imu")
    assert not entry.delivers(None)
    assert Entry("x", object, object, ("imu", ANY_SIGNAL)).delivers("imu")


def test_editors_are_offered_the_five_kinds_and_take_other_words():
    modality = json_schema()["$defs"]["StreamConfig"]["properties"]["modality"]
    assert modality["anyOf"][0]["enum"] == ["vision", "audio", "depth", "thermal", "imu"]
    assert {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"} in modality["anyOf"]

"""What only shows when sections are held against each other, a driver or its files."""

from __future__ import annotations

import pytest

from stream_bind.config import parse_config, resolve
from stream_bind.errors import ConfigError

IMU = "  - id: imu\n    modality: imu\n    device: {type: bench, kind: imu}\n"


def problems(text, **options):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source="rig.yaml", **options)
    return caught.value.problems


def test_a_lane_takes_what_the_stream_leaves_out_from_its_encoder(rig):
    cam, imu = resolve(parse_config(rig + IMU))
    assert (cam.key, cam.length_ns, cam.hop_ns) == (("cam", "toy"), 2_000_000_000, 500_000_000)
    assert (imu.length_ns, imu.wanted_axes[0]) == (5_000_000_000, "accel_x")
    assert cam.lateness_ns is None


def test_a_lane_takes_what_the_stream_says(rig):
    window = "{length_s: 3, hop_s: 1.5, lateness_ms: 0, min_coverage: 0.9}"
    (lane,) = resolve(parse_config(rig, [f"streams.cam.window={window}"]))
    assert (lane.length_ns, lane.hop_ns, lane.lateness_ns) == (3_000_000_000, 1_500_000_000, 0)
    assert lane.min_coverage == 0.9


def test_hops_of_one_rig_divide_one_another(rig):
    assert parse_config(rig + IMU, ["streams.cam.window.hop_s=0.5", "streams.imu.window.hop_s=2.5"])
    found = problems(rig + IMU, overrides=["streams.cam.window.hop_s=1", "streams.imu.window.hop_s=2.5"])
    assert len(found) == 1
    assert "2.5 s ('imu') is no multiple of 1 s ('cam')" in found[0]


def test_a_hop_that_is_no_number_of_nanoseconds_still_divides_its_double(rig):
    third = 1 / 3
    parse_config(rig + IMU, [f"streams.cam.window.hop_s={third}", f"streams.imu.window.hop_s={third}"])


def test_a_hop_longer_than_the_window_is_a_warning_not_a_fault(rig):
    config = parse_config(rig, ["streams.cam.window.hop_s=5"])
    assert config.warnings == (
        "streams[0].window: a window of 2 s every 5 s leaves 3 s of every hop of 'cam' unobserved",
    )


def test_an_odd_hop_is_a_warning(rig):
    assert "0.5 s grid" in parse_config(rig, ["streams.cam.window.hop_s=0.7"]).warnings[0]
    assert parse_config(rig, ["streams.cam.window.hop_s=0.25"]).warnings == ()


def test_axes_the_sensor_lacks_are_refused_unless_zeros_are_asked_for(rig):
    text = rig + IMU.replace("kind: imu", "kind: imu, axes: [accel_x, accel_y, accel_z]")
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith("rig.yaml:10:13: streams[1].device:")
    assert "gyro_x, gyro_y, gyro_z" in found[0]
    assert "missing_axes: zero" in found[0]
    assert parse_config(text, ["streams.imu.missing_axes=zero"])
    assert problems(text, simulate=True) == found  # the twin has the axes of what it stands for


@pytest.mark.parametrize(
    ("setting", "words"),
    [("axes=[x, x, z]", "each once"), ("mounting=[[1, 0, 0], [0, 1, 0], [0, 0, 2]]", "proper rotation")],
)
def test_a_mounting_that_is_none_is_refused_at_its_place(rig, setting, words):
    (line,) = problems(rig + IMU, overrides=[f"streams.imu.{setting}"])
    assert line.startswith(f"--set streams.imu.{setting}: streams[1].{setting.partition('=')[0]}: wants")
    assert words in line


def test_files_are_looked_for_only_when_asked(rig, tmp_path):
    text = rig.replace("type: bench", f"type: bench, path: {tmp_path}/none.mp4")
    assert parse_config(text)
    assert parse_config(text, simulate=True, files=True)
    (line,) = problems(text, files=True)
    assert line.startswith("rig.yaml:7:33: streams[0].device.path: there is no file")


def test_a_recording_that_does_not_open_is_told_at_its_path(rig):
    text = rig.replace("type: bench", "type: bench, broken: true")
    assert parse_config(text)
    (line,) = problems(text, files=True)
    assert "streams[0].device.path: bench: notes.txt is no video file" in line


def test_missing_weights_are_told_with_the_way_to_get_them_even_when_simulated(rig):
    text = rig.replace(", weights: random", "")
    assert parse_config(text)
    for simulate in (False, True):
        (line,) = problems(text, files=True, simulate=simulate)
        assert line.startswith("rig.yaml:3:")
        assert "encoder.weights: toy: no weights" in line
        assert "models pull" in line


def test_a_group_lives_on_one_node(rig):
    text = rig + IMU
    assert parse_config(
        text, ["streams.cam.group=g", "streams.imu.group=g", "streams.imu.node=a", "streams.cam.node=a"]
    )
    found = problems(text, overrides=["streams.cam.group=g", "streams.imu.group=g", "streams.imu.node=a"])
    assert "different nodes" in found[0]

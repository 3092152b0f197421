"""What is listed of the attached cameras, and under which driver."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from devices.base import Found
from devices.infiray_thermal import InfirayThermal
from devices.lepton_thermal import LeptonThermal
from devices.v4l2_camera import V4l2Camera
from stream_bind.registry import DEVICES

DRIVERS = (V4l2Camera, LeptonThermal, InfirayThermal)


def found() -> list[Found]:
    return [one for driver in DRIVERS for one in driver.discover()]


def test_a_webcam_is_listed_once_with_formats_and_a_config_that_opens_it(bench: Any, cams: Any) -> None:
    sizes = {(1920, 1080): [30.0], (640, 480): [60.0, 30.0, 15.0], (160, 120): [30.0]}
    by_id = bench.plug(cams.Camera(formats={"MJPG": sizes, "YUYV": {(640, 480): [30.0]}, "H264": {}}))
    bench.plug(cams.Camera(caps=0x04800000, formats={}), 1, index=1)
    (one,) = found()
    assert (one.name, one.identity, one.modality, one.note, one.warnings) == ("Test Cam", by_id, "vision", "", ())
    assert one.formats == (
        "MJPG 1920x1080 30 fps",
        "MJPG 640x480 60, 30, 15 fps",
        "MJPG 160x120 30 fps",
        "YUYV 640x480 30 fps",
    )
    assert one.config == {"type": "v4l2_camera", "device": by_id, "width": 640, "height": 480, "rate_hz": 30.0}


@pytest.mark.parametrize(
    ("formats", "usb", "type_", "modality"),
    [
        ({"Z16 ": {(848, 480): [30.0]}}, "8086:0b07", "v4l2_camera", "depth"),
        ({"Y16 ": {(640, 480): [30.0]}}, "1111:2222", "v4l2_camera", "depth"),
        ({"Y16 ": {(160, 120): [9.0]}, "YUYV": {(160, 120): [9.0]}}, "1111:2222", "lepton_thermal", "thermal"),
        ({"Y16 ": {(80, 60): [9.0], (80, 63): [9.0]}}, "1111:2222", "lepton_thermal", "thermal"),
        ({"YUYV": {(160, 120): [9.0]}}, "1e4e:0100", "lepton_thermal", "thermal"),
        ({"YUYV": {(256, 384): [25.0]}}, "1111:2222", "infiray_thermal", "thermal"),
        ({"YUYV": {(256, 192): [25.0]}}, "0bda:5830", "infiray_thermal", "thermal"),
        ({"YUYV": {(320, 240): [15.0]}, "Y16 ": {(320, 240): [15.0]}}, "1111:2222", "v4l2_camera", "vision"),
    ],
)
def test_every_kind_of_camera_gets_its_driver(
    formats: Any, usb: str, type_: str, modality: str, bench: Any, cams: Any
) -> None:
    bench.plug(cams.Camera(formats=formats, usb=usb))
    (one,) = found()
    assert (one.config["type"], one.modality) == (type_, modality)
    entry = DEVICES.get(type_)
    entry.config.model_validate(one.config)  # type: ignore[attr-defined]
    assert modality in entry.modalities


def test_a_guessed_unit_is_called_a_guess(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(formats={"Z16 ": {(848, 480): [30.0]}}, usb="8086:0b07"))
    (one,) = found()
    assert "depth_unit_m is a guess" in one.warnings[0]
    assert "type: realsense" in one.warnings[1]


def test_two_of_a_kind_without_serial_are_told_apart_by_their_sockets(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(serial="", socket="usb-0000:00:14.0-1"), 0)
    bench.plug(cams.Camera(serial="", socket="usb-0000:00:14.0-2"), 1)
    one, two = found()
    assert one.identity != two.identity
    for each in (one, two):
        assert each.identity.startswith("/dev/v4l/by-path/")
        assert each.config["device"] == each.identity
        assert "only their USB sockets tell them apart" in each.warnings[0]


def test_what_stands_in_the_way_is_noted(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(open_errno=errno.EACCES), 0)
    bench.plug(cams.Camera(serial="SN2", socket="usb-2"), 1)
    bench.hold(1, "firefox", 99)
    one, two = found()
    assert "usermod -aG video" in one.note
    assert one.modality == "vision"
    assert two.note == "open in firefox (pid 99)"
    assert two.formats


def test_without_probing_nothing_is_opened(bench: Any, cams: Any) -> None:
    by_id = bench.plug(cams.Camera())
    bench.plug(cams.Camera(caps=0x04800000), 1, index=1)
    (one,) = V4l2Camera.discover(probe=False)
    assert one.identity == by_id
    assert not one.formats
    assert not bench.kernel.asked


def test_a_camera_whose_sizes_are_a_range_is_listed(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(formats={"YUYV": {}}, ranges=(16, 1920, 16, 16, 1080, 2)))
    (one,) = found()
    assert "YUYV 640x480" in one.formats


def test_nothing_attached_is_an_empty_list(bench: Any) -> None:
    assert found() == []

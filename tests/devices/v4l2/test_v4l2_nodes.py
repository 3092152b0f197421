"""Finding the camera that an address means."""

from __future__ import annotations

import errno
import logging
import os
from typing import Any

import pytest

from devices.v4l2_nodes import check_address, holders, list_nodes, resolve
from stream_bind.errors import DeviceError

COLOUR = ("YUYV", "MJPG")


def test_nodes_are_listed_with_all_that_tells_them_apart(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(card="A"), 2)
    bench.plug(cams.Camera(card="B", serial="", usb="", socket="platform-x"), 10, links=False)
    first, second = list_nodes()
    assert (first.node, first.card, first.usb, first.serial) == ("/dev/video2", "A", "1234:5678", "SN1")
    assert first.by_id == "/dev/v4l/by-id/usb-Maker_A_SN1-video-index0"
    assert first.by_path == "/dev/v4l/by-path/pci-usb-0000:00:14.0-1-video-index0"
    assert first.address == first.by_id
    assert (second.node, second.usb, second.address) == ("/dev/video10", "", "card:B")


@pytest.mark.parametrize("kind", ["by_id", "by_path", "serial", "card", "name", "number"])
def test_every_kind_of_address_finds_its_camera(kind: str, bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(card="Other", serial="SN2", socket="usb-0000:00:14.0-2"), 0)
    by_id = bench.plug(cams.Camera(card="Mine"), 3)
    address = {
        "by_id": by_id,
        "by_path": "/dev/v4l/by-path/pci-usb-0000:00:14.0-1-video-index0",
        "serial": "serial:sn1",
        "card": "card:mine",
        "name": "card:Mine: Mine",
        "number": "/dev/video3",
    }[kind]
    assert resolve(address, COLOUR, "cam").node == "/dev/video3"


def test_the_number_may_change_while_the_address_stays(bench: Any, cams: Any) -> None:
    camera = cams.Camera()
    by_id = bench.plug(camera, 0)
    bench.unplug(0)
    with pytest.raises(DeviceError, match="not attached; no camera is attached"):
        resolve(by_id, COLOUR, "cam")
    bench.plug(cams.Camera(card="Intruder", serial="SN9", socket="usb-9"), 0)
    bench.plug(camera, 1)
    for address in (by_id, "serial:SN1", "card:Test Cam"):
        assert resolve(address, COLOUR, "cam").node == "/dev/video1"


def test_a_number_is_taken_with_a_warning_that_names_the_lasting_address(
    bench: Any, cams: Any, caplog: pytest.LogCaptureFixture
) -> None:
    by_id = bench.plug(cams.Camera())
    with caplog.at_level(logging.WARNING):
        resolve("/dev/video0", COLOUR, "cam")
        resolve(by_id, COLOUR, "cam")
    assert len(caplog.records) == 1
    assert by_id in caplog.text


def test_a_missing_camera_is_told_with_what_there_is(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(card="A"))
    with pytest.raises(DeviceError) as caught:
        resolve("serial:SN7", COLOUR, "v4l2_camera serial:SN7")
    assert str(caught.value) == (
        "v4l2_camera serial:SN7: is not attached; attached are: /dev/video0 'A' = "
        "/dev/v4l/by-id/usb-Maker_A_SN1-video-index0 = serial SN1 = "
        "/dev/v4l/by-path/pci-usb-0000:00:14.0-1-video-index0"
    )
    assert not caught.value.permanent


def test_two_of_a_kind_are_not_chosen_between(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera(serial="SN1", socket="usb-1"), 0)
    bench.plug(cams.Camera(serial="SN2", socket="usb-2"), 2)
    with pytest.raises(DeviceError, match="2 cameras answer to this") as caught:
        resolve("card:Test Cam", COLOUR, "cam")
    assert "SN1" in str(caught.value)
    assert "SN2" in str(caught.value)
    assert resolve("serial:SN2", COLOUR, "cam").node == "/dev/video2"


def test_of_one_cameras_nodes_the_one_that_captures_and_suits_is_meant(bench: Any, cams: Any) -> None:
    depth = cams.Camera(formats={"Z16 ": {(640, 480): [30.0]}})
    infrared = cams.Camera(formats={"GREY": {(640, 480): [30.0]}})
    colour = cams.Camera(formats={"YUYV": {(640, 480): [30.0]}})
    metadata = cams.Camera(formats={}, caps=0x04800000)
    for number, camera in enumerate((depth, metadata, infrared, colour)):
        bench.plug(camera, number, index=number)
    assert resolve("serial:SN1", ("Z16 ", "Y16 "), "cam").node == "/dev/video0"
    assert resolve("serial:SN1", ("YUYV",), "cam").node == "/dev/video3"
    with pytest.raises(DeviceError, match="3 cameras answer"):
        resolve("serial:SN1", ("MJPG",), "cam")


def test_a_node_without_pictures_is_refused(bench: Any, cams: Any) -> None:
    metadata = bench.plug(cams.Camera(caps=0x04800000), 1, index=1)
    with pytest.raises(DeviceError, match="delivers no pictures"):
        resolve(metadata, COLOUR, "cam")
    many = bench.plug(cams.Camera(caps=0x04001000, serial="M", socket="usb-2"), 2)
    with pytest.raises(DeviceError, match="multi-planar"):
        resolve(many, COLOUR, "cam")


def test_without_permission_a_camera_is_still_known_by_its_link(bench: Any, cams: Any) -> None:
    by_id = bench.plug(cams.Camera(open_errno=errno.EACCES))
    one = list_nodes()[0]
    assert "sudo usermod -aG video $USER" in one.problem
    assert resolve(by_id, COLOUR, "cam").node == "/dev/video0"


def test_holders_are_named(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera())
    assert holders("/dev/video0") == []
    bench.hold(0, "ffmpeg", 4711)
    bench.hold(0, "us", os.getpid())
    assert holders("/dev/video0") == ["ffmpeg (pid 4711)", f"us (pid {os.getpid()}, this very process)"]


def test_a_machine_without_video_has_no_nodes(bench: Any) -> None:
    assert list_nodes() == []
    (bench.root / "sys/class/video4linux").rmdir()
    assert list_nodes() == []


@pytest.mark.parametrize("wrong", ["0", "video0", "serial:", "name:X", "", "card: "])
def test_what_is_no_address_is_refused_with_the_kinds_there_are(wrong: str) -> None:
    with pytest.raises(ValueError, match="by-id"):
        check_address(wrong)

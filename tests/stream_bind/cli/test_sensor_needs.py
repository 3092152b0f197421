"""What this machine lacks for real sensors, read from a made-up /dev, /sys and /etc."""

from __future__ import annotations

import grp
import os

import pytest

from stream_bind.cli import sensor_needs
from stream_bind.cli.sensor_needs import EXTRAS


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(sensor_needs, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def user(monkeypatch):
    """An ordinary user who may open only what is not named `shut`."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: "shut" not in str(path) and "666" not in str(path))


def needs():
    return {finding.name: finding for finding in sensor_needs.sensor_needs()}


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_a_machine_without_any_device_has_notes_only(root):
    found = needs()
    assert {"portaudio", "libusb", "groups", *(extra.package for extra in EXTRAS)} <= found.keys()
    assert "lacking" not in {finding.status for finding in found.values()}
    assert all(finding.remedy for finding in found.values() if finding.status == "note")


def test_missing_libraries_are_notes_with_their_command(root, monkeypatch):
    monkeypatch.setattr(sensor_needs.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(sensor_needs.Extra, "version", lambda self: None)
    found = needs()
    assert found["libusb"].remedy == "sudo apt-get install libusb-1.0-0"
    assert found["pyrealsense2"].remedy == "pip install pyrealsense2"
    assert "OAK" in found["depthai"].detail


def test_groups_one_is_not_in_are_named(root, user, monkeypatch):
    entries = [grp.struct_group((name, "x", gid, [])) for name, gid in (("video", 44), ("audio", 29), ("games", 60))]
    monkeypatch.setattr(grp, "getgrall", lambda: entries)
    monkeypatch.setattr(os, "getgroups", lambda: [29])
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    found = needs()["groups"]
    assert found.status == "note"
    assert "not a member of video;" in found.detail
    assert found.remedy.startswith("sudo usermod -aG video $USER")
    monkeypatch.setattr(os, "getgroups", lambda: [29, 44])
    assert needs()["groups"].detail == "member of video, audio"


def test_a_node_that_may_not_be_opened_is_named_with_its_group(root, user, monkeypatch):
    touch(root / "dev/video0")
    touch(root / "dev/video10shut")
    monkeypatch.setattr(sensor_needs, "_group_of", lambda node: "video")
    found = [finding for finding in sensor_needs.sensor_needs() if finding.name == "cameras"]
    assert [finding.status for finding in found] == ["note", "ok"]
    assert "/dev/video10shut" in found[0].detail
    assert "usermod -aG video" in found[0].remedy
    assert found[1].detail == "/dev/video0"


def usb(root, vendor, product, number):
    device = root / f"sys/bus/usb/devices/1-{number}"
    device.mkdir(parents=True)
    for name, text in (("idVendor", vendor), ("product", product), ("busnum", "1"), ("devnum", str(number))):
        (device / name).write_text(text + "\n")
    touch(root / f"dev/bus/usb/001/{number:03d}")


def test_an_oak_that_users_may_not_open_wants_its_udev_rule(root, user):
    usb(root, "03e7", "Movidius MyriadX", 666)
    found = needs()["OAK cameras"]
    assert found.status == "note"
    assert 'ATTRS{idVendor}=="03e7"' in found.remedy
    assert "80-movidius.rules" in found.remedy


def test_an_installed_rule_or_an_open_node_is_enough(root, user, monkeypatch):
    monkeypatch.setattr(sensor_needs.Extra, "version", lambda self: "3.0")
    assert "no udev rule" in needs()["OAK cameras"].detail
    rules = root / "etc/udev/rules.d"
    rules.mkdir(parents=True)
    (rules / "80-movidius.rules").write_text('SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"\n')
    assert "OAK cameras" not in needs()
    usb(root, "03e7", "Movidius MyriadX", 7)
    assert needs()["OAK cameras"].detail == "1 attached"


def test_other_things_of_intels_are_no_realsense(root, user):
    usb(root, "8086", "AX201 Bluetooth", 666)
    assert "RealSense cameras" not in {
        finding.name for finding in sensor_needs.sensor_needs() if "permission" in finding.detail
    }

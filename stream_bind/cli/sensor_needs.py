"""What real sensors need of this machine: libraries, permissions, udev rules. A run without such sensors needs none."""

from __future__ import annotations

import ctypes.util
import grp
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from stream_bind.cli.finding import Finding

__all__ = ["EXTRAS", "Extra", "sensor_library", "sensor_needs"]

ROOT = Path("/")
"""Where /dev, /sys and /etc are. Tests put a folder of their own here."""

GROUPS = ("video", "audio", "dialout", "plugdev")
"""Groups that Debian and its kin give cameras, sound cards, serial ports and other USB devices to."""


class Extra(NamedTuple):
    """A library that only some sensors need."""

    package: str
    purpose: str
    driver: str = ""
    """The driver that cannot do without it."""

    @property
    def remedy(self) -> str:
        return f"pip install {self.package}"

    def version(self) -> str | None:
        """The one installed, if any."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


EXTRAS = (
    Extra("pyrealsense2", "Intel RealSense depth cameras", "realsense_depth"),
    Extra("depthai", "Luxonis OAK depth cameras", "oak_depth"),
    Extra("pymavlink", "motion from a flight controller"),
    Extra("pulsectl", "tells where the sound server takes sound from"),
)


class _Maker(NamedTuple):
    """A maker of cameras that are reached by USB itself, not by a driver of the kernel."""

    vendor: str
    noun: str
    package: str
    rules: str
    """File that its udev rule goes to."""

    @property
    def remedy(self) -> str:
        rule = f'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{self.vendor}", MODE="0666"'
        return f"echo '{rule}' | sudo tee /etc/udev/rules.d/{self.rules} && sudo udevadm control --reload-rules"


_LIBRARIES = {
    "portaudio": ("portaudio", "microphones need it", "libportaudio2"),
    "libusb": ("usb-1.0", "RealSense cameras need it", "libusb-1.0-0"),
}
"""Name of the linker, what for, and Debian's package."""
_MAKERS = (
    _Maker("03e7", "OAK", "depthai", "80-movidius.rules"),
    _Maker("8086", "RealSense", "pyrealsense2", "99-realsense-libusb.rules"),
)
_RULES = ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")


def sensor_needs() -> Iterator[Finding]:
    """A note for everything that some sensor would lack here."""
    yield from map(sensor_library, _LIBRARIES)
    for extra in EXTRAS:
        found = extra.version()
        if found is None:
            yield Finding(extra.package, "note", f"not installed ({extra.purpose})", extra.remedy)
        else:
            yield Finding(extra.package, "ok", f"{found} ({extra.purpose})")
    yield _groups()
    yield from _nodes("cameras", "dev", "video*")
    yield from _nodes("sound inputs", "dev/snd", "pcm*c")
    for maker in _MAKERS:
        yield from _usb(maker)


def sensor_library(name: str) -> Finding:
    """Whether a library of the system is here: portaudio or libusb."""
    soname, purpose, package = _LIBRARIES[name]
    if ctypes.util.find_library(soname) is not None:
        return Finding(name, "ok", "found")
    return Finding(name, "note", f"not found; {purpose}", f"sudo apt-get install {package}")


def _groups() -> Finding:
    if os.geteuid() == 0:
        return Finding("groups", "ok", "root may use every device")
    known = {entry.gr_name: entry.gr_gid for entry in grp.getgrall() if entry.gr_name in GROUPS}
    mine = {os.getegid(), *os.getgroups()}
    absent = [name for name in GROUPS if name in known and known[name] not in mine]
    if not absent:
        return Finding("groups", "ok", f"member of {', '.join(name for name in GROUPS if name in known) or 'all'}")
    return Finding(
        "groups",
        "note",
        f"not a member of {', '.join(absent)}; needed where a sensor says that it may not be used",
        f"sudo usermod -aG {','.join(absent)} $USER, then log in again",
    )


def _nodes(name: str, folder: str, pattern: str) -> Iterator[Finding]:
    nodes = sorted((ROOT / folder).glob(pattern), key=lambda node: (len(node.name), node.name))
    shut = [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        owners = sorted({_group_of(node) for node in shut} - {"", "root"})
        named = ", ".join(_shown(node) for node in shut[:6])
        remedy = (
            f"sudo usermod -aG {','.join(owners)} $USER, then log in again" if owners else f"ls -l {_shown(shut[0])}"
        )
        yield Finding(name, "note", f"no permission to use {named}", remedy)
    usable = [_shown(node) for node in nodes if node not in shut]
    if usable:
        yield Finding(name, "ok", ", ".join(usable[:6]) + (" ..." if len(usable) > 6 else ""))


def _usb(maker: _Maker) -> Iterator[Finding]:
    attached = [device for device in _usb_devices(maker.vendor) if maker.vendor != "8086" or _is_realsense(device)]
    name = f"{maker.noun} cameras"
    shut = [node for node in map(_usb_node, attached) if node.exists() and not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        where = ", ".join(_shown(node) for node in shut)
        yield Finding(name, "note", f"no permission to use {where}", f"{maker.remedy}, then replug it")
    elif attached:
        yield Finding(name, "ok", f"{len(attached)} attached")
    elif os.geteuid() != 0 and Extra(maker.package, "").version() is not None and not _has_rule(maker.vendor):
        yield Finding(name, "note", "no udev rule lets users open one; none is attached now", maker.remedy)


def _usb_devices(vendor: str) -> list[Path]:
    found = (ROOT / "sys/bus/usb/devices").glob("*/idVendor")
    return sorted(entry.parent for entry in found if _read(entry) == vendor)


def _is_realsense(device: Path) -> bool:
    """Intel's number is on many things; RealSense cameras call themselves so."""
    return "realsense" in _read(device / "product").casefold()


def _usb_node(device: Path) -> Path:
    bus, number = _read(device / "busnum"), _read(device / "devnum")
    return ROOT / f"dev/bus/usb/{bus.zfill(3)}/{number.zfill(3)}"


def _has_rule(vendor: str) -> bool:
    files = (file for folder in _RULES for file in (ROOT / folder).glob("*.rules"))
    return any(vendor in _read(file).lower() for file in files)


def _group_of(node: Path) -> str:
    try:
        return node.group()
    except (KeyError, OSError):
        return ""


def _shown(node: Path) -> str:
    return f"/{node.relative_to(ROOT)}"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

"""The RealSense SDK (pyrealsense2, an extra): loaded when it is needed, and asked for cameras and recordings."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from stream_bind.errors import DeviceError

__all__ = ["Attached", "attached", "choose", "load_recording", "load_sdk", "words"]


class Attached(NamedTuple):
    """A camera as the SDK lists it."""

    name: str
    serial: str
    usb: str
    """The USB generation it negotiated, such as "3.2" or "2.1"; empty where the SDK does not say."""
    device: Any


def load_sdk() -> Any:
    """The pyrealsense2 module. Raises DeviceError(permanent) with the command that brings what is missing."""
    try:
        return importlib.import_module("pyrealsense2")
    except ImportError as error:
        missing = "libusb-1.0" in str(error)
        mend = "apt-get install libusb-1.0-0" if missing else "pip install 'stream-bind[realsense]'"
        raise DeviceError(
            f"realsense_depth: the RealSense SDK cannot be loaded: {error}; {mend}", permanent=True
        ) from error


def attached(rs: Any) -> list[Attached]:
    """All cameras with a depth sensor, in the order of their serial numbers. The SDK's RuntimeError passes through."""
    info = rs.camera_info

    def tell(device: Any, what: Any) -> str:
        return str(device.get_info(what)) if device.supports(what) else ""

    found = [
        Attached(
            tell(device, info.name) or "RealSense",
            tell(device, info.serial_number),
            tell(device, info.usb_type_descriptor),
            device,
        )
        for device in rs.context().query_devices()
        if any(sensor.is_depth_sensor() for sensor in device.query_sensors())
    ]
    return sorted(found, key=lambda one: one.serial)


def choose(found: Sequence[Attached], serial: str | None, name: str) -> Attached:
    """The camera that is meant. Raises DeviceError naming those there are."""
    there = ", ".join(f"{one.serial} ({one.name})" for one in found)
    fits = [one for one in found if serial is None or one.serial == serial]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise DeviceError(f"{name}: {len(fits)} cameras are attached; name one by its serial: {there}", permanent=True)
    if found:
        raise DeviceError(f"{name}: not attached; found {there}; plug it in, or name another serial")
    raise DeviceError(
        f"{name}: no RealSense depth camera is attached; plug it in (lsusb shows vendor 8086), and on Linux install "
        f"librealsense's 99-realsense-libusb.rules if only root may open it"
    )


def load_recording(rs: Any, path: str, name: str) -> Any:
    """The playback device of a recorded file. Raises DeviceError(permanent)."""
    try:
        return rs.context().load_device(path)
    except RuntimeError as error:
        raise DeviceError(
            f"{name}: is no recording this SDK can read: {words(error)}; wanted a .bag, or a .db3 from SDK 2.59 on",
            permanent=True,
        ) from error


def words(error: Exception) -> str:
    """What the SDK says, on one line."""
    return " ".join(str(error).split())

"""Exposure, gain and every other control of a camera: set, read back, and what it does not take told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import cached_property

from devices import v4l2
from devices.v4l2 import Control, V4l2Node
from stream_bind.errors import DeviceError

__all__ = ["Knobs"]


class Knobs:
    """The controls of an open node, asked for when the first is wanted. Every fault is a DeviceError whose message
    begins with `name`; `tell` hears of values that the camera rounded."""

    def __init__(self, node: V4l2Node, name: str, tell: Callable[[str], None]) -> None:
        self._node = node
        self._name = name
        self._tell = tell

    def expose(self, exposure_ms: float | str) -> None:
        """A fixed exposure time, or "auto"."""
        mode, length = self._find(v4l2.CID_EXPOSURE_AUTO), self._find(v4l2.CID_EXPOSURE_ABSOLUTE)
        manual = exposure_ms != "auto"
        # USB cameras know manual and aperture priority, others manual and auto.
        choices = (
            (v4l2.EXPOSURE_MANUAL, v4l2.EXPOSURE_SHUTTER_PRIORITY)
            if manual
            else (v4l2.EXPOSURE_APERTURE_PRIORITY, v4l2.EXPOSURE_AUTO)
        )
        choice = next((one for one in choices if mode is not None and one in mode.menu), None)
        if (manual and length is None) or (not manual and choice is None):
            kind = "exposure time" if manual else "automatic exposure"
            raise self._wrong(f"exposure_ms: the camera has no {kind} that can be set")
        if mode is not None and choice is not None:
            self._set(mode, choice, "exposure_ms")
        if manual and length is not None:
            # The control's unit is 100 us (V4L2 specification, camera controls).
            self._set(length, round(float(exposure_ms) * 10), "exposure_ms", " (in 0.1 ms)")

    def amplify(self, gain: int) -> None:
        """A fixed gain, in the camera's own unit."""
        control, auto = self._find(v4l2.CID_GAIN), self._find(v4l2.CID_AUTOGAIN)
        if control is None:
            raise self._wrong("gain: the camera has no such setting")
        if auto is not None:
            self._set(auto, 0, "gain")
        self._set(control, gain, "gain")

    def turn(self, wanted: Mapping[str, int | str]) -> None:
        """Controls by name, in the order given."""
        for name, value in wanted.items():
            if name not in self._controls:
                known = ", ".join(self._controls) or "none"
                raise self._wrong(f"controls.{name}: the camera has no such setting; it has {known}")
            self._set(self._controls[name], value, f"controls.{name}")

    @cached_property
    def _controls(self) -> dict[str, Control]:
        return self._node.controls()

    def _find(self, number: int) -> Control | None:
        return next((control for control in self._controls.values() if control.id == number), None)

    def _set(self, control: Control, value: int | str, key: str, unit: str = "") -> None:
        number = self._number(control, value, key, unit)
        if control.flags & v4l2.CTRL_READ_ONLY:
            raise self._wrong(f"{key}: can only be read")
        try:
            got = self._node.set(control, number)
        except OSError as error:
            if error.errno in {errno.ENODEV, errno.EBUSY}:
                raise
            raise DeviceError(
                f"{self._name}: {key}: cannot be set to {value!r}: {os.strerror(error.errno or 0)}; "
                f"an automatic mode may be in charge of it"
            ) from error
        if got != number:
            self._tell(f"{key}: wanted {number}, the camera took {got}{unit}")

    def _number(self, control: Control, value: int | str, key: str, unit: str) -> int:
        """The value as the control counts it; DeviceError with what it takes."""
        if isinstance(value, str):
            words = {text.casefold(): number for number, text in control.menu.items()}
            number = words.get(value.strip().casefold())
        else:
            number = int(value)
        if number is not None:
            if control.kind in {v4l2.TYPE_BUTTON, v4l2.TYPE_BITMASK}:
                return number
            if number in control.menu if control.menu else control.minimum <= number <= control.maximum:
                return number
        menu = ", ".join(f"{one} ({text})" for one, text in sorted(control.menu.items()))
        takes = menu or f"{control.minimum} to {control.maximum} in steps of {control.step}"
        raise self._wrong(f"{key}: found {value!r}; the camera takes {takes}{unit}")

    def _wrong(self, message: str) -> DeviceError:
        return DeviceError(f"{self._name}: {message}", permanent=True)

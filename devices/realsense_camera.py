"""One depth sensor of the RealSense SDK: set up, started, and read frame by frame.

Sensors are started one by one instead of through the SDK's pipeline: its syncer holds frames back for streams that
never send, it opens another camera by itself when one is unplugged, and it keeps one frame only.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.closing import close_within
from devices.realsense_options import Settings, apply_settings
from devices.realsense_sdk import words
from stream_bind.errors import DeviceError
from stream_bind.messages import Intrinsics

__all__ = ["DepthFrame", "Opened", "Wanted", "offers"]

logger = logging.getLogger(__name__)

_QUEUE_FRAMES = 8
"""Frames kept while nobody reads; the oldest give way, and are missed in the numbering. The SDK's pool holds 16."""
_CLOSE_S = 3.0
_USB2 = "it is connected by USB 2, which offers few sizes; use a USB 3 port and cable"


class Wanted(NamedTuple):
    """What to ask a camera for."""

    width: int
    height: int
    rate_hz: float


class DepthFrame(NamedTuple):
    """One depth frame, out of the SDK's hands."""

    counts: NDArray[np.uint16]
    """(H, W)."""
    unit_m: float
    number: int
    stamp_ms: float
    """The SDK's time stamp, in the clock that `domain` names."""
    domain: str
    """hardware_clock, system_time (UNIX, on arrival) or global_time (UNIX, the SDK's own fit)."""
    sensor_us: int | None
    """Middle of the exposure in microseconds of the device's clock, where the camera sends it."""
    arrival_ms: float | None
    """UNIX time of arrival, where the SDK tells it."""


def offers(sensor: Any, rs: Any) -> list[tuple[int, int, int]]:
    """(width, height, rate_hz) of all depth profiles, sorted."""
    return sorted({_shape(one) for one in _depth_profiles(sensor, rs)})


class Opened:
    """A depth sensor that streams. `align`: depth is reprojected into the colour camera's picture."""

    def __init__(
        self, rs: Any, device: Any, wanted: Wanted | None, settings: Settings, align: bool, name: str, usb: str = ""
    ) -> None:
        """wanted: None takes what there is, for recordings. Raises DeviceError."""
        self._rs = rs
        self._name = name
        self._device = device
        self._started: list[Any] = []
        self._align: Any = None
        try:
            self._start(wanted, settings, align, usb)
        except RuntimeError as error:
            self.stop()
            raise self._fault(error) from error
        except BaseException:
            self.stop()
            raise

    def _start(self, wanted: Wanted | None, settings: Settings, align: bool, usb: str) -> None:
        rs = self._rs
        depth = next((one for one in self._device.query_sensors() if one.is_depth_sensor()), None)
        if depth is None:
            raise DeviceError(f"{self._name}: holds no depth stream", permanent=True)
        self.depth = depth
        profile = self._pick(_depth_profiles(depth, rs), wanted, "depth", usb)
        self.unit_m = short(depth.as_depth_sensor().get_depth_scale())
        # Ticks are fitted to host time here: the SDK's own fit steps by seconds where the device's 32-bit clock wraps
        # (librealsense PR 15360), and asks the device for its time over the same wire as the frames.
        _try_set(depth, rs.option.global_time_enabled, 0.0)
        apply_settings(rs, depth, settings, self._name)
        seen = profile
        groups = [(depth, [profile])]
        if align:
            seen, groups = self._with_colour(depth, profile, wanted, usb)
            self._align = rs.align(rs.stream.color)
            self._syncer = rs.syncer(_QUEUE_FRAMES)
        else:
            self._queue = rs.frame_queue(_QUEUE_FRAMES, True)
        video = seen.as_video_stream_profile()
        self.width, self.height, self.rate_hz = video.width(), video.height(), float(profile.fps())
        self.intrinsics = _intrinsics(video.get_intrinsics())
        for sensor, profiles in groups:
            sensor.open(profiles)
            self._started.append(sensor)
        for sensor, _ in groups:
            # By keyword: a frame_queue can be called too, so by position the SDK takes it for a Python callback, whose
            # wait for the GIL under its own lock is a deadlock (2.59: a recording read as fast as it can be hangs).
            if align:
                sensor.start(syncer=self._syncer)
            else:
                sensor.start(queue=self._queue)

    def next(self, timeout_s: float) -> DepthFrame | None:
        """The next frame, or None after timeout_s. Raises DeviceError."""
        try:
            # A rounded-up millisecond, so that a positive timeout does wait.
            return self._next(max(0, math.ceil(timeout_s * 1000)))
        except RuntimeError as error:
            raise self._fault(error) from error

    def _next(self, timeout_ms: int) -> DepthFrame | None:
        if self._align is None:
            came, frame = self._queue.try_wait_for_frame(timeout_ms)
            return self._take(frame.as_depth_frame(), None) if came else None
        end = time.monotonic() + timeout_ms / 1000
        while True:
            came, frames = self._syncer.try_wait_for_frames(max(0, math.ceil((end - time.monotonic()) * 1000)))
            # A set without its colour frame cannot be aligned, and says nothing about where depth lies in the picture.
            if came and frames.get_depth_frame() and frames.get_color_frame():
                aligned = self._align.process(frames).as_frameset().get_depth_frame()
                return self._take(frames.get_depth_frame(), aligned)
            if time.monotonic() >= end:
                return None

    def _take(self, frame: Any, aligned: Any) -> DepthFrame:
        value = self._rs.frame_metadata_value

        def tell(what: Any) -> int | None:
            return int(frame.get_frame_metadata(what)) if frame.supports_frame_metadata(what) else None

        shown = frame if aligned is None else aligned
        unit_m = frame.get_units()
        arrival_ms = tell(value.time_of_arrival)
        return DepthFrame(
            # A copy: the SDK has few frames, and takes this one back.
            np.array(np.asanyarray(shown.get_data()), np.uint16),
            short(unit_m) if unit_m > 0 else self.unit_m,
            int(frame.get_frame_number()),
            float(frame.get_timestamp()),
            str(frame.get_frame_timestamp_domain().name),
            tell(value.sensor_timestamp),
            None if arrival_ms is None else float(arrival_ms),
        )

    def is_attached(self) -> bool:
        """Whether the camera is still there."""
        try:
            return bool(self._device.is_connected())
        except RuntimeError:
            return False

    def _discard(self) -> None:
        if self._align is None:
            self._queue.poll_for_frame()
        else:
            self._syncer.poll_for_frames()

    def stop(self) -> None:
        """Never raises, never takes longer than a few seconds."""
        started, self._started = self._started, []
        if started:
            steps: list[Callable[[], object]] = [one.stop for one in started]
            steps += [one.close for one in started]
            # A player that waits for its reader waits in stop too, while its queue is full.
            close_within(_CLOSE_S, self._name, *steps, meanwhile=self._discard)

    def _with_colour(
        self, depth: Any, profile: Any, wanted: Wanted | None, usb: str
    ) -> tuple[Any, list[tuple[Any, list[Any]]]]:
        """The colour profile, and which sensor opens what. In some models (D405) one sensor sends both."""
        rs = self._rs
        for sensor in self._device.query_sensors():
            profiles = [one for one in sensor.get_stream_profiles() if one.stream_type() == rs.stream.color]
            plain = [one for one in profiles if one.format() in {rs.format.rgb8, rs.format.bgr8, rs.format.yuyv}]
            if not plain:
                continue
            colour = self._pick(plain, wanted, "colour", usb)
            same = sensor.get_info(rs.camera_info.name) == depth.get_info(rs.camera_info.name)
            return colour, [(depth, [profile, colour])] if same else [(depth, [profile]), (sensor, [colour])]
        raise DeviceError(f"{self._name}: align_to_color: it has no colour camera", permanent=True)

    def _pick(self, profiles: Sequence[Any], wanted: Wanted | None, what: str, usb: str) -> Any:
        if wanted is None and profiles:
            return profiles[0]
        for one in profiles:
            if wanted is not None and _shape(one) == (wanted.width, wanted.height, round(wanted.rate_hz)):
                return one
        ask = "" if wanted is None else f" {wanted.width}x{wanted.height} at {wanted.rate_hz:g} Hz"
        there = "; ".join(f"{w}x{h} at {rate} Hz" for w, h, rate in sorted({_shape(one) for one in profiles}))
        slow = usb.startswith(("1", "2"))
        raise DeviceError(
            f"{self._name}: does not offer {what}{ask}; it offers {there or 'none'}{'; ' + _USB2 if slow else ''}",
            permanent=not slow,
        )

    def _fault(self, error: RuntimeError) -> DeviceError:
        said = words(error)
        if not self.is_attached():
            return DeviceError(f"{self._name}: was unplugged; it will be opened again")
        if "busy" in said.lower():
            return DeviceError(f"{self._name}: is in use by another program; end that one, or name another camera")
        if "permission" in said.lower() or "access" in said.lower():
            return DeviceError(
                f"{self._name}: may not be opened: {said}; install librealsense's 99-realsense-libusb.rules in "
                f"/etc/udev/rules.d and plug it in again"
            )
        return DeviceError(f"{self._name}: failed: {said}; unplug it and plug it in again")


def short(value: float) -> float:
    """The decimal that a float32 stands for: 0.001 for 0.0010000000474974513."""
    return float(str(np.float32(value)))


def _depth_profiles(sensor: Any, rs: Any) -> list[Any]:
    return [
        one
        for one in sensor.get_stream_profiles()
        if one.stream_type() == rs.stream.depth and one.format() == rs.format.z16
    ]


def _shape(profile: Any) -> tuple[int, int, int]:
    video = profile.as_video_stream_profile()
    return int(video.width()), int(video.height()), int(profile.fps())


def _intrinsics(told: Any) -> Intrinsics:
    model = str(told.model.name)
    return Intrinsics(
        int(told.width),
        int(told.height),
        float(told.fx),
        float(told.fy),
        float(told.ppx),
        float(told.ppy),
        "" if model == "none" else model,
        () if model == "none" else tuple(short(one) for one in told.coeffs),
    )


def _try_set(sensor: Any, option: Any, value: float) -> None:
    """Set an option where there is one that can be set."""
    try:
        if sensor.supports(option) and not sensor.is_option_read_only(option):
            sensor.set_option(option, value)
    except RuntimeError as error:
        logger.debug("option %s: %s", option, error)

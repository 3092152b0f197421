"""A RealSense depth camera (Intel D400 family) by its serial number, or a recording of one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from devices.base import Found
from devices.depth_counts import depth_chunk
from devices.frame_feed import FrameFeed
from devices.pacing import RecordingConfig
from devices.realsense_camera import DepthFrame, Opened, Wanted, offers
from devices.realsense_file import TICK_MODULUS, RealsenseFile, device_us
from devices.realsense_options import Settings
from devices.realsense_sdk import Attached, attached, choose, load_sdk
from stream_bind.clock import Clock
from stream_bind.clocksync import ClockFit
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, StreamSpec
from stream_bind.registry import register_device

__all__ = ["RealsenseDepth", "RealsenseDepthConfig"]

logger = logging.getLogger(__name__)

_GLOBAL_ERR_NS = 1_000_000
"""Claimed for stamps that the SDK itself mapped to host time; it tells no error."""
_COMMON = [(640, 480), (848, 480), (640, 360), (480, 270)]
"""Sizes to propose, the best first."""


class RealsenseDepthConfig(RecordingConfig):
    """A RealSense camera, or a file that the SDK recorded (to which start_time, rate and loop belong)."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    type: Literal["realsense_depth"] = "realsense_depth"
    """The device type, always "realsense_depth"."""
    serial: str | None = None
    """Which camera, by the serial number `stream-bind devices` lists; absent: the only one attached."""
    file: str | None = None
    """A recording (.bag, or .db3 from SDK 2.59 on) to play instead of a camera; its size and rate are what they are."""
    width: int = Field(default=640, ge=1, le=4096)
    """Pixels in a line; the camera must offer exactly this size."""
    height: int = Field(default=480, ge=1, le=4096)
    """Lines of a frame."""
    rate_hz: float = Field(default=30.0, gt=0, le=300)
    """Frames per second; the camera must offer exactly this rate at this size."""
    align_to_color: bool = False
    """Reproject depth into the colour camera's picture of the same size; costs CPU time. Not for recordings."""
    visual_preset: str | None = None
    """The camera's own preset by its name, such as High Accuracy; absent: as the camera is."""
    emitter: bool | None = None
    """The pattern projector on or off; absent: as the camera is."""
    laser_power_mw: float | None = Field(default=None, ge=0, le=1000)
    """Power of the projector in milliwatts; absent: as the camera is."""
    exposure_ms: float | Literal["auto"] | None = None
    """Exposure time of the depth sensor, or auto; absent: as the camera is."""
    open_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """How long to wait for the first frame."""
    stall_timeout_s: float = Field(default=2.0, gt=0, le=600)
    """Silence after which the camera is given up and opened again."""

    @model_validator(mode="after")
    def _makes_sense(self) -> RealsenseDepthConfig:
        given = self.model_fields_set
        camera_only = given & {"serial", "width", "height", "align_to_color", *Settings._fields}
        file_only = {"start_time", "rate", "loop"} & given
        if self.file is not None and camera_only:
            raise ValueError(f"{sorted(camera_only)[0]} is a setting of a camera; a recording is as it was made")
        if self.file is None and file_only:
            raise ValueError(f"{sorted(file_only)[0]} is a setting of a recording; it needs `file`")
        if self.chunk_size not in {None, 1}:
            raise ValueError(f"chunk_size must be 1, one frame a read; found {self.chunk_size}")
        if isinstance(self.exposure_ms, float) and self.exposure_ms <= 0:
            raise ValueError(f"exposure_ms must be above 0, or auto; found {self.exposure_ms:g}")
        if self.stall_timeout_s < 2 / self.rate_hz:
            raise ValueError(f"stall_timeout_s must be at least two frames: {2 / self.rate_hz:g} s")
        return self


class _Camera:
    """The attached camera."""

    def __init__(self, config: RealsenseDepthConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._serial = config.serial
        self._name = "realsense_depth" + (f" {config.serial}" if config.serial else "")
        self.counters: Counter[str] = Counter()
        self._feed: FrameFeed[DepthFrame] = FrameFeed(clock, config.rate_hz, self.counters)
        self._fit = ClockFit(1e6, modulus=TICK_MODULUS)
        self._sensor: Opened | None = None
        self._ahead: Chunk | None = None
        self._domain = "device"
        self._last_ns = -(1 << 62)

    @property
    def spec(self) -> StreamSpec:
        config, sensor = self._config, self._sensor
        return StreamSpec(
            id=self._id,
            modality="depth",
            rate_hz=config.rate_hz,
            shape=(config.height, config.width),
            dtype="float32",
            unit="m",
            max_delay_s=max(1.0, 3 / config.rate_hz),
            domain=self._domain,
            intrinsics=None if sensor is None else sensor.intrinsics,
        )

    def open(self) -> None:
        self.close()
        config = self._config
        rs = load_sdk()
        try:
            one = choose(attached(rs), self._serial, self._name)
        except RuntimeError as error:
            raise DeviceError(f"{self._name}: its SDK finds no cameras: {error}; unplug it and plug it in") from error
        # From now on it is this one that is meant, also when another is there and it is not.
        self._serial = one.serial or None
        self._name = f"realsense_depth {one.serial}"
        settings = Settings(config.visual_preset, config.emitter, config.laser_power_mw, config.exposure_ms)
        wanted = Wanted(config.width, config.height, config.rate_hz)
        self._sensor = Opened(rs, one.device, wanted, settings, config.align_to_color, self._name, one.usb)
        self._feed.begin(self._sensor, self._name, "use a USB 3 port and cable")
        # A camera that was unplugged counts from 0 again.
        self._fit.restart()
        try:
            # It tells whose clock stamps them.
            self._ahead = self._chunk(self._feed.first(config.open_timeout_s, "is open but sends no frame"))
        except DeviceError:
            self.close()
            raise
        logger.info(
            "%s: %s %s is open: %dx%d, %g m per count, stamped by %s",
            self._id,
            one.name,
            one.serial,
            self._sensor.width,
            self._sensor.height,
            self._sensor.unit_m,
            "its own clock" if self._domain == "device" else "arrival, since the kernel passes no metadata on",
        )

    def read(self, timeout_s: float) -> Chunk | None:
        if self._sensor is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        frame = self._feed.next(timeout_s, self._config.stall_timeout_s)
        return None if frame is None else self._chunk(frame)

    def close(self) -> None:
        sensor, self._sensor, self._ahead = self._sensor, None, None
        if sensor is not None:
            sensor.stop()

    def _chunk(self, frame: DepthFrame) -> Chunk:
        tick = device_us(frame)
        if tick is not None:
            t_ns = int(self._fit.stamp([tick % TICK_MODULUS], self._clock.unix_ns())[0])
            clock = self._fit.clock
        else:
            # Stamps of the system's UNIX clock, which may have been set since ours was fixed.
            t_ns = round(frame.stamp_ms * 1e6) - self._clock.step_ns()
            clock = ClockInfo("device", _GLOBAL_ERR_NS) if frame.domain == "global_time" else ClockInfo("host", 0)
        self._domain = clock.domain
        self._last_ns = t_ns = max(t_ns, self._last_ns + 1)
        return depth_chunk(frame.counts, frame.unit_m, t_ns, self._feed.take_gap(), clock, tick)


@register_device("realsense_depth", config=RealsenseDepthConfig, modalities=("depth",))
class RealsenseDepth:
    """float32 metres (height, width), NaN where there is no measurement, one frame a chunk; `raw` holds the counts and
    the camera's own unit. Counts dropped_frames and repeated_frames.

    Stamps: the middle of the exposure, in the device's clock fitted to host time (domain device); on arrival (domain
    host) where the kernel keeps the camera's metadata back.
    """

    def __init__(self, config: RealsenseDepthConfig, stream_id: str, clock: Clock) -> None:
        self._source: _Camera | RealsenseFile = (
            _Camera(config, stream_id, clock)
            if config.file is None
            else RealsenseFile(config.file, config, config.rate_hz, stream_id, clock)
        )

    @property
    def spec(self) -> StreamSpec:
        return self._source.spec

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._source.counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """What the SDK lists; nothing where it is not installed."""
        try:
            rs = load_sdk()
            return [_describe(one, rs) for one in attached(rs)]
        except Exception as error:  # a driver that cannot look has found nothing
            logger.debug("looking for RealSense cameras: %s", error)
            return []

    def open(self) -> None:
        self._source.open()

    def read(self, timeout_s: float) -> Chunk | None:
        return self._source.read(timeout_s)

    def close(self) -> None:
        self._source.close()


def _describe(one: Attached, rs: object) -> Found:
    sensor = next(sensor for sensor in one.device.query_sensors() if sensor.is_depth_sensor())
    shapes = offers(sensor, rs)
    sizes = {(width, height) for width, height, _ in shapes}
    size = next((size for size in _COMMON if size in sizes), max(sizes, default=(640, 480)))
    rates = [rate for width, height, rate in shapes if (width, height) == size]
    rate = max((rate for rate in rates if rate <= 30), default=min(rates, default=30))
    slow = one.usb.startswith(("1", "2"))
    return Found(
        name=one.name,
        identity=one.serial,
        modality="depth",
        config={"type": "realsense_depth", "serial": one.serial, "width": size[0], "height": size[1], "rate_hz": rate},
        formats=tuple(f"Z16 {width}x{height} {rate} fps" for width, height, rate in shapes),
        warnings=(f"connected by USB {one.usb}: few sizes and rates",) if slow else (),
    )

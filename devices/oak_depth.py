"""A Luxonis OAK depth camera by its id: stereo depth computed on the camera, or its time-of-flight sensor."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.base import Found
from devices.depth_counts import depth_chunk
from devices.frame_feed import FrameFeed
from devices.oak_camera import OakFrame, Running, Wanted, attached, choose, load_sdk, start
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, StreamSpec
from stream_bind.registry import register_device

__all__ = ["OakDepth", "OakDepthConfig"]

logger = logging.getLogger(__name__)

_Socket = Literal["CAM_A", "CAM_B", "CAM_C", "CAM_D", "CAM_E", "CAM_F"]


class OakDepthConfig(BaseModel):
    """A Luxonis OAK camera with a stereo pair or a time-of-flight sensor."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)

    type: Literal["oak_depth"] = "oak_depth"
    """The device type, always "oak_depth"."""
    serial: str | None = None
    """Which camera: the id `stream-bind devices` lists, or a network camera's address; absent: the only one there."""
    source: Literal["stereo", "tof"] = "stereo"
    """Where depth comes from: a pair of cameras, or a time-of-flight sensor, which has its own size."""
    width: int = Field(default=640, ge=16, le=4096)
    """Stereo: pixels in a line, scaled on the camera."""
    height: int = Field(default=400, ge=16, le=4096)
    """Stereo: lines of a frame."""
    rate_hz: float = Field(default=30.0, gt=0, le=240)
    """Frames per second to ask for."""
    left: _Socket = "CAM_B"
    """Stereo: socket of the left camera."""
    right: _Socket = "CAM_C"
    """Stereo: socket of the right camera, from which depth is seen."""
    preset: Literal["default", "fast_accuracy", "fast_density", "face", "high_detail", "robotics"] | None = None
    """Stereo: the SDK's profile for matching and filters; absent: as the SDK has it."""
    open_timeout_s: float = Field(default=10.0, gt=0, le=120)
    """How long to wait for the first frame after the camera has booted."""
    stall_timeout_s: float = Field(default=2.0, gt=0, le=600)
    """Silence after which the camera is given up and opened again."""

    @model_validator(mode="after")
    def _makes_sense(self) -> OakDepthConfig:
        if self.source == "stereo" and self.left == self.right:
            raise ValueError(f"left and right must be two cameras; found {self.left} for both")
        if self.source == "tof":
            for key in ("width", "height", "left", "right", "preset"):
                if key in self.model_fields_set:
                    raise ValueError(f"{key} is a setting of source: stereo")
        if self.stall_timeout_s < 2 / self.rate_hz:
            raise ValueError(f"stall_timeout_s must be at least two frames: {2 / self.rate_hz:g} s")
        return self


@register_device("oak_depth", config=OakDepthConfig, modalities=("depth",))
class OakDepth:
    """float32 metres (height, width), NaN where there is no measurement, one frame a chunk; `raw` holds the counts and
    their unit. Counts dropped_frames and repeated_frames.

    Stamps: the middle of the exposure in the device's clock, which the SDK keeps in step with the host's monotonic one
    (domain device); ticks are the device's own microseconds.
    """

    def __init__(self, config: OakDepthConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._serial = config.serial
        self._name = "oak_depth" + (f" {config.serial}" if config.serial else "")
        self._offset_ns = _offset_ns(clock)
        self._counters: Counter[str] = Counter()
        self._feed: FrameFeed[OakFrame] = FrameFeed(clock, config.rate_hz, self._counters)
        self._running: Running | None = None
        self._ahead: Chunk | None = None
        self._size: tuple[int, int] = (-1, -1) if config.source == "tof" else (config.height, config.width)
        self._last_ns = -(1 << 62)

    @property
    def spec(self) -> StreamSpec:
        config = self._config
        return StreamSpec(
            id=self._id,
            modality="depth",
            rate_hz=config.rate_hz,
            shape=self._size,
            dtype="float32",
            unit="m",
            max_delay_s=max(1.0, 3 / config.rate_hz),
            domain="device",
            intrinsics=None if self._running is None else self._running.intrinsics,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """What the SDK lists; nothing where it is not installed. Nothing is booted, so what a camera can do stays
        unknown."""
        try:
            return [_describe(info) for info in attached(load_sdk())]
        except Exception as error:  # a driver that cannot look has found nothing
            logger.debug("looking for OAK cameras: %s", error)
            return []

    def open(self) -> None:
        self.close()
        config = self._config
        dai = load_sdk()
        info = choose(attached(dai), self._serial, self._name)
        # From now on it is this one that is meant, also when another is there and it is not.
        self._serial = str(info.deviceId) or self._serial
        self._name = f"oak_depth {self._serial}"
        wanted = Wanted(
            config.source, config.width, config.height, config.rate_hz, config.left, config.right, config.preset
        )
        self._running = start(info, wanted, self._name)
        self._feed.begin(self._running, self._name, "check cable and power")
        try:
            # It tells size and calibration.
            first = self._feed.first(config.open_timeout_s, "runs but sends no frame")
            self._ahead = self._chunk(first, self._running)
        except DeviceError:
            self.close()
            raise
        height, width = self._size
        logger.info("%s: %s is open: %dx%d, %g m per count", self._id, self._name, width, height, self._running.unit_m)

    def read(self, timeout_s: float) -> Chunk | None:
        if self._running is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        frame = self._feed.next(timeout_s, self._config.stall_timeout_s)
        return None if frame is None else self._chunk(frame, self._running)

    def close(self) -> None:
        running, self._running, self._ahead = self._running, None, None
        if running is not None:
            running.stop()

    def _chunk(self, frame: OakFrame, running: Running) -> Chunk:
        height, width = frame.counts.shape
        if self._size == (-1, -1):
            self._size = (height, width)
        if (height, width) != self._size:
            raise DeviceError(
                f"{self._name}: wanted {self._size[1]}x{self._size[0]}, it sends {width}x{height}; set width, height",
                permanent=True,
            )
        # The SDK corrects its mapping now and then; time must not run backwards for that.
        self._last_ns = t_ns = max(frame.steady_ns + self._offset_ns, self._last_ns + 1)
        gap = self._feed.take_gap()
        clock = ClockInfo("device", running.err_ns)
        return depth_chunk(frame.counts, running.unit_m, t_ns, gap, clock, frame.device_us)


def _offset_ns(clock: Clock, tries: int = 5) -> int:
    """UNIX minus monotonic time of our clock, from the tightest of a few readings; kept for the device's life, so that
    reopening does not shift time."""
    readings = []
    for _ in range(tries):
        before = clock.monotonic_ns()
        unix = clock.unix_ns()
        width = clock.monotonic_ns() - before
        readings.append((width, unix - before - width // 2))
    return min(readings)[1]


def _describe(info: Any) -> Found:
    serial = str(info.deviceId)
    generation = {"X_LINK_MYRIAD_X": "RVC2", "X_LINK_RVC3": "RVC3", "X_LINK_RVC4": "RVC4"}
    chip = generation.get(info.platform.name, "")
    notes = {
        "X_LINK_INSUFFICIENT_PERMISSIONS": "no permission: it needs a udev rule for USB vendor 03e7",
        "X_LINK_DEVICE_ALREADY_IN_USE": "open in another program",
    }
    held = info.state.name == "X_LINK_BOOTED"
    return Found(
        name="Luxonis OAK" + (f" ({chip})" if chip else ""),
        identity=serial,
        modality="depth",
        config={"type": "oak_depth", "serial": serial},
        note="open in another program" if held else notes.get(info.status.name, ""),
        warnings=("a camera with a time-of-flight sensor alone needs source: tof",),
    )

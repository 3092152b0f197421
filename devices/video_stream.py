"""A camera on the network: RTSP, HTTP motion JPEG, or whatever FFmpeg opens by URL."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from devices.depth_counts import to_metres
from devices.ffmpeg_source import FfmpegSource
from devices.http_body import HttpBody
from devices.mjpeg_source import MjpegSource
from devices.pixels import BrokenFrame
from devices.stream_clock import StreamClock
from devices.stream_picture import Picture, PictureSource
from devices.thermal_frames import implausible
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["VideoStream", "VideoStreamConfig"]

logger = logging.getLogger(__name__)

_OLD_NS = 1_000_000_000
"""A picture taken in at the opening and read later than this is not worth a window that closed long ago."""


class VideoStreamConfig(BaseModel):
    """A network camera."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["video_stream"] = "video_stream"
    """The device type, always "video_stream"."""
    url: str
    """Where the camera is: rtsp://, http:// (motion JPEG), tcp://, udp://, ... ; it may hold user:password@."""
    modality: Literal["vision", "depth", "thermal"] = "vision"
    """Colour pictures, or 16-bit counts of depth or temperature (gray16le, such as FFV1 in NUT)."""
    depth_unit_m: float | None = Field(default=None, gt=0, le=1)
    """Depth: metres per count, which the stream does not say (0.001 for most cameras)."""
    scale_k: float | None = Field(default=None, gt=0, le=10)
    """Thermal: kelvin per count, such as 0.01."""
    offset_k: float = Field(default=0.0, ge=0, le=1000)
    """Thermal: kelvin at 0 counts, such as 273.15 where counts are degrees Celsius."""
    rate_hz: float = Field(default=30.0, gt=0, le=1000)
    """Frames per second the camera is set to; a stream does not say it reliably."""
    time: Literal["auto", "presentation", "header", "sender", "arrival"] = "auto"
    """Where stamps come from: the stream's own clock fitted to host time (presentation; header: that of motion JPEG),
    the camera's own UNIX time, believed (sender), or arrival; auto: presentation where there is one, or arrival."""
    timestamp_header: str = Field(default="X-Timestamp", pattern=r"^[A-Za-z0-9-]+$")
    """Motion JPEG: the header of each picture that holds its time in seconds, for time: header and time: sender."""
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP: how pictures travel; tcp loses none."""
    open_timeout_s: float = Field(default=5.0, gt=0, le=600)
    """How long to wait for the camera, and then for its first picture, when it is opened."""
    stall_timeout_s: float = Field(default=2.0, gt=0, le=600)
    """Silence after which the connection is given up."""
    upright: bool = True
    """Turn frames by the stream's rotation mark, where it has one."""
    verify_tls: bool = True
    """https: refuse a camera whose certificate no authority vouches for; most cameras make their own."""

    @field_validator("url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        if not re.match(r"[a-z][a-z0-9+.-]*://", value):
            raise ValueError("is no URL; write rtsp://host/path or http://host/path, or use video_file for a file")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> VideoStreamConfig:
        if self.modality == "depth" and self.depth_unit_m is None:
            raise ValueError("depth_unit_m is needed for depth: metres per count, such as 0.001; makers differ by ten")
        if self.modality == "thermal" and self.scale_k is None:
            raise ValueError("scale_k is needed for thermal: kelvin per count, such as 0.01 (and offset_k)")
        if self.modality != "depth" and self.depth_unit_m is not None:
            raise ValueError("depth_unit_m is a setting of modality depth")
        if self.modality != "thermal" and (self.scale_k is not None or self.offset_k):
            raise ValueError("scale_k and offset_k are settings of modality thermal")
        if self.stall_timeout_s < 2 / self.rate_hz:
            raise ValueError(f"stall_timeout_s must be at least two frames: {2 / self.rate_hz:g} s")
        return self


@register_device("video_stream", config=VideoStreamConfig, modalities=("vision", "depth", "thermal"))
class VideoStream:
    """One frame a chunk: uint8 RGB, float32 metres (NaN where there is no measurement), or float32 kelvin.

    Motion JPEG is read from a socket of our own, all else by FFmpeg, whose packets a thread takes in (packet_pump.py).
    Counts bad_packets, burst_frames (old ones sent at the opening), stale_frames (waited in a queue, and nothing says
    when they were taken), dropped_frames (not read in time), unstamped_frames, stalls and reopened.
    """

    def __init__(self, config: VideoStreamConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        # Passwords stay out of logs, also those that were not written as %40 and the like.
        self._name = "video_stream " + re.sub(r"//.*@", "//***@", config.url)
        self._counters: Counter[str] = Counter(
            bad_packets=0, burst_frames=0, stale_frames=0, dropped_frames=0, unstamped_frames=0, stalls=0, reopened=0
        )
        self._stamps = StreamClock(self._name, self._counters)
        self._source: PictureSource | None = None
        self._first: Picture | None = None
        self._size: tuple[int, int] | None = None
        http = config.url.startswith(("http://", "https://"))  # most likely motion JPEG; known once it is open
        self._domain = "host" if config.time == "arrival" or (config.time == "auto" and http) else "device"
        self._gap = self._reading = self._opened_before = self._believed = self._broken = False
        self._silent_s = 0.0

    @property
    def spec(self) -> StreamSpec:
        config = self._config
        size = self._size or (-1, -1)
        vision = config.modality == "vision"
        return StreamSpec(
            id=self._id,
            modality=config.modality,
            rate_hz=config.rate_hz,
            shape=(*size, 3) if vision else size,
            dtype="uint8" if vision else "float32",
            unit={"vision": "rgb8", "depth": "m", "thermal": "K"}[config.modality],
            max_delay_s=max(1.0, 3 / config.rate_hz),
            domain=self._domain,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._counters)

    def open(self) -> None:
        self.close()
        try:
            self._source = source = self._connect()
            self._first = self._wait_for_first(source)
            pixels = self._decode(self._first)
            if pixels is None:
                raise DeviceError(f"{self._name}: its first picture is broken; it will be opened again")
            self._size = self._size or (pixels.shape[0], pixels.shape[1])
            source.size = self._size
            self._choose_time(source)
        except DeviceError:
            self.close()
            raise
        self._counters["reopened"] += self._opened_before
        self._opened_before = True
        logger.info("%s: %s is open, %dx%d", self._id, self._name, self._size[1], self._size[0])

    def read(self, timeout_s: float) -> Chunk | None:
        source = self._source
        if source is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            picture = self._next(source, max(0, end_ns - self._clock.monotonic_ns()) / 1e9)
            if picture is None:
                return None
            chunk = self._chunk(picture)
            if chunk is not None:
                return chunk
            if self._clock.monotonic_ns() >= end_ns:
                return None

    def close(self) -> None:
        source, self._source, self._first = self._source, None, None
        self._gap = self._reading = self._broken = False
        self._silent_s = 0.0
        if source is not None:
            source.close()

    def _connect(self) -> PictureSource:
        config = self._config
        if config.url.startswith(("http://", "https://")) and config.modality == "vision":
            # Loaded by the first picture, it would let the next ones wait.
            import cv2  # noqa: F401

            body = HttpBody(self._name, config.url, config.open_timeout_s, verify_tls=config.verify_tls)
            kind = body.content_type.lower()
            if kind.startswith("multipart/"):
                header = config.timestamp_header if config.time in {"header", "sender"} else ""
                return MjpegSource(self._name, body, self._clock, self._counters, rate_hz=config.rate_hz, header=header)
            body.close()
            if kind.startswith("image/"):
                raise DeviceError(
                    f"{self._name}: sends a single picture ({kind.split(';')[0]}); wanted a stream of them, which most "
                    f"cameras have under another path; see the camera's manual",
                    permanent=True,
                )
            if kind.startswith("text/html"):
                raise DeviceError(
                    f"{self._name}: sends a web page; wanted a stream of pictures, which the camera has under another "
                    f"path; see its manual"
                )
        return FfmpegSource(
            self._name,
            config.url,
            self._clock,
            self._counters,
            transport=config.transport,
            open_timeout_s=config.open_timeout_s,
            stall_timeout_s=config.stall_timeout_s,
            sixteen_bit=config.modality != "vision",
            upright=config.upright,
        )

    def _wait_for_first(self, source: PictureSource) -> Picture:
        picture = source.take(self._config.open_timeout_s)
        if picture is None:
            raise DeviceError(
                f"{self._name}: cannot be opened: no whole picture in {self._config.open_timeout_s:g} s; check that "
                f"the camera is on; where it sends key frames more rarely, raise open_timeout_s"
            )
        return picture

    def _choose_time(self, source: PictureSource) -> None:
        wanted = self._config.time
        mjpeg = isinstance(source, MjpegSource)
        if wanted == "header" and not mjpeg:
            raise DeviceError(
                f"{self._name}: has no header with each picture, since it is no motion JPEG over HTTP; wanted by time: "
                f"header; set time: auto",
                permanent=True,
            )
        if wanted == "presentation" and (mjpeg or not source.tick_hz):
            raise DeviceError(
                f"{self._name}: has no clock of its own, as motion JPEG has none; wanted by time: presentation; set "
                f"time: auto",
                permanent=True,
            )
        arrival = wanted == "arrival" or not source.tick_hz
        if wanted == "sender":
            self._stamps.opened("sender")
        elif arrival:
            self._stamps.opened("arrival")
        else:
            self._stamps.opened("fit", source.tick_hz)
        self._domain = "host" if arrival and wanted != "sender" else "device"

    def _next(self, source: PictureSource, timeout_s: float) -> Picture | None:
        """The next picture; DeviceError once none came for stall_timeout_s in which we listened."""
        first, self._first = self._first, None
        if not self._reading:
            self._reading = True
            source.started()
        if first is not None:
            if self._clock.unix_ns() - first.seen.arrived_ns < _OLD_NS:
                return first
            self._gap = True
        began_ns = self._clock.monotonic_ns()
        picture = source.take(timeout_s)
        # Counted while we listen: a reader that does not come makes no camera silent.
        self._silent_s += (self._clock.monotonic_ns() - began_ns) / 1e9
        if picture is None:
            self._judge_silence()
        return picture

    def _judge_silence(self) -> None:
        if self._silent_s >= self._config.stall_timeout_s:
            self._counters["stalls"] += 1
            what = "none but broken pictures" if self._broken else "no picture"
            raise DeviceError(
                f"{self._name}: stalled: {what} for {self._config.stall_timeout_s:g} s; it will be opened again"
            )

    def _chunk(self, picture: Picture) -> Chunk | None:
        """One frame; None for one that cannot be stamped or decoded, which leaves a gap."""
        self._gap |= picture.gap
        stamped = self._stamps.stamp(picture.seen)
        pixels = self._decode(picture) if stamped is not None else None
        if stamped is not None and pixels is None:
            self._gap = True
            self._broken = True
            self._judge_silence()
            return None
        self._silent_s = 0.0
        self._broken = False
        if stamped is None or pixels is None:
            self._gap = True
            return None
        t_ns, clock = stamped
        gap, self._gap = self._gap, False
        data, raw = self._measure(pixels, picture.jpeg)
        tick = picture.seen.tick
        ticks = None if tick is None else np.array([tick], np.int64)
        return Chunk(data[None], np.array([t_ns], np.int64), gap, clock, ticks, raw)

    def _decode(self, picture: Picture) -> NDArray[Any] | None:
        try:
            pixels = picture.pixels()
        except BrokenFrame as broken:
            self._counters[broken.counter] += 1
            return None
        if self._config.modality != "vision" and self._size is not None and pixels.shape != self._size:
            raise DeviceError(
                f"{self._name}: its pictures changed from {self._size[1]}x{self._size[0]} to "
                f"{pixels.shape[1]}x{pixels.shape[0]}; measurements are not resized; set the camera back"
            )
        return pixels

    def _measure(self, pixels: NDArray[Any], jpeg: bytes | None) -> tuple[NDArray[Any], Raw | None]:
        """Data in the stream's unit, and what the camera sent."""
        config = self._config
        if config.depth_unit_m is not None:
            return to_metres(pixels, config.depth_unit_m), Raw(pixels[None], "16UC1", config.depth_unit_m)
        if config.scale_k is not None:
            self._warn_of_scale(pixels, config.scale_k)
            kelvin = pixels * np.float32(config.scale_k) + np.float32(config.offset_k)
            kelvin[kelvin == 0] = np.nan
            return kelvin, Raw(pixels[None], "mono16", config.scale_k, config.offset_k)
        return pixels, None if jpeg is None else Raw([jpeg], "jpeg")

    def _warn_of_scale(self, counts: NDArray[np.uint16], scale_k: float) -> None:
        if self._believed:
            return
        self._believed = True
        shifted = np.clip(counts + round(self._config.offset_k / scale_k), 0, 65535).astype(np.uint16)
        problem = implausible(shifted, scale_k)
        if problem:
            logger.warning("%s: %s: %s; check scale_k and offset_k", self._id, self._name, problem)

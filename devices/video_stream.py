"""A camera on the network: RTSP, HTTP motion JPEG, or whatever FFmpeg opens by URL."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from stream_bind.clock import Clock
from stream_bind.clocksync import ClockFit
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, StreamSpec
from stream_bind.registry import register_device

__all__ = ["VideoStream", "VideoStreamConfig"]

logger = logging.getLogger(__name__)

_NO_PTS_FORMATS = {"mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe"}
"""Formats without time stamps: FFmpeg counts their frames at 25 a second, whatever the camera does."""
_SETTLE_NS = 3_000_000_000
"""Longest opening burst (an RTSP server sends about 30 old frames at once: measured, 0.85 s)."""


class VideoStreamConfig(BaseModel):
    """A network camera."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["video_stream"] = "video_stream"
    """The device type, always "video_stream"."""
    url: str
    """Where the camera is: rtsp://, http:// (motion JPEG), tcp://, udp://, ... ; it may hold user:password@."""
    rate_hz: float = Field(default=30.0, gt=0, le=1000)
    """Frames per second the camera is set to; a stream does not say it reliably."""
    time: Literal["auto", "presentation", "arrival"] = "auto"
    """Where stamps come from: the stream's own clock fitted to host time, or arrival; auto asks whether it has one."""
    transport: Literal["tcp", "udp"] = "tcp"
    """RTSP: how pictures travel; tcp loses none."""
    open_timeout_s: float = Field(default=5.0, gt=0)
    """How long to wait for the camera when it is opened."""
    stall_timeout_s: float = Field(default=2.0, gt=0)
    """Silence after which the connection is given up."""
    upright: bool = True
    """Turn frames by the stream's rotation mark, where it has one."""

    @field_validator("url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        if not re.match(r"[a-z][a-z0-9+.-]*://", value):
            raise ValueError("is no URL; write rtsp://host/path or http://host/path, or use video_file for a file")
        return value


@register_device("video_stream", config=VideoStreamConfig, modalities=("vision",))
class VideoStream:
    """uint8 RGB frames, one a read.

    FFmpeg cannot be interrupted and resumed, so a read of a silent camera lasts up to stall_timeout_s, whatever its
    timeout says, and ends in a DeviceError. It must be read all the time: FFmpeg and the sockets keep old frames.
    `bad_packets` counts what could not be decoded, `burst_frames` the old frames a server sent at the opening.
    """

    def __init__(self, config: VideoStreamConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        # Passwords stay out of logs.
        self._name = "video_stream " + re.sub(r"//[^/@]*@", "//***@", config.url)
        self._container: Any = None
        self._av: Any = None
        self._frames: Iterator[Any] | None = None
        self._size: tuple[int, int] | None = None
        self._fit: ClockFit | None = None
        self._gap = False
        self.bad_packets = 0
        self.burst_frames = 0

    @property
    def spec(self) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="vision",
            rate_hz=self._config.rate_hz,
            shape=(*(self._size or (-1, -1)), 3),
            dtype="uint8",
            unit="rgb8",
            max_delay_s=max(1.0, 3 / self._config.rate_hz),
            domain="host" if self._config.time == "arrival" else "device",
        )

    def open(self) -> None:
        self.close()
        import av

        av.logging.set_level(av.logging.PANIC)
        self._av = av
        config = self._config
        rtsp: dict[str, str] = {"rtsp_transport": config.transport} if config.url.startswith("rtsp") else {}
        try:
            self._container = av.open(config.url, options=rtsp, timeout=(config.open_timeout_s, config.stall_timeout_s))
            tracks = self._container.streams.video
            if not tracks:
                raise DeviceError(f"{self._name}: carries no video; wanted a camera's stream")
            self._open_track(tracks[0])
        except DeviceError:
            self.close()
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            unknown = isinstance(error, av.error.ProtocolNotFoundError)
            raise DeviceError(
                f"{self._name}: cannot be opened: {self._words(error)}; check the address, and that the camera is on",
                permanent=unknown,
            ) from error

    def _open_track(self, track: Any) -> None:
        track.codec_context.thread_count = 1
        self._frames = self._decode(track)
        frame = next(self._frames)
        picture = self._picture(frame)
        self._size = self._size or (picture.shape[0], picture.shape[1])
        own_clock = self._container.format.name not in _NO_PTS_FORMATS
        wanted = own_clock if self._config.time == "auto" else self._config.time == "presentation"
        self._fit = ClockFit(float(1 / frame.time_base)) if wanted and frame.time_base else None
        self._opened_ns = self._clock.monotonic_ns()
        self._last: tuple[int, int] | None = None
        self._settled = self._fit is None
        logger.info("%s: %s is open, %dx%d", self._id, self._name, self._size[1], self._size[0])

    def read(self, timeout_s: float) -> Chunk | None:
        if self._frames is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            frame = next(self._frames)
            now_ns = self._clock.unix_ns()
            if self._settle(frame, now_ns):
                break
            if self._clock.monotonic_ns() >= end_ns:
                return None
        if self._fit is not None and frame.pts is not None:
            t_ns = self._fit.stamp([frame.pts], now_ns)
            clock = self._fit.clock
        else:
            t_ns, clock = np.array([now_ns], dtype=np.int64), ClockInfo("host", 0)
        chunk = Chunk(self._picture(frame)[None], t_ns, self._gap, clock)
        self._gap = False
        return chunk

    def close(self) -> None:
        container, self._container, self._frames = self._container, None, None
        self._gap = False
        if container is not None:
            try:
                container.close()
            except Exception as error:  # FFmpeg's parting words about a dead connection help nobody
                logger.debug("%s: closing: %s", self._id, error)

    def _decode(self, track: Any) -> Iterator[Any]:
        """Frames; DeviceError when the stream ends or stalls."""
        container = self._container
        try:
            for packet in container.demux(track):
                try:
                    frames = packet.decode()
                except self._av.error.InvalidDataError:
                    self.bad_packets += 1
                    self._gap = True
                    continue
                yield from frames
        except self._av.error.ExitError as error:
            raise DeviceError(
                f"{self._name}: stalled: no picture for {self._config.stall_timeout_s:g} s; it will be opened again"
            ) from error
        except (self._av.FFmpegError, OSError) as error:
            raise DeviceError(f"{self._name}: lost: {self._words(error)}; it will be opened again") from error
        raise DeviceError(f"{self._name}: the camera ended the stream; it will be opened again")

    def _settle(self, frame: Any, now_ns: int) -> bool:
        """Whether the opening burst is over: its frames are old, and arrive faster than they were taken."""
        if self._settled or self._fit is None or frame.pts is None:
            return True
        pts_ns = round(frame.pts * frame.time_base * 1_000_000_000)
        last, self._last = self._last, (pts_ns, now_ns)
        in_time = last is not None and now_ns - last[1] >= (pts_ns - last[0]) / 2
        self._settled = in_time or self._clock.monotonic_ns() - self._opened_ns > _SETTLE_NS
        self.burst_frames += not self._settled
        return self._settled

    def _picture(self, frame: Any) -> NDArray[np.uint8]:
        turns = round(frame.rotation / 90) % 4 if self._config.upright else 0
        height, width = self._size or (0, 0)
        if turns % 2:
            height, width = width, height
        picture = frame.to_ndarray(format="rgb24", width=width or frame.width, height=height or frame.height)
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    def _words(self, error: Exception) -> str:
        return str(getattr(error, "strerror", None) or type(error).__name__)

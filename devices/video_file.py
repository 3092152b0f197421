"""A recorded video as a camera: frames with their presentation time stamps, at whatever rate they were taken."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from devices.media import MediaFile, ticks_to_ns
from devices.pacing import RecordingConfig
from devices.recording import Block, Contents, Recording
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import StreamSpec
from stream_bind.registry import register_device

__all__ = ["VideoFile", "VideoFileConfig"]

logger = logging.getLogger(__name__)

_WANTED = "a video file (mp4, mkv, mov, avi, webm, ...)"


class VideoFileConfig(RecordingConfig):
    """A video file read frame by frame."""

    type: Literal["video_file"] = "video_file"
    """The device type, always "video_file"."""
    path: Path
    """The video file."""
    track: int = Field(default=0, ge=0)
    """Which of the file's video tracks, counted from 0; cover pictures do not count."""
    rate_hz: float | None = Field(default=None, gt=0)
    """Nominal frame rate, by default what the file says; time stamps are the file's in any case."""
    upright: bool = True
    """Turn frames by the file's rotation mark, as players do; false keeps them as the sensor stored them."""
    threads: int = Field(default=1, ge=0)
    """Decoder threads, 0 for as many as there are cores."""


@register_device("video_file", config=VideoFileConfig, modalities=("vision",))
class VideoFile(Recording):
    """uint8 RGB frames. `bad_packets` counts what could not be decoded, `bad_frames` what was concealed."""

    def __init__(self, config: VideoFileConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, stream_id, clock)
        self._config = config
        self.bad_packets = 0
        self.bad_frames = 0

    def _nominal(self, rate_hz: float = 30.0, size: tuple[int, int] = (-1, -1)) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="vision",
            rate_hz=self._config.rate_hz or rate_hz,
            shape=(*size, 3),
            dtype="uint8",
            unit="rgb8",
            live=False,
            domain="file",
        )

    def _block_size(self, spec: StreamSpec) -> int:
        return 1

    def _describe(self) -> Contents:
        with self._media() as media:
            track = media.track("video", self._config.track)
            frame = next(self._frames(media, track), (0, None, False))[1]
            if frame is None:
                raise DeviceError(
                    f"video_file {self._config.path}: track {self._config.track} ({track.codec_context.name}) holds no "
                    f"frame that can be decoded; the file is damaged",
                    permanent=True,
                )
            declared = float(track.average_rate or track.guessed_rate or 0)
            spec = self._nominal(declared or 30.0, (frame.shape[0], frame.shape[1]))
            return Contents(spec, media.created_ns, media.length_ns)

    def _media(self) -> MediaFile:
        return MediaFile(self._config.path, "video_file", _WANTED)

    def _blocks(self) -> Iterator[Block]:
        self.bad_packets = self.bad_frames = 0
        with self._media() as media:
            track = media.track("video", self._config.track)
            for t_ns, frame, gap in self._frames(media, track):
                yield Block(frame[None], np.array([t_ns], dtype=np.int64), gap)
        if self.bad_packets or self.bad_frames:
            logger.warning(
                "%s: %s: %d packets could not be decoded, %d frames are damaged",
                self._id,
                self._config.path,
                self.bad_packets,
                self.bad_frames,
            )

    def _frames(self, media: MediaFile, track: Any) -> Iterator[tuple[int, NDArray[Any], bool]]:
        """(t_ns from the container's zero, (H, W, 3) uint8, whether frames are missing before it)."""
        track.codec_context.thread_count = self._config.threads
        width, height = track.codec_context.width, track.codec_context.height
        period_ns = round(1e9 / float(track.average_rate or 30))
        next_ns, gap = 0, False
        for frame in media.decode(track):
            if frame is None:
                self.bad_packets += 1
                gap = True
                continue
            self.bad_frames += bool(frame.is_corrupt)
            t_ns = next_ns if frame.pts is None else ticks_to_ns(frame.pts, frame.time_base) - media.zero_ns
            next_ns = t_ns + period_ns
            # A size that changes in mid-file is scaled to the first one: the stream's shape is a promise.
            picture = frame.to_ndarray(format="rgb24", width=width or frame.width, height=height or frame.height)
            width, height = picture.shape[1], picture.shape[0]
            turns = round(frame.rotation / 90) % 4 if self._config.upright else 0
            yield t_ns, np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture, gap
            gap = False

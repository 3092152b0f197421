"""Any camera OpenCV can open, stamped when its frame is grabbed: the way on Windows and macOS, and for odd sources.

OpenCV hides kernel stamps' companions (sequence numbers, error flags) and chooses buffers itself; on Linux use
v4l2_camera, for network cameras video_stream.
"""

from __future__ import annotations

import logging
import math
import os
import platform
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from devices.base import Found
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, StreamSpec
from stream_bind.registry import register_device

__all__ = ["OpencvCamera", "OpencvCameraConfig"]

logger = logging.getLogger(__name__)

_SELECT_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"
"""Seconds OpenCV waits for a V4L2 frame, 10 unless set; read once, when cv2 is imported."""
_BACKENDS = {"v4l2": "CAP_V4L2", "avfoundation": "CAP_AVFOUNDATION", "dshow": "CAP_DSHOW", "msmf": "CAP_MSMF"}
_BACKENDS |= {"ffmpeg": "CAP_FFMPEG", "auto": "CAP_ANY"}
_ON_LINUX = platform.system() == "Linux"
_PROBED = 4
"""Indices that `discover` tries."""


class OpencvCameraConfig(BaseModel):
    """A camera through OpenCV's capture."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["opencv_camera"] = "opencv_camera"
    """The device type, always "opencv_camera"."""
    source: int | str
    """What OpenCV opens: a path, a URL, or an index, which may be another camera after a replug."""
    backend: Literal["auto", "v4l2", "avfoundation", "dshow", "msmf", "ffmpeg"] = "auto"
    """Which of OpenCV's ways to take."""
    width: int | None = Field(default=None, ge=1, le=16384)
    """Pixels in a line to ask for; absent: as the camera is."""
    height: int | None = Field(default=None, ge=1, le=16384)
    """Lines to ask for."""
    rate_hz: float = Field(default=30.0, gt=0, le=1000)
    """Frames per second to ask for."""
    stall_timeout_s: float = Field(default=2.0, gt=0, le=600)
    """Silence after which the camera is given up; by some backends a read lasts longer (see the docs)."""


@register_device("opencv_camera", config=OpencvCameraConfig, modalities=("vision",))
class OpencvCamera:
    """uint8 RGB frames, one a read, stamped on the host.

    OpenCV cannot be interrupted, so a read of a silent camera lasts as long as its backend waits. Counts stale_frames:
    those that waited in OpenCV's buffers while nobody read, whose time nobody knows.
    """

    def __init__(self, config: OpencvCameraConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._name = f"opencv_camera {config.source}"
        self._capture: Any = None
        self._size: tuple[int, int] | None = None
        self._grabbed_ns = 0
        self._stale = self._gap = False
        self._last_ns = -(1 << 62)
        self._counters: Counter[str] = Counter(stale_frames=0)

    @property
    def spec(self) -> StreamSpec:
        config = self._config
        wanted = (config.height or -1, config.width or -1)
        return StreamSpec(
            id=self._id,
            modality="vision",
            rate_hz=config.rate_hz,
            shape=(*(self._size or wanted), 3),
            dtype="uint8",
            unit="rgb8",
            max_delay_s=max(1.0, 3 / config.rate_hz),
            domain="host",
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """Nothing on Linux, where v4l2_camera knows more; elsewhere the indices that open, if it may try them."""
        if _ON_LINUX or not probe:
            return []
        import cv2

        found = []
        for index in range(_PROBED):
            capture = cv2.VideoCapture(index)
            if capture.isOpened():
                name = f"camera {index} ({capture.getBackendName()})"
                config = {"type": "opencv_camera", "source": index}
                warning = "an index may be another camera after a replug; OpenCV does not tell names or serial numbers"
                found.append(Found(name, f"index {index}", "vision", config, warnings=(warning,)))
            capture.release()
        return found

    def open(self) -> None:
        self.close()
        config = self._config
        if isinstance(config.source, int):
            logger.warning(
                "%s: index %d may be another camera after a replug; name a path if there is one",
                self._id,
                config.source,
            )
        if isinstance(config.source, str) and Path(config.source).is_file():
            raise DeviceError(f"{self._name}: is a file, no camera; use type: video_file", permanent=True)
        cv2 = self._import()
        backend = getattr(cv2, _BACKENDS[config.backend])
        timeout_ms = round(config.stall_timeout_s * 1000)
        network = isinstance(config.source, str) and "://" in config.source
        options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        # Only FFmpeg knows these, and takes them only here.
        capture = cv2.VideoCapture(config.source, backend, options if network else [])
        if not capture.isOpened():
            capture.release()
            raise DeviceError(
                f"{self._name}: cannot be opened; check that it is attached, that no other program holds it, and that "
                f"this program may use cameras"
            )
        self._capture = capture
        try:
            self._set_up(cv2, capture)
            self._first()
        except DeviceError:
            self.close()
            raise

    def read(self, timeout_s: float) -> Chunk | None:
        """timeout_s is not heeded while OpenCV waits, see the class."""
        if self._capture is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        period_ns = 1e9 / self._config.rate_hz
        began_ns = self._clock.monotonic_ns()
        self._stale |= began_ns - self._grabbed_ns > 1.5 * period_ns
        while True:
            before_ns = self._clock.monotonic_ns()
            self._grab()
            self._grabbed_ns = self._clock.monotonic_ns()
            # After a pause, frames that come without waiting are old: OpenCV keeps up to four (measured).
            self._stale &= self._grabbed_ns - before_ns <= period_ns / 4
            if not self._stale:
                break
            self._counters["stale_frames"] += 1
            self._gap = True
            if self._grabbed_ns - began_ns > timeout_s * 1e9:
                return None
        t_ns = max(self._clock.unix_ns(), self._last_ns + 1)
        picture = self._retrieve()
        gap, self._gap = self._gap, False
        self._last_ns = t_ns
        # A frame is grabbed within one period of being taken, as far as one can know.
        return Chunk(picture[None], np.array([t_ns], np.int64), gap, ClockInfo("host", round(period_ns / 2)))

    def close(self) -> None:
        capture, self._capture = self._capture, None
        self._stale = self._gap = False
        if capture is not None:
            try:
                capture.release()
            except Exception as error:  # cv2.error of a device that is gone helps nobody
                logger.debug("%s: closing: %s", self._id, error)

    def _import(self) -> Any:
        if "cv2" not in sys.modules:
            os.environ.setdefault(_SELECT_TIMEOUT, str(math.ceil(self._config.stall_timeout_s)))
        elif _ON_LINUX and _SELECT_TIMEOUT not in os.environ and self._config.backend in {"auto", "v4l2"}:
            logger.warning(
                "%s: OpenCV was loaded before %s was set: a read of a silent camera will last 10 s; set it to %d in "
                "the environment, or use v4l2_camera",
                self._id,
                _SELECT_TIMEOUT,
                math.ceil(self._config.stall_timeout_s),
            )
        import cv2

        return cv2

    def _set_up(self, cv2: Any, capture: Any) -> None:
        config = self._config
        if config.width is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
        if config.height is not None:
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
        capture.set(cv2.CAP_PROP_FPS, config.rate_hz)
        got = capture.get(cv2.CAP_PROP_FPS)
        if got > 0 and abs(got / config.rate_hz - 1) > 0.05:
            logger.warning(
                "%s: %s: wanted %g frames/s, it says %g; set rate_hz to what `stream-bind doctor` measures, since the "
                "stream's windows count on it",
                self._id,
                self._name,
                config.rate_hz,
                got,
            )

    def _first(self) -> None:
        """The size is known from a picture only: what properties say and what comes differ."""
        self._grab()
        self._grabbed_ns = self._clock.monotonic_ns()
        self._size = None
        picture = self._retrieve()
        height, width = picture.shape[:2]
        wanted = (self._config.width or width, self._config.height or height)
        if (width, height) != wanted:
            raise DeviceError(
                f"{self._name}: wanted {wanted[0]}x{wanted[1]}, it gives {width}x{height}; ask for a size it has",
                permanent=True,
            )
        self._size = (height, width)
        logger.info("%s: %s is open, %dx%d", self._id, self._name, width, height)

    def _grab(self) -> None:
        # isOpened() stays True when a camera is unplugged and when a stream ends, so a failed grab is the only sign.
        if not self._capture.grab():
            raise DeviceError(f"{self._name}: lost or stalled: no frame came; it will be opened again")

    def _retrieve(self) -> Any:
        import cv2

        ok, picture = self._capture.retrieve()
        if not ok or picture is None:
            raise DeviceError(f"{self._name}: its frames cannot be decoded; it will be opened again")
        if picture.dtype != np.uint8 or picture.ndim not in {2, 3} or picture.shape[2:] not in {(), (3,)}:
            raise DeviceError(
                f"{self._name}: delivers {picture.dtype} {picture.shape}; wanted 8-bit colour", permanent=True
            )
        if self._size is not None and picture.shape[:2] != self._size:
            raise DeviceError(f"{self._name}: its frames changed to {picture.shape[1]}x{picture.shape[0]}")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB if picture.ndim == 3 else cv2.COLOR_GRAY2RGB)

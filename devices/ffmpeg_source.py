"""A stream FFmpeg opens by URL, as decoded pictures with what is known about their time."""

from __future__ import annotations

import logging
import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.packet_pump import Arrived, PacketPump
from devices.stream_clock import Seen
from devices.stream_picture import Picture
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError

__all__ = ["FfmpegSource"]

logger = logging.getLogger(__name__)

_NO_PTS_FORMATS = {"mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe"}
"""Formats without time stamps: FFmpeg counts their frames at 25 a second, whatever the camera does."""
_HELD_BACK = {"h264", "hevc"}
"""Over RTSP, FFmpeg hands out a picture of these when the next one's first packet comes (its parsers find the end of a
picture by the beginning of the next): what came with a picture is the hand-out of the one before. Measured against the
true time, 30 pictures a second on loopback: 36 ms late by its own hand-out, 3 ms by the one before."""
_COUNTS = {"gray16le", "gray16be"}
_SPARE_S = 0.5
"""FFmpeg gives up this much later than we do, so that what its parsers spit out then comes too late to be delivered."""


class FfmpegSource:
    """Open from the start; one `take` after the other from one thread, then `close`.

    Counts bad_packets (could not be decoded) and dropped_frames (nobody took them in time).
    """

    def __init__(
        self,
        name: str,
        url: str,
        clock: Clock,
        counters: Counter[str],
        *,
        transport: str,
        open_timeout_s: float,
        stall_timeout_s: float,
        sixteen_bit: bool,
        upright: bool,
    ) -> None:
        """sixteen_bit: pictures are uint16 counts, and nothing else will do. Raises DeviceError."""
        import av

        av.logging.set_level(av.logging.PANIC)
        self._av: Any = av
        self._name = name
        self._clock = clock
        self._counters = counters
        self._sixteen_bit = sixteen_bit
        self._upright = upright
        self.size: tuple[int, int] | None = None
        """Height and width to bring pictures to, where they are to be other than they come."""
        # Opening by the usual probing takes 0.94 s and leaves 30 old pictures to be read, so 0.11 s and 3: measured.
        options = {"fpsprobesize": "0"}
        rtsp = url.startswith(("rtsp://", "rtsps://"))
        if rtsp:
            options |= {"rtsp_transport": transport, "analyzeduration": "1", "allowed_media_types": "video"}
        patience_s = max(open_timeout_s, stall_timeout_s) + _SPARE_S
        began_ns = clock.monotonic_ns()
        try:
            container = av.open(url, options=options, timeout=(open_timeout_s, patience_s))
        except (av.FFmpegError, OSError, ValueError) as error:
            unknown = isinstance(error, av.error.ProtocolNotFoundError)
            # FFmpeg calls an answer that was not waited for invalid.
            late = clock.monotonic_ns() - began_ns > 0.9 * open_timeout_s * 1e9
            why = f"no answer for {open_timeout_s:g} s" if late else _words(error)
            raise DeviceError(
                f"{name}: cannot be opened: {why}; check the address, and that the camera is on",
                permanent=unknown,
            ) from error
        tracks = container.streams.video
        if not tracks:
            container.close()
            raise DeviceError(f"{name}: carries no video; wanted a camera's stream")
        track = tracks[0]
        track.codec_context.thread_count = 1
        unit_s = None if container.format.name in _NO_PTS_FORMATS else track.time_base
        self.tick_hz = float(1 / unit_s) if unit_s else 0.0
        """Ticks a second of the stream's own clock; 0: it has none."""
        self._held_back = rtsp and track.codec_context.name in _HELD_BACK
        self._arrivals: OrderedDict[int | None, tuple[int, int | None]] = OrderedDict()
        self._pending: deque[Any] = deque()
        self._gap = self._told_time = False
        self._pump = PacketPump(name, container, track, clock.unix_ns)
        self._dropped_before: int | None = None

    def take(self, timeout_s: float) -> Picture | None:
        """The next picture, None if none came within timeout_s. Raises DeviceError when the stream is over."""
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._pending:
            left_ns = end_ns - self._clock.monotonic_ns()
            try:
                arrived = self._pump.take(max(0, left_ns) / 1e9)
            except EOFError as error:
                raise DeviceError(f"{self._name}: the camera ended the stream; it will be opened again") from error
            except self._av.error.ExitError as error:
                raise DeviceError(f"{self._name}: stalled; it will be opened again") from error
            except (self._av.FFmpegError, OSError) as error:
                raise DeviceError(f"{self._name}: lost: {_words(error)}; it will be opened again") from error
            if arrived is None:
                return None
            self._decode(arrived)
            if left_ns <= 0 and not self._pending:
                return None
        frame = self._pending.popleft()
        arrived_ns, sender_ns = self._arrivals.pop(frame.pts, (self._clock.unix_ns(), None))
        gap, self._gap = self._gap, False
        tick = frame.pts if self.tick_hz else None
        return Picture(Seen(arrived_ns, 0, tick, sender_ns), gap, self._pixels(frame))

    def started(self) -> None:
        """Somebody reads from now on: what was dropped before was nobody's."""
        self._dropped_before = self._pump.dropped

    def close(self) -> None:
        self._pending.clear()
        self._pump.stop()

    def _decode(self, arrived: Arrived) -> None:
        if self._dropped_before is not None and self._pump.dropped > self._dropped_before:
            self._counters["dropped_frames"] += self._pump.dropped - self._dropped_before
            self._dropped_before = self._pump.dropped
        self._gap |= arrived.gap
        packet = arrived.packet
        at_ns = arrived.before_ns if self._held_back and arrived.before_ns else arrived.at_ns
        self._arrivals[packet.pts] = at_ns, self._sender_ns(packet)
        while len(self._arrivals) > 64:  # more than any decoder reorders; some packets give no picture
            self._arrivals.popitem(last=False)
        try:
            frames = packet.decode()
        except self._av.error.InvalidDataError:
            self._counters["bad_packets"] += 1
            self._gap = True
            return
        if packet.is_corrupt:
            self._counters["bad_packets"] += 1
        self._pending.extend(frames)

    def _sender_ns(self, packet: Any) -> int | None:
        """By the newest RTCP sender report: AVProducerReferenceTime, int64 microseconds of UNIX time."""
        if not packet.has_sidedata("prft"):
            return None
        told, self._told_time = self._told_time, True
        # With the first report, the picture held back is given the time of the one after it (33 ms off: measured).
        if not told and self._held_back:
            return None
        (wall_us,) = struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))
        return int(wall_us) * 1000

    def _pixels(self, frame: Any) -> Callable[[], NDArray[Any]]:
        return (lambda: self._sixteen(frame)) if self._sixteen_bit else (lambda: self._colour(frame))

    def _sixteen(self, frame: Any) -> NDArray[np.uint16]:
        if frame.format.name not in _COUNTS:
            raise DeviceError(
                f"{self._name}: sends {frame.format.name}; wanted 16-bit counts (gray16le), since any other format has "
                f"lost the measurement",
                permanent=True,
            )
        counts: NDArray[np.uint16] = frame.to_ndarray().astype(np.uint16)
        return counts

    def _colour(self, frame: Any) -> NDArray[np.uint8]:
        turns = round(frame.rotation / 90) % 4 if self._upright else 0
        height, width = self.size or (0, 0)
        if turns % 2:
            height, width = width, height
        picture = frame.to_ndarray(format="rgb24", width=width or frame.width, height=height or frame.height)
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)

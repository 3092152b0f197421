"""A video whose frames are messages (foxglove.CompressedVideo): one decoder for a topic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.records import Picture

__all__ = ["CODECS", "FrameDecoder"]

CODECS = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": "libdav1d"}
"""Foxglove's names to FFmpeg's decoders. There are no B frames: each message gives one picture."""


class FrameDecoder:
    """Frames in the order of their messages. `n_bad` counts messages that gave none."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._context = self._new()
        self.n_bad = 0

    def _new(self) -> Any:
        import av

        av.logging.set_level(av.logging.PANIC)
        context = av.CodecContext.create(CODECS[self._encoding], "r")
        context.thread_count = 1
        return context

    def size_of(self, first: Picture) -> tuple[int, int] | None:
        """(H, W) of the video that this message begins; None where it cannot be decoded alone."""
        context, self._context = self._context, self._new()
        try:
            found = [*self._decoded(context, bytes(first.data), 0), *self._decoded(context, None, 0)]
        finally:
            del context
        return None if not found else (found[0][1].shape[0], found[0][1].shape[1])

    def frames(self, record: Picture, t_ns: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(t_ns, (H, W, 3) uint8 RGB) of what the decoder gives back for this message."""
        yield from self._decoded(self._context, bytes(record.data), t_ns)

    def rest(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """What it held back."""
        context, self._context = self._context, self._new()
        yield from self._decoded(context, None, 0)

    def _decoded(self, context: Any, data: bytes | None, t_ns: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        import av

        packet = None
        if data is not None:
            packet = av.Packet(data)
            # The decoder gives a frame the pts of its packet, whenever it comes out.
            packet.pts = packet.dts = t_ns
        try:
            for frame in context.decode(packet):
                yield int(frame.pts if frame.pts is not None else t_ns), frame.to_ndarray(format="rgb24")
        except av.EOFError:
            return
        except (av.FFmpegError, ValueError):
            self.n_bad += 1

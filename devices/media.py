"""Media containers through FFmpeg (PyAV): tracks, their clock, and decoding that survives damage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devices.recording import check_file, describe_file
from stream_bind.errors import DeviceError

__all__ = ["MediaFile", "ticks_to_ns"]


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """A count of `time_base` seconds in ns, rounded to the nearest, in integers."""
    scaled = ticks * time_base.numerator * 1_000_000_000
    return (2 * scaled + time_base.denominator) // (2 * time_base.denominator)


class MediaFile:
    """An open container. All its tracks share one zero, so that a file's sound and picture stay together."""

    def __init__(self, path: Path, driver: str, wanted: str) -> None:
        check_file(path, driver, wanted)
        import av

        # Damage is counted and reported by the drivers; FFmpeg's own lines would flood stderr.
        av.logging.set_level(av.logging.PANIC)
        self._name = f"{driver} {path}"
        self._wanted = wanted
        self._av: Any = av
        try:
            self._container: Any = av.open(str(path))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise DeviceError(
                f"{self._name}: cannot be read as media; wanted {wanted}, found {describe_file(path)}", permanent=True
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def zero_ns(self) -> int:
        """The container's start on its own clock (AV_TIME_BASE is a microsecond)."""
        return int(self._container.start_time or 0) * 1000

    @property
    def length_ns(self) -> int | None:
        """Length of the longest track, where the container says it."""
        return None if self._container.duration is None else int(self._container.duration) * 1000

    @property
    def created_ns(self) -> int:
        """UNIX ns of the container's creation time; 0 where it has none or an unset one (1904, 1970)."""
        said = self._container.metadata.get("creation_time", "")
        try:
            when = datetime.fromisoformat(said)
        except ValueError:
            return 0
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0, round(when.timestamp() * 1e6) * 1000)

    def track(self, kind: str, number: int) -> Any:
        """The `number`th "video" or "audio" track; DeviceError saying what the file does hold."""
        streams = [stream for stream in self._container.streams if stream.type == kind and not _is_cover(stream)]
        if number < len(streams):
            if streams[number].codec_context is None:
                raise DeviceError(
                    f"{self._name}: {kind} track {number} is in a format that FFmpeg does not decode; "
                    f"wanted {self._wanted}",
                    permanent=True,
                )
            return streams[number]
        held = [f"{stream.type} ({_codec(stream)})" for stream in self._container.streams]
        if streams:
            problem = f"has no {kind} track {number}; it has {len(streams)}, counted from 0"
        else:
            problem = f"has no {kind} track; it holds {', '.join(held) or 'no track at all'}"
        raise DeviceError(f"{self._name}: {problem}; wanted {self._wanted}", permanent=True)

    @property
    def tracks(self) -> list[tuple[str, str, int | None]]:
        """Of each track: video, cover, audio, subtitle, data ...; its codec; its length in ns, where it is said."""
        return [
            (
                "cover" if _is_cover(stream) else str(stream.type or "unknown"),
                _codec(stream),
                None if not stream.duration else ticks_to_ns(stream.duration, Fraction(stream.time_base)),
            )
            for stream in self._container.streams
        ]

    def packets(self, number: int) -> Iterator[tuple[int | None, int | None, bytes]]:
        """(ns from the container's zero, length in ns, bytes) of each packet of the `number`th of all tracks."""
        stream = self._container.streams[number]
        base = Fraction(stream.time_base)
        try:
            for packet in self._container.demux(stream):
                if packet.size:
                    pts = None if packet.pts is None else ticks_to_ns(packet.pts, base) - self.zero_ns
                    yield pts, ticks_to_ns(packet.duration, base) if packet.duration else None, bytes(packet)
        except (self._av.FFmpegError, OSError):
            return

    def decode(self, track: Any) -> Iterator[Any]:
        """The track's frames in presentation order; None for each packet that could not be decoded."""
        packets = self._container.demux(track)
        while True:
            try:
                packet = next(packets, None)
            except (self._av.FFmpegError, OSError):
                # The container itself is damaged or cut off here: nothing after it can be found.
                yield None
                return
            if packet is None:
                return
            try:
                frames = packet.decode()
            except self._av.EOFError:
                return
            except self._av.FFmpegError:
                yield None
                continue
            yield from frames


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and "attached_pic" in str(getattr(stream, "disposition", ""))


def _codec(stream: Any) -> str:
    context = getattr(stream, "codec_context", None)
    return "unknown" if context is None else str(context.name)

"""A foreign recording written as a log of our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from stream_bind.errors import LogError
from stream_bind.importers.base import Piece, Source
from stream_bind.importers.units import UnitCheck
from stream_bind.log.codec import ChunkWriter, Colour
from stream_bind.log.writer import LogWriter

__all__ = ["Imported", "import_log"]


@dataclass(slots=True)
class Imported:
    """What became of a source."""

    samples: Counter[str] = field(default_factory=Counter)
    """By stream."""
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)


def import_log(
    source: Source,
    writer: LogWriter,
    *,
    streams: Collection[str] | None = None,
    colour: Colour = "jpeg",
    on_progress: Callable[[Piece], None] | None = None,
) -> Imported:
    """Write every chunk of `source`, or of these streams of it, to `writer`, which is opened and closed here.

    LogError where a stream is not there, the source cannot be read on, or the disk is full.
    """
    unknown = [name for name in streams or () if name not in source.specs]
    if unknown:
        raise LogError(f"no stream {', '.join(unknown)}; it has {', '.join(source.specs)}")
    specs = {name: spec for name, spec in source.specs.items() if streams is None or name in streams}
    coders = {name: ChunkWriter(name, spec, colour) for name, spec in specs.items()}
    checks = {name: UnitCheck(spec) for name, spec in specs.items()}
    done = Imported()
    writer.open()
    try:
        for coder in coders.values():
            for topic, info in coder.topics().items():
                writer.topic(topic, info.type, info.metadata)
        for piece in source.pieces():
            if piece.stream not in coders:
                continue
            checks[piece.stream].add(piece.chunk)
            done.samples[piece.stream] += len(piece.chunk)
            log_time_ns = int(piece.chunk.t_ns[-1]) if piece.log_time_ns is None else piece.log_time_ns
            for entry in coders[piece.stream].chunk(piece.chunk):
                writer.write(entry.topic, entry.data, max(log_time_ns, 0), max(entry.publish_time, 0))
            if writer.full:
                raise LogError(writer.full)
            if on_progress is not None:
                on_progress(piece)
        writer.close("imported")
    except BaseException:
        _discard(writer)
        raise
    done.doubts = [*source.doubts, *(doubt for check in checks.values() for doubt in check.doubts())]
    done.losses = list(source.losses)
    if not done.samples:
        _discard(writer)
        raise LogError(f"not one sample could be read; {'; '.join(done.losses) or 'its streams are empty'}")
    return done


def _discard(writer: LogWriter) -> None:
    """Half an import is worth nothing: its source is still there."""
    writer.close("failed")
    for path in map(Path, writer.paths):
        path.unlink(missing_ok=True)

"""A foreign recording written as a log of our own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from stream_bind.errors import LogError
from stream_bind.importers.base import Piece, Source
from stream_bind.importers.units import UnitCheck
from stream_bind.log.codec import ChunkWriter, Colour
from stream_bind.log.survey import StreamSurvey
from stream_bind.log.writer import LogWriter
from stream_bind.messages import StreamSpec

__all__ = ["Imported", "import_log", "measure"]


@dataclass(slots=True)
class Imported:
    """What became of a source."""

    streams: dict[str, StreamSurvey]
    """What was measured of each."""
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
    specs = _chosen(source, streams)
    coders = {name: ChunkWriter(name, spec, colour) for name, spec in specs.items()}
    writer.open()
    try:
        for coder in coders.values():
            for topic, info in coder.topics().items():
                writer.topic(topic, info.type, info.metadata)

        def write(piece: Piece) -> None:
            log_time_ns = int(piece.chunk.t_ns[-1]) if piece.log_time_ns is None else piece.log_time_ns
            for entry in coders[piece.stream].chunk(piece.chunk):
                writer.write(entry.topic, entry.data, max(log_time_ns, 0), max(entry.publish_time, 0))
            if writer.full:
                raise LogError(writer.full)
            if on_progress is not None:
                on_progress(piece)

        done = _read(source, specs, write)
        writer.close("imported")
    except BaseException:
        _discard(writer)
        raise
    if not any(each.n_samples for each in done.streams.values()):
        _discard(writer)
        raise LogError(f"not one sample could be read; {'; '.join(done.losses) or 'its streams are empty'}")
    return done


def measure(
    source: Source,
    *,
    streams: Collection[str] | None = None,
    on_progress: Callable[[Piece], None] | None = None,
) -> Imported:
    """Read everything as `import_log` does, and write nothing."""
    return _read(source, _chosen(source, streams), on_progress)


def _chosen(source: Source, streams: Collection[str] | None) -> dict[str, StreamSpec]:
    unknown = [name for name in streams or () if name not in source.specs]
    if unknown:
        raise LogError(f"no stream {', '.join(unknown)}; it has {', '.join(source.specs)}")
    return {name: spec for name, spec in source.specs.items() if streams is None or name in streams}


def _read(source: Source, specs: dict[str, StreamSpec], take: Callable[[Piece], None] | None) -> Imported:
    checks = {name: UnitCheck(spec) for name, spec in specs.items()}
    done = Imported({name: StreamSurvey(spec) for name, spec in specs.items()})
    for piece in source.pieces():
        if piece.stream not in specs:
            continue
        chunk = piece.chunk
        checks[piece.stream].add(chunk)
        done.streams[piece.stream].add(chunk.t_ns, chunk.gap_before, chunk.clock.domain, chunk.clock.err_ns)
        if take is not None:
            take(piece)
    done.doubts = [*source.doubts, *(doubt for check in checks.values() for doubt in check.doubts())]
    done.losses = list(source.losses)
    return done


def _discard(writer: LogWriter) -> None:
    """Half an import is worth nothing: its source is still there."""
    writer.close("failed")
    for path in map(Path, writer.paths):
        path.unlink(missing_ok=True)

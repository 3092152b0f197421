"""What is in a recording of another program, as a person and as JSON see it."""

from __future__ import annotations

import sys
from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_bind.cli.streams_table import plain_streams, print_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stream_bind.importers.base import ImportOptions, Piece, Source
    from stream_bind.importers.job import Imported

__all__ = ["Foreign", "inspect", "progress_of"]

_MOST = 12
"""Topics that are no streams are named up to here: a car has hundreds."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A recording that was read once."""

    path: Path
    format: str
    skipped: dict[str, str]
    done: Imported
    output: Path | None = None

    @classmethod
    def of(cls, path: Path, source: Source, done: Imported, output: Path | None = None) -> Foreign:
        """After its pieces were read."""
        return cls(path, source.format, dict(source.skipped), done, output)

    def plain(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "source": str(self.path),
            "format": self.format,
            "output": None if self.output is None else str(self.output),
            "streams": plain_streams(self.done.streams),
            "skipped": self.skipped,
            "doubts": self.done.doubts,
            "losses": self.done.losses,
        }

    def print(self) -> None:
        """For a person: streams on standard output, doubts and losses on standard error."""
        print(f"{self.path}: {self.format}\n")
        print_streams(self.done.streams)
        skipped = list(self.skipped.items())
        if skipped:
            print()
        for name, why in skipped[:_MOST]:
            print(f"not taken: {name}: {why}")
        if len(skipped) > _MOST:
            print(f"... and {len(skipped) - _MOST:,} more that are no streams")
        sys.stdout.flush()
        for doubt in self.done.doubts:
            print(f"stream-bind: doubt: {doubt}", file=sys.stderr)
        for loss in self.done.losses:
            print(f"stream-bind: lost: {loss}", file=sys.stderr)
        if self.output is not None:
            print(f"\nwritten: {self.output}; `stream-bind replay {self.output} --encoder imagebind-tiny` embeds it")
        else:
            print(f"\nnothing was written; `stream-bind import {self.path} -o LOG.mcap` makes a log of it")


def inspect(path: Path, options: ImportOptions | None = None, streams: Collection[str] | None = None) -> Foreign:
    """Read all of a recording and say what is in it. LogError where it is none."""
    from stream_bind.importers.base import ImportOptions
    from stream_bind.importers.find import open_source
    from stream_bind.importers.job import measure

    source = open_source(path, options or ImportOptions())
    try:
        with progress_of(f"reading {path.name}") as on_piece:
            return Foreign.of(path, source, measure(source, streams=streams, on_progress=on_piece))
    finally:
        source.close()


@contextmanager
def progress_of(doing: str) -> Iterator[Callable[[Piece], None]]:
    """A line on a terminal that says how far each stream is."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing)
        begun: dict[str, int] = {}

        def on_piece(piece: Piece) -> None:
            first_ns = begun.setdefault(piece.stream, int(piece.chunk.t_ns[0]))
            seconds = (int(piece.chunk.t_ns[-1]) - first_ns) / 1e9
            progress.update(task, description=f"{doing}: {piece.stream} {seconds:,.1f} s")

        yield on_piece

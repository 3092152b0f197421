"""Which importer a file or folder is for, by its content and never by its name alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions, Source, check_readable

__all__ = ["IMPORTERS", "open_source"]

IMPORTERS: tuple[str, ...] = (
    "stream_bind.importers.ros",
    "stream_bind.importers.mcap",
    "stream_bind.importers.vrs",
    "stream_bind.importers.ulog",
    "stream_bind.importers.xdf",
    "stream_bind.importers.thermal",
    "stream_bind.importers.media",
    "stream_bind.importers.folders",
    "stream_bind.importers.tables",
)
"""Modules in the order they are asked; those that know a magic number before those that try."""

FORMATS = (
    "ROS 1 and ROS 2 bags, MCAP, VRS, PX4 ULog, XDF, video and sound files, FLIR and other thermal pictures, folders "
    "of pictures (EuRoC, TUM RGB-D), tables of motion (CSV)"
)


KNOWN = {
    b"\xb5\x62": "a u-blox UBX log, whose ESF messages pyubx2 turns into a table for --columns",
    b"\x89HDF": "an HDF5 file, whose layout its maker alone knows; export it as CSV",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet table; export it as CSV",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
}
"""Files that people try."""


def open_source(path: Path, options: ImportOptions) -> Source:
    """The recording at `path`, opened. LogError where it is no recording, or one without a stream we can use.

    Every importer module has `open_source(path, head, options) -> Source | None`: None where the format is not its
    own (decided from `head`, the file's first bytes, or a folder's content), LogError where it is but is of no use.
    """
    head = check_readable(path)
    for name in IMPORTERS:
        opener: Callable[[Path, bytes, ImportOptions], Source | None] = importlib.import_module(name).open_source
        source = opener(path, head, options)
        if source is None:
            continue
        if not source.specs:
            source.close()
            raise LogError(f"{path}: is a recording ({source.format}) without a stream to import{_told(source)}")
        return source
    raise LogError(f"{path}: is of no kind that can be imported; {_seen(path, head)}; wanted {FORMATS}")


def _told(source: Source) -> str:
    reasons = [f"{name} ({why})" for name, why in source.skipped.items()]
    more = f" and {len(reasons) - 5} more" if len(reasons) > 5 else ""
    return f"; it holds {', '.join(reasons[:5])}{more}" if reasons else "; it holds nothing"


def _seen(path: Path, head: bytes) -> str:
    if path.is_dir():
        names = sorted(each.name for each in path.iterdir())
        return f"a folder that holds {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"
    for mark, told in KNOWN.items():
        if head.startswith(mark):
            return told
    return f"a file that begins {head[:8].hex(' ')}" if b"\0" in head[:256] or head[0] > 127 else _text(head)


def _text(head: bytes) -> str:
    """The first line of what is no table."""
    line = head.decode("utf-8", errors="replace").strip().split("\n")[0][:40].strip()
    return f"text that begins {line!r}"

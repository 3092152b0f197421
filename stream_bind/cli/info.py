"""`stream-bind info`: what a log holds, and whether it is whole."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.streams_table import plain_streams, print_streams
from stream_bind.errors import LogError

if TYPE_CHECKING:
    from stream_bind.log.survey import Survey

__all__ = ["info_command"]


def info_command(
    log: Annotated[Path, typer.Argument(help="A log, the common name of a split one, or what `import` takes.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a recording's streams, rates, gaps and clocks, and what is lost of it. Reads all of it; exit code 0 even so.

    Of another program's recording it shows what `import` would make of it.
    """
    from stream_bind.cli.foreign import inspect
    from stream_bind.log.survey import survey

    parts = _parts(log)
    if not parts:
        told = inspect(log)
        print(json.dumps(told.plain())) if as_json else told.print()
        return
    if len(parts) > 1:
        surveys = [survey(part) for part in parts]
        if as_json:
            print(json.dumps({"parts": [_plain(each) for each in surveys]}))
            return
        for number, each in enumerate(surveys):
            print("\n" if number else "", end="")
            _print(each)
        return
    found = survey(parts[0])
    # What other programs put into MCAP has streams, too; only its topics may be none of them.
    foreign = None
    if not found.streams and found.topics:
        with contextlib.suppress(LogError):
            foreign = inspect(log)
    if as_json:
        print(json.dumps(_plain(found) | ({} if foreign is None else {"import": foreign.plain()})))
        return
    _print(found)
    if foreign is not None:
        print()
        foreign.print()


def _parts(log: Path) -> tuple[Path, ...]:
    """The MCAP files to show: the file itself, or the parts of a split log of ours; none where it is another kind."""
    from stream_bind.importers.base import check_readable
    from stream_bind.log.reader import open_log
    from stream_bind.log.scan import MAGIC

    if log.is_file():
        return (log,) if check_readable(log).startswith(MAGIC[:5]) else ()
    try:
        return open_log(log).parts
    except LogError:
        return ()


def _print(found: Survey) -> None:
    from stream_bind.encoders.download import human_size

    state = "whole" if found.whole else "not closed" if not found.closed else "no index" if not found.losses else ""
    lost = sum(loss.n_bytes for loss in found.losses)
    damage = f"{human_size(lost)} cannot be read" if found.losses else ""
    told = ", ".join(word for word in (state, damage) if word)
    print(f"{found.path}: {human_size(found.n_bytes)}, {found.n_messages:,} messages, {told}")
    print(f"written by {found.library or 'unknown'}, profile {found.profile or 'none'}")
    for name, fields in found.metadata.items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in fields.items())}")
    for name, size in found.attachments.items():
        print(f"attached: {name}, {human_size(size)}")
    if found.streams:
        print()
        print_streams(found.streams)
    if found.topics:
        width = max(map(len, found.topics))
        print(f"\n{'topic':<{width}}  messages        size  type")
        for name, topic in sorted(found.topics.items()):
            kind = topic.type or f"({topic.encoding or 'no schema'})"
            print(f"{name:<{width}}  {topic.n_messages:>8,}  {human_size(topic.n_bytes):>10}  {kind}")
    for loss in found.losses[:10]:
        print(f"\nat byte {loss.offset:,}: {human_size(loss.n_bytes)} cannot be read: {loss.reason}")
    if len(found.losses) > 10:
        print(f"... and {len(found.losses) - 10:,} more places")
    if not found.whole:
        print(f"\n`stream-bind recover {found.path}` makes a whole file of what there is")


def _plain(found: Survey) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "size": found.n_bytes,
        "messages": found.n_messages,
        "profile": found.profile,
        "library": found.library,
        "whole": found.whole,
        "closed": found.closed,
        "indexed": found.indexed,
        "losses": [{"offset": x.offset, "size": x.n_bytes, "reason": x.reason} for x in found.losses],
        "metadata": found.metadata,
        "attachments": found.attachments,
        "streams": plain_streams(found.streams),
        "topics": {
            name: {
                "type": topic.type,
                "encoding": topic.encoding,
                "messages": topic.n_messages,
                "size": topic.n_bytes,
                "t_start": topic.first_ns,
                "t_end": topic.last_ns,
            }
            for name, topic in sorted(found.topics.items())
        },
    }

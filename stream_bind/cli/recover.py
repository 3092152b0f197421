"""`stream-bind recover`: a whole file of what a crash or a bad disk left."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["recover_command"]

LOST = 3


def recover_command(
    log: Annotated[Path, typer.Argument(help="An MCAP file, truncated, damaged or never closed.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The new file; absent: LOG-recovered.mcap.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write what can be read of a log to a new file, with an index. The log itself is left alone.

    Exit code 0: nothing is lost; 3: something is; 1: nothing can be read.
    """
    from stream_bind.encoders.download import human_size
    from stream_bind.log.recover import recover
    from stream_bind.log.survey import survey

    if output is None:
        found = survey(log)
        if found.whole:
            if as_json:
                print(json.dumps({"output": None, "messages": found.n_messages, "whole": True, "losses": []}))
            else:
                print(f"{log}: is whole, {found.n_messages:,} messages; there is nothing to recover")
            return
    target = output or log.with_name(f"{log.stem}-recovered.mcap")
    recovery = recover(log, target)
    losses = [{"offset": x.offset, "size": x.n_bytes, "reason": x.reason} for x in recovery.losses]
    if as_json:
        row = {"output": str(target), "messages": recovery.n_messages, "whole": not losses, "losses": losses}
        print(json.dumps(row | {"closed": recovery.closed, "indexed": recovery.indexed}))
    else:
        print(f"{target}: {recovery.n_messages:,} messages")
        for loss in recovery.losses:
            print(f"at byte {loss.offset:,}: {human_size(loss.n_bytes)} lost: {loss.reason}", file=sys.stderr)
        if not recovery.closed and not losses:
            print(
                "all that is in the file was read; what the recorder had not yet written when it ended (half a second "
                "at most of our own) never was",
                file=sys.stderr,
            )
    if losses:
        raise typer.Exit(LOST)

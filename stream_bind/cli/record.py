"""`stream-bind record`: the sensors of a rig to a log, without any model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["record_command"]


def record_command(
    config: Annotated[Path, typer.Argument(help="The YAML file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The log to write; absent: `record.path` of the config.")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Swap every device for its simulated twin.")] = False,
    simulate_missing: Annotated[
        bool, typer.Option("--simulate-missing", help="Swap only devices that cannot be opened here.")
    ] = False,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s or 2m.")] = None,
    address: Annotated[str | None, typer.Option(help="Join this Ray cluster instead of starting one.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Threads of one process instead of Ray actors.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the file.")] = None,
) -> None:
    """Record every stream of a rig (but those with `record: false`) to an MCAP file; Ctrl-C closes it.

    No model runs: `stream-bind replay` embeds the log later, with any. `run --record` does both at once. Exit code 3
    where samples did not get into the log.
    """
    from stream_bind.cli.conduct import conduct
    from stream_bind.cli.durations import parse_duration
    from stream_bind.cli.recording import log_path
    from stream_bind.cli.run import swapped_devices
    from stream_bind.config import load_config

    duration_s = parse_duration(duration) if duration is not None else None
    rig = load_config(config, settings or (), simulate=simulate or simulate_missing)
    path = log_path(rig, output)
    if path is None:
        raise typer.BadParameter(f"name the log with --output, such as -o {rig.rig}.mcap, or set record.path")
    kept_back = [stream.id for stream in rig.streams if not stream.record]
    if len(kept_back) == len(rig.streams):
        raise typer.BadParameter(f"all streams of {config} say `record: false`; there is nothing to record")
    if kept_back:
        print(f"stream-bind: not recorded: {', '.join(kept_back)}", file=sys.stderr)
    conduct(
        rig.model_copy(update={"streams": tuple(stream for stream in rig.streams if stream.record)}),
        simulated=swapped_devices(rig, simulate=simulate, simulate_missing=simulate_missing),
        duration_s=duration_s,
        local=local,
        address=address,
        record=path,
        embed=False,
    )

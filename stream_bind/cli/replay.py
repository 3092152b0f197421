"""`stream-bind replay`: a log through the same windows and models as live sensors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_bind.cli.replaying import ReplayChoice
    from stream_bind.config.schema import RigConfig

__all__ = ["replay_command", "replay_rig"]


def replay_command(
    log: Annotated[Path, typer.Argument(help="The log, the common name of a split one, or its folder.")],
    rate: Annotated[str, typer.Option(help="1 as recorded, 10 ten times as fast, max as fast as it goes.")] = "1",
    start: Annotated[str | None, typer.Option(help="Leave out this much at the beginning, such as 30s.")] = None,
    duration: Annotated[str | None, typer.Option(help="Replay this much of the log.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end; event time goes on.")] = False,
    streams: Annotated[str | None, typer.Option(help="Only these, with commas between them.")] = None,
    config: Annotated[Path | None, typer.Option(help="This YAML file instead of the config in the log.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Embed with this model instead, such as imagebind.")] = None,
    rebase: Annotated[bool, typer.Option("--rebase", help="Move event time to now, by whole hops.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same clip gives the same vector to the last bit.")
    ] = False,
    wait: Annotated[str, typer.Option(help="Wait so long for the first subscriber; 0s does not.")] = "10s",
    record: Annotated[Path | None, typer.Option("--record", help="Also record it anew, to this MCAP file.")] = None,
    address: Annotated[str | None, typer.Option(help="Join this Ray cluster instead of starting one.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Threads of one process instead of Ray actors.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the config.")] = None,
    show_vectors: Annotated[bool, typer.Option("--print", help="Subscribe to the run and print every vector.")] = False,
) -> None:
    """Replay a log that `record`, `run --record` or `import` wrote: the same windows, embedded again and published.

    Nothing is dropped: what is slow makes the replay slower. On a terminal, space pauses, `.` steps, q ends it. A
    truncated or damaged log is replayed as far as it can be read; exit code 3 then.
    """
    from stream_bind.cli.conduct import conduct
    from stream_bind.cli.durations import parse_duration

    told = list(settings or ())
    if deterministic:
        told.append("runtime.deterministic=true")
    rig, choice = replay_rig(
        log,
        config=config,
        encoder=encoder,
        streams=streams.split(",") if streams else (),
        settings=told,
        rate=rate,
        start_s=parse_duration(start) if start is not None else 0.0,
        duration_s=parse_duration(duration) if duration is not None else None,
        loop=loop,
        rebase=rebase,
    )
    wait_s = parse_duration(wait)
    publish = rig.publish.model_copy(update={"wait_for_subscriber_s": wait_s})
    conduct(
        rig.model_copy(update={"publish": publish}),
        local=local,
        address=address,
        record=record,
        replay=choice,
        show_vectors=show_vectors,
    )


def replay_rig(
    log: Path,
    *,
    config: Path | None = None,
    encoder: str | None = None,
    streams: Sequence[str] = (),
    settings: Sequence[str] = (),
    rate: str = "1",
    start_s: float = 0.0,
    duration_s: float | None = None,
    loop: bool = False,
    rebase: bool = False,
) -> tuple[RigConfig, ReplayChoice]:
    """The rig that replays `log`, and how. Says on stderr what is left out, and what is wrong with the log."""
    from stream_bind.cli.replaying import ReplayChoice, choose_rate, replay_config
    from stream_bind.clock import measure_offset_ns
    from stream_bind.config.lanes import resolve
    from stream_bind.errors import ConfigError

    speed = choose_rate(rate)
    rig, found = replay_config(log, config=config, encoder=encoder, streams=streams, settings=settings)
    for warning in rig.warnings:
        print(f"stream-bind: warning: {warning}", file=sys.stderr)
    if not found.indexed:
        print(f"stream-bind: {log} was not closed, or is damaged; replaying what can be read of it", file=sys.stderr)
    if start_s >= found.duration_s:
        raise ConfigError(f"--start {start_s:g}s lies behind the end of {log}, which is {found.duration_s:.3f} s long")
    shift_ns = 0
    if rebase:
        import time

        now_ns = time.monotonic_ns() + measure_offset_ns()
        # Hops of a rig divide one another, so whole steps of the longest keep every window what it was.
        hop_ns = max(lane.hop_ns for lane in resolve(rig))
        shift_ns = (now_ns - found.start_ns - round(start_s * 1e9)) // hop_ns * hop_ns
    return rig, ReplayChoice(log, speed, start_s, duration_s, loop, shift_ns)

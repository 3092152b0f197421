"""`stream-bind run`: the pipeline of one YAML file, in Ray actors or in threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_bind.errors import ConfigError, StreamBindError

if TYPE_CHECKING:
    from actors.supervise import RunResult, Snapshot, Supervisor
    from stream_bind.cli.replaying import ReplayChoice
    from stream_bind.config.schema import RigConfig

__all__ = ["run", "run_command", "swapped_devices"]


def run(
    config: RigConfig,
    *,
    simulate: bool | Collection[str] = False,
    duration_s: float | None = None,
    local: bool | None = None,
    address: str | None = None,
    record: Path | None = None,
    replay: ReplayChoice | None = None,
    embed: bool = True,
    on_poll: Callable[[Snapshot], None] | None = None,
    on_start: Callable[[Supervisor], None] | None = None,
) -> RunResult:
    """Run a rig until its recordings end or `duration_s` has passed, and give the account of every due window.

    simulate: the simulated twin of every device instead, or of those of the named streams. local: threads of this
    process instead of Ray (None: as the config says). address: an existing Ray cluster. record: the log to write; by
    default as the config says. replay: a log in place of every device. embed False: sensors and recording alone.
    on_poll gets a snapshot about once a second; on_start gets the supervisor, whose `request_stop` ends the run with a
    drain. Raises StreamBindError where the run cannot start or a stream fails for good.
    """
    from actors.supervise import Launcher, Supervisor
    from stream_bind.cli.compose import Endpoints, plan_run
    from stream_bind.cli.recording import log_path
    from stream_bind.clock import SystemClock

    use_threads = config.runtime.launcher == "local" if local is None else local
    transport = config.runtime.transport
    if transport == "auto":
        transport = "inproc" if use_threads else "ipc"
    if transport == "inproc" and not use_threads:
        raise ConfigError("runtime.transport: inproc stays within one process; use ipc or tcp with Ray actors")
    # A replay repeats what is kept already.
    log = log_path(config, record) if record is not None or replay is None else None
    endpoints = Endpoints(transport)
    try:
        plan = plan_run(config, endpoints, simulate=simulate, address=address, record=log, replay=replay, embed=embed)
        launcher: Launcher
        if use_threads:
            from actors.launch_local import LocalLauncher

            launcher = LocalLauncher()
        else:
            from actors.launch_ray import RayLauncher

            launcher = RayLauncher()
        supervisor = Supervisor(
            launcher,
            plan,
            SystemClock(plan.clock_offset_ns),
            on_poll=on_poll,
            interval_s=config.runtime.health_interval_s,
        )
        if on_start is not None:
            on_start(supervisor)
        result = supervisor.run(duration_s)
    finally:
        endpoints.close()
    if result.error is not None:
        raise StreamBindError(result.error)
    return result


def run_command(
    config: Annotated[Path, typer.Argument(help="The YAML file.")],
    simulate: Annotated[bool, typer.Option("--simulate", help="Swap every device for its simulated twin.")] = False,
    simulate_missing: Annotated[
        bool, typer.Option("--simulate-missing", help="Swap only devices that cannot be opened here.")
    ] = False,
    duration: Annotated[str | None, typer.Option(help="Stop after this long, such as 30s or 2m.")] = None,
    address: Annotated[str | None, typer.Option(help="Join this Ray cluster instead of starting one.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Threads of one process instead of Ray actors.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the file.")] = None,
    show_vectors: Annotated[bool, typer.Option("--print", help="Subscribe to the run and print every vector.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 if a live run dropped windows.")] = False,
    record: Annotated[Path | None, typer.Option("--record", help="Also record everything to this MCAP file.")] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="Replay this log instead of reading sensors; see `replay`.")
    ] = None,
    rate: Annotated[str, typer.Option(help="With --replay: 1, 10, ... or max.")] = "1",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same clip gives the same vector to the last bit.")
    ] = False,
) -> None:
    """Read sensors, cut windows, embed them, publish the vectors; Ctrl-C drains, a second one kills."""
    from stream_bind.cli.conduct import conduct
    from stream_bind.cli.durations import parse_duration
    from stream_bind.config import load_config

    duration_s = parse_duration(duration) if duration is not None else None
    if deterministic:
        settings = [*(settings or ()), "runtime.deterministic=true"]
    if replay is not None:
        if simulate or simulate_missing:
            raise typer.BadParameter("a replay has no devices to simulate; leave --simulate or --replay out")
        from stream_bind.cli.replay import replay_rig

        rig, choice = replay_rig(replay, config=config, settings=settings or (), rate=rate, duration_s=duration_s)
        conduct(
            rig,
            local=local,
            address=address,
            record=record,
            replay=choice,
            show_vectors=show_vectors,
            strict=strict,
        )
        return
    rig = load_config(config, settings or (), simulate=simulate or simulate_missing, files=True)
    for warning in rig.warnings:
        print(f"stream-bind: warning: {warning}", file=sys.stderr)
    conduct(
        rig,
        simulated=swapped_devices(rig, simulate=simulate, simulate_missing=simulate_missing),
        duration_s=duration_s,
        local=local,
        address=address,
        record=record,
        show_vectors=show_vectors,
        strict=strict,
    )


def swapped_devices(rig: RigConfig, *, simulate: bool, simulate_missing: bool) -> bool | Collection[str]:
    """The streams whose devices get simulated twins (True: all); says on stderr why a missing one does."""
    if simulate or not simulate_missing:
        return simulate
    from stream_bind.cli.presence import absent_devices

    swapped = absent_devices(rig)
    for stream, why in swapped.items():
        print(f"stream-bind: {stream} is simulated: {why}", file=sys.stderr)
    return swapped

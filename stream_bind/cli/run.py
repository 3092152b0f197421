"""`stream-bind run`: the pipeline of one YAML file, in Ray actors or in threads."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_bind.cli.interrupts import Interrupts
from stream_bind.errors import ConfigError, StreamBindError

if TYPE_CHECKING:
    from actors.supervise import RunResult, Snapshot, Supervisor
    from stream_bind.cli.labelling import Caption, Labelling
    from stream_bind.config.schema import RigConfig
    from stream_bind.messages import Embedding, Event

__all__ = ["run", "run_command"]

log = logging.getLogger(__name__)


def run(
    config: RigConfig,
    *,
    simulate: bool | Collection[str] = False,
    duration_s: float | None = None,
    local: bool | None = None,
    address: str | None = None,
    on_poll: Callable[[Snapshot], None] | None = None,
    on_start: Callable[[Supervisor], None] | None = None,
) -> RunResult:
    """Run a rig until its recordings end or `duration_s` has passed, and give the account of every due window.

    simulate: the simulated twin of every device instead, or of those of the named streams. local: threads of this
    process instead of Ray (None: as the config says). address: an existing Ray cluster. on_poll gets a snapshot about
    once a second; on_start gets the supervisor, whose `request_stop` ends the run with a drain. Raises StreamBindError
    where the run cannot start or a stream fails for good.
    """
    from actors.supervise import Launcher, Supervisor
    from stream_bind.cli.compose import Endpoints, plan_run
    from stream_bind.clock import SystemClock

    use_threads = config.runtime.launcher == "local" if local is None else local
    transport = config.runtime.transport
    if transport == "auto":
        transport = "inproc" if use_threads else "ipc"
    if transport == "inproc" and not use_threads:
        raise ConfigError("runtime.transport: inproc stays within one process; use ipc or tcp with Ray actors")
    endpoints = Endpoints(transport)
    try:
        plan = plan_run(config, endpoints, simulate=simulate, address=address)
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
) -> None:
    """Read sensors, cut windows, embed them, publish the vectors; Ctrl-C drains, a second one kills."""
    from stream_bind.cli.durations import parse_duration
    from stream_bind.cli.labelling import Labelling
    from stream_bind.cli.view import RunView, account_table
    from stream_bind.config import load_config

    rig = load_config(config, settings or (), simulate=simulate or simulate_missing, files=True)
    for warning in rig.warnings:
        print(f"stream-bind: warning: {warning}", file=sys.stderr)
    swapped: bool | Collection[str] = simulate
    if simulate_missing and not simulate:
        from stream_bind.cli.presence import absent_devices

        swapped = absent_devices(rig)
        for stream, why in swapped.items():
            print(f"stream-bind: {stream} is simulated: {why}", file=sys.stderr)
    duration_s = parse_duration(duration) if duration is not None else None
    interrupts = _Interrupts()
    with ExitStack() as stack:
        stack.enter_context(interrupts)
        labelling = Labelling.of(rig, swapped)
        view = stack.enter_context(RunView(rig.rig, live=False if show_vectors else None, labelling=labelling))
        # Whoever waits for a subscriber does not mean this process.
        if show_vectors or (labelling and not rig.publish.wait_for_subscriber_s):
            rig, endpoint = _reachable(rig)
            stack.enter_context(_Listener(endpoint, labelling, interrupts.stop if show_vectors else None))
        result = run(
            rig,
            simulate=swapped,
            duration_s=duration_s,
            local=local or None,
            address=address,
            on_poll=view,
            on_start=interrupts.attach,
        )
    for text in (account_table(result), labelling.summary()):
        if text:
            print(text, file=sys.stderr)
    if interrupts.count:
        raise typer.Exit(130)
    if strict and result.dropped:
        raise typer.Exit(3)


class _Interrupts(Interrupts):
    """The first signal drains."""

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False
        self._supervisor: Supervisor | None = None

    def attach(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        if self.count or self._stopped:
            supervisor.request_stop()

    def stop(self) -> None:
        """End the run as an interrupt would, but without one."""
        self._stopped = True
        if self._supervisor is not None:
            self._supervisor.request_stop()

    def first(self) -> None:
        print("stream-bind: stopping: serving what waits (once more kills)", file=sys.stderr, flush=True)
        if self._supervisor is not None:
            self._supervisor.request_stop()


class _Listener:
    """A real subscriber in a thread of this process, which captions what it gets and, if asked to, prints it."""

    def __init__(self, endpoint: str, labelling: Labelling, reader_gone: Callable[[], None] | None) -> None:
        """reader_gone: called when nobody reads stdout any more; None prints nothing."""
        self._endpoint = endpoint
        self._labelling = labelling
        self._reader_gone = reader_gone
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def __enter__(self) -> _Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(3.0)

    def _run(self) -> None:
        from stream_bind.messages import Embedding
        from stream_bind.wire.subscriber import Subscriber

        try:
            with Subscriber(self._endpoint, topics=("emb/",)) as subscriber:
                # The run has ended before its last vectors are printed.
                while (message := subscriber.recv(0.2)) is not None or not self._stop.is_set():
                    if message is None:
                        continue
                    caption = self._labelling.add(message) if isinstance(message, Embedding) else None
                    if self._reader_gone is not None:
                        self._print(message, caption)
        except BrokenPipeError:  # head, less
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if self._reader_gone is not None:
                self._reader_gone()
        except StreamBindError as error:
            print(f"stream-bind: cannot listen to the run: {error}", file=sys.stderr)

    def _print(self, message: Embedding | Event, caption: Caption | None) -> None:
        from stream_bind.cli.labelling import marked
        from stream_bind.cli.line import message_line

        told = ""
        if caption is not None:
            told = marked(caption, self._labelling.tally(message.stream, message.encoder))
        print(message_line(message, told), flush=True)


def _reachable(config: RigConfig) -> tuple[RigConfig, str]:
    """The config with a port instead of `*`, and where a subscriber on this machine finds it."""
    from actors.transport import free_port

    endpoint = config.publish.endpoint
    if endpoint.startswith("tcp://") and endpoint.endswith(":*"):
        endpoint = f"{endpoint[:-1]}{free_port()}"
        config = config.model_copy(update={"publish": config.publish.model_copy(update={"endpoint": endpoint})})
    for anywhere in ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"):
        endpoint = endpoint.replace(anywhere, "tcp://127.0.0.1:")
    return config, endpoint

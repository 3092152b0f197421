"""One run as a person sees it: the view, the printed vectors, keys and signals, the account and the exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stream_bind.cli.interrupts import Interrupts
from stream_bind.cli.keys import Keys
from stream_bind.errors import StreamBindError

if TYPE_CHECKING:
    from actors.supervise import RunResult, Supervisor
    from stream_bind.cli.labelling import Caption, Labelling
    from stream_bind.cli.replaying import ReplayChoice
    from stream_bind.config.schema import RigConfig
    from stream_bind.messages import Embedding, Event

__all__ = ["conduct", "reachable"]

LOST = 3


def conduct(
    rig: RigConfig,
    *,
    simulated: bool | Collection[str] = False,
    duration_s: float | None = None,
    local: bool = False,
    address: str | None = None,
    record: Path | None = None,
    replay: ReplayChoice | None = None,
    embed: bool = True,
    show_vectors: bool = False,
    strict: bool = False,
) -> None:
    """Run a rig in front of a person. typer.Exit with 130 after an interrupt, with 3 where data was lost that the verb
    is there to keep (strict: also what a live run dropped)."""
    from stream_bind.cli.labelling import Labelling
    from stream_bind.cli.run import run
    from stream_bind.cli.view import RunView, account_table

    interrupts = _Interrupts()
    with ExitStack() as stack:
        stack.enter_context(interrupts)
        labelling = Labelling.of(rig, simulated)
        pause = _Pause(interrupts)
        view = stack.enter_context(
            RunView(rig.rig, live=False if show_vectors else None, labelling=labelling, note=pause.note)
        )
        if replay is not None:
            stack.enter_context(Keys(pause.keys))
        if record is not None:
            stack.enter_context(_trigger_by_signal(interrupts))
        # Whoever waits for a subscriber does not mean this process.
        if embed and (show_vectors or (labelling and not rig.publish.wait_for_subscriber_s)):
            rig, endpoint = reachable(rig)
            stack.enter_context(_Listener(endpoint, labelling, interrupts.stop if show_vectors else None))
        result = run(
            rig,
            simulate=simulated,
            duration_s=duration_s,
            local=local or None,
            address=address,
            record=record,
            replay=replay,
            embed=embed,
            on_poll=view,
            on_start=interrupts.attach,
        )
    told = [account_table(result) if embed else "", labelling.summary(), *_kept(result), *_missing(result)]
    for text in told:
        if text:
            print(text, file=sys.stderr)
    if interrupts.count:
        raise typer.Exit(130)
    if (strict and result.dropped) or ((replay is not None or not embed) and _is_lossy(result)):
        raise typer.Exit(LOST)


def _kept(result: RunResult) -> list[str]:
    """What became of the recording."""
    from stream_bind.encoders.download import human_size

    recorder = result.snapshot.recorder
    if recorder is None:
        return []
    where = ", ".join(recorder.get("paths", ())) or f"{recorder.get('path')} was not begun: no event asked for it"
    lines = [f"recorded: {where} ({recorder.get('messages', 0):,} messages, {human_size(recorder.get('bytes', 0))})"]
    if recorder.get("problem"):
        lines.append(f"stream-bind: {recorder['problem']}")
    dropped = _dropped_chunks(result)
    if dropped:
        each = ", ".join(f"{stream} {n:,}" for stream, n in dropped.items())
        lines.append(f"stream-bind: chunks that are not in the recording, since the disk could not follow: {each}")
    return lines


def _dropped_chunks(result: RunResult) -> dict[str, int]:
    told = [capture.get("recorded", {}) for capture in result.snapshot.captures]
    return {stream: health["dropped"] for each in told for stream, health in each.items() if health["dropped"]}


def _missing(result: RunResult) -> list[str]:
    """What a damaged log no longer holds."""
    lost = _lost_chunks(result)
    return [f"stream-bind: {stream}: {n:,} chunks of the log could not be read" for stream, n in lost.items()]


def _lost_chunks(result: RunResult) -> dict[str, int]:
    sensors = [sensor for capture in result.snapshot.captures for sensor in capture.get("sensors", ())]
    lost = {s["stream"]: s["device"]["counters"].get("lost_chunks", 0) for s in sensors}
    return {stream: n for stream, n in lost.items() if n}


def _is_lossy(result: RunResult) -> bool:
    recorder = result.snapshot.recorder or {}
    return bool(result.dropped or _dropped_chunks(result) or _lost_chunks(result) or recorder.get("problem"))


class _Pause:
    """Space, `.` and q of a replay."""

    def __init__(self, interrupts: _Interrupts) -> None:
        self._interrupts = interrupts
        self._paused = False
        self.keys = {" ": self.toggle, ".": self.step, "q": interrupts.stop}

    def note(self) -> str:
        return "paused: space goes on, . is a step" if self._paused else ""

    def toggle(self) -> None:
        self._paused = not self._paused
        self._interrupts.tell("capture", "pause" if self._paused else "resume")

    def step(self) -> None:
        if self._paused:
            self._interrupts.tell("capture", "step_on")


class _trigger_by_signal:  # noqa: N801 - a context manager
    """SIGUSR1 starts a recording that waits for an event."""

    def __init__(self, interrupts: _Interrupts) -> None:
        self._interrupts = interrupts
        self._old: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGUSR1"):
            self._old = signal.signal(signal.SIGUSR1, lambda *_: self._interrupts.tell("record", "trigger"))

    def __exit__(self, *_: object) -> None:
        if self._old is not None:
            with suppress(ValueError):
                signal.signal(signal.SIGUSR1, self._old)


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

    def tell(self, kind: str, verb: str) -> None:
        """Call `verb` on every actor of a kind."""
        if self._supervisor is not None:
            self._supervisor.tell(kind, verb)

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


def reachable(config: RigConfig) -> tuple[RigConfig, str]:
    """The config with a port instead of `*`, and where a subscriber on this machine finds it."""
    from actors.transport import free_port

    endpoint = config.publish.endpoint
    if endpoint.startswith("tcp://") and endpoint.endswith(":*"):
        endpoint = f"{endpoint[:-1]}{free_port()}"
        config = config.model_copy(update={"publish": config.publish.model_copy(update={"endpoint": endpoint})})
    for anywhere in ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"):
        endpoint = endpoint.replace(anywhere, "tcp://127.0.0.1:")
    return config, endpoint

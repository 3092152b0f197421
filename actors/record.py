"""The record actor: one per rig. Takes what the taps send, and writes it to the log in a thread of its own.

A tap is told what is on the disk, not what was received: so whatever this actor has not flushed when it dies is still
in the memory of whom it came from, and goes into the next file.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actors.plan import RecordPlan
from actors.tap import unpack_entries
from actors.transport import Inlet, Message, Poller, Waker, check_version, each, incarnation
from stream_bind.clock import Clock
from stream_bind.errors import LogError
from stream_bind.log.codec import Entry, TopicInfo
from stream_bind.log.vectors import EVENT, event_of
from stream_bind.log.writer import Attached, LogWriter

__all__ = ["RecordWorker"]

log = logging.getLogger(__name__)

POLL_S = 0.25
IDLE_S = 1.0


@dataclass(slots=True)
class _Job:
    """For the writer: topics to announce, entries to write, or a flush that somebody waits for."""

    tap: str = ""
    n: int = 0
    topics: dict[str, TopicInfo] = field(default_factory=dict)
    entries: tuple[tuple[int, Entry], ...] = ()
    """With the UNIX ns of each at which it came."""
    dropped: dict[str, int] = field(default_factory=dict)
    since_ns: int | None = None
    """Monotonic time at which the oldest of the entries came to be."""
    flush: bool = False
    trigger: str = ""


class RecordWorker:
    """Binds the inlet that taps connect to."""

    def __init__(self, plan: RecordPlan, clock: Clock, *, restarted: bool = False) -> None:
        self._plan, self._clock = plan, clock
        self.life = incarnation()
        self.fatal: str | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._received: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._peers: dict[str, bytes] = {}
        self._kinds: dict[str, str] = {}
        self._hurried: list[str] = []
        self._finishing = self._finished = False
        path = Path(plan.path)
        self._log = LogWriter(
            _free_part(path) if restarted else path,
            plan.session,
            tuple(Attached(name, kind, data) for name, kind, data in plan.attachments),
            plan.split_bytes,
            plan.split_ns,
        )
        # A file at once, so that a path that cannot be written ends the run before it has begun; and with a trigger
        # only when there is something to keep.
        self._ring: deque[_Job] | None = None
        self._ring_bytes = 0
        self._keep_until_ns = 0
        self._opened = False
        self._n_bytes = 0
        self._said_full = False

    def open(self) -> None:
        """Begin the file; LogError where it cannot be written, LinkError where the endpoint is taken."""
        if self._plan.before_ns is None:
            self._log.open()
            self._opened = True
        else:
            _check_folder(self._log.path)
            self._ring = deque()
        self._inlet = Inlet(self._plan.endpoint)
        self._waker = Waker()
        self._poller = Poller(self._waker, self._inlet)
        self._writer = threading.Thread(target=self._write_all, name="record-write", daemon=True)
        self._writer.start()

    def request_stop(self) -> None:
        """Everything has been sent: write the rest, close the file."""
        self._finishing = True
        self._waker.wake()

    def trigger(self) -> None:
        """Keep what is in memory and what follows (plan.before_ns)."""
        self._jobs.put(_Job(trigger="a person asked for it"))

    @property
    def done(self) -> bool:
        return self._finished

    def health(self) -> dict[str, Any]:
        writer = self._log
        state = "full" if writer.full else "waiting" if self._ring is not None and not self._keeping else "recording"
        return {
            "name": "record",
            "life": self.life,
            "fatal": self.fatal,
            "done": self.done,
            "state": state,
            "problem": writer.full,
            "path": str(writer.paths[-1] if writer.paths else writer.path),
            "paths": [str(path) for path in writer.paths],
            "bytes": self._n_bytes,
            "messages": sum(writer.written.values()),
            "dropped": sum(writer.dropped.values()),
        }

    def step(self, timeout_s: float = POLL_S) -> None:
        """One round: what arrived goes to the writer, taps hear what is on the disk."""
        self._poller.wait(timeout_s)
        self._waker.clear()
        each(self._inlet.drain(), self._receive)
        while self._hurried:
            tap = self._hurried.pop()
            self._beat(tap, self._peers[tap])
        if self._finishing and not self._finished:
            self._jobs.put(None)
            self._writer.join()
            self._finished = True

    def close(self) -> None:
        if not self._finished:
            self._jobs.put(None)
            self._writer.join(5.0)
        self._inlet.close()
        self._waker.close()

    def _beat(self, tap: str, peer: bytes) -> None:
        self._inlet.send(peer, "beat", {"life": self.life, "saved": self._saved.get(tap, 0)})

    def _receive(self, message: Message) -> None:
        head = message.head
        tap = head["name"]
        if message.kind == "beat":
            check_version(message)
            self._peers[tap] = message.peer
            self._beat(tap, message.peer)
            if head["hurry"]:
                self._jobs.put(_Job(tap, flush=True))
        elif message.kind == "topics":
            topics = {name: TopicInfo(kind, about) for name, (kind, about) in head["topics"].items()}
            self._kinds |= {name: info.type for name, info in topics.items()}
            self._jobs.put(_Job(tap, topics=topics))
        elif message.kind == "entries":
            if head["beat"]:
                self._peers[tap] = message.peer
                self._beat(tap, message.peer)
            if head["to"] != self.life or head["n"] <= self._received.get(tap, 0):
                return  # for the actor that was here before, or a repeat
            self._received[tap] = head["n"]
            data = message.array
            entries = () if data is None else tuple(unpack_entries(head["entries"], data))
            since_ns = self._clock.monotonic_ns() - head["age_ns"]
            job = _Job(tap, head["n"], entries=entries, dropped=head["dropped"], since_ns=since_ns)
            job.trigger = self._trigger_of(entries)
            self._jobs.put(job)

    def _trigger_of(self, entries: tuple[tuple[int, Entry], ...]) -> str:
        for _, entry in entries if self._plan.triggers else ():
            if (
                self._kinds.get(entry.topic) == EVENT
                and (reason := event_of(bytes(entry.data)).reason) in self._plan.triggers
            ):
                return reason
        return ""

    # -- the writer thread ------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._take(job)
                self._log.tick(self._clock.monotonic_ns(), job.since_ns)
                self._mark_saved()
                if job.flush:
                    # Somebody waits for the word that it is on the disk.
                    self._hurried.append(job.tap)
                    self._waker.wake()
            self._log.close()
        except Exception as error:
            log.exception("recording has failed")
            self.fatal = str(error) if isinstance(error, LogError) else f"recording: {type(error).__name__}: {error}"

    def _next(self) -> _Job | None:
        due_s = None if self._log.full else self._log.due_s(self._clock.monotonic_ns())
        try:
            return self._jobs.get(timeout=IDLE_S if due_s is None else due_s)
        except queue.Empty:
            return _Job()

    @property
    def _keeping(self) -> bool:
        return self._clock.unix_ns() <= self._keep_until_ns

    def _take(self, job: _Job) -> None:
        for name, info in job.topics.items():
            self._log.topic(name, info.type, info.metadata)
        for topic, n in job.dropped.items():
            self._log.dropped[topic] = self._log.dropped.get(topic, 0) + n
        if self._ring is None:
            self._write(job)
        else:
            self._hold(job, self._ring)
        if job.n:
            self._taken[job.tap] = job.n
        if job.flush:
            self._log.flush()
        if self._log.full and not self._said_full:
            self._said_full = True
            log.error("%s", self._log.full)

    def _hold(self, job: _Job, ring: deque[_Job]) -> None:
        """Before an event the last seconds wait in memory; around one they are written."""
        assert self._plan.before_ns is not None
        if job.trigger:
            log.warning("recording: %s", job.trigger)
            self._keep_until_ns = self._clock.unix_ns() + self._plan.after_ns
        if job.entries:
            ring.append(job)
            self._ring_bytes += _size(job)
        if self._keeping:
            if not self._opened:
                self._log.open()
                self._opened = True
            while ring:
                self._write(ring.popleft())
            self._ring_bytes = 0
            return
        oldest_ns = self._clock.unix_ns() - self._plan.before_ns
        while ring and (ring[0].entries[-1][0] < oldest_ns or self._ring_bytes > self._plan.ring_bytes):
            self._ring_bytes -= _size(ring.popleft())

    def _write(self, job: _Job) -> None:
        for log_time_ns, entry in job.entries:
            if self._log.write(entry.topic, entry.data, log_time_ns, entry.publish_time):
                self._n_bytes += entry.n_bytes

    def _mark_saved(self) -> None:
        """What was taken is on the disk, in the ring, or lost to a full disk: its senders may forget it."""
        if not self._log.pending and self._taken != self._saved:
            self._saved = dict(self._taken)


def _size(job: _Job) -> int:
    return sum(entry.n_bytes for _, entry in job.entries)


def _free_part(path: Path) -> Path:
    """Beside the files of the lives before."""
    number = 1
    while (part := path.with_name(f"{path.stem}_{number:04d}{path.suffix}")).exists():
        number += 1
    return part


def _check_folder(path: Path) -> None:
    """With a trigger nothing is written yet, but it should be known now that it can be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LogError(f"{path}: cannot be written ({error.strerror or error}); name another file") from error
    if path.exists():
        raise LogError(f"{path}: is there already, and a recording replaces nothing; name another file")

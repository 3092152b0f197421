"""Runs a rig as threads of this process: one context, inproc or ipc links, no Ray."""

from __future__ import annotations

import sys
from typing import Any

from actors.capture import CaptureWorker
from actors.encode import EncodeWorker
from actors.host import Host
from actors.plan import RunPlan
from actors.publish import PublishWorker
from actors.record import RecordWorker
from stream_bind.clock import Clock, SystemClock
from stream_bind.errors import StreamBindError

__all__ = ["LocalLauncher"]

SWITCH_S = 0.0005


class LocalLauncher:
    """Every worker in a thread; a worker that crashes is started again with back-off."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._hosts: list[tuple[str, Host]] = []
        self._switch_s = sys.getswitchinterval()
        self._linger_s = 1.0

    def start(self, plan: RunPlan) -> None:
        clock = self._clock or SystemClock(plan.clock_offset_ns)
        self._linger_s = plan.publisher.linger_s
        # A thread that computes in Python gives the interpreter up only this often: 5 ms by default, which is what a
        # sensor loop would wait for it.
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._first("publish", Host("publish", lambda _: PublishWorker(plan.publisher, clock)))
        record = plan.record
        if record is not None:
            self._first("record", Host("record", lambda again: RecordWorker(record, clock, restarted=again)))
        for encode in plan.encoders:
            host = Host(encode.name, lambda _, e=encode: EncodeWorker(e, clock))  # type: ignore[misc]
            self._hosts.append(("encode", host))
        for capture in plan.captures:
            host = Host(capture.name, lambda again, c=capture: CaptureWorker(c, clock, restarted=again))  # type: ignore[misc]
            self._hosts.append(("capture", host))
        for kind, host in self._hosts:
            if kind in {"encode", "capture"}:
                host.start()

    def _first(self, kind: str, host: Host) -> None:
        """The bound side of inproc links, which must be there before anyone connects."""
        self._hosts.append((kind, host))
        host.start()
        host.opened.wait(10.0)
        if host.fatal:
            raise StreamBindError(host.fatal)

    def poll(self) -> dict[str, dict[str, Any]]:
        return {host.name: host.health() for _, host in self._hosts}

    def command(self, kind: str, verb: str) -> None:
        for its_kind, host in self._hosts:
            if its_kind == kind:
                host.call(verb)

    def close(self) -> None:
        for kind in ("capture", "encode", "publish", "record"):
            for its_kind, host in self._hosts:
                if its_kind == kind:
                    host.stop(4.0 + self._linger_s)
        sys.setswitchinterval(self._switch_s)

"""Watches a running rig: starts it, polls its health, ends it in the right order, and keeps the account.

Knows no Ray: a launcher (launch_ray, launch_local) gives it actors to talk to.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors.order import Account
from actors.plan import RunPlan
from stream_bind.clock import Clock
from stream_bind.errors import StreamBindError

__all__ = ["Launcher", "RunResult", "Snapshot", "Supervisor"]

log = logging.getLogger(__name__)

Health = dict[str, Any]

START_S = 60.0
"""Longest wait for actors to come up; loading weights is not part of it."""
DRAIN_S = 25.0
POLL_S = 0.1


class Launcher(Protocol):
    """Puts workers somewhere. `poll` returns what each last said, never waits for a hanging actor."""

    def start(self, plan: RunPlan) -> None: ...

    def poll(self) -> dict[str, Health]:
        """Actor name to health; an actor that does not answer has {"name", "away": True}."""

    def command(self, kind: str, verb: str) -> None:
        """Call `verb` on every actor of a kind: capture, encode, publish or record."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Snapshot:
    """What the rig last said of itself."""

    captures: list[Health] = field(default_factory=list)
    encoders: list[Health] = field(default_factory=list)
    publisher: Health = field(default_factory=dict)
    recorder: Health | None = None
    """None: nothing is recorded."""

    @property
    def everyone(self) -> list[Health]:
        recorder = [] if self.recorder is None else [self.recorder]
        return [self.publisher, *recorder, *self.encoders, *self.captures]

    @property
    def fatal(self) -> str | None:
        for health in self.everyone:
            if health.get("fatal"):
                return str(health["fatal"])
        return None


@dataclass(slots=True)
class RunResult:
    """How a run ended: the account of every lane, summed over publisher restarts."""

    accounts: dict[tuple[str, str], Account]
    error: str | None = None
    snapshot: Snapshot = field(default_factory=Snapshot)

    @property
    def dropped(self) -> int:
        """Windows lost on the way although their samples were there."""
        return sum(a.events[r] for a in self.accounts.values() for r in ("dropped", "failed", "lost"))


class Supervisor:
    """One run. `on_poll` is called with each snapshot (the status view); `stop_requested` ends the run with a drain."""

    def __init__(
        self,
        launcher: Launcher,
        plan: RunPlan,
        clock: Clock,
        *,
        on_poll: Callable[[Snapshot], None] | None = None,
        interval_s: float = 1.0,
    ) -> None:
        self._launcher = launcher
        self._plan = plan
        self._clock = clock
        self._on_poll = on_poll
        self._interval_s = interval_s
        self._accounts: dict[str, dict[tuple[str, str], Account]] = {}
        self._lives: dict[str, str] = {}
        self._snapshot = Snapshot()
        self._stop = False
        self._told: deque[tuple[str, str]] = deque()

    def request_stop(self) -> None:
        """Drain and end; safe in a signal handler."""
        self._stop = True

    def tell(self, kind: str, verb: str) -> None:
        """Call `verb` on every actor of a kind soon; from any thread, or a signal handler."""
        self._told.append((kind, verb))

    def run(self, duration_s: float | None = None) -> RunResult:
        """Start, watch until the recordings end, `duration_s` has passed or a stop is asked for; drain; close."""
        error: str | None = None
        try:
            self._launcher.start(self._plan)
            self._wait_until("the actors to start", self._all_open, START_S)
            self._hold_for_subscriber()
            self._watch(duration_s)
            self._drain()
            error = self._snapshot.fatal  # an encoder, say, that turned out not to load after all
        except StreamBindError as failure:
            error = str(failure)
        finally:
            try:
                with contextlib.suppress(StreamBindError):  # said already, or the run has ended anyway
                    self._poll()
            finally:
                self._launcher.close()
        return RunResult(self._total(), error, self._snapshot)

    def _poll(self) -> Snapshot:
        answers = self._launcher.poll()
        plan = self._plan
        self._snapshot = Snapshot(
            [answers.get(c.name, {"name": c.name}) for c in plan.captures],
            [answers.get(e.name, {"name": e.name}) for e in plan.encoders],
            answers.get("publish", {"name": "publish"}),
            None if plan.record is None else answers.get("record", {"name": "record"}),
        )
        for health in self._snapshot.everyone:
            self._note_restart(health)
        life = self._snapshot.publisher.get("life")
        if life:
            self._accounts[life] = {
                (lane["stream"], lane["encoder"]): _account(lane) for lane in self._snapshot.publisher["lanes"]
            }
        return self._snapshot

    def _note_restart(self, health: Health) -> None:
        name, life = health["name"], health.get("life")
        if life and self._lives.setdefault(name, life) != life:
            self._lives[name] = life
            log.warning("%s died and was started again (process %s)", name, health.get("pid"))

    def _total(self) -> dict[tuple[str, str], Account]:
        total: dict[tuple[str, str], Account] = {}
        for lanes in self._accounts.values():
            for key, account in lanes.items():
                total.setdefault(key, Account()).add(account)
        return total

    def _check(self) -> None:
        fatal = self._poll().fatal
        if fatal is not None:
            raise StreamBindError(fatal)

    def _wait_until(self, what: str, ready: Callable[[], bool], timeout_s: float) -> bool:
        deadline_s = self._now_s() + timeout_s
        while True:
            self._check()
            if ready():
                return True
            if self._stop:
                return False
            if self._now_s() > deadline_s:
                raise StreamBindError(f"waited {timeout_s:g} s for {what}: {self._missing()}")
            self._clock.sleep(POLL_S)

    def _missing(self) -> str:
        away = [h["name"] for h in self._snapshot.everyone if not h.get("opened")]
        return f"no answer from {', '.join(away)}" if away else "they are up but not ready"

    def _all_open(self) -> bool:
        snapshot = self._snapshot
        return all(h.get("opened") for h in snapshot.everyone) and all(c.get("ready") for c in snapshot.captures)

    def _hold_for_subscriber(self) -> None:
        if self._plan.wait_for_subscriber_s > 0:
            deadline_s = self._now_s() + self._plan.wait_for_subscriber_s
            while not self._stop and self._now_s() < deadline_s and not self._snapshot.publisher.get("subscribers"):
                self._clock.sleep(POLL_S)
                self._check()
            self._launcher.command("capture", "start")

    def _watch(self, duration_s: float | None) -> None:
        started_s = self._now_s()
        next_view_s = started_s
        while not self._stop:
            self._check()
            now_s = self._now_s()
            if now_s >= next_view_s and self._on_poll is not None:
                next_view_s = now_s + self._interval_s
                self._on_poll(self._snapshot)
            if duration_s is not None and now_s - started_s >= duration_s:
                return
            if self._snapshot.captures and all(c.get("done") for c in self._snapshot.captures):
                return
            rest_s = self._interval_s if duration_s is None else duration_s - (now_s - started_s)
            self._nap(min(self._interval_s, max(rest_s, 0.01)))

    def _nap(self, seconds: float) -> None:
        """Sleep in short pieces, so that a stop is noticed at once."""
        end_s = self._now_s() + seconds
        while not self._stop and self._now_s() < end_s:
            while self._told:
                self._launcher.command(*self._told.popleft())
            self._clock.sleep(min(POLL_S, max(end_s - self._now_s(), 0.001)))

    def _drain(self) -> None:
        """Captures first, so that every window finds its fate; then the publisher flushes."""
        self._stop_kind("capture", lambda s: s.captures, DRAIN_S)
        self._stop_kind("publish", lambda s: [s.publisher], 5.0)
        if self._plan.record is not None:
            self._stop_kind("record", lambda s: [s.recorder] if s.recorder is not None else [], DRAIN_S)
        if self._on_poll is not None:
            self._on_poll(self._snapshot)

    def _stop_kind(self, kind: str, healths: Callable[[Snapshot], list[Health]], timeout_s: float) -> None:
        """Ask every actor of a kind to stop and wait until all are done. One that is restarted meanwhile has not heard
        of it, so it is asked again."""
        self._launcher.command(kind, "request_stop")
        deadline_s = self._now_s() + timeout_s
        while self._now_s() < deadline_s:
            its = healths(self._poll())
            if all(h.get("done") for h in its) or self._snapshot.fatal is not None:
                return
            if any(not h.get("away") and "request_stop" not in h.get("asked", ("request_stop",)) for h in its):
                self._launcher.command(kind, "request_stop")
            self._clock.sleep(POLL_S / 2)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9


def _account(lane: Health) -> Account:
    account = Account(lane["vectors"], repeats=lane["repeats"])
    account.events.update(lane["events"])
    return account

"""Runs one worker: its loop in a thread, its compute loop (encoders) in another, restarts where nobody else does.

Launchers put a Host in a thread of this process or in a Ray actor; the worker cannot tell which.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from stream_bind.errors import StreamBindError
from stream_bind.restart import Backoff

__all__ = ["Host"]

log = logging.getLogger(__name__)

WELL_S = 60.0
"""A worker that has run for so long crashes for the first time again."""


class Host:
    """Owns one worker built by `make(restarted)`. `exit_on_crash` lets a process supervisor (Ray) do the restarting."""

    def __init__(self, name: str, make: Callable[[bool], Any], *, exit_on_crash: bool = False) -> None:
        self.name = name
        self._make = make
        self._exit_on_crash = exit_on_crash
        self._stop = threading.Event()
        self.opened = threading.Event()
        """Set when the first open has succeeded or failed for good."""
        self.fatal: str | None = None
        self.worker: Any = None
        self.restarts = 0
        self._opened_s = time.monotonic()
        self._asked: list[str] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self, *, restarted: bool = False) -> None:
        self._restarted = restarted
        self._thread.start()

    def call(self, verb: str) -> None:
        """Call a control method of the worker, if it has it (`start`, `request_stop`). A worker that opens later, or
        again after a crash, is told then."""
        with self._lock:
            if verb not in self._asked:
                self._asked.append(verb)
            self._tell(self.worker, verb)

    @staticmethod
    def _tell(worker: Any, verb: str) -> None:
        method = getattr(worker, verb, None)
        if method is not None:
            method()

    def health(self) -> dict[str, Any]:
        """The worker's own health, or why there is none."""
        worker = self.worker
        base = {"name": self.name, "pid": os.getpid(), "restarts": self.restarts, "opened": self.opened.is_set()}
        base["asked"] = tuple(self._asked)
        if worker is None or not self.opened.is_set():
            return base | {"fatal": self.fatal}
        health: dict[str, Any] = worker.health()
        return health | base | {"fatal": self.fatal or health.get("fatal")}

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the loops and close the worker; False if it hangs."""
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        backoff = Backoff()
        restarted = self._restarted
        while not self._stop.is_set():
            try:
                self._live(restarted)
                return
            except StreamBindError as error:
                self.fatal = str(error)
                self.opened.set()
                return
            except Exception as error:
                if not self.opened.is_set() and not restarted:
                    log.exception("%s cannot start", self.name)
                    self.fatal = f"{self.name} cannot start: {type(error).__name__}: {error}"
                    self.opened.set()
                    return
                log.exception("%s crashed; starting it again", self.name)
                if self._exit_on_crash:
                    logging.shutdown()
                    os._exit(1)
            self.restarts += 1
            restarted = True
            if time.monotonic() - self._opened_s > WELL_S:
                backoff.healthy()
            self._stop.wait(backoff.next_delay_s())

    def _live(self, restarted: bool) -> None:
        worker = self._make(restarted)
        worker.open()
        with self._lock:
            self.worker = worker
            for verb in self._asked:
                self._tell(worker, verb)
        self.opened.set()
        self._opened_s = time.monotonic()
        compute: threading.Thread | None = None
        crash: list[BaseException] = []
        if hasattr(worker, "compute_step"):
            compute = threading.Thread(
                target=self._compute, args=(worker, crash), name=f"{self.name}-compute", daemon=True
            )
            compute.start()
        try:
            while not self._stop.is_set():
                worker.step()
                if crash:
                    raise crash[0]
        finally:
            worker.request_stop()
            if compute is not None:
                compute.join(5.0)
            worker.close()

    def _compute(self, worker: Any, crash: list[BaseException]) -> None:
        try:
            worker.load()
            while not self._stop.is_set():
                worker.compute_step()
        except StreamBindError as error:
            self.fatal = str(error)
        except Exception as error:
            if worker.fatal is not None:
                self.fatal = worker.fatal
            else:
                crash.append(error)
        finally:
            worker.close_compute()

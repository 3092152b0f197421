"""The host of one worker: what it starts again, what it does not, and what a new worker is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.host import Host
from stream_bind.errors import StreamBindError
from stream_bind.restart import Backoff

WAIT_S = 5.0


class Worker:
    """Steps until told otherwise; `script` maps a method to what it raises, by life."""

    def __init__(self, life: int, restarted: bool, script: dict[tuple[int, str], Exception]) -> None:
        self.life, self.restarted, self._script = life, restarted, script
        self.fatal: str | None = None
        self.calls: list[str] = []
        self.stepped = threading.Event()

    def _do(self, name: str) -> None:
        self.calls.append(name)
        error = self._script.get((self.life, name))
        if error is not None:
            raise error

    def open(self) -> None:
        self._do("open")

    def step(self) -> None:
        if self.calls[-1] != "step":
            self._do("step")
        self.stepped.set()
        threading.Event().wait(0.001)

    def start(self) -> None:
        self._do("start")

    def request_stop(self) -> None:
        self._do("request_stop")

    def health(self) -> dict[str, Any]:
        return {"life": self.life, "fatal": self.fatal}

    def close(self) -> None:
        self._do("close")


class Encoder(Worker):
    def load(self) -> None:
        self._do("load")

    def compute_step(self) -> None:
        self._do("compute_step")
        threading.Event().wait(0.001)

    def close_compute(self) -> None:
        self.calls.append("close_compute")


class Bench:
    def __init__(self, cls: type[Worker], script: dict[tuple[int, str], Exception], **settings: Any) -> None:
        self.lives: list[Worker] = []

        def make(restarted: bool) -> Worker:
            self.lives.append(cls(len(self.lives), restarted, script))
            self.made.set()
            return self.lives[-1]

        self.made = threading.Event()
        self.host = Host("capture-cam", make, **settings)

    def life(self, number: int) -> Worker:
        """Life `number`, once it steps."""
        deadline = threading.Event()
        for _ in range(int(WAIT_S / 0.005)):
            if len(self.lives) > number and self.lives[number].stepped.is_set():
                return self.lives[number]
            deadline.wait(0.005)
        raise AssertionError(f"life {number} never stepped: {self.host.health()}")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setattr("actors.host.Backoff", lambda: Backoff(1e-3, 1e-2))
    made: list[Bench] = []

    def make(
        script: dict[tuple[int, str], Exception] | None = None, cls: type[Worker] = Worker, **settings: Any
    ) -> Bench:
        made.append(Bench(cls, script or {}, **settings))
        return made[-1]

    yield make
    for it in made:
        assert it.host.stop(WAIT_S)


def test_a_worker_is_opened_stepped_and_closed(bench) -> None:
    it = bench()
    it.host.start()
    worker = it.life(0)
    assert not worker.restarted
    health = it.host.health()
    assert (health["name"], health["pid"], health["opened"], health["life"]) == ("capture-cam", os.getpid(), True, 0)
    assert it.host.stop(WAIT_S)
    assert worker.calls == ["open", "step", "request_stop", "close"]


def test_a_crash_restarts_the_worker_and_tells_it_so(bench) -> None:
    it = bench({(0, "step"): KeyError("boom")})
    it.host.start()
    assert it.life(1).restarted
    assert it.lives[0].calls[-1] == "close"
    assert (it.host.restarts, it.host.fatal) == (1, None)


def test_an_error_meant_for_people_ends_it_for_good(bench) -> None:
    it = bench({(0, "step"): StreamBindError("the port is in use")})
    it.host.start()
    assert it.host.opened.wait(WAIT_S)
    it.host._thread.join(WAIT_S)
    assert len(it.lives) == 1
    assert it.host.health()["fatal"] == "the port is in use"
    assert it.lives[0].calls[-1] == "close"


@pytest.mark.parametrize("exits", [False, True], ids=["thread", "process"])
def test_a_worker_that_cannot_even_open_ends_the_run_with_the_errors_name(bench, exits: bool) -> None:
    it = bench({(0, "open"): TypeError("__init__() takes 2 arguments")}, exit_on_crash=exits)
    it.host.start()
    assert it.host.opened.wait(WAIT_S)
    assert it.host.health()["fatal"] == "capture-cam cannot start: TypeError: __init__() takes 2 arguments"
    assert len(it.lives) == 1


def test_a_restarted_worker_may_fail_to_open_and_is_tried_again(bench) -> None:
    it = bench({(0, "step"): KeyError("boom"), (1, "open"): OSError("address still taken")})
    it.host.start()
    assert it.life(2).restarted
    assert it.host.restarts == 2


def test_in_a_process_of_its_own_a_crash_ends_the_process_after_the_worker_was_closed(bench, monkeypatch) -> None:
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        it.host._stop.set()

    monkeypatch.setattr("actors.host.os._exit", leave)
    monkeypatch.setattr("actors.host.logging.shutdown", lambda: None)
    it = bench({(0, "step"): KeyError("boom")}, exit_on_crash=True)
    it.host.start()
    it.host._thread.join(WAIT_S)
    assert codes == [1]
    assert it.lives[0].calls[-1] == "close"


def test_what_is_asked_before_the_worker_is_there_reaches_it(bench) -> None:
    it = bench()
    it.host.call("request_stop")
    assert it.host.health()["asked"] == ("request_stop",)
    it.host.start()
    assert it.life(0).calls[:2] == ["open", "request_stop"]


def test_a_restarted_worker_is_told_what_its_predecessor_was(bench) -> None:
    it = bench({(0, "start"): RuntimeError("no")})
    it.host.start()
    it.life(0)
    with pytest.raises(RuntimeError):
        it.host.call("start")
    it.host.call("request_stop")
    it.host.call("request_stop")
    assert it.lives[0].calls.count("request_stop") == 2
    it.lives[0].step = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    assert it.life(1).calls[:3] == ["open", "start", "request_stop"]


def test_a_verb_that_a_worker_does_not_know_is_no_fault(bench) -> None:
    it = bench()
    it.host.start()
    it.life(0)
    it.host.call("reconfigure")


def test_an_encoder_loads_and_computes_beside_its_loop(bench) -> None:
    it = bench(cls=Encoder)
    it.host.start()
    worker = it.life(0)
    assert it.host.stop(WAIT_S)
    assert "load" in worker.calls
    assert worker.calls[-1] == "close"
    assert "close_compute" in worker.calls


def test_a_crash_while_computing_restarts_the_worker(bench) -> None:
    it = bench({(0, "compute_step"): ZeroDivisionError("boom")}, cls=Encoder)
    it.host.start()
    assert it.life(1).restarted
    assert {"close_compute", "close"} <= set(it.lives[0].calls)


def test_a_model_that_cannot_load_ends_it_while_its_loop_still_answers(bench) -> None:
    it = bench({(0, "load"): StreamBindError("no weights at /nowhere")}, cls=Encoder)
    it.host.start()
    it.life(0)
    for _ in range(1000):
        if it.host.health()["fatal"]:
            break
        threading.Event().wait(0.005)
    assert it.host.health()["fatal"] == "no weights at /nowhere"
    assert len(it.lives) == 1
    assert it.host._thread.is_alive()

"""One failing sink neither stops the rig nor the other sinks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import ClassVar

import pytest
from pydantic import BaseModel

from stream_bind.errors import ConfigError, SinkError
from stream_bind.registry import SINKS
from stream_bind.sinks.group import SinkGroup


class TapeConfig(BaseModel):
    name: str
    breaks_at: str = ""


class Tape:
    """Writes down every call; breaks where it is told to."""

    calls: ClassVar[list[str]] = []

    def __init__(self, config: TapeConfig, rig: str) -> None:
        self.config, self.rig = config, rig

    def _note(self, what: str) -> None:
        self.calls.append(f"{self.config.name} {what}")
        if what == self.config.breaks_at:
            raise SinkError(f"tape {self.config.name} of {self.rig}: torn")
        if f"bug in {what}" == self.config.breaks_at:
            raise ZeroDivisionError("division by zero")

    def open(self) -> None:
        self._note("open")

    def publish(self, embedding: object) -> None:
        self._note("publish")

    def event(self, event: object) -> None:
        self._note("event")

    def close(self) -> None:
        self._note("close")


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[str]]:
    SINKS.register("tape", TapeConfig, ())(Tape)
    Tape.calls.clear()
    yield Tape.calls
    SINKS._entries.pop("tape")


def group(**tapes: str) -> SinkGroup:
    return SinkGroup([("tape", {"name": name, "breaks_at": at}) for name, at in tapes.items()], "bench")


def test_every_sink_gets_every_message_in_order(calls, embedding, event):
    sinks = group(a="", b="")
    sinks.open()
    assert sinks.send(embedding) == sinks.send(event) == []
    sinks.close()
    sinks.close()
    opened, sent = ["a open", "b open"], ["a publish", "b publish", "a event", "b event"]
    assert calls == [*opened, *sent, "b close", "a close"]


@pytest.mark.parametrize(
    ("at", "words"), [("open", "tape b of bench: torn"), ("bug in open", "sink tape: cannot be opened: ZeroDivision")]
)
def test_if_one_does_not_open_those_before_it_are_closed_again(calls, at, words):
    sinks = group(a="", b=at, c="")
    with pytest.raises(SinkError, match=words):
        sinks.open()
    assert calls == ["a open", "b open", "b close", "a close"]
    assert len(sinks) == 0


def test_a_type_that_this_process_does_not_know_is_a_sentence(calls):
    with pytest.raises(ConfigError, match="unknown sink type 'tap'; did you mean 'tape'"):
        SinkGroup([("tape", {"name": "a"}), ("tap", {})], "bench").open()
    assert calls == ["a open", "a close"]


@pytest.mark.parametrize(
    ("at", "why"), [("event", "tape b of bench: torn"), ("bug in event", "ZeroDivisionError: division by zero")]
)
def test_a_sink_that_fails_is_told_once_closed_and_left_out(calls, caplog, embedding, event, at, why):
    sinks = group(a="", b=at, c="")
    sinks.open()
    assert sinks.send(embedding) == []
    calls.clear()
    with caplog.at_level(logging.WARNING):
        assert sinks.send(event) == [f"sink tape gets nothing more: {why}"]
        assert sinks.send(event) == []
    assert calls == ["a event", "b event", "b close", "c event", "a event", "c event"]
    assert len(caplog.records) == 1
    assert len(sinks) == 2


def test_a_sink_that_breaks_its_promise_on_close_keeps_no_other_open(calls, embedding):
    sinks = group(a="", b="close")
    sinks.open()
    sinks.close()
    assert calls[-2:] == ["b close", "a close"]

"""All sinks of a rig as one: opened together, fed together, and none able to stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from stream_bind.errors import SinkError, StreamBindError
from stream_bind.messages import Embedding, Event
from stream_bind.registry import SINKS
from stream_bind.sinks.base import Sink

__all__ = ["SinkGroup"]

log = logging.getLogger(__name__)


class SinkGroup:
    """The sinks that a plan names, as pairs of type and settings. Used from one thread."""

    def __init__(self, sinks: Iterable[tuple[str, Mapping[str, Any]]], rig: str) -> None:
        self._named = tuple(sinks)
        self._rig = rig
        self._open: list[tuple[str, Sink]] = []

    def __len__(self) -> int:
        """How many take messages."""
        return len(self._open)

    def open(self) -> None:
        """Build and open every sink. If one fails, those before it are closed again, and its SinkError is raised."""
        for name, settings in self._named:
            try:
                entry = SINKS.get(name)
                sink: Sink = entry.cls(entry.config(**settings), self._rig)
                self._open.append((name, sink))
                sink.open()
            except Exception as error:
                self.close()
                if isinstance(error, StreamBindError):
                    raise
                raise SinkError(f"sink {name}: cannot be opened: {type(error).__name__}: {error}") from error

    def send(self, message: Embedding | Event) -> list[str]:
        """Hand a published message to every sink. A sink that raises is closed and left out from now on; the result
        has one sentence for each of these."""
        failures = []
        for name, sink in tuple(self._open):
            try:
                if isinstance(message, Event):
                    sink.event(message)
                else:
                    sink.publish(message)
            except Exception as error:
                why = str(error) if isinstance(error, StreamBindError) else f"{type(error).__name__}: {error}"
                why = f"sink {name} gets nothing more: {why}"
                log.warning("%s: %s", self._rig, why)
                self._open.remove((name, sink))
                _close(name, sink)
                failures.append(why)
        return failures

    def close(self) -> None:
        """Close every sink that is still open, the last one first. Never raises."""
        while self._open:
            _close(*self._open.pop())


def _close(name: str, sink: Sink) -> None:
    try:
        sink.close()
    except Exception:  # against the contract, but no reason to leave the other sinks open
        log.exception("sink %s: close failed", name)

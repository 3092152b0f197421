"""A text file with one JSON object a line, as `stream-bind subscribe --json` prints it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict

from stream_bind.errors import SinkError
from stream_bind.header import decimals, header_of, plain_number, topic_of
from stream_bind.messages import Embedding, Event
from stream_bind.registry import register_sink

__all__ = ["JsonlConfig", "JsonlSink"]


class JsonlConfig(BaseModel):
    """A file of JSON Lines, appended to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["jsonl"] = "jsonl"
    """The sink type, always "jsonl"."""
    path: Path
    """The file; its folder must exist. What the file holds already stays."""
    vectors: bool = False
    """Write the vectors too, not only what is known about them: 1,024 numbers are 15 kB of text and 0.5 ms."""


@register_sink("jsonl", config=JsonlConfig)
class JsonlSink:
    """One line a message: the header's keys, `topic`, and on request `vector`. Each line is in the file at once."""

    def __init__(self, config: JsonlConfig, rig: str) -> None:
        self._config = config
        self._file: BinaryIO | None = None

    @classmethod
    def check(cls, config: JsonlConfig) -> None:
        """SinkError unless the file is there, or can be made in a folder that is."""
        path = config.path
        if path.exists() and not path.is_file():
            raise SinkError(f"jsonl {path}: wanted a file to append to, found something else; choose another `path`")
        if not path.parent.is_dir():
            raise SinkError(f"jsonl {path}: there is no folder {path.parent}; make it, or choose another `path`")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise SinkError(f"jsonl {path}: may not be written by this user; choose another `path`")

    def open(self) -> None:
        if self._file is not None:
            return
        self.check(self._config)
        try:
            self._file = self._config.path.open("a+b")
            # A process that was killed in the middle of a line leaves it without an end.
            if self._file.tell() and not self._ends_a_line(self._file):
                self._file.write(b"\n")
        except OSError as error:
            self.close()
            raise self._failure("cannot be opened", error) from error

    @staticmethod
    def _ends_a_line(file: BinaryIO) -> bool:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"

    def publish(self, embedding: Embedding) -> None:
        line = {"topic": topic_of(embedding), **header_of(embedding)}
        if self._config.vectors:
            line["vector"] = decimals(embedding.vector)
        self._write(line)

    def event(self, event: Event) -> None:
        self._write({"topic": topic_of(event), **header_of(event)})

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # the disk is full, and `publish` has said so
                pass

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is None:
            raise SinkError(f"jsonl {self._config.path}: is not open")
        try:
            self._file.write(json.dumps(line, default=plain_number).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._failure("cannot be written", error) from error

    def _failure(self, what: str, error: OSError) -> SinkError:
        return SinkError(f"jsonl {self._config.path}: {what}: {error.strerror or error}")

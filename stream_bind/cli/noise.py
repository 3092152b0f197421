"""What vendor libraries print on stdout and stderr, kept out of ours."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, TextIO

__all__ = ["Noise", "noise_aside"]

log = logging.getLogger(__name__)


class Noise:
    """The true outputs while libraries write elsewhere."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self.out = out
        self.err = err
        self.lasting = False
        """Set it where a library still runs: it stays silenced until the process ends."""

    def tell(self, line: str) -> None:
        """One line for the person, on stderr."""
        print(line, file=self.err, flush=True)


@contextmanager
def noise_aside() -> Iterator[Noise]:
    """Meanwhile whatever is printed, by Python or by C, goes to a file; logging still reaches the person.

    What was printed is logged at level debug afterwards.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    noise = Noise(_lasting(sys.stdout, 1), _lasting(sys.stderr, 2))
    owned = [fd for fd, before, now in ((1, sys.stdout, noise.out), (2, sys.stderr, noise.err)) if now is not before]
    saved = {fd: os.dup(fd) for fd in (1, 2)}
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    stderr = sys.stderr
    with tempfile.TemporaryFile("w+", errors="replace", buffering=1) as sink:
        for fd in (1, 2):
            os.dup2(sink.fileno(), fd)
        for handler in handlers:
            handler.setStream(noise.err)
        try:
            with redirect_stdout(sink), redirect_stderr(sink):
                yield noise
        finally:
            for handler in handlers:
                handler.setStream(noise.err if noise.lasting and 2 in owned else stderr)
            if noise.lasting and owned:
                # Whoever is left behind keeps writing to the file, which lives as long as its descriptors.
                sys.stdout, sys.stderr = noise.out, noise.err
            for fd, copy in saved.items():
                if not (noise.lasting and fd in owned):
                    os.dup2(copy, fd)
                os.close(copy)
            for line in _said(sink):
                log.debug("a library said: %s", line)


def _lasting(stream: TextIO, fd: int) -> TextIO:
    """`stream` itself where it does not end in `fd` (a test's capture), else a copy that goes on when fd is turned."""
    try:
        if stream.fileno() != fd:
            return stream
    except (OSError, ValueError, AttributeError):
        return stream
    return open(os.dup(fd), "w", encoding=stream.encoding, errors=stream.errors, buffering=1)


def _said(sink: IO[str]) -> list[str]:
    sink.flush()
    sink.seek(0)
    return [line.rstrip() for line in sink.read(100_000).splitlines() if line.strip()]

"""Single keys of a terminal while a verb runs: pause, step, quit."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

__all__ = ["Keys"]


class Keys:
    """While this is entered, a key on the terminal calls what it is bound to. Does nothing where stdin is none."""

    def __init__(self, bound: Mapping[str, Callable[[], None]]) -> None:
        self._bound = dict(bound)
        self._old: Any = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if not sys.stdin.isatty():
            return self
        import termios
        import tty

        self._old = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is None:
            return
        import termios

        self._stop.set()
        self._thread.join(1.0)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._old)

    def _run(self) -> None:
        with suppress(OSError, ValueError):
            while not self._stop.is_set():
                if not select.select([sys.stdin], [], [], 0.2)[0]:
                    continue
                for key in os.read(sys.stdin.fileno(), 64).decode(errors="ignore"):
                    if key in self._bound:
                        self._bound[key]()

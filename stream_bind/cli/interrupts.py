"""Ctrl-C and SIGTERM of a long verb: the first ends it properly, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from abc import ABC, abstractmethod
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts(ABC):
    """While this is entered, in the main thread, the first signal calls `first` and the second ends the process."""

    def __init__(self) -> None:
        self.count = 0
        self._old: dict[int, Any] = {}

    @abstractmethod
    def first(self) -> None:
        """Say that the verb comes to its end, and make it so. Runs in a signal handler: nothing long."""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)

    def _handle(self, number: int, _frame: object) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(128 + number)
        self.first()

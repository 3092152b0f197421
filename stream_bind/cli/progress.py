"""Long steps on stderr: bars on a terminal, otherwise a line for every tenth of a step that takes its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from stream_bind.encoders.download import human_size

__all__ = ["StepView"]

QUIET_S = 1.0
"""Without a terminal, steps shorter than this are not told."""


class StepView:
    """Shows steps measured in bytes. A context manager."""

    def __init__(self, *, live: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        console = Console(stderr=True)
        self._clock = clock
        self._bars: Progress | None = None
        if console.is_terminal if live is None else live:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console,
            )

    def __enter__(self) -> StepView:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def tell(self, line: str) -> None:
        """One line above the bars."""
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def watch(self, label: str) -> Callable[[int, int | None], None]:
        """Begin a step. Call what is returned with the bytes done and the bytes in all."""
        return self._lines(label) if self._bars is None else self._bar(label, self._bars)

    def _bar(self, label: str, bars: Progress) -> Callable[[int, int | None], None]:
        task = bars.add_task(label, total=None)

        def show(done: int, total: int | None) -> None:
            bars.update(task, completed=done, total=total)

        return show

    def _lines(self, label: str) -> Callable[[int, int | None], None]:
        started_s, told = self._clock(), 0

        def show(done: int, total: int | None) -> None:
            nonlocal told
            if not total or self._clock() - started_s < QUIET_S:
                return
            tenth = 10 * done // total
            if tenth > told:
                told = tenth
                self.tell(f"{label}: {10 * tenth} %, {human_size(done)} of {human_size(total)}")

        return show

"""How a binding gets on, on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from stream_bind.training.trainer import Progress as Step

__all__ = ["BindView", "described"]

LINE_EVERY_S = 10.0
NAMES = {"collect": "data (s)", "anchor": "anchor", "train": "training"}
"""What the steps are of: seconds of signal, clips of the frozen branch, training steps."""


class BindView:
    """Shows what `watch` is told. A context manager."""

    def __init__(self, *, live: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        console = Console(stderr=True)
        self._clock = clock
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._told_s: dict[str, float] = {}
        if console.is_terminal if live is None else live:
            self._bars = Progress(
                TextColumn("{task.description:<8}"),
                MofNCompleteColumn(),
                BarColumn(bar_width=8),  # all in 80 columns
                TextColumn("{task.fields[figures]}"),
                console=console,
            )

    def __enter__(self) -> BindView:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def tell(self, line: str) -> None:
        """One line above the bars."""
        if self._bars is not None:
            self._bars.console.print(f"stream-bind: {line}", markup=False, highlight=False, soft_wrap=True)
        else:
            print(f"stream-bind: {line}", file=sys.stderr, flush=True)

    def watch(self, step: Step) -> None:
        """Show where the run stands."""
        name = NAMES.get(step.phase, step.phase)
        if self._bars is not None:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=step.steps or None, figures="")
            self._bars.update(self._tasks[name], completed=step.step, total=step.steps or None, figures=described(step))
            return
        now_s = self._clock()
        last = step.phase == "train" and step.step == step.steps
        if last or now_s - self._told_s.setdefault(name, now_s) >= LINE_EVERY_S:
            self._told_s[name] = now_s
            figures = described(step)
            self.tell(f"{name}: {step.step} of {step.steps or '?'}{', ' + figures if figures else ''}")


def described(step: Step) -> str:
    """Loss, held-out recall, pace and the time left, as far as they are known."""
    told = []
    if not math.isnan(step.loss):
        told.append(f"loss {step.loss:.3f}")
    if not math.isnan(step.recall):
        told.append(f"recall@1 {step.recall:.1%}")
    if step.clips_per_s:
        told.append(f"{step.clips_per_s:.0f} clips/s")
    if not math.isnan(step.left_s):
        told.append(f"{round(step.left_s) // 60}:{round(step.left_s) % 60:02d} left")
    return ", ".join(told)

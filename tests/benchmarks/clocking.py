"""CPU time of every call of a function, in this process or in those that it starts."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path
from typing import Any

FOLDER = "BENCHMARK_CLOCKS"
"""Environment variable: where the processes of a run leave what they measured."""
KEPT = 16
"""Calls that are kept until they are written: fewer, and what is measured would be the measuring."""
_ENTRY = struct.Struct("<dd")


def clock(owner: Any, name: str) -> None:
    """From now on every call of owner.name is timed, if a folder for it is named: monotonic time and CPU seconds of the
    calling thread."""
    function, label, spent = getattr(owner, name), name.strip("_"), bytearray()

    def timed(*args: Any, **more: Any) -> Any:
        begun = time.thread_time()
        try:
            return function(*args, **more)
        finally:
            spent.extend(_ENTRY.pack(time.monotonic(), time.thread_time() - begun))
            if len(spent) >= KEPT * _ENTRY.size:
                _keep(label, spent)

    setattr(owner, name, timed)


def _keep(label: str, spent: bytearray) -> None:
    # An actor may be killed: but for the last few calls, what it measured is out of it by then.
    if folder := os.environ.get(FOLDER):
        with (Path(folder) / f"{label}.{os.getpid()}").open("ab") as file:
            file.write(spent)
    spent.clear()


def clocked(folder: Path, name: str, begun_s: float, ended_s: float) -> float:
    """CPU seconds that the calls of a function took between two monotonic times, in all processes."""
    found = [entry for path in folder.glob(f"{name.strip('_')}.*") for entry in _ENTRY.iter_unpack(path.read_bytes())]
    return sum(cpu_s for t_s, cpu_s in found if begun_s <= t_s <= ended_s)

"""Runs in the guest: the planned checks, one process each, results streamed to the folder shared with the host.

`plan.json` there lists "file.check" names. Each line of `results.jsonl` is one object: {"check", "outcome": passed |
failed | skipped, "seconds", and for a failure "report", "output", "kernel"}, or {"note", "seconds"} of what else took.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "checks")]

import bench  # noqa: E402 - found through the path above

DEFAULT_TIMEOUT_S = 60.0


class Results:
    """Lines that are on the host as soon as `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def write(self, **line: Any) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def judge(module: ModuleType, check: str) -> dict[str, str]:
    try:
        getattr(module, "before_each", lambda: None)()
        getattr(module, check)()
    except bench.Skipped as reason:
        return {"outcome": "skipped", "report": str(reason)}
    except BaseException:
        return {"outcome": "failed", "report": traceback.format_exc()[-20_000:]}
    return {"outcome": "passed"}


def run(module: ModuleType, check: str, limit_s: float, output: Path) -> dict[str, Any]:
    """One check in a process and a process group of its own, both gone when this returns."""
    told = Path(f"/dev/shm/{output.name}")
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(printed, 1)
            os.dup2(printed, 2)
            faulthandler.enable()
            faulthandler.dump_traceback_later(max(0.5, limit_s - 1.0))
            verdict = judge(module, check)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.flush()
            sys.stderr.flush()
            told.write_text(json.dumps(verdict))
            os.write(writing, b".")
        finally:
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], limit_s)
    ended = bool(ready and os.read(reading, 1))
    seconds = time.monotonic() - began
    for group in (True, False):
        try:
            os.killpg(child, signal.SIGKILL) if group else os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
    os.close(reading)
    # A process that hangs in the kernel cannot be killed; it is left behind.
    for _ in range(40):
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.05)
    verdict: dict[str, Any]
    if ended:
        verdict = json.loads(told.read_text())
    else:
        died = f"did not end within {limit_s:.0f} s" if not ready else "its process died"
        verdict = {"outcome": "failed", "report": f"{died}; its threads' tracebacks are in the output, if it had any"}
    verdict["seconds"] = round(seconds, 2)
    if verdict["outcome"] == "failed":
        verdict["output"] = output.read_text(errors="replace")[-8000:]
        verdict["kernel"] = bench.kernel_log()
    return verdict


def limit_of(module: ModuleType, check: str) -> float:
    default = float(getattr(module, "TIMEOUT_S", DEFAULT_TIMEOUT_S))
    return float(getattr(module, "TIMEOUTS_S", {}).get(check, default))


def main(out: Path) -> None:
    results = Results(out / "results.jsonl")
    planned: dict[str, list[str]] = {}
    for name in json.loads((out / "plan.json").read_text()):
        file, check = name.split(".")
        planned.setdefault(file, []).append(check)
    for file, checks in planned.items():
        began = time.monotonic()
        try:
            module = importlib.import_module(file)
            imported = time.monotonic()
            for line in getattr(module, "MODULES", ()):
                bench.load(line)
        except BaseException:
            report = traceback.format_exc()
            for check in checks:
                results.write(
                    check=f"{file}.{check}",
                    outcome="failed",
                    seconds=0.0,
                    report=f"{file} could not be loaded:\n{report}",
                    output="",
                    kernel=bench.kernel_log(),
                )
            continue
        results.write(note=f"import {file}", seconds=round(imported - began, 2))
        results.write(note=f"kernel modules of {file}", seconds=round(time.monotonic() - imported, 2))
        for check in checks:
            verdict = run(module, check, limit_of(module, check), out / f"{file}.{check}.out")
            results.write(check=f"{file}.{check}", **verdict)
    results.write(note="all checks done", seconds=round(time.monotonic(), 2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

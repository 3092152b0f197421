"""What a check may ask of the bench it runs on: commands, kernel modules, and the host that plugs and unplugs.

Only for code inside the guest. Check files are `checks/*_checks.py`; each may declare

    MODULES = ["vivid n_devs=2 node_types=0x1"]   kernel modules with their options, loaded before its checks
    TIMEOUT_S = 60                                for each of its checks, which is then killed; tracebacks are kept
    TIMEOUTS_S = {"check_slow": 90}               for single checks

and has functions `check_*` without arguments that raise (assert) when something is not as it should be. Each runs in a
process of its own, forked after the file was imported, so that nothing one check leaves behind in Python reaches the
next; `before_each`, where there is one, runs in it first.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["Skipped", "ask", "kernel_log", "load", "plug", "pour", "rest", "shell", "unload", "unplug", "wait_until"]

OUT = Path("/run/stream-bind-guest/out")
T = TypeVar("T")
_numbers = itertools.count()


class Skipped(Exception):  # noqa: N818 - not a fault
    """Raised by a check that cannot be done here, with the reason."""


def shell(command: str, timeout_s: float = 20.0) -> str:
    """What the command prints (stdout); AssertionError with what it said if it fails."""
    done = subprocess.run(
        ["/bin/bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}: ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def load(module: str) -> None:
    """modprobe, such as "vivid n_devs=1"."""
    shell(f"modprobe {module}", 60)


def unload(module: str) -> None:
    shell(f"modprobe -r {module}", 60)


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """The first true value of `condition`, asked 20 times a second; AssertionError naming `what` after timeout_s."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
        time.sleep(0.05)


def ask(what: str, timeout_s: float = 20.0, **details: Any) -> Any:
    """Have the host do something and wait until it has; see machine.Host for what it knows."""
    name = f"{os.getpid()}-{next(_numbers)}"
    (OUT / "asks" / f"{name}.part").write_text(json.dumps({"what": what, **details}))
    os.rename(OUT / "asks" / f"{name}.part", OUT / "asks" / f"{name}.json")
    answer = OUT / "answers" / f"{name}.json"
    wait_until(answer.exists, timeout_s, f"the host's answer to {what}")
    told = json.loads(answer.read_text())
    assert "error" not in told, f"the host could not {what} {details}: {told['error']}"
    return told["done"]


def plug(name: str) -> None:
    """Plug in the USB serial adapter with this serial number ("IMU0" or "IMU1"); packets pour from it at once."""
    ask("plug", name=name)


def unplug(name: str) -> None:
    """Pull it out. The sensor behind it goes on counting its samples (machine.Sensor)."""
    ask("unplug", name=name)


def rest() -> None:
    """As at boot: IMU0 plugged in and speaking, IMU1 out."""
    ask("rest")


def pour(name: str, on: bool) -> None:
    """Let the sensor behind a plugged adapter speak, or fall silent."""
    ask("pour", name=name, on=on)


def kernel_log(lines: int = 40) -> str:
    """The newest lines of the kernel's log."""
    told = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
    return "\n".join(told.splitlines()[-lines:])

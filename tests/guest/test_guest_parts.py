"""The runner of the guest's checks, run here: a check that hangs, dies or leaves things behind costs only itself."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent

CHECKS = """\
import os, subprocess, threading, time
from bench import Skipped

TIMEOUT_S = 30
TIMEOUTS_S = {"check_that_hangs": 3}
ready = False

def before_each():
    global ready
    ready = True

def check_that_passes():
    assert ready

def check_that_fails():
    print("what it printed")
    assert 1 == 2, "one is not two"

def check_that_hangs():
    subprocess.Popen(["sleep", "4321.5"])
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def check_that_dies():
    os.abort()

def check_that_cannot_be_done():
    raise Skipped("no such thing here")

def check_that_comes_last():
    global ready
    assert ready
    assert not threading.active_count() > 1
"""
NAMES = ("passes", "fails", "hangs", "dies", "cannot_be_done", "comes_last")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the runner told about each check of CHECKS, by the check's name."""
    out = tmp_path_factory.mktemp("out")
    (out / "odd_checks.py").write_text(CHECKS)
    (out / "broken_checks.py").write_text("import nothing_of_this_name\n")
    plan = [f"odd_checks.check_that_{name}" for name in NAMES] + ["broken_checks.check_a", "odd_checks.check_absent"]
    (out / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, str(HERE / "inside.py"), str(out)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(out)}, timeout=120, check=True)
    told = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert told[-1]["note"] == "all checks done"
    return {line["check"].split(".")[1].removeprefix("check_that_"): line for line in told if "check" in line}


def test_every_planned_check_has_one_outcome(lines: dict[str, dict[str, Any]]) -> None:
    outcomes = {name: line["outcome"] for name, line in lines.items()}
    assert outcomes == {
        "passes": "passed",
        "fails": "failed",
        "hangs": "failed",
        "dies": "failed",
        "cannot_be_done": "skipped",
        "comes_last": "passed",
        "check_a": "failed",
        "check_absent": "failed",
    }


def test_a_failure_says_what_failed_and_what_was_printed(lines: dict[str, dict[str, Any]]) -> None:
    assert "one is not two" in lines["fails"]["report"]
    assert "what it printed" in lines["fails"]["output"]
    assert lines["cannot_be_done"]["report"] == "no such thing here"
    assert "nothing_of_this_name" in lines["check_a"]["report"]


def test_a_check_that_hangs_is_ended_with_its_traceback(lines: dict[str, dict[str, Any]]) -> None:
    assert "did not end within 3 s" in lines["hangs"]["report"]
    assert "in check_that_hangs" in lines["hangs"]["output"]
    assert 2.5 < lines["hangs"]["seconds"] < 30
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"4321.5" in _content(path)]
    assert not left


def test_a_check_that_dies_says_so(lines: dict[str, dict[str, Any]]) -> None:
    assert "its process died" in lines["dies"]["report"]
    assert "Fatal Python error" in lines["dies"]["output"]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def machine() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guest_machine_alone", HERE / "machine.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_apt_the_reason_is_told(machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(machine.Unavailable, match=r"apt-get|x86_64"):
        machine.image(tmp_path / "cache")


def test_where_the_kernel_cannot_be_fetched_the_reason_is_told(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apt-get", "apt-cache"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(machine.Unavailable, match=r"apt-get update|x86_64"):
        machine.image(tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]

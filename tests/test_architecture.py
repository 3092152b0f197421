"""The architecture as tests: imports go one way, the pure core stays pure, and importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = (
    "messages",
    "errors",
    "clock",
    "clocksync",
    "window",
    "samples",
    "resample",
    "adjust",
    "restart",
    "registry",
    "header",
)
FORBIDDEN = {
    "time",
    "threading",
    "asyncio",
    "socket",
    "zmq",
    "ray",
    "torch",
    "cv2",
    "av",
    "serial",
    "sounddevice",
    "soundfile",
}


def imported_names(path: Path) -> set[str]:
    """Top-level packages a file imports anywhere in it, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add((node.module or "").partition(".")[0])
    return found


def test_imports_go_one_way():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("module", CORE)
def test_the_pure_core_imports_no_clock_thread_socket_or_framework(module):
    allowed = {"time"} if module == "clock" else set()
    assert imported_names(ROOT / "stream_bind" / f"{module}.py") & FORBIDDEN <= allowed


def test_the_pure_core_is_what_the_contracts_say():
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line for line in contracts.splitlines() if line.startswith("source_modules") and "clocksync" in line]
    assert len(lines) == 1
    assert all(f'"stream_bind.{module}"' in lines[0] for module in CORE)


@pytest.mark.parametrize("module", ["stream_bind", "stream_bind.window", "devices.base", "stream_bind.encoders.base"])
def test_importing_the_core_loads_no_framework(module):
    heavy = "{'torch', 'ray', 'zmq', 'cv2', 'av', 'pydantic', 'serial'}"
    code = f"import sys, {module}; loaded = {heavy} & set(sys.modules); sys.exit(', '.join(sorted(loaded)) or 0)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"import {module} loads {result.stderr.strip()}"

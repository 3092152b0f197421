"""The guest that the checks run in: built once per machine, booted once per session, with the chosen checks only."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

GUEST_LIMIT_S = 600.0


def _machine() -> ModuleType:
    spec = importlib.util.spec_from_file_location("guest_machine", Path(__file__).with_name("machine.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _cache() -> Path:
    """Where the guest's kernel is kept: STREAM_BIND_GUEST_DIR, or a folder of ours in the user's cache."""
    import platformdirs

    chosen = os.environ.get("STREAM_BIND_GUEST_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("stream-bind")) / "guest"


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest, lacking: Callable[[str, str], NoReturn]) -> Iterator[Any]:
    """The booted machine.Guest, asked for nothing but the checks of this session's tests."""
    machine = _machine()
    chosen = [item.callspec.params["check"] for item in request.session.items if "check" in _params(item)]
    try:
        kernel = machine.image(_cache())
    except machine.Unavailable as reason:
        lacking("qemu", str(reason))
    running = machine.Guest(kernel, chosen, GUEST_LIMIT_S)
    try:
        yield running
    finally:
        took = running.stop()
        told = "; ".join(f"{note['note']} {note['seconds']} s" for note in running.notes)
        print(f"\nguest: {took:.0f} s from start to end; {told}")


def _params(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") and "guest" in item.fixturenames else {}  # type: ignore[attr-defined]

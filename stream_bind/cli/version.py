"""`stream-bind version`: ours, the wire's, and those of the programs below us."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

from stream_bind import __version__
from stream_bind.log.writer import LOG_VERSION
from stream_bind.wire.header import WIRE_VERSION

__all__ = ["version_command"]


def version_command(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Say which versions run here."""
    # From the packages' metadata: importing ray or torch to ask them takes seconds.
    versions: dict[str, str | int | None] = {
        "stream-bind": __version__,
        "wire": WIRE_VERSION,
        "log": LOG_VERSION,
        "python": platform.python_version(),
        "ray": _installed("ray"),
        "torch": _installed("torch"),
        "pyzmq": _installed("pyzmq"),
    }
    if as_json:
        print(json.dumps(versions))
        return
    for name, value in versions.items():
        print(f"{name:<12} {value or 'not installed'}")


def _installed(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None

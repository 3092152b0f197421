"""`stream-bind validate`: every fault of a YAML file at once, without opening a sensor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["validate_command"]


def validate_command(
    config: Annotated[Path | None, typer.Argument(help="The YAML file.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the file.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="As for `run --simulate`: sensors need not be here.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema for editors instead.")] = False,
) -> None:
    """Check a YAML file: every fault with its place, and warnings for what will work badly."""
    from stream_bind.config import json_schema, load_config, resolve

    if schema:
        print(json.dumps(json_schema(), indent=2))
        return
    if config is None:
        raise typer.BadParameter("name the YAML file to check, or ask for --schema", param_hint="CONFIG")
    rig = load_config(config, settings or (), simulate=simulate, files=True)
    for warning in rig.warnings:
        print(f"{config}: warning: {warning}", file=sys.stderr)
    lanes = resolve(rig)
    print(f"{config}: ok: {_count(len(rig.streams), 'stream')}, {_count(len(rig.encoders), 'encoder')}")
    width = max(len(lane.stream) for lane in lanes)
    for lane in lanes:
        grid = f"{lane.length_ns / 1e9:g} s every {lane.hop_ns / 1e9:g} s"
        print(
            f"  {lane.stream:<{width}}  {lane.modality:<7}  {grid:<18} -> emb/{rig.rig}/{lane.stream}/{lane.encoder}/"
        )


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"

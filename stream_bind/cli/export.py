"""`stream-bind export`: the vectors of a log as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export_command"]


def export_command(
    log: Annotated[Path, typer.Argument(help="The log, the common name of a split one, or its folder.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="vectors.parquet, vectors.arrow or vectors.npz (NumPy).")
    ],
) -> None:
    """Write every vector of a log, with its window, model and coverage, for pandas, Polars, DuckDB or NumPy."""
    from stream_bind.log.export import export

    n = export(log, output)
    print(f"{output}: {n:,} vectors")

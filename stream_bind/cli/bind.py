"""`stream-bind bind`: train a sensor into the joint space."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.interrupts import Interrupts

if TYPE_CHECKING:
    from stream_bind.training.binder import Binder, Bound

__all__ = ["bind_command"]


def bind_command(
    config: Annotated[Path, typer.Argument(help="The bind file (YAML).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The model directory to write, over the file's.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over: forget an unfinished run and its data.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the file.")] = None,
    evaluate_only: Annotated[
        bool, typer.Option("--evaluate-only", help="Measure the model directory that is there; train nothing.")
    ] = False,
) -> None:
    """Bind a sensor to a model's joint space: take data, train, measure, write a model directory that `run` takes.

    An interrupted run goes on where it was when the same command is given again.
    """
    from stream_bind.training.binding import load_binding

    loaded = load_binding(config, settings or ())
    from stream_bind.cli.bind_view import BindView
    from stream_bind.training.binder import Binder

    with BindView() as view:
        binder = Binder(
            loaded, output=output, fresh=fresh, watch=view.watch, command=_command(config, output, settings)
        )
        with _Interrupts(binder, view):
            bound = binder.run(evaluate_only=evaluate_only)
    if bound is None:
        print(
            f"stream-bind: interrupted; everything so far is kept in {binder.run_dir}: give the same command again to "
            "go on",
            file=sys.stderr,
        )
        raise typer.Exit(130)
    _tell(bound, evaluate_only)


def _command(config: Path, output: Path | None, settings: list[str] | None) -> str:
    words = ["stream-bind", "bind", str(config)]
    words += ["--output", str(output)] if output is not None else []
    for told in settings or ():
        words += ["--set", told]
    return " ".join(words)


def _tell(bound: Bound, evaluate_only: bool) -> None:
    width = max((len(f.name) for f in bound.figures), default=0)
    print(f"recall@1 on {bound.n_held_out} held-out moments, 95 % intervals over {bound.clusters}:")
    for f in bound.figures:
        print(
            f"  {f.name:<{width}}  {f.value:6.1%}  ({f.low:.1%} to {f.high:.1%})  chance {f.chance:5.1%}  "
            f"x {f.times_chance:.1f}"
        )
    if not evaluate_only:
        print(f"written: {bound.directory}; use it with `encoder: {{model: imagebind, weights: {bound.directory}}}`")


class _Interrupts(Interrupts):
    """The first signal ends the run with everything kept."""

    def __init__(self, binder: Binder, view: Any) -> None:
        super().__init__()
        self._binder, self._view = binder, view

    def first(self) -> None:
        self._view.tell("stopping after this step, with a checkpoint (once more kills)")
        self._binder.request_stop()

"""Loss and held-out recall of a run as a picture."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_bind.training.checkpoint import write_whole

__all__ = ["save_curves"]


def save_curves(
    path: Path, losses: Sequence[float], evaluations: Sequence[Mapping[str, Any]], *, title: str, kept_step: int = 0
) -> None:
    """A PNG at `path`: training and held-out loss above, held-out recall@1 of every binding and direction below.

    losses: one a step; evaluations: as TrainResult has them. Imports matplotlib.
    """
    # Its search for fonts fills a debug log by the page.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    steps = np.arange(1, len(losses) + 1)
    above.plot(steps, losses, color="#9db7d5", linewidth=0.7, label="training, every step")
    width = max(1, len(losses) // 50)
    if width > 1:
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        above.plot(steps[width - 1 :], smooth, color="#1f5fa8", label=f"training, mean of {width} steps")
    at = [e["step"] for e in evaluations]
    if evaluations:
        above.plot(at, [e["loss"] for e in evaluations], "o-", color="#c2571a", markersize=4, label="held out")
    above.set_ylabel("contrastive loss (nats)")
    above.set_title(title)
    above.legend()
    above.grid(alpha=0.3)
    for number, name in enumerate(evaluations[-1]["bindings"] if evaluations else ()):
        one, other = name.split("-", 1)
        told = [e["bindings"][name] for e in evaluations]
        colour = f"C{number}"
        below.plot(at, [t["to"] for t in told], "o-", color=colour, markersize=4, label=f"{one} to {other}")
        below.plot(at, [t["back"] for t in told], "s--", color=colour, markersize=4, label=f"{other} to {one}")
        below.axhline(1 / told[-1]["batch"], color=colour, linestyle=":", linewidth=1)
    if evaluations:
        batch = next(iter(evaluations[-1]["bindings"].values()))["batch"]
        below.plot([], [], color="grey", linestyle=":", label=f"chance (1 of {batch})")
        below.legend()
    if kept_step and kept_step < len(losses):
        for axes in (above, below):
            axes.axvline(kept_step, color="grey", linewidth=1)
        below.annotate("kept", (kept_step, below.get_ylim()[1]), ha="right", va="top", rotation=90)
    below.set_ylabel("held-out recall@1")
    below.set_xlabel("step")
    below.set_ylim(bottom=0)
    below.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_whole(path, buffer.getvalue())

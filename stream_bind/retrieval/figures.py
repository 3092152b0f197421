"""Pictures of what retrieval does: a confusion matrix, a table of modalities, queries and what they found.

matplotlib is imported when one is drawn; no window is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["confusion_figure", "retrieval_figure", "table_figure"]

_SHADES = "cividis"
"""Rises evenly in lightness, also for the colour-blind and in print."""
_RIGHT, _WRONG = "#1b7837", "#b35806"


def confusion_figure(panels: Mapping[str, tuple[NDArray[np.int64], Sequence[str]]], path: Path) -> None:
    """One matrix a title: counts (n, n) by true (row) and told (column), with the names of the n kinds."""
    figure, axes = _canvas(len(panels), columns=min(3, len(panels)), size=4.6)
    for axis, (title, (counts, names)) in zip(axes, panels.items(), strict=False):
        totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares = counts / totals
        axis.imshow(shares, vmin=0, vmax=1, cmap=_SHADES)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=6.5)
        axis.set_yticks(range(len(names)), names, fontsize=6.5)
        axis.set_title(f"{title}: {np.trace(counts) / max(counts.sum(), 1):.0%} right of {counts.sum():,}", fontsize=10)
        for row, column in np.argwhere(shares >= 0.02):
            share = shares[row, column]
            ink = "black" if share > 0.55 else "white"
            axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=5.5, color=ink)
    figure.supxlabel("told", fontsize=9)
    figure.supylabel("true", fontsize=9)
    _save(figure, path)


def table_figure(
    values: NDArray[np.float64], names: Sequence[str], path: Path, *, title: str, notes: Sequence[Sequence[str]] = ()
) -> None:
    """A heat map of shares (n, n), rows ask and columns answer; `notes` are written below each figure."""
    figure, (axis,) = _canvas(1, columns=1, size=5.6)
    axis.imshow(values, vmin=0, vmax=1, cmap=_SHADES)
    axis.set_xticks(range(len(names)), names, fontsize=9)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_xlabel("searched", fontsize=9)
    axis.set_ylabel("query", fontsize=9)
    axis.set_title(title, fontsize=10)
    for row in range(len(names)):
        for column in range(len(names)):
            ink = "black" if values[row, column] > 0.55 else "white"
            below = f"\n{notes[row][column]}" if notes else ""
            text = f"{values[row, column]:.0%}{below}"
            axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    _save(figure, path)


def retrieval_figure(
    rows: Sequence[tuple[str, NDArray[np.uint8] | None, Sequence[tuple[NDArray[np.uint8], str, bool]]]], path: Path
) -> None:
    """A line a query: its words, its own picture where it has one, and the pictures of what it found.

    rows: (words, (h, w, 3) or None, [((h, w, 3), words, whether it is right), ...]), nearest first.
    """
    plt = _pyplot()
    n_found = max(len(found) for _, _, found in rows)
    figure, axes = plt.subplots(
        len(rows), n_found + 1, figsize=(1.75 * (n_found + 1), 1.62 * len(rows)), squeeze=False, dpi=110
    )
    for line, (words, own, found) in zip(axes, rows, strict=True):
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            for side in axis.spines.values():
                side.set_visible(False)
        if own is not None:
            line[0].imshow(own)
            line[0].set_xlabel(_folded(words, 26), fontsize=6.5)
        else:
            line[0].text(
                0.5, 0.5, _folded(words, 20), ha="center", va="center", fontsize=8, transform=line[0].transAxes
            )
        for axis, (picture, told, right) in zip(line[1:], found, strict=False):
            axis.imshow(picture)
            # A mark as well: the two colours are alike to some.
            marked = f"{'✓' if right else '✗'} {told}"
            axis.set_xlabel(_folded(marked, 28), fontsize=6, color=_RIGHT if right else _WRONG)
            for side in axis.spines.values():
                side.set_visible(True)
                side.set_color(_RIGHT if right else _WRONG)
                side.set_linewidth(2.0)
    _save(figure, path)


def _canvas(n: int, columns: int, size: float) -> tuple[Any, list[Any]]:
    plt = _pyplot()
    lines = -(-n // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(size * columns, size * lines), squeeze=False, dpi=110, layout="constrained"
    )
    flat = list(axes.flat)
    for axis in flat[n:]:
        axis.set_visible(False)
    return figure, flat[:n]


def _save(figure: Any, path: Path) -> None:
    if figure.get_layout_engine() is None:
        figure.tight_layout(pad=0.5)
    figure.savefig(path)
    _pyplot().close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _folded(words: str, width: int) -> str:
    """Words on lines of about `width` letters."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)

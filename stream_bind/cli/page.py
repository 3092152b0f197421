"""Text for people on stdout: coloured and wrapped under itself on a terminal, plain lines everywhere else."""

from __future__ import annotations

import textwrap
from typing import TextIO

from rich.console import Console
from rich.text import Text

__all__ = ["Page"]

_NARROWEST = 30
"""Columns below which wrapping does more harm than good."""


class Page:
    """Writes lines; `width` is the terminal's, None where there is none."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._console = Console(file=out, highlight=False)
        self.width = self._console.width if self._console.is_terminal else None

    def put(self, text: str = "", style: str = "", *, indent: int = 0, wrap: bool = True) -> None:
        """`text` as a paragraph of its own, `indent` blanks in."""
        self.labelled(" " * indent, text, "", style, wrap=wrap)

    def labelled(self, label: str, text: str, label_style: str = "", style: str = "", *, wrap: bool = True) -> None:
        """`label`, then `text`, whose further lines begin where its first one did."""
        room = (self.width or 0) - len(label) - 1
        lines = text.splitlines() or [""]
        if wrap and room >= _NARROWEST:
            lines = [part for line in lines for part in _wrapped(line, room)]
        whole = Text()
        for n, line in enumerate(lines):
            whole.append("\n" if n else "")
            head = label if n == 0 else " " * len(label)
            whole.append(head if line else head.rstrip(), label_style if n == 0 else "")
            whole.append(line, style)
        if self.width is None:
            # rich would cut lines to 80 columns for whoever reads us.
            print(whole.plain, file=self._console.file, flush=True)
        else:
            self._console.print(whole, soft_wrap=True)

    def fits(self, label: str, text: str) -> bool:
        """Whether `text` after `label` needs no wrapping."""
        return self.width is None or len(label) + len(text) < self.width


def _wrapped(line: str, room: int) -> list[str]:
    # Paths and commands stay whole: half of one cannot be copied.
    return textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) or [""]

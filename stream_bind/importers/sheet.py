"""One text table of any make: delimiter, decimal mark, what stands before its titles, its units row, and its rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

__all__ = ["Opener", "Sheet", "opener_of", "read_sheet"]

HEAD_LINES = 80
"""Lines among which the titles are looked for; Xsens writes about 15 before them."""
LINE_LIMIT = 1 << 16
DELIMITERS = (",", ";", "\t")
Opener = Callable[[], IO[bytes]]


@dataclass(slots=True)
class Sheet:
    """How to read a table; `rows` reads it."""

    name: str
    """Of the file, for messages."""
    opener: Opener
    encoding: str
    delimiter: str | None
    """None: blanks."""
    decimal_comma: bool
    titles: list[str]
    """Without quotes; empty strings where a column has none; none at all where the table has no titles."""
    units: list[str]
    """A row of units under the titles, as Shimmer writes it; empty: there is none."""
    first_row: int
    """Line of the first row of numbers, from 0, blank lines not counted."""
    example: list[str]
    """The first row."""
    preamble: list[str] = field(default_factory=list)
    """What stands before the titles."""

    @contextmanager
    def rows(self) -> Iterator[Iterator[list[str]]]:
        """Every row below the titles as cells; repeated titles and blank lines are left out."""
        with self.opener() as raw:
            lines = _lines(raw, self.encoding)
            yield self._cells(islice(lines, self.first_row, None))

    def n_rows(self, most: int) -> int:
        """Rows below the titles, at most `most`."""
        with self.rows() as rows:
            return sum(1 for _ in islice(rows, most))

    def _cells(self, lines: Iterator[str]) -> Iterator[list[str]]:
        for row in _split(lines, self.delimiter):
            cells = [cell.strip() for cell in row]
            if self.titles and cells[: len(self.titles)] == self.titles:
                continue  # the logger began anew in the same file
            yield [cell.replace(",", ".") for cell in cells] if self.decimal_comma else cells


def opener_of(path: Path) -> Opener:
    """What opens a file."""
    return lambda: path.open("rb")


def read_sheet(name: str, opener: Opener) -> Sheet | None:
    """The table that `opener` opens; None where it is none: not text, or without a row of at least two numbers."""
    with opener() as raw:
        head = raw.read(LINE_LIMIT)
    encoding = _encoding(head)
    if encoding is None:
        return None
    with opener() as raw:
        lines = list(islice(_lines(raw, encoding), HEAD_LINES))
    told = re.fullmatch(r'"?sep=(.)"?', lines[0].strip()) if lines else None
    for delimiter in (told.group(1),) if told else (*DELIMITERS, None):
        found = _find(lines, delimiter)
        if found is None:
            continue
        titles_at, rows_at, decimal_comma = found
        cells = [[cell.strip() for cell in row] for row in _split(iter(lines), delimiter)]
        if len(cells) != len(lines):
            continue  # a quote that is never closed: not this delimiter
        titles = [] if titles_at is None else [cell.lstrip("#").strip() for cell in cells[titles_at]]
        units = cells[titles_at + 1] if titles_at is not None and rows_at == titles_at + 2 else []
        example = [cell.replace(",", ".") for cell in cells[rows_at]] if decimal_comma else cells[rows_at]
        before = lines[: titles_at if titles_at is not None else rows_at]
        return Sheet(name, opener, encoding, delimiter, decimal_comma, titles, units, rows_at, example, before)
    return None


def _find(lines: list[str], delimiter: str | None) -> tuple[int | None, int, bool] | None:
    """Lines of the titles (if any) and of the first row of numbers, and whether numbers have commas."""
    rows = list(_split(iter(lines), delimiter))
    if len(rows) != len(lines):
        return None
    for comma in (False, True) if delimiter != "," else (False,):
        for at, row in enumerate(rows):
            n = sum(_is_number(cell, comma) for cell in row)
            if n < 2 or n < 0.5 * len([cell for cell in row if cell.strip()]):
                continue
            # A preamble may hold numbers, too; a table goes on with rows as long as this one.
            following = rows[at + 1 : at + 3]
            if any(len(other) != len(row) for other in following):
                continue
            for back in (1, 2):
                if at >= back and len(rows[at - back]) == len(row) and _are_titles(rows[at - back]):
                    return at - back, at, comma
            return None if at and len(rows[at - 1]) == len(row) else (None, at, comma)
    return None


def _are_titles(cells: list[str]) -> bool:
    words = [cell for cell in cells if re.search(r"[A-Za-z]", cell)]
    return (
        len(words) >= 2 and len(words) >= 0.7 * len([cell for cell in cells if cell.strip()]) and not _is_units(cells)
    )


def _is_units(cells: list[str]) -> bool:
    """A row such as ms, m/(s^2), deg/s, no_units."""
    bare = [cell.strip() for cell in cells]
    # A title has its unit in brackets behind a name: AsX(°/s).
    named = any(re.search(r"\w *[(\[]", cell) for cell in bare)
    short = all(len(cell) <= 12 and " " not in cell for cell in bare)
    return short and not named and any("/s" in cell or "/(s" in cell for cell in bare)


def _is_number(cell: str, comma: bool = False) -> bool:
    text = cell.strip()
    if comma:
        if text.count(",") > 1:
            return False
        text = text.replace(",", ".")
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _split(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    if delimiter is None:
        return (line.split() for line in lines)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True)


def _encoding(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        return None
    encoding = "utf-8-sig"
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError as error:
        # The end of the piece may lie inside a character.
        if error.start >= len(head) - 4 and len(head) == LINE_LIMIT:
            text = head[: error.start].decode(encoding)
        else:
            encoding = "cp1252"
            text = head.decode(encoding, errors="replace")
    odd = sum(not (c.isprintable() or c.isspace()) for c in text)
    return encoding if odd <= 0.01 * len(text) else None


def _lines(raw: IO[bytes], encoding: str) -> Iterator[str]:
    """Lines that are not blank; a line without end is cut."""
    text = io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline=None)
    while line := text.readline(LINE_LIMIT):
        if line.strip():
            yield line

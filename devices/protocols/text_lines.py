"""Text lines of numbers to rows: bytes in, arrays out, no I/O. Survives junk, cut lines and wrong speeds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["SKIP", "TextLines", "TextRows"]

SKIP = "-"
"""Name of a CSV column that nobody wants."""
_ABSURD = 9e18


@dataclass(frozen=True, slots=True)
class TextRows:
    """Rows of one feed: values (n, len(names)) float64; bad_before (n,) unreadable lines right before each row."""

    values: NDArray[np.float64]
    bad_before: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)


class TextLines:
    """Decodes lines of one layout. `bad_lines`, `other_lines` (without the prefix), `n_bytes` and `bad_bytes` (in lines
    that could not be read, or in halves of lines) count since the start.

    What comes before the first line end is dropped: a number cut in its middle still reads as a number.
    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        line_format: Literal["csv", "json"] = "csv",
        delimiter: str = ",",
        prefix: str = "",
        max_line: int = 4096,
    ) -> None:
        """columns: for csv the name of every column (`-` to skip one), for json the keys. `names` are those kept.

        prefix: what a line must begin with, such as "IMU,"; lines without it are somebody else's and not counted.
        """
        self.names = tuple(name for name in columns if name != SKIP)
        self.bad_lines = self.other_lines = 0
        self.n_bytes = self.bad_bytes = 0
        self._picks = [i for i, name in enumerate(columns) if name != SKIP]
        self._n_columns = len(columns)
        self._json = line_format == "json"
        self._delimiter = delimiter.encode() if delimiter.strip() else None
        self._prefix = prefix.encode()
        self._max_line = max_line
        self._held = b""
        self.reset()

    def reset(self) -> None:
        """Forget a half line; the next line end begins a new one."""
        self.bad_bytes += len(self._held)
        self._held = b""
        self._synchronised = False
        self._bad_run = 0

    def feed(self, data: bytes) -> TextRows:
        """The rows that `data` completes."""
        self.n_bytes += len(data)
        head, end, tail = (self._held + data).rpartition(b"\n")
        if len(tail) > self._max_line:
            # No line is that long: this is not text, or not at this speed.
            self.bad_bytes += len(tail)
            tail = b""
            self._count_bad()
            lines = head.split(b"\n") if end else []
            rows = self._decode(lines)
            self._synchronised = False
            self._held = tail
            return rows
        self._held = tail
        return self._decode(head.split(b"\n") if end else [])

    def _decode(self, lines: list[bytes]) -> TextRows:
        if lines and not self._synchronised:
            self._synchronised = True
            self.bad_bytes += len(lines[0]) + 1
            lines = lines[1:]
        values: list[list[float]] = []
        bad: list[int] = []
        for raw in lines:
            line = raw.strip()
            if not line.startswith(self._prefix) or not line:
                self.other_lines += bool(line)
                continue
            row = self._row(line[len(self._prefix) :])
            if row is None:
                self.bad_bytes += len(raw) + 1
                self._count_bad()
                continue
            values.append(row)
            bad.append(self._bad_run)
            self._bad_run = 0
        return TextRows(np.array(values, dtype=np.float64).reshape(-1, len(self.names)), np.array(bad, dtype=np.int64))

    def _count_bad(self) -> None:
        self.bad_lines += 1
        self._bad_run += 1

    def _row(self, line: bytes) -> list[float] | None:
        try:
            if self._json:
                record = json.loads(line)
                cells = [record[name] for name in self.names]
                if not all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
                    return None
                row = [float(cell) for cell in cells]
            else:
                parts = line.split(self._delimiter)
                # Python reads 1_000 as a number; no sensor means it.
                if len(parts) != self._n_columns or b"_" in line:
                    return None
                row = [float(parts[i]) for i in self._picks]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        # No sensor measures or counts that far, and whole numbers beyond it have no int64. NaN fails too.
        return row if all(-_ABSURD < value < _ABSURD for value in row) else None

"""A text table with a time column as a device: rows read, stamped and judged. Which columns count a driver says."""

from __future__ import annotations

import csv
import logging
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from devices.pacing import RecordingConfig
from devices.recording import Block, Contents, Recording, check_file, describe_file
from devices.units import TIME_NS, unit_of_title
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import StreamSpec

__all__ = ["ISO", "Layout", "TextTable", "iso_ns"]

logger = logging.getLogger(__name__)

_HEAD_ROWS = 20000
"""Rows from which the rate is judged: 50 s at 400 Hz, 0.1 s of reading."""
_BLOCK_ROWS = 512
ISO = 0
"""In place of a unit's ns: the time column holds ISO 8601 times."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a row."""

    delimiter: str | None
    has_titles: bool
    time_column: int | None
    """None: rows come at an even rate, `period_ns` apart."""
    time_ns: int
    """ns per unit of the time column; ISO: it holds ISO 8601 times."""
    axes: tuple[str, ...]
    columns: tuple[tuple[int, float], ...]
    """Per axis: position and factor to the stream's unit."""
    period_ns: float = 0.0

    def sample(self, row: list[str], number: int) -> tuple[int, list[float]] | None:
        """(t_ns, values) of the row with this number, None if it is not numbers."""
        try:
            t_ns = self._time(row, number)
            values = [float(row[position]) * factor for position, factor in self.columns]
        except (ValueError, IndexError, ArithmeticError):
            return None
        return (t_ns, values) if all(map(math.isfinite, values)) else None

    def _time(self, row: list[str], number: int) -> int:
        if self.time_column is None:
            return round(number * self.period_ns)
        text = row[self.time_column]
        if self.time_ns == ISO:
            return iso_ns(text)
        # Epoch nanoseconds do not fit into a float.
        return int(text) * self.time_ns if text.strip().isdigit() else round(Decimal(text) * self.time_ns)


class TextTable(Recording):
    """Every row as it stands, repeated stamps too. `bad_rows` counts rows that are not numbers; they leave a gap."""

    driver: ClassVar[str]
    wanted: ClassVar[str]
    """What the file should be, for messages."""

    def __init__(self, config: RecordingConfig, path: Path, stream_id: str, clock: Clock) -> None:
        super().__init__(config, stream_id, clock)
        self._path = path
        self._layout: Layout | None = None
        self._zero_ns = 0
        self._example: list[str] = []
        self.bad_rows = 0

    @abstractmethod
    def _spec(self, rate_hz: float, axes: tuple[str, ...]) -> StreamSpec:
        """The stream's spec; rate_hz is the measured one."""

    @abstractmethod
    def _lay_out(self, delimiter: str | None, titles: list[str], has_titles: bool) -> Layout:
        """How the rows are read; titles are the cells of the first line. Raises DeviceError."""

    def _judge(self, values: list[list[float]]) -> None:
        """Look at the first rows' values, and warn."""

    def _block_size(self, spec: StreamSpec) -> int:
        return max(1, round(spec.rate_hz / 50))

    def _refuse(self, problem: str) -> DeviceError:
        return DeviceError(f"{self.driver} {self._path}: {problem}", permanent=True)

    def _describe(self) -> Contents:
        check_file(self._path, self.driver, self.wanted)
        self._layout = layout = self._find_layout()
        with self._rows() as rows:
            head = [s for i, row in enumerate(islice(rows, _HEAD_ROWS)) if (s := layout.sample(row, i)) is not None]
        if len(head) < 2:
            raise self._refuse(f"{len(head)} rows can be read as numbers; wanted {self.wanted}")
        self._zero_ns = head[0][0]
        span_ns = head[-1][0] - self._zero_ns
        if span_ns <= 0:
            raise self._refuse(f"its time column does not advance over {len(head)} rows; set columns.time")
        self._judge([values for _, values in head])
        return Contents(self._spec((len(head) - 1) * 1e9 / span_ns, layout.axes), self._zero_ns)

    def _blocks(self) -> Iterator[Block]:
        assert self._layout is not None
        self.bad_rows = 0
        gap = False
        held: list[tuple[int, list[float]]] = []
        with self._rows() as rows:
            for number, row in enumerate(rows):
                sample = self._layout.sample(row, number)
                if sample is not None:
                    held.append(sample)
                else:
                    self.bad_rows += 1
                if held and (sample is None or len(held) == _BLOCK_ROWS):
                    yield self._block(held, gap)
                    held, gap = [], False
                gap = gap or sample is None
        if held:
            yield self._block(held, gap)
        if self.bad_rows:
            logger.warning("%s: %s: %d rows are not numbers", self._id, self._path, self.bad_rows)

    def _block(self, samples: list[tuple[int, list[float]]], gap: bool) -> Block:
        t_ns = np.array([t for t, _ in samples], dtype=np.int64) - self._zero_ns
        return Block(np.array([values for _, values in samples], dtype=np.float32), t_ns, gap)

    @contextmanager
    def _rows(self) -> Iterator[Iterator[list[str]]]:
        """The rows below the titles; blank lines do not count."""
        assert self._layout is not None
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = _split((line for line in file if line.strip()), self._layout.delimiter)
            if self._layout.has_titles:
                next(rows, None)
            yield rows

    def _find_layout(self) -> Layout:
        with self._path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            lines = [line[:65536] for line in islice((line for line in file if line.strip()), 2)]
        first = lines[0] if lines else ""
        if not first or not all(character.isprintable() or character.isspace() for character in first):
            raise self._refuse(f"is no text table; wanted {self.wanted}, found {describe_file(self._path)}")
        delimiter = next((mark for mark in (",", ";", "\t") if mark in first), None)
        titles = [cell.strip().lstrip("#").strip() for cell in next(_split(iter([first]), delimiter))]
        self._example = next(_split(iter(lines[-1:]), delimiter))
        return self._lay_out(delimiter, titles, not all(map(_is_number, titles)))

    def _told_columns(self, columns: Mapping[str, str | int], titles: list[str], has_titles: bool) -> dict[str, int]:
        """Positions of the columns that the config names by title or position."""
        found = {}
        for name, where in columns.items():
            if isinstance(where, int) and 0 <= where < len(titles):
                found[name] = where
            elif has_titles and where in titles:
                found[name] = titles.index(str(where))
            else:
                raise self._refuse(f"columns.{name}: it has no column {where!r}, only {', '.join(titles)[:200]}")
        return found

    def _time_ns(self, told: str, column: int, title: str) -> int:
        """ns of the time column's unit, or ISO: as told, as its title says, or as its first cell shows."""
        if told == "iso":
            return ISO
        unit = unit_of_title(title, TIME_NS) if told == "auto" else told
        if unit is None and column < len(self._example) and _is_iso(self._example[column]):
            return ISO
        if unit is None:
            raise self._refuse(f"column {title!r} does not say its unit; set time_unit to one of {', '.join(TIME_NS)}")
        return TIME_NS[unit]


def iso_ns(text: str) -> int:
    """UNIX ns of an ISO 8601 time, UTC where it names no zone; to the microsecond. ValueError if it is none."""
    when = datetime.fromisoformat(text.strip())
    since = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _split(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    return (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_iso(text: str) -> bool:
    try:
        iso_ns(text)
    except ValueError:
        return False
    # Python reads 20260301 as a date, too.
    return not _is_number(text)

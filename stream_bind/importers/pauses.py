"""Phyphox's meta/time.csv: when an experiment ran and when it was held, and what the clock on the wall said then."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from stream_bind.importers.sheet import Sheet

__all__ = ["Pauses", "read_pauses"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """The experiment's own time stands still while it is held; the wall's does not."""

    begun_ns: tuple[int, ...]
    """Experiment time at which each run began, rising."""
    wall_ns: tuple[int, ...]
    """UNIX ns of that."""

    def place(self, t_ns: int) -> tuple[int, int]:
        """The run that an experiment time lies in, and its UNIX ns."""
        run = max(0, bisect_right(self.begun_ns, t_ns) - 1)
        return run, self.wall_ns[run] + t_ns - self.begun_ns[run]


def read_pauses(sheet: Sheet) -> Pauses | None:
    """From a table with the titles event, experiment time and system time (in s); None where it is none."""
    titles = [title.lower() for title in sheet.titles]
    try:
        event = titles.index("event")
        run = next(i for i, title in enumerate(titles) if title.startswith("experiment time"))
        wall = next(
            i for i, title in enumerate(titles) if title.startswith("system time") and not title.endswith("text")
        )
    except (ValueError, StopIteration):
        return None
    starts = []
    with sheet.rows() as rows:
        for row in rows:
            try:
                if row[event].upper() == "START":
                    starts.append((round(float(row[run]) * 1e9), round(float(row[wall]) * 1e9)))
            except (ValueError, IndexError):
                continue
    starts.sort()
    return Pauses(tuple(begun for begun, _ in starts), tuple(at for _, at in starts)) if starts else None

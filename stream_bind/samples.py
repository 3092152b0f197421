"""Where the windower keeps its samples: sorted by event time, strictly increasing, no longer than windows need them.

Knows stamps, rows and gaps between them; knows nothing of windows, lateness or host time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import ClockInfo, Gap, IntArray

__all__ = ["NEVER_NS", "ClockRuns", "EdgeFrames", "SampleStore", "frame_rows"]

NEVER_NS = -(1 << 62)
"""Before every stamp (the year -144,000); far enough from int64's end to subtract from."""

Rows = NDArray[Any]


def frame_rows(data: Rows | Sequence[Any]) -> Rows:
    """(n,) object array whose items are views of the n frames: lets frames be moved about without copying pixels."""
    rows = np.empty(len(data), dtype=object)
    for k, frame in enumerate(data):
        rows[k] = frame
    return rows


class SampleStore:
    """Sorted samples in one linear buffer of twice the needed size.

    A sample stands for [t, t + period) and, where the next comes within the tolerance, up to the next. Places where
    that does not hold ("breaks") are noted as samples arrive, so that a window's gaps cost nothing per sample.
    Rows may be a typed array (copied in), an object array of frames (references), or None (stamps only).
    """

    def __init__(self, period_ns: int, tolerance_ns: int) -> None:
        self._period_ns = period_ns
        self._tolerance_ns = tolerance_ns
        self._t: IntArray = np.empty(0, np.int64)
        self._rows: Rows | None = None
        self._lo = self._hi = 0
        self._last_ns = NEVER_NS  # newest stamp ever held, pruned or not
        self._break_t: list[int] = []  # stamp of the sample after each break
        self._break_prev: list[int] = []  # stamp of the sample before it
        self._forced: list[int] = []  # stamps before which the driver reported a loss

    def __len__(self) -> int:
        return self._hi - self._lo

    @property
    def t_ns(self) -> IntArray:
        """View of the stamps held; valid until the next change."""
        return self._t[self._lo : self._hi]

    @property
    def rows(self) -> Rows:
        """View of the rows held; valid until the next change."""
        assert self._rows is not None
        return self._rows[self._lo : self._hi]

    @property
    def nbytes(self) -> int:
        """Bytes allocated for stamps and rows; of frames, the pixels referred to."""
        held = self._t.nbytes
        if self._rows is None:
            return held
        if self._rows.dtype == object:
            return held + sum(int(frame.nbytes) for frame in self._rows[self._lo : self._hi])
        return held + self._rows.nbytes

    def find(self, t_ns: int) -> int:
        """Position of the first sample at or after t_ns."""
        return int(self.t_ns.searchsorted(t_ns))

    def is_next(self, t_ns: IntArray) -> bool:
        """True where these stamps can be appended: strictly increasing and newer than all before."""
        if int(t_ns[0]) <= self._last_ns:
            return False
        return len(t_ns) == 1 or bool((t_ns[1:] > t_ns[:-1]).all())

    def append(self, t_ns: IntArray, rows: Rows | None, *, forced: bool) -> None:
        """Add samples for which `is_next` holds. forced: some are missing before the first, however short the gap."""
        n = len(t_ns)
        self._reserve(n, rows)
        hi = self._hi
        self._t[hi : hi + n] = t_ns
        if rows is not None and self._rows is not None:
            self._rows[hi : hi + n] = rows
        self._hi = hi + n
        first = int(t_ns[0])
        if forced:
            self._forced.append(first)
        if forced or first - self._last_ns > self._tolerance_ns:
            self._break_t.append(first)
            self._break_prev.append(self._last_ns)
        if n > 1:
            steps = t_ns[1:] - t_ns[:-1]
            if int(steps.max()) > self._tolerance_ns:
                after = np.flatnonzero(steps > self._tolerance_ns) + 1
                self._break_t.extend(t_ns[after].tolist())
                self._break_prev.extend(t_ns[after - 1].tolist())
        self._last_ns = int(t_ns[-1])

    def merge(self, t_ns: IntArray, rows: Rows | None, *, forced: bool) -> NDArray[np.intp]:
        """Add samples in any order; of equal stamps the first that came stays.

        Returns the positions in t_ns of those taken, by event time. forced concerns t_ns[0], duplicate or not.
        """
        order = np.argsort(t_ns, kind="stable")
        sorted_t = t_ns[order]
        fresh = np.ones(len(t_ns), dtype=bool)
        fresh[1:] = sorted_t[1:] != sorted_t[:-1]
        held = self.t_ns
        if len(held):
            at = np.minimum(held.searchsorted(sorted_t), len(held) - 1)
            fresh &= held[at] != sorted_t
        taken = order[fresh]
        if forced:
            insort(self._forced, int(t_ns[0]))
        start = self.find(int(sorted_t[0]))
        if len(taken):
            n = len(taken)
            self._reserve(n, rows)
            a, b = self._lo + start, self._hi
            merged = np.concatenate((self._t[a:b], t_ns[taken]))
            order = np.argsort(merged, kind="stable")
            self._t[a : b + n] = merged[order]
            if rows is not None and self._rows is not None:
                self._rows[a : b + n] = np.concatenate((self._rows[a:b], rows[taken]))[order]
            self._hi = b + n
        if len(taken) or forced:
            self._find_breaks(start)
        if len(self):
            self._last_ns = max(self._last_ns, int(self._t[self._hi - 1]))
        return taken

    def prune(self, before_ns: int) -> None:
        """Forget samples older than before_ns. Future gaps must begin at least one tolerance after it."""
        n = self.find(before_ns)
        if n:
            if self._rows is not None and self._rows.dtype == object:
                self._rows[self._lo : self._lo + n] = None
            self._lo += n
        k = bisect_left(self._break_t, before_ns)
        del self._break_t[:k], self._break_prev[:k]
        del self._forced[: bisect_left(self._forced, before_ns)]

    def gaps(self, start_ns: int, end_ns: int, ended_ns: int | None) -> tuple[Gap, ...]:
        """Stretches of [start_ns, end_ns) for which no sample stands; at least one sample must lie inside.

        At end_ns the last sample inside counts as far as the tolerance, whatever follows: what follows may still be on
        its way, and two arrival orders must not disagree. ended_ns: where an ended stream's last sample stops standing.
        """
        found: list[Gap] = []
        k = bisect_right(self._break_t, start_ns)
        while k < len(self._break_t) and self._break_t[k] < end_ns:
            begin = max(self._break_prev[k] + self._period_ns, start_ns)
            if begin < self._break_t[k]:
                found.append(Gap(begin, self._break_t[k]))
            k += 1
        last = int(self._t[self._lo + self.find(end_ns) - 1])
        is_newest = ended_ns is not None and last + self._period_ns >= ended_ns
        stands = last + (self._period_ns if is_newest else self._tolerance_ns)
        if stands < end_ns:
            found.append(Gap(max(last + self._period_ns, start_ns), end_ns))
        return tuple(found)

    def _find_breaks(self, start: int) -> None:
        """Note the breaks anew from position `start` on."""
        t = self.t_ns[max(start - 1, 0) :]
        k = bisect_left(self._break_t, int(self.t_ns[start]))
        del self._break_t[k:], self._break_prev[k:]
        before = t[:-1]
        after = t[1:]
        if start == 0:
            # What lay before was pruned or never was: farther away than any window looks.
            before = np.concatenate((np.array([NEVER_NS]), before))
            after = t
        broken = (after - before) > self._tolerance_ns
        if self._forced:
            broken |= np.isin(after, self._forced)
        self._break_t.extend(after[broken].tolist())
        self._break_prev.extend(before[broken].tolist())

    def _reserve(self, n: int, rows: Rows | None) -> None:
        """Make room for n more at the end: grow to twice the need, or move down where half the buffer is spent."""
        if rows is not None and self._rows is None:
            self._rows = np.empty((len(self._t), *rows.shape[1:]), rows.dtype)
        if rows is not None and self._rows is not None and rows.shape[1:] != self._rows.shape[1:]:
            raise ValueError(f"samples of shape {rows.shape[1:]} in a stream of {self._rows.shape[1:]}")
        if self._hi + n <= len(self._t):
            return
        live = len(self)
        size = len(self._t) if 2 * (live + n) <= len(self._t) else max(2 * (live + n), 64)
        self._t = _moved(self._t, self._lo, self._hi, size)
        if self._rows is not None:
            self._rows = _moved(self._rows, self._lo, self._hi, size)
        self._lo, self._hi = 0, live


def _moved(column: Rows, lo: int, hi: int, size: int) -> Rows:
    if size == len(column) and 2 * (hi - lo) <= size:
        column[: hi - lo] = column[lo:hi]
        if column.dtype == object:
            column[hi - lo : hi] = None
        return column
    grown = np.empty((size, *column.shape[1:]), column.dtype)
    grown[: hi - lo] = column[lo:hi]
    return grown


class EdgeFrames:
    """The first and last frame, by event time, of every cell; all others are let go on arrival.

    Cells end wherever a window begins or ends, so the first and last frame of any window are always among those kept.
    A frame is a view: a driver that reads many frames as one array keeps that whole array alive, so image drivers
    deliver one frame a chunk.
    """

    def __init__(self, hop_ns: int, length_ns: int) -> None:
        self._hop_ns = hop_ns
        self._length_ns = length_ns
        self._cells: dict[int, tuple[int, Any, int, Any]] = {}

    def add(self, t_ns: int, frame: Any) -> None:
        # Window ends lie on k*hop, window starts on k*hop - length: this sum steps at each of them.
        cell = t_ns // self._hop_ns + (t_ns + self._length_ns) // self._hop_ns
        held = self._cells.get(cell)
        if held is None:
            self._cells[cell] = (t_ns, frame, t_ns, frame)
            return
        first_t, first, last_t, last = held
        if t_ns < first_t:
            first_t, first = t_ns, frame
        elif t_ns > last_t:
            last_t, last = t_ns, frame
        self._cells[cell] = (first_t, first, last_t, last)

    def between(self, start_ns: int, end_ns: int) -> tuple[IntArray, tuple[Any, ...]]:
        """Stamps and frames kept in [start_ns, end_ns), by event time."""
        kept: dict[int, Any] = {}
        for cell in sorted(self._cells):
            first_t, first, last_t, last = self._cells[cell]
            kept[first_t] = first
            kept[last_t] = last
        inside = [t for t in kept if start_ns <= t < end_ns]
        return np.array(inside, dtype=np.int64), tuple(kept[t] for t in inside)

    def prune(self, before_ns: int) -> None:
        for cell in [c for c, held in self._cells.items() if held[2] < before_ns]:
            del self._cells[cell]

    @property
    def nbytes(self) -> int:
        frames = {id(f): f.nbytes for _, first, _, last in self._cells.values() for f in (first, last)}
        return sum(frames.values())


class ClockRuns:
    """Which clock stamped which stretch of samples: one entry per change, not per sample."""

    def __init__(self) -> None:
        self._from_ns: list[int] = []
        self._clocks: list[ClockInfo] = []

    def note(self, t_ns: int, clock: ClockInfo) -> None:
        """Samples from t_ns on carry this clock's domain and error."""
        k = bisect_right(self._from_ns, t_ns)
        if k and self._clocks[k - 1] == clock:
            return
        self._from_ns.insert(k, t_ns)
        self._clocks.insert(k, clock)

    def between(self, start_ns: int, end_ns: int) -> ClockInfo:
        """Domain of the newest run, largest error of all; some run must begin before end_ns."""
        a = max(bisect_right(self._from_ns, start_ns) - 1, 0)
        clocks = self._clocks[a : bisect_left(self._from_ns, end_ns)]
        if len(clocks) == 1:
            return clocks[0]
        return ClockInfo(clocks[-1].domain, max(clock.err_ns for clock in clocks))

    def prune(self, before_ns: int) -> None:
        k = bisect_right(self._from_ns, before_ns) - 1  # the run that before_ns falls into still counts
        if k > 0:
            del self._from_ns[:k], self._clocks[:k]

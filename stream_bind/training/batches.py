"""Which moments make up each step's batch, fixed by seed and step alone, and the thread that reads them ahead."""

from __future__ import annotations

import contextlib
import queue
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_bind.training.pairs import Moment

__all__ = ["BatchPlan", "Feed", "rng_of"]

T = TypeVar("T")
AHEAD = 3
"""Batches read ahead: enough for the reading of one to vary by a batch's time."""


def rng_of(seed: int, *what: int | str) -> np.random.Generator:
    """Random numbers that depend on nothing but the arguments."""
    return np.random.default_rng([seed, *(zlib.crc32(w.encode()) if isinstance(w, str) else w for w in what)])


class BatchPlan:
    """Batches of `rows` in which no more than `per_span` moments lie within `span_s` of one source.

    Every epoch shuffles anew. Within an epoch every batch has the same size and no moment comes twice; spans with more
    moments than the epoch has places for send others each time. `batch` is what was asked for or, in small corpora, as
    much as the rule allows.
    """

    def __init__(
        self, moments: Sequence[Moment], rows: NDArray[np.intp], batch: int, per_span: int, span_s: float, seed: int
    ) -> None:
        self._rows, self._seed = np.asarray(rows, np.intp), seed
        spans: dict[tuple[str, int], int] = {}
        width_ns = round(span_s * 1e9)
        self._span = np.array(
            [spans.setdefault((moments[r].source, moments[r].t_end_ns // width_ns), len(spans)) for r in rows], np.intp
        )
        counts = np.bincount(self._span, minlength=len(spans))
        # Each span may fill per_span places of a batch. Spans with few moments must not hold the number of batches
        # down: it follows from how many moments there are, and the size of a batch from what the spans can then fill.
        cap = max(1, int(min(batch, np.minimum(counts, per_span).sum())))
        self.per_epoch = max(1, len(self._rows) // cap)
        self.batch = int(min(batch, np.minimum(counts, per_span * self.per_epoch).sum() // self.per_epoch))
        self._largest = per_span * self.per_epoch
        self._epoch: tuple[int, NDArray[np.intp]] | None = None

    def of_step(self, step: int) -> NDArray[np.intp]:
        """(batch,) rows of one step."""
        epoch, place = divmod(step, self.per_epoch)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = epoch, self._dealt(epoch)
        rows: NDArray[np.intp] = self._epoch[1][place]
        return rows

    def _dealt(self, epoch: int) -> NDArray[np.intp]:
        """(per_epoch, batch): rows in the order of their (shuffled) spans, dealt out like cards."""
        rng = rng_of(self._seed, "order", epoch)
        shuffled = rng.permutation(len(self._rows))
        place_of_span = rng.permutation(self._span.max(initial=-1) + 1)
        in_spans = shuffled[np.argsort(place_of_span[self._span[shuffled]], kind="stable")]
        order = self._span[in_spans]
        begins = np.flatnonzero(np.r_[True, order[1:] != order[:-1]]) if len(order) else np.zeros(0, np.intp)
        within = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
        kept = in_spans[within < self._largest]
        # Whole spans' worth too many: leave out some at random, but keep those of a span together.
        size = self.per_epoch * self.batch
        chosen = np.sort(rng.permutation(len(kept))[:size])
        dealt = kept[chosen].reshape(self.batch, self.per_epoch).T
        mixed = dealt[rng.permutation(self.per_epoch)]
        return self._rows[mixed]


class Feed(Generic[T]):
    """Makes items of consecutive numbers in a thread, a few ahead; iterate it. A context manager.

    An exception of `make` is raised where the item would have come.
    """

    def __init__(self, make: Callable[[int], T], numbers: range, ahead: int = AHEAD) -> None:
        self._make, self._numbers = make, numbers
        self._items: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)

    def __enter__(self) -> Feed[T]:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._items.get_nowait()
            self._thread.join(0.01)

    def __iter__(self) -> Iterator[T]:
        for _ in self._numbers:
            item, error = self._items.get()
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    def _run(self) -> None:
        for number in self._numbers:
            try:
                made: tuple[T | None, BaseException | None] = (self._make(number), None)
            except BaseException as error:
                made = (None, error)
            while not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    self._items.put(made, timeout=0.1)
                    break
            if self._stop.is_set() or made[1] is not None:
                return

"""One lane of a capture actor: the windower of a (stream, encoder) pair, its clip maker, its mailbox, its figures."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.mailbox import Dropped, Mailbox
from actors.plan import LanePlan
from stream_bind.encoders.base import ClipMaker
from stream_bind.errors import ClipError
from stream_bind.messages import Clip, Missing, StreamSpec, Window
from stream_bind.window import Windower

__all__ = ["Lane", "Stats"]

log = logging.getLogger(__name__)

WHOLE = 0.99
"""A window at the very start or end of a stream counts as whole from this coverage on: the last sample of a 9 Hz
camera stands for 110 ms, so exact completeness would depend on the phase of its frames."""


@dataclass(slots=True)
class Stats:
    """The latest values of something, for a median and a 99th percentile."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=600))

    def add(self, value: float) -> None:
        self.values.append(value)

    def quantile(self, q: float) -> float | None:
        if not self.values:
            return None
        ordered = sorted(self.values)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


class Lane:
    """Turns what the windower closes into clips and events, and merges an outage into one event."""

    def __init__(self, plan: LanePlan, spec: StreamSpec, maker: ClipMaker) -> None:
        self.plan = plan
        self.spec = spec
        self._maker = maker
        self.windower = Windower(
            spec,
            length_ns=plan.length_ns,
            hop_ns=plan.hop_ns,
            lateness_ns=plan.lateness_ns,
            context_ns=round(maker.spec.context_s * 1e9),
            payload=maker.spec.payload,
        )
        self.mailbox = Mailbox(depth=plan.depth, max_bytes=plan.max_bytes, policy=plan.policy)
        self.key = (plan.stream, plan.encoder)
        self.announced = False
        self.end_sent = False
        self._outage_told: int | None = None
        self._n_events = 0
        self._coverage = 0.0
        self._n_clips = 0
        self._n_event_windows = 0
        self._close_delay = Stats()
        self._looked_at: int | None = None
        self._blamed = False
        self._prepared: tuple[Window, NDArray[Any]] | None = None

    def head(self) -> dict[str, Any]:
        return {"stream": self.plan.stream, "encoder": self.plan.encoder, "modality": self.plan.modality}

    def next_event(self) -> int:
        self._n_events += 1
        return self._n_events

    def wake_at_ns(self) -> int:
        """The event time at which there is something to do: a window to prepare, or to close."""
        closing, index = self.windower.next_close_ns, self.windower.next_window
        if closing is None or index is None:
            return -(1 << 62)
        return closing if self._looked_at == index or not self.spec.live else index * self.plan.hop_ns

    def prepare(self) -> None:
        """Pack the next clip while its window waits for late samples: 1 to 3 ms that nobody waits for later. A late
        sample that changes the window costs packing it again."""
        index = self.windower.next_window
        if index is None or self._looked_at == index or not self.spec.live:
            return
        window = self.windower.preview()
        if window is None:
            return
        self._looked_at = index
        self._prepared = None
        if not self._refusal(window):
            with contextlib.suppress(Exception):  # said when the window closes
                self._prepared = (window, self._make(window))

    def open_windows(self) -> list[int]:
        """Lower bounds of the windows whose fate is still open in this lane, once it has had a sample."""
        next_window, outage = self.windower.next_window, self.windower.outage_from
        waiting = self.mailbox.oldest_window()
        return [w for w in (next_window, outage, waiting) if w is not None]

    def fates(self, results: list[Window | Missing], closed_ns: int) -> Iterator[Clip | dict[str, Any]]:
        """A clip or an event for everything that was closed, in window order; an outage that goes on is told once."""
        for result in results:
            if isinstance(result, Missing):
                yield self._outage(result)
                continue
            if self.spec.live:
                self._close_delay.add((closed_ns - result.t_end_ns) / 1e9)
            self._coverage = result.coverage
            yield self._fate(result, closed_ns)
        start = self.windower.outage_from
        if start is not None and start != self._outage_told:
            self._outage_told = start
            yield self._event("outage", "no samples; another event tells when it is over", start, start + 1) | {
                "to_window": None
            }

    def tell_outage_again(self) -> None:
        """The publisher has been restarted: nobody has heard of an outage that goes on."""
        self._outage_told = None

    def _outage(self, missing: Missing) -> dict[str, Any]:
        n = missing.to_window - missing.from_window
        self._n_event_windows += n
        detail = f"no sample in {n} window{'s' if n > 1 else ''}"
        return self._event("outage", detail, missing.from_window, missing.to_window)

    def finish(self, closed_ns: int) -> Iterator[Clip | dict[str, Any]]:
        """The stream has ended: what becomes of the windows still open. A last window that only the stretch for which
        the last sample stands reaches into is ending, not an outage."""
        told = self._outage_told
        results = self.windower.finish()
        tail = results[-1] if results else None
        if isinstance(tail, Missing) and tail.to_window - tail.from_window == 1 and told != tail.from_window:
            yield from self.fates(results[:-1], closed_ns)
            self._n_event_windows += 1
            detail = "the stream was no longer there for nearly all of this window"
            yield self._event("ending", detail, tail.from_window, tail.to_window)
        else:
            yield from self.fates(results, closed_ns)

    def _fate(self, window: Window, closed_ns: int) -> Clip | dict[str, Any]:
        reason, detail = self._refusal(window) or ("", "")
        if not reason:
            try:
                array = self._pack(window)
            except ClipError as error:
                reason, detail = "clip_error", str(error)
            except Exception as error:  # a bug in an encoder's packing costs this window, not the actor and its device
                reason, detail = "clip_error", f"{type(error).__name__}: {error}"
                if not self._blamed:
                    self._blamed = True  # twice a second would bury everything else
                    log.exception("%s: %s cannot pack window %d", self.plan.stream, self.plan.encoder, window.index)
        if reason:
            self._n_event_windows += 1
            return self._event(reason, detail, window.index, window.index + 1) | {"coverage": window.coverage}
        self._n_clips += 1
        return Clip(
            stream=self.plan.stream,
            encoder=self.plan.encoder,
            modality=self.plan.modality,
            window=window.index,
            t_start_ns=window.t_start_ns,
            t_end_ns=window.t_end_ns,
            array=array,
            coverage=window.coverage,
            status="ok" if window.coverage >= WHOLE else "partial",
            gaps=window.gaps,
            clock=window.clock,
            closed_ns=closed_ns,
        )

    def _refusal(self, window: Window) -> tuple[str, str] | None:
        """Reason and detail of the event this window becomes instead of a clip, if so."""
        if window.status in {"starting", "ending"} and window.coverage < WHOLE and not self.plan.partial:
            when = "not yet" if window.status == "starting" else "no longer"
            return window.status, f"the stream was {when} there for part of this window"
        if window.coverage < self.plan.min_coverage:
            detail = f"coverage {window.coverage:.2f} is below min_coverage {self.plan.min_coverage:g}"
            return "low_coverage", detail
        return None

    def _pack(self, window: Window) -> NDArray[Any]:
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] is window:
            return prepared[1]
        return self._make(window)

    def _make(self, window: Window) -> NDArray[Any]:
        array = np.asarray(self._maker.make(window, self.spec))
        if array.shape != self._maker.spec.shape:
            raise ClipError(f"a clip should have shape {self._maker.spec.shape}, found {array.shape}")
        return array

    def _event(self, reason: str, detail: str, window: int, to_window: int) -> dict[str, Any]:
        return {
            "reason": reason,
            "detail": detail,
            "window": window,
            "to_window": to_window,
            "t_start": window * self.plan.hop_ns - self.plan.length_ns,
            "t_end": (to_window - 1) * self.plan.hop_ns,
            "coverage": 0.0,
        }

    def dropped_event(self, dropped: Dropped) -> dict[str, Any]:
        """The event of a clip that left the mailbox without a vector."""
        self._n_event_windows += 1
        clip = dropped.clip
        event = self._event(dropped.reason, dropped.detail, clip.window, clip.window + 1)
        return event | {"coverage": clip.coverage}

    def give_up_all(self, why: str) -> list[Dropped]:
        """Every clip still here, at the end of a run that could not wait."""
        return self.mailbox.give_up_all(why)

    def health(self) -> dict[str, Any]:
        return {
            "stream": self.plan.stream,
            "encoder": self.plan.encoder,
            "modality": self.plan.modality,
            "coverage": self._coverage,
            "clips": self._n_clips,
            "event_windows": self._n_event_windows,
            "dropped": self.mailbox.n_dropped,
            "retried": self.mailbox.n_retried,
            "queue": len(self.mailbox),
            "late": self.windower.late_samples,
            "buffered_bytes": self.windower.buffered_bytes,
            "close_delay_p50_s": self._close_delay.quantile(0.5),
            "close_delay_p99_s": self._close_delay.quantile(0.99),
        }

"""The queue of one lane: clips waiting, clips leased to encode workers, and the credit that lets them go.

Pure bookkeeping with time as an argument; no sockets (actors/transport.py) and no loop (actors/capture.py). The rules:
- credit is cumulative per worker: a worker may have been sent at most as many clips as it has granted in all, so a
  grant repeated after a reconnect changes nothing;
- a clip stays here until it is acknowledged; a lease that ends puts it back in front;
- overflow drops the oldest clip that is not leased;
- a clip that fails MAX_ATTEMPTS times is given up with the last error.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_bind.messages import Clip

__all__ = ["MAX_ATTEMPTS", "Dropped", "Mailbox", "WorkerLink"]

MAX_ATTEMPTS = 3
"""A clip that takes its worker down this often becomes an event, not a crash loop."""
SILENT_S = 2.0
"""A worker beats every 0.5 s from a thread that computing does not block; four missed beats mean it is gone."""
STUCK_S = 10.0
"""Least time without progress before a lease ends; five times the worker's own p99 where that is longer."""
MAX_LEASED = 64
"""Clips of one lane computed but not yet confirmed by the publisher, at most."""


@dataclass(slots=True)
class WorkerLink:
    """What a mailbox knows of one worker, shared by the lanes of a capture actor."""

    worker: str
    seen_s: float
    box: str = ""
    """The name under which the worker counts its credit from 0. A worker whose leases have ended gets another: what
    it was sent and had finished under the old one no longer counts."""
    met: bool = False
    """The worker has answered under `box`."""
    stuck: bool = False
    """Its leases have ended for lack of progress: nothing more for it before it moves."""
    state: str = "loading"
    """loading, ready or busy: a lease never ends for lack of progress while a worker loads or compiles."""
    progress: int = 0
    progress_s: float = 0.0
    p99_s: float = 0.0

    def beat(self, state: str, progress: int, p99_s: float, now_s: float) -> None:
        self.seen_s = now_s
        if progress != self.progress:
            self.stuck = False
        if progress != self.progress or state != self.state or state == "loading":
            self.progress_s = now_s
        self.state, self.progress, self.p99_s = state, progress, p99_s

    def lost(self, now_s: float) -> str | None:
        """Why leases of this worker end now, or None while they hold."""
        if now_s - self.seen_s > SILENT_S:
            return f"worker {self.worker} silent for {now_s - self.seen_s:.1f} s"
        patience_s = max(STUCK_S, 5 * self.p99_s)
        if self.state == "busy" and not self.stuck and now_s - self.progress_s > patience_s:
            return f"worker {self.worker} made no progress for {patience_s:.0f} s"
        return None


@dataclass(slots=True)
class _Item:
    clip: Clip
    attempts: int = 0
    worker: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A clip that left the mailbox without a vector."""

    clip: Clip
    reason: str
    """dropped or failed."""
    detail: str


@dataclass(slots=True)
class Mailbox:
    """Clips of one lane, oldest first."""

    depth: int = 16
    max_bytes: int = 64 << 20
    policy: str = "drop_oldest"
    n_put: int = 0
    n_dropped: int = 0
    n_retried: int = 0
    floor_ns: int = 0
    """Newest t_end this lane has had to drop; whole t_end groups up to it are skipped in every lane (overload)."""
    begun_ns: frozenset[int] = frozenset()
    """t_ends that workers have begun to serve lately: these groups are completed rather than skipped."""
    _items: OrderedDict[int, _Item] = field(default_factory=OrderedDict)
    _granted: dict[str, int] = field(default_factory=dict)
    _sent: dict[str, int] = field(default_factory=dict)
    _n_leased: int = 0
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def n_waiting(self) -> int:
        return len(self._items) - self._n_leased

    @property
    def n_leased(self) -> int:
        return self._n_leased

    @property
    def nbytes(self) -> int:
        return self._bytes

    @property
    def full(self) -> bool:
        """With policy backpressure: put nothing more until this is False again."""
        return self.n_waiting >= self.depth or self._bytes >= self.max_bytes

    def oldest_window(self) -> int | None:
        """The lowest window whose fate is still open here."""
        return min(self._items, default=None)

    def put(self, clip: Clip) -> list[Dropped]:
        """Queue a clip; what had to make room for it comes back."""
        self.n_put += 1
        self._items[clip.window] = _Item(clip)
        self._bytes += clip.array.nbytes
        if self.policy != "drop_oldest":
            return []
        out = []
        while self.n_waiting > self.depth or (self._bytes > self.max_bytes and self.n_waiting > 1):
            waiting = [i for i in self._items.values() if i.worker is None]
            item = next((i for i in waiting if i.clip.t_end_ns not in self.begun_ns), waiting[0])
            self.floor_ns = max(self.floor_ns, item.clip.t_end_ns)
            out.append(self._give_up(item, "dropped", f"mailbox full ({self.depth} windows); the encoder is too slow"))
        return out

    def skip_until(self, t_end_ns: int, begun_ns: Iterable[int]) -> list[Dropped]:
        """Another lane had to drop its group up to t_end_ns: skip ours too, unless that group has been begun, so that
        what is left still lines up across sensors."""
        self.begun_ns = frozenset(begun_ns)
        if t_end_ns <= self.floor_ns or self.policy != "drop_oldest":
            return []
        self.floor_ns = t_end_ns
        waiting = [i for i in self._items.values() if i.worker is None]
        stale = [i for i in waiting if i.clip.t_end_ns <= t_end_ns and i.clip.t_end_ns not in self.begun_ns]
        return [self._give_up(i, "dropped", "overload: this t_end was skipped for all sensors") for i in stale]

    def grant(self, worker: str, total: int) -> None:
        """The worker's cumulative credit for this lane; an older, smaller total arriving late changes nothing."""
        self._granted[worker] = max(total, self._granted.get(worker, 0))
        self._sent.setdefault(worker, 0)

    def take(self) -> list[tuple[str, Clip, int]]:
        """Lease as much as credit allows: (worker, clip, attempts so far), oldest clips first."""
        out = []
        if self.n_waiting:
            for item in list(self._items.values()):
                if item.worker is not None:
                    continue
                if self._n_leased >= MAX_LEASED:
                    break
                worker = max(self._granted, key=self._spare, default=None)
                if worker is None or self._spare(worker) <= 0:
                    break
                item.worker = worker
                self._sent[worker] += 1
                self._n_leased += 1
                out.append((worker, item.clip, item.attempts))
        return out

    def ack(self, window: int) -> bool:
        """The publisher has this window's vector; False if it was not (or no longer) here."""
        item = self._items.pop(window, None)
        if item is None:
            return False
        self._n_leased -= item.worker is not None
        self._bytes -= item.clip.array.nbytes
        return True

    def nack(self, window: int, worker: str, error: str, *, skipped: bool = False) -> list[Dropped]:
        """The worker gave this clip back: with an error, or unstarted because its t_end group is skipped."""
        item = self._items.get(window)
        if item is None or item.worker != worker:
            return []
        if skipped:
            return [self._give_up(item, "dropped", "overload: this t_end was skipped for all sensors")]
        return self._return(item, error)

    def lose_worker(self, worker: str, why: str) -> list[Dropped]:
        """End every lease of this worker and forget its credit."""
        self._granted.pop(worker, None)
        self._sent.pop(worker, None)
        out: list[Dropped] = []
        # Newest first: each goes to the front, so the oldest ends up first.
        for item in [i for i in self._items.values() if i.worker == worker][::-1]:
            out += self._return(item, why)
        return out

    def give_up_all(self, why: str) -> list[Dropped]:
        """Empty the mailbox: the run cannot wait for an encoder any longer."""
        return [self._give_up(item, "dropped", why) for item in list(self._items.values())]

    def _spare(self, worker: str) -> int:
        return self._granted[worker] - self._sent[worker]

    def _return(self, item: _Item, error: str) -> list[Dropped]:
        item.attempts += 1
        item.error = error
        if item.attempts >= MAX_ATTEMPTS:
            return [self._give_up(item, "failed", f"gave up after {item.attempts} tries: {error}")]
        item.worker = None
        self._n_leased -= 1
        self.n_retried += 1
        self._items.move_to_end(item.clip.window, last=False)
        return []

    def _give_up(self, item: _Item, reason: str, detail: str) -> Dropped:
        del self._items[item.clip.window]
        self._n_leased -= item.worker is not None
        self._bytes -= item.clip.array.nbytes
        self.n_dropped += reason == "dropped"
        return Dropped(item.clip, reason, detail)

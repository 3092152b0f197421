"""A few seconds of every sensor of a rig: opened, read and closed as the run would, all at the same time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.base import Counting
from stream_bind.clock import Clock, SystemClock
from stream_bind.config.schema import StreamConfig
from stream_bind.errors import EndOfStream, StreamBindError
from stream_bind.messages import Chunk, ClockInfo, IntArray, StreamSpec
from stream_bind.registry import DEVICES

if TYPE_CHECKING:
    from devices.base import Device

__all__ = ["Observation", "Watch", "observe_all"]

OPEN_S = 12.0
"""Longer than any driver's open may take; what takes longer hangs."""
FIRST_S = 8.0
"""An Arduino needs 2 s after its port was opened, a network camera 5 s to its first key frame."""
HANG_S = 8.0
"""A read that has not come back for so long will not: it was given 0.2 s."""
READ_S = 0.2
_SIDE = 96
"""Pixels a side that are kept of a picture: enough to judge it, and 5 s of any camera stay within some megabytes."""
_MOST_BYTES = 256 << 20
_PICTURES = frozenset({"vision", "depth", "thermal"})


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What one sensor did while it was watched. Arrays are per sample, `ticks` and what goes with it per read."""

    stream: str
    modality: str
    spec: StreamSpec | None = None
    error: str = ""
    """Why it did not open, or what broke it; the samples until then are here all the same."""
    ended: bool = False
    """A recording came to its end."""
    hangs: bool = False
    """Its driver did not come back; its thread was left behind."""
    open_s: float = 0.0
    first_s: float | None = None
    """From opened to the first sample."""
    t_ns: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    """(n,) event times as they came."""
    arrivals_ns: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    """(n,) UNIX ns at which the read came back."""
    marked: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    """(n,) the driver says that samples are missing right before."""
    data: NDArray[Any] | None = None
    """(m, ...) samples, pictures thinned out to every k-th row and column."""
    ticks: IntArray | None = None
    """(reads,) the sensor's own time of the newest sample of each read, where it sends one."""
    read_counts: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    """(reads,) samples so far at the end of each read."""
    read_arrivals_ns: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    clock: ClockInfo | None = None
    """Of the last sample."""
    silent_s: float = 0.0
    """From the last sample to the end of watching."""
    counters: Mapping[str, int] = field(default_factory=dict)


class _Read(NamedTuple):
    """One read that brought samples."""

    arrival_ns: int
    t_ns: IntArray
    data: NDArray[Any] | None
    gap_before: bool
    clock: ClockInfo
    tick: int | None


class Watch:
    """Watches one device; `run` blocks, `seen` may be asked from another thread at any time."""

    def __init__(self, stream: str, modality: str, make: Callable[[], Device], clock: Clock, seconds: float) -> None:
        self.stream = stream
        self._modality = modality
        self._make = make
        self._clock = clock
        self._seconds = seconds
        self._device: Device | None = None
        self._spec: StreamSpec | None = None
        self._reads: list[_Read] = []
        self._kept_bytes = 0
        self._open_s = 0.0
        self._opened_ns = 0
        self._end_ns: int | None = None
        self._error = ""
        self._ended = False
        self._stage = "opening"
        self._since_s = time.monotonic()

    def run(self) -> None:
        """Open, read for the time given, close. Never raises."""
        try:
            self._device = device = self._make()
            began_ns = self._clock.unix_ns()
            device.open()
            self._opened_ns = self._clock.unix_ns()
            self._open_s = (self._opened_ns - began_ns) / 1e9
            self._spec = device.spec
            self._enter("reading")
            self._read(device, device.spec)
        except EndOfStream:
            self._ended = True
        except StreamBindError as error:
            self._error = " ".join(str(error).split())
        except Exception as error:  # a driver's bug is a finding too
            self._error = f"the driver failed: {type(error).__name__}: {' '.join(str(error).split())}"
        finally:
            self._end_ns = self._clock.unix_ns()
            self._enter("closing")
            if self._device is not None:
                self._device.close()

    def hang(self) -> str:
        """What the driver does not come back from; "" while there is hope. Judged by the machine's own time."""
        waited_s = time.monotonic() - self._since_s
        if self._stage == "opening" and waited_s > OPEN_S:
            return f"did not open within {OPEN_S:g} s: its driver hangs; replug it, and end other programs that use it"
        if self._stage == "reading" and waited_s > HANG_S:
            return f"its driver has not come back from reading for {HANG_S:g} s; replug it"
        if self._stage == "closing" and waited_s > HANG_S:
            return f"its driver has not come back from closing for {HANG_S:g} s; replug it"
        return ""

    def seen(self, hang: str = "") -> Observation:
        """What came so far. hang: what `hang` said, if it is given up."""
        reads = list(self._reads)
        arrivals = np.array([read.arrival_ns for read in reads], np.int64)
        counts = np.array([len(read.t_ns) for read in reads], np.int64)
        kept = [read.data for read in reads if read.data is not None]
        ticks = [read.tick for read in reads]
        marked = np.zeros(int(counts.sum()), np.bool_)
        marked[np.cumsum(counts) - counts] = [read.gap_before for read in reads]
        end_ns = self._end_ns or self._clock.unix_ns()
        device = self._device
        counters: Mapping[str, int] = device.counters if isinstance(device, Counting) else {}
        return Observation(
            stream=self.stream,
            modality=self._modality,
            spec=self._spec,
            error=hang or self._error,
            ended=self._ended,
            hangs=bool(hang),
            open_s=self._open_s,
            first_s=(reads[0].arrival_ns - self._opened_ns) / 1e9 if reads else None,
            t_ns=np.concatenate([read.t_ns for read in reads]) if reads else np.empty(0, np.int64),
            arrivals_ns=np.repeat(arrivals, counts),
            marked=marked,
            data=np.concatenate(kept) if kept else None,
            ticks=None if not reads or None in ticks else np.array(ticks, np.int64),
            read_counts=np.cumsum(counts),
            read_arrivals_ns=arrivals,
            clock=reads[-1].clock if reads else None,
            silent_s=(end_ns - reads[-1].arrival_ns) / 1e9 if reads else 0.0,
            counters={name: int(n) for name, n in dict(counters).items()},
        )

    def _enter(self, stage: str) -> None:
        self._stage = stage
        self._since_s = time.monotonic()

    def _read(self, device: Device, spec: StreamSpec) -> None:
        until_ns: int | None = None
        patience_s = max(FIRST_S, 3 * spec.max_delay_s)
        while True:
            chunk = device.read(READ_S)
            now_ns = self._clock.unix_ns()
            self._since_s = time.monotonic()
            if chunk is not None and len(chunk):
                self._keep(chunk, now_ns)
                until_ns = until_ns or now_ns + round(self._seconds * 1e9)
                # A recording may come faster than it was taken.
                spanned_ns = int(chunk.t_ns[-1]) - int(self._reads[0].t_ns[0])
                if not spec.live and spanned_ns >= self._seconds * 1e9:
                    return
            if until_ns is not None and now_ns >= until_ns:
                return
            if until_ns is None and (now_ns - self._opened_ns) / 1e9 > patience_s:
                self._error = f"opened, but delivered nothing for {patience_s:g} s"
                return

    def _keep(self, chunk: Chunk, arrival_ns: int) -> None:
        data: NDArray[Any] | None = None
        if self._kept_bytes < _MOST_BYTES:
            data = _thinned(chunk.data) if self._modality in _PICTURES else np.array(chunk.data)
            if self._reads and self._reads[0].data is not None and data.shape[1:] != self._reads[0].data.shape[1:]:
                raise ValueError(f"samples of shape {data.shape[1:]} after {self._reads[0].data.shape[1:]}")
            self._kept_bytes += data.nbytes
        tick = None if chunk.ticks is None else int(chunk.ticks[-1])
        self._reads.append(_Read(arrival_ns, np.array(chunk.t_ns), data, chunk.gap_before, chunk.clock, tick))


def observe_all(
    streams: Sequence[StreamConfig],
    seconds: float,
    clock: Clock | None = None,
) -> list[Observation]:
    """Watch the devices of all streams at the same time, each read in a thread of its own, for `seconds` from its first
    sample on. A driver that hangs is given up and named. In the order of the streams."""
    clock = clock or SystemClock()
    done: queue.Queue[int] = queue.Queue()
    watches = []
    for place, stream in enumerate(streams):
        entry = DEVICES.get(stream.device.type)
        make = partial(entry.cls, stream.device.settings, stream.id, clock)
        watch = Watch(stream.id, stream.modality, make, clock, seconds)
        watches.append(watch)
        threading.Thread(target=_run, args=(watch, place, done), name=f"watch-{stream.id}", daemon=True).start()
    results: dict[int, Observation] = {}
    while len(results) < len(watches):
        try:
            place = done.get(timeout=0.1)
            results.setdefault(place, watches[place].seen())
        except queue.Empty:
            for place, watch in enumerate(watches):
                if place not in results and (hang := watch.hang()):
                    results[place] = watch.seen(hang)
    return [results[place] for place in range(len(watches))]


def _run(watch: Watch, place: int, done: queue.Queue[int]) -> None:
    try:
        watch.run()
    finally:
        done.put(place)


def _thinned(frames: NDArray[Any]) -> NDArray[Any]:
    """A copy of every k-th row and column: (n, <= 96, <= 96, ...)."""
    down, across = (max(1, -(-side // _SIDE)) for side in frames.shape[1:3])
    return np.array(frames[:, ::down, ::across])

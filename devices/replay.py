"""One stream of a recording of ours as a device: the same chunks, holes and idle times, at any pace."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from stream_bind.clock import Clock
from stream_bind.errors import DeviceError, EndOfStream, LogError
from stream_bind.log.codec import Mark, Recorded
from stream_bind.log.reader import Log, StreamReader, open_log
from stream_bind.messages import Chunk, StreamSpec
from stream_bind.registry import ANY_SIGNAL, register_device

__all__ = ["Replay", "ReplayConfig"]


class ReplayConfig(BaseModel):
    """A stream of a log that `stream-bind record` or `import` wrote."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["replay"] = "replay"
    """The device type, always "replay"."""
    path: Path
    """The log, the common name of a split one (walk.mcap for walk_0000.mcap ...), or its folder."""
    stream: str | None = None
    """The recorded stream; absent: the one of the same name."""
    modality: str = "vision"
    """What it measures; within a rig that of the stream."""
    rate: float | Literal["max"] = Field(default=1.0)
    """Speed: 1 as recorded, 10 ten times as fast, max as fast as windows are embedded."""
    start_s: float = Field(default=0.0, ge=0)
    """Seconds of the log to leave out at its beginning."""
    duration_s: float | None = Field(default=None, gt=0)
    """Seconds of the log to replay; absent: to its end."""
    loop: bool = False
    """Begin again at the end, with event time going on."""
    shift_ns: int = 0
    """Added to every time stamp; a multiple of the hop keeps the windows what they were."""


@register_device("replay", config=ReplayConfig, modalities=("vision", "audio", "depth", "thermal", "imu", ANY_SIGNAL))
class Replay:
    """What the recorded device delivered. `lost_chunks` counts what a damaged log does not hold any more.

    All streams of a log share one zero, the time of its first message, so that they keep together at every rate.
    """

    def __init__(self, config: ReplayConfig, stream_id: str, clock: Clock) -> None:
        self._config, self._id, self._clock = config, stream_id, clock
        self._log: Log | None = None
        self._spec: StreamSpec | None = None
        self._reader: StreamReader | None = None
        self._items: Iterator[Recorded] | None = None
        self._next: Recorded | None = None
        self._shift_ns = config.shift_ns
        self._was_live = False
        self._lost = 0
        self._pass_began = False
        # The recording's clock: monotonic ns at its zero, held back by pauses.
        self._lock = threading.Lock()
        self._zero_ns: int | None = None
        self._paused_ns: int | None = None
        self._reached_ns = 0
        self._stepped_ns = 0

    @property
    def spec(self) -> StreamSpec:
        """From the log; where there is no readable one yet, of the kind the config names."""
        if self._spec is None:
            try:
                self._look()
            except DeviceError:
                nominal = StreamSpec(self._id, self._config.modality, 1.0, (-1,), "float32", "", live=False)
                return replace(nominal, domain="file")
        assert self._spec is not None
        return self._spec

    @property
    def was_live(self) -> bool:
        _ = self.spec
        return self._was_live

    @property
    def counters(self) -> Mapping[str, int]:
        now = 0 if self._reader is None else self._reader.lost
        return Counter(lost_chunks=self._lost + now)

    def open(self) -> None:
        self.close()
        self._look()
        self._shift_ns = self._config.shift_ns
        with self._lock:
            self._zero_ns = None
        self._begin()

    def read(self, timeout_s: float) -> Chunk | None:
        found = self.read_recorded(timeout_s)
        return found.item if found is not None and isinstance(found.item, Chunk) else None

    def read_recorded(self, timeout_s: float) -> Recorded | None:
        if self._items is None:
            raise DeviceError(f"{self._id}: read before open; open the device first")
        if self._next is None:
            self._next = self._following()
        if not self._is_due(self._next.arrived_ns, timeout_s):
            return None
        found, self._next = self._next, None
        return self._shifted(found)

    def close(self) -> None:
        if self._reader is not None:
            self._lost += self._reader.lost
        closing = getattr(self._items, "close", None)
        if closing is not None:
            closing()
        self._items = self._reader = self._next = None

    def pause(self, paused: bool) -> None:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if paused and self._paused_ns is None:
                self._paused_ns, self._stepped_ns = now_ns, 0
            elif not paused and self._paused_ns is not None:
                if self._zero_ns is not None and self._config.rate != "max":
                    self._zero_ns += now_ns - self._paused_ns - round(self._stepped_ns / self._config.rate)
                self._paused_ns = None

    def step(self, seconds: float) -> None:
        with self._lock:
            if self._paused_ns is not None:
                self._stepped_ns += round(seconds * 1e9)

    # -- the log ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        config = self._config
        try:
            log = open_log(config.path)
        except LogError as error:
            raise DeviceError(f"replay {error}", permanent=True) from error
        name = config.stream or self._id
        if name not in log.streams:
            held = ", ".join(log.streams)
            raise DeviceError(f"replay {config.path}: has no stream {name!r}; it has {held}", permanent=True)
        if config.start_s >= max(log.duration_s, 1e-9):
            problem = f"start_s {config.start_s:g} lies behind its end; it is {log.duration_s:.3f} s long"
            raise DeviceError(f"replay {config.path}: {problem}", permanent=True)
        recorded = log.streams[name]
        self._log, self._was_live = log, recorded.live
        self._spec = replace(recorded, id=self._id, live=False)

    def _begin(self) -> None:
        log, config = self._log, self._config
        assert log is not None
        if self._reader is not None:
            self._lost += self._reader.lost
        start_ns = self._start_ns if config.start_s else None
        self._reader = StreamReader(
            log.parts,
            log.streams[config.stream or self._id],
            start_ns,
            None if config.duration_s is None else self._start_ns + round(config.duration_s * 1e9),
        )
        self._items = iter(self._reader)
        self._pass_began = True

    @property
    def _start_ns(self) -> int:
        assert self._log is not None
        return self._log.start_ns + round(self._config.start_s * 1e9)

    @property
    def _length_ns(self) -> int:
        """Of one pass."""
        assert self._log is not None
        rest = self._log.end_ns - self._start_ns + 1
        return rest if self._config.duration_s is None else min(rest, round(self._config.duration_s * 1e9))

    def _following(self) -> Recorded:
        assert self._items is not None
        found = next(self._items, None)
        if found is None and self._config.loop and not self._pass_began:
            self._shift_ns += self._length_ns
            if self._zero_ns is not None and self._config.rate != "max":
                self._zero_ns += round(self._length_ns / self._config.rate)
            self._begin()
            found = next(self._items, None)
        if found is None:
            raise EndOfStream(self._id)
        self._pass_began = False
        return found

    def _shifted(self, found: Recorded) -> Recorded:
        shift_ns, item = self._shift_ns, found.item
        if not shift_ns:
            return found
        if isinstance(item, Mark):
            t_end_ns = item.t_end_ns + shift_ns if item.t_end_ns else 0
            item = replace(item, t_ns=item.t_ns + shift_ns, t_end_ns=t_end_ns)
        else:
            item = replace(item, t_ns=item.t_ns + shift_ns)
        return Recorded(item, found.arrived_ns + shift_ns)

    # -- its pace ---------------------------------------------------------------------------------------------------

    def _is_due(self, arrived_ns: int, timeout_s: float) -> bool:
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if self._zero_ns is None:
                self._zero_ns = now_ns
            rate = self._config.rate
            since_ns = arrived_ns - self._start_ns
            if self._paused_ns is not None:
                if since_ns <= self._reached_ns + self._stepped_ns:
                    return True
                wait_s = timeout_s
            else:
                wait_s = 0.0 if rate == "max" else (self._zero_ns + round(since_ns / rate) - now_ns) * 1e-9
                if wait_s <= 0:
                    self._reached_ns = max(self._reached_ns, since_ns)
                    return True
        self._clock.sleep(min(wait_s, timeout_s))
        return False

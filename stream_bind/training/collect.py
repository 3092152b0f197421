"""Moments from any rig: its devices, adjustments, windows and clip makers, the very ones of the pipeline.

Recordings are read as fast as they go, simulated sensors under a clock that jumps, live sensors for as long as they are
asked to.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.simulated.captions import N_VARIANTS, caption
from devices.simulated.world import SCENE_NS, World
from stream_bind.adjust import Adjust
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.config.schema import StreamConfig
from stream_bind.encoders.base import ClipMaker
from stream_bind.errors import ClipError, ConfigError, DeviceError, EndOfStream
from stream_bind.messages import Chunk, IntArray, Missing, StreamSpec, Window
from stream_bind.registry import DEVICES
from stream_bind.training.pairs import Moment
from stream_bind.window import Windower

__all__ = ["Caption", "Take", "collected", "file_digests", "read_captions"]

log = logging.getLogger(__name__)

SIMULATED_BEGIN_NS = 1_704_067_200_000_000_000
"""2024-01-01T00:00:00Z, a multiple of the length of a scene: when simulated takes begin, so that they repeat."""
WHOLE = 0.99
"""As in the pipeline: windows at the start or end of a stream count from this coverage on."""
READ_S = 0.5
FIRST_TRIES = 40


@dataclass(frozen=True, slots=True)
class Caption:
    """What is true from `start_s` to `end_s`, counted from the first sample of the take."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Take:
    """One source: sensors that were or are read together."""

    source: str
    """Its identity, see Moment.source."""
    streams: tuple[StreamConfig, ...]
    """One a modality."""
    makers: Mapping[str, ClipMaker]
    """What makes each modality's clips."""
    start_s: float = 0.0
    """Windows begin this long after the first sample at the earliest."""
    duration_s: float | None = None
    """And end this much later at the latest; None: the recording's end. Needed of simulated and live sensors."""
    captions: tuple[Caption, ...] = ()
    """Captions of stretches of the take."""
    wanted: tuple[str, ...] = ()
    """Only moments with a clip of every one of these are delivered (`text`: a caption)."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Content digest of every file read, by its path."""
    check: Callable[[StreamSpec], None] | None = None
    """Told what every opened and adjusted stream delivers; raises ConfigError where the model cannot take it."""

    @property
    def simulated(self) -> bool:
        return all(s.device.type == "simulated" for s in self.streams)


def collected(take: Take, watch: Callable[[float], None] | None = None) -> Iterator[tuple[Moment, dict[str, Any]]]:
    """Moments of a take in the order of time, each with its packed clips. watch: told the seconds of signal read.

    Windows that the pipeline would turn into events (too little coverage, no clip) are left out. Raises DeviceError
    as the devices do.
    """
    with contextlib.ExitStack() as stack:
        feeds = [stack.enter_context(_Feed(stream, take)) for stream in take.streams]
        for feed in feeds:
            feed.begin()
        origin_ns = min((f.first_ns for f in feeds if f.first_ns is not None), default=None)
        if origin_ns is None:
            return
        begin_ns = origin_ns + round(take.start_s * 1e9)
        stop_ns = None if take.duration_s is None else begin_ns + round(take.duration_s * 1e9)
        scenes = _Scenes(take)
        while True:
            active = [f for f in feeds if not f.ended]
            horizon_ns = min((f.closed_ns for f in active), default=1 << 62)
            ends = sorted({t for f in feeds for t in f.clips if t <= horizon_ns})
            for t_end_ns in ends:
                found = {f.modality: f.clips.pop(t_end_ns) for f in feeds if t_end_ns in f.clips}
                inside = {
                    m: clip for m, (start_ns, clip) in found.items()
                    if start_ns >= begin_ns and (stop_ns is None or t_end_ns <= stop_ns)
                }  # fmt: skip
                if not inside:
                    continue
                t_start_ns = min(found[m][0] for m in inside)
                label, group, captions = scenes.of(t_start_ns, t_end_ns)
                captions += _spoken(take.captions, t_start_ns - origin_ns, t_end_ns - origin_ns)
                have = {*inside, *(["text"] if captions else [])}
                if have.issuperset(take.wanted):
                    yield Moment(take.source, t_start_ns, t_end_ns, label, group, captions), inside
            if not active:
                return
            slowest = min(active, key=lambda f: f.newest_ns)
            slowest.step(stop_ns)
            if watch is not None:
                watch(max(0.0, (min(f.newest_ns for f in feeds) - begin_ns) / 1e9))


def read_captions(path: Path) -> tuple[Caption, ...]:
    """Rows of a CSV file with the columns start_s, end_s and text. ConfigError names what does not fit."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(f"{path}: captions cannot be read: {error.strerror}") from error
    captions = []
    for number, row in enumerate(rows, 2):
        try:
            start_s, end_s, text = float(row["start_s"]), float(row["end_s"]), str(row["text"]).strip()
        except (KeyError, TypeError, ValueError):
            start_s, end_s, text = 0.0, 0.0, ""
        if not text or end_s <= start_s:
            raise ConfigError(
                f"{path}:{number}: wanted start_s,end_s,text (seconds from the first sample, end after start, a "
                f"sentence), found {dict(row)}"
            )
        captions.append(Caption(start_s, end_s, text))
    if not captions:
        raise ConfigError(f"{path}: no captions in it; wanted a header start_s,end_s,text and a row a stretch")
    return tuple(captions)


def file_digests(streams: Sequence[StreamConfig]) -> dict[str, str]:
    """Content digest of every file that the devices of these streams name as `path`. Files that are not there: none."""
    found = {}
    for stream in streams:
        path = getattr(stream.device.settings, "path", None)
        if isinstance(path, Path) and path.is_file():
            with path.open("rb") as file:
                found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


class _Scenes:
    """What the simulated world says about windows that lie within one of its scenes."""

    def __init__(self, take: Take) -> None:
        seeds = {s.device.settings.seed for s in take.streams} if take.simulated else set()
        self._world = World(seeds.pop()) if len(seeds) == 1 else None
        self._told: dict[int, tuple[str, str, tuple[str, ...]]] = {}

    def of(self, t_start_ns: int, t_end_ns: int) -> tuple[str, str, tuple[str, ...]]:
        """label, group, captions."""
        index = t_start_ns // SCENE_NS
        if self._world is None or (t_end_ns - 1) // SCENE_NS != index:
            return "", "", ()
        if index not in self._told:
            scene = self._world.scene_at(t_start_ns)
            said = tuple(dict.fromkeys(caption(scene, variant) for variant in range(N_VARIANTS)))
            self._told = {index: (scene.scenario.label, scene.scenario.group, said)}
        return self._told[index]


class _Feed:
    """One stream on its way to clips."""

    def __init__(self, stream: StreamConfig, take: Take) -> None:
        self.modality: str = stream.modality
        maker = take.makers[stream.modality]
        entry = DEVICES.get(stream.device.type)
        settings = stream.device.settings_dict()
        if "rate" in entry.config.model_fields and stream.device.type != "simulated":  # type: ignore[attr-defined]
            settings["rate"] = "max"
        self._clock = ManualClock(SIMULATED_BEGIN_NS) if take.simulated else SystemClock()
        self._device: Any = entry.cls(entry.config(**settings), stream.id, self._clock)
        self._adjust = Adjust(self._device.spec, **stream.adjust_settings(), wanted_axes=maker.spec.axes)
        self._maker, self._spec = maker, self._adjust.spec
        window = stream.window
        length_ns = round((maker.spec.length_s if window.length_s is None else window.length_s) * 1e9)
        hop_ns = round((maker.spec.hop_s if window.hop_s is None else window.hop_s) * 1e9)
        self._min_coverage, self._partial = window.min_coverage, window.partial
        self._windower = Windower(
            self._spec,
            length_ns=length_ns,
            hop_ns=hop_ns,
            lateness_ns=None if window.lateness_ms is None else round(window.lateness_ms * 1e6),
            context_ns=round(maker.spec.context_s * 1e9),
            payload=maker.spec.payload,
        )
        if take.simulated and maker.spec.payload == "edges":
            delay_ns = round(stream.delay_ms * 1e6)
            self._device._sampler = _EdgesOnly(self._device._sampler, self._device._grid, hop_ns, length_ns, delay_ns)
        self._live = self._device.spec.live and not take.simulated
        if self._device.spec.live and take.duration_s is None:
            raise ConfigError(f"{stream.id}: a live or simulated sensor has no end; give this data a `duration`")
        self.clips: dict[int, tuple[int, NDArray[Any]]] = {}
        """t_end: (t_start, packed clip) of what was not yet asked for."""
        self.first_ns: int | None = None
        self.newest_ns = -(1 << 62)
        self.closed_ns = -(1 << 62)
        """No window that ends by now will come any more."""
        self.ended = False
        self._check = take.check
        self._blamed = False
        self._reader: _LiveReader | None = None

    def __enter__(self) -> _Feed:
        self._device.open()
        if self._check is not None:
            self._check(self._spec)
        if self._live:
            self._reader = _LiveReader(self._device)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._reader is not None:
            self._reader.close()
        self._device.close()

    def begin(self) -> None:
        """Read on to the first sample."""
        for _ in range(FIRST_TRIES):
            if self.first_ns is not None or self.ended:
                return
            self.step()
        raise DeviceError(
            f"{self._spec.id}: no sample within {FIRST_TRIES * READ_S:g} s; look at it with `stream-bind doctor`"
        )

    def step(self, stop_ns: int | None = None) -> None:
        """Read one chunk and close what it closes."""
        try:
            chunk = self._reader.read() if self._reader is not None else self._device.read(READ_S)
        except EndOfStream:
            self._keep(self._windower.finish())
            self.ended = True
            return
        if chunk is None:
            return
        chunk = self._adjust.apply(chunk)
        if self.first_ns is None:
            self.first_ns = int(chunk.t_ns[0])
        self.newest_ns = max(self.newest_ns, int(chunk.t_ns[-1]))
        self._keep(self._windower.push(chunk))
        watermark_ns = self._windower.watermark_ns
        self.closed_ns = self.closed_ns if watermark_ns is None else watermark_ns
        if stop_ns is not None and self.closed_ns > stop_ns:
            self.ended = True

    def _keep(self, results: Sequence[Window | Missing]) -> None:
        for window in results:
            if isinstance(window, Missing) or window.coverage < self._min_coverage:
                continue
            if window.status in {"starting", "ending"} and window.coverage < WHOLE and not self._partial:
                continue
            try:
                clip = np.asarray(self._maker.make(window, self._spec))
            except ClipError as error:
                if not self._blamed:
                    self._blamed = True  # the reason is the same for most of them
                    log.warning("%s; this window and others like it are left out", error)
                continue
            self.clips[window.t_end_ns] = (window.t_start_ns, clip)


class _EdgesOnly:
    """A sampler of pictures that draws only those of which any window shows its first or last; the others are black.

    The windower keeps no other, so clips stay the same byte for byte, for a seventh of the work at 30 pictures a
    second and a hop of 0.5 s.
    """

    def __init__(self, sampler: Any, grid: Any, hop_ns: int, length_ns: int, delay_ns: int) -> None:
        self._sampler, self._grid = sampler, grid
        self._hop_ns, self._length_ns, self._delay_ns = hop_ns, length_ns, delay_ns
        self._blank = np.zeros((1, *sampler.shape), sampler.dtype)

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        around = self._cells(self._grid.t_ns(first - 1, len(t_ns) + 2))
        edge = (around[1:-1] != around[:-2]).any(axis=1) | (around[1:-1] != around[2:]).any(axis=1)
        if edge.all():
            return np.asarray(self._sampler.sample(first, t_ns))
        return np.concatenate(
            [self._sampler.sample(first + i, t_ns[i : i + 1]) if edge[i] else self._blank for i in range(len(t_ns))]
        )

    def _cells(self, t_ns: IntArray) -> IntArray:
        """(n, 2): between which ends and which beginnings of windows each time lies."""
        t = t_ns - self._delay_ns
        return np.stack([t // self._hop_ns, (t + self._length_ns) // self._hop_ns], axis=1)


class _LiveReader:
    """Reads a live device in a thread, so that no sensor waits for another."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._chunks: queue.Queue[Chunk | BaseException] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def read(self) -> Chunk | None:
        try:
            found = self._chunks.get(timeout=READ_S)
        except queue.Empty:
            return None
        if isinstance(found, BaseException):
            raise found
        return found

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                chunk = self._device.read(READ_S)
            except BaseException as error:  # handed to whoever waits
                self._chunks.put(error)
                return
            if chunk is not None:
                self._chunks.put(chunk)


def _spoken(captions: Sequence[Caption], start_ns: int, end_ns: int) -> tuple[str, ...]:
    """Captions of stretches that hold the whole moment."""
    return tuple(dict.fromkeys(c.text for c in captions if c.start_s * 1e9 <= start_ns and end_ns <= c.end_s * 1e9))

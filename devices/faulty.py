"""A device with faults on a timetable, for tests and demonstrations: what breaks in the field, at a known moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from devices.base import Device
from stream_bind.clock import Clock
from stream_bind.errors import ConfigError, DeviceError, EndOfStream
from stream_bind.messages import Chunk, IntArray, StreamSpec
from stream_bind.registry import ANY_SIGNAL, DEVICES, register_device

__all__ = ["Fault", "Faulty", "FaultyConfig"]


class Fault(BaseModel):
    """One fault. Its times are event time since the device's first sample."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["gap", "stall", "unplug", "reorder", "clock_jump", "late", "duplicate"]
    """gap: samples are lost, and the driver knows. stall: nothing comes, and what was due is lost unnoticed.
    unplug: an error, and the device cannot be opened. reorder: samples overtake each other. clock_jump: stamps are
    off by jump_s. late: samples arrive delay_s after their time. duplicate: every sample comes twice."""
    at_s: float = Field(ge=0)
    """When it begins."""
    duration_s: float | None = Field(default=None, gt=0)
    """How long it lasts; a clock_jump without it stays, every other kind needs it."""
    within_s: float = Field(default=0.03, gt=0)
    """reorder: no sample is moved by more than this."""
    delay_s: float = Field(default=0.5, gt=0)
    """late: how much later the samples come."""
    jump_s: float = 1.0
    """clock_jump: how far the stamps go, forwards or (negative) backwards."""

    @model_validator(mode="after")
    def _ends(self) -> Fault:
        if self.duration_s is None and self.kind != "clock_jump":
            raise ValueError(f"duration_s is needed for a {self.kind}")
        return self

    def covers(self, age_ns: IntArray) -> NDArray[np.bool_]:
        """(n,) whether samples of this age lie within the fault."""
        start_ns = round(self.at_s * 1e9)
        inside = age_ns >= start_ns
        if self.duration_s is not None:
            inside &= age_ns < start_ns + round(self.duration_s * 1e9)
        return inside


class FaultyConfig(BaseModel):
    """Another device, and what goes wrong with it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["faulty"] = "faulty"
    """The device type, always "faulty"."""
    modality: str | None = None
    """Handed on to the device inside, where that needs one and names none."""
    device: dict[str, Any]
    """The device inside: any `device:` section."""
    faults: list[Fault] = Field(default_factory=list)
    """What goes wrong, in any order; faults may overlap."""
    seed: int = Field(default=0, ge=0)
    """Decides which samples a reorder moves."""

    @field_validator("device")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("type"), str):
            raise ValueError("the key 'type' is missing: which device to break")
        return value

    @model_validator(mode="after")
    def _inside_is_valid(self) -> FaultyConfig:
        try:
            self.inner()
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"device.{place}: {first['msg']}" if place else f"device: {first['msg']}") from None
        except ConfigError as error:
            raise ValueError(f"device: {error}") from None
        return self

    def inner(self) -> tuple[Callable[..., Device], Any]:
        """Class and validated config of the device inside."""
        entry = DEVICES.get(self.device["type"])
        fields: dict[str, Any] = getattr(entry.config, "model_fields", {})
        settings = {key: value for key, value in self.device.items() if key != "type" or "type" in fields}
        if "modality" in fields and self.modality is not None:
            settings.setdefault("modality", self.modality)
        return entry.cls, entry.config(**settings)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """Samples held back: when each is released, and whether samples were lost before it."""

    data: NDArray[Any]
    t_ns: IntArray
    release_ns: IntArray
    marks: NDArray[np.bool_]
    chunk: Chunk


@register_device("faulty", config=FaultyConfig, modalities=("vision", "audio", "depth", "thermal", "imu", ANY_SIGNAL))
class Faulty:
    """The device inside, with faults. What a sample suffers depends on its event time only, not on the chunking."""

    def __init__(self, config: FaultyConfig, stream_id: str, clock: Clock) -> None:
        cls, settings = config.inner()
        self._device: Device = cls(settings, stream_id, clock)
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._zero_ns: int | None = None
        self._back_ns: int | None = None
        self._unplugs = self._timetable()
        self._inside_open = False
        self._pulled: Fault | None = None
        self._rest: Chunk | None = None
        self._pieces: deque[Chunk] = deque()
        self._held: list[_Piece] = []
        self._gap = False
        self._ended = False

    @property
    def spec(self) -> StreamSpec:
        return self._device.spec

    def open(self) -> None:
        if self._back_ns is not None:
            if self._clock.monotonic_ns() < self._back_ns:
                raise DeviceError(f"faulty {self._id}: unplugged on purpose; it will be back")
        else:
            self._restart()
        if not self._inside_open:
            self._device.open()
            self._inside_open = True
        self._gap = self._back_ns is not None
        self._back_ns = None

    def read(self, timeout_s: float) -> Chunk | None:
        if self._pieces:
            return self._pieces.popleft()
        if self._ended:
            raise EndOfStream(self._id)
        if self._back_ns is not None:
            raise DeviceError(f"faulty {self._id}: unplugged on purpose; open it again")
        if self._pulled is not None:
            self._pull(self._pulled)
        chunk, self._rest = self._rest, None
        try:
            chunk = chunk or self._device.read(timeout_s)
        except EndOfStream:
            self._ended = True
            self._release(None)
            if self._pieces:
                return self._pieces.popleft()
            raise
        if chunk is not None and len(chunk):
            self._take(chunk)
        if self._pieces:
            return self._pieces.popleft()
        if self._pulled is not None:
            self._pull(self._pulled)
        return None

    def close(self) -> None:
        # A recording would begin anew; unplugged, it has to go on where it was.
        if self._back_ns is None or self.spec.live:
            self._device.close()
            self._inside_open = False
            self._rest = None
        self._pieces.clear()
        self._held.clear()

    def _timetable(self) -> list[Fault]:
        return sorted((f for f in self._config.faults if f.kind == "unplug"), key=lambda f: f.at_s)

    def _restart(self) -> None:
        self.close()
        self._pulled = None
        self._ended = False
        if not self.spec.live:
            self._zero_ns = None
            self._unplugs = self._timetable()

    def _take(self, chunk: Chunk) -> None:
        if self._zero_ns is None:
            self._zero_ns = int(chunk.t_ns[0])
        age_ns = chunk.t_ns - self._zero_ns
        if self._unplugs:
            before = age_ns < round(self._unplugs[0].at_s * 1e9)
            if not before.all():
                # What came before the plug was pulled still arrives; a recording goes on with the rest.
                cut = int(np.argmin(before))
                self._pulled = self._unplugs.pop(0)
                self._rest = Chunk(chunk.data[cut:], chunk.t_ns[cut:], True, chunk.clock)
                chunk = Chunk(chunk.data[:cut], chunk.t_ns[:cut], chunk.gap_before, chunk.clock)
                age_ns = age_ns[:cut]
        if len(chunk):
            self._suffer(chunk, age_ns)

    def _pull(self, fault: Fault) -> None:
        duration_s = fault.duration_s or 0.0
        self._pulled = None
        self._back_ns = self._clock.monotonic_ns() + round(duration_s * 1e9)
        self._held.clear()
        if self.spec.live:
            self._rest = None
        raise DeviceError(f"faulty {self._id}: unplugged on purpose at {fault.at_s:g} s for {duration_s:g} s")

    def _suffer(self, chunk: Chunk, age_ns: IntArray) -> None:
        """Lose, shift, repeat and delay samples, and queue what is due."""
        data, t_ns = chunk.data, chunk.t_ns
        hits = [(fault, hit) for fault in self._config.faults if (hit := fault.covers(age_ns)).any()]
        if not hits and not self._held and not self._gap:
            self._pieces.append(chunk)
            return
        n = len(t_ns)
        keep = np.ones(n, dtype=np.bool_)
        told = np.zeros(n, dtype=np.bool_)
        told[0] = chunk.gap_before
        copies = np.ones(n, dtype=np.int64)
        release_ns = t_ns.copy()
        stamps = t_ns.copy()
        delayed = False
        for fault, hit in hits:
            if fault.kind in {"gap", "stall", "unplug"}:
                keep &= ~hit
                told |= hit & (fault.kind != "stall")
            elif fault.kind == "clock_jump":
                stamps[hit] += round(fault.jump_s * 1e9)
            elif fault.kind == "duplicate":
                copies[hit] = 2
            elif fault.kind == "late":
                release_ns[hit] += round(fault.delay_s * 1e9)
                delayed = True
            else:
                release_ns[hit] += (_unit(t_ns[hit], self._config.seed) * fault.within_s * 1e9).astype(np.int64)
                delayed = True
        told, self._gap = _carry(told, keep, self._gap)
        at = np.repeat(np.flatnonzero(keep), copies[keep])
        marks = told[at]
        marks[1:] &= at[1:] != at[:-1]
        if len(at):
            self._held.append(_Piece(data[at], stamps[at], release_ns[at], marks, chunk))
        if not delayed and len(self._held) <= 1:
            self._release(None)
        else:
            self._release(int(t_ns.max()))

    def _release(self, newest_ns: int | None) -> None:
        """Queue the held samples that are due at newest_ns (None: all), in the order of their release."""
        if not self._held:
            return
        held, self._held = self._held, []
        data = np.concatenate([piece.data for piece in held]) if len(held) > 1 else held[0].data
        stamps, release_ns, marks = (
            np.concatenate([getattr(piece, name) for piece in held]) for name in ("t_ns", "release_ns", "marks")
        )
        order = np.argsort(release_ns, kind="stable")
        cut = len(order) if newest_ns is None else int(np.searchsorted(release_ns[order], newest_ns, side="right"))
        out, kept = order[:cut], np.sort(order[cut:])
        last = held[-1].chunk
        if len(kept):
            self._held = [_Piece(data[kept], stamps[kept], release_ns[kept], marks[kept], last)]
        starts = [0, *(np.flatnonzero(marks[out][1:]) + 1).tolist(), len(out)] if len(out) else []
        straight = bool((np.diff(out) == 1).all())
        for start, stop in pairwise(starts):
            rows: Any = slice(int(out[start]), int(out[stop - 1]) + 1) if straight else out[start:stop]
            self._pieces.append(Chunk(data[rows], stamps[rows], bool(marks[out[start]]), last.clock))


def _carry(told: NDArray[np.bool_], keep: NDArray[np.bool_], pending: bool) -> tuple[NDArray[np.bool_], bool]:
    """Move the mark of a lost sample to the next one that is kept; the rest waits for the next chunk."""
    out = np.zeros_like(told)
    for i in range(len(told)):
        pending = pending or bool(told[i])
        if keep[i] and pending:
            out[i] = True
            pending = False
    return out, pending


def _unit(t_ns: IntArray, seed: int) -> NDArray[np.float64]:
    """(n,) numbers in [0, 1) that depend on event time and seed only (a splitmix64 step each)."""
    mixed = t_ns.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53

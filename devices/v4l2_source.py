"""Frames of one V4L2 node, as camera drivers need them: set up as wanted, stamped, in order, with losses known.

What a frame's bytes mean is the drivers' business: they pass `decode` to `read`.
"""

from __future__ import annotations

import errno
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from devices import v4l2
from devices.pixels import BrokenFrame
from devices.v4l2 import Buffer, Layout, V4l2Node
from devices.v4l2_controls import Knobs
from devices.v4l2_nodes import check_address, holders, no_permission, on_disk, resolve
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, Raw

__all__ = ["Frame", "Setup", "V4l2Config", "V4l2Source", "Withheld"]

logger = logging.getLogger(__name__)

_RATE_TOLERANCE = 0.05
"""A driver's rate within this of the wanted one is the wanted one: 9 for 8.7, 30 for 29.97."""
_AHEAD_NS = 1_000_000_000
"""A stamp farther in the future is of another clock. (vivid's end-of-frame stamps lie 33 ms ahead: measured.)"""
_UNKNOWN_ERR_NS = 1_000_000
"""Error claimed before the frames' unsteadiness is known: a USB frame."""
_FIELDS = {v4l2.FIELD_ANY, v4l2.FIELD_NONE, v4l2.FIELD_INTERLACED}


class V4l2Config(BaseModel):
    """What all cameras of the kernel's video interface are asked for."""

    model_config = ConfigDict(extra="forbid")

    device: str
    """Which camera: /dev/v4l/by-id/..., /dev/v4l/by-path/..., serial:NUMBER or card:NAME (/dev/videoN may change)."""
    controls: dict[str, int | str] = Field(default_factory=dict)
    """Further settings by the names `v4l2-ctl -L` lists, set in this order and read back: a number or a menu's word."""
    buffers: int = Field(default=4, ge=2, le=32)
    """Frames the kernel may keep until they are read."""
    stall_timeout_s: float = Field(default=2.0, gt=0, le=600)
    """Silence after which the camera is given up and opened again."""

    @field_validator("device")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return check_address(value)


class Setup(NamedTuple):
    """What to ask the camera for."""

    formats: Sequence[str]
    """V4L2 names, the best first."""
    sizes: Sequence[tuple[int, int]]
    """(width, height), the best first."""
    rate_hz: float
    exposure_ms: float | str | None = None
    gain: int | None = None


class Frame(NamedTuple):
    """What a driver makes of a buffer: one sample of its spec, and what the camera sent where that differs."""

    data: NDArray[Any]
    raw: Raw | None = None


class Withheld(Exception):  # noqa: N818 - a verdict on one frame, no fault of the camera
    """Raised by a driver's decode: the frame is no measurement. `counter` counts it; `gap`: a sample is missing."""

    def __init__(self, counter: str, *, gap: bool = True) -> None:
        super().__init__(counter)
        self.counter = counter
        self.gap = gap


class V4l2Source:
    """One camera. Counts dropped_frames (missing from the driver's numbering), damaged_frames (marked so by the
    driver), stale_frames, bad_stamps, and what decode refuses."""

    def __init__(self, driver: str, stream_id: str, clock: Clock, config: V4l2Config, arrival: bool = False) -> None:
        """arrival: stamp on arrival, whatever the kernel says."""
        self.name = f"{driver} {config.device}"
        self._id = stream_id
        self._clock = clock
        self._config = config
        self._arrival = arrival
        self._offset_ns = _offset_ns(clock)
        self._node: V4l2Node | None = None
        self._told: set[str] = set()
        self._last_ns = -(1 << 62)
        self.counters: Counter[str] = Counter(dropped_frames=0, damaged_frames=0)
        self.layout: Layout | None = None
        self.rate_hz: float | None = None
        """Frames per second the driver granted, once open."""
        self.domain = "host" if arrival else "kernel"
        """Of the stamps: kernel, or host where the driver has no monotonic stamps (known once open)."""

    def open(self, setup: Setup) -> None:
        """Find, set up, start. Raises DeviceError; permanent where the camera cannot do what is wanted."""
        self.close()
        info = resolve(self._config.device, setup.formats, self.name)
        node: V4l2Node | None = None
        try:
            node = V4l2Node(str(on_disk(info.node)))
            self._set_up(node, setup)
            flags = node.start(self._config.buffers)
            if node.n_buffers < 2:
                raise DeviceError(f"{self.name}: its driver gives {node.n_buffers} buffers; at least 2 are needed")
        except DeviceError:
            if node is not None:
                node.close()
            raise
        except OSError as error:
            if node is not None:
                node.close()
            raise self._fault(error, info.node) from error
        self._node = node
        monotonic = flags & v4l2.TIMESTAMP_MASK == v4l2.TIMESTAMP_MONOTONIC
        self.domain = "kernel" if monotonic and not self._arrival else "host"
        self._gap = False
        self._sequence: int | None = None
        self._previous: tuple[int, float] | None = None
        self._err_ns = 0.0
        self._good_ns = self._looked_ns = self._clock.monotonic_ns()
        self._refusing: tuple[int, str] | None = None
        layout = self.layout
        assert layout is not None
        logger.info(
            "%s: %s is open: %s %r, %s %dx%d, %s frames/s, %s",
            self._id,
            self.name,
            info.node,
            info.title,
            layout.fourcc.strip(),
            layout.width,
            layout.height,
            "?" if self.rate_hz is None else f"{self.rate_hz:g}",
            "stamped on arrival"
            if self.domain == "host"
            else "stamped by the kernel at "
            + ("start of exposure" if flags & v4l2.TSTAMP_SRC_MASK == v4l2.TSTAMP_SRC_SOE else "end of frame"),
        )

    def close(self) -> None:
        """Never raises, may be called twice."""
        node, self._node = self._node, None
        if node is not None:
            node.close()

    def read(self, timeout_s: float, decode: Callable[[memoryview, Layout], Frame]) -> Chunk | None:
        """The next good frame, or None. decode: may raise BrokenFrame or Withheld, must not keep the memory."""
        node = self._node
        if node is None:
            raise DeviceError(f"{self.name}: read before open; open the device first")
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while True:
            try:
                was_there = node.wait(0)
                ready = was_there or node.wait((end_ns - self._clock.monotonic_ns()) / 1e9)
                buffer = node.dequeue() if ready else None
                # Without stamps a frame is known to be younger than the last moment at which there was none.
                none_left = self.domain == "host" and not node.wait(0)
            except OSError as error:
                raise self._lost(error) from error
            now_ns = self._clock.monotonic_ns()
            unseen_ns = now_ns - self._looked_ns if was_there else 0
            if none_left:
                self._looked_ns = now_ns
            if buffer is not None:
                chunk = self._take(node, buffer, unseen_ns, now_ns, decode)
                if chunk is not None:
                    return chunk
            self._judge_silence(now_ns, buffer is not None)
            if now_ns >= end_ns:
                return None

    def _take(
        self,
        node: V4l2Node,
        buffer: Buffer,
        unseen_ns: int,
        now_ns: int,
        decode: Callable[[memoryview, Layout], Frame],
    ) -> Chunk | None:
        """The buffer's chunk, None where it is refused; the buffer is back with the driver either way. unseen_ns: how
        long nobody looked, if it lay there already."""
        try:
            chunk = self._judge(buffer, unseen_ns, now_ns, decode)
        except (BrokenFrame, Withheld) as verdict:
            self.counters[verdict.counter] += 1
            withheld = isinstance(verdict, Withheld)
            self._gap |= not withheld or verdict.gap  # type: ignore[union-attr]
            if withheld:
                self._good_ns, self._refusing = now_ns, None
            elif self._refusing is None:
                self._refusing = (now_ns, str(verdict))
            chunk = None
        finally:
            buffer.view.release()
        try:
            node.requeue(buffer.index)
        except OSError as error:
            raise self._lost(error) from error
        if chunk is not None:
            self._good_ns, self._refusing, self._gap = now_ns, None, False
        return chunk

    def _judge(
        self,
        buffer: Buffer,
        unseen_ns: int,
        now_ns: int,
        decode: Callable[[memoryview, Layout], Frame],
    ) -> Chunk:
        n_lost = self._count(buffer.sequence)
        if buffer.flags & v4l2.BUF_FLAG_ERROR:
            raise BrokenFrame("damaged_frames", "frames that the driver itself marks as damaged")
        assert self.layout is not None
        if self.domain == "kernel":
            t_ns = buffer.stamp_ns + self._offset_ns
            if not 0 < buffer.stamp_ns <= now_ns + _AHEAD_NS or t_ns <= self._last_ns:
                raise BrokenFrame("bad_stamps", "frames whose time stamps stand still or are of another clock")
        else:
            # Without the driver's stamps only a frame that we saw come has a known time.
            if unseen_ns > 1e9 / (self.rate_hz or 10.0):
                raise BrokenFrame("stale_frames", "frames of unknown age")
            t_ns = max(now_ns + self._offset_ns, self._last_ns + 1)
        frame = decode(buffer.view, self.layout)
        self._learn_error(t_ns, n_lost)
        self._last_ns = t_ns
        return Chunk(
            frame.data[None],
            np.array([t_ns], np.int64),
            self._gap,
            ClockInfo(self.domain, round(self._err_ns or _UNKNOWN_ERR_NS)),
            np.array([buffer.stamp_ns], np.int64) if self.domain == "kernel" else None,
            frame.raw,
        )

    def _count(self, sequence: int) -> int:
        """How many frames the driver numbered that never came; marks the gap."""
        last, self._sequence = self._sequence, sequence
        step = 1 if last is None else (sequence - last) & 0xFFFFFFFF
        if step > 0x7FFFFFFF:
            # It began to count anew.
            self._gap = True
            return 0
        if step > 1:
            self.counters["dropped_frames"] += step - 1
            self._gap = True
        return max(0, step - 1)

    def _learn_error(self, t_ns: int, n_lost: int) -> None:
        """How far a stamp may be off: the unsteadiness of the frame intervals. What is constant cannot be seen."""
        if self._previous is not None:
            last_ns, last_interval = self._previous
            interval = (t_ns - last_ns) / (n_lost + 1)
            if last_interval:
                # Independent errors of deviation s make |second difference| 1.95 s in the mean (sqrt(6) sqrt(2/pi)).
                error = abs(interval - last_interval) / 1.95
                self._err_ns += (error - self._err_ns) * (0.05 if self._err_ns else 1.0)
            self._previous = (t_ns, interval)
        else:
            self._previous = (t_ns, 0.0)

    def _judge_silence(self, now_ns: int, refused: bool) -> None:
        limit_s = self._config.stall_timeout_s
        if not refused and now_ns - self._good_ns > limit_s * 1e9:
            raise DeviceError(f"{self.name}: stalled: no frame for {limit_s:g} s; it will be opened again")
        if refused and self._refusing is not None and now_ns - self._refusing[0] > limit_s * 1e9:
            raise DeviceError(
                f"{self.name}: delivers nothing but {self._refusing[1]} for {limit_s:g} s; it will be opened again; "
                f"check the cable, or use a smaller size or another pixel_format"
            )

    def _set_up(self, node: V4l2Node, setup: Setup) -> None:
        name, (width, height) = self._choose(node, setup)
        got = node.set_format(name, width, height)
        if (got.fourcc, got.width, got.height) != (name, width, height):
            raise DeviceError(
                f"{self.name}: wanted {name.strip()} {width}x{height}, the driver gives {got.fourcc.strip()} "
                f"{got.width}x{got.height}; it offers {_offer(node, setup.formats)}",
                permanent=True,
            )
        if got.field not in _FIELDS:
            raise DeviceError(
                f"{self.name}: delivers single fields of interlaced video (field order {got.field}); "
                f"wanted whole frames; choose another size or input",
                permanent=True,
            )
        self.layout = got
        self.rate_hz = node.set_rate(setup.rate_hz)
        if self.rate_hz is None:
            self._tell_once(f"its rate cannot be set; the stream's windows count on rate_hz {setup.rate_hz:g}")
        elif abs(self.rate_hz / setup.rate_hz - 1) > _RATE_TOLERANCE:
            self._tell_once(
                f"wanted {setup.rate_hz:g} frames/s, the camera gives {self.rate_hz:g}; "
                f"set rate_hz: {self.rate_hz:g}, since the stream's windows count on it"
                f"{_rates(node, name, width, height)}"
            )
        knobs = Knobs(node, self.name, self._tell_once)
        if setup.exposure_ms is not None:
            knobs.expose(setup.exposure_ms)
        if setup.gain is not None:
            knobs.amplify(setup.gain)
        if self._config.controls:
            knobs.turn(self._config.controls)

    def _choose(self, node: V4l2Node, setup: Setup) -> tuple[str, tuple[int, int]]:
        """The first wanted size and format that is fast enough; else the fastest of that size."""
        offered = node.formats()
        for width, height in setup.sizes:
            fits = [name for name in setup.formats if name in offered and node.sizes(name).hold(width, height)]
            fastest = {name: max(node.rates(name, width, height), default=setup.rate_hz) for name in fits}
            for name in fits:
                if fastest[name] >= setup.rate_hz * (1 - _RATE_TOLERANCE):
                    return name, (width, height)
            if fits:
                return max(fits, key=lambda one: fastest[one]), (width, height)
        sizes = " or ".join(f"{width}x{height}" for width, height in setup.sizes)
        wanted = ", ".join(name.strip() for name in setup.formats)
        raise DeviceError(
            f"{self.name}: does not offer {sizes} as {wanted}; it offers {_offer(node, setup.formats)}", permanent=True
        )

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s: %s: %s", self._id, self.name, message)

    def _lost(self, error: OSError) -> DeviceError:
        gone = error.errno in {errno.ENODEV, errno.ENXIO, errno.EBADF}
        what = "was unplugged" if gone else f"failed: {error.strerror}"
        return DeviceError(f"{self.name}: {what}; it will be opened again")

    def _fault(self, error: OSError, node: str) -> DeviceError:
        """What an errno of opening means to a person."""
        if error.errno in {errno.EACCES, errno.EPERM}:
            return DeviceError(f"{self.name}: {no_permission(node)}")
        if error.errno == errno.EBUSY:
            who = ", ".join(holders(node)) or "another program"
            return DeviceError(f"{self.name}: {node} is in use by {who}; end that program, or use another camera")
        if error.errno == errno.ENOSPC:
            return DeviceError(
                f"{self.name}: the USB bus has no bandwidth left for it; use pixel_format: MJPG, a smaller size or "
                f"rate_hz, or plug it into another USB controller"
            )
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            return DeviceError(f"{self.name}: {node} is gone: unplugged while it was opened")
        return DeviceError(f"{self.name}: {node} cannot be opened: {error.strerror or error}; unplug it and plug it in")


def _offset_ns(clock: Clock, tries: int = 5) -> int:
    """UNIX minus monotonic time of our clock, from the tightest of a few readings; kept for the device's life, so that
    reopening does not shift time."""
    best: tuple[int, int] | None = None
    for _ in range(tries):
        before = clock.monotonic_ns()
        unix = clock.unix_ns()
        width = clock.monotonic_ns() - before
        if best is None or width < best[0]:
            best = (width, unix - before - width // 2)
    assert best is not None
    return best[1]


def _offer(node: V4l2Node, formats: Sequence[str]) -> str:
    """The sizes of those formats it has, else the formats' names alone."""
    offered = node.formats()
    ours = [f"{name.strip()} {node.sizes(name)}" for name in formats if name in offered]
    return "; ".join(ours) or f"only {', '.join(name.strip() for name in offered) or 'nothing'}"


def _rates(node: V4l2Node, name: str, width: int, height: int) -> str:
    rates = ", ".join(f"{rate:g}" for rate in node.rates(name, width, height))
    return f" (it offers {rates} at {name.strip()} {width}x{height})" if rates else ""

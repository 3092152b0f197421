"""The one contract of every device, real, simulated, replayed or faulty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from stream_bind.log.codec import Recorded
from stream_bind.messages import Chunk, StreamSpec

__all__ = ["TALLIES", "Counting", "Device", "Discoverable", "Found", "Replaying"]


@runtime_checkable
class Device(Protocol):
    """One sensor stream. Synchronous, without a thread of its own; all calls come from one thread.

    Built as `Driver(config, stream_id, clock)`: `config` is the driver's pydantic class, `clock` a
    stream_bind.clock.Clock. Building touches no hardware. After `close` it may be opened again.
    """

    @property
    def spec(self) -> StreamSpec:
        """What this device delivers; rate, axes and unit are known before `open`, -1 axes of `shape` after it."""

    def open(self) -> None:
        """Claim the hardware or file. Raises DeviceError naming the device, what was wanted and the next step."""

    def read(self, timeout_s: float) -> Chunk | None:
        """The next samples in order, or None if none came within timeout_s.

        Raises EndOfStream at the end of a recording, DeviceError when the device broke or was unplugged.
        """

    def close(self) -> None:
        """Let go of everything. Never raises, may be called twice."""


@runtime_checkable
class Replaying(Protocol):
    """A device that gives back a recording of ours: besides samples what happened between them, and when it came."""

    @property
    def was_live(self) -> bool:
        """The recorded source was live, so its stamps were held against host time."""

    def read_recorded(self, timeout_s: float) -> Recorded | None:
        """The next thing in the log, or None if it is not due within timeout_s. Raises as `Device.read` does."""

    def pause(self, paused: bool) -> None:
        """Hold the recording's clock, or let it run on. From any thread."""

    def step(self, seconds: float) -> None:
        """While paused: let this much of the recording through. From any thread."""


TALLIES = frozenset({"bytes", "packets", "samples", "frames", "lines", "blocks", "other_packets", "other_lines"})
"""Counters of what went as it should, for comparison; no trouble."""


@runtime_checkable
class Counting(Protocol):
    """A device that counts what went wrong on the way; `doctor` and the status view show it."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Totals since the device was built, kept across reopening, named for what they count: dropped_frames,
        bad_bytes, bad_packets, overflows, reopened ...; readable from any thread."""


@dataclass(frozen=True, slots=True)
class Found:
    """One attached sensor, as `stream-bind devices` lists it."""

    name: str
    """Maker and model as the device tells them."""
    identity: str
    """What stays the same after replugging and rebooting: a /dev/v4l/by-id path, a serial number, a card's name."""
    modality: str
    config: dict[str, Any]
    """The `device:` mapping that opens it, ready to paste."""
    formats: tuple[str, ...] = ()
    """What it can deliver, such as "MJPG 1920x1080 30 fps"."""
    note: str = ""
    """What stands in the way (no permission, held by another program) with the command that mends it."""
    warnings: tuple[str, ...] = field(default=())
    """What its user should know, such as two of a kind that only their sockets tell apart."""


@runtime_checkable
class Discoverable(Protocol):
    """A driver class that can look for its sensors. Asked of the class, not of a device."""

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """What is attached, in a stable order. Never raises; ends within a few seconds; disturbs nothing in use.

        probe: may open idle devices to ask them (baud rates are tried one by one); False: only what the system knows.
        """

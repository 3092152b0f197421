"""The one contract of every device, real, simulated, replayed or faulty."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from stream_bind.messages import Chunk, StreamSpec

__all__ = ["Device"]


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

"""What a network camera's source hands to its driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from devices.stream_clock import Seen

__all__ = ["Picture", "PictureSource"]


class Picture(NamedTuple):
    """One picture, not converted before it is known to be wanted."""

    seen: Seen
    gap: bool
    """Pictures before it are missing."""
    pixels: Callable[[], NDArray[Any]]
    """(H, W, 3) uint8 RGB, or (H, W) uint16 counts. Raises BrokenFrame where it cannot be decoded."""
    jpeg: bytes | None = None
    """What the camera sent, where that is one picture by itself."""


class PictureSource(Protocol):
    """An open connection to a camera."""

    tick_hz: float
    """Ticks a second of its own clock, 0 if it has none."""
    size: tuple[int, int] | None
    """Height and width to bring pictures to, once they are chosen."""

    def take(self, timeout_s: float) -> Picture | None:
        """The next picture, None if none came within timeout_s. Raises DeviceError when the connection is over."""

    def started(self) -> None:
        """Somebody reads from now on."""

    def close(self) -> None:
        """Let go. Never raises."""

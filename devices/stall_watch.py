"""When to give up on an open port: bytes that never make a sample, or silence. A frozen adapter looks sound."""

from __future__ import annotations

from collections.abc import Mapping

from stream_bind.clock import Clock
from stream_bind.errors import DeviceError

__all__ = ["StallWatch"]

START_S = 5.0
"""An Arduino restarts when its port is opened, and needs 2 s before its first line; closing it again for its silence
would restart it for ever."""


class StallWatch:
    """Asked after every read that brought no sample; `stalls` counts how often it gave up for silence."""

    def __init__(self, owner: str, clock: Clock, stall_s: float, hopeless_bytes: int, *, wanted: str) -> None:
        """hopeless_bytes: so many without one sample after opening are enough. wanted: what decoding looks for."""
        self.stalls = 0
        self._owner = owner
        self._clock = clock
        self._stall_s = stall_s
        self._hopeless_bytes = hopeless_bytes
        self._wanted = wanted
        self._before: dict[str, int] = {}
        self._since_ns = 0
        self._sampled = False

    def opened(self, counters: Mapping[str, int]) -> None:
        """Begin anew with what the decoder has counted so far."""
        self._before = dict(counters)
        self._since_ns = self._clock.monotonic_ns()
        self._sampled = False

    def sampled(self) -> None:
        """A sample came."""
        self._since_ns = self._clock.monotonic_ns()
        self._sampled = True

    def judge(self, counters: Mapping[str, int], settings: str) -> None:
        """Raises DeviceError where it is time to open the port anew. settings: those to check if nothing is
        understood, such as "115200 baud and protocol"."""
        patience_s = self._stall_s if self._sampled else max(self._stall_s, START_S)
        silent = (self._clock.monotonic_ns() - self._since_ns) * 1e-9 > patience_s
        n_bytes = counters["bytes"] - self._before["bytes"]
        self.stalls += silent
        if not self._sampled and (n_bytes > self._hopeless_bytes or (silent and n_bytes)):
            raise DeviceError(f"{self._owner}: {self._nothing_in(n_bytes, counters, settings)}")
        if silent:
            raise DeviceError(
                f"{self._owner}: stalled: no sample for {patience_s:g} s; it will be opened again; "
                f"if that does not help, unplug it and plug it in"
            )

    def _nothing_in(self, n_bytes: int, counters: Mapping[str, int], settings: str) -> str:
        n_packets = counters["packets"] - self._before["packets"]
        if n_packets:
            return (
                f"{n_packets} good packets in {n_bytes} bytes, but none of what is wanted: {self._wanted}; "
                f"set the sensor to send them, or the settings to what it sends"
            )
        return f"nothing that can be read in {n_bytes} bytes; wanted {self._wanted}; check {settings}"

"""What a decoder of a motion sensor's bytes promises: bytes in, samples out, no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import IntArray

__all__ = ["ImuDecoder", "ImuSamples"]


@dataclass(frozen=True, slots=True)
class ImuSamples:
    """The samples that one `feed` completed, oldest first."""

    values: NDArray[np.float64]
    """(n, len(axes)): m/s^2 and rad/s, columns as in `ImuDecoder.axes`."""
    bad_before: NDArray[np.int64]
    """(n,): packets or lines right before each sample that were broken; 0 says nothing about what never came."""
    ticks: IntArray | None = None
    """(n,): the device's own time, raw and wrapping; None where it sends none."""
    counts: IntArray | None = None
    """(n,): the device's own sample counter, raw and wrapping; None where it sends none."""

    def __len__(self) -> int:
        return len(self.values)


@runtime_checkable
class ImuDecoder(Protocol):
    """A protocol of one sensor as it is set up. Never raises on bytes, whatever they are; finds back to the packets
    by marker and checksum after junk, cuts and bit errors; holds back at most one unfinished packet."""

    axes: tuple[str, ...]
    """Columns of the samples, a subset of messages.IMU_AXES in that order. Known before the first byte."""
    tick_hz: float | None
    """Ticks of the device's time per second; None where it sends none."""
    tick_modulus: int | None
    """Where the ticks wrap; None: never."""
    count_modulus: int | None
    """Where the sample counter wraps; None: it sends none."""
    expects: str
    """What a person would look for in the bytes, such as "packets 55 51 .. and 55 52 .. of 11 bytes"."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Totals: bytes, packets (good ones), bad_packets, bad_bytes (in no good packet), other_packets."""

    def feed(self, data: bytes) -> ImuSamples:
        """The samples that `data` completes; none is an ImuSamples of length 0."""

    def reset(self) -> None:
        """Forget a half packet, since the connection was opened anew; counters go on."""

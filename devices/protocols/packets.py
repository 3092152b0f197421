"""Finds packets in a stream of bytes and makes samples of them; what the packets look like is the protocols' own."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from devices.protocols.base import ImuSamples

__all__ = ["MORE", "NO_PACKET", "Measure", "Packet", "PacketDecoder", "PacketScanner", "Row", "Spacing", "imu_samples"]

MORE = 0
"""A packet may begin here, but its end has not come yet."""
NO_PACKET = -1
"""What begins here is no packet of this protocol."""

Measure = Callable[[bytes, int, bool], int]
"""(buffer, at, joined) -> bytes of the good packet that begins at `at`; MORE; NO_PACKET; or -n where the header of a
packet of n bytes stands there whose checksum is wrong. joined: a good packet ends right before `at`."""

_ABSURD = 1e6
"""No sensor of motion measures 100,000 g or 150,000 turns a second; random floats do every second time."""
_SPARE = 1.25
"""Samples that damaged bytes stand for: one for every began cycle beyond this many."""


class Packet(NamedTuple):
    """A good packet and what lay right before it."""

    data: bytes
    at: int
    """Position of its first byte in all that was ever fed."""
    bad_bytes: int
    """Bytes between it and the good packet before."""
    bad_packets: int
    """Headers among those bytes whose packets had a wrong checksum."""


class PacketScanner:
    """Cuts a stream into packets: marker, length, checksum, and where one of them is wrong, on by ONE byte.

    So a good packet is found wherever it begins, inside a broken one's span too; only a false packet whose checksum is
    right by chance can hide what it overlaps. Work per byte is bounded by the longest packet `measure` believes in, and
    what is held back by the same. Cutting the stream in other places changes nothing.
    """

    def __init__(self, marker: bytes, measure: Measure) -> None:
        r"""marker: regular expression of a packet's first bytes, matching a part of them at the very end too, as in
        rb"\xfa(?:\xff|\Z)"."""
        self.n_bytes = self.n_packets = self.bad_bytes = self.bad_packets = 0
        self._search = re.compile(marker, re.DOTALL).search
        self._measure = measure
        self._held = b""
        self._held_at = 0
        self._forget()

    def _forget(self) -> None:
        self._joined = False
        self._bad_run = 0
        self._bad_packets_run = 0
        self._failed_to = 0

    def reset(self) -> None:
        """Forget a half packet; its bytes count as bad."""
        self.bad_bytes += len(self._held)
        self._held_at += len(self._held)
        self._held = b""
        self._forget()

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that `data` completes."""
        self.n_bytes += len(data)
        buffer = self._held + data
        base, at, end = self._held_at, 0, len(buffer)
        packets = []
        while True:
            found = self._search(buffer, at)
            start = end if found is None else found.start()
            if start > at:
                self._skip(start - at)
                at = start
            if at == end:
                break
            size = self._measure(buffer, at, self._joined)
            if size == MORE:
                break
            if size > 0:
                packets.append(Packet(buffer[at : at + size], base + at, self._bad_run, self._bad_packets_run))
                self._joined = True
                self._bad_run = self._bad_packets_run = 0
                at += size
                continue
            # A marker inside a broken packet's span is part of it, not another broken packet.
            if size < NO_PACKET and base + at >= self._failed_to:
                self.bad_packets += 1
                self._bad_packets_run += 1
                self._failed_to = base + at - size
            self._skip(1)
            at += 1
        self.n_packets += len(packets)
        self._held = buffer[at:]
        self._held_at = base + at
        return packets

    def _skip(self, n: int) -> None:
        self.bad_bytes += n
        self._bad_run += n
        self._joined = False


class Spacing:
    """How many samples damaged bytes cost, by the bytes that lie between two samples while all is well."""

    def __init__(self) -> None:
        self._cycle = 0
        self.reset()

    def reset(self) -> None:
        """The stream was cut: nothing is known of what lies between."""
        self._last: int | None = None
        self._damaged = False
        self._suspects = 0
        self._certain = 0

    def damage(self, bad_packets: int) -> None:
        """Bytes were damaged; so many broken packets could be told apart in them."""
        self._damaged = True
        self._suspects += bad_packets

    def lose(self) -> None:
        """A sample is lost for certain."""
        self._damaged = True
        self._certain += 1

    def sample(self, at: int) -> int:
        """A sample ends at this position of the stream; how many are missing right before it."""
        lost = 0
        if not self._damaged:
            if self._last is not None:
                self._cycle = at - self._last
        elif self._last is not None and self._cycle:
            lost = max(self._certain, math.ceil((at - self._last) / self._cycle - _SPARE))
        else:
            lost = max(self._certain, self._suspects)
        self.reset()
        self._last = at
        return lost


class Row(NamedTuple):
    """One sample as a packet gives it."""

    values: tuple[float, ...]
    """m/s^2 and rad/s."""
    tick: int = 0
    counter: int = 0


class PacketDecoder(ABC):
    """What the decoders of packets have in common; a protocol says how long a packet is and what stands in it."""

    axes: tuple[str, ...]
    tick_hz: float | None = None
    tick_modulus: int | None = None
    count_modulus: int | None = None
    expects: str
    false_accept: float
    """Chance that a sample is made of random bytes, for each of them."""

    def __init__(self, marker: bytes) -> None:
        """marker: as in PacketScanner."""
        self._scanner = PacketScanner(marker, self._measure)
        self._spacing = Spacing()
        self._n_absurd = self._absurd_bytes = 0
        self._n_other = 0
        self._n_incomplete = 0

    @abstractmethod
    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        """As `Measure`."""

    @abstractmethod
    def _row(self, packet: Packet) -> Row | None:
        """The sample that this packet completes. A packet that is none of motion calls `_other`."""

    def _other(self) -> None:
        self._n_other += 1

    def _incomplete(self) -> None:
        """Motion came without the time or the counter that it should carry, or one half without the other."""
        self._n_incomplete += 1
        self._spacing.lose()

    @property
    def counters(self) -> Mapping[str, int]:
        """As ImuDecoder, and incomplete_packets: motion without what should have come with it; dropped."""
        scanner = self._scanner
        return {
            "bytes": scanner.n_bytes,
            "packets": scanner.n_packets - self._n_absurd,
            "bad_packets": scanner.bad_packets + self._n_absurd,
            "bad_bytes": scanner.bad_bytes + self._absurd_bytes,
            "other_packets": self._n_other,
            "incomplete_packets": self._n_incomplete,
        }

    def feed(self, data: bytes) -> ImuSamples:
        """The samples that `data` completes."""
        rows: list[Row] = []
        bad: list[int] = []
        for packet in self._scanner.feed(data):
            if packet.bad_bytes:
                self._spacing.damage(packet.bad_packets)
            row = self._row(packet)
            if row is None:
                continue
            # Written so that NaN fails too.
            if not all(-_ABSURD < value < _ABSURD for value in row.values):
                self._n_absurd += 1
                self._absurd_bytes += len(packet.data)
                self._spacing.damage(1)
                continue
            rows.append(row)
            bad.append(self._spacing.sample(packet.at))
        ticks = None if self.tick_hz is None else [row.tick for row in rows]
        counts = None if self.count_modulus is None else [row.counter for row in rows]
        return imu_samples(len(self.axes), [row.values for row in rows], bad, ticks, counts)

    def reset(self) -> None:
        """Forget a half packet."""
        self._scanner.reset()
        self._spacing.reset()


def imu_samples(
    n_axes: int,
    values: list[tuple[float, ...]],
    bad_before: list[int],
    ticks: list[int] | None,
    counts: list[int] | None,
) -> ImuSamples:
    """Lists to arrays, also where there is not one sample."""
    return ImuSamples(
        np.array(values, dtype=np.float64).reshape(-1, n_axes),
        np.array(bad_before, dtype=np.int64),
        None if ticks is None else np.array(ticks, dtype=np.int64),
        None if counts is None else np.array(counts, dtype=np.int64),
    )

"""The exact sample grid of a simulated sensor: sample k of every sensor of one rate lies at the same UNIX time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from stream_bind.messages import IntArray

__all__ = ["SampleGrid"]

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """Sample k lies at k / rate after the UNIX epoch, rounded down to a nanosecond; `rate` = p / q samples per second.

    Integer arithmetic throughout: a float period would drift by a sample a day at 48 kHz.
    """

    p: int
    q: int

    @classmethod
    def at(cls, rate_hz: float, drift_ppm: float = 0.0) -> SampleGrid:
        """The grid of a sensor whose crystal runs `drift_ppm` fast, to within 4 ppm."""
        exact = Fraction(rate_hz) * (1 + Fraction(drift_ppm) / 1_000_000)
        # p * q * 1e9 must stay below 2**63.
        rate = exact.limit_denominator(max(1, int((9e9 / rate_hz) ** 0.5)))
        return cls(rate.numerator, rate.denominator)

    def t_ns(self, first: int, n: int) -> IntArray:
        """(n,) int64 UNIX ns of samples first, first + 1, ..."""
        k = np.arange(first, first + n, dtype=np.int64)
        return (k // self.p) * (self.q * _NS) + (k % self.p) * (self.q * _NS) // self.p

    def time_of(self, k: int) -> int:
        """UNIX ns of sample k."""
        return k * self.q * _NS // self.p

    def due(self, unix_ns: int) -> int:
        """How many samples lie at or before `unix_ns`; the next one to come has this index."""
        k = unix_ns * self.p // (self.q * _NS)
        while self.time_of(k) <= unix_ns:
            k += 1
        return k

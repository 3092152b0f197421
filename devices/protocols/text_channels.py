"""Text lines as samples of named channels: columns picked and scaled, the device's time and counter told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from devices.protocols.base import ImuSamples
from devices.protocols.text_lines import SKIP, TextLines, TextRows
from devices.units import TIME_NS
from stream_bind.messages import IntArray

__all__ = ["TELLS", "TextChannels"]

TELLS = ("time", "counter", SKIP)
"""Columns that are no channels."""


class TextChannels:
    """An ImuDecoder (devices/protocols/base) of csv or json lines, for channels of any kind."""

    def __init__(
        self,
        columns: Sequence[str] | Mapping[str, str],
        *,
        axes: Sequence[str] | None = None,
        factors: Sequence[float] | None = None,
        delimiter: str = ",",
        prefix: str = "",
        time_unit: Literal["s", "ms", "us", "ns"] | None = None,
        time_bits: int | None = 32,
        counter_bits: int | None = None,
    ) -> None:
        """columns: what each column of csv holds, in order: a channel's name, `time`, `counter`, or `-`; or for json
        the key of each of these. axes: the channels' order, by default that of the columns; factors: one for each.
        time_bits, counter_bits: width after which the device's own numbers wrap."""
        names = [name for name in columns if name != SKIP]
        self.axes = tuple(name for name in names if name not in TELLS) if axes is None else tuple(axes)
        if isinstance(columns, Mapping):
            self._lines = TextLines([columns[name] for name in names], line_format="json", prefix=prefix)
            self.expects = f"JSON lines with the keys {', '.join(columns[name] for name in names)}"
        else:
            self._lines = TextLines(list(columns), delimiter=delimiter, prefix=prefix)
            self.expects = f"lines of {len(columns)} numbers: {prefix}{delimiter.join(columns)}"
        self._pick = [names.index(axis) for axis in self.axes]
        self._factor = np.ones(len(self.axes)) if factors is None else np.array(factors, np.float64)
        self._time_at = names.index("time") if "time" in names else None
        self._counter_at = names.index("counter") if "counter" in names else None
        unit = time_unit or "us"
        # Seconds come with decimals and do not wrap; they are counted in microseconds.
        self._tick_scale = 1e6 if unit == "s" else 1.0
        self.tick_hz = None if self._time_at is None else 1e6 if unit == "s" else 1e9 / TIME_NS[unit]
        self.tick_modulus = None if self._time_at is None or unit == "s" or time_bits is None else 1 << time_bits
        self.count_modulus = None if self._counter_at is None or counter_bits is None else 1 << counter_bits
        self._n_good = 0

    @property
    def counters(self) -> Mapping[str, int]:
        """Lines are the packets."""
        lines = self._lines
        return {
            "bytes": lines.n_bytes,
            "packets": self._n_good,
            "bad_packets": lines.bad_lines,
            "bad_bytes": lines.bad_bytes,
            "other_packets": lines.other_lines,
        }

    def feed(self, data: bytes) -> ImuSamples:
        rows = self._lines.feed(data)
        self._n_good += len(rows)
        return ImuSamples(
            rows.values[:, self._pick] * self._factor,
            rows.bad_before,
            self._whole(rows, self._time_at, self._tick_scale),
            self._whole(rows, self._counter_at),
        )

    def reset(self) -> None:
        self._lines.reset()

    @staticmethod
    def _whole(rows: TextRows, at: int | None, scale: float = 1.0) -> IntArray | None:
        if at is None:
            return None
        # Beyond this int64 ends, and no counter is that wide.
        whole: IntArray = np.rint(rows.values[:, at] * scale).clip(-(2.0**62), 2.0**62).astype(np.int64)
        return whole

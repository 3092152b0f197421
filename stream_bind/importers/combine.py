"""Accelerometer and gyroscope that were recorded apart, as the one six-column stream that models read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.base import Batch, Piece
from stream_bind.messages import IMU_AXES, IntArray, StreamSpec

__all__ = ["COMBINED", "Combined", "Rows", "mean_rate_hz"]

COMBINED = "imu"
LONGEST_BRIDGE = 5
"""Periods of the slower sensor over which a straight line is drawn; a longer hole stays a hole."""

Rows = tuple[IntArray, NDArray[np.float32], bool]
"""t_ns (n,), values (n, 3), whether samples are missing before them."""


def mean_rate_hz(t_ns: IntArray) -> float:
    """Samples a second, holes left out: intervals above five times the median do not count. 0.0 below two samples."""
    steps = np.diff(np.sort(np.asarray(t_ns, np.int64)))
    if not len(steps) or not steps.any():
        return 0.0
    usual = steps[steps <= int(LONGEST_BRIDGE * max(float(np.median(steps)), 1.0))]
    # Where most stamps repeat (samples in bursts) the median step is 0.
    usual = usual if usual.any() else steps
    return float(len(usual) * 1e9 / usual.sum())


@dataclass(slots=True)
class Combined:
    """Six columns at the stamps of the faster sensor, the slower one interpolated linearly; only where both measured.

    accel and gyro give their rows anew at every call, stamps not falling by more than repeats.
    """

    accel: Callable[[], Iterator[Rows]]
    gyro: Callable[[], Iterator[Rows]]
    accel_hz: float
    gyro_hz: float
    made: StreamSpec
    n_left_out: int = 0
    """Samples of the faster sensor outside of what the slower one measured."""
    _slow_t: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    _slow: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    @classmethod
    def of(
        cls,
        accel: Callable[[], Iterator[Rows]],
        gyro: Callable[[], Iterator[Rows]],
        specs: tuple[StreamSpec, StreamSpec],
        name: str = COMBINED,
    ) -> Combined:
        """From the streams of the two sensors, whose specs these are: accelerometer, gyroscope."""
        accel_hz, gyro_hz = specs[0].rate_hz, specs[1].rate_hz
        like = specs[0] if accel_hz > gyro_hz else specs[1]
        return cls(accel, gyro, accel_hz, gyro_hz, replace(like, id=name, shape=(6,), axes=IMU_AXES))

    @property
    def doubt(self) -> str:
        """What a person should know of it."""
        names = ("gyroscope", "accelerometer") if self.accel_hz > self.gyro_hz else ("accelerometer", "gyroscope")
        rates = f"accelerometer {self.accel_hz:.2f} Hz, gyroscope {self.gyro_hz:.2f} Hz"
        return (
            f"{self.made.id}: made of two sensors ({rates}); the {names[0]} is interpolated to the {names[1]}'s times"
        )

    def pieces(self) -> Iterator[Piece]:
        """The combined stream."""
        fast_is_accel = self.accel_hz > self.gyro_hz
        fast, slow = (self.accel, self.gyro) if fast_is_accel else (self.gyro, self.accel)
        bridge_ns = LONGEST_BRIDGE * 1e9 / min(self.accel_hz, self.gyro_hz)
        source = slow()
        self._slow_t, self._slow, self.n_left_out = np.zeros(0, np.int64), np.zeros((0, 3), np.float32), 0
        batch, gap = Batch(self.made), False
        for t_ns, rows, lost in fast():
            self._reach(source, int(t_ns.max()))
            kept, values = self._at(t_ns, bridge_ns)
            gap |= lost
            for i, t in enumerate(t_ns.tolist()):
                if not kept[i]:
                    self.n_left_out += 1
                    gap = True
                    continue
                pair = (rows[i], values[i]) if fast_is_accel else (values[i], rows[i])
                yield from batch.add(t, np.concatenate(pair), gap=gap)
                gap = False
            self._forget(int(t_ns.min()))
        yield from batch.flush()

    def _reach(self, source: Iterator[Rows], t_ns: int) -> None:
        """Read the slower sensor until it is past `t_ns`."""
        parts_t, parts = [self._slow_t], [self._slow]
        while not (len(parts_t[-1]) and int(parts_t[-1][-1]) > t_ns):
            block = next(source, None)
            if block is None:
                break
            parts_t.append(block[0])
            parts.append(block[1])
        if len(parts) == 1:
            return
        times, rows = np.concatenate(parts_t), np.concatenate(parts)
        order = np.argsort(times, kind="stable")
        self._slow_t, self._slow = times[order], rows[order]

    def _at(self, t_ns: IntArray, bridge_ns: float) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of these times lie between two samples of the slower sensor that are close enough, and its values."""
        times = self._slow_t
        values = np.zeros((len(t_ns), 3), np.float32)
        if not len(times):
            return np.zeros(len(t_ns), bool), values
        after = np.clip(np.searchsorted(times, t_ns, side="left"), 0, len(times) - 1)
        before = np.clip(np.searchsorted(times, t_ns, side="right") - 1, 0, len(times) - 1)
        inside = (t_ns >= times[0]) & (t_ns <= times[-1]) & (times[after] - times[before] <= bridge_ns)
        zero = times[0]
        for column in range(3):
            values[:, column] = np.interp(t_ns - zero, times - zero, self._slow[:, column])
        return inside, values

    def _forget(self, t_ns: int) -> None:
        """Keep one sample before `t_ns`."""
        first = max(0, int(np.searchsorted(self._slow_t, t_ns, side="left")) - 2)
        self._slow_t, self._slow = self._slow_t[first:], self._slow[first:]

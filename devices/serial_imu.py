"""An IMU that writes text lines to a serial port, or to a socket that stands for one."""

from __future__ import annotations

import logging
from collections import deque
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.arrival_clock import ArrivalClock
from devices.protocols.text_lines import SKIP, TextLines, TextRows
from devices.units import ACCEL_MPS2, GYRO_RADPS, TIME_NS
from stream_bind.clock import Clock
from stream_bind.clocksync import ClockFit
from stream_bind.errors import DeviceError
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, IntArray, StreamSpec
from stream_bind.registry import register_device

__all__ = ["SerialImu", "SerialImuConfig"]

logger = logging.getLogger(__name__)

_TELLS = ("counter", "time", SKIP)
_HOPELESS_BYTES = 4096
_MOST_BYTES = 65536


class SerialImuConfig(BaseModel):
    """A serial IMU with one line of text per sample."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["serial_imu"] = "serial_imu"
    """The device type, always "serial_imu"."""
    port: str
    """Device file (best under /dev/serial/by-id), or a pyserial URL such as socket://host:port."""
    baud: int = Field(default=115200, gt=0)
    """Line speed; a socket has none and ignores it."""
    rate_hz: float = Field(gt=0, le=100_000)
    """Samples per second the sensor is set to."""
    format: Literal["csv", "json"] = "csv"
    """Numbers between delimiters, or one JSON object per line."""
    columns: list[str] | dict[str, str] = Field(default_factory=lambda: list(IMU_AXES))
    """csv: what each column holds, in order: an axis, `time`, `counter`, or `-`; json: for each of these its key."""
    delimiter: str = ","
    """csv: what stands between columns; a blank stands for any white space."""
    prefix: str = ""
    """What every line of the sensor begins with, such as "IMU,"; other lines are passed over."""
    accel_unit: Literal["m/s2", "g", "mg"] = "m/s2"
    """Unit of the acceleration columns."""
    gyro_unit: Literal["rad/s", "deg/s", "mdeg/s"] = "rad/s"
    """Unit of the angular rate columns."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of the `time` column, needed where there is one."""
    time_bits: int | None = Field(default=32, ge=8, le=53)
    """Width of the device's time counter, after which it wraps (Arduino millis and micros: 32); null for never."""
    counter_bits: int | None = Field(default=None, ge=4, le=53)
    """Width of the sample counter, after which it wraps; by default it does not."""
    batch_s: float = Field(default=0.01, ge=0, le=1)
    """How long to gather bytes once some have come: fewer, larger reads."""

    @model_validator(mode="after")
    def _columns_make_sense(self) -> SerialImuConfig:
        if isinstance(self.columns, dict) != (self.format == "json") and "columns" in self.model_fields_set:
            raise ValueError("columns is a list for format csv, and a mapping of axis to key for format json")
        names = list(self.columns)
        unknown = [name for name in names if name not in IMU_AXES and name not in _TELLS]
        if unknown:
            raise ValueError(f"columns: {', '.join(unknown)} unknown; known: {', '.join((*IMU_AXES, *_TELLS))}")
        kept = [name for name in names if name != SKIP]
        if len(set(kept)) != len(kept) or not set(kept) & set(IMU_AXES):
            raise ValueError("columns must name at least one axis, and nothing twice")
        if "time" in kept and self.time_unit is None:
            raise ValueError("time_unit is needed for the time column: one of s, ms, us, ns")
        if not self.delimiter:
            raise ValueError("delimiter must not be empty; a blank stands for any white space")
        return self


@register_device("serial_imu", config=SerialImuConfig, modalities=("imu",))
class SerialImu:
    """float32 (len(axes),) in m/s^2 and rad/s. Stamps: the device's time where it sends one, else its counter or our
    count, fitted to arrivals. `lines.bad_lines` and `lines.n_bytes` count."""

    def __init__(self, config: SerialImuConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._port: Any = None
        self._failures: tuple[type[Exception], ...] = (OSError,)
        self._ready: deque[Chunk] = deque()
        names = [name for name in config.columns if name != SKIP]
        self._axes = tuple(axis for axis in IMU_AXES if axis in names)
        if config.format == "json":
            keys = config.columns if isinstance(config.columns, dict) else {name: name for name in names}
            self.lines = TextLines([keys[name] for name in names], line_format="json", prefix=config.prefix)
        else:
            self.lines = TextLines(list(config.columns), delimiter=config.delimiter, prefix=config.prefix)
        factors = (ACCEL_MPS2[config.accel_unit], GYRO_RADPS[config.gyro_unit])
        self._n_good = 0
        self._pick = [names.index(axis) for axis in self._axes]
        self._factor = np.array([factors[axis.startswith("gyro")] for axis in self._axes])
        self._time_at = names.index("time") if "time" in names else None
        self._counter_at = names.index("counter") if "counter" in names else None
        self._forget()

    @property
    def spec(self) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="imu",
            rate_hz=self._config.rate_hz,
            shape=(len(self._axes),),
            dtype="float32",
            unit="si",
            axes=self._axes,
            max_delay_s=max(1.0, 5 / self._config.rate_hz + self._config.batch_s),
            domain="host" if self._time_at is None else "device",
        )

    def open(self) -> None:
        self.close()
        import termios

        import serial

        # pyserial lets termios.error and plain OSError through where a port vanishes under it.
        self._failures = (serial.SerialException, OSError, termios.error)
        config = self._config
        is_file = "://" not in config.port
        options: dict[str, Any] = {"exclusive": True} if is_file else {}
        try:
            self._port = serial.serial_for_url(config.port, baudrate=config.baud, timeout=0.0, **options)
        except (*self._failures, ValueError) as error:
            raise DeviceError(
                f"{self._name}: cannot be opened: {_words(error)}; check the cable, the permission (group dialout), "
                f"and that no other program holds it"
            ) from error
        if is_file:
            try:
                # FTDI adapters gather bytes for 16 ms otherwise; ptys and other drivers do not know the call.
                self._port.set_low_latency_mode(True)
            except (*self._failures, ValueError, NotImplementedError):
                logger.debug("%s: no low-latency mode", self._id)
        self._forget()

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ready:
            return self._ready.popleft()
        if self._port is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        # A monotonic clock bounds the wait even where bytes trickle in that never make a line.
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._ready:
            left_s = (end_ns - self._clock.monotonic_ns()) * 1e-9
            data = self._read_bytes(max(0.0, left_s))
            if data:
                self._take(self.lines.feed(data), self._clock.unix_ns())
            if not self._ready and (not data or left_s <= 0):
                return None
        return self._ready.popleft()

    def close(self) -> None:
        port, self._port = self._port, None
        self._ready.clear()
        if port is not None:
            try:
                port.close()
            except self._failures as error:
                logger.debug("%s: %s", self._id, error)

    @property
    def _name(self) -> str:
        return f"serial_imu {self._config.port}"

    def _forget(self) -> None:
        """Begin anew: nothing of an earlier connection counts."""
        self.lines.reset()
        self._n_good = self._count = 0
        self._bytes_before = self.lines.n_bytes
        self._last_counter: int | None = None
        self._arrivals = ArrivalClock(self._config.rate_hz)
        self._fit: ClockFit | None = None
        if self._time_at is not None:
            unit, bits = self._config.time_unit or "us", self._config.time_bits
            # Seconds come with decimals and do not wrap; they are counted in microseconds.
            self._fit = ClockFit(1e6) if unit == "s" else ClockFit(1e9 / TIME_NS[unit], bits=bits)

    def _read_bytes(self, wait_s: float) -> bytes:
        port = self._port
        try:
            port.timeout = wait_s
            first: bytes = port.read(1)
            if not first:
                return b""
            self._clock.sleep(min(self._config.batch_s, wait_s))
            # With no timeout one read takes all there is, from a socket too, whose in_waiting is 0 or 1.
            port.timeout = 0
            rest: bytes = port.read(_MOST_BYTES)
        except self._failures as error:
            raise DeviceError(f"{self._name}: lost: {_words(error)}; it will be opened again") from error
        return first + rest

    def _take(self, rows: TextRows, host_ns: int) -> None:
        """Stamp rows that arrived together and queue them, cut where samples are missing."""
        if not len(rows):
            n_bytes = self.lines.n_bytes - self._bytes_before
            if not self._n_good and n_bytes > _HOPELESS_BYTES:
                raise DeviceError(
                    f"{self._name}: no line that can be read in {n_bytes} bytes at {self._config.baud} baud; "
                    f"check baud, format ({self._config.format}), columns and prefix"
                )
            return
        before = self._n_good
        self._n_good += len(rows)
        values = (rows.values[:, self._pick] * self._factor).astype(np.float32)
        counts, lost = self._counts(rows)
        if before == 0:
            lost[0] = False
        if self._fit is not None:
            ticks = self._ticks(rows)
            epoch = self._fit.epoch
            t_ns = self._fit.stamp(ticks, host_ns)
            lost[0] = lost[0] or self._fit.epoch != epoch
            clock: ClockInfo = self._fit.clock
        else:
            t_ns, silent = self._arrivals.stamp(counts, host_ns)
            lost[0] = lost[0] or silent
            clock = self._arrivals.clock
        cuts = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(rows)]
        for start, stop in pairwise(cuts):
            self._ready.append(Chunk(values[start:stop], t_ns[start:stop], bool(lost[start]), clock))

    def _counts(self, rows: TextRows) -> tuple[IntArray, np.ndarray[Any, np.dtype[np.bool_]]]:
        """Running numbers (n,) of the samples, and before which of them some are missing."""
        if self._counter_at is None:
            # An unreadable line was a sample, most likely.
            counts = self._count + np.cumsum(1 + rows.bad_before)
            lost = rows.bad_before > 0
        else:
            told = rows.values[:, self._counter_at].astype(np.int64)
            last = int(told[0]) - 1 if self._last_counter is None else self._last_counter
            steps = np.diff(told, prepend=last)
            if self._config.counter_bits is not None:
                steps %= 1 << self._config.counter_bits
            self._last_counter = int(told[-1])
            lost = steps != 1
            # A counter that stands still or runs back has been reset; we count on.
            counts = self._count + np.cumsum(np.maximum(steps, 1))
        self._count = int(counts[-1])
        return counts, lost

    def _ticks(self, rows: TextRows) -> IntArray:
        assert self._time_at is not None
        column = rows.values[:, self._time_at]
        ticks: IntArray = np.rint(column * 1e6 if self._config.time_unit == "s" else column).astype(np.int64)
        return ticks


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

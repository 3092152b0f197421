"""A GY-MCU90640: an MLX90640 thermal array behind a microcontroller that sends its temperatures over serial."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.arrival_clock import ArrivalClock
from devices.base import Found
from devices.protocols.mlx90640 import EIGHT_HZ, FOUR_HZ, START, Mlx90640Decoder, MlxFrames
from devices.serial_port import SerialPort
from devices.stall_watch import StallWatch
from stream_bind.clock import Clock
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["Mlx90640Thermal", "Mlx90640ThermalConfig"]

logger = logging.getLogger(__name__)

_FRAME_BITS = 15440
"""1544 bytes with their start and stop bits: 134 ms at 115200 baud."""
_HOPELESS_BYTES = 8192
_RATES = {4.0: FOUR_HZ, 8.0: EIGHT_HZ}
_ZERO_CELSIUS_K = 273.15


class Mlx90640ThermalConfig(BaseModel):
    """A GY-MCU90640 module."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["mlx90640_thermal"] = "mlx90640_thermal"
    """The device type, always "mlx90640_thermal"."""
    port: str
    """Where it is plugged in: a path under /dev/serial/by-id, serial:NUMBER, usb:VID:PID, or socket://host:port."""
    baud: int = Field(default=115200, gt=0)
    """Line speed; 460800 is the module's other one, set by a bridge on its board."""
    rate_hz: float = Field(default=4.0, gt=0, le=32)
    """Frames per second; 4 and 8 are set in the module at opening, with any other it must be set up already."""
    commands: bool = True
    """Send the module its rate and the command to start at opening; false for one that sends of itself."""
    stall_timeout_s: float = Field(default=3.0, gt=0)
    """Silence after which the port is opened again, at least three frames long; the first may take 5 s."""

    @model_validator(mode="after")
    def _the_line_carries_the_rate(self) -> Mlx90640ThermalConfig:
        if "://" not in self.port and self.rate_hz * _FRAME_BITS > self.baud:
            raise ValueError(
                f"rate_hz {self.rate_hz:g} takes {self.rate_hz * _FRAME_BITS:.0f} baud, and baud is {self.baud}: "
                f"{self.baud / _FRAME_BITS:.1f} frames a second pass; lower rate_hz, or set module and baud to 460800"
            )
        return self


@register_device("mlx90640_thermal", config=Mlx90640ThermalConfig, modalities=("thermal",))
class Mlx90640Thermal:
    """float32 (24, 32) kelvin, one frame a chunk; the module's hundredths of a degree in `raw`.

    The module sends no time and no counter, so frames are counted and laid under their arrivals. A frame arrives when
    its last byte does, 134 ms at 115200 baud after its first (34 ms at 460800): the stream's delay_ms takes that off.
    """

    def __init__(self, config: Mlx90640ThermalConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        owner = f"mlx90640_thermal {config.port}"
        self._port = SerialPort(config.port, config.baud, owner, clock)
        self._decoder = Mlx90640Decoder()
        self._arrivals = ArrivalClock(config.rate_hz)
        stall_s = max(config.stall_timeout_s, 3 / config.rate_hz)
        self._watch = StallWatch(owner, clock, stall_s, _HOPELESS_BYTES, wanted=self._decoder.expects)
        self._count = 0
        self._lost = 0
        self._ready: deque[Chunk] = deque()

    @property
    def spec(self) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="thermal",
            rate_hz=self._config.rate_hz,
            shape=(24, 32),
            dtype="float32",
            unit="K",
            max_delay_s=max(1.0, 3 / self._config.rate_hz),
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of the decoder, lost_frames (broken ones, and what their bytes stand for), and stalls."""
        return {**self._decoder.counters, "lost_frames": self._lost, "stalls": self._watch.stalls}

    def open(self) -> None:
        self.close()
        self._port.open()
        self._decoder.reset()
        self._arrivals.reset()
        self._watch.opened(self._decoder.counters)
        if self._config.commands:
            for order in (_RATES.get(self._config.rate_hz), START):
                if order is not None:
                    self._port.write(order)

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ready:
            return self._ready.popleft()
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._ready:
            left_s = (end_ns - self._clock.monotonic_ns()) * 1e-9
            data = self._port.read(max(0.0, left_s))
            if data:
                self._take(self._decoder.feed(data), self._clock.unix_ns())
            if not self._ready:
                self._watch.judge(self._decoder.counters, f"that {self._config.baud} baud is the module's")
                if left_s <= 0:
                    return None
        return self._ready.popleft()

    def close(self) -> None:
        self._ready.clear()
        self._port.close()

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """Modules that are sending already: nothing is written to ports whose sensor is not known."""
        from devices.serial_probe import thermal_sensors

        return thermal_sensors(probe)

    def _take(self, frames: MlxFrames, host_ns: int) -> None:
        if not len(frames):
            return
        self._watch.sampled()
        self._lost += int(frames.bad_before.sum())
        counts = self._count + np.cumsum(1 + frames.bad_before)
        self._count = int(counts[-1])
        t_ns, silent = self._arrivals.stamp(counts, host_ns)
        gaps = frames.bad_before > 0
        gaps[0] |= silent
        kelvin = (frames.images * 0.01 + _ZERO_CELSIUS_K).astype(np.float32)
        for i in range(len(frames)):
            raw = Raw(frames.images[i : i + 1], "16SC1", 0.01, _ZERO_CELSIUS_K)
            self._ready.append(
                Chunk(kelvin[i : i + 1], t_ns[i : i + 1], bool(gaps[i]), self._arrivals.clock, None, raw)
            )

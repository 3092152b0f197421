"""The live simulated device: a sampler paced by the clock on an exact sample grid."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from devices.simulated.barometer import Barometer
from devices.simulated.camera import Camera
from devices.simulated.config import SimulatedConfig
from devices.simulated.depth import Depth
from devices.simulated.emg import Emg
from devices.simulated.grid import SampleGrid
from devices.simulated.imu import Imu
from devices.simulated.microphone import Microphone
from devices.simulated.thermal import Thermal
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, ClockInfo, IntArray, StreamSpec
from stream_bind.registry import register_device

__all__ = ["Sampler", "Simulated", "sampler_of"]

_BUFFER_S = 10.0
"""What a reader may fall behind before samples are lost, as a driver's ring buffer would lose them."""
_BATCH_S = 0.25
"""Most that one read catches up."""


class Sampler(Protocol):
    """One sensor kind: samples as a pure function of seed, sample index and event time."""

    @property
    def rate_hz(self) -> float: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def axes(self) -> tuple[str, ...]: ...

    def sample(self, first: int, t_ns: IntArray) -> NDArray[Any]:
        """(n, *shape) at event times t_ns; `first` is the index of the first sample."""


_SAMPLERS: dict[str, type[Sampler]] = {
    "vision": Camera,
    "audio": Microphone,
    "depth": Depth,
    "thermal": Thermal,
    "imu": Imu,
    "barometer": Barometer,
    "emg": Emg,
}


def sampler_of(config: SimulatedConfig) -> Sampler:
    """What makes the samples of one simulated sensor, without a clock."""
    make: Any = _SAMPLERS[config.modality]
    sampler: Sampler = make(config)
    return sampler


@register_device("simulated", config=SimulatedConfig, modalities=tuple(_SAMPLERS))
class Simulated:
    """Delivers samples when they are due on the clock, stamped with their exact event time."""

    def __init__(self, config: SimulatedConfig, stream_id: str, clock: Clock) -> None:
        self._clock = clock
        self._sampler = sampler_of(config)
        rate_hz = config.rate_hz or self._sampler.rate_hz
        self._grid = SampleGrid.at(rate_hz, config.drift_ppm)
        pictures = config.modality in {"vision", "depth", "thermal"}
        self._block = config.chunk_size or (1 if pictures else max(1, round(rate_hz / 100)))
        self._most = self._block if config.chunk_size or pictures else max(self._block, int(rate_hz * _BATCH_S))
        self._buffer = max(2 * self._block, int(rate_hz * _BUFFER_S))
        self._next: int | None = None
        self._reopened = False
        self._gap = False
        self._spec = StreamSpec(
            id=stream_id,
            modality=config.modality,
            rate_hz=rate_hz,
            shape=self._sampler.shape,
            dtype=self._sampler.dtype,
            unit=self._sampler.unit,
            axes=self._sampler.axes,
            live=True,
            max_delay_s=max(1.0, 3 * self._block / rate_hz),
            domain="simulated",
        )

    @property
    def spec(self) -> StreamSpec:
        return self._spec

    def open(self) -> None:
        """Start sampling now: the first sample is the next one on the grid."""
        self._next = self._grid.due(self._clock.unix_ns())
        self._gap = self._reopened
        self._reopened = True

    def read(self, timeout_s: float) -> Chunk | None:
        """Whole blocks that are due, waiting for the first at most timeout_s."""
        if self._next is None:
            raise DeviceError(f"simulated {self._spec.id}: read before open; open the device first")
        last_ns = self._grid.time_of(self._next + self._block - 1)
        now_ns = self._clock.unix_ns()
        if last_ns > now_ns:
            wait_s = (last_ns - now_ns) * 1e-9
            self._clock.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return None
            # Sleeping rounds to the clock's resolution; the samples are due all the same.
            now_ns = max(last_ns, self._clock.unix_ns())
        due = self._grid.due(now_ns) - self._next
        if due > self._buffer:
            lost = due - self._buffer
            self._next += lost
            due -= lost
            self._gap = True
        n = min(due - due % self._block, max(self._block, self._most - self._most % self._block))
        t_ns = self._grid.t_ns(self._next, n)
        chunk = Chunk(self._sampler.sample(self._next, t_ns), t_ns, self._gap, ClockInfo("simulated", 0))
        self._next += n
        self._gap = False
        return chunk

    def close(self) -> None:
        self._next = None

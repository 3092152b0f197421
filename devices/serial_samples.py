"""What all sensors that send samples over a serial port share: reading, stamping, giving up. Drivers add a decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from devices.imu_clock import ImuClock
from devices.protocols.base import ImuDecoder, ImuSamples
from devices.serial_port import SerialPort
from devices.stall_watch import StallWatch
from stream_bind.clock import Clock
from stream_bind.messages import Chunk, StreamSpec

__all__ = ["SerialSamples"]

_HOPELESS_BYTES = 4096


class SerialSamples(ABC):
    """float32 (len(axes),). Stamps: the device's time where it sends one, else its counter or our count, fitted to
    arrivals."""

    def __init__(
        self,
        owner: str,
        decoder: ImuDecoder,
        clock: Clock,
        *,
        port: str,
        baud: int,
        rate_hz: float,
        stall_timeout_s: float,
        batch_s: float,
    ) -> None:
        """owner: driver and port, for messages."""
        self._clock = clock
        self._batch_s = batch_s
        self._port = SerialPort(port, baud, owner, clock)
        self._decoder = decoder
        self._times = ImuClock(rate_hz, decoder.tick_hz, decoder.tick_modulus, decoder.count_modulus)
        self._ready: deque[Chunk] = deque()
        stall_s = max(stall_timeout_s, 3 / rate_hz)
        self._watch = StallWatch(owner, clock, stall_s, _HOPELESS_BYTES, wanted=decoder.expects)

    @abstractmethod
    def _suspects(self) -> str:
        """The settings to look at where bytes come and no sample."""

    def _spec_of(self, stream_id: str, modality: str, rate_hz: float, unit: str) -> StreamSpec:
        axes = self._decoder.axes
        return StreamSpec(
            id=stream_id,
            modality=modality,
            rate_hz=rate_hz,
            shape=(len(axes),),
            dtype="float32",
            unit=unit,
            axes=axes,
            max_delay_s=max(1.0, 5 / rate_hz + self._batch_s),
            domain="host" if self._decoder.tick_hz is None else "device",
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Those of the decoder, lost_samples, clock_restarts (of the device's time or counter), and stalls."""
        times = self._times
        return {
            **self._decoder.counters,
            "lost_samples": times.lost_samples,
            "clock_restarts": times.restarts,
            "stalls": self._watch.stalls,
        }

    def open(self) -> None:
        self.close()
        self._port.open()
        self._decoder.reset()
        self._times.reopened()
        self._watch.opened(self._decoder.counters)

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ready:
            return self._ready.popleft()
        # A monotonic clock bounds the wait even where bytes trickle in that never make a sample.
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        while not self._ready:
            left_s = (end_ns - self._clock.monotonic_ns()) * 1e-9
            data = self._port.read(max(0.0, left_s), self._batch_s)
            if data:
                self._take(self._decoder.feed(data), self._clock.unix_ns())
            if not self._ready:
                self._watch.judge(self._decoder.counters, self._suspects())
                if not data or left_s <= 0:
                    return None
        return self._ready.popleft()

    def close(self) -> None:
        self._ready.clear()
        self._port.close()

    def _take(self, samples: ImuSamples, host_ns: int) -> None:
        """Stamp samples that arrived together and queue them, cut where some are missing."""
        if not len(samples):
            return
        self._watch.sampled()
        values = samples.values.astype(np.float32)
        t_ns, lost = self._times.stamp(samples, host_ns)
        clock, ticks = self._times.clock, samples.ticks
        cuts = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(samples)]
        for start, stop in pairwise(cuts):
            part = None if ticks is None else ticks[start:stop]
            self._ready.append(Chunk(values[start:stop], t_ns[start:stop], bool(lost[start]), clock, part))

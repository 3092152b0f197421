"""A recording of the RealSense SDK, played by the SDK's own playback device: every frame, paced by our clock."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from devices.depth_counts import FrameNumbers, depth_chunk
from devices.pacing import Pacer, RecordingConfig
from devices.realsense_camera import DepthFrame, Opened
from devices.realsense_options import Settings
from devices.realsense_sdk import load_recording, load_sdk
from devices.recording import check_file
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk, ClockInfo, StreamSpec

__all__ = ["TICK_MODULUS", "RealsenseFile", "device_us"]

TICK_MODULUS = 1 << 32
"""Where the device's microseconds wrap: every 71.6 minutes (librealsense issue 2516)."""
_FILE_CLOCK = ClockInfo("file", 0)
_SILENCE_S = 10.0


def device_us(frame: DepthFrame) -> int | None:
    """The device's own time of a frame: the middle of its exposure where it tells, else its hardware stamp."""
    if frame.sensor_us is not None:
        return frame.sensor_us
    return round(frame.stamp_ms * 1000) if frame.domain == "hardware_clock" else None


class RealsenseFile:
    """float32 metres, one frame a read; stamps go by the recorded device time, from the recorded UNIX time if the file
    tells one. Counts dropped_frames: those the camera numbered and the recording does not hold."""

    def __init__(self, path: str, timing: RecordingConfig, rate_hz: float, stream_id: str, clock: Clock) -> None:
        self._path = path
        self._timing = timing
        self._nominal_hz = rate_hz
        self._id = stream_id
        self._clock = clock
        self._name = f"realsense_depth {path}"
        self._pacer = Pacer(clock, timing.rate)
        self.counters: Counter[str] = Counter()
        self._numbers = FrameNumbers(self.counters)
        self._playback: Any = None
        self._sensor: Opened | None = None
        self._ahead: DepthFrame | None = None
        self._pending: Chunk | None = None
        self._ended = False

    @property
    def spec(self) -> StreamSpec:
        sensor = self._sensor
        return StreamSpec(
            id=self._id,
            modality="depth",
            rate_hz=self._nominal_hz if sensor is None else sensor.rate_hz,
            shape=(-1, -1) if sensor is None else (sensor.height, sensor.width),
            dtype="float32",
            unit="m",
            live=False,
            domain="file",
            intrinsics=None if sensor is None else sensor.intrinsics,
        )

    def open(self) -> None:
        self.close()
        rs = load_sdk()
        check_file(Path(self._path), "realsense_depth", "a recording of the RealSense SDK (.bag, .db3)")
        self._origin_ns: int | None = None
        self._ended = False
        self._pacer.reset()
        try:
            self._begin(rs)
        except DeviceError:
            self.close()
            raise

    def _begin(self, rs: Any) -> None:
        """One pass from the start of the file."""
        self._playback = load_recording(rs, self._path, self._name)
        # In real time the player drops what is not taken at once; otherwise it waits for us.
        self._playback.set_real_time(False)
        self._stopped = rs.playback_status.stopped
        self._sensor = Opened(rs, self._playback, None, Settings(), False, self._name)
        self._numbers.begin()
        self._elapsed_ns = 0
        self._last: tuple[int | None, float] | None = None
        self._alive_ns = self._clock.monotonic_ns()
        # A player says it has stopped until its thread has started, so only after a frame does that mean the end.
        self._ahead = self._sensor.next(_SILENCE_S)
        if self._ahead is None:
            raise DeviceError(f"{self._name}: holds no depth frame", permanent=True)

    def read(self, timeout_s: float) -> Chunk | None:
        if self._ended:
            raise EndOfStream(self._id)
        if self._sensor is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        if self._pending is None:
            self._pending = self._next(timeout_s)
        if self._pending is None or not self._pacer.wait(int(self._pending.t_ns[0]), timeout_s):
            return None
        chunk, self._pending = self._pending, None
        return chunk

    def close(self) -> None:
        sensor, self._sensor, self._playback = self._sensor, None, None
        self._ahead = self._pending = None
        if sensor is not None:
            sensor.stop()

    def _next(self, timeout_s: float) -> Chunk | None:
        assert self._sensor is not None
        # Asked before the queue is, so that frames played in between are not taken for the end.
        over = self._playback.current_status() == self._stopped
        ahead, self._ahead = self._ahead, None
        frame = ahead or self._sensor.next(0.0 if over else timeout_s)
        if frame is not None:
            self._alive_ns = self._clock.monotonic_ns()
            return self._chunk(frame) if self._numbers.is_new(frame.number) else None
        if over:
            self._turn_over()
        elif self._clock.monotonic_ns() - self._alive_ns > _SILENCE_S * 1e9:
            raise DeviceError(f"{self._name}: no frame for {_SILENCE_S:g} s; the recording is broken", permanent=True)
        return None

    def _turn_over(self) -> None:
        """The pass is over: begin another one, or end."""
        assert self._sensor is not None
        if not self._timing.loop or self._origin_ns is None:
            self._ended = True
            raise EndOfStream(self._id)
        self._origin_ns += self._elapsed_ns + self.spec.period_ns
        self._sensor.stop()
        self._begin(load_sdk())

    def _chunk(self, frame: DepthFrame) -> Chunk:
        tick = device_us(frame)
        if self._last is not None:
            last_tick, last_ms = self._last
            if tick is not None and last_tick is not None:
                half = TICK_MODULUS // 2
                self._elapsed_ns += ((tick - last_tick + half) % TICK_MODULUS - half) * 1000
            else:
                self._elapsed_ns += round((frame.stamp_ms - last_ms) * 1e6)
        self._last = (tick, frame.stamp_ms)
        if self._origin_ns is None:
            unix_ms = frame.arrival_ms if frame.domain == "hardware_clock" else frame.stamp_ms
            self._origin_ns = self._timing.origin_ns(round((unix_ms or 0.0) * 1e6), self._clock)
        t_ns = self._origin_ns + self._elapsed_ns
        return depth_chunk(frame.counts, frame.unit_m, t_ns, self._numbers.take_gap(), _FILE_CLOCK, tick)

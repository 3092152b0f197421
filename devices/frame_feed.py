"""Numbered frames of a vendor's SDK, one by one: repeats passed over, losses noted, silence judged."""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar

from devices.depth_counts import FrameNumbers
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError

__all__ = ["FrameFeed", "FrameSource"]


class _Numbered(Protocol):
    @property
    def number(self) -> int: ...


F = TypeVar("F", bound=_Numbered)
F_co = TypeVar("F_co", bound=_Numbered, covariant=True)

_AWAY_S = 0.5
"""Silence after which the SDK is asked whether the camera is still there: asking takes time."""


class FrameSource(Protocol[F_co]):
    """A camera that runs."""

    def next(self, timeout_s: float) -> F_co | None:
        """The next frame, or None if none came in time."""

    def is_attached(self) -> bool:
        """False once the camera is gone."""


class FrameFeed(Generic[F]):
    """What a driver takes its frames from, over all openings of its camera."""

    def __init__(self, clock: Clock, rate_hz: float, counters: Counter[str]) -> None:
        """counters: where dropped_frames and repeated_frames are counted."""
        self._clock = clock
        self._away_s = max(_AWAY_S, 3 / rate_hz)
        self._numbers = FrameNumbers(counters)
        self._source: FrameSource[F] | None = None

    def begin(self, source: FrameSource[F], name: str, advice: str) -> None:
        """The camera was opened. name: of the driver and camera, for errors; advice: what to look at."""
        self._source = source
        self._name = name
        self._advice = advice
        self._numbers.begin()
        self._good_ns = self._clock.monotonic_ns()

    def first(self, limit_s: float, what: str) -> F:
        """The first frame. DeviceError with `what` in it if none comes within limit_s."""
        while True:
            frame = self._take(0.1)
            if frame is not None:
                return frame
            self._judge_silence(limit_s, what)

    def next(self, timeout_s: float, limit_s: float) -> F | None:
        """The next frame, or None. DeviceError if the camera is gone, or silent for limit_s."""
        frame = self._take(timeout_s)
        if frame is None:
            self._judge_silence(limit_s, "stalled: no frame")
        return frame

    def take_gap(self) -> bool:
        """Whether frames are missing before the newest one; asked once per frame delivered."""
        return self._numbers.take_gap()

    def _take(self, timeout_s: float) -> F | None:
        assert self._source is not None
        frame = self._source.next(timeout_s)
        if frame is None or not self._numbers.is_new(frame.number):
            return None
        self._good_ns = self._clock.monotonic_ns()
        return frame

    def _judge_silence(self, limit_s: float, what: str) -> None:
        assert self._source is not None
        silent_s = (self._clock.monotonic_ns() - self._good_ns) / 1e9
        if silent_s > self._away_s and not self._source.is_attached():
            raise DeviceError(f"{self._name}: was unplugged; it will be opened again")
        if silent_s > limit_s:
            raise DeviceError(f"{self._name}: {what} for {limit_s:g} s; it will be opened again; {self._advice}")

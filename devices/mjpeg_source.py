"""Motion JPEG over HTTP on a socket of our own: pictures stamped when their first byte came, old ones dropped."""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.http_body import HttpBody
from devices.pixels import BrokenFrame
from devices.protocols.multipart import BodyError, MultipartDecoder, Part
from devices.stream_clock import Seen
from devices.stream_picture import Picture
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError

__all__ = ["MjpegSource"]

_STALE_NS = 150_000_000
"""Bytes that may have waited in the kernel for longer are of unknown age. A loaded machine is late by less."""
_CATCH_UP_NS = 3_000_000_000
_PERIODS = 1.5
_YEAR_5138_S = 10**11
_STANDING = 10
"""Pictures with one and the same time; a camera that repeats some has fewer."""


class MjpegSource:
    """Open from the start; one `take` after the other from one thread, then `close`.

    Counts bad_packets (no whole JPEG) and stale_frames: nothing says when a picture was taken that waited in a queue
    while nobody read, so all are dropped until one is waited for. `header` names a part header with the time; with
    it every picture is told apart and none is dropped.
    """

    def __init__(
        self, name: str, body: HttpBody, clock: Clock, counters: Counter[str], *, rate_hz: float, header: str = ""
    ) -> None:
        self._name = name
        self._body = body
        self._clock = clock
        self._counters = counters
        self._nominal_ns = self._period_ns = 1e9 / rate_hz
        self._intervals_ns: deque[int] = deque(maxlen=31)
        self._header = header.lower()
        self.tick_hz = 1e9 if header else 0.0
        self.size: tuple[int, int] | None = None
        self._decoder = MultipartDecoder()
        self._parts: deque[tuple[Part, int, int, bool]] = deque()
        # End offset of each piece that came, when, and how much earlier it may have been.
        self._pieces: deque[tuple[int, int, int]] = deque()
        self._offset = 0
        self._empty_ns = clock.unix_ns()  # when the socket was last known to be empty
        self._longest_wait_ns = 0  # of the waits for the picture that is coming
        self._catching_up_ns: int | None = None
        self._last_ns: int | None = None
        self._gap = False
        self._tick_before = -1
        self._standing = 0

    def take(self, timeout_s: float) -> Picture | None:
        end_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        late = False
        while not self._parts:
            left_ns = end_ns - self._clock.monotonic_ns()
            # Once more after the time is over, for what is there; a flood without pictures holds no read.
            if late or not self._receive(left_ns / 1e9):
                return None
            late = left_ns <= 0
        part, arrived_ns, err_ns, gap = self._parts.popleft()
        tick = self._tick(part) if self._header else None
        return Picture(Seen(arrived_ns, err_ns, tick, tick), gap, self._pixels(part.body), part.body)

    def started(self) -> None:
        """What waited since the opening is found to be old by the time it waited."""

    def close(self) -> None:
        self._body.close()

    def _receive(self, left_s: float) -> bool:
        """Take in what is there, else wait for more; False when the time is over."""
        try:
            data = self._body.receive()
            now_ns = self._clock.unix_ns()
            if data == b"":
                self._empty_ns = now_ns
                if left_s <= 0:
                    return False
                came = self._body.wait(left_s)
                self._empty_ns = self._clock.unix_ns()
                self._longest_wait_ns = max(self._longest_wait_ns, self._empty_ns - now_ns)
                return came
            if data is None or self._decoder.ended:
                raise DeviceError(f"{self._name}: the camera ended the stream; it will be opened again")
            self._take_in(data, now_ns)
        except (OSError, BodyError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DeviceError(f"{self._name}: lost: {why}; it will be opened again") from error
        return True

    def _take_in(self, data: bytes, now_ns: int) -> None:
        unsure_ns = now_ns - self._empty_ns
        if unsure_ns > max(_STALE_NS, _PERIODS * self._period_ns) and not self._header and self._catching_up_ns is None:
            self._catching_up_ns = now_ns
            self._longest_wait_ns = 0
        self._offset += len(data)
        self._pieces.append((self._offset, now_ns, unsure_ns))
        for part in self._decoder.feed(data):
            if not part.is_jpeg:
                if part.headers.get("content-type", "image/").lower().startswith("image/"):
                    self._counters["bad_packets"] += 1
                    self._gap = True
                continue
            while self._pieces[0][0] <= part.at:
                self._pieces.popleft()
            self._place(part, *self._pieces[0][1:])

    def _place(self, part: Part, arrived_ns: int, err_ns: int) -> None:
        waited_ns, self._longest_wait_ns = self._longest_wait_ns, 0
        if self._catching_up_ns is not None:
            # Pictures out of a queue come one behind the other; a fresh one is waited for.
            fresh = waited_ns > self._period_ns / 4 or arrived_ns - self._catching_up_ns > _CATCH_UP_NS
            if not fresh:
                self._counters["stale_frames"] += 1
                self._gap = True
                return
            self._catching_up_ns = None
        elif self._last_ns is not None:
            # A camera faster than rate_hz says: follow it, lest all its pictures look queued.
            self._intervals_ns.append(arrived_ns - self._last_ns)
            self._period_ns = min(self._nominal_ns, statistics.median(self._intervals_ns))
        self._last_ns = arrived_ns
        self._parts.append((part, arrived_ns, err_ns, self._gap))
        self._gap = False

    def _tick(self, part: Part) -> int:
        said = part.headers.get(self._header)
        try:
            seconds = Decimal(said or "")
            for _ in ("milliseconds", "microseconds", "nanoseconds"):
                if seconds > _YEAR_5138_S:
                    seconds /= 1000
            tick = int(seconds * 1_000_000_000)
        except (InvalidOperation, ValueError, OverflowError):
            tick = -1
        # Some servers send 0.000000 with every picture.
        self._standing = self._standing + 1 if tick == self._tick_before else 0
        self._tick_before = tick
        if 0 <= tick < 1 << 63 and self._standing < _STANDING:
            return tick
        names = ", ".join(part.headers) or "none at all"
        raise DeviceError(
            f"{self._name}: wanted seconds that advance in header {self._header} of every picture, "
            f"found {'none' if said is None else repr(said[:40])} (its headers: {names}); "
            f"set timestamp_header, or time: auto"
        )

    def _pixels(self, jpeg: bytes) -> Callable[[], NDArray[Any]]:
        def decode() -> NDArray[Any]:
            import cv2

            # A picture cut short would be filled with grey by some releases of OpenCV.
            whole = b"\xff\xd9" in jpeg[-4096:]
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if whole else None
            if picture is None:
                raise BrokenFrame("bad_packets", f"{len(jpeg)} bytes that are no whole JPEG picture")
            if self.size is not None and picture.shape[:2] != self.size:
                picture = cv2.resize(picture, self.size[::-1], interpolation=cv2.INTER_AREA)
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, picture))

        return decode

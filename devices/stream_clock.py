"""When a network camera's picture was taken: its own clock fitted, its clock believed, or its arrival. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

from stream_bind.clocksync import ClockFit
from stream_bind.errors import DeviceError
from stream_bind.messages import ClockInfo

__all__ = ["Seen", "StreamClock"]

_SETTLE_NS = 3_000_000_000
"""Longest burst of old pictures at the opening (gst-rtsp-server and FFmpeg's probing: 30 pictures, 0.9 s; measured)."""
_CALM_NS = 100_000_000
"""So long without a picture less late than all before: a server may pause within its burst, but not as long."""
_LESS_NS = 8_000_000
_AHEAD_NS = 1_000_000_000
_BEHIND_NS = 10_000_000_000
"""A camera whose clock is farther off than this is not set; the capture refuses samples a second ahead."""
_NO_REPORT_NS = 10_000_000_000
"""RTCP sender reports come every 5 s (RFC 3550, section 6.2)."""


class Seen(NamedTuple):
    """What is known about one picture's time."""

    arrived_ns: int
    """UNIX time of its first byte."""
    err_ns: int = 0
    """How much earlier it may have arrived."""
    tick: int | None = None
    """The stream's own time."""
    sender_ns: int | None = None
    """UNIX time by the camera's clock."""


class StreamClock:
    """Stamps pictures in order, never backwards, across reopening too. `opened` chooses the way for a connection."""

    def __init__(self, name: str, counters: Counter[str]) -> None:
        """counters: where burst_frames (old at the opening) and unstamped_frames (no sender's time yet) are counted."""
        self._name = name
        self._counters = counters
        self._way: Literal["fit", "sender", "arrival"] = "arrival"
        self._fit: ClockFit | None = None
        self._last_ns = -(1 << 62)
        self._settled = True
        self._opened_ns: int | None = None
        self._least: tuple[float, int] | None = None  # how late, at which arrival

    def opened(self, way: Literal["fit", "sender", "arrival"], tick_hz: float = 0.0) -> None:
        """A new connection: its ticks begin anew, the camera's crystal is the same."""
        self._way = way
        self._opened_ns = self._least = None
        self._settled = way != "fit"
        if way == "fit":
            if self._fit is None or self._fit.tick_hz != tick_hz:
                self._fit = ClockFit(tick_hz)
            self._fit.restart()

    def stamp(self, seen: Seen) -> tuple[int, ClockInfo] | None:
        """The picture's time and how good it is; None for one that has none: it is counted, and samples are missing.

        Raises DeviceError where the camera's clock cannot be believed, or it never tells its time.
        """
        if self._opened_ns is None:
            self._opened_ns = seen.arrived_ns
        if self._way == "sender":
            found = self._by_sender(seen)
        elif self._way == "fit" and self._fit is not None:
            found = self._by_fit(self._fit, seen)
        else:
            found = seen.arrived_ns, ClockInfo("host", seen.err_ns)
        if found is None:
            return None
        t_ns = max(found[0], self._last_ns + 1)
        self._last_ns = t_ns
        return t_ns, found[1]

    def _by_fit(self, fit: ClockFit, seen: Seen) -> tuple[int, ClockInfo] | None:
        if seen.tick is None:
            # FFmpeg gives an RTSP stream's first picture none.
            self._counters["unstamped_frames" if self._settled else "burst_frames"] += 1
            return None
        if not self._settle(seen.tick, seen.arrived_ns, fit.tick_hz):
            # Late as it is, it bounds the delay of those to come.
            fit.add(seen.tick, seen.arrived_ns)
            self._counters["burst_frames"] += 1
            return None
        return int(fit.stamp([seen.tick], seen.arrived_ns)[0]), fit.clock

    def _settle(self, tick: int, arrived_ns: int, tick_hz: float) -> bool:
        """Whether the burst is over. Its pictures come faster than they were taken, so each is less late than the one
        before; a live one is not, for all its jitter."""
        if self._settled:
            return True
        late_ns = arrived_ns - tick * 1e9 / tick_hz
        if self._least is None or late_ns < self._least[0] - _LESS_NS:
            self._least = late_ns, arrived_ns
        calm_ns = arrived_ns - self._least[1]
        self._settled = calm_ns >= _CALM_NS or arrived_ns - (self._opened_ns or arrived_ns) > _SETTLE_NS
        return self._settled

    def _by_sender(self, seen: Seen) -> tuple[int, ClockInfo] | None:
        t_ns = seen.sender_ns
        if t_ns is None:
            self._counters["unstamped_frames"] += 1
            if seen.arrived_ns - (self._opened_ns or seen.arrived_ns) > _NO_REPORT_NS:
                raise DeviceError(
                    f"{self._name}: has told no time of its own for {_NO_REPORT_NS / 1e9:g} s (RTCP sender reports, or "
                    f"the header named by timestamp_header); wanted by time: sender; set time: auto"
                )
            return None
        off_ns = t_ns - seen.arrived_ns
        if not -_BEHIND_NS < off_ns < _AHEAD_NS:
            word = "ahead of" if off_ns > 0 else "behind"
            raise DeviceError(
                f"{self._name}: its clock is {abs(off_ns) / 1e9:.1f} s {word} ours; have both follow one time server "
                f"(NTP), or set time: auto"
            )
        # The source defines time here: how true its clock is nobody on this side can know.
        return t_ns, ClockInfo("device", 0)

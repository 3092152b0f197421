"""PortAudio's ADC times on the host's monotonic clock, whatever clock the back end took them from."""

from __future__ import annotations

from typing import Literal

__all__ = ["AdcClock", "Domain"]

Domain = Literal["unknown", "monotonic", "realtime", "own"]

_NEAR_NS = 2_000_000_000
"""A current time this near one of the host's clocks is that clock: they lie an uptime or half a century apart."""
_OLDEST_NS = 1_000_000_000
_YOUNGEST_NS = -200_000_000
"""Monitors of a sound server give sound before it is played: 17 ms were seen; a stream's latency at most."""


class AdcClock:
    """Maps block by block, so that nothing is kept that a stepping clock could make wrong.

    Measured on Linux: hardware through ALSA says CLOCK_MONOTONIC, anything through PulseAudio CLOCK_REALTIME. The
    domain is told from the current time of each block, which PortAudio takes in the thread of the callback, just before
    it. Where it is one of the host's clocks, the ADC time is carried over between the two clocks, and the time the
    callback waited for Python does not matter; elsewhere the callback's moment less the block's age has to do.
    """

    def __init__(self) -> None:
        self.domain: Domain = "unknown"
        """Where the newest block's times came from; unknown before the first and where there are none."""

    def monotonic_ns(self, adc_s: float, current_s: float, monotonic_ns: int, unix_ns: int) -> int | None:
        """When the block's first sample was taken; None where the back end does not say.

        adc_s, current_s: PortAudio's inputBufferAdcTime and currentTime. monotonic_ns, unix_ns: CLOCK_MONOTONIC and
        CLOCK_REALTIME read one after the other in the callback.
        """
        self.domain = "unknown"
        age_ns = round((current_s - adc_s) * 1e9)
        # Back ends that do not know say 0, or a time that stands still (PortAudio issues 121, 531, 586).
        if adc_s <= 0 or current_s <= 0 or not _YOUNGEST_NS < age_ns < _OLDEST_NS:
            return None
        current_ns = round(current_s * 1e9)
        for domain, now_ns in (("monotonic", monotonic_ns), ("realtime", unix_ns)):
            if abs(now_ns - current_ns) < _NEAR_NS:
                self.domain = "monotonic" if domain == "monotonic" else "realtime"
                return monotonic_ns - (now_ns - current_ns) - age_ns
        self.domain = "own"
        return monotonic_ns - age_ns

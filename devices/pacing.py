"""When the samples of a recording are due: where its event time starts and how fast it runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stream_bind.clock import Clock

__all__ = ["Pacer", "RecordingConfig", "parse_time_ns"]


def parse_time_ns(text: str | float) -> int:
    """UNIX ns of seconds since the epoch, or of an ISO 8601 time (UTC where it names no zone); ValueError otherwise."""
    if not isinstance(text, str):
        return round(text * 1e9) if isinstance(text, float) else text * 1_000_000_000
    try:
        return round(float(text) * 1e9)
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"start_time {text!r} is no time; write seconds (12.5), ISO 8601 (2026-03-01T12:00:00Z) or now"
        ) from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


class RecordingConfig(BaseModel):
    """What all file devices share. Subclasses add their own fields."""

    model_config = ConfigDict(extra="forbid")

    start_time: float | int | str | None = None
    """Event time of the start: UNIX seconds, ISO 8601 or "now"; by default what the file says, else 0."""
    rate: float | Literal["max"] = 1.0
    """Speed of delivery against the clock: 1 is real time, 10 ten times as fast, "max" as fast as it is read."""
    loop: bool = False
    """Begin again at the end, with event time going on."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Samples in every read: by default one picture, 10 ms of sound, 20 ms of motion."""

    @field_validator("start_time", mode="before")
    @classmethod
    def _a_time(cls, value: Any) -> Any:
        if isinstance(value, date):
            # YAML turns an unquoted ISO time into a datetime, or a date.
            return value.isoformat()
        if isinstance(value, str) and value != "now":
            parse_time_ns(value)
        return value

    @field_validator("rate")
    @classmethod
    def _forward(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < float("inf"):
            raise ValueError(f"rate must be above 0, or max; found {value}")
        return value

    def origin_ns(self, recorded_ns: int, clock: Clock) -> int:
        """UNIX ns at which the recording begins; `recorded_ns` is what the file itself says."""
        if self.start_time is None:
            return recorded_ns
        if self.start_time == "now":
            return clock.unix_ns()
        return parse_time_ns(self.start_time)


class Pacer:
    """Holds samples back until they are due. Its zero is the first sample waited for."""

    def __init__(self, clock: Clock, rate: float | Literal["max"]) -> None:
        self._clock = clock
        self._rate = rate
        self._zero: tuple[int, int] | None = None

    def wait(self, t_ns: int, timeout_s: float) -> bool:
        """Sleep until event time t_ns is due, at most timeout_s; whether it is due now."""
        if self._rate == "max":
            return True
        now_ns = self._clock.monotonic_ns()
        if self._zero is None:
            self._zero = (now_ns, t_ns)
        due_ns = self._zero[0] + round((t_ns - self._zero[1]) / self._rate)
        wait_s = (due_ns - now_ns) * 1e-9
        if wait_s <= 0:
            return True
        self._clock.sleep(min(wait_s, timeout_s))
        return wait_s <= timeout_s

    def reset(self) -> None:
        """Take the next sample waited for as the new zero."""
        self._zero = None

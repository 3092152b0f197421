"""Which of a message's times is its event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_bind.importers.base import ImportOptions
from stream_bind.importers.records import Record

__all__ = ["Timed", "Times"]

Timed = tuple[Record, int]
"""A record, and the UNIX ns at which it was logged."""
UNIX_NS = (10**18, 4 * 10**18)
"""2001 to 2096: what counts as a UNIX time."""
DAY_NS = 86_400 * 10**9


@dataclass(slots=True)
class Times:
    """Which of a message's two times is its event time: the sensor's stamp, unless that is no time of day."""

    by_log: bool
    shift_ns: int = 0
    doubt: str = ""

    @classmethod
    def of(cls, topic: str, first: Sequence[Timed], options: ImportOptions) -> Times:
        """Judged by the first messages."""
        stamped = [(record.t_ns, at) for record, at in first if record.t_ns is not None]
        if options.by_arrival or not stamped:
            return cls(True, _shift(first[0][1], options))
        said, at = stamped[0]
        if not _is_unix(said) and _is_unix(at):
            told = (
                f"{topic}: its stamps count from {said / 1e9:.3f} s, which is no time of day; the recorder's are taken"
            )
            return cls(True, 0, told)
        if not _is_unix(said) and options.start_ns is None:
            told = (
                f"{topic}: its times count from {said / 1e9:.3f} s, which is no time of day; --start says when it began"
            )
            return cls(False, 0, told)
        if abs(said - at) > DAY_NS and _is_unix(said) and _is_unix(at):
            days = abs(said - at) / DAY_NS
            told = f"{topic}: its stamps lie {days:.1f} days from the recorder's; --by-arrival takes those"
            return cls(False, 0, told)
        return cls(False, _shift(said, options))

    def __call__(self, record: Record, log_time_ns: int) -> int:
        """Event time in ns."""
        said = None if self.by_log else record.t_ns
        return (log_time_ns if said is None else said) + self.shift_ns


def _is_unix(t_ns: int) -> bool:
    return UNIX_NS[0] <= t_ns < UNIX_NS[1]


def _shift(first_ns: int, options: ImportOptions) -> int:
    return 0 if options.start_ns is None or _is_unix(first_ns) else options.start_ns - first_ns

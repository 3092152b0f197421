"""One message of the wire as one line, for people."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_bind.messages import Embedding, Event

__all__ = ["message_line"]


def message_line(message: Embedding | Event) -> str:
    """Time of the window's end (UTC), stream, encoder, then what came: a vector's size and first numbers, or the reason
    why there is none."""
    head = f"{_clock(message.t_end)}  {message.stream:<10} {message.encoder:<10}"
    if isinstance(message, Event):
        return f"{head} {_windows(message):>14}  {message.reason}{': ' if message.detail else ''}{message.detail}"
    vector = message.vector
    numbers = " ".join(f"{value:+.3f}" for value in vector[:4])
    more = " ..." if len(vector) > 4 else ""
    marks = [] if message.status == "ok" else [message.status]
    if not message.trained:
        marks.append("untrained")
    note = f"  {', '.join(marks)}" if marks else ""
    return (
        f"{head} {message.modality:<7} #{message.seq:<5}  "
        f"coverage {message.coverage:4.0%}  d={len(vector)}  [{numbers}{more}]{note}"
    )


def _clock(t_ns: int) -> str:
    when = datetime.fromtimestamp(t_ns // 1_000_000_000, UTC)
    return f"{when:%H:%M:%S}.{t_ns % 1_000_000_000 // 1_000_000:03d}"


def _windows(event: Event) -> str:
    if event.window is None:
        return "notice"
    if event.to_window is None:
        return "no vector, on"
    n = event.to_window - event.window
    return "no vector" if n == 1 else f"{n} no vectors"

"""One message of the wire as one line, for people."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_bind.messages import Embedding, Event

__all__ = ["message_line"]


def message_line(message: Embedding | Event, caption: str = "") -> str:
    """Time of the window's end (UTC), stream, encoder, then what came: a vector's caption, or size and first numbers
    where it has none, or the reason why there is no vector."""
    head = f"{_clock(message.t_end)}  {message.stream:<10} {message.encoder:<14}"
    if isinstance(message, Event):
        return f"{head} {_windows(message):>14}  {message.reason}{': ' if message.detail else ''}{message.detail}"
    vector = message.vector
    numbers = " ".join(f"{value:+.3f}" for value in vector[:4])
    more = " ..." if len(vector) > 4 else ""
    marks = [] if message.status == "ok" else [message.status]
    if not message.trained:
        marks.append("untrained")
    note = f"  {', '.join(marks)}" if marks else ""
    what = caption or f"d={len(vector)}  [{numbers}{more}]"
    return f"{head} {message.modality:<7} #{message.seq:<5}  coverage {message.coverage:4.0%}  {what}{note}"


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

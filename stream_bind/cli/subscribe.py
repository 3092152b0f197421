"""`stream-bind subscribe`: what a rig publishes, on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.durations import parse_duration

if TYPE_CHECKING:
    from stream_bind.messages import Embedding, Event
    from stream_bind.wire.subscriber import Subscriber

__all__ = ["subscribe_command"]

POLL_S = 0.5
"""How often an idle subscriber looks at the clock."""


def subscribe_command(
    endpoint: Annotated[str, typer.Argument(help="The publisher's endpoint.")] = "tcp://127.0.0.1:5556",
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Topic prefix, such as emb/headset/cam/; repeat for more. [default: emb/ evt/]"),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many messages.")] = None,
    idle_exit: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="Stop after this long without a message, such as 5s; counts from the first message.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines: header keys plus `topic`.")] = False,
    vectors: Annotated[bool, typer.Option("--vectors", help="With --json: the vector too.")] = False,
) -> None:
    """Print the vectors and events of a running rig; waits for the rig if it is not there yet."""
    from stream_bind.wire.subscriber import Subscriber

    if vectors and not as_json:
        raise typer.BadParameter("belongs to --json", param_hint="--vectors")
    tally = {"received": 0, "events": 0}
    with Subscriber(endpoint, topics=tuple(topic or ("emb/", "evt/"))) as subscriber:
        try:
            for message in _messages(subscriber, count, idle_exit):
                tally["events" if message.kind == "evt" else "received"] += 1
                print(_json_line(subscriber, message, vectors) if as_json else _line(message), flush=True)
        finally:
            print(
                f"stream-bind: received {tally['received']} vectors and {tally['events']} events, "
                f"lost {subscriber.lost}",
                file=sys.stderr,
            )


def _messages(subscriber: Subscriber, count: int | None, idle_s: float | None) -> Iterator[Embedding | Event]:
    n, last = 0, None
    while count is None or n < count:
        wait = POLL_S
        if idle_s is not None and last is not None:
            wait = min(POLL_S, last + idle_s - time.monotonic())
            if wait <= 0:
                return
        message = subscriber.recv(wait)
        if message is not None:
            n, last = n + 1, time.monotonic()
            yield message


def _line(message: Embedding | Event) -> str:
    from stream_bind.cli.line import message_line

    return message_line(message)


def _json_line(subscriber: Subscriber, message: Embedding | Event, vectors: bool) -> str:
    from stream_bind.header import decimals

    line: dict[str, Any] = {"topic": subscriber.topic, **subscriber.header}
    if vectors and message.kind == "emb":
        line["vector"] = decimals(message.vector)  # type: ignore[union-attr]
    return json.dumps(line)

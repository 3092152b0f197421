"""The one contract of every sink: a place besides the data socket to which a rig's vectors and events go."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from stream_bind.messages import Embedding, Event

__all__ = ["Sink"]


@runtime_checkable
class Sink(Protocol):
    """Where messages go after the data socket has got them.

    Built as `Sink(config, rig)`: `config` is the sink's pydantic class, `rig` the rig's name. Building touches nothing.
    All calls come from the publish actor's one thread. Messages are numbered (`seq`, `epoch`, `t_pub`) and come in
    window order within each lane, a vector or an event for every due window. That thread publishes for all sensors, so
    no call may take long: a sink that talks to something slow queues, and writes in a thread of its own.

    A sink that raises is closed and gets nothing more in this run; the rig goes on and says so in an event, reason
    `sink_failed`. After a restart of the publish actor a sink is built and opened anew, with another `epoch`.

    A class may also carry a class method `check(config)`, which raises SinkError for what would keep it from opening;
    `stream-bind validate` calls it.
    """

    def open(self) -> None:
        """Get ready, before the first message. Called once, or again after `close`: what is there already is kept.

        Raises SinkError naming the destination, what was wanted and the next step; the rig then does not start.
        """

    def publish(self, embedding: Embedding) -> None:
        """Take one vector, right after it was published. SinkError if it cannot be kept."""

    def event(self, event: Event) -> None:
        """Take one event, right after it was published: why windows have no vector, or a notice. SinkError as above."""

    def close(self) -> None:
        """Finish what is queued and let go of everything. Never raises, may be called twice, and without `open`."""

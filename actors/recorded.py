"""What taps record: the samples of a stream as its windows saw them, and what was published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from actors.inbox import Arrival
from actors.plan import TapPlan
from actors.tap import Tap
from devices.base import Device
from stream_bind.clock import Clock
from stream_bind.log.codec import END, IDLE, ChunkWriter, Colour, Entry, Mark, TopicInfo, namespace
from stream_bind.log.vectors import embedding_entry, event_entry, topic_info
from stream_bind.messages import Chunk, Embedding, Event, StreamSpec

__all__ = ["PublishedRecording", "StreamRecording"]

LOST = "recording_lost"
SMALL = 512
"""Bytes that a mark, a vector's header or an event takes in memory."""


class _StreamCoder:
    """Chunks and marks of one stream."""

    def __init__(
        self, stream: str, spec: Callable[[], StreamSpec], *, colour: Colour, copies: bool, first_order: int
    ) -> None:
        """spec: asked at the first item, when the device is open and knows its shape."""
        self._stream, self._spec, self._colour, self._copies = stream, spec, colour, copies
        self._first_order = first_order
        self._writer: ChunkWriter | None = None
        self._topics: dict[str, TopicInfo] = {}

    def topics(self, item: Chunk | Mark) -> dict[str, TopicInfo]:
        if not self._topics:
            self._topics = self._opened().topics()
        return self._topics

    def entries(self, item: Chunk | Mark, *, after_loss: bool) -> Iterator[Entry]:
        writer = self._opened()
        if after_loss:
            t_ns = item.t_ns if isinstance(item, Mark) else int(item.t_ns[0])
            yield writer.mark(Mark(LOST, t_ns, detail="the disk could not follow, and memory for this stream was full"))
        if isinstance(item, Mark):
            yield writer.mark(item)
        else:
            yield from writer.chunk(replace(item, gap_before=True) if after_loss else item)

    def _opened(self) -> ChunkWriter:
        if self._writer is None:
            self._writer = ChunkWriter(self._stream, self._spec(), self._colour, self._copies, order=self._first_order)
        return self._writer


class _PublishedCoder:
    """Vectors and events as subscribers got them."""

    def topics(self, item: Embedding | Event) -> dict[str, TopicInfo]:
        name, info = topic_info(item)
        return {name: info}

    def entries(self, item: Embedding | Event, *, after_loss: bool) -> Iterator[Entry]:
        yield embedding_entry(item) if isinstance(item, Embedding) else event_entry(item)


class StreamRecording:
    """What the loop of a capture actor tells of one sensor."""

    def __init__(self, plan: TapPlan, device: Device, clock: Clock, life: str, *, restarted: bool) -> None:
        # Windows were cut by what the device said before it was open; only the shape was not known then.
        self._nominal, self._device, self._clock = device.spec, device, clock
        self._topic = f"{namespace(self._nominal.id)}/samples"
        coder = _StreamCoder(
            self._nominal.id,
            self._spec,
            colour=plan.colour,
            copies=plan.copies,
            # Above whatever the life before has written: a reader tells repeats by it.
            first_order=clock.unix_ns() if restarted else 0,
        )
        self._tap = Tap(plan.endpoint, f"{self._nominal.id}-{life}", coder, clock, max_bytes=plan.max_bytes)

    def _spec(self) -> StreamSpec:
        opened = self._device.spec
        return replace(self._nominal, shape=opened.shape, intrinsics=opened.intrinsics)

    def start(self) -> None:
        self._tap.start()

    def take(self, arrival: Arrival) -> None:
        """A chunk as the device sent it, with the hole before it that its windows were told of; or a notice."""
        if arrival.chunk is not None and arrival.sent is not None:
            sent = arrival.sent
            if sent.gap_before != arrival.chunk.gap_before:
                sent = replace(sent, gap_before=arrival.chunk.gap_before)
            self._tap.put(sent, _size(sent), arrival.arrived_ns, self._topic)
        elif arrival.notice is not None:
            notice = arrival.notice
            self._mark(Mark(notice.reason, notice.t_ns, notice.t_end_ns, notice.detail), arrival.arrived_ns)

    def idle_until(self, watermark_ns: int) -> None:
        """Windows up to this event time were closed by host time."""
        self._mark(Mark(IDLE, watermark_ns), self._clock.unix_ns())

    def end(self) -> None:
        """The stream has ended."""
        now_ns = self._clock.unix_ns()
        self._mark(Mark(END, now_ns), now_ns)
        self._tap.hurry()

    def _mark(self, mark: Mark, log_time_ns: int) -> None:
        self._tap.put(mark, SMALL, log_time_ns, self._topic, vital=True)

    @property
    def full(self) -> bool:
        return self._tap.full

    @property
    def idle(self) -> bool:
        return self._tap.idle

    def health(self) -> dict[str, Any]:
        return self._tap.health()

    def close(self) -> None:
        self._tap.close()


class PublishedRecording:
    """What the publish actor has sent to its subscribers."""

    def __init__(self, plan: TapPlan, clock: Clock, life: str) -> None:
        self._clock = clock
        self._tap = Tap(plan.endpoint, f"publish-{life}", _PublishedCoder(), clock, max_bytes=plan.max_bytes)

    def start(self) -> None:
        self._tap.start()

    def take(self, sent: Embedding | Event) -> None:
        size = sent.vector.nbytes + SMALL if isinstance(sent, Embedding) else SMALL
        self._tap.put(sent, size, sent.t_pub, topic_info(sent)[0])

    def end(self) -> None:
        """Nothing more will be published."""
        self._tap.hurry()

    @property
    def idle(self) -> bool:
        return self._tap.idle

    def close(self) -> None:
        self._tap.close()


def _size(chunk: Chunk) -> int:
    raw = chunk.raw
    if raw is None:
        return int(chunk.data.nbytes)
    extra = raw.samples.nbytes if isinstance(raw.samples, np.ndarray) else sum(map(len, raw.samples))
    return int(chunk.data.nbytes) + int(extra)

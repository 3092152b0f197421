"""Embeddings and events to log messages and back."""

from __future__ import annotations

import numpy as np

from stream_bind.log.codec import Entry, TopicInfo, namespace
from stream_bind.log.schemas import deserialize, message, ros_time, serialize
from stream_bind.messages import ClockInfo, Embedding, Event

__all__ = ["EMBEDDING", "EVENT", "embedding_entry", "embedding_of", "event_entry", "event_of", "topic_info"]

EMBEDDING, EVENT = "stream_bind_msgs/msg/Embedding", "stream_bind_msgs/msg/Event"
NO_WINDOW = -1


def topic_info(found: Embedding | Event) -> tuple[str, TopicInfo]:
    """The topic of this message, and what is said of it before its first one."""
    about = {"stream": found.stream, "encoder": found.encoder}
    if isinstance(found, Event):
        return f"{namespace(found.stream)}/events", TopicInfo(EVENT, {"stream": found.stream})
    name = f"{namespace(found.stream)}/embedding{namespace(found.encoder)}"
    return name, TopicInfo(EMBEDDING, {**about, "modality": found.modality})


def embedding_entry(found: Embedding) -> Entry:
    """One vector, as it was published."""
    value = message(
        EMBEDDING,
        header=message("std_msgs/msg/Header", stamp=ros_time(found.t_end), frame_id=found.stream),
        rig=found.rig,
        stream=found.stream,
        encoder=found.encoder,
        modality=found.modality,
        window=found.window,
        t_start_ns=found.t_start,
        t_end_ns=found.t_end,
        t_pub_ns=found.t_pub,
        seq=max(found.seq, 0),
        epoch=found.epoch,
        model=found.model,
        coverage=found.coverage,
        status=found.status,
        gaps=np.array([edge for gap in found.gaps for edge in gap], np.int64),
        scale=found.scale,
        trained=found.trained,
        clock_domain=found.clock.domain,
        clock_err_ns=found.clock.err_ns,
        vector=np.asarray(found.vector, np.float32),
    )
    return Entry(topic_info(found)[0], serialize(EMBEDDING, value), found.t_end)


def event_entry(found: Event) -> Entry:
    """One event, as it was published."""
    value = message(
        EVENT,
        header=message("std_msgs/msg/Header", stamp=ros_time(found.t_start), frame_id=found.stream),
        rig=found.rig,
        stream=found.stream,
        encoder=found.encoder,
        reason=found.reason,
        detail=found.detail,
        window=NO_WINDOW if found.window is None else found.window,
        to_window=NO_WINDOW if found.to_window is None else found.to_window,
        t_start_ns=found.t_start,
        t_end_ns=found.t_end,
        coverage=found.coverage,
        seq=max(found.seq, 0),
        epoch=found.epoch,
    )
    return Entry(topic_info(found)[0], serialize(EVENT, value), found.t_start)


def embedding_of(data: bytes) -> Embedding:
    """The vector in a message of type EMBEDDING."""
    value = deserialize(EMBEDDING, data)
    edges = np.asarray(value.gaps, np.int64).reshape(-1, 2).tolist()
    return Embedding(
        rig=value.rig,
        stream=value.stream,
        encoder=value.encoder,
        modality=value.modality,
        window=int(value.window),
        t_start=int(value.t_start_ns),
        t_end=int(value.t_end_ns),
        vector=np.array(value.vector, np.float32),
        model=value.model,
        coverage=float(value.coverage),
        status=value.status,
        gaps=tuple((a, b) for a, b in edges),
        scale=float(value.scale),
        trained=bool(value.trained),
        seq=int(value.seq),
        epoch=int(value.epoch),
        t_pub=int(value.t_pub_ns),
        clock=ClockInfo(value.clock_domain, int(value.clock_err_ns)),
    )


def event_of(data: bytes) -> Event:
    """The event in a message of type EVENT."""
    value = deserialize(EVENT, data)
    return Event(
        rig=value.rig,
        stream=value.stream,
        encoder=value.encoder,
        reason=value.reason,
        detail=value.detail,
        window=None if value.window == NO_WINDOW else int(value.window),
        to_window=None if value.to_window == NO_WINDOW else int(value.to_window),
        t_start=int(value.t_start_ns),
        t_end=int(value.t_end_ns),
        coverage=float(value.coverage),
        seq=int(value.seq),
        epoch=int(value.epoch),
    )

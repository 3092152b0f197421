"""A vector or an event as plain data: the keys of docs/protocol.md section 4, the same on the wire and in a sink."""

from __future__ import annotations

from typing import Any, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import Embedding, Event

__all__ = ["WIRE_VERSION", "decimals", "embedding_header", "event_header", "header_of", "plain_number", "topic_of"]

WIRE_VERSION: Literal[1] = 1
"""`v` of every header. Raised only when an old reader would misread a message; new keys alone do not raise it."""

_MAX_DETAIL = 1000


def topic_of(message: Embedding | Event) -> str:
    """Where this message goes on the wire. Unchecked: the publisher refuses ids that cannot stand in a topic."""
    if isinstance(message, Event):
        return f"evt/{message.rig}/{message.stream}/"
    return f"emb/{message.rig}/{message.stream}/{message.encoder}/"


def header_of(message: Embedding | Event) -> dict[str, Any]:
    """The header of a message whose vector is kept as float32. Values are what JSON and msgpack know, apart from numpy
    scalars that slipped in, for which there is `plain_number`."""
    if isinstance(message, Event):
        return event_header(message)
    return embedding_header(message, message.vector.astype("<f4", copy=False).tobytes(), "<f4")


def embedding_header(embedding: Embedding, payload: bytes, dtype: str) -> dict[str, Any]:
    """The header of a vector that lies in `payload` as `dtype` ("<f4" or "<f2")."""
    header = {
        "v": WIRE_VERSION,
        "kind": "emb",
        "rig": embedding.rig,
        "stream": embedding.stream,
        "encoder": embedding.encoder,
        "modality": embedding.modality,
        "seq": embedding.seq,
        "epoch": embedding.epoch,
        "window": embedding.window,
        "t_start": embedding.t_start,
        "t_end": embedding.t_end,
        "t_pub": embedding.t_pub,
        "coverage": embedding.coverage,
        "status": embedding.status,
        "gaps": list(embedding.gaps),
        "model": embedding.model,
        "dim": len(embedding.vector),
        "dtype": dtype,
        "norm": True,
        "scale": float(embedding.scale),
        "trained": embedding.trained,
        "clock": {"domain": embedding.clock.domain, "err_ns": embedding.clock.err_ns},
        "crc32": crc32(payload),
    }
    if embedding.timing:
        header["timing"] = embedding.timing
    return header


def event_header(event: Event) -> dict[str, Any]:
    """The header of an event; `detail` is cut to 1000 characters."""
    return {
        "v": WIRE_VERSION,
        "kind": "evt",
        "rig": event.rig,
        "stream": event.stream,
        "encoder": event.encoder,
        "reason": event.reason,
        # A path in a message may hold bytes that are no UTF-8, as surrogates.
        "detail": event.detail[:_MAX_DETAIL].encode("utf-8", "backslashreplace").decode(),
        "seq": event.seq,
        "epoch": event.epoch,
        "window": event.window,
        "to_window": event.to_window,
        "t_start": event.t_start,
        "t_end": event.t_end,
        "t_pub": event.t_pub,
        "coverage": event.coverage,
    }


def decimals(vector: NDArray[np.float32]) -> list[float]:
    """The vector as numbers that print short: 9 digits name every float32 exactly."""
    return [float(f"{value:.9g}") for value in vector.tolist()]


def plain_number(value: Any) -> Any:
    """A numpy scalar (window indices and times may be some) as Python's own number, for an encoder's hook."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} does not belong in a header")

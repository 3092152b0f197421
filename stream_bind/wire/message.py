"""The codec: messages to frames `[topic, header, payload]` and back. No socket, no clock.

Whatever bytes come in, decoding gives a message or raises WireError, nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
from msgspec import UNSET, Struct, structs

from stream_bind.errors import WireError
from stream_bind.header import WIRE_VERSION, embedding_header, event_header, plain_number
from stream_bind.messages import ClockInfo, Embedding, Event
from stream_bind.wire.header import (
    Announcement,
    EmbeddingHeader,
    EventHeader,
    Heartbeat,
    Lane,
)
from stream_bind.wire.topic import (
    WELCOME_PREFIX,
    Topic,
    embedding_topic,
    event_topic,
    heartbeat_topic,
    meta_topic,
    parse_topic,
)

__all__ = [
    "DTYPES",
    "WIRE_VERSION",
    "Announcement",
    "Heartbeat",
    "Lane",
    "Message",
    "compare",
    "decode",
    "decode_header",
    "encode_announcement",
    "encode_embedding",
    "encode_event",
    "encode_heartbeat",
]

DTYPES = ("<f4", "<f2")
"""Payload element types: little-endian IEEE single or half precision."""

Frames = Sequence[bytes]

_WELCOME = Topic("meta", "")
_UNIT_TOLERANCE = 2e-3
"""On the squared norm. Half precision alone moves it by up to 1e-3 (2^-11 per element, twice)."""
_REASON = re.compile(r"[a-z0-9_]{1,64}")

Message = Embedding | Event | Heartbeat | Announcement


class _AnyHeader(Struct):
    """Enough of any version's header to say why it cannot be read."""

    v: Any = None


_encode = msgspec.msgpack.Encoder(enc_hook=plain_number).encode
_decode_any = msgspec.msgpack.Decoder(_AnyHeader).decode
_decoders: dict[str, Callable[[bytes], EmbeddingHeader | EventHeader | Heartbeat | Announcement]] = {
    "emb": msgspec.msgpack.Decoder(EmbeddingHeader).decode,
    "evt": msgspec.msgpack.Decoder(EventHeader).decode,
    "hb": msgspec.msgpack.Decoder(Heartbeat).decode,
    "meta": msgspec.msgpack.Decoder(Announcement).decode,
}


def encode_embedding(embedding: Embedding, dtype: str = "<f4") -> list[bytes]:
    """Frames of one vector. WireError if the vector is not (d,), finite and of length 1, or an id is no topic."""
    topic = embedding_topic(embedding.rig, embedding.stream, embedding.encoder)
    vector = np.ascontiguousarray(embedding.vector, dtype=np.float32)
    if vector.ndim != 1 or not 1 <= len(vector) <= 65536:
        raise WireError(f"{topic.decode()}: a vector should have one axis of 1 to 65536, found shape {vector.shape}")
    # One dot product finds NaN, infinity and a forgotten normalisation alike: 0.6 us for 1024 elements.
    squared = float(vector @ vector)
    if not abs(squared - 1.0) <= _UNIT_TOLERANCE:
        raise WireError(
            f"{topic.decode()}: window {embedding.window}: the vector should have length 1, "
            f"found {math.sqrt(squared):g}; the encoder gave something that is no embedding"
        )
    if dtype not in DTYPES:
        raise WireError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
    payload = vector.astype(dtype, copy=False).tobytes()
    return [topic, _encode(embedding_header(embedding, payload, dtype)), payload]


def encode_event(event: Event) -> list[bytes]:
    """Frames of one event; the payload is empty. WireError if an id, the reason or the window range cannot be."""
    topic = event_topic(event.rig, event.stream)
    if not _REASON.fullmatch(event.reason):
        raise WireError(f"{topic.decode()}: reason {event.reason[:80]!r} should be one word of a-z, 0-9 and '_'")
    if event.window is None and event.to_window is not None:
        raise WireError(f"{topic.decode()}: an event up to window {event.to_window} has to say from which one")
    if event.window is not None and event.to_window is not None and event.to_window <= event.window:
        raise WireError(f"{topic.decode()}: an event cannot cover windows [{event.window}, {event.to_window})")
    return [topic, _encode(event_header(event)), b""]


def encode_heartbeat(heartbeat: Heartbeat) -> list[bytes]:
    """Frames of one heartbeat; the payload is empty."""
    return [heartbeat_topic(heartbeat.rig), _encode(heartbeat), b""]


def encode_announcement(meta: Announcement, topic: bytes | None = None) -> list[bytes]:
    """Frames of one meta message, under `topic` where it answers a subscriber's own; the payload is empty."""
    lanes = [
        structs.replace(lane, topic=embedding_topic(meta.rig, lane.stream, lane.encoder).decode("ascii"))
        for lane in meta.streams
    ]
    return [topic or meta_topic(meta.rig), _encode(structs.replace(meta, streams=lanes)), b""]


def decode(frames: Frames) -> Message | None:
    """The message in `frames`, or None for a kind of topic that is reserved but not read by this version (`tag/`).

    An embedding's vector is a read-only float32 view of the payload frame (a converted copy for "<f2").
    Frames after the third and unknown header keys are ignored. WireError, saying what is wrong, for anything malformed.
    """
    if len(frames) < 3:
        raise WireError(f"a message has frames [topic, header, payload], found {len(frames)} frame(s)")
    topic, raw, payload = bytes(frames[0]), frames[1], frames[2]
    named = _WELCOME if topic.startswith(WELCOME_PREFIX) else parse_topic(topic)
    if named.kind == "tag":
        return None
    try:
        header = _decoders[named.kind](raw)
    except (ValueError, RecursionError) as error:
        raise WireError(_explain(topic, raw, error)) from None
    try:
        if named is not _WELCOME and header.rig != named.rig:
            raise WireError(f"header is of rig {header.rig[:80]!r}, which is not what the topic says")
        if isinstance(header, EmbeddingHeader):
            return _make_embedding(header, named, payload)
        if isinstance(header, EventHeader):
            return _make_event(header, named)
    except WireError as error:
        raise WireError(f"{_shown(topic)}: {error}") from None
    return header


def decode_header(frames: Frames) -> dict[str, Any]:
    """The header of a message that `decode` accepted, every key as received, unknown ones included."""
    header: dict[str, Any] = msgspec.msgpack.decode(frames[1], type=dict)
    return header


def compare(a: Embedding, b: Embedding) -> float:
    """Cosine similarity of two embeddings, -1..1. WireError if they come from different models, where the number
    would mean nothing. Different encoders or modalities of one model may be compared: that is what it is for."""
    if a.model != b.model or not a.model:
        raise WireError(
            f"vectors of {a.stream} ({a.model or 'model unknown'}) and {b.stream} ({b.model or 'model unknown'}) "
            "do not compare: they do not come from the same model and weights"
        )
    if a.vector.shape != b.vector.shape:
        raise WireError(
            f"vectors of {a.stream} {a.vector.shape} and {b.stream} {b.vector.shape} do not compare: sizes differ"
        )
    return float(a.vector @ b.vector)


def _make_embedding(header: EmbeddingHeader, named: Topic, payload: bytes) -> Embedding:
    if header.stream != named.stream or header.encoder != named.encoder:
        raise WireError(f"header is of {header.stream[:80]}/{header.encoder[:80]}, which is not what the topic says")
    dtype = np.dtype(header.dtype)
    if len(payload) != header.dim * dtype.itemsize:
        wanted = header.dim * dtype.itemsize
        raise WireError(f"payload should be {wanted} bytes ({header.dim} x {header.dtype}), found {len(payload)}")
    if (found := crc32(payload)) != header.crc32:
        raise WireError(f"payload is damaged: CRC-32 should be {header.crc32:08x}, found {found:08x}")
    vector = np.frombuffer(payload, dtype=dtype).astype(np.float32, copy=False)
    vector.setflags(write=False)
    return Embedding(
        rig=header.rig,
        stream=header.stream,
        encoder=header.encoder,
        modality=header.modality,
        window=header.window,
        t_start=header.t_start,
        t_end=header.t_end,
        vector=vector,
        model=header.model,
        coverage=header.coverage,
        status=header.status,
        gaps=tuple(header.gaps),
        scale=header.scale,
        trained=header.trained,
        seq=header.seq,
        epoch=header.epoch,
        t_pub=header.t_pub,
        clock=ClockInfo(header.clock.domain, header.clock.err_ns),
        timing={} if header.timing is UNSET else header.timing,
    )


def _make_event(header: EventHeader, named: Topic) -> Event:
    if header.stream != named.stream:
        raise WireError(f"header is of stream {header.stream[:80]!r}, which is not what the topic says")
    return Event(
        rig=header.rig,
        stream=header.stream,
        encoder=header.encoder,
        reason=header.reason,
        detail=header.detail,
        window=header.window,
        to_window=header.to_window,
        t_start=header.t_start,
        t_end=header.t_end,
        coverage=header.coverage,
        seq=header.seq,
        epoch=header.epoch,
        t_pub=header.t_pub,
    )


def _explain(topic: bytes, raw: bytes, error: Exception) -> str:
    """Why a header cannot be read; a foreign version is the likeliest reason and the one with a remedy."""
    try:
        version = _decode_any(raw).v
    except (ValueError, RecursionError):
        return f"{_shown(topic)}: header is not a msgpack map that can be read: {error}"
    if version != WIRE_VERSION:
        return (
            f"{_shown(topic)}: wire version {str(version)[:40]}, this reader knows {WIRE_VERSION}; "
            "use the same release of stream-bind at both ends"
        )
    return f"{_shown(topic)}: header does not follow wire version {WIRE_VERSION}: {error}"


def _shown(topic: bytes) -> str:
    return topic[:120].decode("ascii", "backslashreplace")

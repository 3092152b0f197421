"""The headers as they lie on the wire, key for key in docs/protocol.md. Layout only; the codec is in message.py.

Decoding checks types and ranges; keys it does not know are skipped.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from stream_bind.header import WIRE_VERSION
from stream_bind.messages import Intrinsics

__all__ = ["WIRE_VERSION", "Announcement", "EmbeddingHeader", "EventHeader", "Heartbeat", "Lane"]

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Dim = Annotated[int, Meta(ge=1, le=65536)]
Crc32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Dtype = Literal["<f4", "<f2"]


class ClockHeader(Struct, frozen=True, gc=False):
    domain: str
    err_ns: Int64


class EmbeddingHeader(Struct, frozen=True):
    v: Literal[1]
    kind: Literal["emb"]
    rig: str
    stream: str
    encoder: str
    modality: str
    seq: Count
    epoch: Int64
    window: Int64
    t_start: Int64
    t_end: Int64
    t_pub: Int64
    coverage: Share
    status: str
    gaps: list[tuple[Int64, Int64]]
    model: str
    dim: Dim
    dtype: Dtype
    norm: bool
    scale: float
    trained: bool
    clock: ClockHeader
    crc32: Crc32
    timing: dict[str, Int64] | UnsetType = UNSET


class EventHeader(Struct, frozen=True):
    v: Literal[1]
    kind: Literal["evt"]
    rig: str
    stream: str
    encoder: str
    reason: str
    detail: str
    seq: Count
    epoch: Int64
    window: Int64 | None
    to_window: Int64 | None
    t_start: Int64
    t_end: Int64
    t_pub: Int64
    coverage: Share


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Once a second: the last seq of every topic, so that a lost tail shows."""

    v: Literal[1] = WIRE_VERSION
    kind: Literal["hb"] = "hb"
    rig: str
    epoch: Int64
    t_pub: Int64
    last: dict[str, Count]
    """Topic to the seq of the last message sent under it."""
    closing: bool = False
    """The publisher's last message: nothing of this epoch follows."""


class Lane(Struct, frozen=True, kw_only=True):
    """One (stream, encoder) pair of a rig: its window grid and what its vectors are.

    Window `i` covers [i*hop_ns - length_ns, i*hop_ns) in UNIX ns.
    """

    stream: str
    encoder: str
    modality: str
    topic: str = ""
    """Where its vectors come; the publisher fills this in."""
    hop_ns: Positive
    length_ns: Positive
    first_window: Int64 | None = None
    """First due window; None until the stream's first sample."""
    end_window: Int64 | None = None
    """One past the last due window; None while the stream goes on."""
    outage: Int64 | None = None
    """First window of an outage that is still going on; the publisher fills this in from the events it sends."""
    model: str = ""
    """`name@digest`; "" until the encoder has loaded."""
    dim: Annotated[int, Meta(ge=0, le=65536)] = 0
    """Elements of a vector; 0 until the encoder has loaded."""
    dtype: Dtype = "<f4"
    norm: bool = True
    scale: float = 1.0
    trained: bool = True
    """False for seeded random weights, whose vectors mean nothing."""


class Announcement(Struct, frozen=True, kw_only=True):
    """A meta message: what a rig publishes, and the last seq of every topic at the moment of sending."""

    v: Literal[1] = WIRE_VERSION
    kind: Literal["meta"] = "meta"
    rig: str
    epoch: Int64
    t_pub: Int64
    version: str
    """The publishing program and its version, for people."""
    backfill: str | None = None
    """Endpoint of the backfill socket; None where there is none."""
    last: dict[str, Count]
    streams: list[Lane]
    cameras: dict[str, Intrinsics] | UnsetType = UNSET
    """Stream to the calibration that its camera carries; absent where none does."""

"""Topic names: what goes into the first frame, and how it is read back.

A topic ends in a slash, because a SUB socket matches by prefix: without it `emb/rig/cam1` would also match `cam10`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from stream_bind.errors import WireError

__all__ = [
    "WELCOME_PREFIX",
    "Topic",
    "check_id",
    "embedding_topic",
    "event_topic",
    "heartbeat_topic",
    "meta_topic",
    "parse_topic",
]

WELCOME_PREFIX = b"~"
"""A subscription that begins with this byte asks for one meta message under exactly the subscribed topic."""

_MAX_ID = 64
_ID = re.compile(rf"[a-z0-9_.-]{{1,{_MAX_ID}}}")
_ID_COUNT = {"emb": 3, "evt": 2, "tag": 2, "hb": 1, "meta": 1}


class Topic(NamedTuple):
    """A topic taken apart. `stream` and `encoder` are "" where the kind has none."""

    kind: str
    rig: str
    stream: str = ""
    encoder: str = ""


def check_id(noun: str, value: str) -> str:
    """`value` itself, if it can stand in a topic: 1 to 64 of a-z 0-9 _ . and -. WireError otherwise."""
    if not _ID.fullmatch(value):
        raise WireError(
            f"{noun} {value[:80]!r} cannot be part of a topic: use 1 to {_MAX_ID} characters of a-z, 0-9, '_', '.', '-'"
        )
    return value


@lru_cache(maxsize=1024)
def embedding_topic(rig: str, stream: str, encoder: str) -> bytes:
    """Where the vectors of one lane go."""
    check_id("rig", rig)
    check_id("stream", stream)
    check_id("encoder", encoder)
    return f"emb/{rig}/{stream}/{encoder}/".encode("ascii")


@lru_cache(maxsize=1024)
def event_topic(rig: str, stream: str) -> bytes:
    """Where the events of a stream go, whatever its encoders."""
    check_id("rig", rig)
    check_id("stream", stream)
    return f"evt/{rig}/{stream}/".encode("ascii")


def heartbeat_topic(rig: str) -> bytes:
    return f"hb/{check_id('rig', rig)}/".encode("ascii")


def meta_topic(rig: str) -> bytes:
    return f"meta/{check_id('rig', rig)}/".encode("ascii")


@lru_cache(maxsize=4096)
def parse_topic(topic: bytes) -> Topic:
    """Take a topic apart; WireError if it is none of docs/protocol.md. Bounded cache: 0.1 us for a known topic."""
    shown = repr(bytes(topic[:120]))[1:]
    try:
        kind, *ids, end = topic.decode("ascii").split("/")
    except ValueError:  # not ASCII, or no slash at all
        raise WireError(f"topic {shown} is not ASCII words that each end in '/'") from None
    if kind not in _ID_COUNT:
        known = ", ".join(f"{name}/" for name in _ID_COUNT)
        raise WireError(f"topic {shown} is of no known kind; this reader knows {known}")
    if end or len(ids) != _ID_COUNT[kind]:
        raise WireError(f"topic {shown} should be '{kind}/' and {_ID_COUNT[kind]} id(s), each ended by '/'")
    for value in ids:
        check_id(f"topic {shown}: id", value)
    return Topic(kind, *ids)

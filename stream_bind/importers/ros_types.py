"""Bytes of ROS messages to messages, by the definitions that the log itself holds, or else by those of the standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from stream_bind.log.schemas import typestore

__all__ = ["Decode", "ros_decoder"]

Decode = Callable[[bytes], Any]
"""Raises whatever damaged bytes bring the library to."""
_FAULTS = (TypesysError, ValueError, KeyError, SyntaxError, AttributeError, TypeError, AssertionError)


def ros_decoder(name: str, definition: str, *, serialization: str, idl: bool = False) -> Decode | None:
    """Of one type. definition: the type's text and those it is made of; empty: the standard's is taken.
    serialization: cdr or ros1. None where the type is not known."""
    kind = name if "/msg/" in name else name.replace("/", "/msg/", 1)
    for store in _stores(kind, definition, serialization, idl):
        if kind not in store.fielddefs:
            continue
        if serialization == "cdr":
            return lambda data, store=store: store.deserialize_cdr(data, kind)  # type: ignore[misc]
        return lambda data, store=store: store.deserialize_ros1(data, kind)  # type: ignore[misc]
    return None


def _stores(kind: str, definition: str, serialization: str, idl: bool) -> list[Typestore]:
    """The log's own definitions first; they may be too short to stand alone."""
    standard = typestore() if serialization == "cdr" else get_typestore(Stores.ROS1_NOETIC)
    if not definition.strip():
        return [standard]
    try:
        types = get_types_from_idl(definition) if idl else get_types_from_msg(definition, kind)
        own = get_typestore(Stores.EMPTY)
        own.register({**_needed(types, standard), **types})
    except _FAULTS:
        return [standard]
    return [own, standard]


def _needed(types: Any, standard: Typestore) -> dict[str, Any]:
    """Standard types that the definition may refer to without holding them."""
    return {name: fields for name, fields in standard.fielddefs.items() if name not in types}

"""Faults of a configuration: where each one lies, in one line, and the nearest name to an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream_bind.config.document import Document, Path
from stream_bind.errors import ConfigError

__all__ = ["NAME_PATTERN", "Problems", "nearest", "show_path", "unknown_key"]

NAME_PATTERN = r"^[a-z0-9_.-]+$"
"""What can stand in a topic."""

UNITS = {
    "_s": "a number of seconds",
    "_ms": "a number of milliseconds",
    "_hz": "a number of hertz",
    "_deg": "a number of degrees",
    "_m": "a number of metres",
    "_mb": "a number of megabytes",
    "_bytes": "a number of bytes",
}
"""What a key's suffix says about its value."""


def show_path(path: Path) -> str:
    """`("streams", 2, "device")` as `streams[2].device`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `name`, or nothing."""
    near = difflib.get_close_matches(name, [str(k) for k in known], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_key(name: str, known: Iterable[str]) -> str:
    """What is said of a key that does not exist: the nearest one, or all if none is near."""
    keys = sorted(set(known))
    hint = nearest(name, keys) or f" (known: {', '.join(keys)})"
    return f"unknown key {name!r}{hint}"


class Problems:
    """Collects every fault of one document, so that a person mends them in one go."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._paths: set[Path] = set()
        self._found: list[tuple[tuple[int, int], str]] = []
        self._settled: set[Path] = set()
        for path, message in document.faults:
            self.add(path, message)
            self._settled.add(path)

    def __contains__(self, path: Path) -> bool:
        return path in self._paths

    def add(self, path: Path, message: str, *, key: bool = False) -> None:
        """A fault of the value at `path` (or of its key), or of the nearest thing above that is written down."""
        if path in self._settled:
            return  # an unset variable explains everything else about this value
        self._paths.add(path)
        where = self.document.where(path, key=key)
        shown = show_path(path)
        line = f"{where.text}: {shown}: {message}" if shown else f"{where.text}: {message}"
        if all(old != line for _, old in self._found):
            self._found.append(((where.line, where.column), line))

    def add_validation(self, error: ValidationError, path: Path, known: Mapping[Path, Iterable[str]]) -> None:
        """All faults pydantic found below `path`. `known` gives the keys allowed at a path, for the nearest name."""
        told: set[Path] = set()
        for details in error.errors(include_url=False):
            place = self.document.trim(path + tuple(details["loc"]))
            if details["type"] not in {"missing", "extra_forbidden"} and len(place) < len(path) + len(details["loc"]):
                # Alternatives of one value: the first says enough, and knows the nearest word.
                if place in told:
                    continue
                told.add(place)
            self.add_details(details, path, known)

    def add_details(self, details: ErrorDetails, base: Path, known: Mapping[Path, Iterable[str]]) -> None:
        """One fault as pydantic tells it, its location counted from `base`."""
        kind, loc = details["type"], tuple(details["loc"])
        if kind == "extra_forbidden":
            parent, name = loc[:-1], str(loc[-1])
            self.add(base + loc, unknown_key(name, known.get(parent, ())), key=True)
            return
        if kind == "missing":
            parent = self.document.trim(base + loc[:-1])
            self.add((*parent, loc[-1]), f"the key {loc[-1]!r} is missing")
            return
        path = self.document.trim(base + loc)
        self.add(path, _sentence(details, path))

    def sorted(self) -> tuple[str, ...]:
        return tuple(line for _, line in sorted(self._found, key=lambda item: item[0]))

    def raise_if_any(self) -> None:
        """ConfigError with all lines, in the file's order."""
        if self._found:
            lines = self.sorted()
            raise ConfigError("\n".join(lines), lines)


def _sentence(details: ErrorDetails, path: Path) -> str:
    kind, found, context = details["type"], details.get("input"), details.get("ctx", {})
    name = next((str(part) for part in reversed(path) if isinstance(part, str)), "")
    shown = _show(found)
    if kind in {"float_parsing", "float_type", "int_parsing", "int_type", "int_from_float", "finite_number"}:
        wanted = "a whole number" if kind.startswith("int") else "a number"
        wanted = next((unit for suffix, unit in UNITS.items() if name.endswith(suffix)), wanted)
        return f"expected {wanted}, without a unit, found {shown}"
    if kind in {"literal_error", "enum"}:
        expected = str(context.get("expected", ""))
        hint = ""
        if isinstance(found, str):
            hint = nearest(found, [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")])
        return f"expected {expected}, found {shown}{hint}"
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", details["msg"]))
    if kind == "string_pattern_mismatch" and context.get("pattern") == NAME_PATTERN:
        return f"expected 1 to 64 of a-z, 0-9, '_', '.' and '-', found {shown}"
    if kind == "string_type":
        return f"expected text, found {shown}"
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return f"expected a section of `key: value` lines, found {shown}"
    if kind in {"list_type", "tuple_type"}:
        return f"expected a list, found {shown}"
    message = details["msg"].replace("Input should be", "must be")
    return f"{message[:1].lower()}{message[1:]}, found {shown}"


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

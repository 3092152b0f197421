"""The YAML text as plain data that remembers where everything stands; `${ENV:default}` and `--set` are applied here."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stream_bind.errors import ConfigError

__all__ = ["Document", "Path", "Where", "apply_overrides", "parse_document", "parse_scalar", "read_document"]

Path = tuple[str | int, ...]

VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}")


class Where(NamedTuple):
    """A place a person can go to; 1-based."""

    text: str
    line: int
    column: int


@dataclass
class Document:
    """Plain dicts, lists and scalars under `data`, and the place of every key and value."""

    data: dict[str, Any]
    source: str
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    overrides: dict[Path, str] = field(default_factory=dict)
    """Paths set on the command line, with the words used."""
    faults: list[tuple[Path, str]] = field(default_factory=list)
    """What interpolation could not resolve."""

    def where(self, path: Path, *, key: bool = False) -> Where:
        """The place of the value (or key) at `path`, or of the nearest thing above it that is written down."""
        for length in range(len(path), -1, -1):
            head = path[:length]
            if head in self.overrides:
                return Where(f"--set {self.overrides[head]}", 1 << 30, 0)
            at = self.keys.get(head) if key or length < len(path) else None
            at = at or self.values.get(head) or self.keys.get(head)
            if at is not None:
                return Where(f"{self.source}:{at[0] + 1}:{at[1] + 1}", at[0] + 1, at[1] + 1)
        return Where(f"{self.source}:1:1", 1, 1)

    def trim(self, path: Path) -> Path:
        """`path` without the tail that names a type's alternative (pydantic adds those) rather than a key."""
        node: Any = self.data
        for index, part in enumerate(path):
            if isinstance(node, Mapping):
                if part not in node:
                    return path[:index]
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                return path[:index]
        return path


def read_document(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Document:
    """The YAML file at `path`. ConfigError, with line and column, where it is no YAML mapping."""
    name = os.fspath(path)
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text (byte {error.start}); a configuration is a YAML file") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    return parse_document(text, name, environ)


def parse_document(text: str, source: str, environ: Mapping[str, str] | None = None) -> Document:
    """`text` as a document; `source` is what places are called by."""
    yaml = YAML(typ="rt")
    try:
        tree = yaml.load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"
        raise ConfigError(f"{source}:{at}: {_syntax(error)}") from None
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"{source}:1:1: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, CommentedMap):
        found = "is empty" if tree is None else f"holds a {'list' if isinstance(tree, list) else 'single value'}"
        raise ConfigError(f"{source}:1:1: the file {found}; expected a section that begins with `version: 1`")
    document = Document({}, source)
    document.data = _plain(tree, (), document, os.environ if environ is None else environ)
    return document


def parse_scalar(text: str) -> Any:
    """`text` as YAML reads a value: 3 is a number, true a truth value, [a, b] a list."""
    try:
        return YAML(typ="safe", pure=True).load(io.StringIO(text))
    except YAMLError:
        return text


def _syntax(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "not YAML").split())
    if "cannot start any token" in problem and "\\t" in problem:
        return "a tab is used for indentation; use spaces"
    if problem.startswith("found duplicate key"):
        return problem.split(" with value")[0].replace("found duplicate", "duplicate")
    context = f" {error.context}" if error.context and error.context not in problem else ""
    return f"not YAML: {problem}{context}"


def _plain(node: Any, path: Path, document: Document, environ: Mapping[str, str]) -> Any:
    if isinstance(node, CommentedMap):
        for key in node:
            at = node.lc.data.get(key) if node.lc.data else None  # a key merged in by << has no place of its own
            if at is not None:
                document.keys[*path, str(key)] = (at[0], at[1])
                document.values[*path, str(key)] = (at[2], at[3])
        return {str(key): _plain(value, (*path, str(key)), document, environ) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            at = node.lc.data.get(index) if node.lc.data else None
            if at is not None:
                document.values[*path, index] = (at[0], at[1])
        return [_plain(value, (*path, index), document, environ) for index, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, str):
        return _interpolate(str(node), path, document, environ)
    # YAML makes dates of some words; the schema wants the text.
    return node.isoformat() if hasattr(node, "isoformat") else str(node)


def _interpolate(text: str, path: Path, document: Document, environ: Mapping[str, str]) -> Any:
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name is None:
            return "${"  # $${ is a literal ${
        found = environ.get(name)
        if found is not None:
            return found
        if default is None:
            document.faults.append((path, f"the environment variable {name} is not set; write ${{{name}:DEFAULT}}"))
        return default or ""

    whole = VARIABLE.fullmatch(text)
    replaced = VARIABLE.sub(value, text)
    if whole is None or whole.group(1) is None:
        return replaced
    # A scalar that is one variable and nothing else takes the type its text has in YAML.
    typed = parse_scalar(replaced)
    if isinstance(typed, int) and re.match(r"[+-]?0\d", replaced):
        return replaced  # a serial number such as 038122250813, not a count
    return replaced if isinstance(typed, dict | list) else typed if _is_plain(typed) else replaced


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Set `key.path=value` in place; list items go by their `id` or index. ConfigError names what does not exist."""
    faults = []
    for override in overrides:
        try:
            _apply(document, override)
        except ValueError as error:
            faults.append(f"--set {override}: {error}")
    if faults:
        raise ConfigError("\n".join(faults), tuple(faults))


def _apply(document: Document, override: str) -> None:
    dotted, equals, text = override.partition("=")
    parts = [part for part in re.sub(r"\[(\d+)\]", r".\1", dotted.strip()).split(".") if part]
    if not equals or not parts:
        raise ValueError("expected KEY.PATH=VALUE, such as streams.cam.delay_ms=20")
    node: Any = document.data
    path: Path = ()
    while parts:
        if isinstance(node, list):
            index, used = _find(node, parts)
            part: str | int = index
            parts = parts[used:]
        elif isinstance(node, dict):
            part = parts.pop(0)
        else:
            shown = ".".join(str(p) for p in path)
            raise ValueError(f"{shown} is a single value ({node!r}) and has no key {parts[0]!r}")
        path = (*path, part)
        if not parts:
            node[part] = parse_scalar(text)
            document.overrides[path] = override
        elif isinstance(node, dict) and node.get(str(part)) is None:
            node[str(part)] = {}
            node = node[str(part)]
        else:
            node = node[part]


def _find(items: list[Any], parts: list[str]) -> tuple[int, int]:
    """The index of the item meant by the first of `parts` (ids may hold dots), and how many parts that took."""
    if parts[0].isdigit():
        if int(parts[0]) < len(items):
            return int(parts[0]), 1
        raise ValueError(f"there is no item {parts[0]}; the list has {len(items)}, counted from 0")
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    for used in range(len(parts), 0, -1):  # of `cam` and `cam.left` the longer one is meant
        name = ".".join(parts[:used])
        if name in ids:
            return ids.index(name), used
    known = ", ".join(str(i) for i in ids if i is not None) or "none has an id"
    raise ValueError(f"no item has the id {parts[0]!r} (known: {known})")

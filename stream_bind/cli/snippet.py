"""A found sensor as the YAML of a stream, ready to stand under `streams:`."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from devices.base import Found
from stream_bind.clock import ManualClock
from stream_bind.messages import IMU_AXES
from stream_bind.registry import DEVICES

__all__ = ["propose_id", "stream_section", "to_yaml", "what_is_missing"]

_LONGEST_ID = 24
_SAYS_NOTHING = {"usb", "the", "device", "audio", "video", "camera", "input", "hw", "and", "of", "on", "to", "uart"}
"""Words of device names that do not tell one from another."""
_NOUNS = {"vision": "cam", "audio": "mic", "depth": "depth", "thermal": "thermal", "imu": "imu"}


def propose_id(found: Found, taken: Collection[str] = ()) -> str:
    """A short name for the stream, made of the words of the sensor's that tell something; none of `taken`."""
    # "HD Pro Webcam C920: HD Pro Webcam C920", "USB Audio: - (hw:1,0)"
    head = re.split(r"[:(]", found.name)[0]
    plain = unicodedata.normalize("NFKD", head).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain) if word not in _SAYS_NOTHING]
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word
        if len(longer) > _LONGEST_ID:
            break
        name = longer
    base = name or (words[0][:_LONGEST_ID] if words else _NOUNS.get(found.modality, found.modality))
    proposed, n = base, 2
    while proposed in taken:
        proposed, n = f"{base}-{n}", n + 1
    return proposed


def what_is_missing(found: Found) -> tuple[str, ...]:
    """What keeps the `device:` mapping from being used: "rate_hz" for a key nobody could tell; empty: nothing."""
    entry = DEVICES.get(str(found.config.get("type")))
    try:
        _settings(entry.config, found)
    except ValidationError as error:
        return tuple(_fault(fault["type"], fault["loc"], fault["msg"]) for fault in error.errors(include_url=False))
    return ()


def stream_section(found: Found, stream_id: str) -> dict[str, Any]:
    """The stream as a mapping; a motion sensor without a gyroscope gets the setting its encoder needs."""
    section: dict[str, Any] = {"id": stream_id, "modality": found.modality, "device": dict(found.config)}
    if found.modality == "imu" and not what_is_missing(found):
        entry = DEVICES.get(str(found.config["type"]))
        cls: Any = entry.cls
        axes = cls(_settings(entry.config, found), stream_id, ManualClock()).spec.axes
        if set(axes) < set(IMU_AXES):
            section["missing_axes"] = "zero"
    return section


def to_yaml(section: Mapping[str, Any]) -> str:
    """One item of the list under `streams:`, indented by two blanks, ending in a line break."""
    yaml = YAML(typ="rt")
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096  # a wrapped device name is one nobody can compare with what the machine lists
    yaml.allow_unicode = True
    text = io.StringIO()
    yaml.dump([_escaped(section)], text)
    return text.getvalue()


def _fault(kind: str, place: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in place)
    return name if kind == "missing" else f"{name}: {message}" if name else message


def _escaped(value: Any) -> Any:
    """`${` in a device's name is no variable."""
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    if hasattr(value, "item"):
        return value.item()  # a number of numpy's
    if not isinstance(value, str):
        return value
    text = value.replace("${", "$${")
    return text if text.isprintable() else DoubleQuotedScalarString(text)  # which writes such signs as escapes


def _settings(config: type, found: Found) -> Any:
    fields = getattr(config, "model_fields", {})
    own = {key: value for key, value in found.config.items() if key != "type" or "type" in fields}
    if "modality" in fields:
        own.setdefault("modality", found.modality)
    return config(**own)

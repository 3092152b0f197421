"""The JSON Schema of the YAML file, for editors (`# yaml-language-server: $schema=...`)."""

from __future__ import annotations

import copy
from typing import Any

from stream_bind.config.load import TOP_KEYS
from stream_bind.config.schema import PIPELINE_KEYS, RigConfig
from stream_bind.registry import DEVICES, ENCODERS, SINKS, Registry

__all__ = ["json_schema"]

VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""A scalar may always be `${ENV:default}`."""


def json_schema() -> dict[str, Any]:
    """Draft 2020-12 schema with every device, encoder and sink type that this installation knows.

    It says less than `validate` (nothing across sections), and where a driver cannot be imported its settings are free.
    """
    schema = RigConfig.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    encoder = definitions.pop("EncoderConfig")
    pipeline = {key: encoder["properties"][key] for key in PIPELINE_KEYS}
    definitions["DeviceConfig"] = _one_of(DEVICES, "type", {}, definitions)
    definitions["SinkConfig"] = _one_of(SINKS, "type", {}, definitions)
    definitions["EncoderConfig"] = _one_of(ENCODERS, "model", pipeline, definitions)
    properties = schema["properties"]
    properties["encoder"] = {"$ref": "#/$defs/EncoderConfig", "description": "The only encoder, named after its model."}
    schema["properties"] = {key: properties[key] for key in TOP_KEYS}
    schema["required"] = ["version", "rig", "streams"]
    schema["oneOf"] = [{"required": ["encoder"]}, {"required": ["encoders"]}]
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "stream-bind rig"
    _allow_variables(schema)
    return schema


def _one_of(registry: Registry, key: str, extra: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    alternatives = []
    for name in registry.names():
        try:
            entry = registry.get(name)
            one: dict[str, Any] = entry.config.model_json_schema()  # type: ignore[attr-defined]
        except ImportError:
            one = {"type": "object", "properties": {}}
        one = copy.deepcopy(one)
        for inner, definition in one.pop("$defs", {}).items():
            definitions.setdefault(inner, definition)
        # The stream's own modality is filled in where a driver asks for one.
        required = [k for k in one.get("required", []) if k != "modality"]
        one["properties"] = {**one.get("properties", {}), **extra, key: {"const": name}}
        one["required"] = sorted({*required, key})
        one["title"] = name
        alternatives.append(one)
    return {"oneOf": alternatives}


def _allow_variables(node: Any) -> None:
    """Let every number, truth value and choice also be a variable."""
    if isinstance(node, list):
        for item in node:
            _allow_variables(item)
    if not isinstance(node, dict):
        return
    for holder in ("properties", "$defs"):
        for key, value in list(node.get(holder, {}).items()):
            _allow_variables(value)
            if holder == "properties" and isinstance(value, dict) and _is_narrow(value):
                described = {k: value.pop(k) for k in ("description", "default", "title") if k in value}
                node[holder][key] = {"anyOf": [dict(value), VARIABLE], **described}
    for key in ("oneOf", "anyOf", "items"):
        _allow_variables(node.get(key))


def _is_narrow(value: dict[str, Any]) -> bool:
    return value.get("type") in {"number", "integer", "boolean"} or "enum" in value

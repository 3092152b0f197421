"""The YAML file: schema, positions, interpolation and every check that needs no hardware."""

from __future__ import annotations

from stream_bind.config.editor_schema import json_schema
from stream_bind.config.lanes import Lane, resolve
from stream_bind.config.load import load_config, parse_config
from stream_bind.config.runtime import RuntimeConfig
from stream_bind.config.schema import (
    DeviceConfig,
    EncoderConfig,
    PublishConfig,
    RestartConfig,
    RigConfig,
    SinkConfig,
    StreamConfig,
    WindowConfig,
)

__all__ = [
    "DeviceConfig",
    "EncoderConfig",
    "Lane",
    "PublishConfig",
    "RestartConfig",
    "RigConfig",
    "RuntimeConfig",
    "SinkConfig",
    "StreamConfig",
    "WindowConfig",
    "json_schema",
    "load_config",
    "parse_config",
    "resolve",
]

"""A checked config as YAML text again: what a recording carries, so that a replay needs no other file."""

from __future__ import annotations

import io
import re
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from stream_bind.config.schema import RigConfig

__all__ = ["dump_config"]


def dump_config(config: RigConfig) -> str:
    """YAML that `parse_config` turns into the same rig; variables and `--set` are in it, passwords in URLs are not."""
    whole: dict[str, Any] = {
        "version": config.version,
        "rig": config.rig,
        "encoders": {
            name: {"model": e.model, **_plain(e, {"model", "settings"}), **_own(e.settings_dict(), "model")}
            for name, e in config.encoders.items()
        },
        "streams": [
            {
                **_plain(stream, {"device", "encoder"}),
                "encoder": list(config.encoder_names(stream)),
                "device": {"type": stream.device.type, **_own(stream.device.settings_dict(), "type")},
            }
            for stream in config.streams
        ],
        "publish": {
            **_plain(config.publish, {"sinks"}),
            "sinks": [{"type": s.type, **_own(s.settings_dict(), "type")} for s in config.publish.sinks],
        },
        "record": _plain(config.record, set()),
        "runtime": _plain(config.runtime, set()),
    }
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(_masked({key: value for key, value in whole.items() if value not in ({}, [])}), text)
    return text.getvalue()


def _plain(section: BaseModel, without: set[str]) -> dict[str, Any]:
    return section.model_dump(mode="json", exclude_unset=True, exclude=without)


def _own(settings: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != key}


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, str):
        # `$` begins a variable; a password is nobody's business who gets the log.
        return re.sub(r"(?<=://)[^/@\s]*@", "***@", value).replace("${", "$${")
    return value

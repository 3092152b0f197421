"""LanguageBind: video, image, audio, depth and thermal, bound to one space through language."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["LanguageBind", "LanguageBindConfig", "LanguageBindEncoder", "LanguageBindEncoderConfig", "read_config"]

if TYPE_CHECKING:
    from stream_bind.encoders.languagebind.config import LanguageBindConfig, read_config
    from stream_bind.encoders.languagebind.encoder import LanguageBindEncoder
    from stream_bind.encoders.languagebind.model import LanguageBind
    from stream_bind.encoders.languagebind.settings import LanguageBindEncoderConfig

_HOMES = {
    "LanguageBind": "stream_bind.encoders.languagebind.model",
    "LanguageBindConfig": "stream_bind.encoders.languagebind.config",
    "LanguageBindEncoder": "stream_bind.encoders.languagebind.encoder",
    "LanguageBindEncoderConfig": "stream_bind.encoders.languagebind.settings",
    "read_config": "stream_bind.encoders.languagebind.config",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""LanguageBind: video, image, audio, depth and thermal, bound to one space through language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream_bind.encoders.languagebind.config import LanguageBindConfig, read_config

if TYPE_CHECKING:
    from stream_bind.encoders.languagebind.model import LanguageBind

__all__ = ["LanguageBind", "LanguageBindConfig", "read_config"]


def __getattr__(name: str) -> Any:
    if name == "LanguageBind":
        from stream_bind.encoders.languagebind.model import LanguageBind

        return LanguageBind
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

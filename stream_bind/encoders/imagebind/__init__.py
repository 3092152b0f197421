"""ImageBind: six modalities in one space, our own implementation of the published checkpoint's architecture.

Names load on first use, so that a sensor process can reach the clip makers without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["ImageBind", "ImageBindConfig", "ImageBindEncoder", "ImageBindEncoderConfig"]

if TYPE_CHECKING:
    from stream_bind.encoders.imagebind.architecture import ImageBindConfig
    from stream_bind.encoders.imagebind.encoder import ImageBindEncoder
    from stream_bind.encoders.imagebind.model import ImageBind
    from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig

_HOMES = {
    "ImageBind": "stream_bind.encoders.imagebind.model",
    "ImageBindConfig": "stream_bind.encoders.imagebind.architecture",
    "ImageBindEncoder": "stream_bind.encoders.imagebind.encoder",
    "ImageBindEncoderConfig": "stream_bind.encoders.imagebind.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

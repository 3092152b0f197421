"""stream-bind: live sensor streams to joint embeddings on the wire.

The public names load on first use, so that `import stream_bind` costs nothing in a sensor process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Subscriber", "__version__", "load_config", "load_encoder", "run"]

if TYPE_CHECKING:
    from stream_bind.cli.run import run
    from stream_bind.config import load_config
    from stream_bind.encoders.load import load_encoder
    from stream_bind.wire.subscriber import Subscriber

_HOMES = {
    "Subscriber": "stream_bind.wire.subscriber",
    "load_config": "stream_bind.config",
    "load_encoder": "stream_bind.encoders.load",
    "run": "stream_bind.cli.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stream_bind' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

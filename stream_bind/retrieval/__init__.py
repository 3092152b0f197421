"""What joint embeddings are good for: zero-shot labels, search across modalities, arithmetic, and how well they do.

numpy only. Names load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "Index",
    "LabelSet",
    "Recall",
    "bootstrap",
    "chance",
    "combine",
    "confusion",
    "modality_table",
    "recall_at_k",
]

if TYPE_CHECKING:
    from stream_bind.retrieval.arithmetic import combine
    from stream_bind.retrieval.index import Index
    from stream_bind.retrieval.labels import LabelSet
    from stream_bind.retrieval.metrics import Recall, bootstrap, chance, confusion, modality_table, recall_at_k

_HOMES = {
    "Index": "stream_bind.retrieval.index",
    "LabelSet": "stream_bind.retrieval.labels",
    "Recall": "stream_bind.retrieval.metrics",
    "bootstrap": "stream_bind.retrieval.metrics",
    "chance": "stream_bind.retrieval.metrics",
    "combine": "stream_bind.retrieval.arithmetic",
    "confusion": "stream_bind.retrieval.metrics",
    "modality_table": "stream_bind.retrieval.metrics",
    "recall_at_k": "stream_bind.retrieval.metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

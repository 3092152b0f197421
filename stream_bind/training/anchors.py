"""The vectors of a frozen anchor, computed once and kept on disk under what they depend on."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_bind.training.captions import Captions
from stream_bind.training.checkpoint import write_whole
from stream_bind.training.pairs import Pairs
from stream_bind.training.towers import Towers

__all__ = ["AnchorVectors", "state_digest"]

BATCH = 64
"""Fixed, so that the same vectors come out bit by bit whoever computes them."""


def state_digest(state: Mapping[str, Tensor]) -> str:
    """16 hex digits of names, shapes and values."""
    whole = hashlib.blake2b(digest_size=8)
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        whole.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        whole.update(value.view(torch.uint8).numpy().tobytes() if value.ndim else value.numpy().tobytes())
    return whole.hexdigest()


class AnchorVectors:
    """(n, d) float32 unit vectors: of every moment that has the anchor's clip, or of every caption where it is text."""

    def __init__(
        self,
        towers: Towers,
        anchor: str,
        pairs: Pairs,
        captions: Captions | None,
        identity: Mapping[str, Any],
        directory: Path,
        watch: Callable[[int, int], None] | None = None,
    ) -> None:
        """identity: what else the vectors depend on (weights, preprocessing). watch: told (done, total) clips."""
        self._place = np.full(len(pairs), -1, np.intp)
        of: dict[str, object]
        if anchor == "text":
            assert captions is not None
            n, of = len(captions.texts), {"texts": list(captions.texts)}
        else:
            rows = np.flatnonzero(pairs.has(anchor))
            self._place[rows] = np.arange(len(rows))
            n, of = len(rows), {"clips": pairs.fingerprint([anchor])}
        key = hashlib.sha256(json.dumps([anchor, identity, of, str(towers.dtype)], sort_keys=True).encode()).hexdigest()
        path = directory / f"{anchor}-{key[:16]}.npy"
        if path.exists():
            self.vectors: NDArray[np.float32] = np.load(path)
            return
        parts = []
        with torch.no_grad():
            for start in range(0, n, BATCH):
                stop = min(start + BATCH, n)
                clips = (
                    captions.ids[start:stop]
                    if anchor == "text" and captions is not None
                    else pairs.packed(anchor, rows[start:stop])
                )
                parts.append(towers.unit(anchor, towers.hand_over(anchor, clips)).cpu().numpy())
                if watch is not None:
                    watch(stop, n)
        self.vectors = np.concatenate(parts) if parts else np.zeros((0, towers.model.config.out_embed_dim), np.float32)
        directory.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, self.vectors)
        write_whole(path, buffer.getvalue())

    def of_moments(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Vectors of these moments (an anchor that is sensed)."""
        return self.vectors[self._place[rows]]

    def of_captions(self, numbers: NDArray[np.intp]) -> NDArray[np.float32]:
        """Vectors of these captions (text as the anchor)."""
        return self.vectors[numbers]

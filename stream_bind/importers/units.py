"""Whether an imported stream's numbers can be in the unit they are said to be in. Doubts are said, never mended."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import Chunk, StreamSpec

__all__ = ["UnitCheck"]

KEPT = 4096
"""Samples that are looked at of each stream, spread over all of it."""


@dataclass(slots=True)
class UnitCheck:
    """Feed it a stream's chunks; then ask for `doubts`."""

    spec: StreamSpec
    _kept: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        """Take note of one chunk."""

    def doubts(self) -> list[str]:
        """A sentence for each thing that cannot be, with what would mend it."""
        return []

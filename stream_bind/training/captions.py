"""The captions of a corpus: tokenised once, one drawn for each moment of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.training.pairs import Moment

__all__ = ["Captions", "Tokenize"]

Tokenize = Callable[[Sequence[str]], NDArray[Any]]
"""Texts to (n, context length) int64 token ids."""


class Captions:
    """All different captions of some moments."""

    def __init__(self, moments: Sequence[Moment], tokenize: Tokenize) -> None:
        numbers: dict[str, int] = {}
        self._of_moment = [
            np.array([numbers.setdefault(text, len(numbers)) for text in moment.captions], np.intp)
            for moment in moments
        ]
        self.texts = tuple(numbers)
        self.ids: NDArray[Any] = np.concatenate(
            [np.asarray(tokenize(self.texts[i : i + 256])) for i in range(0, len(self.texts), 256)]
            or [np.zeros((0, 1), np.int64)]
        )
        """(n texts, context length) token ids."""

    def draw(self, rows: Sequence[int] | NDArray[Any], rng: np.random.Generator) -> NDArray[np.intp]:
        """One caption of each of these moments, as a number into `texts`. Moments without any raise ValueError."""
        rolls = rng.random(len(rows))
        chosen = []
        for row, roll in zip(rows, rolls, strict=True):
            own = self._of_moment[row]
            if not len(own):
                raise ValueError(f"moment {row} has no caption")
            chosen.append(own[int(roll * len(own))])
        return np.array(chosen, np.intp)

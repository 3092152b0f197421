"""Vectors with what is known about each, searched by cosine: for notebooks and evaluations, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import ConfigError

__all__ = ["Found", "Index"]


@dataclass(frozen=True, slots=True)
class Found:
    """One item of an answer."""

    row: int
    """Its number in the index."""
    cosine: float
    about: Mapping[str, Any]


class Index:
    """Unit vectors (n, d) of one model and a mapping about each (stream, modality, t_start, t_end, source ...)."""

    def __init__(self, dim: int, model: str = "") -> None:
        self.dim, self.model = dim, model
        self._blocks: list[NDArray[np.float32]] = []
        self._about: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
        return len(self._about)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n, d) in the order they were added."""
        if len(self._blocks) != 1:
            joined = np.concatenate(self._blocks) if self._blocks else np.zeros((0, self.dim), np.float32)
            self._blocks = [joined]
        return self._blocks[0]

    def add(self, vectors: NDArray[np.float32], about: Sequence[Mapping[str, Any]], model: str = "") -> None:
        """Append unit vectors (n, d) and n mappings. ConfigError for another model's, ValueError for other shapes."""
        array = np.atleast_2d(np.asarray(vectors, np.float32))
        if array.shape != (len(about), self.dim):
            raise ValueError(f"({len(about)}, {self.dim}) numbers are wanted, found {array.shape}")
        if model and self.model and model != self.model:
            raise ConfigError(f"index: holds vectors of {self.model}, found some of {model}; keep one index a model")
        self.model = self.model or model
        self._blocks.append(array.copy())
        self._about += [dict(item) for item in about]

    def search(
        self, query: NDArray[np.float32], k: int = 10, where: Callable[[Mapping[str, Any]], bool] | None = None
    ) -> list[Found]:
        """The k nearest of those for which `where(about)` holds, nearest first; fewer where there are not as many."""
        vector = np.asarray(query, np.float32)
        if vector.shape != (self.dim,):
            raise ValueError(f"a query of {self.dim} numbers is wanted, found shape {vector.shape}")
        rows = np.array([i for i, item in enumerate(self._about) if where is None or where(item)], np.intp)
        cosines = self.vectors[rows] @ vector
        order = np.argsort(-cosines, kind="stable")[:k]
        return [Found(int(rows[i]), float(cosines[i]), self._about[rows[i]]) for i in order]

    def save(self, path: Path) -> None:
        """One .npz file: the vectors, and what is about them as JSON."""
        text = json.dumps({"model": self.model, "about": self._about}, ensure_ascii=False)
        with path.open("wb") as file:
            np.savez(file, vectors=self.vectors, about=np.frombuffer(text.encode(), np.uint8))

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote. ConfigError if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                vectors, body = file["vectors"], json.loads(file["about"].tobytes().decode())
            index = cls(int(vectors.shape[1]), body["model"])
            index.add(vectors, body["about"])
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ConfigError(f"index {path}: cannot be read ({error}); save it again") from error
        return index

"""Vectors with what is known about each, searched by cosine: for notebooks and evaluations, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import ConfigError
from stream_bind.messages import Embedding

__all__ = ["Found", "Index"]

UNIT_TOLERANCE = 0.01
FIRST_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Found:
    """One item of an answer."""

    row: int
    """Its number in the index."""
    cosine: float
    about: Mapping[str, Any]


class Index:
    """Unit vectors (n, d) of one model and a mapping about each.

    The keys that `search` knows are stream, modality, and t_start and t_end (UNIX ns); others (source, label ...) are
    kept as they are. What is about an item must be JSON if the index is to be saved.
    """

    def __init__(self, dim: int, model: str = "") -> None:
        self.dim, self.model = dim, model
        self._rows = np.zeros((0, dim), np.float32)
        self._about: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
        return len(self._about)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n, d) in the order they were added, read-only."""
        view = self._rows[: len(self._about)]
        view.flags.writeable = False
        return view

    def add(self, vectors: NDArray[np.float32], about: Sequence[Mapping[str, Any]], model: str = "") -> None:
        """Append unit vectors (n, d) and n mappings. ConfigError for another model's, ValueError for other shapes."""
        array = np.atleast_2d(np.asarray(vectors, np.float32))
        if array.shape != (len(about), self.dim):
            raise ValueError(f"({len(about)}, {self.dim}) numbers are wanted, found {array.shape}")
        if not np.all(np.abs(np.linalg.norm(array, axis=1) - 1.0) < UNIT_TOLERANCE):
            raise ValueError("unit vectors are wanted, found some of another length")
        self._check_model(model)
        self.model = self.model or model
        n, end = len(self._about), len(self._about) + len(array)
        if end > len(self._rows):
            # Doubled, so that a live feed that is added one by one is not copied whole every time.
            grown = np.zeros((max(end, 2 * len(self._rows), FIRST_ROWS), self.dim), np.float32)
            grown[:n] = self._rows[:n]
            self._rows = grown
        self._rows[n:end] = array
        self._about += [dict(item) for item in about]

    def add_message(self, message: Embedding, **more: Any) -> None:
        """Append one vector of the wire with its rig, stream, encoder, modality, window and times, and `more`."""
        about = {
            key: getattr(message, key)
            for key in ("rig", "stream", "encoder", "modality", "window", "t_start", "t_end", "coverage")
        }
        self.add(message.vector, [about | more], message.model)

    def search(
        self,
        query: NDArray[np.float32],
        k: int = 10,
        where: Callable[[Mapping[str, Any]], bool] | None = None,
        *,
        modality: str | None = None,
        stream: str | None = None,
        between: tuple[int, int] | None = None,
        model: str = "",
    ) -> list[Found]:
        """The k items nearest to a unit vector (d,), nearest first; fewer where there are not as many.

        Only those of `modality` and of `stream`, whose window lies within `between` (UNIX ns), and for which
        `where(about)` holds. model: whose vector the query is; ConfigError if it is another's.
        """
        vector = np.asarray(query, np.float32)
        if vector.shape != (self.dim,):
            raise ValueError(f"a query of {self.dim} numbers is wanted, found shape {vector.shape}")
        self._check_model(model)

        def wanted(about: Mapping[str, Any]) -> bool:
            return (
                (modality is None or about.get("modality") == modality)
                and (stream is None or about.get("stream") == stream)
                and (between is None or _within(about, *between))
                and (where is None or where(about))
            )

        rows = np.array([i for i, item in enumerate(self._about) if wanted(item)], np.intp)
        cosines = self._rows[rows] @ vector
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
        except (OSError, EOFError, BadZipFile, AttributeError, ValueError, KeyError, IndexError, TypeError) as error:
            raise ConfigError(f"index {path}: cannot be read ({error}); save it again") from error
        return index

    def _check_model(self, model: str) -> None:
        if model and self.model and model != self.model:
            raise ConfigError(f"index: holds vectors of {self.model}, found some of {model}; keep one index a model")


def _within(about: Mapping[str, Any], begin_ns: int, end_ns: int) -> bool:
    start, end = about.get("t_start"), about.get("t_end")
    return start is not None and end is not None and begin_ns <= start and end <= end_ns

"""Zero-shot labels: the captions nearest to a vector, from texts alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import ConfigError

__all__ = ["LABELS_FILE", "VECTORS_FILE", "LabelSet", "Told"]

LABELS_FILE, VECTORS_FILE = "labels.json", "labels.npy"
VERSION = 1
UNIT_TOLERANCE = 0.01
"""How far from 1 a length may be: what half precision does to a unit vector stays ten times below."""


@dataclass(frozen=True, slots=True)
class Told:
    """One label and how near it is."""

    text: str
    cosine: float
    probability: float
    group: str = ""


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Texts and their unit vectors (n, d) float32, all of one model. ValueError for what does not go together."""

    texts: tuple[str, ...]
    vectors: NDArray[np.float32]
    groups: tuple[str, ...] = ()
    """A coarser name for each text, where there is one."""
    model: str = ""
    """`name@digest` whose vectors these are; empty: not said."""
    scale: float = 100.0
    """Factor on the cosines before the softmax: the model's own, for text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", tuple(self.texts))
        object.__setattr__(self, "groups", tuple(self.groups))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.texts) or not self.texts:
            raise ValueError(f"{len(self.texts)} texts do not go with vectors of shape {self.vectors.shape}")
        if self.groups and len(self.groups) != len(self.texts):
            raise ValueError(f"{len(self.texts)} texts do not go with {len(self.groups)} groups")
        lengths = np.linalg.norm(np.asarray(self.vectors, np.float64), axis=1)
        if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):
            worst = int(np.argmax(np.where(np.isfinite(lengths), np.abs(lengths - 1.0), np.inf)))
            raise ValueError(f"unit vectors are wanted, that of {self.texts[worst]!r} has length {lengths[worst]:.3g}")

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(m, n) cosines of unit vectors (m, d) with every text. ValueError for another length."""
        array = np.atleast_2d(np.asarray(vectors, np.float32))
        if array.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"vectors of {self.vectors.shape[1]} numbers are wanted, found {array.shape[1]}")
        scores: NDArray[np.float32] = array @ self.vectors.T
        return scores

    def probabilities(self, vectors: NDArray[np.float32], scale: float | None = None) -> NDArray[np.float64]:
        """(m, n) softmax of the scaled cosines: how the texts share the vector among them."""
        logits = self.scores(vectors).astype(np.float64) * (self.scale if scale is None else scale)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def nearest(self, vector: NDArray[np.float32], k: int = 1) -> tuple[Told, ...]:
        """The k nearest texts of one unit vector (d,), nearest first."""
        cosines, shares = self.scores(vector)[0], self.probabilities(vector)[0]
        order = np.argsort(-cosines, kind="stable")[:k]
        return tuple(
            Told(self.texts[i], float(cosines[i]), float(shares[i]), self.groups[i] if self.groups else "")
            for i in order
        )

    def nearest_groups(self, vector: NDArray[np.float32], k: int = 1) -> tuple[Told, ...]:
        """The k nearest groups of one unit vector (d,), nearest first: each as the nearest of its texts, with the
        probability of all of them together. ValueError where the labels have no groups."""
        if not self.groups:
            raise ValueError("these labels have no groups; give one for each text")
        ranked = self.nearest(vector, len(self.texts))
        best: dict[str, Told] = {}
        shares: dict[str, float] = {}
        for told in ranked:
            best.setdefault(told.group, told)
            shares[told.group] = shares.get(told.group, 0.0) + told.probability
        return tuple(replace(told, probability=shares[group]) for group, told in list(best.items())[:k])

    def check_model(self, model: str) -> None:
        """ConfigError unless `model` is the one these labels belong to."""
        if self.model and model != self.model:
            raise ConfigError(
                f"labels: those of {self.model} are given, the vectors are of {model}; vectors of different models do "
                "not compare, embed the labels with the same one"
            )

    def save(self, directory: Path) -> None:
        """Write labels.json and labels.npy into `directory`."""
        body = {
            "version": VERSION,
            "model": self.model,
            "scale": self.scale,
            "texts": list(self.texts),
            "groups": list(self.groups),
        }
        np.save(directory / VECTORS_FILE, np.asarray(self.vectors, np.float32))
        (directory / LABELS_FILE).write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """The labels of a model directory, None where it brings none. ConfigError if they cannot be read."""
        file = directory / LABELS_FILE
        if not file.is_file():
            return None
        try:
            body = json.loads(file.read_text(encoding="utf-8"))
            if body["version"] != VERSION:
                raise ValueError(f"version {VERSION} is known, found {body['version']}; update stream-bind")
            vectors = np.load(directory / VECTORS_FILE, allow_pickle=False)
            return cls(
                tuple(body["texts"]),
                vectors.astype(np.float32),
                tuple(body["groups"]),
                str(body["model"]),
                float(body["scale"]),
            )
        except KeyError as error:
            raise ConfigError(f"{file}: the key {error} is missing; take the directory again") from error
        except (OSError, EOFError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{file}: cannot be read ({error}); take the directory again from where it came"
            ) from error

    @classmethod
    def of(cls, texts: Sequence[str], vectors: NDArray[np.float32], per_label: int = 1, **more: object) -> Self:
        """Labels from several wordings each: `vectors` (n * per_label, d), whose unit means become the labels'."""
        grouped = np.asarray(vectors, np.float64).reshape(len(texts), per_label, -1).mean(axis=1)
        grouped /= np.maximum(np.linalg.norm(grouped, axis=1, keepdims=True), 1e-12)
        return cls(tuple(texts), grouped.astype(np.float32), **more)  # type: ignore[arg-type]

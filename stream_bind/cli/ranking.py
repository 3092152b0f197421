"""What `embed` can say of its vectors: the nearest captions, and how near they are to a query of several parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_bind.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stream_bind.retrieval.labels import LabelSet

__all__ = ["OWN_LABELS", "Part", "captions_of", "label_texts", "parse_part", "ranked"]

OWN_LABELS = "model"
"""`--labels model`: those that the model's directory brings."""
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One addend of a query."""

    weight: float
    text: str | None
    path: Path | None


def label_texts(given: Sequence[str]) -> list[str] | None:
    """The captions to choose among: as given, or the lines of a file; None for the model's own. ConfigError."""
    if list(given) == [OWN_LABELS]:
        return None
    texts: list[str] = []
    for word in given:
        path = Path(word)
        if path.suffix == ".txt" or path.is_file():
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"--labels {word}: cannot be read ({error}); one caption a line is wanted") from error
            texts += [line.strip() for line in lines if line.strip()]
        else:
            texts.append(word)
    if len(texts) < 2:
        raise ConfigError(f"--labels: at least two captions to choose among are wanted, found {len(texts)}")
    return texts


def captions_of(labels: LabelSet, vector: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The three nearest captions of one vector, as they are printed."""
    return [
        {"text": told.text, "cosine": round(told.cosine, 6), "probability": round(told.probability, 6)}
        for told in labels.nearest(vector, SHOWN)
    ]


def parse_part(word: str) -> Part:
    """`a camp fire`, `rain.wav`, `-0.5*text:a dog`: an optional weight, then a text or an existing file."""
    weight, rest = 1.0, word.strip()
    if rest[:1] in {"+", "-"}:
        weight, rest = (1.0 if rest[0] == "+" else -1.0), rest[1:].strip()
    number, star, tail = rest.partition("*")
    if star:
        try:
            weight, rest = weight * float(number), tail.strip()
        except ValueError:
            pass
    if rest.startswith("text:"):
        return Part(weight, rest.removeprefix("text:").strip(), None)
    path = Path(rest)
    if path.exists():
        return Part(weight, None, path)
    if not rest or path.suffix.lower() in {".wav", ".mp3", ".flac", ".mp4", ".png", ".jpg", ".jpeg", ".csv"}:
        raise ConfigError(f"--query {word!r}: no such file; for a text write 'text:{rest}'")
    return Part(weight, rest, None)


def ranked(
    rows: list[dict[str, Any]],
    vectors: NDArray[np.float32],
    parts: Sequence[tuple[NDArray[np.float32], float]],
) -> tuple[list[dict[str, Any]], NDArray[np.float32]]:
    """Rows and vectors (n, d), nearest to the sum of the parts first, each row with its `cosine`. ConfigError."""
    import numpy as np

    from stream_bind.retrieval.arithmetic import combine

    try:
        query = combine(parts)
    except ValueError as error:
        raise ConfigError(f"--query: {error}") from error
    cosines = vectors @ query
    order = np.argsort(-cosines, kind="stable")
    return [rows[i] | {"cosine": round(float(cosines[i]), 6)} for i in order], vectors[order]

"""Learning a vocabulary of one's own: byte pairs over the words and the byte alphabet of CLIP's tokenizer."""

from __future__ import annotations

import gzip
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from stream_bind.encoders.tokenizer import BYTE_SYMBOLS, END, END_OF_WORD, START, merge, split_words

__all__ = ["learn_merges", "write_vocabulary"]

HEADER = "#version: stream-bind 1"

Pair = tuple[str, str]


def learn_merges(texts: Iterable[str], n_merges: int) -> list[Pair]:
    """The `n_merges` pairs worth most, best first; fewer where every word is whole before.

    Each step joins the pair that occurs most often in the texts as joined so far; of equal ones the first in the order
    of their characters, so the same texts give the same merges everywhere, in whatever order they come.
    """
    counts = Counter(word for text in texts for word in split_words(text) if word not in {START, END})
    words = [_symbols(word) for word in sorted(counts)]
    times = [counts[word] for word in sorted(counts)]
    totals: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)
    for index, parts in enumerate(words):
        _enter(parts, index, times[index], totals, places)
    merges: list[Pair] = []
    while len(merges) < n_merges and totals:
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        merges.append(best)
        for index in sorted(places[best]):
            _enter(words[index], index, -times[index], totals, places)
            words[index] = merge(words[index], best)
            _enter(words[index], index, times[index], totals, places)
    return merges


def write_vocabulary(path: Path, merges: Sequence[Pair]) -> None:
    """Write merges as ClipTokenizer reads them; the same merges are the same bytes."""
    text = "\n".join([HEADER, *(f"{left} {right}" for left, right in merges), ""])
    packed = io.BytesIO()
    # Neither a time nor a name goes into the file, so its digest depends on the merges alone.
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        file.write(text.encode("utf-8"))
    path.write_bytes(packed.getvalue())


def _symbols(word: str) -> list[str]:
    parts = [BYTE_SYMBOLS[byte] for byte in word.encode("utf-8")]
    parts[-1] += END_OF_WORD
    return parts


def _enter(parts: Sequence[str], index: int, count: int, totals: Counter[Pair], places: dict[Pair, set[int]]) -> None:
    """Count a word's pairs, or with a negative count take them back. Pairs that are gone leave both tables."""
    for pair in pairwise(parts):
        totals[pair] += count
        if count > 0:
            places[pair].add(index)
        else:
            places[pair].discard(index)
        if totals[pair] == 0:
            del totals[pair], places[pair]

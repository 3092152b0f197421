"""Text to CLIP token ids: byte pair encoding with the vocabulary file OpenAI published.

Imports ftfy and regex, so only the encoders' text path imports this.
"""

from __future__ import annotations

import gzip
import hashlib
import html
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import ftfy
import numpy as np
import regex
from numpy.typing import NDArray

from stream_bind.encoders.catalogue import VOCABULARY_FILE, VOCABULARY_SHA256
from stream_bind.errors import WeightsError

__all__ = ["END", "START", "VOCABULARY_FILE", "VOCABULARY_SHA256", "ClipTokenizer"]

N_MERGES = 48894
"""Lines of the file after its header that count; 49,408 ids in all."""
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = regex.compile(
    rf"{regex.escape(START)}|{regex.escape(END)}|'s|'t|'re|'ve|'m|'ll|'d|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+",
    regex.IGNORECASE,
)
MAX_CACHED_WORDS = 65536


def _byte_symbols() -> list[str]:
    """The printable character that stands for each byte in the vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in symbols)
    symbols.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return [symbols[byte] for byte in range(256)]


class ClipTokenizer:
    """`tokenizer(texts)` gives (n, length) int64 ids. Not thread-safe."""

    def __init__(self, path: Path, sha256: str = VOCABULARY_SHA256) -> None:
        """Read the gzip vocabulary at `path`. WeightsError if it is missing or not the published file."""
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"text vocabulary {path}: {error.strerror or error}; get it with `stream-bind models pull imagebind` "
                "or name it with `vocab:`"
            ) from error
        found = hashlib.sha256(packed).hexdigest()
        if found != sha256:
            raise WeightsError(
                f"text vocabulary {path}: sha256 {sha256[:12]} is wanted, found {found[:12]}; "
                "get the published file with `stream-bind models pull imagebind`"
            )
        lines = gzip.decompress(packed).decode("utf-8").split("\n")
        merges = [tuple(line.split()) for line in lines[1 : N_MERGES + 1]]
        self._symbols = _byte_symbols()
        ordered = [chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))]
        ordered += [symbol for symbol in self._symbols if symbol not in set(ordered)]
        vocabulary = ordered + [f"{symbol}</w>" for symbol in ordered] + ["".join(pair) for pair in merges]
        self._ids = {symbol: i for i, symbol in enumerate([*vocabulary, START, END])}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._words: dict[str, tuple[int, ...]] = {START: (self._ids[START],), END: (self._ids[END],)}
        self.start, self.end = self._ids[START], self._ids[END]

    def __call__(self, texts: Sequence[str], length: int = 77) -> NDArray[np.int64]:
        """(n, length) int64: start, ids, end, zeros. Long texts are cut, the end always stays."""
        out = np.zeros((len(texts), length), np.int64)
        for row, text in zip(out, texts, strict=True):
            ids = [self.start, *self.encode(text)][: length - 1]
            row[: len(ids)] = ids
            row[len(ids)] = self.end
        return out

    def encode(self, text: str) -> list[int]:
        """Ids of one text, without start and end.

        The literal names of the two special tokens inside a text become these tokens, as in the reference: an
        `<|endoftext|>` in a label ends it there.
        """
        cleaned = html.unescape(html.unescape(ftfy.fix_text(text)))
        cleaned = " ".join(cleaned.split()).lower()
        return [i for word in WORDS.findall(cleaned) for i in self._word_ids(word)]

    def _word_ids(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is not None:
            return known
        parts = [self._symbols[byte] for byte in word.encode("utf-8")]
        parts[-1] += "</w>"
        while len(parts) > 1:
            ranked = [(self._ranks.get(pair, N_MERGES), pair) for pair in pairwise(parts)]
            rank, best = min(ranked)
            if rank == N_MERGES:
                break
            parts = _merge(parts, best)
        ids = tuple(self._ids[part] for part in parts)
        if len(self._words) < MAX_CACHED_WORDS:
            self._words[word] = ids
        return ids


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return merged

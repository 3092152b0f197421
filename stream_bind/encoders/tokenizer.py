"""Text to CLIP token ids: byte pair encoding with the vocabulary file OpenAI published, or any in its format.

Imports ftfy and regex, so only the encoders' text path imports this.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import ftfy
import numpy as np
import regex
from numpy.typing import NDArray

from stream_bind.encoders.catalogue import VOCABULARY_FILE, VOCABULARY_SHA256
from stream_bind.errors import WeightsError

__all__ = [
    "BYTE_SYMBOLS",
    "END",
    "END_OF_WORD",
    "START",
    "VOCABULARY_FILE",
    "VOCABULARY_SHA256",
    "ClipTokenizer",
    "merge",
    "split_words",
]

N_MERGES = 48894
"""Lines of the published file after its header that count; 49,408 ids in all."""
N_FIXED = 514
"""Ids of every vocabulary beside its merges: 256 bytes inside a word, 256 that end one, start and end."""
CONTEXT_LENGTH = 77
END_OF_WORD = "</w>"
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


BYTE_SYMBOLS = _byte_symbols()


def split_words(text: str) -> list[str]:
    """The words, numbers and signs of a text after cleaning: what pairs are counted and merged within."""
    cleaned = html.unescape(html.unescape(ftfy.fix_text(text)))
    found: list[str] = WORDS.findall(" ".join(cleaned.split()).lower())
    return found


class ClipTokenizer:
    """`tokenizer(texts)` gives (n, context_length) int64 ids. Not thread-safe."""

    def __init__(
        self,
        path: Path,
        sha256: str | None = VOCABULARY_SHA256,
        *,
        vocab_size: int = N_MERGES + N_FIXED,
        context_length: int = CONTEXT_LENGTH,
    ) -> None:
        """Read the gzip vocabulary at `path`: a header line, then one merge a line.

        sha256: that of the file, None for any; vocab_size: how many ids there may be, further merges are left out.
        WeightsError if the file is missing, another than wanted, or no vocabulary.
        """
        own = sha256 != VOCABULARY_SHA256
        remedy = (
            "take the file again from where the model came from"
            if own
            else "get the published file with `stream-bind models pull imagebind`"
        )
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise WeightsError(
                f"text vocabulary {path}: {error.strerror or error}; {remedy} or name it with `vocab:`"
            ) from error
        found = hashlib.sha256(packed).hexdigest()
        if sha256 is not None and found != sha256:
            raise WeightsError(f"text vocabulary {path}: sha256 {sha256[:12]} is wanted, found {found[:12]}; {remedy}")
        self.sha256, self.context_length = found, context_length
        try:
            lines = gzip.decompress(packed).decode("utf-8").split("\n")
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise WeightsError(f"text vocabulary {path}: cannot be unpacked ({error}); {remedy}") from error
        merges = [tuple(line.split()) for line in lines[1 : max(vocab_size - N_FIXED, 0) + 1] if line.strip()]
        ordered = [chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))]
        ordered += [symbol for symbol in BYTE_SYMBOLS if symbol not in set(ordered)]
        vocabulary = ordered + [f"{symbol}{END_OF_WORD}" for symbol in ordered] + ["".join(pair) for pair in merges]
        self._ids = {symbol: i for i, symbol in enumerate([*vocabulary, START, END])}
        for pair in merges:
            if len(pair) != 2 or not all(part in self._ids for part in pair):
                raise WeightsError(f"text vocabulary {path}: {' '.join(pair)[:40]!r} is no pair of symbols; {remedy}")
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._words: dict[str, tuple[int, ...]] = {START: (self._ids[START],), END: (self._ids[END],)}
        self.start, self.end = self._ids[START], self._ids[END]

    @property
    def vocab_size(self) -> int:
        """Number of ids; the last is the end-of-text."""
        return self.end + 1

    def __call__(self, texts: Sequence[str], length: int | None = None) -> NDArray[np.int64]:
        """(n, length or context_length) int64: start, ids, end, zeros. Long texts are cut, the end always stays."""
        length = self.context_length if length is None else length
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
        return [i for word in split_words(text) for i in self._word_ids(word)]

    def _word_ids(self, word: str) -> tuple[int, ...]:
        known = self._words.get(word)
        if known is not None:
            return known
        parts = [BYTE_SYMBOLS[byte] for byte in word.encode("utf-8")]
        parts[-1] += END_OF_WORD
        while len(parts) > 1:
            ranked = [(self._ranks.get(pair, len(self._ranks)), pair) for pair in pairwise(parts)]
            rank, best = min(ranked)
            if rank == len(self._ranks):
                break
            parts = merge(parts, best)
        ids = tuple(self._ids[part] for part in parts)
        if len(self._words) < MAX_CACHED_WORDS:
            self._words[word] = ids
        return ids


def merge(parts: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with every occurrence of `pair` made one, from the left."""
    merged, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return merged

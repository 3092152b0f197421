"""A vocabulary learned from texts: what is merged, and that the tokenizer reads it back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.encoders.imagebind.bpe import learn_merges, write_vocabulary
from stream_bind.encoders.tokenizer import BYTE_SYMBOLS, ClipTokenizer
from stream_bind.errors import WeightsError

TEXTS = ["a dog walks", "the dog barks", "Dogs walk in the park &amp; bark", "it's 42 \u00e9t\u00e9s"]


@pytest.fixture
def tokenizer(tmp_path) -> ClipTokenizer:
    path = tmp_path / "own.txt.gz"
    write_vocabulary(path, learn_merges(TEXTS, 200))
    return ClipTokenizer(path, sha256=None, context_length=8)


def spelled(tokenizer: ClipTokenizer, ids: list[int]) -> str:
    """The text behind ids, words set apart by spaces."""
    symbols = {i: symbol for symbol, i in tokenizer._ids.items()}
    text = "".join(symbols[i] for i in ids).replace("</w>", " ")
    byte = {symbol: value for value, symbol in enumerate(BYTE_SYMBOLS)}
    return bytes(byte.get(c, 32) for c in text).decode()


def test_the_most_frequent_pair_is_merged_first_and_ties_go_by_character():
    assert learn_merges(["aab aab aab", "xy"], 2) == [("a", "a"), ("aa", "b</w>")]
    assert learn_merges(["ba ca"], 5) == [("b", "a</w>"), ("c", "a</w>")]
    assert learn_merges(["aaaa"], 1) == [("a", "a")]


def test_the_order_of_the_texts_does_not_matter():
    assert learn_merges(TEXTS, 40) == learn_merges(TEXTS[::-1], 40)


def test_every_word_of_the_texts_becomes_one_token(tokenizer):
    for word in ("dog", "walks", "the", "park", "42"):
        assert len(tokenizer.encode(word)) == (2 if word == "42" else 1), word
    assert tokenizer.vocab_size == 514 + len(tokenizer._ranks)
    assert tokenizer.end == tokenizer.vocab_size - 1


def test_words_never_seen_and_foreign_scripts_still_have_ids(tokenizer):
    ids = tokenizer.encode("zebra \u72ac")
    assert spelled(tokenizer, ids) == "zebra \u72ac "
    assert max(ids) < tokenizer.start


def test_rows_have_the_length_of_the_context(tokenizer):
    rows = tokenizer(["dog", "dog " * 50])
    assert rows.shape == (2, 8)
    assert rows[0, 2] == rows[1, -1] == tokenizer.end == rows.max()


def test_the_same_merges_are_the_same_bytes(tmp_path):
    merges = learn_merges(TEXTS, 30)
    for name in ("one.gz", "two.gz"):
        write_vocabulary(tmp_path / name, merges)
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()


def test_further_merges_than_the_vocabulary_has_room_for_are_left_out(tmp_path):
    path = tmp_path / "own.txt.gz"
    write_vocabulary(path, learn_merges(TEXTS, 30))
    assert ClipTokenizer(path, sha256=None, vocab_size=524).vocab_size == 524


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"hello", "cannot be unpacked"), ([("a", "never"), ("b", "c")], "'a never' is no pair of symbols")],
)
def test_a_file_that_is_no_vocabulary_is_refused(tmp_path, content, says):
    path = tmp_path / "own.txt.gz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_vocabulary(path, content)
    with pytest.raises(WeightsError, match=says):
        ClipTokenizer(path, sha256=None)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(alphabet="abc \u00e9", max_size=12), max_size=5), st.integers(0, 20))
def test_each_merge_joins_what_earlier_ones_have_made(texts, n):
    known = set(BYTE_SYMBOLS) | {f"{s}</w>" for s in BYTE_SYMBOLS}
    merges = learn_merges(texts, n)
    assert len(merges) <= n
    for left, right in merges:
        assert left in known
        assert right in known
        known.add(left + right)

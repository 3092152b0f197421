"""Text to CLIP ids, against the reference's ids where the fixtures are at hand."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest

from stream_bind.encoders.tokenizer import N_MERGES, VOCABULARY_FILE, ClipTokenizer
from stream_bind.errors import WeightsError

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[4] / "shared"))
VOCABULARY = SHARED / "fixtures" / "vocab" / VOCABULARY_FILE
TEXTS = sorted((SHARED / "fixtures" / "imagebind").glob("*/pre_text.json"))


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    if not VOCABULARY.exists():
        pytest.skip(f"no vocabulary at {VOCABULARY}")
    return ClipTokenizer(VOCABULARY)


@pytest.fixture
def toy(tmp_path) -> ClipTokenizer:
    """A vocabulary of two merges: `d o` and `do g</w>`."""
    path = tmp_path / "toy.txt.gz"
    path.write_bytes(gzip.compress(b"#version: 0.2\nd o\ndo g</w>\n" + b"\n" * (N_MERGES - 2), mtime=0))
    return ClipTokenizer(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.skipif(not TEXTS, reason=f"no pre_text.json under {SHARED}/fixtures/imagebind")
@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.parent.name)
def test_every_text_gets_the_ids_of_the_reference(path, tokenizer):
    entries = json.loads(path.read_text())
    wrong = [e["text"] for e in entries if tokenizer([e["text"]])[0].tolist() != e["ids"]]
    assert wrong == []
    assert tokenizer([e["text"] for e in entries]).shape == (len(entries), 77)


def test_long_texts_are_cut_and_keep_their_end(tokenizer):
    ids = tokenizer(["dog " * 200])[0]
    assert (ids[0], ids[-1], ids[-2]) == (49406, 49407, 1929)


def test_an_empty_text_is_start_and_end(tokenizer):
    assert tokenizer([""])[0].tolist() == [49406, 49407, *[0] * 75]
    assert tokenizer([]).shape == (0, 77)


def test_merges_apply_in_order_and_end_of_word_counts(toy):
    dog, do, g = toy.encode("dog"), toy.encode("doge"), toy.encode("g")
    assert len(dog) == 1
    assert dog == [513]
    assert do == [512, toy.encode("ge")[0], toy.encode("e")[0]]
    assert len(g) == 1


def test_case_entities_and_spaces_are_cleaned_before_splitting(toy):
    assert toy.encode("  DOG &amp;amp;\n dog ") == toy.encode("dog & dog")


def test_words_numbers_and_signs_split_as_clip_does(toy):
    assert toy.encode("dog's 42!") == [i for part in ("dog", "'s", "4", "2", "!") for i in toy.encode(part)]


def test_bytes_outside_the_merges_fall_back_to_single_bytes(toy):
    assert len(toy.encode("犬")) == 3


def test_a_missing_or_foreign_vocabulary_names_the_command_that_gets_it(tmp_path):
    with pytest.raises(WeightsError, match="stream-bind models pull imagebind"):
        ClipTokenizer(tmp_path / "none.gz")
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b"hello"))
    with pytest.raises(WeightsError, match="sha256 924691ac288e is wanted"):
        ClipTokenizer(other)

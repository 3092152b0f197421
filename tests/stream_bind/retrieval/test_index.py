"""Vectors in memory, found by nearness, kind, stream and time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_bind.errors import ConfigError
from stream_bind.messages import Embedding
from stream_bind.retrieval import Index

RNG = np.random.default_rng(4)


def unit(n: int, dim: int = 8) -> np.ndarray:
    vectors = RNG.standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def message(stream: str, end_s: int, vector: np.ndarray, model: str = "tiny@abc") -> Embedding:
    end = end_s * 10**9
    modality = {"cam": "vision", "mic": "audio"}[stream]
    return Embedding("rig", stream, "tiny", modality, end_s, end - 2 * 10**9, end, vector, model=model)


def test_an_index_finds_the_nearest_of_those_asked_for(tmp_path: Path) -> None:
    vectors = unit(20)
    index = Index(8, "tiny@abc")
    index.add(vectors[:12], [{"modality": "vision", "n": i} for i in range(12)], "tiny@abc")
    index.add(vectors[12:], [{"modality": "audio", "n": i} for i in range(12, 20)])
    found = index.search(vectors[3], k=5)
    assert found[0].about["n"] == 3
    assert [f.cosine for f in found] == sorted((f.cosine for f in found), reverse=True)
    sounds = index.search(vectors[3], k=99, where=lambda about: about["modality"] == "audio")
    assert {f.about["n"] for f in sounds} == set(range(12, 20))
    index.save(tmp_path / "index.npz")
    again = Index.load(tmp_path / "index.npz")
    assert len(again) == 20
    assert [f.row for f in again.search(vectors[3], k=5)] == [f.row for f in found]
    with pytest.raises(ConfigError, match="huge@1"):
        again.add(vectors[:1], [{}], "huge@1")


def test_an_index_refuses_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read"):
        Index.load(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="a query of 8 numbers"):
        Index(8).search(np.zeros(3, np.float32))


def test_a_live_feed_is_searched_by_stream_modality_and_time() -> None:
    index, vectors = Index(8), unit(10)
    for i in range(5):
        index.add_message(message("cam", 10 + i, vectors[i]), source="walk.mp4")
        index.add_message(message("mic", 10 + i, vectors[5 + i]))
    assert index.model == "tiny@abc"
    query = vectors[2]
    assert {f.about["stream"] for f in index.search(query, 99, stream="mic")} == {"mic"}
    assert {f.about["source"] for f in index.search(query, 99, modality="vision")} == {"walk.mp4"}
    # Windows of 2 s: those that end at 12 and 13 s lie within 10 to 13 s.
    within = index.search(query, 99, stream="cam", between=(10 * 10**9, 13 * 10**9))
    assert {f.about["t_end"] // 10**9 for f in within} == {12, 13}
    one = index.search(query, 99, modality="audio", between=(0, 12 * 10**9), where=lambda a: a["window"] > 11)
    assert [f.about["window"] for f in one] == [12]


def test_what_has_no_times_lies_within_no_stretch() -> None:
    index = Index(8)
    index.add(unit(1), [{"text": "a dog"}])
    assert index.search(unit(1)[0], between=(0, 10**18)) == []


def test_vectors_of_another_model_are_neither_taken_nor_compared() -> None:
    index = Index(8, "tiny@abc")
    with pytest.raises(ConfigError, match="holds vectors of tiny@abc, found some of huge@1"):
        index.add_message(message("cam", 3, unit(1)[0], model="huge@1"))
    assert len(index) == 0
    with pytest.raises(ConfigError, match="huge@1"):
        index.search(unit(1)[0], model="huge@1")


def test_vectors_of_another_length_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match="unit vectors are wanted"):
        Index(8).add(2 * unit(1), [{}])


@given(st.lists(st.integers(0, 7), min_size=1, max_size=30), st.integers(1, 40))
def test_added_bit_by_bit_is_the_same_as_at_once(sizes: list[int], k: int) -> None:
    vectors = unit(sum(sizes))
    at_once, by_bits, first = Index(8), Index(8), 0
    at_once.add(vectors, [{"n": i} for i in range(len(vectors))])
    for size in sizes:
        by_bits.add(vectors[first : first + size], [{"n": i} for i in range(first, first + size)])
        first += size
    query = unit(1)[0]
    assert by_bits.vectors.tobytes() == at_once.vectors.tobytes() == vectors.tobytes()
    assert by_bits.search(query, k) == at_once.search(query, k)
    assert len(at_once.search(query, k)) == min(k, len(vectors))


def test_a_large_index_grows_and_keeps_what_it_had() -> None:
    index, vectors = Index(8), unit(3000)
    for start in range(0, 3000, 700):
        part = vectors[start : start + 700]
        index.add(part, [{"n": start + i} for i in range(len(part))])
    assert index.search(vectors[2345], 1)[0].about["n"] == 2345
    with pytest.raises(ValueError, match="read-only"):
        index.vectors[0] = 0


def test_half_an_index_file_is_refused(tmp_path: Path) -> None:
    index = Index(8)
    index.add(unit(3), [{}] * 3)
    index.save(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    for part in (b"", whole[: len(whole) // 2], whole[:-30]):
        (tmp_path / "part.npz").write_bytes(part)
        with pytest.raises(ConfigError, match=r"part\.npz: cannot be read"):
            Index.load(tmp_path / "part.npz")
    np.save(tmp_path / "array.npy", unit(3))
    with pytest.raises(ConfigError, match=r"array\.npy: cannot be read"):
        Index.load(tmp_path / "array.npy")

"""A small corpus of made-up moments that can be told apart, and a model small enough to train in a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from stream_bind.encoders.base import ClipSpec
from stream_bind.encoders.imagebind import ImageBindEncoderConfig
from stream_bind.training.pairs import Moment, Pairs, PairWriter

SIZES = {
    "kernel_size": (2, 56, 56),
    "out_embed_dim": 16,
    "vision_embed_dim": 16,
    "vision_num_blocks": 1,
    "vision_num_heads": 2,
    "text_embed_dim": 16,
    "text_num_blocks": 1,
    "text_num_heads": 2,
    "imu_embed_dim": 16,
    "imu_kernel_size": 100,
    "imu_num_blocks": 2,
    "imu_num_heads": 2,
    "depth_embed_dim": 16,
    "depth_kernel_size": 56,
    "depth_num_blocks": 1,
    "depth_num_heads": 2,
}
SPECS = {
    "vision": ClipSpec("vision", 2.0, 0.5, (2, 224, 224, 3), "float32"),
    "depth": ClipSpec("depth", 2.0, 0.5, (1, 224, 224), "float32"),
    "imu": ClipSpec("imu", 5.0, 0.5, (6, 2000), "float32"),
}
COLOURS = ("red", "green", "blue", "white")


def clips_of(kind: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Clips of one of four kinds of moment: a colour, a distance and a frequency that belong together."""
    colour = np.array([(0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.1, 0.1, 0.9), (0.9, 0.9, 0.9)][kind], np.float32)
    picture = np.clip(colour + rng.normal(0, 0.1, (2, 28, 28, 3)), 0, 1).repeat(8, 1).repeat(8, 2)
    depth = np.full((1, 224, 224), 0.1 + 0.2 * kind) + rng.normal(0, 0.02, (1, 224, 1))
    phase = rng.uniform(0, 6)
    motion = np.sin(np.arange(2000) * 0.05 * (1 + kind) + phase) * np.ones((6, 1)) + rng.normal(0, 0.1, (6, 2000))
    return {m: x.astype(np.float32) for m, x in (("vision", picture), ("depth", depth), ("imu", motion))}


def write_moments(directory: Path, source: str, n: int, seed: int, hop_s: int = 10) -> Path:
    rng = np.random.default_rng(seed)
    with PairWriter(directory, SPECS) as writer:
        for i in range(n):
            kind = int(rng.integers(4))
            t_end_ns = (seed * 10**6 + hop_s * i) * 10**9
            said = (f"a {COLOURS[kind]} thing", f"something {COLOURS[kind]}")
            writer.add(Moment(source, t_end_ns - 5 * 10**9, t_end_ns, COLOURS[kind], "", said), clips_of(kind, rng))
    return directory


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Directories of 64 moments to train on and 32 held out."""
    base = tmp_path_factory.mktemp("corpus")
    return write_moments(base / "train", "world:1", 64, 1), write_moments(base / "held", "world:2", 32, 2)


@pytest.fixture
def pairs(corpus: tuple[Path, Path]) -> tuple[Pairs, Pairs]:
    return Pairs.open(corpus[0]), Pairs.open(corpus[1])


@pytest.fixture
def encoder() -> ImageBindEncoderConfig:
    return ImageBindEncoderConfig(size=SIZES, weights="random")


def tokenize(texts: Sequence[str]) -> np.ndarray:
    """Letters as tokens; 49407 is the end."""
    ids = np.zeros((len(texts), 77), np.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = [ord(c) for c in text]
        row[len(text)] = 49407
    return ids


@pytest.fixture
def letters() -> Callable[[Sequence[str]], np.ndarray]:
    return tokenize

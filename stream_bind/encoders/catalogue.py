"""The published models that `stream-bind models` fetches: a table, one entry a model. Imports no torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from stream_bind.errors import ConfigError

__all__ = [
    "IMAGEBIND_LICENCE",
    "IMAGEBIND_WEIGHTS",
    "MODELS",
    "SHIPPED",
    "VOCABULARY_FILE",
    "VOCABULARY_SHA256",
    "Licence",
    "PublishedFile",
    "PublishedModel",
    "published",
]


@dataclass(frozen=True, slots=True)
class Licence:
    """Terms of a published model, as people are shown them."""

    name: str
    summary: str
    """One sentence: what it asks of the user."""
    url: str
    must_accept: bool
    """Nothing is fetched before the user has agreed."""


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file of a model: where it comes from and what it is called in the model cache."""

    name: str
    """Path in the cache, and below the address of a mirror."""
    url: str
    size_bytes: int
    """Exact where `sha256` is known, else about."""
    sha256: str | None
    """None: the publisher gives none. What the first download holds is then recorded, and compared with later."""
    becomes: str | None = None
    """Name of the .safetensors file a torch checkpoint is converted to, once."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """One name that can be pulled."""

    name: str
    about: str
    licence: Licence
    files: tuple[PublishedFile, ...]
    encoder: str | None = None
    """Type of the encoder whose `check_fit` judges converted weights."""


VOCABULARY_FILE = "bpe_simple_vocab_16e6.txt.gz"
# The file of OpenAI's CLIP; open_clip and ImageBind ship the same bytes.
VOCABULARY_SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
VOCABULARY = PublishedFile(
    VOCABULARY_FILE,
    "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz",
    1_356_917,
    VOCABULARY_SHA256,
)

IMAGEBIND_WEIGHTS = ("imagebind_huge.safetensors", "imagebind_huge.pth")
"""What the encoder looks for in the cache, in this order."""
IMAGEBIND_LICENCE = Licence(
    "CC BY-NC-SA 4.0",
    "ImageBind's weights are CC BY-NC-SA 4.0: no commercial use, share alike (facebookresearch/ImageBind)",
    "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    must_accept=True,
)
CLIP_LICENCE = Licence("MIT", "CLIP's text vocabulary is MIT (openai/CLIP)", "https://github.com/openai/CLIP", False)

MODELS: dict[str, PublishedModel] = {
    model.name: model
    for model in (
        PublishedModel(
            "imagebind",
            "ImageBind huge: vision, text, audio, depth, thermal, IMU",
            IMAGEBIND_LICENCE,
            (
                VOCABULARY,
                # The address in the README of facebookresearch/ImageBind. 1,200,786,990 float32 numbers.
                PublishedFile(
                    "imagebind_huge.pth",
                    "https://dl.fbaipublicfiles.com/imagebind/imagebind_huge.pth",
                    4_803_147_960,
                    None,
                    becomes="imagebind_huge.safetensors",
                ),
            ),
            encoder="imagebind",
        ),
        PublishedModel(
            "clip-vocabulary", "text vocabulary alone, for text with untrained weights", CLIP_LICENCE, (VOCABULARY,)
        ),
    )
}


SHIPPED: dict[str, Path] = {"imagebind-tiny": Path(__file__).parent / "imagebind" / "tiny"}
"""Model directories (imagebind/directory.py) that come with the package, by the encoder type that loads them."""


def published(name: str) -> PublishedModel:
    """The model called `name`; ConfigError with the nearest known name otherwise."""
    if name in MODELS:
        return MODELS[name]
    if name in SHIPPED:
        raise ConfigError(f"{name} comes with the package: there is nothing to fetch; use it as `model: {name}`")
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"no published model is called {name!r}{hint} (known: {', '.join(MODELS)})")

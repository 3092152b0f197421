"""The published models that `stream-bind models` fetches: a table, one entry a model. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stream_bind.encoders.languagebind.config import CONFIG_FILE
from stream_bind.encoders.languagebind.published import PUBLISHED, Published, nearest_name, published_name
from stream_bind.errors import ConfigError

__all__ = [
    "HUB",
    "IMAGEBIND_LICENCE",
    "IMAGEBIND_WEIGHTS",
    "LANGUAGEBIND_LICENCE",
    "MODELS",
    "SETS",
    "SHIPPED",
    "VOCABULARY_FILE",
    "VOCABULARY_SHA256",
    "Licence",
    "PublishedFile",
    "PublishedModel",
    "named",
    "published",
]


HUB = "https://huggingface.co"


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
    """Exact where `sha256` is known or `size_is_exact`, else about."""
    sha256: str | None
    """None: the publisher gives none. What the first download holds is then recorded, and compared with later."""
    becomes: str | None = None
    """Name of the .safetensors file a torch checkpoint is converted to, once."""
    size_is_exact: bool = False

    @property
    def is_on_hub(self) -> bool:
        """Whether the Hugging Face hub has it, in the model's repository."""
        return self.url.startswith(f"{HUB}/")


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """One name that can be pulled."""

    name: str
    about: str
    licence: Licence
    files: tuple[PublishedFile, ...]
    encoder: str | None = None
    """Type of the encoder whose `check_fit` judges weights that have just arrived."""
    repository: str | None = None
    """On the Hugging Face hub. There the files have revisions, and a checkpoint may be a .safetensors already."""


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
LANGUAGEBIND_LICENCE = Licence(
    "MIT",
    "LanguageBind's weights are MIT (PKU-YuanGroup/LanguageBind)",
    "https://github.com/PKU-YuanGroup/LanguageBind/blob/main/LICENSE",
    must_accept=False,
)
CLIP_LICENCE = Licence("MIT", "CLIP's text vocabulary is MIT (openai/CLIP)", "https://github.com/openai/CLIP", False)


def _languagebind(model: Published) -> PublishedModel:
    def file(name: str, about_bytes: int, becomes: str | None = None) -> PublishedFile:
        url = f"{HUB}/{model.repository}/resolve/main/{name}"
        return PublishedFile(
            f"{model.name}/{name}", url, about_bytes, None, None if becomes is None else f"{model.name}/{becomes}"
        )

    return PublishedModel(
        model.name,
        f"LanguageBind {model.config.modality}: {model.about}",
        LANGUAGEBIND_LICENCE,
        (
            VOCABULARY,
            file(CONFIG_FILE, 5_000),
            # Published as float32.
            file("pytorch_model.bin", 4 * model.n_parameters, becomes="model.safetensors"),
        ),
        encoder="languagebind",
        repository=model.repository,
    )


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
        *map(_languagebind, PUBLISHED.values()),
        PublishedModel(
            "clip-vocabulary", "text vocabulary alone, for text with untrained weights", CLIP_LICENCE, (VOCABULARY,)
        ),
    )
}


SHIPPED: dict[str, Path] = {"imagebind-tiny": Path(__file__).parent / "imagebind" / "tiny"}
"""Model directories (imagebind/directory.py) that come with the package, by the encoder type that loads them."""


SETS: dict[str, tuple[str, ...]] = {
    "languagebind": tuple(f"languagebind-{name}" for name in ("video-ft", "audio-ft", "depth", "thermal"))
}
"""Several models under one name: what the encoder `languagebind` takes where its modalities name no others."""


def published(name: str) -> PublishedModel:
    """The model called `name`, or so by its repository; ConfigError with the nearest known name otherwise."""
    known = published_name(name) or name
    if known in MODELS:
        return MODELS[known]
    if name in SHIPPED:
        raise ConfigError(f"{name} comes with the package: there is nothing to fetch; use it as `model: {name}`")
    near = difflib.get_close_matches(name.lower(), [*MODELS, *SETS], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else nearest_name(name)
    raise ConfigError(f"no published model is called {name!r}{hint} (known: {', '.join(MODELS)})")


def named(names: Iterable[str]) -> list[PublishedModel]:
    """The models that `names` mean, each once; a name may be that of a set. ConfigError."""
    models = [published(name) for given in names for name in SETS.get(given, (given,))]
    return list({model.name: model for model in models}.values())

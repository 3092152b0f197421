"""A model as one directory: config.json (all that makes its clips and its branches), weights, vocabulary, model card.

Reading needs no torch, so that clip makers in sensor processes and checks before a start can do it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stream_bind.encoders.cache import hash_file
from stream_bind.encoders.catalogue import IMAGEBIND_LICENCE
from stream_bind.encoders.imagebind.architecture import ImageBindConfig
from stream_bind.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig

__all__ = ["CARD_FILE", "CONFIG_FILE", "PREPROCESSING", "ModelDirectory", "read_directory", "save_directory"]

CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE, CARD_FILE = (
    "config.json",
    "model.safetensors",
    "vocabulary.txt.gz",
    "README.md",
)
FORMAT, VERSION = "stream-bind model directory", 1
PREPROCESSING = ("vision", "audio", "depth", "thermal", "imu")
"""Encoder settings that shape clips; those of declared signals stand in the architecture."""
PUBLISHED = "imagebind"
"""`base` of what was trained on top of the published weights."""
PERMISSIVE = {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "Unlicense", "CC0-1.0", "CC-BY-4.0"}
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
LFS_POINTER = b"version https://git-lfs"
MAX_HASHED_BYTES = 256 << 20
"""Weights up to this are read and compared with their digest at every load: 16 MB take 10 ms."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Weights(_Section):
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Vocabulary(_Section):
    size: int = Field(ge=3)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Base(_Section):
    """The published weights, from which branches come that are not in the directory."""

    weights: str | None = None
    sha256: str | None = None


class _File(_Section):
    format: Literal["stream-bind model directory"]
    version: Literal[1]
    name: str = Field(pattern=rf"^{NAME.pattern}$")
    licence: str = Field(min_length=1)
    base: str = ""
    base_weights: _Base | None = None
    architecture: dict[str, Any]
    preprocessing: dict[Literal["vision", "audio", "depth", "thermal", "imu"], dict[str, Any]]
    weights: _Weights
    vocabulary: _Vocabulary | None = None
    branches: tuple[str, ...] = Field(min_length=1)
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """What a directory's config.json says, checked."""

    path: Path
    name: str
    """First half of the model's identity on the wire."""
    architecture: ImageBindConfig
    """With the signals; `modalities` are those the model offers."""
    preprocessing: Mapping[str, Mapping[str, Any]]
    """Settings by modality, as in an encoder's section."""
    branches: tuple[str, ...]
    """Modalities whose weights lie here; those of the others come from the published checkpoint."""
    weights_bytes: int
    weights_sha256: str
    vocabulary_sha256: str | None
    licence: str
    """SPDX identifier or name."""
    base: str
    """`imagebind` where the published weights went into this model; empty: none did."""
    base_weights: str | None
    """Path of that checkpoint; None: the pulled one."""
    base_sha256: str | None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        return self.path / WEIGHTS_FILE

    @property
    def vocabulary(self) -> Path | None:
        """The text vocabulary; None: the published one."""
        return self.path / VOCABULARY_FILE if self.vocabulary_sha256 is not None else None

    @property
    def terms(self) -> str:
        """What whoever runs the model must know of its licence, in a sentence; empty where it asks for little."""
        if self.base == PUBLISHED:
            return f"{self.name} was trained on top of other weights: {IMAGEBIND_LICENCE.summary}"
        return "" if self.licence in PERMISSIVE else f"{self.name}: the licence of these weights is {self.licence}"

    def architecture_arguments(self) -> dict[str, Any]:
        """Arguments of ImageBindConfig that differ from its defaults, without signals and modalities."""
        return _arguments(self.architecture)

    def check(self, *, digest: bool = False) -> None:
        """WeightsError unless the weights are there in their size and, with `digest` and up to 256 MB, their digest."""
        try:
            size = self.weights.stat().st_size
        except OSError as error:
            raise self._fault(f"{WEIGHTS_FILE} cannot be opened ({error.strerror or error})") from error
        if size != self.weights_bytes:
            with self.weights.open("rb") as file:
                pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
            found = "a Git LFS pointer; run `git lfs pull`" if pointer else f"{size} bytes"
            raise self._fault(f"{WEIGHTS_FILE} should have {self.weights_bytes} bytes, found {found}")
        if digest and size <= MAX_HASHED_BYTES and (found := hash_file(self.weights)) != self.weights_sha256:
            raise self._fault(
                f"{WEIGHTS_FILE}: sha256 {self.weights_sha256[:12]} is wanted, found {found[:12]}; its files are not "
                "of one model"
            )
        if self.vocabulary is not None and not self.vocabulary.is_file():
            raise self._fault(f"{VOCABULARY_FILE} is missing")

    def _fault(self, what: str) -> WeightsError:
        return WeightsError(f"model directory {self.path}: {what}; take the directory again from where it came")


def read_directory(path: Path) -> ModelDirectory:
    """The model directory at `path`, its config.json checked; of the weights nothing is read. WeightsError."""
    file = path / CONFIG_FILE
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(
            f"model directory {path}: {CONFIG_FILE} cannot be opened ({error.strerror or error}); a model directory "
            f"holds {CONFIG_FILE} and {WEIGHTS_FILE}, as `stream-bind bind` writes them"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{file}: is no JSON ({error})") from error
    try:
        told = _File.model_validate(raw)
    except ValidationError as error:
        raise WeightsError(f"{file}: {'; '.join(_fault(e) for e in error.errors(include_url=False))}") from error
    try:
        architecture = ImageBindConfig(**told.architecture)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{file}: architecture: {error}") from error
    lacking = [m for m in architecture.modalities if m not in told.branches]
    if lacking and told.base != PUBLISHED:
        raise WeightsError(f"{file}: branches: {', '.join(lacking)} missing, and there is no base to take them from")
    if told.vocabulary is not None and told.vocabulary.size > architecture.vocab_size:
        raise WeightsError(
            f"{file}: vocabulary: {told.vocabulary.size} ids do not fit the model's {architecture.vocab_size}"
        )
    base = told.base_weights or _Base()
    return ModelDirectory(
        path=path,
        name=told.name,
        architecture=architecture,
        preprocessing={str(key): value for key, value in told.preprocessing.items()},
        branches=told.branches,
        weights_bytes=told.weights.size_bytes,
        weights_sha256=told.weights.sha256,
        vocabulary_sha256=told.vocabulary.sha256 if told.vocabulary else None,
        licence=told.licence,
        base=told.base,
        base_weights=base.weights,
        base_sha256=base.sha256,
        provenance=told.provenance,
    )


def save_directory(
    path: Path,
    *,
    config: ImageBindEncoderConfig,
    state: Mapping[str, Tensor],
    name: str,
    vocabulary: Path | None = None,
    licence: str = "",
    provenance: Mapping[str, Any] | None = None,
    card: str = "",
) -> ModelDirectory:
    """Write a model directory, config.json last; an older one there is replaced file by file.

    config: the encoder's settings with which the model was trained: its modalities are the directory's, and its
    `weights` are what was trained upon. state: tensors by the model's keys, of all branches or only of those that were
    trained: others are copied from the directory that `config` names, or left to the published weights. vocabulary:
    that of the text branch; None: that of the directory, or the published one. licence: SPDX identifier; on top of
    other weights theirs holds whatever is said here. card: README.md. ValueError for what does not make a model.
    """
    from safetensors.torch import save_file

    from stream_bind.encoders.tokenizer import ClipTokenizer

    if not NAME.fullmatch(name):
        raise ValueError(f"model name {name!r}: 1 to 64 of a-z, 0-9, '_', '.' and '-' are wanted")
    under = config.directory()
    modalities = tuple(config.modalities)
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items() if k.split(".")[1] in modalities}
    here = {key.split(".")[1] for key in tensors}
    if under is not None:
        tensors |= _tensors_of(under, [m for m in modalities if m in under.branches and m not in here])
        here = {key.split(".")[1] for key in tensors}
    published = config.weights != "random" and (under is None or under.base == PUBLISHED)
    lacking = [m for m in modalities if m not in here]
    if not here or (lacking and not published):
        raise ValueError(f"model {name}: no weights of {', '.join(lacking or modalities)} were given")
    if not published and not licence and under is None:
        raise ValueError(f"model {name}: a licence is wanted, such as Apache-2.0")
    architecture = replace(config.architecture(), modalities=modalities)
    path.mkdir(parents=True, exist_ok=True)
    weights = path / f"{WEIGHTS_FILE}.new"
    save_file(tensors, weights)
    weights.chmod(0o644)  # safetensors leaves it to its owner alone, and a model is there to be shared
    body: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "licence": _licence(licence, under, published),
        "base": PUBLISHED if published else "",
        "base_weights": _base_weights(config, under) if lacking else None,
        "architecture": {
            **_arguments(architecture),
            "modalities": modalities,
            "signals": [asdict(signal) for signal in architecture.signals if signal.name in modalities],
        },
        "preprocessing": {m: getattr(config, m).model_dump(mode="json") for m in PREPROCESSING if m in modalities},
        "weights": {"size_bytes": weights.stat().st_size, "sha256": hash_file(weights)},
        "vocabulary": None,
        "branches": [m for m in modalities if m in here],
        "provenance": dict(provenance or {}),
    }
    weights.replace(path / WEIGHTS_FILE)
    vocabulary = vocabulary or (under.vocabulary if under is not None else None) or config.vocab
    if vocabulary is not None and "text" in here:
        size = ClipTokenizer(vocabulary, None, vocab_size=architecture.vocab_size).vocab_size
        body["vocabulary"] = {"size": size, "sha256": hashlib.sha256(vocabulary.read_bytes()).hexdigest()}
        if vocabulary.resolve() != (path / VOCABULARY_FILE).resolve():
            shutil.copyfile(vocabulary, path / VOCABULARY_FILE)
    if card:
        (path / CARD_FILE).write_text(card, encoding="utf-8")
    text = path / f"{CONFIG_FILE}.new"
    text.write_text(json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    text.replace(path / CONFIG_FILE)
    return read_directory(path)


def _arguments(architecture: ImageBindConfig) -> dict[str, Any]:
    values = {
        f.name: getattr(architecture, f.name)
        for f in fields(architecture)
        if f.name not in {"signals", "modalities"}
        and (f.default is MISSING or getattr(architecture, f.name) != f.default)
    }
    # Lists, as JSON gives them back: settings are the same before and after they were sent to an actor.
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _tensors_of(under: ModelDirectory, modalities: list[str]) -> dict[str, Tensor]:
    from stream_bind.encoders.weights import Checkpoint

    checkpoint = Checkpoint(under.weights, under.name)
    return {key: checkpoint.tensor(key).clone() for key in checkpoint.shapes if key.split(".")[1] in modalities}


def _licence(licence: str, under: ModelDirectory | None, published: bool) -> str:
    if published:
        return IMAGEBIND_LICENCE.name
    if under is not None and (not licence or under.licence not in PERMISSIVE):
        return under.licence
    return licence


def _base_weights(config: ImageBindEncoderConfig, under: ModelDirectory | None) -> dict[str, Any]:
    from stream_bind.encoders.cache import file_digest, find_weights
    from stream_bind.encoders.catalogue import IMAGEBIND_WEIGHTS

    if under is not None:
        return {"weights": under.base_weights, "sha256": under.base_sha256}
    return {
        "weights": config.weights,
        "sha256": file_digest(find_weights("imagebind", config.weights, IMAGEBIND_WEIGHTS)),
    }


def _fault(error: Any) -> str:
    """One fault of config.json as a sentence."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"the key {place!r} is missing"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), _File.model_fields, n=1)
        return f"unknown key {place!r}{f'; did you mean {near[0]!r}?' if near else ''}"
    if place.endswith("[key]"):
        return f"{place}: only {', '.join(PREPROCESSING)} are known"
    return f"{place or 'the file'}: {error['msg']}"

"""What a configuration file may say about a LanguageBind encoder. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stream_bind.encoders.cache import model_cache
from stream_bind.encoders.languagebind.clips import DepthSettings, ThermalSettings, VisionSettings
from stream_bind.encoders.languagebind.config import CONFIG_FILE, LanguageBindConfig, read_config
from stream_bind.encoders.languagebind.published import PUBLISHED, nearest_name, published_name, small
from stream_bind.errors import WeightsError

__all__ = ["DEFAULTS", "LanguageBindEncoderConfig", "Tower"]

Sensed = Literal["vision", "audio", "depth", "thermal"]
DEFAULTS: dict[Sensed, str] = {"vision": "video-ft", "audio": "audio-ft", "depth": "depth", "thermal": "thermal"}
"""The published model that a modality gets when none is named."""


@dataclass(frozen=True, slots=True)
class Tower:
    """The model behind one modality."""

    modality: str
    name: str
    """Of a published model, or of the directory."""
    path: Path | None
    """The directory that was named; None: the pulled one, or seeded weights."""
    config: LanguageBindConfig


class LanguageBindEncoderConfig(BaseModel):
    """LanguageBind: one model for each modality, in one space of text."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    model_for_each_modality: ClassVar[bool] = True

    model: Literal["languagebind"] = "languagebind"
    """The encoder type."""
    modalities: dict[Sensed, str] = Field(default_factory=lambda: dict(DEFAULTS), min_length=1)
    """For each modality the published model (`video-ft`, `image`, `audio`, ...) or the path of a model directory; a
    list of modalities takes the usual ones. Each loads on its own."""
    text: Sensed | None = None
    """Whose text tower is used; null: the first one's. The published models of one size share theirs."""
    weights: Literal["random"] | None = None
    """`random` for seeded untrained weights in the shape of the models named; null for their own."""
    seed: int = Field(default=0, ge=0)
    """Seed of `weights: random`."""
    size: Literal["large", "small"] = "large"
    """`small`: narrow towers for trials, with `weights: random`."""
    vocab: Path | None = None
    """Text vocabulary file (bpe_simple_vocab_16e6.txt.gz); null looks beside the weights and in the model cache."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto takes a CUDA GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the computation; auto is bfloat16 on CUDA and float32 elsewhere."""
    vision: VisionSettings = VisionSettings()
    """Which frame an `image` model sees, and which part of the frames."""
    depth: DepthSettings = DepthSettings()
    """Metres to what the depth model sees."""
    thermal: ThermalSettings = ThermalSettings()
    """Temperature to grey."""

    @field_validator("modalities", mode="before")
    @classmethod
    def _usual(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
            # Unknown names stay, for the message that lists the known ones.
            return {name: DEFAULTS.get(name, name) for name in value if name != "text"}
        if isinstance(value, Mapping):
            return {name: DEFAULTS.get(name) if word is None else word for name, word in value.items()}
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.size == "small" and self.weights != "random":
            raise ValueError("size small has no published weights; set weights: random, or leave size out")
        try:
            towers = self.towers()
        except WeightsError as error:
            raise ValueError(str(error)) from error
        if self.text is not None and self.text not in self.modalities:
            raise ValueError(f"text: {self.text} is none of this encoder's modalities ({', '.join(self.modalities)})")
        dims = {tower.config.projection_dim for tower in towers.values()}
        if len(dims) > 1:
            told = ", ".join(f"{t.name} {t.config.projection_dim}" for t in towers.values())
            raise ValueError(f"modalities: vectors of one encoder have one length, found {told}; use two encoders")
        return self

    def towers(self) -> dict[str, Tower]:
        """What is behind every modality. WeightsError for a directory that cannot be read, or is of another kind."""
        return {modality: self._tower(modality, word) for modality, word in self.modalities.items()}

    def only(self, modalities: Sequence[str]) -> Self:
        """The same with no more than these: what is not asked for need not be there. Text needs one at least."""
        kept = {m: word for m, word in self.modalities.items() if m in modalities} or self.modalities
        return self.model_copy(update={"modalities": kept, "text": self.text if self.text in kept else None})

    def text_tower(self) -> Tower:
        """The model whose text side is used."""
        return self.towers()[self.text or next(iter(self.modalities))]

    def _tower(self, modality: str, word: str) -> Tower:
        name, path = published_name(word), Path(word).expanduser()
        pulled = model_cache() / name if name is not None else path
        if path.is_dir():
            tower = Tower(modality, path.resolve().name, path, _config_of(path))
        elif name is not None and self.weights is None and (pulled / CONFIG_FILE).is_file():
            # What was fetched may be a revision of another shape than the one we know.
            tower = Tower(modality, name, None, _config_of(pulled))
        elif name is not None:
            tower = Tower(modality, name, None, PUBLISHED[name].config)
        else:
            known = ", ".join(n.removeprefix("languagebind-") for n in PUBLISHED)
            raise WeightsError(
                f"modalities: {modality}: {word!r} is neither a directory nor a published model{nearest_name(word)} "
                f"(published: {known})"
            )
        if tower.config.modality != modality:
            raise WeightsError(
                f"modalities: {modality}: {word} is a model of kind {tower.config.kind}, which embeds "
                f"{tower.config.modality}"
            )
        if self.size == "small":
            return Tower(modality, tower.name, tower.path, small(tower.config))
        return tower


def _config_of(path: Path) -> LanguageBindConfig:
    return _read(path, (path / CONFIG_FILE).stat().st_mtime_ns)


@functools.lru_cache(maxsize=32)
def _read(path: Path, _changed_ns: int) -> LanguageBindConfig:
    return read_config(path)

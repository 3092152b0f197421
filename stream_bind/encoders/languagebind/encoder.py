"""LanguageBind as an encoder of the pipeline: packed clips in, unit vectors out. torch loads in `load()`."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipMaker
from stream_bind.encoders.branches import BranchedEncoder, show_terms
from stream_bind.encoders.cache import PULL, model_cache
from stream_bind.encoders.catalogue import LANGUAGEBIND_LICENCE, VOCABULARY_FILE
from stream_bind.encoders.languagebind.clips import (
    AudioClips,
    DepthClips,
    ImageClips,
    ThermalClips,
    VideoClips,
)
from stream_bind.encoders.languagebind.config import CONFIG_FILE, VisionConfig, read_config
from stream_bind.encoders.languagebind.files import weights_files
from stream_bind.encoders.languagebind.settings import LanguageBindEncoderConfig, Tower
from stream_bind.encoders.preprocess import fbank
from stream_bind.errors import ConfigError, WeightsError
from stream_bind.registry import register_encoder

if TYPE_CHECKING:
    import torch

    from stream_bind.encoders.languagebind.model import LanguageBind
    from stream_bind.encoders.languagebind.normalise import Normaliser
    from stream_bind.encoders.tokenizer import ClipTokenizer
    from stream_bind.encoders.weights import Checkpoint

__all__ = ["LanguageBindEncoder", "find_directory"]

SHORTEST_AUDIO_S = fbank.FRAME / fbank.RATE_HZ
CLIP_AXES = {"audio": 3, "depth": 3, "thermal": 3}
"""Axes of one packed clip; vision's depend on the kind of model."""
LABEL_SCALE = 100.0
SENSED = ("vision", "audio", "depth", "thermal")


@register_encoder("languagebind", config=LanguageBindEncoderConfig, modalities=(*SENSED, "text"))
class LanguageBindEncoder(BranchedEncoder[LanguageBindEncoderConfig, "LanguageBind"]):
    """One LanguageBind model for each modality, and one text tower. Each loads on its own."""

    MAX_BATCH: ClassVar[int] = 16
    """A clip of video is eight pictures."""

    def __init__(self, name: str, config: LanguageBindEncoderConfig) -> None:
        super().__init__(name, config)
        self._towers = config.towers()
        self._tokenizer: ClipTokenizer | None = None
        self._normalise: Normaliser | None = None

    @classmethod
    def modalities(cls, config: LanguageBindEncoderConfig) -> tuple[str, ...]:
        return (*config.modalities, "text")

    @classmethod
    def clip_maker(cls, config: LanguageBindEncoderConfig, modality: str, length_s: float | None = None) -> ClipMaker:
        """What makes this modality's clips from windows of `length_s` (None: the model's own). Imports no torch."""
        tower = config.towers().get(modality)
        if tower is None:
            near = difflib.get_close_matches(modality, config.modalities, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            sensed = ", ".join(config.modalities)
            raise ConfigError(f"encoder {config.model} makes no {modality} clips{hint}; it has {sensed}")
        if length_s is not None and (length_s <= 0 or (modality == "audio" and length_s < SHORTEST_AUDIO_S)):
            raise ConfigError(f"encoder {config.model}: {modality} windows of {length_s:g} s are too short")
        length = 2.0 if length_s is None else length_s
        model = tower.config
        match model.kind:
            case "video":
                return VideoClips(config.vision, length, model.vision.num_frames)
            case "image":
                return ImageClips(config.vision, length)
            case "audio":
                return AudioClips(*model.vision.image_size, length_s)
            case "depth":
                return DepthClips(config.depth, length, model.vision.max_depth_m)
            case _:
                return ThermalClips(config.thermal, length)

    @classmethod
    def check_weights(cls, config: LanguageBindEncoderConfig) -> None:
        """WeightsError if weights that `config` names are not there. Does not look into them; imports no torch."""
        if config.weights != "random":
            for tower in config.towers().values():
                weights_files(directory_of(tower))

    @classmethod
    def check_fit(cls, checkpoint: Checkpoint) -> None:
        """WeightsError unless `checkpoint` holds exactly what the config.json beside it says. Imports torch."""
        from stream_bind.encoders.languagebind.checkpoint import check_file

        check_file(checkpoint, read_config(checkpoint.path.parent))

    @property
    def dim(self) -> int:
        return next(iter(self._towers.values())).config.projection_dim

    @property
    def trained(self) -> bool:
        return self.config.weights != "random"

    def load(self, modalities: Sequence[str] | None = None) -> None:
        """Load these towers, or all; loaded ones stay. WeightsError, EncoderError, ConfigError."""
        from stream_bind.encoders.languagebind.normalise import Normaliser

        known = self.modalities(self.config)
        wanted = known if modalities is None else tuple(modalities)
        for modality in wanted:
            if modality not in known:
                raise ConfigError(f"encoder {self.name}: no modality {modality!r}; it has {', '.join(known)}")
        self._pick_compute()
        sound = self._towers["audio"].config.vision if "audio" in self._towers else VisionConfig()
        self._normalise = Normaliser(self._device, audio_mean=sound.audio_mean, audio_std=sound.audio_std)
        if not self._model:
            self._model = self._identity()
        if self.trained:
            show_terms(LANGUAGEBIND_LICENCE.summary)
        for modality in dict.fromkeys(wanted):
            if modality not in self._branches:
                self._branches[modality] = self._load_branch(modality)

    def scale(self, modality: str) -> float:
        """The factor by which the reference multiplies this modality's unit vector; text 1."""
        return 1.0 if modality == "text" else self._branch(modality).factor()

    def label_scale(self) -> float:
        """Factor on the cosines before a softmax over captions: fixed, as in the authors' zero-shot evaluation."""
        return LABEL_SCALE

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """n texts to (n, 77) token ids. WeightsError without the vocabulary file."""
        if self._tokenizer is None:
            from stream_bind.encoders.tokenizer import ClipTokenizer

            self._tokenizer = ClipTokenizer(self._vocabulary())
        return self._tokenizer(texts)

    def _clip_axes(self, modality: str, dtype: np.dtype[Any]) -> int:
        if modality == "vision":
            return 4 if self._towers["vision"].config.kind == "video" else 3
        return CLIP_AXES.get(modality, 3)

    def _normalised(self, modality: str, x: torch.Tensor) -> torch.Tensor:
        assert self._normalise is not None  # load() comes before embed()
        return self._normalise(modality, x)

    def _unit(self, branch: LanguageBind, modality: str, x: torch.Tensor) -> torch.Tensor:
        return branch.encode_text(x) if modality == "text" else branch.encode(x)

    def _load_branch(self, modality: str) -> LanguageBind:
        from stream_bind.encoders.languagebind.model import LanguageBind

        is_text = modality == "text"
        tower = self.config.text_tower() if is_text else self._towers[modality]
        if self.config.weights == "random":
            from stream_bind.encoders.languagebind.random_weights import seeded

            model = seeded(tower.config, self.config.seed, vision=not is_text, text=is_text)
            return model.to(self._device, self._dtype)
        return LanguageBind.from_pretrained(
            directory_of(tower), device=self._device, dtype=self._dtype, vision=not is_text, text=is_text
        )

    def _vocabulary(self) -> Path:
        if self.config.vocab is not None:
            return self.config.vocab.expanduser()
        path = self.config.text_tower().path
        beside = path / VOCABULARY_FILE if path is not None else None
        return beside if beside is not None and beside.is_file() else model_cache() / VOCABULARY_FILE

    def _identity(self) -> str:
        """Two encoders have one space if they are bound to the same text tower and make their inputs the same way.

        Not by the towers of what is sensed: a picture embedded here and a sound embedded there compare.
        """
        settings = {m: getattr(self.config, m).model_dump(mode="json") for m in ("vision", "depth", "thermal")}
        usual = {m: type(getattr(self.config, m))().model_dump(mode="json") for m in settings}
        parts: list[Any] = [{m: told for m, told in settings.items() if told != usual[m]}]
        tower = self.config.text_tower()
        if self.trained:
            from stream_bind.encoders.languagebind.checkpoint import text_digest

            parts.append(text_digest(directory_of(tower), tower.config))
        else:
            parts += [self.config.seed, asdict(tower.config.text), tower.config.projection_dim]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
        return f"languagebind@{digest}" if self.trained else f"languagebind@random:{self.config.seed}:{digest}"


def directory_of(tower: Tower) -> Path:
    """Where a tower's files are: the directory that was named, or the pulled one. WeightsError if it is not there."""
    return tower.path if tower.path is not None else find_directory(tower.name)


def find_directory(name: str) -> Path:
    """The directory of a pulled model. WeightsError with the command that fetches it."""
    path = model_cache() / name
    if not (path / CONFIG_FILE).is_file():
        raise WeightsError(
            f"{name}: there is no model at {path}; {PULL.format(name=name)}, name a directory in `modalities`, or set "
            "`weights: random` for untrained vectors"
        )
    return path

"""ImageBind as an encoder of the pipeline: packed clips in, unit vectors out. torch loads in `load()`."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipMaker
from stream_bind.encoders.branches import BranchedEncoder, show_terms
from stream_bind.encoders.cache import file_digest, find_weights, model_cache
from stream_bind.encoders.catalogue import IMAGEBIND_LICENCE, IMAGEBIND_WEIGHTS, VOCABULARY_FILE
from stream_bind.encoders.imagebind.architecture import VOCABULARY_SIZE, ImageBindConfig
from stream_bind.encoders.imagebind.clips import AudioClips, DepthClips, ImuClips, ThermalClips, VisionClips
from stream_bind.encoders.imagebind.directory import ModelDirectory, read_directory
from stream_bind.encoders.imagebind.random_weights import random_tensor
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig, ImageBindTinyConfig
from stream_bind.encoders.imagebind.signal_clips import SignalClips, check_stream
from stream_bind.encoders.preprocess import fbank
from stream_bind.errors import ConfigError, WeightsError
from stream_bind.messages import MODALITIES, StreamSpec
from stream_bind.registry import register_encoder

if TYPE_CHECKING:
    import torch

    from stream_bind.encoders.imagebind.model import ImageBind
    from stream_bind.encoders.tokenizer import ClipTokenizer
    from stream_bind.encoders.weights import Checkpoint

__all__ = ["ImageBindEncoder"]

logger = logging.getLogger(__name__)

SHORTEST_AUDIO_S = fbank.FRAME / fbank.RATE_HZ
CLIP_AXES = {"audio": 3, "depth": 3, "thermal": 3, "imu": 2}
"""Axes of one packed clip; a further one in front holds several clips of one window. Vision's depend on its dtype."""
SIGNAL_AXES = 2


@register_encoder("imagebind", config=ImageBindEncoderConfig, modalities=MODALITIES)
@register_encoder("imagebind-tiny", config=ImageBindTinyConfig, modalities=MODALITIES)
class ImageBindEncoder(BranchedEncoder[ImageBindEncoderConfig, "ImageBind"]):
    """One ImageBind. Branches load separately, so a rig with depth and IMU alone holds 41 M of 1.2 G parameters."""

    def __init__(self, name: str, config: ImageBindEncoderConfig) -> None:
        super().__init__(name, config)
        self._tokenizer: ClipTokenizer | None = None

    @classmethod
    def modalities(cls, config: ImageBindEncoderConfig) -> tuple[str, ...]:
        return config.modalities

    @classmethod
    def clip_maker(cls, config: ImageBindEncoderConfig, modality: str, length_s: float | None = None) -> ClipMaker:
        """What makes this modality's clips from windows of `length_s` (None: the model's own). Imports no torch."""
        if modality not in config.modalities or modality == "text":
            sensed = ", ".join(m for m in config.modalities if m != "text")
            near = difflib.get_close_matches(modality, config.modalities, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"encoder {config.model} makes no {modality} clips{hint}; it has {sensed}")
        signal = config.architecture().signal(modality)
        if signal is not None:
            if length_s is not None and abs(length_s - signal.length_s) > 1e-9:
                raise ConfigError(
                    f"encoder {config.model}: its {modality} branch is made for windows of {signal.length_s:g} s, "
                    f"found {length_s:g} s; leave length_s out"
                )
            return SignalClips(signal)
        default = 5.0 if modality == "imu" else 2.0
        length = default if length_s is None else length_s
        if length <= 0 or (modality == "audio" and length < SHORTEST_AUDIO_S):
            raise ConfigError(
                f"encoder {config.model}: {modality} windows of {length:g} s are too short; its own are {default:g} s"
            )
        match modality:
            case "vision":
                return VisionClips(config.vision, length)
            case "audio":
                return AudioClips(config.audio, config.architecture(), length)
            case "depth":
                return DepthClips(config.depth, length)
            case "thermal":
                return ThermalClips(config.thermal, length)
            case _:
                return ImuClips(config.imu, length)

    @classmethod
    def check_weights(cls, config: ImageBindEncoderConfig) -> None:
        """WeightsError if the weights that `config` names are not there. Does not look into them; imports no torch."""
        directory = config.directory()
        if directory is not None:
            directory.check()
            untrained = _untrained(config, directory)
            if untrained:
                raise WeightsError(
                    f"model directory {directory.path}: it has no weights of {', '.join(untrained)}; train them with "
                    "`stream-bind bind`"
                )
        if directory is None and config.weights != "random":
            find_weights("imagebind", config.weights, IMAGEBIND_WEIGHTS)
        elif directory is not None and _elsewhere(config, directory):
            find_weights("imagebind", directory.base_weights, IMAGEBIND_WEIGHTS)

    @classmethod
    def check_stream(cls, config: ImageBindEncoderConfig, stream: StreamSpec) -> None:
        """ConfigError where a stream's unit or channels are not those a declared signal was trained on."""
        signal = config.architecture().signal(stream.modality)
        if signal is not None:
            check_stream(signal, stream)

    @classmethod
    def check_fit(cls, checkpoint: Checkpoint) -> None:
        """WeightsError unless `checkpoint` is the published model, with all six branches. Imports torch."""
        from stream_bind.encoders.imagebind.model import ImageBind
        from stream_bind.encoders.meta import on_meta
        from stream_bind.encoders.weights import check_fit

        with on_meta():
            check_fit(ImageBind(ImageBindEncoderConfig().architecture()), checkpoint)

    @property
    def dim(self) -> int:
        return self.config.architecture().out_embed_dim

    @property
    def trained(self) -> bool:
        return self.config.weights != "random"

    def load(self, modalities: Sequence[str] | None = None) -> None:
        """Load these branches, or all the config names; loaded ones stay. WeightsError, EncoderError, ConfigError."""

        from stream_bind.encoders.imagebind.normalise import Normaliser

        wanted = self.config.modalities if modalities is None else tuple(modalities)
        for modality in wanted:
            if modality not in self.config.modalities:
                raise ConfigError(
                    f"encoder {self.name}: no modality {modality!r}; it has {', '.join(self.config.modalities)}"
                )
        self._pick_compute()
        self._normalise = Normaliser(self.config, self._device)
        if not self._model:
            self._model = self._identity()
        missing = [modality for modality in dict.fromkeys(wanted) if modality not in self._branches]
        # Opened for this call only: a file kept open would keep its float32 pages beside half-precision branches.
        checkpoints = self._open_checkpoints(missing) if missing and self.trained else {}
        for modality in missing:
            self._branches[modality] = self._load_branch(modality, checkpoints.get(modality))

    def scale(self, modality: str) -> float:
        """The factor by which the reference multiplies this modality's unit vector; vision 1."""
        return self._branch(modality).scale(modality)

    def branch(self, modality: str) -> ImageBind:
        """The loaded module of one branch, for whoever trains on top of it. EncoderError if it is not loaded."""
        return self._branch(modality)

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """n texts to (n, context) token ids. WeightsError without the vocabulary file."""
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        return self._tokenizer(texts)

    def _clip_axes(self, modality: str, dtype: np.dtype[Any]) -> int:
        if modality == "vision":
            return 3 if dtype == np.uint8 else 4
        return CLIP_AXES.get(modality, SIGNAL_AXES)

    def _normalised(self, modality: str, x: torch.Tensor) -> torch.Tensor:
        return self._normalise(modality, x)

    def _unit(self, branch: ImageBind, modality: str, x: torch.Tensor) -> torch.Tensor:
        return branch.unit(modality, x)

    def _open_checkpoints(self, modalities: Sequence[str]) -> dict[str, Checkpoint]:
        """By modality the file that holds its weights."""
        from stream_bind.encoders.weights import Checkpoint

        directory = self.config.directory()
        if directory is None:
            checkpoint = Checkpoint(self._weights_path(), "imagebind")
            show_terms(IMAGEBIND_LICENCE.summary)
            return dict.fromkeys(modalities, checkpoint)
        self.check_weights(self.config.model_copy(update={"modalities": tuple(modalities)}))
        directory.check(digest=True)
        show_terms(directory.terms)
        remedy = "take the directory again from where it came"
        found = dict.fromkeys(modalities, Checkpoint(directory.weights, directory.name, remedy))
        elsewhere = [modality for modality in modalities if modality not in directory.branches]
        if elsewhere:
            found |= dict.fromkeys(elsewhere, Checkpoint(self._base_path(directory), "imagebind"))
        return found

    def _base_path(self, directory: ModelDirectory) -> Path:
        path = find_weights("imagebind", directory.base_weights, IMAGEBIND_WEIGHTS)
        if directory.base_sha256 is not None and file_digest(path) != directory.base_sha256:
            raise WeightsError(
                f"{directory.name}: it was trained on top of weights with sha256 {directory.base_sha256[:12]}, found "
                f"others in {path}; fetch them with `stream-bind models pull imagebind`"
            )
        return path

    def _load_branch(self, modality: str, checkpoint: Checkpoint | None) -> ImageBind:
        from stream_bind.encoders.imagebind.model import ImageBind
        from stream_bind.encoders.meta import on_meta

        with on_meta():
            branch = ImageBind(replace(self.config.architecture(), modalities=(modality,)))
        if checkpoint is None:
            branch.load_state_dict(self._random_state(branch), strict=True, assign=True)
        else:
            self._load_weights(branch, modality, checkpoint)
        return branch.eval().requires_grad_(False)

    def _random_state(self, branch: ImageBind) -> dict[str, torch.Tensor]:
        import torch

        state = {}
        for key, value in branch.state_dict().items():
            tensor = torch.from_numpy(random_tensor(key, tuple(value.shape), self.config.seed))
            state[key] = tensor.to(device=self._device, dtype=self._dtype_of(key))
        return state

    def _load_weights(self, branch: ImageBind, modality: str, checkpoint: Checkpoint) -> None:
        from stream_bind.encoders.weights import assign

        def concerns(key: str) -> bool:
            # Keys of no known branch belong to nobody: they are reported with whichever branch loads.
            parts = key.split(".")
            known = (
                len(parts) > 2
                and parts[0].startswith("modality_")
                and parts[1] in self.config.architecture().modalities
            )
            return not known or parts[1] == modality

        assign(branch, checkpoint, wanted=concerns, device=self._device, dtype_of=self._dtype_of)
        if modality == "text" and not branch.mask_is_causal():
            raise WeightsError(f"imagebind: weights {checkpoint.path} hold a text mask that is not causal")

    def _dtype_of(self, key: str) -> torch.dtype:
        """Scales and the mask stay float32; everything else takes the computation's precision."""
        import torch

        return torch.float32 if key.startswith("modality_postprocessors.") or key.endswith(".mask") else self._dtype

    def _weights_path(self) -> Path:
        return find_weights("imagebind", self.config.weights, IMAGEBIND_WEIGHTS)

    def _make_tokenizer(self) -> ClipTokenizer:
        from stream_bind.encoders.tokenizer import ClipTokenizer

        architecture, directory = self.config.architecture(), self.config.directory()
        if directory is None and self.config.shipped is not None:
            directory = read_directory(self.config.shipped)
        make = functools.partial(
            ClipTokenizer, vocab_size=architecture.vocab_size, context_length=architecture.context_length
        )
        if directory is not None and directory.vocabulary is not None:
            return make(self.config.vocab or directory.vocabulary, directory.vocabulary_sha256)
        if self.config.vocab is not None and architecture.vocab_size != VOCABULARY_SIZE:
            return make(self.config.vocab.expanduser(), None)
        return make(self._vocabulary_path())

    def _vocabulary_path(self) -> Path:
        """Where the published vocabulary is."""
        if self.config.vocab is not None:
            return self.config.vocab.expanduser()
        if self.config.weights not in {None, "random"} and self.config.directory() is None:
            beside = self._weights_path().with_name(VOCABULARY_FILE)
            if beside.is_file():
                return beside
        return model_cache() / VOCABULARY_FILE

    def _identity(self) -> str:
        config, directory = self.config, self.config.directory()
        settings = config.model_dump(mode="json", include={"vision", "audio", "depth", "thermal", "imu"})
        if directory is not None:
            sources = [directory.weights_sha256, directory.vocabulary_sha256, directory.base_sha256]
            return f"{directory.name}@{_digest([*sources, asdict(config.architecture()), settings])}"
        source = f"random:{config.seed}" if config.weights == "random" else file_digest(self._weights_path())
        # Vectors keep the names they had before models could have signals and vocabularies of their own.
        usual = asdict(ImageBindConfig())
        dims = {
            key: value
            for key, value in asdict(config.architecture()).items()
            if key not in {"imu_head_dropout", "vocab_size", "context_length", "signals"} or value != usual[key]
        }
        digest = _digest([source, dims, settings])
        family = (
            config.model
            if config.size == "huge" or config.shipped is not None
            else f"imagebind-{config.size if isinstance(config.size, str) else 'custom'}"
        )
        return f"{family}@{source}:{digest}" if config.weights == "random" else f"{family}@{digest}"


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _elsewhere(config: ImageBindEncoderConfig, directory: ModelDirectory) -> list[str]:
    """Modalities whose weights the published checkpoint holds and the directory does not."""
    return [m for m in config.modalities if m in directory.architecture.modalities and m not in directory.branches]


def _untrained(config: ImageBindEncoderConfig, directory: ModelDirectory) -> list[str]:
    """Modalities that `config` declares on top of the directory, which nobody has trained."""
    return [m for m in config.modalities if m not in directory.architecture.modalities]

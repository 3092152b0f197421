"""ImageBind as an encoder of the pipeline: packed clips in, unit vectors out. torch loads in `load()`."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipMaker
from stream_bind.encoders.cache import file_digest, find_weights, model_cache
from stream_bind.encoders.catalogue import IMAGEBIND_LICENCE, IMAGEBIND_WEIGHTS, VOCABULARY_FILE
from stream_bind.encoders.imagebind.architecture import VOCABULARY_SIZE, ImageBindConfig
from stream_bind.encoders.imagebind.clips import AudioClips, DepthClips, ImuClips, ThermalClips, VisionClips
from stream_bind.encoders.imagebind.directory import ModelDirectory, read_directory
from stream_bind.encoders.imagebind.random_weights import random_tensor
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig, ImageBindTinyConfig
from stream_bind.encoders.imagebind.signal_clips import SignalClips, check_stream
from stream_bind.encoders.preprocess import fbank
from stream_bind.errors import ConfigError, EncoderError, WeightsError
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
MAX_BATCH = 64
"""Clips per pass; larger requests are cut, which bounds memory."""
CLIP_AXES = {"audio": 3, "depth": 3, "thermal": 3, "imu": 2}
"""Axes of one packed clip; a further one in front holds several clips of one window. Vision's depend on its dtype."""
SIGNAL_AXES = 2
MAX_CACHED_TEXTS = 4096
"""Vectors of texts that are kept: labels come again with every window. 16 MB of 1024 numbers."""

_licences_shown: set[str] = set()


@register_encoder("imagebind", config=ImageBindEncoderConfig, modalities=MODALITIES)
@register_encoder("imagebind-tiny", config=ImageBindTinyConfig, modalities=MODALITIES)
class ImageBindEncoder:
    """One ImageBind. Branches load separately, so a rig with depth and IMU alone holds 41 M of 1.2 G parameters."""

    def __init__(self, name: str, config: ImageBindEncoderConfig) -> None:
        self.name, self.config = name, config
        self._branches: dict[str, ImageBind] = {}
        self._tokenizer: ClipTokenizer | None = None
        self._texts: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._model = ""

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
    def check_fit(cls, config: ImageBindEncoderConfig, checkpoint: Checkpoint) -> None:
        """WeightsError unless `checkpoint` holds exactly the keys and shapes of all six branches. Imports torch."""
        import torch

        from stream_bind.encoders.imagebind.model import ImageBind
        from stream_bind.encoders.weights import check_fit

        with torch.device("meta"):
            check_fit(ImageBind(config.architecture()), checkpoint)

    @property
    def model(self) -> str:
        """`imagebind@<digest>` of weights, dimensions and preprocessing settings; known after load()."""
        return self._model

    @property
    def dim(self) -> int:
        return self.config.architecture().out_embed_dim

    @property
    def trained(self) -> bool:
        return self.config.weights != "random"

    def load(self, modalities: Sequence[str] | None = None) -> None:
        """Load these branches, or all the config names; loaded ones stay. WeightsError, EncoderError, ConfigError."""
        import torch

        from stream_bind.encoders.imagebind.normalise import Normaliser

        wanted = self.config.modalities if modalities is None else tuple(modalities)
        for modality in wanted:
            if modality not in self.config.modalities:
                raise ConfigError(
                    f"encoder {self.name}: no modality {modality!r}; it has {', '.join(self.config.modalities)}"
                )
        self._device = self._pick_device()
        self._dtype = self._pick_dtype()
        self._stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._normalise = Normaliser(self.config, self._device)
        if not self._model:
            self._model = self._identity()
        missing = [modality for modality in dict.fromkeys(wanted) if modality not in self._branches]
        # Opened for this call only: a file kept open would keep its float32 pages beside half-precision branches.
        checkpoints = self._open_checkpoints(missing) if missing and self.trained else {}
        for modality in missing:
            self._branches[modality] = self._load_branch(modality, checkpoints.get(modality))

    def embed(self, modality: str, clips: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """(n, *clip) packed clips to (n, dim) float32 unit vectors.

        Clips with one more axis in front hold several clips of one window; their unit vectors are averaged, as the
        reference does, and the mean is brought back to unit length. EncoderError for shapes that do not fit.
        """
        branch = self._branch(modality)
        if len(clips) == 0:
            return np.zeros((0, self.dim), np.float32)
        try:
            packed = clips if isinstance(clips, np.ndarray) else np.stack(clips)
        except ValueError as error:
            raise EncoderError(
                f"encoder {self.name}: {modality} clips of one batch differ in shape: {error}"
            ) from error
        axes = CLIP_AXES.get(modality, SIGNAL_AXES)
        if modality == "vision":
            axes = 3 if packed.dtype == np.uint8 else 4
        if modality == "text" or packed.ndim not in {axes + 1, axes + 2}:
            raise EncoderError(f"encoder {self.name}: {modality} clips cannot have shape {packed.shape[1:]}")
        several = packed.shape[1] if packed.ndim == axes + 2 else 0
        flat = packed.reshape(-1, *packed.shape[2:]) if several else packed
        try:
            units = [
                self._run(branch, modality, flat[start : start + MAX_BATCH]) for start in range(0, len(flat), MAX_BATCH)
            ]
        except ValueError as error:
            raise EncoderError(f"encoder {self.name}: {error}") from error
        vectors = np.concatenate(units)
        if several:
            vectors = vectors.reshape(-1, several, vectors.shape[1]).mean(axis=1)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        if not np.isfinite(vectors).all():
            raise EncoderError(
                f"encoder {self.name}: a {modality} clip gave a vector that is not finite; check its input"
            )
        return vectors

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts to (n, dim) float32 unit vectors, known ones from memory. WeightsError without a vocabulary file."""
        branch = self._branch("text")
        if len(texts) == 0:
            return np.zeros((0, self.dim), np.float32)
        found = {text: self._texts[text] for text in texts if text in self._texts}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            ids = self.tokenize(new)
            for start in range(0, len(new), MAX_BATCH):
                vectors = self._run(branch, "text", ids[start : start + MAX_BATCH])
                found.update(zip(new[start : start + MAX_BATCH], vectors, strict=True))
        for text, vector in found.items():
            self._texts[text] = vector
            self._texts.move_to_end(text)
        while len(self._texts) > MAX_CACHED_TEXTS:
            self._texts.popitem(last=False)
        return np.stack([found[text] for text in texts])

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

    def close(self) -> None:
        self._branches.clear()
        self._texts.clear()

    def _run(self, branch: ImageBind, modality: str, clips: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        host = torch.from_numpy(np.require(clips, requirements=["C", "W"]))
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            if self._stream is not None:
                host = host.pin_memory()
            x = self._normalised(modality, host.to(self._device, non_blocking=True))
            unit = branch.unit(modality, x).to("cpu", non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        vectors: NDArray[np.float32] = unit.numpy()
        return vectors

    def _normalised(self, modality: str, x: torch.Tensor) -> torch.Tensor:
        """Packed clips to the model's input, in float32 up to the cast."""
        return x if modality == "text" else self._normalise(modality, x).to(self._dtype)

    def _branch(self, modality: str) -> ImageBind:
        if modality not in self._branches:
            loaded = ", ".join(self._branches) or "none"
            raise EncoderError(f"encoder {self.name}: {modality} is not loaded (loaded: {loaded}); call load() with it")
        return self._branches[modality]

    def _open_checkpoints(self, modalities: Sequence[str]) -> dict[str, Checkpoint]:
        """By modality the file that holds its weights."""
        from stream_bind.encoders.weights import Checkpoint

        directory = self.config.directory()
        if directory is None:
            checkpoint = Checkpoint(self._weights_path(), "imagebind")
            _show_terms(IMAGEBIND_LICENCE.summary)
            return dict.fromkeys(modalities, checkpoint)
        self.check_weights(self.config.model_copy(update={"modalities": tuple(modalities)}))
        directory.check(digest=True)
        _show_terms(directory.terms)
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
        import torch

        from stream_bind.encoders.imagebind.model import ImageBind

        with torch.device("meta"):
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

    def _pick_device(self) -> torch.device:
        import torch

        name = self.config.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name.startswith("cuda") and not torch.cuda.is_available():
            raise EncoderError(f"encoder {self.name}: device {name} is wanted, no CUDA GPU is found; set `device: cpu`")
        if name.startswith("cuda:") and int(name[5:]) >= torch.cuda.device_count():
            raise EncoderError(
                f"encoder {self.name}: device {name} is wanted, {torch.cuda.device_count()} GPUs are found"
            )
        if name == "mps" and not torch.backends.mps.is_available():
            raise EncoderError(f"encoder {self.name}: device mps is wanted and not available; set `device: cpu`")
        return torch.device(name)

    def _pick_dtype(self) -> torch.dtype:
        import torch

        name = self.config.dtype
        if name == "auto":
            name = "bfloat16" if self._device.type == "cuda" else "float32"
            if name == "bfloat16" and not torch.cuda.is_bf16_supported():
                name = "float16"
        dtype: torch.dtype = getattr(torch, name)
        return dtype

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


def _show_terms(terms: str) -> None:
    """Once per process: whoever runs the weights has seen their terms."""
    if terms and terms not in _licences_shown:
        _licences_shown.add(terms)
        logger.warning(terms)

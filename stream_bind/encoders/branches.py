"""What encoders whose modalities load apart share: batches, the device's queue, known texts. torch loads late."""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import EncoderError

if TYPE_CHECKING:
    import torch

__all__ = ["BranchedEncoder", "show_terms"]

logger = logging.getLogger(__name__)

MAX_CACHED_TEXTS = 4096
"""Vectors of texts that are kept: labels come again with every window. 16 MB of 1024 numbers."""

_terms_shown: set[str] = set()


class ComputeConfig(Protocol):
    """Where and how precisely an encoder computes."""

    @property
    def device(self) -> str: ...

    @property
    def dtype(self) -> str: ...


C = TypeVar("C", bound=ComputeConfig)
B = TypeVar("B")


class BranchedEncoder(ABC, Generic[C, B]):
    """Clips and texts to unit vectors through modules (B) that are loaded one modality at a time."""

    MAX_BATCH: ClassVar[int] = 64
    """Clips per pass; larger requests are cut, which bounds memory."""

    def __init__(self, name: str, config: C) -> None:
        self.name, self.config = name, config
        self._branches: dict[str, B] = {}
        self._texts: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._model = ""

    @property
    def model(self) -> str:
        """`name@digest` of weights, dimensions and preprocessing settings; known after load()."""
        return self._model

    @property
    @abstractmethod
    def dim(self) -> int: ...

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """n texts to (n, context) token ids. WeightsError without the vocabulary file."""

    @abstractmethod
    def _clip_axes(self, modality: str, dtype: np.dtype[Any]) -> int:
        """Axes of one packed clip; a further one in front holds several clips of one window."""

    @abstractmethod
    def _normalised(self, modality: str, x: torch.Tensor) -> torch.Tensor:
        """Packed clips on the device to the model's input, float32."""

    @abstractmethod
    def _unit(self, branch: B, modality: str, x: torch.Tensor) -> torch.Tensor:
        """(n, dim) float32 unit vectors of normalised clips, or of token ids."""

    def _pick_compute(self) -> None:
        """Find the device, its precision and its queue; EncoderError where there is no such device."""
        import torch

        self._device = self._pick_device()
        self._dtype = self._pick_dtype()
        self._stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None  # type: ignore[no-untyped-call]

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
        axes = self._clip_axes(modality, packed.dtype)
        if modality == "text" or packed.ndim not in {axes + 1, axes + 2}:
            raise EncoderError(f"encoder {self.name}: {modality} clips cannot have shape {packed.shape[1:]}")
        several = packed.shape[1] if packed.ndim == axes + 2 else 0
        flat = packed.reshape(-1, *packed.shape[2:]) if several else packed
        try:
            units = [
                self._run(branch, modality, flat[start : start + self.MAX_BATCH])
                for start in range(0, len(flat), self.MAX_BATCH)
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
            for start in range(0, len(new), self.MAX_BATCH):
                vectors = self._run(branch, "text", ids[start : start + self.MAX_BATCH])
                found.update(zip(new[start : start + self.MAX_BATCH], vectors, strict=True))
        for text, vector in found.items():
            self._texts[text] = vector
            self._texts.move_to_end(text)
        while len(self._texts) > MAX_CACHED_TEXTS:
            self._texts.popitem(last=False)
        return np.stack([found[text] for text in texts])

    def close(self) -> None:
        self._branches.clear()
        self._texts.clear()

    def _run(self, branch: B, modality: str, clips: NDArray[Any]) -> NDArray[np.float32]:
        import torch

        host = torch.from_numpy(np.require(clips, requirements=["C", "W"]))
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            if self._stream is not None:
                host = host.pin_memory()
            x = host.to(self._device, non_blocking=True)
            if modality != "text":
                x = self._normalised(modality, x).to(self._dtype)
            unit = self._unit(branch, modality, x).to("cpu", non_blocking=True)
        if self._stream is not None:
            self._stream.synchronize()
        vectors: NDArray[np.float32] = unit.numpy()
        return vectors

    def _branch(self, modality: str) -> B:
        if modality not in self._branches:
            loaded = ", ".join(self._branches) or "none"
            raise EncoderError(f"encoder {self.name}: {modality} is not loaded (loaded: {loaded}); call load() with it")
        return self._branches[modality]

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


def show_terms(terms: str) -> None:
    """Once per process: whoever runs the weights has seen their terms."""
    if terms and terms not in _terms_shown:
        _terms_shown.add(terms)
        logger.warning(terms)

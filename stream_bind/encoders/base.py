"""What the pipeline asks of an encoder: the clip it wants (numpy only), and vectors (torch, loaded late)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_bind.messages import StreamSpec, Window

__all__ = ["ClipMaker", "ClipSpec", "Encoder"]


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """The window and the packed clip an encoder wants of one modality."""

    modality: str
    length_s: float
    """Window length the model was made for; the config may override it."""
    hop_s: float
    """Default hop."""
    shape: tuple[int, ...]
    """Shape of one packed clip."""
    dtype: str
    """uint8 or float32, before normalisation (normalisation happens in the encoder, on its device)."""
    context_s: float = 0.0
    """Native samples needed before the window's start (resampler run-in)."""
    axes: tuple[str, ...] = ()
    """IMU columns needed, in order."""
    payload: str = "all"
    """all: every sample's data is needed; edges: only the first and last frame of every hop cell."""


@runtime_checkable
class ClipMaker(Protocol):
    """Turns a window into a packed clip. Pure, numpy only: it runs inside the capture actor, without torch."""

    @property
    def spec(self) -> ClipSpec: ...

    def make(self, window: Window, stream: StreamSpec) -> NDArray[Any]:
        """The clip, `spec.shape` and `spec.dtype`. Raises ClipError if the window cannot become one."""


@runtime_checkable
class Encoder(Protocol):
    """A joint-embedding model. Registered classes are built as `Encoder(name, config)`, which imports no torch.

    They also carry two class methods that need no weights:
    `clip_maker(config, modality, length_s=None) -> ClipMaker` (ConfigError for a modality the model lacks) and
    `modalities(config) -> tuple[str, ...]`. Where the factor on cosines before a softmax over captions is not
    `scale("text")`, a method `label_scale() -> float` says it.
    """

    @property
    def model(self) -> str:
        """`name@digest` of architecture, preprocessing and weights; known after load()."""

    @property
    def dim(self) -> int: ...

    @property
    def trained(self) -> bool:
        """False for seeded random weights."""

    def load(self, modalities: Sequence[str] | None = None) -> None:
        """Import torch and load the weights of these modalities (None: all the config names), once."""

    def embed(self, modality: str, clips: NDArray[Any] | Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """(n, *clip shape) packed clips to (n, dim) float32 unit vectors; n may be 0."""

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts to (n, dim) float32 unit vectors."""

    def scale(self, modality: str) -> float:
        """The factor by which the reference multiplies the unit vector (1.0 where it has none)."""

    def close(self) -> None: ...

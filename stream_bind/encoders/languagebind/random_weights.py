"""Seeded weights for a LanguageBind that nobody trained: for trials and benchmarks.

Every tensor depends on the seed and its own key alone, so text towers of one seed agree whatever they are bound to.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.languagebind.config import LanguageBindConfig

if TYPE_CHECKING:
    from stream_bind.encoders.languagebind.model import LanguageBind

__all__ = ["random_tensor", "seeded"]

LOG_SCALE = math.log(1 / 0.07)
EMBEDDING_STD = 0.02
SHARPNESS = 2.0
"""Gain on queries and keys: with 1 attention averages all tokens, and all inputs look alike."""


def seeded(config: LanguageBindConfig, seed: int, *, vision: bool = True, text: bool = True) -> LanguageBind:
    """A model with these weights, ready to run on the CPU in float32."""
    import torch

    from stream_bind.encoders.languagebind.model import LanguageBind
    from stream_bind.encoders.meta import on_meta

    with on_meta():
        model = LanguageBind(config, vision=vision, text=text)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    state = {key: torch.from_numpy(random_tensor(key, shape, seed)) for key, shape in shapes.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval().requires_grad_(False)


def random_tensor(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """The tensor of one state-dict key: norms at identity, biases zero, matrices uniform with variance 1/fan-in."""
    if key == "logit_scale":
        return np.full(shape, LOG_SCALE, np.float32)
    if "norm" in key:
        return np.full(shape, float(key.endswith(".weight")), np.float32)
    if key.endswith(".bias"):
        return np.zeros(shape, np.float32)
    if "embedding" in key and "patch" not in key:
        return _uniform(key, shape, seed, EMBEDDING_STD)
    sharp = key.endswith(("q_proj.weight", "k_proj.weight"))
    return _uniform(key, shape, seed, (SHARPNESS if sharp else 1.0) / math.sqrt(math.prod(shape[1:])))


def _uniform(key: str, shape: tuple[int, ...], seed: int, std: float) -> NDArray[np.float32]:
    """Uniform with deviation `std`, in place: cheaper than normal numbers."""
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    values = generator.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(math.sqrt(12.0) * std)
    return values

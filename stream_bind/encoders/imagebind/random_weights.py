"""Seeded weights for an ImageBind that nobody trained: for trials and benchmarks. numpy only.

Every tensor depends on the seed and its own key alone, so branches agree whichever are loaded, on every machine.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["random_tensor"]

LOG_SCALES = {
    "text": math.log(1 / 0.07),
    "audio": math.log(20.0),
    "depth": math.log(5.0),
    "thermal": math.log(10.0),
    "imu": math.log(5.0),
}
SIGNAL_LOG_SCALE = math.log(5.0)
NORMS = (".norm_1.", ".norm_2.", ".norm_layer.", ".pre_transformer_layer.")
EMBEDDING_STD = 0.02
SHARPNESS = 2.0
"""Gain on the query, key and value rows: with 1 attention averages all tokens, and all inputs look alike."""


def random_tensor(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """The tensor of one state-dict key: norms at identity, biases zero, matrices uniform with variance 1/fan-in."""
    if key.endswith("text.mask"):
        return np.triu(np.full(shape, -np.inf, np.float32), 1)
    if key.endswith("log_logit_scale"):
        return np.full(shape, LOG_SCALES.get(key.split(".")[1], SIGNAL_LOG_SCALE), np.float32)
    if _is_norm(key):
        return np.full(shape, float(key.endswith(".weight")), np.float32)
    if key.endswith((".bias", "in_proj_bias")):
        return np.zeros(shape, np.float32)
    if key.endswith(("cls_token", "pos_embed", "token_embedding.weight", "bias_k", "bias_v")):
        return _uniform(key, shape, seed, EMBEDDING_STD)
    std = 1.0 / math.sqrt(math.prod(shape[1:]))
    return _uniform(key, shape, seed, std * (SHARPNESS if key.endswith("in_proj_weight") else 1.0))


def _is_norm(key: str) -> bool:
    if any(part in key for part in NORMS):
        return True
    return key.startswith("modality_heads.") and (key.split(".")[2] == "0" or ".proj.0." in key)


def _uniform(key: str, shape: tuple[int, ...], seed: int, std: float) -> NDArray[np.float32]:
    """Uniform with deviation `std`, in place: cheaper than normal numbers, and the huge model needs 1.2e9."""
    generator = np.random.Generator(np.random.PCG64([seed, zlib.crc32(key.encode())]))
    values = generator.random(shape, dtype=np.float32)
    values -= np.float32(0.5)
    values *= np.float32(math.sqrt(12.0) * std)
    return values

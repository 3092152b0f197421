"""A sensor type that the reference does not have, as its branch and its clips need it: plain data, no torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from stream_bind.messages import MODALITIES

__all__ = ["Detrend", "SignalConfig"]

Detrend = Literal["none", "mean", "linear"]
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_SAMPLES = 65536
RESERVED = (
    {"apply", "buffers", "children", "clear", "compile", "cpu", "cuda", "double", "eval", "float", "forward", "half"}
    | {"items", "keys", "modules", "name", "parameters", "pop", "signal", "to", "train", "training", "type", "unknown"}
    | {"update", "values", "xpu"}
)
"""Names that torch's containers or our own words have taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalConfig:
    """One kind of sampled signal: how it is sensed, how its windows are scaled, how wide its branch is.

    ValueError where the figures do not fit together.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True}

    name: str
    """The modality's name in YAML, in topics and in the weights' keys: lower case, digits and underscores."""
    channels: int
    """Numbers of one sample."""
    rate_hz: float
    """Samples per second of the model's input; any sensor's rate is resampled to it."""
    length_s: float
    """Length of the window that makes one clip."""
    kernel: int = 8
    """Consecutive samples that make one token."""
    embed_dim: int = 128
    """Width of the branch."""
    num_blocks: int = 3
    """Transformer blocks."""
    num_heads: int = 4
    """Attention heads; divides the width."""
    mean: tuple[float, ...] = ()
    """Subtracted from each channel after `detrend`; empty: zeros."""
    std: tuple[float, ...] = ()
    """Divides each channel, last; empty: ones."""
    unit: str = ""
    """Unit of the samples; a stream's must be the same. Empty: any."""
    axes: tuple[str, ...] = ()
    """Names of the channels in the model's order, by which a sensor's columns are picked; empty: as they come."""
    detrend: Detrend = "none"
    """What each window loses: its mean, or its straight line (of a barometer, the weather and the altitude)."""
    drop_path: float = 0.0
    """Stochastic depth of the last block in training; rises linearly from 0."""
    head_dropout: float = 0.1
    """Share of features the head drops in training."""

    def __post_init__(self) -> None:
        for key in ("mean", "std", "axes"):
            value = getattr(self, key)
            object.__setattr__(self, key, (value,) if isinstance(value, int | float | str) else tuple(value))
        if not NAME.fullmatch(self.name) or self.name in RESERVED:
            raise ValueError(
                f"signal {self.name!r}: a name is wanted of lower case letters, digits and _ that is no word of torch's"
            )
        if self.name in MODALITIES:
            raise ValueError(f"signal {self.name!r} is one of the model's own modalities; take another name")
        self._check_window()
        self._check_channels()
        dim, heads = self.embed_dim, self.num_heads
        if dim < 1 or heads < 1 or self.num_blocks < 1 or dim % heads:
            raise self._fault(
                f"embed_dim {dim} must be a positive multiple of num_heads {heads}, with num_blocks >= 1 "
                f"(found {self.num_blocks})"
            )
        if not (0 <= self.drop_path < 1 and 0 <= self.head_dropout < 1):
            raise self._fault(
                "drop_path and head_dropout must be at least 0 and below 1, "
                f"found {self.drop_path:g} and {self.head_dropout:g}"
            )
        if self.detrend not in get_args(Detrend):
            raise self._fault(f"detrend must be one of {', '.join(get_args(Detrend))}, found {self.detrend!r}")

    @property
    def n_samples(self) -> int:
        """Samples of one clip."""
        return round(self.rate_hz * self.length_s)

    def _check_window(self) -> None:
        for key in ("rate_hz", "length_s"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                raise self._fault(f"{key} must be a positive number, found {value:g}")
        n = self.n_samples
        if not 2 <= n <= MAX_SAMPLES:
            raise self._fault(
                f"{self.rate_hz:g} Hz over {self.length_s:g} s are {n} samples; 2 to {MAX_SAMPLES} are possible"
            )
        if self.kernel < 1 or n % self.kernel:
            fit = ", ".join(str(k) for k in range(1, n + 1) if n % k == 0 and 4 <= n // k <= 256) or "1"
            raise self._fault(
                f"kernel {self.kernel} must divide the {n} samples of {self.length_s:g} s at {self.rate_hz:g} Hz "
                f"(such as {fit})"
            )

    def _check_channels(self) -> None:
        if self.channels < 1:
            raise self._fault(f"channels must be >= 1, found {self.channels}")
        for key in ("mean", "std", "axes"):
            found = len(getattr(self, key))
            if found not in {0, self.channels}:
                raise self._fault(f"{key} must have one value for each of the {self.channels} channels, found {found}")
        if len(set(self.axes)) < len(self.axes):
            raise self._fault(f"axes must have different names, found {', '.join(self.axes)}")
        if not all(math.isfinite(v) for v in (*self.mean, *self.std)) or not all(v > 0 for v in self.std):
            raise self._fault("mean must be finite and std positive")

    def _fault(self, what: str) -> ValueError:
        return ValueError(f"signal {self.name!r}: {what}")

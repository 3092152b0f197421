"""ImageBind as an nn.Module with the published checkpoint's keys. Inputs are preprocessed tensors.

Every branch is preprocessor (tokens), trunk (transformer), head (norm, one token, projection), postprocessor
(unit length, then a scale for all but vision). Branches share nothing, so any subset can be built.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_bind.encoders.imagebind.architecture import ImageBindConfig
from stream_bind.encoders.imagebind.stems import build_preprocessor, shape_text
from stream_bind.encoders.imagebind.trunk import BLOCK_EPS, Trunk

__all__ = ["ImageBind", "Stages"]

INITIAL_SCALES = {"text": 1 / 0.07, "audio": 20.0, "depth": 5.0, "thermal": 10.0, "imu": 5.0}
"""Factor after normalising; vision has none. Text's is learned, the others are fixed (and stored)."""
SIGNAL_SCALE = 5.0
"""That of declared signals: the IMU's."""
MAX_SCALE = 100.0


class Stages(NamedTuple):
    """What each part of a branch returns, for parity checks. n counts clips (items times clips per item)."""

    tokens: Tensor
    """(n, L, d) what enters the trunk."""
    trunk: Tensor
    """(n, L, d) what leaves it."""
    head: Tensor
    """(n, out) before normalising."""
    unit: Tensor
    """(n, out) unit length."""
    embedding: Tensor
    """(items, out) what the reference returns: scaled, then averaged over clips."""


class SelectToken(nn.Module):
    """(n, L, d) to its first token (n, d)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class TextHead(nn.Module):
    """Norm and projection of the tokens picked by the caller."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.LayerNorm(dim, eps=BLOCK_EPS), nn.Linear(dim, out, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        picked: Tensor = self.proj(x)
        return picked


class LogitScale(nn.Module):
    """The factor min(exp(log_logit_scale), 100), learnable for text."""

    log_logit_scale: Tensor

    def __init__(self, initial: float, *, learnable: bool) -> None:
        super().__init__()
        value = torch.full((), math.log(initial))
        if learnable:
            self.log_logit_scale = nn.Parameter(value)
        else:
            self.register_buffer("log_logit_scale", value)

    def factor(self) -> Tensor:
        return self.log_logit_scale.float().exp().clamp(max=MAX_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor()


class UnitLength(nn.Module):
    """Divide by max(norm, 1e-12), in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1)


class Postprocessor(nn.Sequential):
    """Unit length, then the modality's scale; vision has none."""

    def __init__(self, modality: str) -> None:
        parts: list[nn.Module] = [UnitLength()]
        if modality != "vision":
            parts.append(LogitScale(INITIAL_SCALES.get(modality, SIGNAL_SCALE), learnable=modality == "text"))
        super().__init__(*parts)

    def unit(self, head: Tensor) -> Tensor:
        out: Tensor = self[0](head)
        return out

    def factor(self) -> float:
        scale = self[-1]
        return float(scale.factor().detach()) if isinstance(scale, LogitScale) else 1.0


def build_head(modality: str, config: ImageBindConfig) -> nn.Module:
    dim, out = config.width(modality), config.out_embed_dim
    if modality == "text":
        return TextHead(dim, out)
    norm, project = nn.LayerNorm(dim, eps=BLOCK_EPS), nn.Linear(dim, out, bias=False)
    if modality == "imu" or config.signal(modality):
        return nn.Sequential(norm, SelectToken(), nn.Dropout(config.head_dropout(modality)), project)
    return nn.Sequential(norm, SelectToken(), project)


def mean_of_clips(vectors: Tensor, n_clips: int) -> Tensor:
    """(items*n_clips, d) to (items, d), not normalised again."""
    return vectors.reshape(-1, n_clips, vectors.shape[-1]).mean(dim=1)


def build_trunk(modality: str, config: ImageBindConfig) -> Trunk:
    return Trunk(
        config.width(modality),
        config.heads(modality),
        config.blocks(modality),
        bias_kv=modality not in {"vision", "text"},
        pre_norm=modality == "vision",
        causal=modality == "text",
        drop_path=config.drop_path(modality),
    )


class ImageBind(nn.Module):
    """Joint embedding of vision, text, audio, depth, thermal, IMU and declared signals.

    `config.modalities` says which branches are built. Build under `torch.device("meta")` and load with `assign=True` to
    hold the weights once; built elsewhere its weights are ready to be trained. Call `eval()` to embed: in training mode
    audio and IMU drop blocks and the IMU head drops features.
    """

    def __init__(self, config: ImageBindConfig | None = None) -> None:
        super().__init__()
        self.config = config or ImageBindConfig()
        names = self.config.modalities
        self.modality_preprocessors = nn.ModuleDict({m: build_preprocessor(m, self.config) for m in names})
        self.modality_trunks = nn.ModuleDict({m: build_trunk(m, self.config) for m in names})
        self.modality_heads = nn.ModuleDict({m: build_head(m, self.config) for m in names})
        self.modality_postprocessors = nn.ModuleDict({m: Postprocessor(m) for m in names})

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the reference returns, per modality (items, out): unit vectors times `scale`, float32.

        vision: (n, 3, H, W) images or (n, S, 3, T, H, W) clips of T = 1 or 2 frames; text: (n, 77) ids; audio:
        (n, 1, 128, 204); depth, thermal: (n, 1, 224, 224); imu: (n, 6, 2000); a signal: (n, channels, samples); all
        but text normalised float tensors.
        Five or more dimensions mean (n, S, ...): S clips per item, whose scaled vectors are averaged and not
        normalised again. ValueError for any other shape.
        """
        return {modality: self._embed(modality, x) for modality, x in inputs.items()}

    def unit(self, modality: str, clips: Tensor) -> Tensor:
        """Unit vectors (n, out) float32 of flat clips; a 5-D vision tensor here is n clips (n, 3, T, H, W).

        Skips what no output needs, so its figures differ from `forward` in the last bits (1e-7).
        """
        self._require(modality, clips)
        return self._postprocessor(modality).unit(self._head_output(modality, clips, whole=False))

    def scale(self, modality: str) -> float:
        """The factor on the unit vector; 1.0 for vision."""
        return self._postprocessor(modality).factor()

    @torch.no_grad()
    def stages(self, modality: str, x: Tensor) -> Stages:
        """Every intermediate result of one branch, in one pass."""
        self._require(modality, x)
        clips, n_clips = (x.flatten(0, 1), x.shape[1]) if x.ndim >= 5 else (x, 1)
        tokens = self.modality_preprocessors[modality](clips)
        trunk = self.modality_trunks[modality](tokens)
        picked = trunk[torch.arange(len(clips)), clips.argmax(dim=1)] if modality == "text" else trunk
        head = self.modality_heads[modality](picked)
        post = self._postprocessor(modality)
        return Stages(tokens, trunk, head, post.unit(head), mean_of_clips(post(head), n_clips))

    def mask_is_causal(self) -> bool:
        """Whether the loaded text mask is the causal one that attention assumes."""
        mask = self.get_submodule("modality_preprocessors.text").get_buffer("mask")
        return bool(torch.equal(mask, torch.full_like(mask, -math.inf).triu(1)))

    def _embed(self, modality: str, x: Tensor) -> Tensor:
        self._require(modality, x)
        clips, n_clips = (x.flatten(0, 1), x.shape[1]) if x.ndim >= 5 else (x, 1)
        scaled: Tensor = self.modality_postprocessors[modality](self._head_output(modality, clips, whole=True))
        return scaled if x.ndim < 5 else mean_of_clips(scaled, n_clips)

    def _head_output(self, modality: str, clips: Tensor, *, whole: bool) -> Tensor:
        """`whole` works out every token up to the end of the trunk, as the reference does, for whoever hooks a module;
        else only what the head reads."""
        tokens = self.modality_preprocessors[modality](clips)
        trunk, head = self.modality_trunks[modality], self.modality_heads[modality]
        if modality == "text":
            ends = clips.argmax(dim=1)
            # Attention is causal, so nothing behind the last end-of-text of the batch can matter.
            features = trunk(tokens if whole or not len(clips) else tokens[:, : int(ends.max()) + 1])
            out: Tensor = head(features[torch.arange(len(clips), device=clips.device), ends])
            return out
        picked: Tensor = head(trunk(tokens, first_only=not whole))
        return picked

    def _postprocessor(self, modality: str) -> Postprocessor:
        post = self.modality_postprocessors[modality]
        assert isinstance(post, Postprocessor)
        return post

    def _require(self, modality: str, x: Tensor) -> None:
        if modality not in self.modality_trunks:
            built = ", ".join(self.config.modalities)
            raise ValueError(f"modality {modality!r} is not built in this ImageBind (built: {built})")
        if not isinstance(x, Tensor):
            raise ValueError(f"{modality}: a tensor is wanted, found {type(x).__name__}; leave unused modalities out")
        if x.ndim >= 5 and (modality in {"text", "imu"} or self.config.signal(modality)):
            raise ValueError(f"{modality} takes no clip axis, found {shape_text(x)}; embed the clips as items")

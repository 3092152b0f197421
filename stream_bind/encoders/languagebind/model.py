"""LanguageBind in PyTorch: a CLIP-like tower for one kind of input, over time where it is video, and a text tower.

Keys are those of the published full-weight checkpoints; low-rank updates are merged while loading (checkpoint.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_bind.encoders.languagebind.config import LanguageBindConfig, TextConfig, VisionConfig, read_config
from stream_bind.encoders.meta import on_meta

__all__ = ["LanguageBind", "Stages", "TextStages"]


class Stages(NamedTuple):
    """What is seen on the way through the sensed tower; n inputs of T frames (1 but for video), p tokens."""

    after_pre_norm: Tensor
    """(n * T, p, d)."""
    after_layer0: Tensor
    """(n * T, p, d)."""
    last: Tensor
    """(n * T, p, d), not normed."""
    pooled: Tensor
    """(n, d)."""
    projected: Tensor
    """(n, out)."""
    embedding: Tensor
    """(n, out) float32 unit vectors."""


class TextStages(NamedTuple):
    """What is seen on the way through the text tower."""

    after_embeddings: Tensor
    """(n, tokens, d)."""
    last_normed: Tensor
    """(n, tokens, d)."""
    pooled: Tensor
    """(n, d)."""
    projected: Tensor
    """(n, out)."""
    embedding: Tensor
    """(n, out) float32 unit vectors."""


def quick_gelu(x: Tensor) -> Tensor:
    """OpenAI CLIP's x * sigmoid(1.702 x); the published LanguageBind models have the exact one."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "quick_gelu": quick_gelu}


class Attention(nn.Module):
    """Multi-head self-attention with biases, (..., tokens, d)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        n, tokens, dim = x.shape
        q, k, v = (
            proj(x).view(n, tokens, self.heads, -1).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        out: Tensor = self.out_proj(y.transpose(1, 2).reshape(n, tokens, dim))
        return out


class Mlp(nn.Module):
    def __init__(self, config: TextConfig | VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class Layer(nn.Module):
    """Pre-norm: attention over frames first where there is any, then over the tokens of a frame, then the MLP."""

    def __init__(self, config: TextConfig | VisionConfig) -> None:
        super().__init__()
        dim, eps = config.hidden_size, config.layer_norm_eps
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(dim, eps), nn.LayerNorm(dim, eps)
        self.self_attn = Attention(dim, config.num_attention_heads)
        self.mlp = Mlp(config)
        self.frames = config.num_frames if isinstance(config, VisionConfig) and config.add_time_attn else 0
        if self.frames:
            self.temporal_embedding = nn.Parameter(torch.zeros(1, self.frames, dim))
            self.temporal_attn = Attention(dim, config.num_attention_heads)
            self.temporal_layer_norm1 = nn.LayerNorm(dim, eps)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        if self.frames:
            x = self._over_time(x)
        x = x + self.self_attn(self.layer_norm1(x), causal=causal)
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out

    def _over_time(self, x: Tensor) -> Tensor:
        """(n * T, tokens, d): every token position attends over the T frames. The tables stay in the residual."""
        tokens, dim = x.shape[1:]
        x = x.view(-1, self.frames, tokens, dim)
        if self.frames != 1:
            x = x + self.temporal_embedding[:, :, None]
        x = x.transpose(1, 2).reshape(-1, self.frames, dim)
        x = x + self.temporal_attn(self.temporal_layer_norm1(x))
        return x.view(-1, tokens, self.frames, dim).transpose(1, 2).reshape(-1, tokens, dim)


class Encoder(nn.Module):
    def __init__(self, config: TextConfig | VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class VisionEmbeddings(nn.Module):
    """Patches in row-major order behind a class token, plus positions that all frames share."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        dim, side = config.hidden_size, config.patch_size
        rows, columns = config.grid
        shape = (config.num_frames, dim) if config.class_per_frame else (dim,)
        self.class_embedding = nn.Parameter(torch.zeros(shape))
        self.patch_embedding = nn.Conv2d(config.num_channels, dim, side, side, bias=False)
        self.position_embedding = nn.Embedding(1 + rows * columns, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(n * T, C, rows, columns) to (n * T, 1 + patches, d)."""
        patches = self.patch_embedding(x).flatten(2).transpose(1, 2)
        first = self.class_embedding.view(-1, 1, patches.shape[-1])
        first = first.repeat(len(patches) // len(first), 1, 1)
        out: Tensor = torch.cat([first, patches], dim=1) + self.position_embedding.weight
        return out


class VisionTower(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        # The published key is spelled so.
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)


class TextEmbeddings(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)


class TextTower(nn.Module):
    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = TextEmbeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)


class LanguageBind(nn.Module):
    """One LanguageBind model: `encode` for its kind of input, `encode_text` for text, in one space."""

    vision_model: VisionTower
    text_model: TextTower

    def __init__(self, config: LanguageBindConfig, *, vision: bool = True, text: bool = True) -> None:
        """vision, text: which of the two sides there is; several models of one rig need one text tower."""
        super().__init__()
        self.config = config
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init))
        if vision:
            self.vision_model = VisionTower(config.vision)
            self.visual_projection = nn.Linear(config.vision.hidden_size, config.projection_dim, bias=False)
        if text:
            self.text_model = TextTower(config.text)
            self.text_projection = nn.Linear(config.text.hidden_size, config.projection_dim, bias=False)

    @classmethod
    def from_pretrained(
        cls,
        directory: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        vision: bool = True,
        text: bool = True,
    ) -> Self:
        """The model of a published directory: config.json beside model.safetensors or pytorch_model.bin.

        Keys and shapes must be exactly those of the configuration, for the sides that are loaded and the other;
        low-rank updates are merged. Ready to run: evaluation mode, no gradients. WeightsError says what does not fit.
        """
        from stream_bind.encoders.languagebind.checkpoint import load

        path = Path(directory).expanduser()
        with on_meta():
            model = cls(read_config(path), vision=vision, text=text)
        load(model, path, torch.device(device), dtype)
        return model.eval().requires_grad_(False)

    def encode(self, pixel_values: Tensor) -> Tensor:
        """(n, out) float32 unit vectors of (n, 3, rows, columns), or of video (n, 3, T, rows, columns).

        T is the model's num_frames: other numbers would mix clips or lose their order. ValueError for other shapes.
        """
        return self.stages(pixel_values).embedding

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(n, out) float32 unit vectors of (n, tokens) ids.

        attention_mask changes nothing: padding stands behind the token that is read, and attention looks back. So the
        tower stops at the last end token of the batch, which halves the time of a short text.
        """
        self._check_ids(input_ids)
        read = int(input_ids.argmax(dim=1).max()) + 1 if len(input_ids) else input_ids.shape[1]
        return self.text_stages(input_ids[:, :read]).embedding

    def factor(self) -> float:
        """What the reference multiplies unit vectors by: the exponential of `logit_scale`."""
        return float(self.logit_scale.detach().float().exp())

    def stages(self, pixel_values: Tensor) -> Stages:
        """`encode` with what lies between."""
        x = self._frames(pixel_values).to(self.visual_projection.weight.dtype)
        n, tower = len(pixel_values), self.vision_model
        x = first = tower.pre_layrnorm(tower.embeddings(x))
        hidden = []
        for layer in tower.encoder.layers:
            x = layer(x)
            hidden.append(x)
        # Norm first, then the mean over frames: the other way round is off by 7e-3.
        pooled = tower.post_layernorm(x[:, 0]).view(n, -1, x.shape[-1]).mean(dim=1)
        projected = self.visual_projection(pooled)
        return Stages(first, hidden[0], x, pooled, projected, _unit(projected))

    def text_stages(self, input_ids: Tensor) -> TextStages:
        """`encode_text` with what lies between. ValueError for ids or lengths that the tower does not have."""
        self._check_ids(input_ids)
        tower = self.text_model
        x = tower.embeddings.token_embedding(input_ids)
        x = first = x + tower.embeddings.position_embedding.weight[: input_ids.shape[1]]
        for layer in tower.encoder.layers:
            x = layer(x, causal=True)
        x = tower.final_layer_norm(x)
        # The first of the highest id: the end token, which also pads.
        pooled = x[torch.arange(len(x), device=x.device), input_ids.argmax(dim=1)]
        projected = self.text_projection(pooled)
        return TextStages(first, x, pooled, projected, _unit(projected))

    def _check_ids(self, input_ids: Tensor) -> None:
        most, known = self.config.text.max_position_embeddings, self.config.text.vocab_size
        if input_ids.ndim != 2 or not 1 <= input_ids.shape[1] <= most:
            raise ValueError(f"text wants ids (n, tokens) of at most {most} tokens, found {tuple(input_ids.shape)}")
        if len(input_ids) and not (int(input_ids.min()) >= 0 and int(input_ids.max()) < known):
            raise ValueError(f"text ids lie between 0 and {known - 1}, found {int(input_ids.max())}")

    def _frames(self, x: Tensor) -> Tensor:
        """(n * T, 3, rows, columns), clip after clip."""
        vision = self.config.vision
        size = vision.image_size
        if self.config.kind == "video":
            wanted: tuple[int, ...] = (vision.num_channels, vision.num_frames, *size)
        else:
            wanted = (vision.num_channels, *size)
        if tuple(x.shape[1:]) != wanted:
            names = "(n, 3, frames, rows, columns)" if self.config.kind == "video" else "(n, 3, rows, columns)"
            raise ValueError(
                f"{self.config.kind} wants {names}, each {wanted}, found {tuple(x.shape[1:])} per item"
                + ("; a batch of images is no clip" if self.config.kind == "video" and x.ndim == 4 else "")
            )
        return x.transpose(1, 2).flatten(0, 1) if self.config.kind == "video" else x


def _unit(projected: Tensor) -> Tensor:
    x = projected.float()
    unit: Tensor = x / x.norm(dim=-1, keepdim=True)
    return unit

"""The transformer all six branches share: pre-norm blocks without layer scale and without a final norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "Block", "Trunk"]

BLOCK_EPS = 1e-6
"""LayerNorm epsilon of blocks, heads and the vision pre-norm; 1e-5 here moves unit vectors by 1e-3."""


class Attention(nn.Module):
    """Multi-head self-attention in the fused layout of torch's own module (rows q, k, v; heads contiguous).

    With `bias_kv` one learned key and value, the same for every item, stands at the end of the sequence.
    """

    def __init__(self, dim: int, heads: int, *, bias_kv: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        self.bias_k = nn.Parameter(torch.empty(1, 1, dim)) if bias_kv else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, dim)) if bias_kv else None
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                nn.init.xavier_normal_(bias)

    def forward(self, x: Tensor, *, causal: bool = False, first_only: bool = False) -> Tensor:
        """(n, L, d) to (n, L, d), or to (n, 1, d) where only the first token's output is wanted."""
        n, length, dim = x.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if first_only:
            q = self._split(F.linear(x[:, :1], weight[:dim], bias[:dim]), 1)[0]
            k, v = self._split(F.linear(x, weight[dim:], bias[dim:]), 2)
        else:
            q, k, v = self._split(F.linear(x, weight, bias), 3)
        if self.bias_k is not None and self.bias_v is not None:
            k = torch.cat([k, self.bias_k.view(1, self.heads, 1, -1).expand(n, -1, -1, -1)], dim=2)
            v = torch.cat([v, self.bias_v.view(1, self.heads, 1, -1).expand(n, -1, -1, -1)], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(n, 1 if first_only else length, dim))
        return out

    def _split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(n, L, parts*d) to `parts` tensors (n, heads, L, d/heads)."""
        n, length, _ = projected.shape
        return projected.view(n, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)


class Mlp(nn.Module):
    """Two linear layers, four times wider between them, exact (erf) GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). `drop_path` acts in training only."""

    def __init__(self, dim: int, heads: int, *, bias_kv: bool, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(dim, eps=BLOCK_EPS)
        self.attn = Attention(dim, heads, bias_kv=bias_kv)
        self.norm_2 = nn.LayerNorm(dim, eps=BLOCK_EPS)
        self.mlp = Mlp(dim)
        self.drop_path = drop_path

    def forward(self, x: Tensor, *, causal: bool = False, first_only: bool = False) -> Tensor:
        residual = x[:, :1] if first_only else x
        x = residual + self._maybe_drop(self.attn(self.norm_1(x), causal=causal, first_only=first_only))
        return x + self._maybe_drop(self.mlp(self.norm_2(x)))

    def _maybe_drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        keep = 1.0 - self.drop_path
        mask = torch.empty(branch.shape[0], 1, 1, dtype=branch.dtype, device=branch.device).bernoulli_(keep)
        return branch * mask / keep


class Trunk(nn.Module):
    """`blocks` blocks over (n, L, d); vision alone has a norm in front."""

    def __init__(
        self, dim: int, heads: int, blocks: int, *, bias_kv: bool, pre_norm: bool, causal: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.causal = causal
        self.pre_transformer_layer = nn.Sequential(nn.LayerNorm(dim, eps=BLOCK_EPS)) if pre_norm else None
        rates = [drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        self.blocks = nn.ModuleList(Block(dim, heads, bias_kv=bias_kv, drop_path=rate) for rate in rates)

    def forward(self, x: Tensor, *, first_only: bool = False) -> Tensor:
        """(n, L, d) to (n, L, d). With `first_only` the last block works out the first token alone, (n, 1, d): the head
        reads nothing else, which saves a fifteenth (12 blocks) to an eighth (6 blocks) of the work."""
        if self.pre_transformer_layer is not None:
            x = self.pre_transformer_layer(x)
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, causal=self.causal, first_only=first_only and i == last)
        return x

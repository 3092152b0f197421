"""The symmetric contrastive loss (InfoNCE) with its temperature, and what is no negative."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["MAX_SCALE", "Temperature", "info_nce", "overlapping", "same"]

MAX_SCALE = 100.0
"""Largest inverse temperature, as CLIP sets it; beyond it training turns unstable."""


class Temperature(nn.Module):
    """The factor exp(log_scale) on cosines, at most 100; initially the inverse of `temperature`."""

    def __init__(self, temperature: float = 0.07, *, learnable: bool = True) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learnable)

    def forward(self) -> Tensor:
        return self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()

    @torch.no_grad()
    def clamp(self) -> None:
        """Bring the parameter itself back under its limit, so that it can leave it again."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))


def info_nce(left: Tensor, right: Tensor, scale: Tensor | float, excluded: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of finding each row's partner among all rows, both ways.

    left, right: (n, d) unit vectors, row i of one belongs to row i of the other. excluded: (n, n) bool, True where
    right[j] is no negative of left[i]; the diagonal is never excluded. Computed in float32.
    """
    logits = scale * (left.float() @ right.float().T)
    if excluded is not None:
        logits = logits.masked_fill(
            excluded & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device), -math.inf
        )
    wanted = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2


def overlapping(source: Tensor, t_start_ns: Tensor, t_end_ns: Tensor) -> Tensor:
    """(n, n) bool: same source, and half-open intervals that overlap. source: (n,) integers."""
    together = (t_start_ns[:, None] < t_end_ns[None]) & (t_start_ns[None] < t_end_ns[:, None])
    return (source[:, None] == source[None]) & together


def same(key: Tensor) -> Tensor:
    """(n, n) bool: equal keys. key: (n,) integers, negative ones equal none."""
    return (key[:, None] == key[None]) & (key[:, None] >= 0)

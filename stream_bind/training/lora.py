"""LoRA: low-rank updates of one trunk's attention and MLP weights, merged at the end into weights of the same keys."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["LowRank", "add_lora", "merge_lora"]

TARGETS = ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.fc1.weight", "mlp.fc2.weight")
"""Weights of every block that get an update."""


class LowRank(nn.Module):
    """W becomes W + (alpha / rank) * up @ down. `up` begins as zero, so that training begins at W."""

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape
        down = torch.randn(rank, columns, generator=generator) / columns**0.5
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
        self.factor = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.factor * (self.up @ self.down).to(weight.dtype)


def add_lora(trunk: nn.Module, *, rank: int, alpha: float, seed: int = 0) -> list[nn.Parameter]:
    """Freeze `trunk` and give its blocks low-rank updates; the new parameters, which alone are to be trained.

    ValueError if the rank is not below every updated weight's sides.
    """
    trunk.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    found = list(_targets(trunk))
    for module, name in found:
        smallest = min(getattr(module, name).shape)
        if rank >= smallest:
            raise ValueError(
                f"lora rank must lie below {smallest}, the smallest side of the trunk's weights, found {rank}"
            )
    new: list[nn.Parameter] = []
    for module, name in found:
        update = LowRank(getattr(module, name), rank, alpha, generator)
        parametrize.register_parametrization(module, name, update)
        new += [update.down, update.up]
    return new


def merge_lora(trunk: nn.Module) -> None:
    """Put the updated weights in the place of the parametrised ones: keys and outputs stay those of the trunk."""
    for module, name in list(_targets(trunk)):
        if parametrize.is_parametrized(module, name):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _targets(trunk: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for block in trunk.get_submodule("blocks").children():
        for target in TARGETS:
            path, _, name = target.rpartition(".")
            yield block.get_submodule(path), name

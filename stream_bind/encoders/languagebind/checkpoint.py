"""Weights of a published LanguageBind directory into the model: every key accounted for, low-rank updates merged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stream_bind.encoders.languagebind.config import LanguageBindConfig
from stream_bind.encoders.languagebind.files import REMEDY, weights_files
from stream_bind.encoders.languagebind.model import LanguageBind
from stream_bind.encoders.meta import on_meta
from stream_bind.encoders.weights import SMALL_TENSOR, Checkpoint
from stream_bind.errors import WeightsError

__all__ = ["check", "check_file", "expected_shapes", "load", "lora_targets", "text_digest"]

PLAIN, PEFT = "vision_model.encoder.layers.", "vision_model.encoder.base_model.model.layers."
LORA = re.compile(r"(.+)\.lora_([AB])\.default\.weight")
IGNORED = (".position_ids",)
"""Buffers that older versions of transformers wrote: 0, 1, 2 ..."""
TEXT = ("text_model.", "text_projection.")


def load(model: LanguageBind, directory: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Fill `model` (on the meta device) with the weights of `directory`.

    The file is checked as a whole, also the side that `model` lacks. WeightsError names the first key that is wrong.
    """
    found = _Found.of(directory, model.config)
    found.check(model.config)
    state = {}
    for key in model.state_dict():
        value = found.tensor(key)
        if not value.is_floating_point():
            raise found.error(f"hold {value.dtype} in {key}, floating-point numbers are wanted")
        if model.config.vision.class_per_frame and key.endswith("patch_embedding.weight"):
            value = value.squeeze(2)  # a Conv3d over one frame is a Conv2d
        kept = torch.float32 if key == "logit_scale" else dtype
        value = value.reshape(()) if key == "logit_scale" else value
        # A small tensor that stays as it is would keep the whole file mapped beside converted ones.
        state[key] = value.to(device=device, dtype=kept, copy=value.numel() < SMALL_TENSOR)
    model.load_state_dict(state, strict=True, assign=True)


def check(directory: Path, config: LanguageBindConfig) -> None:
    """WeightsError unless names and shapes of the directory's weights are exactly those of `config`."""
    _Found.of(directory, config).check(config)


def check_file(checkpoint: Checkpoint, config: LanguageBindConfig) -> None:
    """WeightsError unless names and shapes of this one file are exactly those of `config`."""
    _Found.of_files([checkpoint], checkpoint.path.parent, config, checkpoint.remedy).check(config)


def text_digest(directory: Path, config: LanguageBindConfig) -> str:
    """sha256 in hex of a directory's text side: what its space is bound to. WeightsError."""
    found = _Found.of(directory, config)
    digest = hashlib.sha256()
    for key in sorted(key for key in found.plain if key.startswith(TEXT)):
        value = found.tensor(key)
        digest.update(f"{key}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def expected_shapes(config: LanguageBindConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of the merged model, as a plain checkpoint has them."""
    with on_meta():
        shapes = {key: tuple(value.shape) for key, value in LanguageBind(config).state_dict().items()}
    if config.vision.class_per_frame:
        key = "vision_model.embeddings.patch_embedding.weight"
        shapes[key] = (*shapes[key][:2], 1, *shapes[key][2:])
    return shapes


def lora_targets(config: LanguageBindConfig) -> list[str]:
    """Names of the linear layers that a low-rank update goes to: attention over time in video, self-attention else."""
    which = "temporal_attn" if config.vision.add_time_attn else "self_attn"
    return [
        f"{PLAIN}{layer}.{which}.{part}_proj"
        for layer in range(config.vision.num_hidden_layers)
        for part in ("q", "k", "v", "out")
    ]


@dataclass(slots=True)
class _Found:
    """The tensors of a directory under the names of a plain checkpoint."""

    directory: Path
    config: LanguageBindConfig
    plain: dict[str, tuple[Checkpoint, str]] = field(default_factory=dict)
    lora: dict[str, dict[str, tuple[Checkpoint, str]]] = field(default_factory=dict)
    """By the name of the linear layer: A and B."""
    remedy: str = REMEDY

    @classmethod
    def of(cls, directory: Path, config: LanguageBindConfig) -> _Found:
        name = f"LanguageBind {config.kind}"
        files = [Checkpoint(file, name, REMEDY, nested="state_dict") for file in weights_files(directory)]
        return cls.of_files(files, directory, config, REMEDY)

    @classmethod
    def of_files(cls, files: Sequence[Checkpoint], directory: Path, config: LanguageBindConfig, remedy: str) -> _Found:
        found = cls(directory, config, remedy=remedy)
        prefixes: set[str] = set()
        targets = set(lora_targets(config))
        spellings: set[bool] = set()
        for checkpoint in files:
            for raw in checkpoint.shapes:
                key = raw.removeprefix("module.")
                if key.endswith(IGNORED):
                    continue
                prefixes.update(prefix for prefix in (PLAIN, PEFT) if key.startswith(prefix))
                key = key.replace(PEFT, PLAIN)
                lora = LORA.fullmatch(key)
                if lora:
                    found.lora.setdefault(lora[1], {})[lora[2]] = (checkpoint, raw)
                    continue
                if ".base_layer." in key:
                    spellings.add(True)
                    key = key.replace(".base_layer.", ".")
                elif key.rpartition(".")[0] in targets:
                    spellings.add(False)
                if key in found.plain:
                    raise found.error(f"hold {key} twice, once as {raw}")
                found.plain[key] = (checkpoint, raw)
        if len(prefixes) > 1:
            raise found.error(f"mix two layouts, names that begin with {PLAIN} and with {PEFT}")
        if len(spellings) > 1:
            raise found.error("mix two spellings of peft, names with and without base_layer")
        if (PEFT in prefixes or True in spellings) and not found.lora:
            raise found.error("are laid out for low-rank updates (LoRA) and hold none")
        return found

    def check(self, config: LanguageBindConfig) -> None:
        """WeightsError unless these are exactly the weights of `config`."""
        time_mlp = [key for key in self.plain if ".temporal_mlp." in key or ".temporal_layer_norm2." in key]
        if time_mlp:
            raise self.error(f"have an MLP over time ({time_mlp[0]}), which no published model has and ours does not")
        wanted = expected_shapes(config)
        missing, extra = sorted(wanted.keys() - self.plain.keys()), sorted(self.plain.keys() - wanted.keys())
        if missing:
            raise self.error(f"lack {len(missing)} keys, the first {missing[0]}")
        if extra:
            raise self.error(f"hold {len(extra)} keys that are unknown, the first {extra[0]}")
        for key, shape in wanted.items():
            checkpoint, raw = self.plain[key]
            # A scale is a number, saved as () or (1,).
            if checkpoint.shapes[raw] != shape and not (key == "logit_scale" and checkpoint.shapes[raw] == (1,)):
                raise self.error(f"have {raw} of shape {checkpoint.shapes[raw]}, {shape} is wanted")
        self._check_lora(config, wanted)

    def _check_lora(self, config: LanguageBindConfig, wanted: Mapping[str, tuple[int, ...]]) -> None:
        stated = config.vision.lora_r
        if not self.lora:
            if stated:
                raise self.error(f"hold no low-rank updates (LoRA), config.json says lora_r {stated}")
            return
        targets = set(lora_targets(config))
        strange, missing = sorted(self.lora.keys() - targets), sorted(targets - self.lora.keys())
        if strange:
            raise self.error(f"have a low-rank update of {strange[0]}, which a {config.kind} model does not have")
        if missing:
            raise self.error(f"lack {len(missing)} low-rank updates, the first of {missing[0]}")
        ranks = set()
        for name in sorted(targets):
            parts = self.lora[name]
            if parts.keys() != {"A", "B"}:
                raise self.error(f"have half a low-rank update of {name}: only lora_{next(iter(parts))}")
            (a_file, a), (b_file, b) = parts["A"], parts["B"]
            rows, columns = wanted[f"{name}.weight"]
            rank = a_file.shapes[a][0] if len(a_file.shapes[a]) == 2 else 0
            if not rank or a_file.shapes[a] != (rank, columns) or b_file.shapes[b] != (rows, rank):
                raise self.error(
                    f"have a low-rank update of {name} with shapes {a_file.shapes[a]} and {b_file.shapes[b]}; "
                    f"(r, {columns}) and ({rows}, r) are wanted"
                )
            ranks.add(rank)
        if len(ranks) > 1 or (stated is not None and ranks != {stated}):
            told = "one rank" if stated is None else f"lora_r {stated} as config.json says"
            raise self.error(f"have low-rank updates of rank {', '.join(map(str, sorted(ranks)))}; {told} is wanted")

    def tensor(self, key: str) -> Tensor:
        """One weight, with its low-rank update merged in float32. WeightsError if a value is not finite."""
        checkpoint, raw = self.plain[key]
        value = checkpoint.finite_tensor(raw)
        parts = self.lora.get(key.removesuffix(".weight")) if key.endswith(".weight") else None
        if parts is None:
            return value
        a, b = (parts[which][0].finite_tensor(parts[which][1]).float() for which in "AB")
        return value.float() + (self.config.vision.lora_alpha / len(a)) * (b @ a)

    def error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.directory}: the weights {what}; {self.remedy}")

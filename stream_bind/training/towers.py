"""One branch run forward for training: packed clips to unit vectors, fast on a CPU as well."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from stream_bind.encoders.imagebind.model import ImageBind, Postprocessor
from stream_bind.encoders.imagebind.normalise import Normaliser
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig
from stream_bind.encoders.imagebind.stems import PatchStem
from stream_bind.encoders.preprocess import frames

__all__ = ["Towers", "keep_freed_memory", "pick_device", "pick_precision"]

CENTRE = 128
"""Pixels travel as int8, less this: bfloat16 holds all of them exactly."""


def pick_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where it is multiplied in hardware."""
    if name == "auto":
        fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_amx_tile_supported()
        name = "bfloat16" if fast else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def keep_freed_memory() -> None:
    """Let glibc keep what large tensors free. Each batch's would go back to the system and be faulted in again.

    Measured: 19 million bytes to bfloat16 25 ms without, 4 ms with it.
    """
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


class Towers:
    """The branches of one model, on one device, in one precision."""

    def __init__(
        self, model: ImageBind, encoder: ImageBindEncoderConfig, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.model, self.device, self.dtype = model, device, dtype
        self._normalise = Normaliser(encoder, device)
        self._std = torch.tensor(frames.STD, device=device).view(1, 3, 1, 1, 1) * 255
        self._offset = CENTRE - torch.tensor(frames.MEAN, device=device).view(1, 3, 1, 1, 1) * 255

    def hand_over(self, modality: str, clips: NDArray[Any]) -> Tensor:
        """Packed clips as a tensor in the layout that `unit` likes best, on the host. Takes no part in gradients."""
        if modality == "vision" and clips.dtype == np.uint8 and clips.ndim == 5:
            clips = self._patches(clips)
        elif clips.dtype == np.float16:
            clips = clips.astype(np.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(clips))
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def unit(self, modality: str, handed: Tensor) -> Tensor:
        """(n, d) float32 unit vectors of what `hand_over` returned, with gradients where the weights want them."""
        x = handed.to(self.device, non_blocking=True)
        with self._arithmetic():
            if x.dtype == torch.int8:
                return self._unit_of_patches(x)
            return self.model.unit(modality, x if modality == "text" else self._normalise(modality, x))

    @contextlib.contextmanager
    def patches_by_products(self, modalities: Iterable[str]) -> Iterator[None]:
        """Meanwhile the stems of these branches cut one-channel patches as a matrix product.

        The same sums: on a CPU the convolution's backward pass takes 79 ms for 128 pictures of 224 x 224, this 3 ms.
        """
        stems = [
            module
            for modality in modalities
            for module in self.model.modality_preprocessors[modality].modules()
            if isinstance(module, PatchStem) and self.device.type == "cpu"
        ]
        for stem in stems:
            stem.forward = functools.partial(_patch_tokens, stem)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for stem in stems:
                del stem.forward

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self.dtype is not torch.float32:
                stack.enter_context(torch.autocast(self.device.type, dtype=self.dtype))
            if self.device.type == "cpu" and self.dtype is torch.bfloat16:
                # torch 2.13, batch 128 of 50 tokens: the CPU's fused attention takes 27 ms backwards in bfloat16,
                # plain matrix products 2 ms.
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield

    def _patches(self, clips: NDArray[np.uint8]) -> NDArray[np.int8]:
        """(n, 2, s, s, 3) bytes to (n, rows, rows, 2, patch, patch * 3): one row a patch, its pixels as they lie."""
        patch = self.model.config.kernel_size[1]
        n, two, size, _, three = clips.shape
        rows = size // patch
        cut = clips.reshape(n, two, rows, patch, rows, patch * three).transpose(0, 2, 4, 1, 3, 5)
        patches = np.ascontiguousarray(cut)
        # The sign bit turned is 128 subtracted.
        np.bitwise_xor(patches, np.uint8(CENTRE), out=patches)
        return patches.view(np.int8)

    def _unit_of_patches(self, patches: Tensor) -> Tensor:
        """The vision branch from bytes: normalising is folded into the stem's weights.

        What `model.unit` computes of the normalised clip, up to rounding; of 320 ms a batch of 128 for normalising and
        convolving float32 clips, 30 remain.
        """
        stem = self.model.get_submodule("modality_preprocessors.vision")
        conv = stem.get_submodule("rgbt_stem.proj.1")
        kernel: Tensor = conv.weight  # type: ignore[assignment]
        folded = (kernel / self._std).to(self.dtype)
        # With the weights as they are rounded, so that the pixels' mean cancels exactly.
        bias = (folded.float() * self._offset).sum(dim=(1, 2, 3, 4)).to(self.dtype)
        n, rows = patches.shape[:2]
        weight = folded.permute(0, 2, 3, 4, 1).flatten(1)
        tokens = F.linear(patches.view(n, rows * rows, -1).to(self.dtype), weight, bias)
        positions = stem.get_submodule("pos_embedding_helper")(rows)
        token: Tensor = stem.cls_token  # type: ignore[assignment]
        tokens = torch.cat([token.expand(n, -1, -1).to(tokens.dtype), tokens], dim=1) + positions
        trunk, head = self.model.modality_trunks["vision"], self.model.modality_heads["vision"]
        post = self.model.modality_postprocessors["vision"]
        assert isinstance(post, Postprocessor)
        return post.unit(head(trunk(tokens, first_only=True)))


def _patch_tokens(stem: PatchStem, x: Tensor) -> Tensor:
    """What PatchStem returns of (n, 1, h, w)."""
    (size, _), (stride, _) = stem.proj.kernel_size, stem.proj.stride
    patches = x[:, 0].unfold(1, size, stride).unfold(2, size, stride).flatten(3).flatten(1, 2)
    tokens: Tensor = stem.norm_layer(F.linear(patches, stem.proj.weight.flatten(1)))
    return tokens

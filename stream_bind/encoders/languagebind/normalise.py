"""Packed clips to the model's input: the one place of LanguageBind's means and deviations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stream_bind.encoders.languagebind.config import LanguageBindConfig
from stream_bind.encoders.preprocess import frames

__all__ = ["Normaliser"]


class Normaliser:
    """Normalises the clips of some models, by modality, on one device."""

    def __init__(self, models: Mapping[str, LanguageBindConfig], device: torch.device) -> None:
        self._models = models
        # Made once: a tensor from numbers in every call would make a GPU wait for the copy.
        self._mean = torch.tensor(frames.MEAN, device=device)
        self._std = torch.tensor(frames.STD, device=device)

    def __call__(self, modality: str, clips: Tensor) -> Tensor:
        """Packed clips (n, *clip) float32 on the device to (n, 3, rows, columns), or (n, 3, T, rows, columns) of video.

        Pictures have their channels last, or one plane that is shown in all three.
        """
        model = self._models[modality]
        if modality == "audio":
            # Twice the deviation, as AST divides.
            x = (clips - model.vision.audio_mean) / (2 * model.vision.audio_std)
            return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        if modality == "vision":
            return ((clips - self._mean) / self._std).movedim(-1, 1)
        return (clips - self._mean[:, None, None]) / self._std[:, None, None]

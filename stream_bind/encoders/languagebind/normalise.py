"""Packed clips to the model's pixel_values: the one place where LanguageBind's means and deviations meet torch."""

from __future__ import annotations

import torch
from torch import Tensor

from stream_bind.encoders.languagebind import inputs

__all__ = ["Normaliser"]


class Normaliser:
    """Normalises the clips of every branch, on one device."""

    def __init__(self, device: torch.device, *, audio_mean: float = -4.2677393, audio_std: float = 4.5689974) -> None:
        """audio_mean, audio_std: config.json's of the sound model; the defaults are LanguageBind_Audio's."""
        # Made once: a tensor from numbers in every call would make a GPU wait for the copy.
        self._mean = torch.tensor(inputs.MEAN, device=device)
        self._std = torch.tensor(inputs.STD, device=device)
        self._audio_mean, self._audio_std = audio_mean, audio_std

    def __call__(self, modality: str, clips: Tensor) -> Tensor:
        """Packed clips (n, *clip) float32 on the device to pixel_values (n, 3, H, W), of video (n, 3, T, H, W).

        Pictures and video have their channels last; depth, heat and sound have one plane, which is shown in all three
        channels, or sound three. Sound is divided by twice its deviation.
        """
        if modality == "audio":
            x = (clips - self._audio_mean) / (2 * self._audio_std)
            return x.expand(-1, 3, -1, -1)
        if modality == "vision":
            return ((clips - self._mean) / self._std).movedim(-1, 1)
        return (clips - self._mean[:, None, None]) / self._std[:, None, None]

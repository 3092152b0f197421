"""Packed clips to the model's input: the one place of means and deviations, for the encoder and for training."""

from __future__ import annotations

import torch
from torch import Tensor

from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig
from stream_bind.encoders.preprocess import fbank, frames

__all__ = ["Normaliser"]


class Normaliser:
    """Normalises by the settings of one encoder, on one device."""

    def __init__(self, config: ImageBindEncoderConfig, device: torch.device) -> None:
        self._config = config
        # Made once: a tensor from numbers in every call would make a GPU wait for the copy.
        self._pixel_mean = torch.tensor(frames.MEAN, device=device)
        self._pixel_std = torch.tensor(frames.STD, device=device)

    def __call__(self, modality: str, clips: Tensor) -> Tensor:
        """Packed clips (n, *clip) on the device to the model's input (float32; text ids as they are).

        Pictures may be uint8, or float32 in [0, 1]; channels go from last to first. Motion comes normalised already.
        """
        match modality:
            case "vision":
                x = clips.float() / 255 if clips.dtype == torch.uint8 else clips
                return ((x - self._pixel_mean) / self._pixel_std).movedim(-1, 1)
            case "audio":
                return (clips - fbank.MEAN) / fbank.STD
            case "depth":
                return (clips - self._config.depth.mean) / self._config.depth.std
            case "thermal":
                return (clips - self._config.thermal.mean) / self._config.thermal.std
        return clips

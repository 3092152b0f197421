"""What a configuration file may say about an ImageBind encoder. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_bind.encoders.imagebind.architecture import SMALL, ImageBindConfig
from stream_bind.encoders.preprocess.depth import DepthSettings
from stream_bind.encoders.preprocess.imu import ImuSettings
from stream_bind.encoders.preprocess.thermal import ThermalSettings

__all__ = ["AudioSettings", "ImageBindEncoderConfig", "VisionSettings"]

Modality = Literal["vision", "audio", "depth", "thermal", "imu", "text"]


class VisionSettings(BaseModel):
    """Which frames of a window are embedded, and which part of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    frames: Literal[1, 2] = 2
    """2: first and last frame of the window, the reference's video path; 1: one still image, its image path."""
    crop: Literal["first", "centre", "last"] = "centre"
    """Square of a two-frame clip: left or top, centre, right or bottom. Stills are cut at the centre."""
    pick: Literal["last", "middle", "first"] = "last"
    """With one frame: which of the window."""


class AudioSettings(BaseModel):
    """How a window of sound becomes spectrograms."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    clips: int = Field(default=3, ge=1, le=64)
    """Windows longer than 2 s are cut into this many evenly spaced 2 s clips, whose unit vectors are averaged."""


class ImageBindEncoderConfig(BaseModel):
    """One ImageBind model and how its inputs are made."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: Literal["imagebind"] = "imagebind"
    """The encoder type."""
    weights: str | None = None
    """Path of a .safetensors or .pth file, `random` for seeded untrained weights, or null for the pulled checkpoint."""
    seed: int = Field(default=0, ge=0)
    """Seed of `weights: random`."""
    size: Literal["huge", "small"] | dict[str, Any] = "huge"
    """`huge` is the published model, `small` an untrained one for trials; or constructor arguments by name."""
    vocab: Path | None = None
    """CLIP vocabulary file (bpe_simple_vocab_16e6.txt.gz); null looks beside the weights and in the model cache."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto takes a CUDA GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the computation; auto is bfloat16 on CUDA and float32 elsewhere."""
    modalities: tuple[Modality, ...] = Field(default=get_args(Modality), min_length=1)
    """Branches this encoder offers; each loads on its own."""
    vision: VisionSettings = VisionSettings()
    """Frames and crop."""
    audio: AudioSettings = AudioSettings()
    """Clips of long windows."""
    depth: DepthSettings = DepthSettings()
    """Metres to disparity; undefined upstream."""
    thermal: ThermalSettings = ThermalSettings()
    """Temperature to grey; undefined upstream."""
    imu: ImuSettings = ImuSettings()
    """Order, units and standardisation; undefined upstream."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.architecture()
        if self.weights is None and self.size != "huge":
            raise ValueError("only size huge has published weights; set weights: random or the path of a checkpoint")
        return self

    def architecture(self) -> ImageBindConfig:
        """The model's dimensions, all six branches. ValueError where `size` does not fit together."""
        sizes: dict[str, Any] = {"huge": {}, "small": SMALL}[self.size] if isinstance(self.size, str) else self.size
        try:
            return ImageBindConfig(**sizes)
        except TypeError as error:
            raise ValueError(f"size: {error}") from error

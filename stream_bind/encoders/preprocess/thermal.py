"""Thermal frames, radiometric or 8-bit, to the grey plane a thermal branch sees.

The reference ships no thermal loader; it trained on 8-bit grey street scenes (LLVIP). Grey 0..1 without mean and std is
the variant that came nearest to the paper's figure (62.4 % against 63.4 %, ImageBind pull request 73). Nothing says
how temperatures map to grey.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_bind.encoders.preprocess.frames import centre_geometry
from stream_bind.encoders.preprocess.holes import fill_nearest

__all__ = ["ThermalSettings", "grey_plane"]

FloatArray = NDArray[np.float32]


class ThermalSettings(BaseModel):
    """How a thermal frame becomes grey 0..1."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    range_k: tuple[float, float] | Literal["frame"] = (273.15, 313.15)
    """Kelvin shown as black and white (0 to 40 deg C, our choice), or `frame`: each frame's 1st to 99th percentile."""
    mean: float = 0.0
    """Subtracted from the grey value."""
    std: float = Field(default=1.0, gt=0)
    """Divided by after subtracting the mean."""
    pick: Literal["last", "middle", "first"] = "last"
    """Which frame of the window is embedded; the branch takes one."""

    @model_validator(mode="after")
    def _range_rises(self) -> ThermalSettings:
        if self.range_k != "frame" and not 0 <= self.range_k[0] < self.range_k[1]:
            raise ValueError(f"range_k must rise from 0 K or more, found {list(self.range_k)}")
        return self


def grey_plane(frame: NDArray[Any], settings: ThermalSettings, size: int = 224) -> FloatArray:
    """(H, W) uint8 grey, or float32 kelvin with NaN where dead, to (1, size, size) float32 in [0, 1].

    Short side to `size`, long side truncated, Pillow bicubic with antialias, centre crop; 8-bit frames are resized as
    8-bit. ValueError for another shape or dtype, or a frame without any measured pixel.
    """
    if frame.ndim != 2 or min(frame.shape) == 0 or (frame.dtype != np.uint8 and frame.dtype.kind != "f"):
        raise ValueError(f"a thermal frame is (H, W) uint8 grey or float32 kelvin, found {frame.shape} {frame.dtype}")
    grey = frame if frame.dtype == np.uint8 else _grey(frame.astype(np.float32), settings)
    (height, width), (top, left) = centre_geometry(frame.shape[0], frame.shape[1], size)
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BICUBIC)
    cropped = np.asarray(image.crop((left, top, left + size, top + size)))
    if cropped.dtype == np.uint8:
        return (cropped.astype(np.float32) * np.float32(1 / 255))[None]
    clipped: FloatArray = np.clip(cropped, 0.0, 1.0)[None]
    return clipped


def _grey(kelvin: FloatArray, settings: ThermalSettings) -> FloatArray:
    valid = np.isfinite(kelvin)
    if not valid.any():
        raise ValueError("the thermal frame has no measured pixel")
    if settings.range_k == "frame":
        low, high = (float(k) for k in np.percentile(kelvin[valid], (1, 99)))
        high = max(high, low + 1e-3)
    else:
        low, high = settings.range_k
    if not valid.all():
        kelvin = fill_nearest(kelvin, valid)
    grey: FloatArray = np.clip((kelvin - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return grey

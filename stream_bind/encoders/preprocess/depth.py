"""Depth in metres to the disparity plane a depth branch sees.

The reference ships no depth loader. The defaults follow the recipe one of its authors gave for SUN RGB-D
(facebookresearch/omnivore issue 12) and Omnivore's own transform; every number is a setting.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from stream_bind.encoders.preprocess.frames import centre_geometry, resize_bilinear
from stream_bind.encoders.preprocess.holes import fill_nearest

__all__ = ["DepthSettings", "disparity_plane"]

FloatArray = NDArray[np.float32]


class DepthSettings(BaseModel):
    """How metres become what the depth branch sees: clip, disparity, divide, resize, crop, standardise."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    depth_scale: float = Field(default=1.0, gt=0)
    """Factor on the metres; 8 imitates SUN RGB-D files read with their 3-bit rotation left in, as some do."""
    near_m: float = Field(default=0.01, gt=0)
    """Scaled depth is clipped to at least this, in metres (omnivore issue 12)."""
    far_m: float = Field(default=50.0, gt=0)
    """Scaled depth is clipped to at most this, in metres (omnivore issue 12)."""
    baseline_m: float = Field(default=0.075, gt=0)
    """Stereo baseline of the disparity, in metres: the recipe has 0.075 for Kinect, 0.095 for RealSense and Xtion."""
    fx_px: float = Field(default=518.857901, gt=0)
    """Focal length in pixels at `fx_width_px`; the default is a Kinect v1 (ImageBind issue 107): set your camera's."""
    fx_width_px: int | None = Field(default=640, gt=0)
    """Image width for which `fx_px` holds, so that it follows the stream's resolution; null uses `fx_px` as it is."""
    min_disparity: float = Field(default=0.01, ge=0)
    """Disparity is clipped to at least this, in pixels (Omnivore)."""
    max_disparity: float = Field(default=75.0, gt=0)
    """Disparity is clipped to at most this, in pixels (Omnivore)."""
    divisor: float = Field(default=75.0, gt=0)
    """The clipped disparity is divided by this (Omnivore)."""
    mean: float = 0.0418
    """Subtracted after dividing (Omnivore, SUN RGB-D statistics)."""
    std: float = Field(default=0.0295, gt=0)
    """Divided by after subtracting the mean (Omnivore, SUN RGB-D statistics)."""
    antialias: bool = False
    """Antialias the bilinear resize; Omnivore's transform did not at the time."""
    holes: Literal["nearest", "far", "mean"] = "nearest"
    """Pixels without depth take the nearest depth of their row, `far_m`, or the value that standardises to 0."""
    min_valid: float = Field(default=0.1, ge=0, le=1)
    """A frame with a smaller share of measured pixels is refused."""
    pick: Literal["last", "middle", "first"] = "last"
    """Which frame of the window is embedded; the branch takes one."""


def disparity_plane(depth_m: FloatArray, settings: DepthSettings, size: int = 224) -> FloatArray:
    """(H, W) float32 metres to (1, size, size) float32 disparity / divisor, before mean and std.

    Not finite and not positive pixels are holes. Short side to `size`, long side truncated, centre crop.
    ValueError for another shape or too few measured pixels.
    """
    if depth_m.ndim != 2 or min(depth_m.shape) == 0:
        raise ValueError(f"a depth frame is (H, W) metres, found {depth_m.shape}")
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(depth_m) & (depth_m > 0)
    share = float(valid.mean())
    if share < settings.min_valid or share == 0.0:
        raise ValueError(f"{share:.0%} of the depth pixels are measured, min_valid is {settings.min_valid:.0%}")
    filled = depth_m.astype(np.float32)
    if share < 1.0:
        filled = fill_nearest(filled, valid) if settings.holes == "nearest" else np.where(valid, filled, np.inf)
    fx_px = settings.fx_px * (depth_m.shape[1] / settings.fx_width_px if settings.fx_width_px else 1.0)
    metres = np.clip(filled * np.float32(settings.depth_scale), settings.near_m, settings.far_m)
    disparity = np.float32(settings.baseline_m) * np.float32(fx_px) / metres
    plane = np.clip(disparity, settings.min_disparity, settings.max_disparity) / np.float32(settings.divisor)
    if settings.holes == "mean" and share < 1.0:
        plane = np.where(valid, plane, np.float32(settings.mean))
    return centre_plane(plane.astype(np.float32), size, antialias=settings.antialias)


def centre_plane(plane: FloatArray, size: int, *, antialias: bool) -> FloatArray:
    """(H, W) float32 to its bilinear centre (1, size, size)."""
    (height, width), (top, left) = centre_geometry(plane.shape[0], plane.shape[1], size)
    part = (slice(top, top + size), slice(left, left + size))
    if antialias:
        image = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
        return np.ascontiguousarray(np.asarray(image)[part])[None]
    return resize_bilinear(plane, (height, width), part)[None]

"""What the reference's processors make of files, as functions of arrays; its random choices have one outcome here.

Values come before mean and standard deviation, which `normalise.py` applies on the encoder's device. numpy only.
Mirroring (half of all clips, also at inference, in the reference) is left out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.preprocess import fbank
from stream_bind.encoders.preprocess.frames import centre_geometry, resize_bicubic, resize_bilinear

__all__ = ["FLIP", "SIZE", "depth_plane", "frame_ids", "mel_picture", "picture", "stretched", "video_frame"]

FloatArray = NDArray[np.float32]

SIZE = 224
"""Side of the centre crop, fixed in the reference's code whatever config.json says."""
FLIP = False
NEAREST_M = np.float32(0.01)
"""Depth is clipped to at least this; what was not measured becomes it."""


def picture(image: NDArray[Any], size: int = SIZE) -> FloatArray:
    """(H, W, 3) or (H, W) uint8, or float32 in [0, 1], to the centre (size, size[, 3]) float32 of stills and heat.

    Short side to `size`, long side truncated, bicubic without antialias: values may leave [0, 1] and are kept.
    ValueError for other shapes or dtypes. Grey is shown as three equal channels, which the reference refuses to do.
    """
    if image.ndim not in {2, 3} or (image.ndim == 3 and image.shape[2] != 3) or min(image.shape) == 0:
        raise ValueError(f"a picture is (H, W, 3) or grey (H, W), found shape {image.shape}")
    if image.dtype != np.uint8 and image.dtype.kind != "f":
        raise ValueError(f"a picture is uint8, or float32 in [0, 1], found {image.dtype}")
    (height, width), (top, left) = centre_geometry(image.shape[0], image.shape[1], size)
    resized = resize_bicubic(image, (height, width), (slice(top, top + size), slice(left, left + size)))
    return resized / np.float32(255) if image.dtype == np.uint8 else resized


def video_frame(frame: NDArray[np.uint8], size: int = SIZE) -> FloatArray:
    """(H, W, 3) or grey (H, W) uint8 to the centre (size, size, 3) float32 in [0, 1]: bilinear, no antialias.

    The centre rounds half to even, where ImageBind's rounds up.
    """
    if frame.ndim == 2:
        frame = np.repeat(frame[:, :, None], 3, axis=2)
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape) == 0:
        raise ValueError(f"a frame is (H, W, 3) or (H, W) uint8, found {frame.shape} {frame.dtype}")
    height, width = frame.shape[:2]
    scaled = math.floor(max(height, width) / min(height, width) * size)
    shape = (size, scaled) if height <= width else (scaled, size)
    top, left = (round((length - size) / 2) for length in shape)
    return resize_bilinear(frame, shape, (slice(top, top + size), slice(left, left + size))) * np.float32(1 / 255)


def frame_ids(n_frames: int, wanted: int) -> list[int]:
    """Which frames of `n_frames` are seen: the first, the last and evenly spaced ones between, rounded down.

    With fewer frames than wanted some are seen twice. ValueError for none.
    """
    if n_frames < 1:
        raise ValueError("a clip needs at least one frame, found none")
    return [int(i) for i in np.linspace(0, n_frames - 1, wanted)]


def depth_plane(depth_m: NDArray[Any], max_depth_m: float = 10.0, size: int = SIZE) -> FloatArray:
    """(H, W) metres to (1, size, size) float32, 0 near to 1 at `max_depth_m`, resized as stills are.

    Not finite and not positive pixels count as measured at 1 cm, as missing ones (0) do in the reference.
    max_depth_m 0 divides by the picture's own largest depth. ValueError for another shape, or nothing measured then.
    """
    if depth_m.ndim != 2 or min(depth_m.shape) == 0:
        raise ValueError(f"a depth frame is (H, W) metres, found {depth_m.shape}")
    metres = np.nan_to_num(np.asarray(depth_m, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    metres = np.maximum(metres, NEAREST_M)
    if max_depth_m:
        metres = np.minimum(metres, np.float32(max_depth_m))
    return picture(metres / np.float32(max_depth_m or metres.max()), size)[None]


def stretched(frame: NDArray[Any], range_k: tuple[float, float] | None = None) -> FloatArray:
    """(H, W) kelvin to grey in [0, 1], white hot: the frame's own range, as the training pictures were, or `range_k`.

    NaN is shown as the coldest. ValueError for a frame with nothing measured.
    """
    kelvin = np.asarray(frame, np.float32)
    valid = np.isfinite(kelvin)
    if not valid.any():
        raise ValueError("the thermal frame has no measured pixel")
    low, high = range_k or (float(kelvin[valid].min()), float(kelvin[valid].max()))
    high = max(high, low + 1e-3)
    grey: FloatArray = np.clip((np.where(valid, kelvin, low) - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return grey.astype(np.float32)


def mel_picture(wave: FloatArray, n_mels: int, length: int) -> FloatArray:
    """(channels, n) sound at 16 kHz to (3, n_mels, length) log-mel values.

    The mean over all channels and samples is removed and channel 0 analysed. Shorter sound is repeated in time, three
    equal planes; of longer sound the planes show a stretch of the front, the middle and the back: the reference draws
    one start from each third of the possible ones, here it is the middle of the third. ValueError below 400 samples.
    """
    mels = fbank.log_mel(wave[0] - wave.mean(), n_mels)
    found = mels.shape[1]
    if found <= length:
        tiled = np.tile(mels, (1, length // found + 1))[:, :length]
        return np.stack([tiled] * 3)
    return np.stack([mels[:, start : start + length] for start in mel_starts(found, length)])


def mel_starts(found: int, length: int) -> list[int]:
    """First frames of the front, the middle and the back stretch of `found` > `length` frames.

    An empty third falls back to 0, as in the reference.
    """
    thirds = np.array_split(np.arange(found - length + 1), 3)
    return [int(third[len(third) // 2]) if len(third) else 0 for third in thirds]

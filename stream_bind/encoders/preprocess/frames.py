"""Camera frames to model images: the still-image path and the two-frame video path, which differ on purpose.

Arrays in, arrays out; normalisation happens in the encoder.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["MEAN", "STD", "centre_geometry", "crop_offset", "resize_bilinear", "still", "video_frame", "video_spans"]

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's channel statistics, for values in [0, 1]."""


def still(frame: ByteArray, size: int = 224) -> ByteArray:
    """(H, W, 3) or grey (H, W) uint8 to the centre (size, size, 3) uint8 of the reference's still-image path.

    Short side to `size`, long side truncated, Pillow bicubic with antialias. The reference rounds to uint8 here, so
    uint8 loses nothing. ValueError for other shapes or dtypes.
    """
    frame = _checked(frame)
    (height, width), (top, left) = centre_geometry(frame.shape[0], frame.shape[1], size)
    image = Image.fromarray(frame)
    if min(frame.shape[:2]) != size:
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def centre_geometry(height: int, width: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """((height, width) after resizing the short side to `size`, (top, left) of the centre crop), as for still images:
    the long side is truncated, the offset rounds half to even."""
    scaled = int(size * max(height, width) / min(height, width))
    new_height, new_width = (size, scaled) if height <= width else (scaled, size)
    return (new_height, new_width), (round((new_height - size) / 2), round((new_width - size) / 2))


def video_frame(frame: ByteArray, size: int = 224, crop: str = "centre") -> FloatArray:
    """(H, W, 3) or grey (H, W) uint8 to (size, size, 3) float32 in [0, 1] of the reference's video path.

    Short side to `size`, long side floored, bilinear without antialias. crop: first (left or top), centre or last along
    the long side. float32, because rounding to uint8 would move the embedding. Only the pixels that are used are read.
    """
    frame = _checked(frame)
    height, width = frame.shape[:2]
    short, long = min(height, width), max(height, width)
    scaled = math.floor(long / short * size)
    new_height, new_width = (size, scaled) if height <= width else (scaled, size)
    top = crop_offset(new_height, size, crop)
    left = crop_offset(new_width, size, crop)
    return resize_bilinear(
        frame, (new_height, new_width), (slice(top, top + size), slice(left, left + size))
    ) * np.float32(1 / 255)


def crop_offset(length: int, size: int, crop: str) -> int:
    """First row or column of a crop; the video path rounds the centre up (the image path rounds half to even)."""
    room = length - size
    match crop:
        case "first":
            return 0
        case "centre":
            return math.ceil(room / 2)
        case "last":
            return room
    raise ValueError(f"crop {crop!r} is none of first, centre, last")


def resize_bilinear(
    image: NDArray[np.generic], shape: tuple[int, int], part: tuple[slice, slice] = (slice(None), slice(None))
) -> FloatArray:
    """(H, W[, C]) to the `part` of its bilinear resize to `shape`, float32, no antialias, half-pixel centres.

    The four neighbours are gathered for the wanted part alone, by OpenCV's nearest-neighbour remap with whole-number
    maps: 0.6 ms to 224 x 224 x 3 from 1080p, where indexing in numpy takes 1.6 ms and cv2.resize 1.5 ms. cv2.resize
    itself rounds its positions differently and would be 1e-4 off the reference.
    """
    import cv2

    maps, wx, wy = _gather(image.shape[:2], shape, _span(part[0], shape[0]), _span(part[1], shape[1]))
    n_rows, n_columns = wy.shape[0], wx.shape[1]
    depth = image.shape[2] if image.ndim == 3 else 1
    weights = np.repeat(wx, depth, axis=1)
    source = np.ascontiguousarray(image)
    remap: Any = cv2.remap  # its stub does not know that whole-number maps go without a second one
    corners: list[FloatArray] = [
        remap(source, place, None, cv2.INTER_NEAREST).reshape(n_rows, -1).astype(np.float32) for place in maps
    ]
    upper = _between(corners[0], corners[1], weights)
    lower = _between(corners[2], corners[3], weights)
    whole = _between(upper, lower, wy)
    resized: FloatArray = whole.reshape(n_rows, n_columns, *image.shape[2:])
    return resized


def _between(a: FloatArray, b: FloatArray, weight: FloatArray) -> FloatArray:
    """a + weight * (b - a), in the memory of b."""
    b -= a
    b *= weight
    b += a
    return b


def _span(part: slice, length: int) -> tuple[int, int]:
    start, stop, _ = part.indices(length)
    return start, stop


@lru_cache(maxsize=16)
def _gather(
    source: tuple[int, int], shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[list[NDArray[np.int16]], FloatArray, FloatArray]:
    """Maps of the four neighbours (upper left, upper right, lower left, lower right), weights along x and along y."""
    y0, y1, wy = _neighbours(source[0], shape[0], slice(*rows))
    x0, x1, wx = _neighbours(source[1], shape[1], slice(*columns))
    maps = [
        np.stack(np.broadcast_arrays(x.astype(np.int16), y.astype(np.int16)[:, None]), axis=-1)
        for y in (y0, y1)
        for x in (x0, x1)
    ]
    return maps, wx.reshape(1, -1), wy.reshape(-1, 1)


def _neighbours(n_in: int, n_out: int, part: slice) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
    # In float32, as the reference works them out: the weights of a wide frame differ by 1e-5 from exact ones.
    positions = np.arange(n_out, dtype=np.float32)[part]
    half = np.float32(0.5)
    source = np.maximum((positions + half) * (np.float32(n_in) / np.float32(n_out)) - half, np.float32(0.0))
    first = np.minimum(source.astype(np.intp), n_in - 1)
    return first, np.minimum(first + 1, n_in - 1), source - first.astype(np.float32)


def video_spans(n_frames: int, fps: float, n_clips: int = 5, length_s: float = 2.0) -> list[tuple[int, int]]:
    """Frame spans [first, end) of the evenly spaced clips of a file; the model sees the first and last of each."""
    spare = Fraction(max(n_frames / fps - length_s, 0.0))
    spans = []
    for i in range(n_clips):
        start = spare * i / max(n_clips - 1, 1)
        spans.append((math.ceil(fps * start), min(math.ceil(fps * (start + Fraction(length_s))), n_frames)))
    return spans


def _checked(frame: ByteArray) -> ByteArray:
    if frame.ndim == 2:
        frame = np.repeat(frame[:, :, None], 3, axis=2)
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape) == 0:
        raise ValueError(f"a frame is (H, W, 3) or (H, W) uint8, found {frame.shape} {frame.dtype}")
    return frame

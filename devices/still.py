"""One picture file to an array: 8-bit colour, 16-bit depth or thermal counts, orientation honoured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import DeviceError

__all__ = ["read_colour", "read_counts"]


CHROMA_MAX, CHROMA_MEAN = 16, 1.0
"""Levels of 255 by which the channels of a grey picture may differ, anywhere and on average."""


def read_colour(path: Path, upright: bool = True) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Grey is repeated, palettes are looked up, transparency is dropped.

    Raises DeviceError for what is no picture, and for 16-bit grey, whose black and white nobody has named.
    """
    image = _open(path, upright)
    if image.mode.startswith("I") or image.mode == "F":
        raise DeviceError(
            f"image_file {path}: a {image.mode} picture (more than 8 bits a pixel) is no vision input; "
            f"set modality to depth or thermal, or convert it to 8 bits",
            permanent=True,
        )
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def read_counts(path: Path, upright: bool = True) -> NDArray[Any]:
    """(H, W) uint8, uint16, int32 or float32 counts of a one-channel picture (PNG, PGM, TIFF, ...).

    Grey that was saved as RGB, as many thermal JPEGs are, comes as its 8-bit luma. Raises DeviceError for colour.
    """
    with path.open("rb") as file:
        pgm = file.read(2) == b"P5"
    if pgm:
        return _read_pgm(path)
    image = _open(path, upright)
    if image.mode == "RGB" and _is_grey(np.asarray(image)):
        image = image.convert("L")
    if image.mode not in {"L", "F"} and not image.mode.startswith("I"):
        raise DeviceError(
            f"image_file {path}: is a {image.mode} picture; wanted one channel of 8- or 16-bit counts "
            f"(a coloured rendering of depth or heat holds no measurements)",
            permanent=True,
        )
    return np.asarray(image)


def _is_grey(pixels: NDArray[np.uint8]) -> bool:
    """Whether three channels are one: JPEG moves single pixels of equal channels by some levels."""
    apart = np.abs(pixels.astype(np.int16) - pixels[:, :, 1:2])
    return int(apart.max()) <= CHROMA_MAX and float(apart.mean()) <= CHROMA_MEAN


def _open(path: Path, upright: bool) -> Any:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(path)
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DeviceError(f"image_file {path}: cannot be read as a picture: {error}", permanent=True) from error
    return ImageOps.exif_transpose(image) if upright else image


def _read_pgm(path: Path) -> NDArray[Any]:
    """A binary PGM as it stands. Pillow would stretch 16-bit values to 65535 where the header's maximum is smaller."""
    content = path.read_bytes()
    head = re.match(rb"P5\s(?:\s*#.*\n)*\s*(\d+)\s+(\d+)\s+(\d+)\s", content)
    if head is None:
        raise DeviceError(f"image_file {path}: is no PGM picture: its header cannot be read", permanent=True)
    width, height, most = map(int, head.groups())
    # Netpbm: two bytes a sample, high byte first, when the maximum is above 255.
    dtype = np.dtype(">u2" if most > 255 else "u1")
    wanted = width * height * dtype.itemsize
    found = len(content) - head.end()
    if found < wanted:
        raise DeviceError(f"image_file {path}: is cut short: {found} of {wanted} bytes of pixels", permanent=True)
    pixels = np.frombuffer(content, dtype, width * height, head.end())
    return pixels.reshape(height, width).astype(dtype.newbyteorder("="))

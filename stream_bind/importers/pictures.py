"""Pictures as foreign logs hold them, to RGB, to counts of depth or heat."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.records import Picture
from stream_bind.log.codec import decode_picture

__all__ = ["COUNTS", "DEPTH_HEADER_BYTES", "PACKED", "Unreadable", "counts_of", "rgb_of"]

PACKED = ("jpeg", "png", "webp")
COUNTS = {
    "16uc1": "u2",
    "mono16": "u2",
    "16sc1": "i2",
    "32fc1": "f4",
    "64fc1": "f8",
    "8uc1": "u1",
    "mono8": "u1",
}
"""One-channel encodings (sensor_msgs/image_encodings.hpp) to numpy's types, byte order left out."""
DEPTH_HEADER_BYTES = 12
"""compressed_depth_image_transport puts its format and two floats before the PNG."""
_BAYER = {"bayer_rggb": "RGGB", "bayer_bggr": "BGGR", "bayer_gbrg": "GBRG", "bayer_grbg": "GRBG"}


class Unreadable(ValueError):  # noqa: N818 - a verdict on one picture
    """The picture cannot be had; says why."""


def rgb_of(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises Unreadable."""
    import cv2

    if picture.encoding in PACKED:
        try:
            return decode_picture(bytes(picture.data))
        except (ValueError, cv2.error) as error:
            raise Unreadable(str(error)) from error
    name = picture.encoding.lower()
    convert: int | None
    if name in {"rgb8", "8uc3", "bgr8", "rgb16", "bgr16", "rgba8", "bgra8", "8uc4", "mono8", "8uc1", "mono16"}:
        channels = 4 if "a" in name or "c4" in name else 1 if "mono" in name or "c1" in name else 3
        pixels = _rows(picture, "u2" if "16" in name else "u1", channels)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        convert = {
            ("r", 3): None,
            ("b", 3): cv2.COLOR_BGR2RGB,
            # OpenCV's 8UC3 and 8UC4 mean BGR, as cv_bridge takes them.
            ("8", 3): cv2.COLOR_BGR2RGB,
            ("r", 4): cv2.COLOR_RGBA2RGB,
            ("b", 4): cv2.COLOR_BGRA2RGB,
            ("8", 4): cv2.COLOR_BGRA2RGB,
            ("m", 1): cv2.COLOR_GRAY2RGB,
            ("8", 1): cv2.COLOR_GRAY2RGB,
        }[name[0], channels]
    elif name[:10] in _BAYER:
        pixels = _rows(picture, "u2" if name.endswith("16") else "u1", 1)
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        convert = getattr(cv2, f"COLOR_Bayer{_BAYER[name[:10]]}2RGB")
    elif name in {"yuv422", "uyvy"}:
        pixels, convert = _rows(picture, "u1", 2), cv2.COLOR_YUV2RGB_UYVY
    elif name in {"yuv422_yuy2", "yuyv"}:
        pixels, convert = _rows(picture, "u1", 2), cv2.COLOR_YUV2RGB_YUYV
    elif name in {"nv12", "nv21"}:
        pixels = _rows(picture, "u1", 1, picture.height * 3 // 2)
        convert = cv2.COLOR_YUV2RGB_NV12 if name == "nv12" else cv2.COLOR_YUV2RGB_NV21
    else:
        raise Unreadable(f"its encoding {picture.encoding!r} is not known")
    try:
        return np.ascontiguousarray(pixels if convert is None else cv2.cvtColor(pixels, convert), np.uint8)
    except cv2.error as error:
        raise Unreadable(f"{picture.width}x{picture.height} {picture.encoding}: {error.err}") from error


def counts_of(picture: Picture) -> NDArray[Any]:
    """(H, W) uint8, uint16, int16 or float32, of one channel. Raises Unreadable."""
    import cv2

    if picture.encoding == "compressedDepth rvl":
        raise Unreadable("depth packed with RVL is not read; republish it as compressedDepth png or raw")
    if picture.encoding in {*PACKED, "compressedDepth"}:
        data = bytes(picture.data)
        header, packed = b"", data
        if picture.encoding == "compressedDepth":
            header, packed = data[:DEPTH_HEADER_BYTES], data[DEPTH_HEADER_BYTES:]
        try:
            found = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_UNCHANGED) if packed else None
        except cv2.error as error:
            raise Unreadable(str(error.err)) from error
        if found is None or found.ndim != 2:
            raise Unreadable(f"{len(data)} bytes are no picture of one channel")
        if picture.pixels.upper() == "32FC1" and header:
            return _inverse_depth(found, header)
        return np.asarray(found)
    dtype = COUNTS.get(picture.encoding.lower())
    if dtype is None:
        raise Unreadable(f"its encoding {picture.encoding!r} holds no counts")
    return _rows(picture, dtype, 1)


def _inverse_depth(found: NDArray[Any], header: bytes) -> NDArray[np.float32]:
    """32FC1 through compressedDepth: metres = a / (count - b), a and b in its header."""
    a, b = np.frombuffer(header, "<f4", 2, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.float32(a) / (found.astype(np.float32) - np.float32(b))
    depth[found == 0] = np.nan
    return np.asarray(depth, np.float32)


def _rows(picture: Picture, dtype: str, channels: int, height: int | None = None) -> NDArray[Any]:
    """(H, W) or (H, W, channels) in this machine's byte order, the padding at the ends of lines left out."""
    kind = np.dtype(dtype).newbyteorder(">" if picture.big_endian else "<")
    height, width = picture.height if height is None else height, picture.width
    line = width * channels * kind.itemsize
    step = picture.step or line
    data = np.frombuffer(picture.data, np.uint8)
    if width < 1 or height < 1 or step < line or len(data) < step * (height - 1) + line:
        raise Unreadable(
            f"{width}x{height} {picture.encoding} with {step} bytes a line needs "
            f"{max(0, step * height)} bytes, found {len(data)}"
        )
    whole = np.lib.stride_tricks.as_strided(data, (height, line), (step, 1))
    pixels = np.ascontiguousarray(whole).view(kind).astype(kind.newbyteorder("="))
    return pixels.reshape(height, width) if channels == 1 else pixels.reshape(height, width, channels)

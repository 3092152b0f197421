"""A frame's bytes as a camera driver leaves them, to arrays: colour to RGB, 16-bit counts to uint16."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOUR", "COUNTS", "BrokenFrame", "colour", "counts"]

COLOUR = ("YUYV", "UYVY", "NV12", "RGB3", "BGR3", "MJPG", "JPEG", "GREY")
"""V4L2 names of the formats `colour` understands, in the order we prefer them: uncompressed first, colour first."""
COUNTS = ("Z16 ", "Y16 ")
"""V4L2 names of 16-bit formats, little-endian."""

_ENCODINGS = {
    "YUYV": "yuyv",
    "UYVY": "uyvy",
    "NV12": "nv12",
    "RGB3": "rgb8",
    "BGR3": "bgr8",
    "GREY": "mono8",
    "MJPG": "jpeg",
    "JPEG": "jpeg",
}
_BYTES = {"YUYV": 2, "UYVY": 2, "NV12": 1, "RGB3": 3, "BGR3": 3, "GREY": 1}


class BrokenFrame(Exception):  # noqa: N818 - a verdict on one frame, no fault of the program
    """The bytes are no whole frame of this format. `counter` names what they are counted as."""

    def __init__(self, counter: str, message: str) -> None:
        super().__init__(message)
        self.counter = counter


def colour(
    name: str, buffer: memoryview | bytes, width: int, height: int, bytesperline: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | list[bytes] | None, str]:
    """RGB (height, width, 3) uint8, what the camera sent (None where that is the RGB itself) and its encoding.

    Nothing that is returned looks into `buffer`. bytesperline: 0 where lines follow each other without padding.
    YUV is read as BT.601, limited range, which is what USB cameras send. Raises BrokenFrame.
    """
    import cv2

    encoding = _ENCODINGS[name]
    if encoding == "jpeg":
        return _jpeg(buffer, width, height)
    pixel = _BYTES[name]
    n_rows = height * 3 // 2 if name == "NV12" else height
    rows = _rows(buffer, n_rows, width * pixel, bytesperline)
    if name == "RGB3":
        return np.array(rows).reshape(height, width, 3), None, encoding
    native = np.array(rows).reshape(n_rows, width, *(() if pixel == 1 else (pixel,)))
    conversion = {
        "YUYV": cv2.COLOR_YUV2RGB_YUYV,
        "UYVY": cv2.COLOR_YUV2RGB_UYVY,
        "NV12": cv2.COLOR_YUV2RGB_NV12,
        "BGR3": cv2.COLOR_BGR2RGB,
        "GREY": cv2.COLOR_GRAY2RGB,
    }[name]
    rgb: NDArray[Any] = np.asarray(cv2.cvtColor(native, conversion))
    return rgb, native[None], encoding


def counts(buffer: memoryview | bytes, width: int, height: int, bytesperline: int = 0) -> NDArray[np.uint16]:
    """(height, width) uint16 from little-endian 16-bit lines, copied. Raises BrokenFrame."""
    rows = np.ascontiguousarray(_rows(buffer, height, width * 2, bytesperline))
    return rows.view("<u2").astype(np.uint16)


def _jpeg(
    buffer: memoryview | bytes, width: int, height: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | list[bytes] | None, str]:
    import cv2

    sent = bytes(buffer)
    # OpenCV 4.10 fills what a cut frame lacks with grey and calls it good (5.0 does not: measured), so both marks are
    # asked for. Cameras pad behind the end mark.
    if not sent.startswith(b"\xff\xd8") or b"\xff\xd9" not in sent[-4096:]:
        raise BrokenFrame("bad_jpeg", f"{len(sent)} bytes that are no whole JPEG picture")
    picture = cv2.imdecode(np.frombuffer(sent, np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape != (height, width, 3):
        found = "unreadable" if picture is None else f"{picture.shape[1]}x{picture.shape[0]}"
        raise BrokenFrame("bad_jpeg", f"a JPEG picture that is {found}; wanted {width}x{height}")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, picture), np.uint8), [sent], "jpeg"


def _rows(buffer: memoryview | bytes, n_rows: int, line: int, bytesperline: int) -> NDArray[np.uint8]:
    """(n_rows, line) view of the lines without their padding."""
    stride = max(bytesperline, line)
    needed = stride * (n_rows - 1) + line
    flat = np.frombuffer(buffer, np.uint8)
    if len(flat) < needed:
        raise BrokenFrame("short_frames", f"{len(flat)} bytes; a frame has {needed}")
    return np.lib.stride_tricks.as_strided(flat, (n_rows, line), (stride, 1))

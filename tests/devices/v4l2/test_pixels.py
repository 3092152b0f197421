"""Bytes of frames to arrays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from devices.pixels import COLOUR, BrokenFrame, colour, counts

WIDTH, HEIGHT = 32, 8
RGB = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
RGB[:, :16], RGB[:, 16:] = (220, 40, 60), (30, 60, 200)


def packed(name: str) -> NDArray[np.uint8]:
    """(rows, bytes of a line) as a camera sends the picture RGB."""
    full = cv2.cvtColor(RGB, cv2.COLOR_RGB2YCrCb).astype(np.float64)
    luma = np.rint(full[..., 0] * 219 / 255 + 16).astype(np.uint8)
    red, blue = (np.rint((full[..., k] - 128) * 224 / 255 + 128).astype(np.uint8) for k in (1, 2))
    if name in {"YUYV", "UYVY"}:
        chroma = np.where(np.arange(WIDTH) % 2 == 0, blue, red)
        pair = (luma, chroma) if name == "YUYV" else (chroma, luma)
        return np.stack(pair, -1).reshape(HEIGHT, -1)
    if name == "NV12":
        return np.concatenate([luma, np.stack([blue[::2, ::2], red[::2, ::2]], -1).reshape(HEIGHT // 2, WIDTH)])
    if name == "GREY":
        return cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)
    return np.ascontiguousarray(RGB if name == "RGB3" else RGB[..., ::-1]).reshape(HEIGHT, -1)


RAW = [name for name in COLOUR if name not in {"MJPG", "JPEG"}]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("padding", [0, 6])
def test_every_format_shows_the_same_picture_whatever_its_padding(name: str, padding: int) -> None:
    rows = packed(name)
    line = rows.shape[1]
    padded = np.full((len(rows), line + padding), 255, np.uint8)
    padded[:, :line] = rows
    # The last line's padding may be missing.
    sent = padded.tobytes()[: len(rows) * (line + padding) - padding]
    picture, native, encoding = colour(name, memoryview(sent), WIDTH, HEIGHT, line + padding)
    assert picture.shape == RGB.shape
    assert picture.dtype == np.uint8
    wanted = RGB if name != "GREY" else np.repeat(cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert np.abs(picture.astype(int) - wanted).max() <= 4, name
    if name == "RGB3":
        assert native is None
    else:
        assert isinstance(native, np.ndarray)
        assert native[0].tobytes() == rows.tobytes()
        assert encoding in {"yuyv", "uyvy", "nv12", "bgr8", "mono8"}


def test_what_is_returned_does_not_look_into_the_buffer() -> None:
    for name in RAW:
        area = bytearray(packed(name).tobytes())
        picture, native, _ = colour(name, memoryview(area), WIDTH, HEIGHT)
        before = picture.tobytes(), None if native is None else np.asarray(native).tobytes()
        area[:] = bytes(len(area))
        assert before == (picture.tobytes(), None if native is None else np.asarray(native).tobytes())


def encoded() -> bytes:
    return bytes(cv2.imencode(".jpg", RGB[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes())


def test_a_jpeg_is_decoded_and_kept_as_sent() -> None:
    sent = encoded() + b"\0" * 100
    picture, native, encoding = colour("MJPG", memoryview(sent), WIDTH, HEIGHT)
    assert encoding == "jpeg"
    assert native == [sent]
    assert np.abs(picture[:, 3:10].astype(int) - RGB[:, 3:10]).max() < 12


def test_motion_jpeg_without_huffman_tables_is_decoded() -> None:
    whole, lean, at = encoded(), b"\xff\xd8", 2
    while whole[at : at + 2] != b"\xff\xda":
        length = 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        lean += b"" if whole[at : at + 2] == b"\xff\xc4" else whole[at : at + length]
        at += length
    lean += whole[at:]
    assert len(lean) < len(whole)
    assert colour("MJPG", lean, WIDTH, HEIGHT)[0].shape == RGB.shape


@pytest.mark.parametrize(
    "damage",
    [
        lambda sent: sent[: len(sent) // 2],
        lambda sent: sent[: len(sent) - 40],
        lambda sent: sent[: len(sent) - 2],
        lambda sent: b"\0\0" + sent[2:],
        lambda sent: b"",
        lambda sent: b"\xff\xd8" + b"\x12" * 200 + b"\xff\xd9",
    ],
)
def test_a_cut_or_foreign_jpeg_is_refused(damage: object) -> None:
    with pytest.raises(BrokenFrame) as caught:
        colour("MJPG", damage(encoded()), WIDTH, HEIGHT)  # type: ignore[operator]
    assert caught.value.counter == "bad_jpeg"


def test_a_jpeg_of_another_size_is_refused() -> None:
    with pytest.raises(BrokenFrame, match="32x8; wanted 64x8"):
        colour("MJPG", encoded(), 64, 8)


def test_a_short_frame_is_refused() -> None:
    with pytest.raises(BrokenFrame, match="511 bytes; a frame has 512") as caught:
        colour("YUYV", bytes(511), WIDTH, HEIGHT)
    assert caught.value.counter == "short_frames"
    with pytest.raises(BrokenFrame):
        counts(bytes(99), 10, 5)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.randoms(use_true_random=False))
def test_counts_are_little_endian_at_any_padding(width: int, height: int, padding: int, random: object) -> None:
    values = np.random.default_rng(random.getrandbits(32)).integers(0, 65536, (height, width))  # type: ignore[attr-defined]
    lines = [b"".join(int(v).to_bytes(2, "little") for v in row) + b"\xaa" * padding for row in values]
    found = counts(b"".join(lines), width, height, width * 2 + padding)
    assert found.dtype == np.uint16
    assert np.array_equal(found, values)

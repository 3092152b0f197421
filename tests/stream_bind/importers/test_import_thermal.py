"""FLIR's records and TIFF of counts: kelvin by the camera's constants, times, order of bytes, damage."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.flir import BadFrame, frame_of, frames_in, of_jpeg
from stream_bind.importers.job import measure

T0_S = 1_760_000_000
R1, B, F, OFFSET, R2 = 17_000.0, 1_430.0, 1.0, -300, 0.012
KELVIN = np.linspace(285.0, 315.0, 24 * 32).reshape(24, 32)
COUNTS = np.rint(R1 / (R2 * (np.exp(B / KELVIN) - F)) - OFFSET).astype(np.uint16)


def camera(order: str, t_s: int = T0_S, ms: int = 250, emissivity: float = 1.0, **floats: float) -> bytes:
    block = bytearray(1000)
    block[:2] = struct.pack(f"{order}H", 2)
    values = {0x20: emissivity, 0x24: 0.0, 0x28: 293.15, 0x2C: 293.15, 0x3C: 0.5, 0x58: R1, 0x5C: B, 0x60: F, 0x30C: R2}
    air = {0x70: 0.006569, 0x74: 0.01262, 0x78: -0.002276, 0x7C: -0.00667, 0x80: 1.9}
    for at, value in (values | air | {int(key[1:], 16): value for key, value in floats.items()}).items():
        struct.pack_into(f"{order}f", block, at, value)
    struct.pack_into(f"{order}i", block, 0x308, OFFSET)
    block[0xD4:0xDC] = b"Tester 1"
    struct.pack_into(f"{order}IIh", block, 900, t_s, ms, -60)
    return bytes(block)


def fff(order: str = "<", index: str = ">", counts: np.ndarray = COUNTS, png: str = "", **about: float) -> bytes:
    """One record. order: of the numbers in it; index: of its table; png: order of the counts in a PNG."""
    if png:
        swapped = counts if png == ">" else counts.byteswap()
        pixels = cv2.imencode(".png", swapped)[1].tobytes()
    else:
        pixels = counts.astype(f"{order}u2").tobytes()
    height, width = counts.shape
    raw = struct.pack(f"{order}HHH", 2, width, height).ljust(32, b"\0") + pixels
    parts = [(1, raw), (0x20, camera(order, **about))]  # type: ignore[arg-type]
    head = b"FFF\0" + b"TEST".ljust(16, b"\0") + struct.pack(f"{index}III", 101, 64, len(parts))
    head = head.ljust(64, b"\0")
    at = 64 + 32 * len(parts)
    table, body = b"", b""
    for kind, content in parts:
        table += struct.pack(f"{index}HHIIIIIII", kind, 2, 100, 0, at + len(body), len(content), 0, 0, 0)[:32]
        body += content
    return head + table + body


@pytest.mark.parametrize("png", ["", "<", ">"])
@pytest.mark.parametrize("index", ["<", ">"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_counts_become_the_kelvin_they_came_from(order: str, index: str, png: str) -> None:
    frame = frame_of(fff(order, index, png=png))
    assert np.array_equal(frame.counts, COUNTS)
    assert frame.kelvin is not None
    np.testing.assert_allclose(frame.kelvin, KELVIN, atol=0.02)
    assert frame.t_ns == T0_S * 10**9 + 250_000_000
    assert frame.model == "Tester 1"


def test_emissivity_and_air_are_taken_out() -> None:
    def signal(kelvin: np.ndarray | float) -> np.ndarray:
        return np.asarray(R1 / (R2 * (np.exp(B / kelvin) - F)) - OFFSET)

    # What the sensor sees: its object at 0.8, the room's reflection for the rest, and air of the room's own warmth.
    seen = 0.8 * signal(KELVIN) + 0.2 * signal(293.15)
    frame = frame_of(fff(counts=np.rint(seen).astype(np.uint16), emissivity=0.8))
    assert frame.kelvin is not None
    np.testing.assert_allclose(frame.kelvin, KELVIN, atol=0.05)
    far = frame_of(fff(counts=np.rint(seen).astype(np.uint16), emissivity=0.8, x24=20.0))
    assert far.kelvin is not None
    # Twenty metres of air hide part of what differs from its own temperature.
    assert 0.3 < far.kelvin.max() - frame.kelvin.max() < 5


def test_a_sequence_has_the_times_of_its_frames(tmp_path: Path, read, through_log) -> None:
    path = tmp_path / "a.seq"
    path.write_bytes(b"".join(fff(t_s=T0_S + i // 4, ms=i % 4 * 250) for i in range(20)))
    source, found = read(path)
    t_ns, data = found["thermal"]
    assert t_ns.tolist() == [T0_S * 10**9 + i * 250_000_000 for i in range(20)]
    np.testing.assert_allclose(data[7], KELVIN, atol=0.02)
    assert source.specs["thermal"].rate_hz == pytest.approx(4)
    assert np.array_equal(through_log(path)["thermal"][1], data)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 1500])
    found = measure(open_source(path, ImportOptions()))
    assert found.streams["thermal"].n_samples == 19
    assert found.losses


def jpeg_of(record: bytes, size: int = 700) -> bytes:
    """A radiometric JPEG, its record in several segments, the last first."""
    plain = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes()
    parts = [record[at : at + size] for at in range(0, len(record), size)]
    segments = [
        b"\xff\xe1" + struct.pack(">H", len(part) + 10) + b"FLIR\0\x01" + bytes((i, len(parts) - 1)) + part
        for i, part in enumerate(parts)
    ]
    return plain[:2] + b"".join(reversed(segments)) + plain[2:]


def test_radiometric_jpegs_alone_and_in_a_folder(tmp_path: Path, read) -> None:
    assert of_jpeg(jpeg_of(fff())) == fff()
    for i in range(5):
        (tmp_path / f"IR_{i:04d}.jpg").write_bytes(jpeg_of(fff(t_s=T0_S + i * 10)))
    source, found = read(tmp_path / "IR_0003.jpg")
    np.testing.assert_allclose(found["thermal"][1][0], KELVIN, atol=0.02)
    assert "rendering" in source.skipped["picture"]
    source, found = read(tmp_path)
    assert found["thermal"][0].tolist() == [(T0_S + i * 10) * 10**9 + 250_000_000 for i in range(5)]


def test_tiffs_of_counts_of_celsius_and_of_many_pages(tmp_path: Path, read, through_log) -> None:
    path = tmp_path / "a.tiff"
    counts = np.rint(KELVIN / 0.04).astype(np.uint16)
    Image.fromarray(counts).save(path, compression="tiff_lzw")
    with pytest.raises(
        LogError, match=r"holds counts \(median 7500\).*add --scale-k; with 0.04 its median would be 26.9"
    ):
        open_source(path, ImportOptions())
    _, found = read(path, scale_k=0.04)
    np.testing.assert_allclose(found["thermal"][1][0], KELVIN, atol=0.03)
    assert np.array_equal(through_log(path, scale_k=0.04)["thermal"][1], found["thermal"][1])
    celsius = [Image.fromarray((KELVIN - 273.15 + i).astype(np.float32)) for i in range(3)]
    celsius[0].save(path, save_all=True, append_images=celsius[1:])
    source, found = read(path, rate_hz=5.0)
    assert np.diff(found["thermal"][0]).tolist() == [200_000_000, 200_000_000]
    np.testing.assert_allclose(found["thermal"][1][2], KELVIN + 2, atol=1e-4)
    assert "its numbers are taken as degrees Celsius" in source.doubts[0]
    Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save(path)
    with pytest.raises(LogError, match="no radiometric recording"):
        open_source(path, ImportOptions())


@given(at=st.integers(0, 5000), value=st.integers(0, 255), cut=st.integers(0, 6000))
@settings(max_examples=300, deadline=None)
def test_a_damaged_record_is_refused_or_read(at: int, value: int, cut: int) -> None:
    data = bytearray(fff())
    data[at % len(data)] = value
    try:
        frame = frame_of(bytes(data[:cut] if cut < len(data) else data))
    except BadFrame:
        return
    assert frame.counts.ndim == 2
    assert list(frames_in(bytes(data))) or not data.startswith(b"FFF\0")


def test_what_holds_no_picture_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.fff"
    path.write_bytes(fff()[:90])
    with pytest.raises(LogError, match="no frame can be read"):
        open_source(path, ImportOptions())
    path.write_bytes(fff(x58=0.0))
    with pytest.raises(LogError, match="its constants of temperature are missing"):
        open_source(path, ImportOptions())

"""FLIR's FFF records: raw counts of an infrared sensor, and what turns them into temperature.

Layout of the records: the FLIR tags of ExifTool (exiftool.org/TagNames/FLIR.html). Radiometry: FLIR's own model as
published by Minkina and Dudzik, "Infrared Thermography: Errors and Uncertainties", Wiley 2009, chapter 2.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FFF_HEADS", "BadFrame", "Frame", "frame_of", "frames_in", "of_jpeg"]

FFF_HEADS = (b"FFF\0", b"AFF\0")
PNG = b"\x89PNG"
JPEG_LS = b"\xff\xd8\xff\xf7"
RAW, CAMERA = 0x01, 0x20
"""Types of the records we read."""
INDEX_ENTRY = 32
PIXELS_AT = 32
"""Bytes of a raw record before its pixels."""
APP1, FLIR_MARK = 0xE1, b"FLIR\0"
ZERO_CELSIUS_K = 273.15
MOST_PIXELS = 1 << 24
PLAUSIBLE_K = (100.0, 4000.0)


class BadFrame(ValueError):  # noqa: N818 - a verdict on one frame
    """The record cannot be read; says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One radiometric picture."""

    counts: NDArray[np.uint16]
    """(H, W)."""
    kelvin: NDArray[np.float32] | None
    """(H, W); None where the constants are missing."""
    t_ns: int | None
    """UNIX ns; None: it does not say."""
    model: str = ""


def frames_in(data: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
    """(start, end) of each FFF in a file that holds one after the other, as FLIR's SEQ does."""
    at = _next(data, 0)
    while at >= 0:
        after = _next(data, at + 4)
        yield at, len(data) if after < 0 else after
        at = after


def _next(data: bytes | mmap.mmap, at: int) -> int:
    """Where the next header stands; four bytes of pixels may look like its name, but hold no version."""
    while True:
        at = data.find(FFF_HEADS[0], at)
        if at < 0 or any(100 <= int.from_bytes(data[at + 20 : at + 24], order) < 200 for order in ("big", "little")):
            return at
        at += 4


def of_jpeg(data: bytes) -> bytes | None:
    """The FFF in the APP1 segments of a radiometric JPEG, joined by their numbers; None where it has none."""
    parts: dict[int, bytes] = {}
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            break
        content = data[at + 4 : at + 2 + length]
        if marker == APP1 and content.startswith(FLIR_MARK) and len(content) > 8:
            parts[content[6]] = content[8:]
        at += 2 + length
    return b"".join(parts[number] for number in sorted(parts)) if parts else None


def frame_of(data: bytes) -> Frame:
    """One FFF. Raises BadFrame."""
    if not data.startswith(FFF_HEADS):
        raise BadFrame("is no FFF record")
    try:
        order = ">" if 100 <= struct.unpack_from(">I", data, 20)[0] < 200 else "<"
        index_at, n = struct.unpack_from(f"{order}II", data, 24)
        if n > 4096:
            raise BadFrame(f"its index claims {n} records")
        records: dict[int, bytes] = {}
        for number in range(n):
            kind, _, _, _, offset, length = struct.unpack_from(f"{order}HHIIII", data, index_at + number * INDEX_ENTRY)
            records.setdefault(kind, data[offset : offset + length])
        if RAW not in records:
            raise BadFrame("holds no raw picture")
        counts = _counts(records[RAW])
        camera = records.get(CAMERA, b"")
        return _radiometric(counts, camera) if len(camera) >= 800 else Frame(counts, None, None)
    except struct.error as error:
        raise BadFrame("is cut short") from error


def _counts(record: bytes) -> NDArray[np.uint16]:
    order = "<" if record[:2] == b"\x02\x00" else ">"
    width, height = struct.unpack_from(f"{order}HH", record, 2)
    pixels = record[PIXELS_AT:]
    if not 0 < width * height <= MOST_PIXELS:
        raise BadFrame(f"its picture claims {width}x{height} pixels")
    if pixels.startswith(PNG):
        import cv2

        found = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED)
        if found is None or found.dtype != np.uint16 or found.ndim != 2:
            raise BadFrame("its PNG cannot be read")
        # PNG is big-endian; most cameras write their own order into it. A scene is smooth in the right one only.
        swapped = found.byteswap()
        return np.asarray(found if _roughness(found) <= _roughness(swapped) else swapped, np.uint16)
    if pixels.startswith(JPEG_LS):
        raise BadFrame("is packed as JPEG-LS (CSQ), which is not read; export it as SEQ or TIFF")
    if len(pixels) < width * height * 2:
        raise BadFrame(f"{width}x{height} counts need {width * height * 2:,} bytes, found {len(pixels):,}")
    values = np.frombuffer(pixels, f"{order}u2", width * height)
    return values.reshape(height, width).astype(np.uint16)


def _roughness(counts: NDArray[Any]) -> float:
    return float(np.abs(np.diff(counts.astype(np.int32), axis=1)).mean())


def _radiometric(counts: NDArray[np.uint16], camera: bytes) -> Frame:
    order = "<" if camera[:2] == b"\x02\x00" else ">"

    def number(at: int, kind: str = "f") -> float:
        return float(struct.unpack_from(f"{order}{kind}", camera, at)[0])

    r1, b, f = number(0x58), number(0x5C), number(0x60)
    o, r2 = number(0x308, "i"), number(0x30C)
    t_ns = _time(camera, order)
    model = camera[0xD4:0xF4].split(b"\0")[0].decode("latin-1")
    if not all(map(np.isfinite, (r1, b, f, r2))) or r1 <= 0 or b <= 0 or r2 <= 0:
        return Frame(counts, None, t_ns, model)

    def signal(kelvin: float) -> float:
        return r1 / (r2 * (math.exp(b / kelvin) - f)) - o

    seen = counts.astype(np.float64)
    emissivity, reflected, air = number(0x20), number(0x28), number(0x2C)
    if 0 < emissivity <= 1 and _plausible(reflected) and _plausible(air):
        tau = _transmission([number(at) for at in (0x70, 0x74, 0x78, 0x7C, 0x80)], number(0x24), air, number(0x3C))
        lost = (1 - emissivity) * tau * signal(reflected) + (1 - tau) * signal(air)
        seen = (seen - lost) / (emissivity * tau)
    with np.errstate(divide="ignore", invalid="ignore"):
        kelvin = b / np.log(r1 / (r2 * (seen + o)) + f)
    kelvin[~((kelvin > PLAUSIBLE_K[0]) & (kelvin < PLAUSIBLE_K[1]))] = np.nan
    return Frame(counts, None if np.isnan(kelvin).all() else kelvin.astype(np.float32), t_ns, model)


def _plausible(kelvin: float) -> bool:
    return PLAUSIBLE_K[0] < kelvin < PLAUSIBLE_K[1]


def _transmission(constants: list[float], distance_m: float, air_k: float, humidity: float) -> float:
    """Of the air between camera and object; 1 where the camera does not say what it takes."""
    alpha_1, alpha_2, beta_1, beta_2, x = constants
    if not all(map(np.isfinite, (*constants, distance_m, humidity))) or distance_m < 0 or not 0 <= humidity <= 100:
        return 1.0
    celsius = air_k - ZERO_CELSIUS_K
    share = humidity / 100 if humidity > 1 else humidity
    water = share * np.exp(1.5587 + 0.06939 * celsius - 2.7816e-4 * celsius**2 + 6.8455e-7 * celsius**3)
    root = np.sqrt(distance_m)
    tau = x * np.exp(-root * (alpha_1 + beta_1 * np.sqrt(water)))
    tau += (1 - x) * np.exp(-root * (alpha_2 + beta_2 * np.sqrt(water)))
    return float(tau) if 0.01 < tau <= 1 else 1.0


def _time(camera: bytes, order: str) -> int | None:
    """Seconds since 1970, ms, and the zone in minutes, which only says where it was."""
    if len(camera) < 910:
        return None
    seconds, thousandths = struct.unpack_from(f"{order}II", camera, 900)
    if not 0 < seconds < 1 << 31:
        return None
    return int(seconds) * 1_000_000_000 + (int(thousandths) & 0xFFFF) % 1000 * 1_000_000

"""A fake sensor for every protocol: it encodes samples by the protocol's table, without the decoders' help."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from devices.protocols.bno08x_rvc import Bno08xRvc
from devices.protocols.mavlink import MavlinkImu
from devices.protocols.mlx90640 import Mlx90640Decoder
from devices.protocols.text_imu import TextImu
from devices.protocols.vectornav import VectorNavAscii, VectorNavBinary
from devices.protocols.witmotion import WitMotion, WitMotionBle
from devices.protocols.xsens import XsensMtData2
from stream_bind.messages import IMU_AXES

G = 9.80665
DEGREE = np.pi / 180


def sum8(data: bytes) -> int:
    return sum(data) & 0xFF


def crc16(data: bytes, crc: int = 0) -> int:
    """CCITT, bit by bit, as the manuals draw it."""
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
    return crc & 0xFFFF


def crc_mcrf4xx(data: bytes, crc: int = 0xFFFF) -> int:
    """As mavlink.io gives it in C."""
    for byte in data:
        low = byte ^ (crc & 0xFF)
        low = (low ^ (low << 4)) & 0xFF
        crc = (crc >> 8) ^ (low << 8) ^ (low << 3) ^ (low >> 4)
    return crc & 0xFFFF


def wit(kind: int, *words: int) -> bytes:
    body = struct.pack("<BB4h", 0x55, kind, *words)
    return body + bytes([sum8(body)])


def wit_time(ms: int) -> bytes:
    """ms since 2024-02-28 23:59:00, so that a day's, a month's end and a leap day are passed."""
    seconds, ms = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    day, hour, minute = (28, 23, 59) if minutes == 0 else (29, 0, minutes - 1)
    body = struct.pack("<8BH", 0x55, 0x50, 24, 2, day, hour, minute, second, ms)
    return body + bytes([sum8(body)])


def ble(*words: int, kind: int = 0x61) -> bytes:
    return struct.pack("<BB9h", 0x55, kind, *words)


def rvc(index: int, accel: tuple[int, int, int], spare: bytes = b"\0\0\0") -> bytes:
    body = struct.pack("<B6h", index & 0xFF, 17, -300, 9000, *accel) + spare
    return b"\xaa\xaa" + body + bytes([sum8(body)])


def vn_line(body: str, *, crc: bool = False) -> bytes:
    xor = 0
    for byte in body.encode():
        xor ^= byte
    check = f"{crc16(body.encode()):04X}" if crc else f"{xor:02X}"
    return f"${body}*{check}\r\n".encode()


def vn_packet(header: bytes, payload: bytes) -> bytes:
    return b"\xfa" + header + payload + struct.pack(">H", crc16(header + payload))


def mt(*items: tuple[int, bytes], mid: int = 0x36) -> bytes:
    data = b"".join(struct.pack(">HB", name, len(value)) + value for name, value in items)
    length = bytes([len(data)]) if len(data) < 0xFF else b"\xff" + struct.pack(">H", len(data))
    body = b"\xff" + bytes([mid]) + length + data
    return b"\xfa" + body + bytes([-sum(body) & 0xFF])


def mt_numbers(number_format: int, numbers: tuple[float, ...]) -> bytes:
    if number_format == 0:
        return struct.pack(">3f", *numbers)
    if number_format == 1:
        return struct.pack(">3i", *(round(x * (1 << 20)) for x in numbers))
    if number_format == 3:
        return struct.pack(">3d", *numbers)
    parts = (divmod(round(x * (1 << 32)), 1 << 32) for x in numbers)
    return b"".join(struct.pack(">Ih", fraction, whole) for whole, fraction in parts)


CRC_EXTRA = {105: 93, 27: 144, 26: 170, 116: 76, 129: 46, 30: 39}


def mav(
    number: int, payload: bytes, *, seq: int = 0, v1: bool = False, sender: bytes = b"\1\1", signed: bool = False
) -> bytes:
    if v1:
        head = bytes([len(payload), seq & 0xFF]) + sender + bytes([number])
    else:
        payload = payload.rstrip(b"\0") or b"\0"
        head = bytes([len(payload), int(signed), 0, seq & 0xFF]) + sender + number.to_bytes(3, "little")
    check = crc_mcrf4xx(head + payload + bytes([CRC_EXTRA[number]]))
    return (b"\xfe" if v1 else b"\xfd") + head + payload + struct.pack("<H", check) + b"s" * 13 * signed


def mlx(pixels: np.ndarray[Any, Any], ambient: int) -> bytes:
    body = b"\x5a\x5a\x02\x06" + pixels.astype("<i2").tobytes() + struct.pack("<h", ambient)
    return body + struct.pack("<H", sum(struct.unpack("<771H", body)) & 0xFFFF)


@dataclass(frozen=True)
class Case:
    """A protocol as set up in one way, and the sensor that speaks it."""

    name: str
    make: Callable[[], Any]
    packet: Callable[[int], bytes]
    """The bytes of sample i, 0 <= i < 5000."""
    wanted: Callable[[int], tuple[float, ...]]
    """Its values."""
    marker: bytes = b""
    """Regular expression of a first byte (or more); empty where packets have none."""
    valid_at: Callable[[bytes, int], int] = lambda _data, _at: 0
    """Size of the packet there whose checksum is right, 0 for none: the test's own judgement."""
    checked: bool = True
    """Packets have a checksum."""
    tick: Callable[[int], int] | None = None
    count: Callable[[int], int] | None = None
    tolerance: float = 1e-6
    longest: int = 64
    """Bytes that may be held back."""
    parts: int = field(default=1)
    """Packets that make a sample."""

    def __str__(self) -> str:
        return self.name

    def values(self, samples: Any) -> np.ndarray[Any, Any]:
        return samples.images.reshape(len(samples), 768) if hasattr(samples, "images") else samples.values

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """(start, end) of everything in data whose checksum is right, overlapping or not."""
        if not self.marker:
            return []
        starts = (match.start() for match in re.finditer(b"(?=" + self.marker + b")", data, re.DOTALL))
        return [(at, at + size) for at in starts if (size := self.valid_at(data, at))]


def _scaled(i: int, a: float, g: float) -> tuple[float, ...]:
    return (i * a, -3 * a, 2048 * a, 100 * g, -i * g, 7 * g)


def _fixed(size: int, is_right: Callable[[bytes], bool]) -> Callable[[bytes, int], int]:
    def valid_at(data: bytes, at: int) -> int:
        packet = data[at : at + size]
        return size if len(packet) == size and is_right(packet) else 0

    return valid_at


def _line_at(data: bytes, at: int) -> int:
    match = re.compile(rb"\$([^*$\n]{3,200})\*([0-9A-F]{4}|[0-9A-F]{2})\r?\n").match(data, at)
    if match is None:
        return 0
    xor = 0
    for byte in match.group(1):
        xor ^= byte
    told = int(match.group(2), 16)
    return match.end() - at if told == (crc16(match.group(1)) if len(match.group(2)) == 4 else xor) else 0


VN_SIZES = {
    1: [8, 8, 8, 12, 16, 12, 24, 12, 12, 24, 20, 28, 2, 4, 8],
    2: [8, 8, 8, 2, 8, 8, 8, 4, 4, 1],
    3: [2, 12, 12, 12, 4, 4, 16, 12, 12, 12, 12, 2, 40],
    4: [8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28],
    5: [2, 12, 16, 36, 12, 12, 12, 12, 12, 12, 28, 24, 12],
    6: [2, 24, 24, 12, 12, 12, 12, 12, 12, 4, 4, 68, 64],
    7: [8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28],
}


def _vn_at(data: bytes, at: int) -> int:
    if data[at] == 0x24:
        return _line_at(data, at)
    if at + 2 > len(data) or not data[at + 1] or data[at + 1] & 0x80:
        return 0
    where, size = at + 2, 4
    for group, sizes in VN_SIZES.items():
        if data[at + 1] >> (group - 1) & 1:
            if where + 2 > len(data):
                return 0
            word = data[where] | data[where + 1] << 8
            if not word or word >> len(sizes):
                return 0
            size += 2 + sum(n for bit, n in enumerate(sizes) if word >> bit & 1)
            where += 2
    packet = data[at : at + size]
    return size if size <= 512 and len(packet) == size and crc16(packet[1:]) == 0 else 0


def _mt_at(data: bytes, at: int) -> int:
    if at + 5 > len(data):
        return 0
    head, n = 4, data[at + 3]
    if n == 0xFF:
        if at + 6 > len(data):
            return 0
        head, n = 6, data[at + 4] << 8 | data[at + 5]
    size = head + n + 1
    packet = data[at : at + size]
    return size if n <= 2048 and len(packet) == size and sum8(packet[1:]) == 0 else 0


@cache
def _mav_messages() -> dict[int, tuple[int, int]]:
    from pymavlink.dialects.v20 import ardupilotmega

    return {n: (kind.unpacker.size, kind.crc_extra) for n, kind in ardupilotmega.mavlink_map.items()}


def _mav_at(data: bytes, at: int) -> int:
    head = 10 if data[at] == 0xFD else 6
    if at + head > len(data) or (head == 10 and data[at + 2] > 1):
        return 0
    number = int.from_bytes(data[at + 7 : at + 10], "little") if head == 10 else data[at + 5]
    longest, extra = _mav_messages().get(number, (-1, 0))
    n = data[at + 1]
    size = head + n + 2 + (13 if head == 10 and data[at + 2] else 0)
    packet = data[at : at + size]
    if n > longest or len(packet) < size:
        return 0
    return (
        size
        if crc_mcrf4xx(packet[1 : head + n] + bytes([extra])) == packet[head + n] | packet[head + n + 1] << 8
        else 0
    )


def _ble_at(data: bytes, at: int) -> int:
    return 20 if data[at + 1 : at + 2] in {b"a", b"q"} and data[at + 20 : at + 22] in {b"Ua", b"Uq"} else 0


def _si(i: int) -> tuple[float, ...]:
    return (i * 0.0625, -0.25, 9.75, 0.5, -i * 0.03125, 0.125)


def _si_bytes(i: int) -> tuple[bytes, bytes]:
    return struct.pack("<3f", *_si(i)[:3]), struct.pack("<3f", *_si(i)[3:])


def _vn_ymr(i: int) -> str:
    ax, ay, az, gx, gy, gz = _si(i)
    motion = f"{ax:+08.4f},{ay:+08.4f},{az:+08.4f},{gx:+010.6f},{gy:+010.6f},{gz:+010.6f}"
    return f"VNYMR,+006.380,+000.023,-001.953,+1.0640,-0.2531,+3.0614,{motion}"


def _vn_common(i: int) -> bytes:
    accel, gyro = _si_bytes(i)
    header = struct.pack("<BH", 1, 1 | 1 << 3 | 1 << 5 | 1 << 8)
    return vn_packet(header, struct.pack("<Q3f", 10**12 + i * 1_250_000, 1, 2, 3) + gyro + accel)


def _vn_raw(i: int) -> bytes:
    accel, gyro = _si_bytes(i)
    header = struct.pack("<BHHH", 1 << 1 | 1 << 2 | 1 << 4, 1 | 1 << 8, 0x3E, 1 << 1)
    payload = struct.pack("<QI", 5 * i, 9) + bytes(12) + accel + gyro + struct.pack("<ff3f", 20.5, 101.3, 1, 2, 3)
    return vn_packet(header, payload)


def _mt_case(number_format: int, extra: bytes = b"") -> Callable[[int], bytes]:
    def packet(i: int) -> bytes:
        values = _si(i)
        items = [
            (0x1020, struct.pack(">H", (65530 + i) & 0xFFFF)),
            (0x1060, struct.pack(">I", (2**32 - 50 + 25 * i) & 0xFFFFFFFF)),
            (0x4020 | number_format, mt_numbers(number_format, values[:3])),
            (0x8020 | number_format, mt_numbers(number_format, values[3:])),
            (0xE020, b"\0\x40\0\3"),
        ]
        return mt(*items, *([(0x2010, extra)] * 2 if extra else []))

    return packet


def _mt_count(i: int) -> int:
    return (65530 + i) & 0xFFFF


def _mt_tick(i: int) -> int:
    return (2**32 - 50 + 25 * i) & 0xFFFFFFFF


def _highres(i: int) -> bytes:
    payload = struct.pack("<Q13fHB", 10**6 + 4000 * i, *_si(i), 1, 2, 3, 1013.0, 0, 12.0, 21.0, 0x1FFF, 0)
    return mav(105, payload, seq=i)


def _raw_imu(i: int) -> bytes:
    return mav(27, struct.pack("<Q9h", 4000 * i, i, -3, 2048, 100, -i, 7, 1, 2, 3), seq=i, v1=True)


def _scaled_imu2(i: int) -> bytes:
    return mav(
        116,
        struct.pack("<I9hh", 2**32 - 40 + 4 * i & 0xFFFFFFFF, i, -3, 2048, 100, -i, 7, 1, 2, 3, 0),
        seq=i,
        signed=True,
    )


def _mlx_pixels(i: int) -> np.ndarray[Any, Any]:
    return (np.arange(768) * 7 - 2000 + i).astype(np.int16)


_WIT_A, _WIT_G = 16 * G / 32768, 2000 * DEGREE / 32768
_VN = {"marker": rb"[\xfa$]", "valid_at": _vn_at, "longest": 512}
_MT = {"marker": rb"\xfa\xff", "valid_at": _mt_at, "longest": 2055, "count": _mt_count, "tick": _mt_tick}
_MAV = {"marker": rb"[\xfe\xfd]", "valid_at": _mav_at, "longest": 280}

CASES = [
    Case(
        "csv",
        lambda: TextImu(["counter", "time", *IMU_AXES], prefix="IMU,", time_unit="us", counter_bits=16),
        lambda i: ("\nIMU," + ",".join(map(str, [i & 0xFFFF, 2500 * i & 0xFFFFFFFF, *_si(i)])) + "\r\n").encode(),
        _si,
        checked=False,
        tick=lambda i: 2500 * i & 0xFFFFFFFF,
        count=lambda i: i & 0xFFFF,
        longest=4096,
    ),
    Case(
        "json",
        lambda: TextImu({axis: axis[-1] + axis[0] for axis in IMU_AXES}),
        lambda i: ("\n" + json.dumps(dict(zip([a[-1] + a[0] for a in IMU_AXES], _si(i), strict=True))) + "\n").encode(),
        _si,
        checked=False,
        longest=4096,
    ),
    Case(
        "witmotion",
        WitMotion,
        lambda i: wit(0x51, i, -3, 2048, 2500) + wit(0x52, 100, -i, 7, 0) + wit(0x53, i, 2, 3, 4),
        lambda i: _scaled(i, _WIT_A, _WIT_G),
        rb"\x55[\x50-\x5f]",
        _fixed(11, lambda p: sum8(p[:10]) == p[10]),
        longest=11,
        parts=3,
    ),
    Case(
        "witmotion_timed",
        lambda: WitMotion(accel_range_g=4, gyro_range_dps=250, device_time=True),
        lambda i: wit_time(59_000 + 5 * i) + wit(0x51, i, -3, 2048, 2500) + wit(0x52, 100, -i, 7, 0),
        lambda i: _scaled(i, _WIT_A / 4, _WIT_G / 8),
        rb"\x55[\x50-\x5f]",
        _fixed(11, lambda p: sum8(p[:10]) == p[10]),
        tick=lambda i: (24 * 365 + 6 + 58) * 86_400_000 + (23 * 60 + 59) * 60_000 + 59_000 + 5 * i,
        longest=11,
        parts=3,
    ),
    Case(
        "witmotion_ble",
        WitMotionBle,
        lambda i: ble(i, -3, 2048, 100, -i, 7, 1, 2, 3),
        lambda i: _scaled(i, _WIT_A, _WIT_G),
        rb"\x55[\x61\x71]",
        _ble_at,
        checked=False,
        longest=21,
    ),
    Case(
        "bno08x_rvc",
        Bno08xRvc,
        lambda i: rvc(i, (i, -3, 1000)),
        lambda i: (i * G / 1000, -3 * G / 1000, G),
        rb"\xaa\xaa",
        _fixed(19, lambda p: sum8(p[2:18]) == p[18]),
        count=lambda i: i & 0xFF,
        longest=19,
    ),
    Case("vectornav_ascii", VectorNavAscii, lambda i: vn_line(_vn_ymr(i)), _si, **_VN),
    Case("vectornav_ascii_crc", VectorNavAscii, lambda i: vn_line(_vn_ymr(i) + ",S1239084", crc=True), _si, **_VN),
    Case("vectornav_binary", VectorNavBinary, _vn_common, _si, tick=lambda i: 10**12 + i * 1_250_000, **_VN),
    Case("vectornav_binary_raw", VectorNavBinary, _vn_raw, _si, tick=lambda i: 5 * i, **_VN),
    Case("xsens_float", XsensMtData2, _mt_case(0), _si, **_MT),
    Case("xsens_fixed_1220", XsensMtData2, _mt_case(1), _si, **_MT),
    Case("xsens_fixed_1632", XsensMtData2, _mt_case(2), _si, **_MT),
    Case("xsens_double_long", XsensMtData2, _mt_case(3, bytes(200)), _si, **_MT),
    Case("mavlink_highres", MavlinkImu, _highres, _si, tick=lambda i: 10**6 + 4000 * i, **_MAV),
    Case(
        "mavlink_1_raw",
        lambda: MavlinkImu(message="raw_imu"),
        _raw_imu,
        lambda i: _scaled(i, G / 1000, 1e-3),
        tick=lambda i: 4000 * i,
        **_MAV,
    ),
    Case(
        "mavlink_signed",
        lambda: MavlinkImu(message="scaled_imu2"),
        _scaled_imu2,
        lambda i: _scaled(i, G / 1000, 1e-3),
        tick=lambda i: 2**32 - 40 + 4 * i & 0xFFFFFFFF,
        **_MAV,
    ),
    Case(
        "mlx90640",
        Mlx90640Decoder,
        lambda i: mlx(_mlx_pixels(i), 2512),
        lambda i: tuple(_mlx_pixels(i)),
        rb"\x5a\x5a\x02\x06",
        _fixed(1544, lambda p: sum(struct.unpack("<771H", p[:1542])) & 0xFFFF == p[1542] | p[1543] << 8),
        longest=1544,
    ),
]


@pytest.fixture(scope="session", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Every protocol, one after another."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def encode() -> SimpleNamespace:
    """The encoders, for the tests of one protocol: test folders are no packages, so they cannot import from here."""
    return SimpleNamespace(
        wit=wit, wit_time=wit_time, ble=ble, rvc=rvc, vn_line=vn_line, vn_packet=vn_packet, mt=mt, mav=mav, mlx=mlx
    )


@pytest.fixture(scope="session")
def in_pieces() -> Callable[..., Any]:
    """Feeds data cut at the given places (or every `size` bytes) and joins what comes out."""

    def feed(decoder: Any, data: bytes, cuts: list[int] | None = None, size: int | None = None) -> SimpleNamespace:
        places = list(range(0, len(data), size)) if size else sorted(min(cut, len(data)) for cut in cuts or [])
        parts = [decoder.feed(data[a:b]) for a, b in pairwise([0, *places, len(data)])]
        names = (
            ("images", "ambient", "bad_before")
            if hasattr(parts[0], "images")
            else ("values", "bad_before", "ticks", "counts")
        )
        whole = {
            name: None if getattr(parts[0], name) is None else np.concatenate([getattr(part, name) for part in parts])
            for name in names
        }
        return _Joined(**whole)

    return feed


class _Joined(SimpleNamespace):
    def __len__(self) -> int:
        return len(self.bad_before)

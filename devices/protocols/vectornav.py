"""VectorNav VN-100, 200, 300 and their rugged kin: ASCII and binary outputs; what stands where in them.

    $VNYMR,f,f,...*XX CR LF           XX: XOR of what is between $ and *, or the four digits of its CRC16
    FA groups field-words payload CRC16(high byte first)

Binary: each bit of `groups` has a u16 of field bits, the fields of all groups follow in the order of their bits, all
little-endian. The CRC is CCITT (0x1021, start 0) over everything after FA. Source: VN-100 UM001 sections 3.8, 4.3 and
5.3; sizes of fields: VectorNav's public programming library (Packet::BinaryGroupLengths) and VN-300 field lists.
"""

from __future__ import annotations

import binascii
import re
import struct
from functools import lru_cache
from typing import NamedTuple

from devices.protocols.packets import MORE, NO_PACKET, Packet, PacketDecoder, Row
from stream_bind.messages import IMU_AXES

__all__ = ["VectorNavAscii", "VectorNavBinary"]

_MARKER = rb"\xfa|\$(?:V(?:N|\Z)|\Z)"
_FLOATS = struct.Struct("<3f")
_U64 = struct.Struct("<Q")

_MOTION_AT = {b"VNYMR": 6, b"VNQMR": 7, b"VNQAR": 4, b"VNMAR": 3, b"VNIMU": 3}
"""Where acceleration (three numbers, then three of angular rate) begins in the messages that carry both."""
_LINE = re.compile(rb"\$(VN[A-Z]{3}[-+.,0-9A-Za-z ]*)\*([0-9A-Fa-f]{4}|[0-9A-Fa-f]{2})\r?\n")
_TEXT = re.compile(rb"[ -~]*\r?\Z")
_MAX_LINE = 256

_FIELD_SIZES = (
    (8, 8, 8, 12, 16, 12, 24, 12, 12, 24, 20, 28, 2, 4, 8),  # 1 common
    (8, 8, 8, 2, 8, 8, 8, 4, 4, 1),  # 2 time
    (2, 12, 12, 12, 4, 4, 16, 12, 12, 12, 12, 2, 40),  # 3 IMU
    (8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28),  # 4 GNSS 1
    (2, 12, 16, 36, 12, 12, 12, 12, 12, 12, 28, 24, 12),  # 5 attitude
    (2, 24, 24, 12, 12, 12, 12, 12, 12, 4, 4, 68, 64),  # 6 INS
    (8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28),  # 7 GNSS 2
)
"""Bytes of each field; those beyond a row vary in size (satellite lists) or are not known."""

_TIME_STARTUP = {(0, 0), (1, 0)}
_ACCEL, _GYRO = {(0, 8), (2, 9)}, {(0, 5), (2, 10)}
_RAW_ACCEL, _RAW_GYRO, _RAW_BOTH = {(2, 2)}, {(2, 3)}, {(0, 9)}
"""(group, field) of TimeStartup; Accel; AngularRate; UncompAccel; UncompGyro; Imu, which is the latter two."""


class _VectorNav(PacketDecoder):
    """Both outputs may share a port: each decoder passes over the other's packets and counts them as others."""

    axes = IMU_AXES

    def __init__(self, max_packet: int) -> None:
        super().__init__(_MARKER)
        self._max_packet = max_packet

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        return _measure_line(buffer, at) if buffer[at] == 0x24 else self._measure_binary(buffer, at)

    def _measure_binary(self, buffer: bytes, at: int) -> int:
        have = len(buffer) - at
        if have < 2:
            return MORE
        head = 2 + 2 * buffer[at + 1].bit_count()
        if have < head:
            return MORE
        layout = _layout(buffer[at + 1 : at + head])
        if layout is None or layout.size > self._max_packet:
            return NO_PACKET
        if have < layout.size:
            return MORE
        return -layout.size if binascii.crc_hqx(buffer[at + 1 : at + layout.size], 0) else layout.size


class VectorNavAscii(_VectorNav):
    """Samples of $VNYMR (the factory setting), $VNQMR, $VNQAR, $VNMAR (compensated) or $VNIMU (uncompensated). No time.

    What the sensor appends to a line when told to (SyncIn count, status) is passed over.

    False accepts: the line must read as numbers and the 8-bit XOR be right; below 2**-100 per random byte.
    """

    expects = "lines $VNYMR,... (or VNQMR, VNQAR, VNMAR, VNIMU) that end in *XX"
    false_accept = 2.0**-100

    def __init__(self) -> None:
        super().__init__(512)

    def _row(self, packet: Packet) -> Row | None:
        if packet.data[0] == 0x24:
            name, *cells = packet.data[1 : packet.data.rindex(b"*")].split(b",")
            start = _MOTION_AT.get(name)
            if start is not None and len(cells) >= start + 6:
                try:
                    return Row(tuple(float(cell) for cell in cells[start : start + 6]))
                except ValueError:
                    pass
        self._other()
        return None


class VectorNavBinary(_VectorNav):
    """Samples of binary packets in any combination of groups and fields whose sizes are known: Accel and AngularRate
    of the common or the IMU group, else the uncompensated pair (Imu, or UncompAccel and UncompGyro).

    Ticks: TimeStartup, ns since power-up, u64, so it never wraps. Packets with satellite lists or raw measurements
    (variable size), or with the extended group byte, are not understood: send those on another port.

    False accepts: one fixed byte, a header that makes sense (one in 110 random ones does, one in 700 with motion and
    time), and a 16-bit CRC: 2**-30 per random byte for any packet, which hides what it overlaps, 2**-33 for a sample.
    """

    false_accept = 2.0**-33

    def __init__(self, *, device_time: bool = True, max_packet: int = 512) -> None:
        """device_time: packets carry TimeStartup; one with motion but without it is dropped and counted as incomplete.
        max_packet: bytes beyond which no packet is believed."""
        super().__init__(max_packet)
        self._device_time = device_time
        self.tick_hz = 1e9 if device_time else None
        time = " and TimeStartup" if device_time else ""
        self.expects = f"binary packets FA .. with acceleration, angular rate{time}"

    def _row(self, packet: Packet) -> Row | None:
        data = packet.data
        if data[0] == 0xFA:
            layout = _layout(data[1 : 2 + 2 * data[1].bit_count()])
            if layout is not None and layout.accel and layout.gyro:
                tick = _U64.unpack_from(data, layout.time)[0] if layout.time else None
                if self._device_time and (tick is None or tick >= 1 << 63):
                    self._incomplete()
                    return None
                values = (*_FLOATS.unpack_from(data, layout.accel), *_FLOATS.unpack_from(data, layout.gyro))
                return Row(values, tick=(tick or 0) if self._device_time else 0)
        self._other()
        return None


def _measure_line(buffer: bytes, at: int) -> int:
    end = buffer.find(b"\n", at, at + _MAX_LINE)
    if end < 0:
        # A line of text may still end; anything else never was one.
        rest = buffer[at : at + _MAX_LINE]
        return MORE if len(rest) < _MAX_LINE and _TEXT.match(rest) else NO_PACKET
    line = _LINE.fullmatch(buffer, at, end + 1)
    if line is None:
        return NO_PACKET
    body, told = line.groups()
    if len(told) == 4:
        right = binascii.crc_hqx(body, 0)
    else:
        right = 0
        for byte in body:
            right ^= byte
    size = end + 1 - at
    return size if right == int(told, 16) else -size


class _Layout(NamedTuple):
    """Size of a whole packet with FA and CRC, and where in it things are; 0: not in it."""

    size: int
    time: int
    accel: int
    gyro: int


@lru_cache(maxsize=256)
def _layout(header: bytes) -> _Layout | None:
    """Of a packet with this group byte and these field words; None where a size is not known."""
    if not header[0] or header[0] & 0x80:
        return None
    words = struct.unpack(f"<{(len(header) - 1) // 2}H", header[1:])
    groups = [group for group in range(7) if header[0] >> group & 1]
    at = 1 + len(header)
    places: dict[str, int] = {}
    for group, word in zip(groups, words, strict=True):
        sizes = _FIELD_SIZES[group]
        if not word or word >> len(sizes):
            return None
        for field, size in enumerate(sizes):
            if not word >> field & 1:
                continue
            for name, wanted in _WANTED:
                if (group, field) in wanted:
                    places.setdefault(name, at)
            at += size
    both = places.get("raw_both")
    if both is not None:
        places.setdefault("raw_accel", both)
        places.setdefault("raw_gyro", both + 12)
    prefix = "" if "accel" in places and "gyro" in places else "raw_"
    return _Layout(at + 2, places.get("time", 0), places.get(f"{prefix}accel", 0), places.get(f"{prefix}gyro", 0))


_WANTED = (
    ("time", _TIME_STARTUP),
    ("accel", _ACCEL),
    ("gyro", _GYRO),
    ("raw_accel", _RAW_ACCEL),
    ("raw_gyro", _RAW_GYRO),
    ("raw_both", _RAW_BOTH),
)

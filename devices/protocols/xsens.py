"""Xsens MTi and MTw: MTData2 messages of the Xbus protocol.

    FA FF MID LEN data CS        LEN FF: two bytes of length follow, high byte first; the sum of FF .. CS is 0 mod 256
    MID 36: data = items of id (u16), size (u8), value, all big-endian
    1020 PacketCounter u16    1060 SampleTimeFine u32, 10 kHz    402x acceleration, m/s^2    802x angular rate, rad/s
    4040, 8040: the same at high rate    x & 3: 0 float32, 1 fixed 12.20, 2 fixed 16.32, 3 float64

A 16.32 number is its 32 fractional bits, then its 16 whole ones. Source: MT Low-Level Communication Protocol
Documentation (MT0605P.E p. 54); XsDataIdentifier and XsMessage of the public Xsens device API.
"""

from __future__ import annotations

import struct

from devices.protocols.packets import MORE, NO_PACKET, Packet, PacketDecoder, Row
from stream_bind.messages import IMU_AXES

__all__ = ["XsensMtData2"]

_MTDATA2 = 0x36
_TYPE, _FORMAT = 0xFFF0, 0x0003
_PACKET_COUNTER, _SAMPLE_TIME_FINE = 0x1020, 0x1060
_U16, _U32 = struct.Struct(">H"), struct.Struct(">I")
_FLOATS, _DOUBLES, _INTS = struct.Struct(">3f"), struct.Struct(">3d"), struct.Struct(">3i")
_FIXED = struct.Struct(">IhIhIh")
_COUNTER_MODULUS = 1 << 16


class XsensMtData2(PacketDecoder):
    """Acceleration and angular rate in the sensor's frame, SampleTimeFine as ticks, PacketCounter as counts.

    Messages without motion (slower quantities, answers) are passed over and counted as others; the counter counts them
    too, and `counts` leaves them out.

    False accepts: three fixed bytes and an 8-bit sum, 2**-32 per random byte, less for the items that must fit. Any
    other message takes two fixed bytes and the sum, 2**-24, and hides what it overlaps.
    """

    axes = IMU_AXES
    false_accept = 2.0**-32

    def __init__(
        self,
        *,
        device_time: bool = True,
        tick_modulus: int = 1 << 32,
        counter: bool = True,
        high_rate: bool = False,
        max_data: int = 2048,
    ) -> None:
        """device_time, counter: samples carry SampleTimeFine, PacketCounter; one that lacks it is dropped and counted
        as incomplete. tick_modulus: 864_000_000 (a day) on MTi 10- and 100-series, 2**32 on others. high_rate: take
        AccelerationHR and RateOfTurnHR. max_data: no longer message is believed (the protocol's own limit)."""
        super().__init__(rb"\xfa(?:\xff|\Z)")
        self.tick_hz = 10_000.0 if device_time else None
        self.tick_modulus = tick_modulus if device_time else None
        self.count_modulus = _COUNTER_MODULUS if counter else None
        self._accel_id, self._gyro_id = (0x4040, 0x8040) if high_rate else (0x4020, 0x8020)
        self._max_data = max_data
        self._count: int | None = None
        self._last_counter: int | None = None
        self._missed = 0
        wanted = [f"{self._accel_id:04X} acceleration", f"{self._gyro_id:04X} angular rate"]
        wanted += ["1060 SampleTimeFine"] * device_time + ["1020 PacketCounter"] * counter
        self.expects = f"MTData2 messages FA FF 36 with {', '.join(wanted)}"

    def reset(self) -> None:
        super().reset()
        self._count = self._last_counter = None
        self._missed = 0

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        have = len(buffer) - at
        if have < 5:
            return MORE
        n_data, head = buffer[at + 3], 4
        if n_data == 0xFF:
            if have < 6:
                return MORE
            n_data, head = _U16.unpack_from(buffer, at + 4)[0], 6
        if n_data > self._max_data:
            return NO_PACKET
        size = head + n_data + 1
        if have < size:
            return MORE
        return -size if sum(buffer[at + 1 : at + size]) & 0xFF else size

    def _row(self, packet: Packet) -> Row | None:
        data = packet.data
        accel = gyro = tick = counter = None
        if data[2] == _MTDATA2:
            at, end = (6 if data[3] == 0xFF else 4), len(data) - 1
            while at + 3 <= end:
                (name,) = _U16.unpack_from(data, at)
                value = data[at + 3 : min(at + 3 + data[at + 2], end)]
                at += 3 + data[at + 2]
                kind = name & _TYPE
                if kind == self._accel_id:
                    accel = _three(value, name & _FORMAT)
                elif kind == self._gyro_id:
                    gyro = _three(value, name & _FORMAT)
                elif kind == _SAMPLE_TIME_FINE and len(value) == 4:
                    (tick,) = _U32.unpack(value)
                elif kind == _PACKET_COUNTER and len(value) == 2:
                    (counter,) = _U16.unpack(value)
        if counter is not None:
            if self._last_counter is not None:
                self._missed += (counter - self._last_counter - 1) % _COUNTER_MODULUS
            self._last_counter = counter
        if accel is None or gyro is None:
            self._other()
            return None
        if (tick is None and self.tick_hz) or (counter is None and self.count_modulus):
            self._incomplete()
            return None
        if self._count is None:
            self._count = counter or 0
        else:
            self._count = (self._count + 1 + self._missed) % _COUNTER_MODULUS
        self._missed = 0
        return Row((*accel, *gyro), tick or 0, self._count)


def _three(value: bytes, number_format: int) -> tuple[float, float, float] | None:
    """The three numbers of an item, None if it is not of the size its format takes."""
    if number_format == 0 and len(value) == _FLOATS.size:
        x, y, z = _FLOATS.unpack(value)
    elif number_format == 1 and len(value) == _INTS.size:
        x, y, z = (n / (1 << 20) for n in _INTS.unpack(value))
    elif number_format == 2 and len(value) == _FIXED.size:
        fx, ix, fy, iy, fz, iz = _FIXED.unpack(value)
        x, y, z = ix + fx / (1 << 32), iy + fy / (1 << 32), iz + fz / (1 << 32)
    elif number_format == 3 and len(value) == _DOUBLES.size:
        x, y, z = _DOUBLES.unpack(value)
    else:
        return None
    return x, y, z

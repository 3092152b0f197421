"""WitMotion sensors: 11-byte packets over UART, 20-byte frames over Bluetooth (and USB of the Bluetooth models).

    55 TT d0..d7 SUM          TT: 50 time, 51 acceleration, 52 angular rate, 53 angle, 54 field, ... SUM: low byte of
                              the sum of the first ten. Time is YY MM DD hh mm ss and a u16 of ms; the rest are int16.
    55 61 ax ay az wx wy wz roll pitch yaw       no checksum; 55 71 .. are answers to register reads, as long

Little-endian; int16 / 32768 is a part of the range set in the sensor, by default 16 g and 2000 deg/s. Source: WT901
datasheet v20-0702 p. 11 and 21, WT901SDCL v20-0605 p. 13, WT901BLECL datasheet p. 12-13.
"""

from __future__ import annotations

import struct
from datetime import date

from devices.protocols.packets import MORE, NO_PACKET, Packet, PacketDecoder, Row
from devices.units import GYRO_RADPS, STANDARD_GRAVITY_MPS2
from stream_bind.messages import IMU_AXES

__all__ = ["WitMotion", "WitMotionBle"]

_SIZE = 11
_FRAME = 20
_VECTOR = struct.Struct("<3h")
_SIX = struct.Struct("<6h")
_MS = struct.Struct("<H")
_EPOCH_DAY = date(2000, 1, 1).toordinal()
_TIME, _ACCEL, _GYRO = 0x50, 0x51, 0x52


def _factors(accel_range_g: float, gyro_range_dps: float) -> tuple[float, float]:
    """m/s^2 and rad/s per count."""
    return accel_range_g * STANDARD_GRAVITY_MPS2 / 32768, gyro_range_dps * GYRO_RADPS["deg/s"] / 32768


class WitMotion(PacketDecoder):
    """Acceleration and angular rate of one output cycle as one sample, with the time of the same cycle where wanted.

    The two come in packets of their own, and no packet says which cycle it is of. So a pair is a pair only if nothing
    lies between: a half whose other half is missing or damaged is dropped and counted as incomplete_packets, never
    joined with a later cycle's.

    False accepts: of 256 x 256 first bytes 16, and an 8-bit sum: 2**-20 per random byte for any packet; a sample
    takes two of them side by side with given types, 2**-48. A false packet hides what it overlaps.
    """

    axes = IMU_AXES
    false_accept = 2.0**-48

    def __init__(
        self, *, accel_range_g: float = 16.0, gyro_range_dps: float = 2000.0, device_time: bool = False
    ) -> None:
        """device_time: the sensor is set to send 55 50 too (off by default); `ticks` are then its calendar as ms since
        2000-01-01, and a sample without it is dropped and counted as incomplete."""
        super().__init__(rb"\x55(?:[\x50-\x5f]|\Z)")
        self._accel_factor, self._gyro_factor = _factors(accel_range_g, gyro_range_dps)
        self._device_time = device_time
        self.tick_hz = 1000.0 if device_time else None
        self.expects = "packets 55 51 .. and 55 52 .. of 11 bytes"
        if device_time:
            self.expects = "packets 55 50 .. (time), 55 51 .. and 55 52 .. of 11 bytes, in this order"
        self._forget()

    def _forget(self) -> None:
        self._tick: int | None = None
        self._accel: tuple[float, float, float] | None = None
        self._last_type = 0xFF

    def reset(self) -> None:
        super().reset()
        self._forget()

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        if len(buffer) - at < _SIZE:
            return MORE
        return _SIZE if sum(buffer[at : at + 10]) & 0xFF == buffer[at + 10] else -_SIZE

    def _row(self, packet: Packet) -> Row | None:
        data = packet.data
        kind = data[1]
        if self._accel is not None and (kind != _GYRO or packet.bad_bytes):
            self._accel = None
            self._incomplete()
        if kind <= self._last_type or packet.bad_bytes:
            # Types rise within a cycle, so another one has begun; what was damaged may have been its beginning.
            self._tick = None
        self._last_type = kind
        if kind == _ACCEL:
            x, y, z = _VECTOR.unpack_from(data, 2)
            factor = self._accel_factor
            self._accel = (x * factor, y * factor, z * factor)
        elif kind == _GYRO:
            return self._pair(data)
        else:
            if kind == _TIME:
                self._tick = _milliseconds(data)
            self._other()
        return None

    def _pair(self, data: bytes) -> Row | None:
        accel, self._accel = self._accel, None
        if accel is None or (self._device_time and self._tick is None):
            self._incomplete()
            return None
        x, y, z = _VECTOR.unpack_from(data, 2)
        factor = self._gyro_factor
        return Row((*accel, x * factor, y * factor, z * factor), tick=self._tick or 0)


def _milliseconds(data: bytes) -> int:
    year, month, day, hour, minute, second = data[2:8]
    # Sensors whose clock was never set send months and days of 0: any calendar will do that does not run back.
    days = date(2000 + min(year, 99), min(max(month, 1), 12), 1).toordinal() + day - 1 - _EPOCH_DAY
    milliseconds: int = _MS.unpack_from(data, 8)[0]
    return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milliseconds


class WitMotionBle(PacketDecoder):
    """Samples of 55 61 frames. They have no checksum, no time and no counter.

    In place of a checksum: after anything but a good frame, one is believed only once the next begins right behind it,
    and so is one in which another seems to begin (bytes were lost in it, most likely). Between good frames nothing
    waits. Damage that leaves 55 61 in place cannot be seen; Bluetooth's own checksum drops such frames whole.

    False accepts: two fixed bytes, and two of the next frame: 2**-31 per random byte.
    """

    axes = IMU_AXES
    expects = "frames 55 61 of 20 bytes"
    false_accept = 2.0**-31

    def __init__(self, *, accel_range_g: float = 16.0, gyro_range_dps: float = 2000.0) -> None:
        super().__init__(rb"\x55(?:[\x61\x71]|\Z)")
        self._accel_factor, self._gyro_factor = _factors(accel_range_g, gyro_range_dps)

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        frame = buffer[at : at + _FRAME]
        if len(frame) < _FRAME:
            return MORE
        sure = joined and b"\x55\x61" not in frame[2:] and b"\x55\x71" not in frame[2:] and frame[-1] != 0x55
        if sure:
            return _FRAME
        following = buffer[at + _FRAME : at + _FRAME + 2]
        if following in {b"", b"\x55"}:
            return MORE
        if following in {b"\x55\x61", b"\x55\x71"}:
            return _FRAME
        return -_FRAME if joined else NO_PACKET

    def _row(self, packet: Packet) -> Row | None:
        if packet.data[1] != 0x61:
            self._other()
            return None
        ax, ay, az, gx, gy, gz = _SIX.unpack_from(packet.data, 2)
        a, g = self._accel_factor, self._gyro_factor
        return Row((ax * a, ay * a, az * a, gx * g, gy * g, gz * g))

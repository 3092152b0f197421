"""CEVA (Hillcrest) BNO080, BNO085, BNO086 in UART-RVC mode: 19 bytes at 100 Hz and 115200 baud, no gyroscope.

    AA AA idx yaw(2) pitch(2) roll(2) ax(2) ay(2) az(2) r r r SUM

int16 little-endian; angles in 0.01 degrees, acceleration (gravity included) in mg; idx counts packets, 0 to 255; SUM is
the low byte of the sum of bytes 2 to 17. Source: BNO08X datasheet 1000-3927, section 1.3.5.2;
Adafruit_CircuitPython_BNO08x_RVC.
"""

from __future__ import annotations

import struct

from devices.protocols.packets import MORE, Packet, PacketDecoder, Row
from devices.units import ACCEL_MPS2
from stream_bind.messages import IMU_AXES

__all__ = ["Bno08xRvc"]

_SIZE = 19
_ACCEL = struct.Struct("<3h")
_MG = ACCEL_MPS2["mg"]


class Bno08xRvc(PacketDecoder):
    """Acceleration and the packet counter. This mode has no angular rate, so `axes` has three names.

    False accepts: two marker bytes and an 8-bit sum, 2**-24 per random byte.
    """

    axes = IMU_AXES[:3]
    count_modulus = 256
    expects = "packets AA AA of 19 bytes, 100 a second at 115200 baud (BNO08x with PS0 high and PS1 low)"
    false_accept = 2.0**-24

    def __init__(self) -> None:
        super().__init__(rb"\xaa(?:\xaa|\Z)")

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        if len(buffer) - at < _SIZE:
            return MORE
        return _SIZE if sum(buffer[at + 2 : at + 18]) & 0xFF == buffer[at + 18] else -_SIZE

    def _row(self, packet: Packet) -> Row:
        x, y, z = _ACCEL.unpack_from(packet.data, 9)
        return Row((x * _MG, y * _MG, z * _MG), counter=packet.data[2])

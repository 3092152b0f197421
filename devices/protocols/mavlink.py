"""MAVLink 1 and 2 telemetry of a flight controller: the messages that carry acceleration and angular rate.

    FE len seq system component msg(1) payload CRC16
    FD len incompat compat seq system component msg(3) payload CRC16 [signature(13) if incompat & 1]

Little-endian; the CRC (MCRF4XX: 0x1021 reflected, start FFFF) runs from len to the payload's end and over one byte more
that depends on the message's definition. MAVLink 2 cuts zeros off the payload's end. Source: mavlink.io, Packet
Serialization; message_definitions common.xml.

The framing is ours, pymavlink only tells the messages' sizes and CRC bytes: its own parser, robust_parsing too, drops
the whole length that a false marker claims, and with it the good packets in there. Of 1000 messages strewn among 10**6
random bytes it found 472, this one all (59 MB of junk per CPU second against 11).
"""

from __future__ import annotations

import binascii
import importlib
import struct
from collections.abc import Mapping
from typing import Literal

from devices.protocols.packets import MORE, NO_PACKET, Packet, PacketDecoder, Row
from devices.units import ACCEL_MPS2
from stream_bind.errors import DeviceError
from stream_bind.messages import IMU_AXES

__all__ = ["MavlinkImu", "MavlinkMessage"]

MavlinkMessage = Literal["highres_imu", "raw_imu", "scaled_imu", "scaled_imu2", "scaled_imu3"]
"""highres_imu (PX4): m/s^2 and rad/s. scaled_imu..3 (sensor 1, 2, 3): mG and mrad/s. raw_imu: ArduPilot fills it as it
does scaled_imu; common.xml calls it "without any scaling", so from other senders its scale is not known."""

_IDS: dict[MavlinkMessage, int] = {
    "highres_imu": 105,
    "raw_imu": 27,
    "scaled_imu": 26,
    "scaled_imu2": 116,
    "scaled_imu3": 129,
}
_HIGHRES = struct.Struct("<Q13fHB")
_RAW = struct.Struct("<Q9hBh")
_SCALED = struct.Struct("<I9hh")
_MG, _MRAD = ACCEL_MPS2["mg"], 1e-3
_SIGNED = 0x01
_SIGNATURE_BYTES = 13
_HIGHRES_MOTION, _HIGHRES_ANY = 0x3F, 0x1FFF
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class MavlinkImu(PacketDecoder):
    """Samples of one kind of message from one sender. Ticks: time_usec (us since boot or since 1970) or time_boot_ms
    (u32). There is no sample counter: a header's seq counts all messages of its sender on this link, so it tells that
    some were lost (`missed_packets`) but not which.

    False accepts: MAVLink 1 one fixed byte, a known number with a length it can have (one in nine), and a 16-bit CRC:
    2**-27 per random byte for any message, which hides what it overlaps; 2**-34 for the one that is wanted. MAVLink 2
    adds next to nothing.
    """

    axes = IMU_AXES
    false_accept = 2.0**-34

    def __init__(
        self,
        *,
        message: MavlinkMessage = "highres_imu",
        system: int | None = None,
        component: int | None = None,
        instance: int | None = None,
    ) -> None:
        """system, component: whose messages; by default of whoever is heard first. instance: the `id` of raw_imu and
        highres_imu where several sensors send them. `reset` and `feed` raise DeviceError if pymavlink is not installed:
        a config that names this protocol is to load, and run simulated, without it."""
        super().__init__(rb"[\xfe\xfd]")
        self._known: dict[int, tuple[int, bytes]] = {}
        self._message = _IDS[message]
        self._system = system
        self._component = component
        self._instance = instance
        self._sender: tuple[int, int] | None = None
        self._sequences: dict[tuple[int, int], int] = {}
        self._n_missed = 0
        self.tick_hz, self.tick_modulus = (1000.0, 1 << 32) if message.startswith("scaled") else (1e6, None)
        self.expects = f"MAVLink messages {message.upper()} ({self._message})"

    @property
    def counters(self) -> Mapping[str, int]:
        """As of other decoders, and missed_packets: messages of any kind that a sender numbered and that never came."""
        return {**super().counters, "missed_packets": self._n_missed}

    def reset(self) -> None:
        super().reset()
        self._sequences.clear()
        self._known = self._known or _known_messages()

    def _measure(self, buffer: bytes, at: int, joined: bool) -> int:
        have = len(buffer) - at
        second = buffer[at] == 0xFD
        head = 10 if second else 6
        if have < head:
            return MORE
        signed = 0
        if second:
            flags = buffer[at + 2]
            if flags & ~_SIGNED:
                return NO_PACKET
            signed = _SIGNATURE_BYTES if flags & _SIGNED else 0
            number = int.from_bytes(buffer[at + 7 : at + 10], "little")
        else:
            number = buffer[at + 5]
        self._known = self._known or _known_messages()
        known = self._known.get(number)
        if known is None or buffer[at + 1] > known[0]:
            return NO_PACKET
        end = at + head + buffer[at + 1]
        size = end + 2 + signed - at
        if have < size:
            return MORE
        right = _crc(buffer[at + 1 : end] + known[1]) == int.from_bytes(buffer[end : end + 2], "little")
        return size if right else -size

    def _row(self, packet: Packet) -> Row | None:
        data = packet.data
        if data[0] == 0xFD:
            sequence, sender, number, head = data[4], (data[5], data[6]), int.from_bytes(data[7:10], "little"), 10
        else:
            sequence, sender, number, head = data[2], (data[3], data[4]), data[5], 6
        last = self._sequences.get(sender)
        if last is not None:
            self._n_missed += (sequence - last - 1) & 0xFF
        self._sequences[sender] = sequence
        row = None
        if number == self._message and self._is_wanted(sender):
            row = self._read(data[head : head + data[1]])
        if row is None:
            self._other()
        elif self._sender is None:
            self._sender = sender
        return row

    def _is_wanted(self, sender: tuple[int, int]) -> bool:
        if self._system not in {None, sender[0]} or self._component not in {None, sender[1]}:
            return False
        return self._sender in {None, sender}

    def _read(self, payload: bytes) -> Row | None:
        """None: of another instance, or a message that repeats the motion of the one before."""
        if self._message == _IDS["highres_imu"]:
            tick, *numbers, updated, instance = _HIGHRES.unpack(payload.ljust(_HIGHRES.size, b"\0"))
            # Bits 0 to 5 of fields_updated are the motion's; senders that leave the field alone send 0.
            if updated & _HIGHRES_ANY and not updated & _HIGHRES_MOTION:
                return None
            values = tuple(numbers[:6])
        else:
            layout = _RAW if self._message == _IDS["raw_imu"] else _SCALED
            tick, *numbers = layout.unpack(payload.ljust(layout.size, b"\0"))
            instance = numbers[9] if layout is _RAW else None
            values = (*(n * _MG for n in numbers[:3]), *(n * _MRAD for n in numbers[3:6]))
        if (self._instance is not None and instance not in {None, self._instance}) or tick >= 1 << 63:
            return None
        return Row(values, tick)


def _crc(data: bytes) -> int:
    """MCRF4XX by the C of binascii: the same polynomial, bits the other way round."""
    mirrored = binascii.crc_hqx(data.translate(_REVERSED_BITS), 0xFFFF)
    return _REVERSED_BITS[mirrored >> 8] | _REVERSED_BITS[mirrored & 0xFF] << 8


def _known_messages() -> dict[int, tuple[int, bytes]]:
    """Of every message: the longest payload, and the byte that its CRC ends with."""
    try:
        # The one with the most messages; it contains common.
        dialect = importlib.import_module("pymavlink.dialects.v20.ardupilotmega")
    except ImportError as error:
        raise DeviceError(
            "MAVLink needs the package pymavlink; install it with: pip install 'stream-bind[mavlink]'", permanent=True
        ) from error
    return {number: (kind.unpacker.size, bytes([kind.crc_extra])) for number, kind in dialect.mavlink_map.items()}

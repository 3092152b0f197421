"""GY-MCU90640 and kin: a microcontroller that sends the temperatures of an MLX90640, 32 x 24 pixels, over serial.

    5A 5A 02 06  768 x int16  Ta int16  SUM u16        1544 bytes

Little-endian; 0602 is the length of what follows but the sum; 0.01 degrees Celsius; SUM is that of the 771 words before
it, modulo 65536. No time and no counter. One frame takes 134 ms at 115200 baud, so no more than 7 a second pass; 460800
carries all the module has. Source: a public C driver of the module and several Python ones that agree with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from devices.protocols.packets import MORE, PacketScanner, Spacing

__all__ = ["EIGHT_HZ", "FOUR_HZ", "SAVE", "START", "Mlx90640Decoder", "MlxFrames", "command"]


def command(code: int, value: int) -> bytes:
    """Bytes of a command: A5, code, value, and the low byte of their sum."""
    return bytes([0xA5, code, value, (0xA5 + code + value) & 0xFF])


START = command(0x35, 0x02)
"""Send frames without being asked, from now on."""
FOUR_HZ = command(0x25, 0x01)
"""Four frames a second, the most that 115200 baud carries with room to spare. Drivers agree on this one."""
EIGHT_HZ = command(0x25, 0x04)
"""Eight frames a second by the one driver that uses it, at 460800 baud; measure the rate after sending it."""
SAVE = command(0x56, 0x02)
"""Keep the settings over power-off."""

_SIZE = 1544
_ROWS, _COLUMNS = 24, 32


@dataclass(frozen=True, slots=True)
class MlxFrames:
    """The frames that one `feed` completed, oldest first."""

    images: NDArray[np.int16]
    """(n, 24, 32): 0.01 degrees Celsius as sent, row by row."""
    ambient: NDArray[np.int16]
    """(n,): the chip's own temperature, 0.01 degrees Celsius."""
    bad_before: NDArray[np.int64]
    """(n,): frames missing right before each one, judged by the damaged bytes."""

    def __len__(self) -> int:
        return len(self.images)


class Mlx90640Decoder:
    """Bytes in, frames out, as the motion decoders do it: never raises, finds back by marker and sum, holds back no
    more than one frame.

    False accepts: four fixed bytes and a 16-bit sum, 2**-48 per random byte.
    """

    expects = "frames 5A 5A 02 06 of 1544 bytes"
    false_accept = 2.0**-48

    def __init__(self) -> None:
        self._scanner = PacketScanner(rb"\x5a(?:\x5a(?:\x02(?:\x06|\Z)|\Z)|\Z)", _measure)
        self._spacing = Spacing()

    @property
    def counters(self) -> Mapping[str, int]:
        """Totals: bytes, packets (good frames), bad_packets, bad_bytes (in no good frame)."""
        scanner = self._scanner
        return {
            "bytes": scanner.n_bytes,
            "packets": scanner.n_packets,
            "bad_packets": scanner.bad_packets,
            "bad_bytes": scanner.bad_bytes,
        }

    def feed(self, data: bytes) -> MlxFrames:
        """The frames that `data` completes."""
        packets = self._scanner.feed(data)
        bad = []
        for packet in packets:
            if packet.bad_bytes:
                self._spacing.damage(packet.bad_packets)
            bad.append(self._spacing.sample(packet.at))
        words = np.frombuffer(b"".join(packet.data for packet in packets), dtype="<i2").reshape(-1, _SIZE // 2)
        images = words[:, 2:770].reshape(-1, _ROWS, _COLUMNS).astype(np.int16)
        return MlxFrames(images, words[:, 770].astype(np.int16), np.array(bad, dtype=np.int64))

    def reset(self) -> None:
        """Forget a half frame, since the connection was opened anew; counters go on."""
        self._scanner.reset()
        self._spacing.reset()


def _measure(buffer: bytes, at: int, joined: bool) -> int:
    if len(buffer) - at < _SIZE:
        return MORE
    words = np.frombuffer(buffer, dtype="<u2", count=_SIZE // 2, offset=at)
    return _SIZE if int(words[:-1].sum(dtype=np.int64)) & 0xFFFF == int(words[-1]) else -_SIZE

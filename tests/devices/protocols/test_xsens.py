"""Xsens MTData2: payloads that an MTi-300 sent, formats, counters and lengths."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from devices.protocols.xsens import XsensMtData2

FULL = """
10 20 02 A6 55 10 60 04 00 57 47 2E 20 10 10 3F 7F 7D C4 BC 10 10 7D 3B A1 57 70 BD 7E C6 56 40 20 0C BD A2 1A F8 BE 2A
8E 96 41 1D 27 A2 40 10 0C B9 4F C8 00 B9 DA 24 00 3C C9 28 80 40 30 0C 3C 02 C8 9C 3C 35 F6 C8 3C DB 0C 00 80 20 0C BB
B1 7D 81 BB 96 32 00 3C 01 E8 41 80 30 10 3F 80 00 00 B6 E3 30 01 B6 C0 40 00 37 26 48 00 C0 20 0C BE 99 9C 24 3F B6 1B
56 3F 16 6A EB 30 10 04 00 01 86 DE E0 20 04 00 40 00 03"""
"""Recorded from an MTi-300 (firmware 1.8.2), with the maker's own decoding of it, published beside a public driver."""

SHAKEN = """
10 20 02 FB 85 10 60 04 01 A4 98 DE 20 10 10 3F 2A 14 63 BE D7 EF A7 3C DE E5 08 3F 1D CE C9 40 20 0C C1 F2 46 C3 C1 EC
E0 76 C2 8F 85 3F 40 10 0C BD 93 2C CC BD 92 0A 16 BE 3A 6E EC 40 30 0C 42 51 94 64 C2 7B 5A 5A C1 CC C0 AE 80 20 0C 40
85 4D 6D C1 25 55 9E C0 90 8E 1F 80 30 10 3F 7F F8 98 3B AA 9E E5 BC 53 9E C0 BB B9 06 0C C0 20 0C 3E DC 74 39 BE 75 2B
48 3F AF 9A 3F 30 10 04 00 01 86 DE E0 20 04 00 48 14 01"""


def frame(payload: str) -> bytes:
    data = bytes.fromhex(payload)
    body = bytes([0xFF, 0x36, len(data)]) + data
    return b"\xfa" + body + bytes([-sum(body) & 0xFF])


@pytest.mark.parametrize(
    ("payload", "counter", "tick", "values"),
    [
        (FULL, 42581, 5719854, (-0.07915300, -0.16655955, 9.82217598, -0.00541657, -0.00458360, 0.00792891)),
        (SHAKEN, 64389, 27564254, (-30.28455162, -29.60960007, -71.76024628, 4.16570139, -10.33340263, -4.51734877)),
    ],
)
def test_recorded_messages_decode_as_the_maker_decodes_them(
    payload: str, counter: int, tick: int, values: tuple[float, ...]
) -> None:
    samples = XsensMtData2().feed(frame(payload))
    assert samples.values[0] == pytest.approx(values, abs=2e-8, rel=1e-7)
    assert samples.ticks is not None
    assert samples.counts is not None
    assert (samples.ticks.tolist(), samples.counts.tolist()) == ([tick], [counter])


def test_answers_with_the_makers_own_checksums_are_others() -> None:
    """GoToConfig, its answer, InitMT's, and the orientation message of the same recording."""
    decoder = XsensMtData2()
    orientation = """
    10 20 02 46 82 10 60 04 01 C4 FC 3E 20 10 10 3F 71 CE 6C BE A5 6B CF 3C 61 3B D8 BD 69 1D 25 E0 20 04 00 40 00 03"""
    for data in (*map(bytes.fromhex, ("FAFF3000D1", "FAFF3100D0", "FAFF030403 7003F88C")), frame(orientation)):
        assert len(decoder.feed(data)) == 0
    counters = decoder.counters
    assert (counters["packets"], counters["other_packets"], counters["bad_bytes"]) == (4, 4, 0)


def motion(number_format: int = 0, accel: bytes | None = None) -> list[tuple[int, bytes]]:
    numbers = struct.pack(">3f", 1, -2, 3)
    return [(0x4020 | number_format, accel or numbers), (0x8020, numbers)]


@pytest.mark.parametrize(
    ("number_format", "value"),
    [
        (0, struct.pack(">3f", 1.5, -0.25, -9.75)),
        (1, struct.pack(">3i", 3 << 19, -(1 << 18), -39 << 18)),
        # Fraction first, then the whole part: -0.25 is -1 and 0.75.
        (2, bytes.fromhex("80000000 0001 C0000000 FFFF 40000000 FFF6")),
        (3, struct.pack(">3d", 1.5, -0.25, -9.75)),
        # North-east-down: the same format bits, other bits of the coordinate system.
        (4, struct.pack(">3f", 1.5, -0.25, -9.75)),
    ],
)
def test_every_number_format(encode: SimpleNamespace, number_format: int, value: bytes) -> None:
    decoder = XsensMtData2(device_time=False, counter=False)
    (row,) = decoder.feed(encode.mt(*motion(number_format, value))).values
    assert row[:3].tolist() == [1.5, -0.25, -9.75]
    assert decoder.tick_hz is None
    assert decoder.count_modulus is None


def test_an_item_of_the_wrong_size_is_no_motion(encode: SimpleNamespace) -> None:
    decoder = XsensMtData2(device_time=False, counter=False)
    assert len(decoder.feed(encode.mt(*motion(0, bytes(11))))) == 0
    truncated = encode.mt((0x8020, bytes(12)), (0x4020, bytes(12)))
    body = truncated[1:-9] + truncated[-9:-1]
    body = body[:2] + bytes([body[2] - 4]) + body[3:-4]
    assert len(decoder.feed(b"\xfa" + body + bytes([-sum(body) & 0xFF]))) == 0
    assert decoder.counters["other_packets"] == 2


def test_the_counter_leaves_out_messages_without_motion_but_not_lost_ones(encode: SimpleNamespace) -> None:
    """PacketCounter counts all messages; orientation at four times the rate of motion is not a loss."""
    decoder = XsensMtData2(device_time=False)

    def message(n: int) -> bytes:
        items = [(0x1020, struct.pack(">H", n & 0xFFFF))]
        return encode.mt(*items, *(motion() if n % 4 == 0 else []))  # type: ignore[no-any-return]

    start = 65_520
    sent = [n for n in range(start, start + 40) if n - start != 22]
    counts = decoder.feed(b"".join(map(message, sent))).counts
    assert counts is not None
    steps = [int(step) % 65536 for step in (counts[1:] - counts[:-1])]
    assert steps == [1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert counts[0] == start


def test_motion_without_time_or_counter_is_counted_not_guessed(encode: SimpleNamespace) -> None:
    decoder = XsensMtData2()
    decoder.feed(encode.mt((0x1020, b"\0\1"), *motion()))
    decoder.feed(encode.mt((0x1060, b"\0\0\0\1"), *motion()))
    assert decoder.counters["incomplete_packets"] == 2
    assert len(decoder.feed(encode.mt((0x1020, b"\0\1"), (0x1060, b"\0\0\0\1"), *motion()))) == 1
    assert XsensMtData2(tick_modulus=864_000_000).tick_modulus == 864_000_000


def test_high_rate_quantities_are_taken_where_wanted(encode: SimpleNamespace) -> None:
    items = [(0x4040, struct.pack(">3f", 1, 2, 3)), (0x8040, struct.pack(">3f", 4, 5, 6))]
    fast = XsensMtData2(device_time=False, counter=False, high_rate=True)
    assert fast.feed(encode.mt(*items)).values.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert len(fast.feed(encode.mt(*motion()))) == 0


def test_a_length_that_junk_made_huge_is_not_waited_for(encode: SimpleNamespace) -> None:
    good = encode.mt(*motion())
    decoder = XsensMtData2(device_time=False, counter=False)
    assert len(decoder.feed(b"\xfa\xff\x36\xff\xff\xff" + good)) == 1
    # Within the protocol's own limit it must be waited for, no longer than that.
    slow = XsensMtData2(device_time=False, counter=False)
    n = 0
    for _ in range(60):
        n += len(slow.feed((b"" if n else b"\xfa\xff\x36\xff\x07\xff") + good))
    assert n > 0

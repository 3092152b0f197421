"""VectorNav: lines that real sensors sent, the manual's binary packet, and every group and field."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocols.vectornav import VectorNavAscii, VectorNavBinary

REAL_LINES = {
    "$VNYMR,+006.380,+000.023,-001.953,+1.0640,-0.2531,+3.0614,"
    "+00.005,+00.344,-09.758,-0.001222,-0.000450,-0.001218*67": (
        (0.005, 0.344, -9.758, -0.001222, -0.00045, -0.001218)
    ),
    "$VNYMR,+104.977,+004.548,-001.276,-00.8012,-02.7376,+01.0070,"
    "+00.837,+00.235,-10.414,-00.002081,-00.001151,+00.002113*61": (
        (0.837, 0.235, -10.414, -0.002081, -0.001151, 0.002113)
    ),
    "$VNIMU,-00.0350,+00.4222,-00.6643,-00.015,+00.019,+09.948,+00.002066,-00.008442,-00.044656,+20.7,+084.322*66": (
        (-0.015, 0.019, 9.948, 0.002066, -0.008442, -0.044656)
    ),
}
"""As printed in the sources of public drivers, and what stands in them."""

GROUPS = (
    (8, 8, 8, 12, 16, 12, 24, 12, 12, 24, 20, 28, 2, 4, 8),
    (8, 8, 8, 2, 8, 8, 8, 4, 4, 1),
    (2, 12, 12, 12, 4, 4, 16, 12, 12, 12, 12, 2, 40),
    (8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28),
    (2, 12, 16, 36, 12, 12, 12, 12, 12, 12, 28, 24, 12),
    (2, 24, 24, 12, 12, 12, 12, 12, 12, 4, 4, 68, 64),
    (8, 8, 2, 1, 1, 24, 24, 12, 12, 12, 4, 4, 2, 28),
)


@pytest.mark.parametrize("line", REAL_LINES)
def test_lines_of_real_sensors(line: str) -> None:
    decoder = VectorNavAscii()
    assert decoder.feed(line.encode() + b"\r\n").values.tolist() == [list(REAL_LINES[line])]
    assert VectorNavAscii().feed(line[:-2].encode() + b"00\r\n").values.tolist() == []


@pytest.mark.parametrize(
    ("name", "n_before", "tail"),
    [
        ("VNQMR", 7, ""),
        ("VNQAR", 4, ""),
        ("VNMAR", 3, ""),
        ("VNYMR", 6, ",T123456"),
        ("VNIMU", 3, ",+20.7,+084.322,S0004"),
    ],
)
def test_motion_stands_where_the_message_has_it(encode: SimpleNamespace, name: str, n_before: int, tail: str) -> None:
    numbers = ",".join(["+9.5"] * n_before + ["+1", "+2", "+3", "+4", "+5", "+6"])
    assert VectorNavAscii().feed(encode.vn_line(f"{name},{numbers}{tail}")).values.tolist() == [[1, 2, 3, 4, 5, 6]]


def test_answers_and_other_messages_are_no_motion(encode: SimpleNamespace) -> None:
    decoder = VectorNavAscii()
    for body in ("VNRRG,07,40", "VNYPR,+1,+2,+3", "VNERR,03", "VNYMR,+1,+2", "VNYMR," + ",".join("abcdefghijkl")):
        assert len(decoder.feed(encode.vn_line(body))) == 0
    assert decoder.counters["other_packets"] == 5
    assert decoder.counters["bad_bytes"] == 0


def test_the_binary_packet_of_the_manual_has_a_right_crc() -> None:
    """VN-100 user manual, example case 1: common group, yaw, pitch and roll."""
    decoder = VectorNavBinary()
    assert len(decoder.feed(bytes.fromhex("FA01080093502E42833EF13F48B504BB9288"))) == 0
    counters = decoder.counters
    assert (counters["packets"], counters["other_packets"], counters["bad_bytes"]) == (1, 1, 0)


def test_each_decoder_passes_over_the_other_output_on_the_same_port(encode: SimpleNamespace) -> None:
    line = next(iter(REAL_LINES)).encode() + b"\r\n"
    packet = encode.vn_packet(struct.pack("<BH", 1, 1 | 1 << 9), struct.pack("<Q6f", 7, 1, 2, 3, 4, 5, 6))
    binary, text = VectorNavBinary(), VectorNavAscii()
    samples = binary.feed(line + packet + line)
    assert samples.values.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert samples.ticks is not None
    assert samples.ticks.tolist() == [7]
    assert len(text.feed(packet + line + packet)) == 1
    for decoder in (binary, text):
        assert decoder.counters["other_packets"] > 0
        assert decoder.counters["bad_bytes"] == 0


def build(encode: SimpleNamespace, fields: list[tuple[int, int]], values: dict[tuple[int, int], bytes]) -> bytes:
    words = [sum(1 << field for g, field in fields if g == group) for group in range(7)]
    header = bytes([sum(1 << group for group in range(7) if words[group])])
    header += b"".join(struct.pack("<H", word) for word in words if word)
    payload = b"".join(values.get(key, bytes(GROUPS[key[0]][key[1]])) for key in sorted(fields))
    return encode.vn_packet(header, payload)  # type: ignore[no-any-return]


FIELDS = st.sets(st.sampled_from([(g, f) for g, sizes in enumerate(GROUPS) for f in range(len(sizes))]), max_size=25)
PAIRS = st.sampled_from([((0, 8), (0, 5)), ((2, 9), (2, 10)), ((0, 8), (2, 10)), ((2, 2), (2, 3)), ((0, 9), (0, 9))])


@given(FIELDS, PAIRS, st.sampled_from([(0, 0), (1, 0)]))
@settings(deadline=None)
def test_any_combination_of_fields_has_its_length_and_its_motion(
    encode: SimpleNamespace,
    fields: set[tuple[int, int]],
    pair: tuple[tuple[int, int], tuple[int, int]],
    time: tuple[int, int],
) -> None:
    motion = {(0, 5), (0, 8), (0, 9), (2, 2), (2, 3), (2, 9), (2, 10), (0, 0), (1, 0)}
    chosen = sorted(fields - motion | {*pair, time})
    accel, gyro = struct.pack("<3f", 1, 2, 3), struct.pack("<3f", 4, 5, 6)
    values = {pair[0]: accel, pair[1]: gyro} if pair[0] != pair[1] else {pair[0]: accel + gyro}
    packet = build(encode, chosen, values | {time: struct.pack("<Q", 123456789)})
    decoder = VectorNavBinary(max_packet=2000)
    samples = decoder.feed(packet * 2)
    assert samples.values.tolist() == [[1, 2, 3, 4, 5, 6]] * 2
    assert samples.ticks is not None
    assert samples.ticks.tolist() == [123456789] * 2
    assert decoder.counters["bad_bytes"] == 0


def test_compensated_motion_is_preferred(encode: SimpleNamespace) -> None:
    fields = [(0, 0), (0, 5), (0, 8), (0, 9)]
    values = {
        (0, 5): struct.pack("<3f", 4, 5, 6),
        (0, 8): struct.pack("<3f", 1, 2, 3),
        (0, 9): struct.pack("<6f", *[9] * 6),
    }
    assert VectorNavBinary().feed(build(encode, fields, values)).values.tolist() == [[1, 2, 3, 4, 5, 6]]


def test_motion_without_the_time_that_was_asked_for_is_counted(encode: SimpleNamespace) -> None:
    packet = build(encode, [(0, 9)], {(0, 9): struct.pack("<6f", 1, 2, 3, 4, 5, 6)})
    timed, untimed = VectorNavBinary(), VectorNavBinary(device_time=False)
    assert len(timed.feed(packet)) == 0
    assert timed.counters["incomplete_packets"] == 1
    assert "TimeStartup" in timed.expects
    assert untimed.feed(packet).values.tolist() == [[1, 2, 3, 4, 5, 6]]
    assert untimed.tick_hz is None


def test_numbers_that_no_sensor_measures_are_a_bad_packet(encode: SimpleNamespace) -> None:
    decoder = VectorNavBinary(device_time=False)
    for number in (float("nan"), float("inf"), 1e30):
        packet = build(encode, [(0, 9)], {(0, 9): struct.pack("<6f", 1, 2, number, 4, 5, 6)})
        assert len(decoder.feed(packet)) == 0
    assert decoder.counters["bad_packets"] == 3
    assert decoder.counters["packets"] == 0
    assert decoder.counters["bad_bytes"] == decoder.counters["bytes"]


def test_a_header_that_claims_more_than_any_packet_has_is_not_waited_for(encode: SimpleNamespace) -> None:
    everything = b"\xfa\x7f" + b"".join(struct.pack("<H", (1 << len(sizes)) - 1) for sizes in GROUPS)
    packet = build(encode, [(0, 0), (0, 9)], {(0, 9): struct.pack("<6f", 1, 2, 3, 4, 5, 6)})
    assert len(VectorNavBinary().feed(everything + packet)) == 1
    assert len(VectorNavBinary(max_packet=2000).feed(everything + packet)) == 0


def test_groups_and_fields_of_unknown_size_are_not_waited_for(encode: SimpleNamespace) -> None:
    packet = build(encode, [(0, 0), (0, 9)], {(0, 9): struct.pack("<6f", 1, 2, 3, 4, 5, 6)})
    for header in (b"\xfa\x80\1\0", b"\xfa\x08\0\x40", b"\xfa\1\0\0", b"\xfa\0"):
        assert len(VectorNavBinary().feed(header + packet)) == 1

"""WitMotion: pairs, time, ranges, and a real Bluetooth capture."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from devices.protocols.witmotion import WitMotion, WitMotionBle

G = 9.80665


def test_half_scale_is_half_the_range(encode: SimpleNamespace) -> None:
    data = encode.wit(0x51, 16384, -16384, 2048, 0) + encode.wit(0x52, 16384, -16384, 0, 0)
    (row,) = WitMotion().feed(data).values
    assert row == pytest.approx([8 * G, -8 * G, G, np.radians(1000), -np.radians(1000), 0])
    (row,) = WitMotion(accel_range_g=4, gyro_range_dps=250).feed(data).values
    assert row == pytest.approx([2 * G, -2 * G, G / 4, np.radians(125), -np.radians(125), 0])


def test_halves_of_different_cycles_are_never_joined(encode: SimpleNamespace) -> None:
    """Gyro of cycle 1 and acceleration of cycle 2 are lost: the halves left over are not one sample."""
    cycle = [encode.wit(0x51, i, 0, 2048, 0) for i in range(4)], [encode.wit(0x52, i, 0, 0, 0) for i in range(4)]
    accel, gyro = cycle
    broken = bytearray(gyro[1] + accel[2])
    broken[5] ^= 0x40
    broken[16] ^= 0x40
    decoder = WitMotion()
    samples = decoder.feed(accel[0] + gyro[0] + accel[1] + bytes(broken) + gyro[2] + accel[3] + gyro[3])
    assert samples.values[:, 0] / (16 * G / 32768) == pytest.approx([0, 3])
    assert samples.bad_before.tolist() == [0, 2]
    assert decoder.counters["incomplete_packets"] == 2
    assert decoder.counters["bad_packets"] == 2


@pytest.mark.parametrize("lost", [0x51, 0x52])
def test_a_half_whose_other_never_came_is_dropped_and_counted(encode: SimpleNamespace, lost: int) -> None:
    decoder = WitMotion()
    data = b""
    for i in range(5):
        data += b"".join(encode.wit(kind, i, 0, 0, 0) for kind in (0x51, 0x52, 0x53) if i != 2 or kind != lost)
    samples = decoder.feed(data)
    assert samples.values[:, 0] / (16 * G / 32768) == pytest.approx([0, 1, 3, 4])
    assert samples.bad_before.tolist() == [0, 0, 1, 0]
    assert decoder.counters["incomplete_packets"] == 1


def test_a_broken_packet_of_angles_costs_no_sample(encode: SimpleNamespace) -> None:
    cycles = [[encode.wit(kind, i, 0, 0, 0) for kind in (0x51, 0x52, 0x53, 0x54)] for i in range(6)]
    angle = bytearray(cycles[3][2])
    angle[4] ^= 1
    cycles[3][2] = bytes(angle)
    samples = WitMotion().feed(b"".join(map(b"".join, cycles)))
    assert samples.bad_before.tolist() == [0] * 6


def test_the_calendar_of_the_sensor_is_its_ticks(encode: SimpleNamespace) -> None:
    decoder = WitMotion(device_time=True)
    assert decoder.tick_hz == 1000
    motion = encode.wit(0x51, 0, 0, 0, 0) + encode.wit(0x52, 0, 0, 0, 0)
    # Over midnight at the end of a leap year's February.
    samples = decoder.feed(b"".join(encode.wit_time(ms) + motion for ms in (59_990, 60_000, 60_010)))
    assert samples.ticks is not None
    assert np.diff(samples.ticks).tolist() == [10, 10]


def test_a_clock_that_was_never_set_counts_all_the_same(encode: SimpleNamespace) -> None:
    motion = encode.wit(0x51, 0, 0, 0, 0) + encode.wit(0x52, 0, 0, 0, 0)
    data = b""
    for second in range(3):
        body = bytes([0x55, 0x50, 0, 0, 0, 0, 0, second, 5, 0])
        data += body + bytes([sum(body) & 0xFF]) + motion
    ticks = WitMotion(device_time=True).feed(data).ticks
    assert ticks is not None
    assert np.diff(ticks).tolist() == [1000, 1000]


def test_a_sample_does_not_take_the_time_of_another_cycle(encode: SimpleNamespace) -> None:
    motion = encode.wit(0x51, 0, 0, 0, 0) + encode.wit(0x52, 0, 0, 0, 0)
    decoder = WitMotion(device_time=True)
    samples = decoder.feed(encode.wit_time(0) + motion + motion + encode.wit_time(10) + motion)
    assert samples.ticks is not None
    assert np.diff(samples.ticks).tolist() == [10]
    assert decoder.counters["incomplete_packets"] == 1
    assert samples.bad_before.tolist() == [0, 1]


def test_time_that_was_not_asked_for_is_passed_over(encode: SimpleNamespace) -> None:
    decoder = WitMotion()
    samples = decoder.feed(encode.wit_time(0) + encode.wit(0x51, 0, 0, 0, 0) + encode.wit(0x52, 0, 0, 0, 0))
    assert len(samples) == 1
    assert samples.ticks is None
    assert decoder.counters["other_packets"] == 1


def test_a_bluetooth_frame_between_good_ones_waits_for_nothing(encode: SimpleNamespace) -> None:
    decoder = WitMotionBle()
    frame = encode.ble(1, 2, 2048, 4, 5, 6, 7, 8, 9)
    assert [len(decoder.feed(data)) for data in (frame, frame, frame)] == [0, 2, 1]


def test_a_bluetooth_frame_that_lost_bytes_is_not_believed(encode: SimpleNamespace) -> None:
    frames = [encode.ble(i, 2, 2048, 4, 5, 6, 7, 8, 9) for i in range(30)]
    for n_lost in range(1, 18):
        decoder = WitMotionBle()
        data = b"".join(frames[:10]) + frames[10][:-n_lost] + b"".join(frames[11:])
        values = decoder.feed(data).values[:, 0] / (16 * G / 32768)
        assert values == pytest.approx([i for i in range(30) if i != 10])
        assert decoder.counters["bad_packets"] == 1


def test_a_payload_that_looks_like_a_header_is_a_payload(encode: SimpleNamespace) -> None:
    frames = [encode.ble(0x6155, 2, 2048, 4, 0x7155, 6, 7, 8, 0x5500) for _ in range(10)]
    assert len(WitMotionBle().feed(b"".join(frames) + encode.ble(0, 0, 0, 0, 0, 0, 0, 0, 0))) == 11


def test_a_real_sensor_lying_still_measures_gravity(real: Callable[[str], Path]) -> None:
    """WT901BLECL50 over Bluetooth, with answers to register reads between its frames."""
    text = real("serial/wt901blecl50.hexdump.txt").read_text()
    data = bytes.fromhex("".join(re.findall(r"(?m)^[0-9a-f]+: (.*?) \|", text)))
    decoder = WitMotionBle()
    samples = decoder.feed(data)
    assert len(samples) == 18
    counters = decoder.counters
    assert (counters["packets"], counters["other_packets"]) == (25, 7)
    # The capture ends within a 26th frame.
    assert (counters["bytes"], counters["bad_bytes"], counters["bad_packets"]) == (25 * 20 + 12, 0, 0)
    assert np.linalg.norm(samples.values[:, :3], axis=1) == pytest.approx(10.0, abs=0.05)
    assert samples.values[:, 3:].tolist() == [[0, 0, 0]] * 18

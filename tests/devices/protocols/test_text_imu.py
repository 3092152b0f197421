"""Text lines as motion: units, order, time and counter."""

from __future__ import annotations

import numpy as np
import pytest

from devices.protocols.text_imu import TextImu


def test_columns_come_out_in_order_and_in_si_units() -> None:
    decoder = TextImu(["gyro_x", "-", "accel_z", "accel_x"], accel_unit="mg", gyro_unit="deg/s")
    assert decoder.axes == ("accel_x", "accel_z", "gyro_x")
    assert decoder.feed(b"\n180,x,1000,-500\n").values[0] == pytest.approx([-4.903325, 9.80665, np.pi])
    assert decoder.tick_hz is None
    assert decoder.count_modulus is None


@pytest.mark.parametrize(
    ("unit", "bits", "sent", "hz", "modulus", "tick"),
    [
        ("ms", 32, b"4294967295", 1e3, 2**32, 4294967295),
        ("us", None, b"1764000000000001", 1e6, None, 1764000000000001),
        ("ns", 48, b"12", 1e9, 2**48, 12),
        ("s", 32, b"1.5000019", 1e6, None, 1500002),
    ],
)
def test_the_time_column_is_ticks(
    unit: str, bits: int | None, sent: bytes, hz: float, modulus: int | None, tick: int
) -> None:
    decoder = TextImu(["time", "accel_x"], time_unit=unit, time_bits=bits)  # type: ignore[arg-type]
    assert (decoder.tick_hz, decoder.tick_modulus) == (hz, modulus)
    ticks = decoder.feed(b"\n" + sent + b",1\n").ticks
    assert ticks is not None
    assert ticks.tolist() == [tick]


def test_the_counter_column_is_counts() -> None:
    decoder = TextImu(["counter", "accel_x"], counter_bits=8)
    assert decoder.count_modulus == 256
    counts = decoder.feed(b"\n255,1\n0,1\n").counts
    assert counts is not None
    assert counts.tolist() == [255, 0]


def test_json_keys_are_the_sensors_own() -> None:
    decoder = TextImu({"accel_y": "ay", "time": "t"}, time_unit="us")
    samples = decoder.feed(b'\n{"t": 7, "ay": 2.5}\n')
    assert samples.values.tolist() == [[2.5]]
    assert samples.ticks is not None
    assert samples.ticks.tolist() == [7]
    assert "ay" in decoder.expects


def test_numbers_without_an_int64_or_a_sense_are_bad_lines_and_no_warning() -> None:
    decoder = TextImu(["time", "accel_x"], time_unit="s")
    with np.errstate(all="raise"):
        samples = decoder.feed(b"\n1e300,1\n1,1e300\n9e17,1\n2,3\n")
    assert samples.values[:, 0].tolist() == [1, 3]
    assert samples.bad_before.tolist() == [2, 0]
    counters = decoder.counters
    assert (counters["packets"], counters["bad_packets"], counters["bad_bytes"]) == (2, 2, 1 + 16)


def test_lines_of_others_are_counted_as_such() -> None:
    decoder = TextImu(["accel_x"], prefix="IMU,")
    decoder.feed(b"oot: 7\nhello\n\nIMU,1\nIMU,x\n")
    counters = decoder.counters
    assert (counters["packets"], counters["other_packets"], counters["bad_packets"]) == (1, 1, 1)
    assert counters["bad_bytes"] == 7 + 6

"""Guessing the columns of unknown text lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.serial_imu import SerialImuConfig
from devices.text_guess import guess_text

RNG = np.random.default_rng(5)


def config_of(data: bytes, span_s: float) -> SerialImuConfig:
    guess = guess_text(data, span_s)
    assert guess is not None
    return SerialImuConfig.model_validate({"port": "-", "rate_hz": 100, "protocol": "text", **guess.settings})


def rows(n: int, line: str) -> bytes:
    noise = RNG.normal(0, 0.01, (n, 6))

    def one(i: int) -> str:
        up = noise[i, 2]
        return line.format(i=i, ms=i * 10, us=i * 10_000, s=i * 0.01, n=noise[i], g=1 + up, a=9.81 + up)

    return "".join(map(one, range(n))).encode()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "{i},{us},{n[0]:.3f},{n[1]:.3f},{g:.3f},{n[3]:.3f},{n[4]:.3f},{n[5]:.3f}\r\n",
            {
                "columns": ["counter", "time", "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"],
                "time_unit": "us",
                "accel_unit": "g",
            },
        ),
        (
            "IMU,{ms},{n[0]:.3f},{n[1]:.3f},{a:.3f}\n",
            {"prefix": "IMU,", "columns": ["time", "accel_x", "accel_y", "accel_z"], "time_unit": "ms"},
        ),
        (
            "{n[3]:.4f}\t{n[4]:.4f}\t{n[5]:.4f}\t{n[0]:.3f}\t{n[1]:.3f}\t{a:.3f}\n",
            {"delimiter": " ", "columns": ["gyro_x", "gyro_y", "gyro_z", "accel_x", "accel_y", "accel_z"]},
        ),
        (
            '{{"t": {s:.3f}, "ax": {n[0]:.3f}, "ay": {n[1]:.3f}, "az": {a:.3f}, "led": true}}\n',
            {
                "format": "json",
                "columns": {"time": "t", "accel_x": "ax", "accel_y": "ay", "accel_z": "az"},
                "time_unit": "s",
            },
        ),
    ],
)
def test_columns_are_guessed_from_what_they_do(line: str, wanted: dict[str, object]) -> None:
    config = config_of(rows(60, line), 0.6)
    for name, value in wanted.items():
        assert getattr(config, name) == value


def test_what_looks_like_nothing_is_left_to_be_filled_in() -> None:
    guess = guess_text(rows(60, "{n[0]:.3f};{n[1]:.3f}\n"), 0.6)
    assert guess is not None
    assert guess.settings["columns"] == ["-", "-"]
    assert guess.n_columns == 2
    assert "say which are accel_x" in guess.doubts[0]


@pytest.mark.parametrize(
    "data", [b"", b"booting\nready\nhello\nyes\nno\nagain\n", RNG.bytes(4000), b"\n" * 50, b"12\n" * 50]
)
def test_what_is_no_table_is_no_guess(data: bytes) -> None:
    assert guess_text(data, 1.0) is None


@given(st.binary(max_size=300) | st.text('0123456789,.-{}"ax:\n e', max_size=300).map(str.encode))
def test_no_bytes_are_too_odd(data: bytes) -> None:
    guess_text(data, 0.5)

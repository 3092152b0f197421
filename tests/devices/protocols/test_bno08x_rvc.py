"""BNO08x UART-RVC: the datasheet's own packet, and no gyroscope."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from devices.protocols.bno08x_rvc import Bno08xRvc


def test_the_packet_of_the_datasheet_decodes_as_it_says() -> None:
    """BNO08X datasheet, UART-RVC: yaw 0.01, pitch -1.10, roll 20.85 degrees; -371, -20, 977 mg."""
    decoder = Bno08xRvc()
    samples = decoder.feed(bytes.fromhex("AAAADE010092FF25088DFEECFFD103000000E7"))
    assert samples.values[0] == pytest.approx([-0.371 * 9.80665, -0.020 * 9.80665, 0.977 * 9.80665])
    assert samples.counts is not None
    assert samples.counts.tolist() == [0xDE]


def test_there_is_no_gyroscope_and_no_time() -> None:
    decoder = Bno08xRvc()
    assert decoder.axes == ("accel_x", "accel_y", "accel_z")
    assert decoder.tick_hz is None
    assert decoder.count_modulus == 256


def test_a_marker_may_be_doubled_by_the_byte_before_it_or_the_counter(encode: SimpleNamespace) -> None:
    packets = b"\xaa" + encode.rvc(0xAA, (1, 2, 3)) + encode.rvc(0xAB, (1, 2, 3), b"\xaa\xaa\xaa")
    counts = Bno08xRvc().feed(packets + encode.rvc(0xAC, (-21846, -21846, -21846))).counts
    assert counts is not None
    assert counts.tolist() == [0xAA, 0xAB, 0xAC]

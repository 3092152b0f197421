"""MAVLink: against pymavlink's own encoder, senders and instances, and what its parser would have lost."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from devices.protocols.mavlink import MavlinkImu
from stream_bind.errors import DeviceError

G = 9.80665
dialect = pytest.importorskip("pymavlink.dialects.v20.ardupilotmega", reason="pymavlink is not installed")


def packed(message: Any, *, system: int = 1, component: int = 1, seq: int = 0, v1: bool = False) -> bytes:
    link = dialect.MAVLink(None, srcSystem=system, srcComponent=component)
    link.seq = seq
    return bytes(message.pack(link, force_mavlink1=v1))


def highres(ax: float, *, updated: int = 0x3F, instance: int = 0, time_us: int = 1_000_000) -> Any:
    return dialect.MAVLink_highres_imu_message(time_us, ax, 2, 3, 4, 5, 6, 7, 8, 9, 1013, 0, 20, 21, updated, instance)


@pytest.mark.parametrize("v1", [False, True], ids=["mavlink2", "mavlink1"])
def test_what_pymavlink_encodes_is_decoded_in_si_units(v1: bool) -> None:
    counts = [1000, -2000, 3000, 400, -500, 600, 1, 2, 3]
    wanted = [G, -2 * G, 3 * G, 0.4, -0.5, 0.6]
    for name, message, tick in (
        ("raw_imu", dialect.MAVLink_raw_imu_message(2**40, *counts), 2**40),
        ("scaled_imu", dialect.MAVLink_scaled_imu_message(2**32 - 1, *counts), 2**32 - 1),
        ("scaled_imu2", dialect.MAVLink_scaled_imu2_message(5, *counts), 5),
        ("scaled_imu3", dialect.MAVLink_scaled_imu3_message(6, *counts), 6),
        ("highres_imu", highres(1.0, time_us=1_764_000_000_000_000), 1_764_000_000_000_000),
    ):
        decoder = MavlinkImu(message=name)  # type: ignore[arg-type]
        samples = decoder.feed(packed(message, v1=v1))
        assert samples.values[0] == pytest.approx([1, 2, 3, 4, 5, 6] if name == "highres_imu" else wanted)
        assert samples.ticks is not None
        assert samples.ticks.tolist() == [tick]
        assert (decoder.tick_hz, decoder.tick_modulus) == ((1e3, 2**32) if name.startswith("scaled") else (1e6, None))


def test_other_messages_are_passed_over_with_their_checksums_checked() -> None:
    decoder = MavlinkImu()
    attitude = packed(dialect.MAVLink_attitude_message(1, 2, 3, 4, 5, 6, 7))
    text = packed(dialect.MAVLink_statustext_message(6, b"PreArm: check"))
    samples = decoder.feed(attitude + packed(highres(1), seq=1) + text)
    assert len(samples) == 1
    assert decoder.counters["other_packets"] == 2
    assert decoder.counters["bad_bytes"] == 0


def test_zeros_that_mavlink_2_cut_off_are_put_back() -> None:
    message = dialect.MAVLink_raw_imu_message(7, 1000, 0, 0, 0, 0, 0, 0, 0, 0)
    data = packed(message)
    assert len(data) < 12 + 26
    assert MavlinkImu(message="raw_imu").feed(data).values[0] == pytest.approx([G, 0, 0, 0, 0, 0])


def test_one_sender_is_one_sensor() -> None:
    first, second = packed(highres(1), system=1), packed(highres(2), system=2, component=5)
    assert MavlinkImu().feed(first + second + first).values[:, 0].tolist() == [1, 1]
    assert MavlinkImu(system=2).feed(first + second + first).values[:, 0].tolist() == [2]
    assert MavlinkImu(component=5).feed(first + second).values[:, 0].tolist() == [2]
    other = packed(highres(3, instance=1))
    assert MavlinkImu(instance=1).feed(first + other).values[:, 0].tolist() == [3]


def test_a_message_that_brings_no_new_motion_is_no_sample() -> None:
    """PX4 sends the barometer's news with the motion of before; fields_updated tells."""
    decoder = MavlinkImu()
    data = packed(highres(1)) + packed(highres(1, updated=1 << 9)) + packed(highres(2, updated=0))
    assert decoder.feed(data).values[:, 0].tolist() == [1, 2]


def test_the_header_tells_how_many_messages_were_lost_but_not_which() -> None:
    decoder = MavlinkImu()
    decoder.feed(b"".join(packed(highres(1), seq=seq) for seq in (254, 255, 0, 4)))
    decoder.feed(packed(dialect.MAVLink_heartbeat_message(1, 2, 3, 4, 5, 3), system=9, seq=100))
    assert decoder.counters["missed_packets"] == 3
    assert decoder.count_modulus is None


def test_good_packets_in_the_span_of_a_false_one_are_found_where_pymavlink_loses_them() -> None:
    rng = np.random.default_rng(3)
    data = b"".join(
        rng.integers(0, 256, 1000, dtype=np.uint8).tobytes() + packed(highres(float(i)), seq=i % 256)
        for i in range(200)
    ) + bytes(300)
    assert MavlinkImu().feed(data).values[:, 0].tolist() == list(range(200))
    theirs = dialect.MAVLink(None)
    theirs.robust_parsing = True
    n_theirs = sum(message.get_type() == "HIGHRES_IMU" for message in theirs.parse_buffer(data))
    assert n_theirs < 150, "pymavlink has mended its resynchronisation: its own parser could be used"


def test_without_pymavlink_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pymavlink")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymavlink", None)
    decoder = MavlinkImu()  # so that a config loads, and its simulated twin runs
    for use in (decoder.reset, lambda: decoder.feed(b"\xfd" + bytes(300))):
        with pytest.raises(DeviceError, match=r"pip install 'stream-bind\[mavlink\]'") as caught:
            use()
        assert caught.value.permanent


def test_the_encoder_of_these_tests_agrees_with_pymavlink(encode: SimpleNamespace) -> None:
    message = dialect.MAVLink_raw_imu_message(2**40, 1, -2, 3, -4, 5, -6, 7, -8, 9)
    payload = message.unpacker.pack(2**40, 1, -2, 3, -4, 5, -6, 7, -8, 9, 0, 0)
    assert encode.mav(27, payload, seq=3) == packed(message, seq=3)


def test_a_length_that_the_message_cannot_have_is_not_waited_for() -> None:
    good = packed(highres(1))
    heartbeat = 0
    assert len(MavlinkImu().feed(bytes([0xFE, 200, 0, 1, 1, heartbeat]) + good)) == 1
    assert len(MavlinkImu().feed(bytes([0xFD, 200, 0, 0, 0, 1, 1, heartbeat, 0, 0]) + good)) == 1
    # Flags that nobody knows may change the layout: such a packet is nobody's.
    assert len(MavlinkImu().feed(bytes([0xFD, 9, 2, 0, 0, 1, 1, heartbeat, 0, 0]) + good)) == 1

"""The serial IMU over real ptys and sockets, and its two clocks on made-up arrivals."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.arrival_clock import ArrivalClock
from devices.serial_imu import SerialImu, SerialImuConfig
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk


@pytest.fixture
def sensor(far_end: Any) -> Any:
    return far_end


def imu(port: str, **settings: object) -> SerialImu:
    config = {"port": port, "rate_hz": 100, "batch_s": 0.0, **settings}
    return SerialImu(SerialImuConfig.model_validate(config), "imu", SystemClock())


def lines(first: int, n: int, period_us: int = 10_000) -> bytes:
    return b"".join(b"%d,%d,%.3f,0,1,0,0,90\n" % (i, i * period_us % 2**32, i / 1000) for i in range(first, first + n))


COLUMNS = ["counter", "time", "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"]
FULL = {"columns": COLUMNS, "accel_unit": "g", "gyro_unit": "deg/s", "time_unit": "us"}


def read_n(source: SerialImu, n: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    deadline = time.monotonic() + 5
    while sum(map(len, chunks)) < n and time.monotonic() < deadline:
        chunk = source.read(0.2)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def test_lines_become_samples_in_si_with_the_device_clock(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL)
    source.open()
    sensor.opened()
    sensor.write(b"cut,line\n" + lines(1, 50))
    chunks = read_n(source, 50)
    data = np.concatenate([c.data for c in chunks])
    t_ns = np.concatenate([c.t_ns for c in chunks])
    assert data.shape == (50, 6)
    assert data.dtype == np.float32
    assert data[0].tolist() == pytest.approx([0.001 * 9.80665, 0, 9.80665, 0, 0, np.pi / 2], abs=1e-5)
    assert np.diff(t_ns).tolist() == pytest.approx([10_000_000] * 49, abs=2)
    assert abs(time.time_ns() - int(t_ns[-1])) < 1e9
    assert chunks[0].clock.domain == "device"
    assert not any(c.gap_before for c in chunks)
    assert source.counters["bad_packets"] == 0
    source.close()


def test_a_counter_that_jumps_marks_the_gap_where_it_is(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(250, 5) + lines(257, 4))
    chunks = read_n(source, 9)
    assert [(len(c), c.gap_before) for c in chunks] == [(5, False), (4, True)]


def test_a_wrapping_counter_is_no_gap(sensor: Any) -> None:
    source = imu(str(sensor.link), columns=["counter", "accel_x"], counter_bits=8)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + b"".join(b"%d,1\n" % (i % 256) for i in range(250, 262)))
    chunks = read_n(source, 12)
    assert sum(map(len, chunks)) == 12
    assert not any(c.gap_before for c in chunks)


def test_garbage_between_lines_is_skipped_and_marked(sensor: Any) -> None:
    source = imu(str(sensor.link), columns=["accel_x"])
    source.open()
    sensor.opened()
    sensor.write(b"\n1\n2\n\xff\xfe\x80garbage\n3\n")
    chunks = read_n(source, 3)
    assert [(c.data[:, 0].tolist(), c.gap_before) for c in chunks] == [([1, 2], False), ([3], True)]
    assert source.counters["bad_packets"] == 1


def test_an_unplugged_sensor_is_an_error_at_once_and_comes_back(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(1, 5))
    assert sum(map(len, read_n(source, 5))) == 5
    threading.Timer(0.1, sensor.unplug).start()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="lost") as caught:
        source.read(5.0)
    assert time.monotonic() - began < 2
    assert not caught.value.permanent
    source.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        source.open()
    sensor.plug()
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(1, 5))
    again = read_n(source, 5)
    assert sum(map(len, again)) == 5
    assert not again[0].gap_before
    source.close()
    source.close()


def test_a_quiet_sensor_costs_no_more_than_the_timeout(sensor: Any) -> None:
    source = imu(str(sensor.link))
    source.open()
    sensor.opened()
    sensor.write(b"half a line")
    began = time.monotonic()
    assert source.read(0.1) is None
    assert 0.05 < time.monotonic() - began < 0.5


def test_a_wrong_speed_is_named(sensor: Any) -> None:
    source = imu(str(sensor.link))
    source.open()
    sensor.opened()
    sensor.write(b"\x80\x0a\x55" * 1000)
    assert source.read(0.1) is None
    sensor.write(b"\x80\x0a\x55" * 1000)
    with pytest.raises(DeviceError, match="check baud"):
        read_n(source, 1)


def test_json_lines_over_a_socket() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    source = imu(
        f"socket://127.0.0.1:{port}", format="json", columns={"time": "t", "accel_z": "az"}, time_unit="s", rate_hz=50
    )
    source.open()
    assert source.spec.axes == ("accel_z",)
    peer, _ = server.accept()
    peer.sendall(b"\n" + b"".join(b'{"t": %.2f, "az": 9.8}\n' % (i * 0.02) for i in range(20)))
    chunks = read_n(source, 20)
    t_ns = np.concatenate([c.t_ns for c in chunks])
    assert np.diff(t_ns).tolist() == pytest.approx([20_000_000] * 19, abs=2)
    peer.close()
    with pytest.raises(DeviceError, match="lost"):
        read_n(source, 1)
    source.close()
    server.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        source.open()


BINARY = ("witmotion", "witmotion_ble", "bno08x_rvc", "vectornav_ascii", "vectornav_binary", "xsens", "mavlink")
TIMED = {"text": 1e3, "vectornav_binary": 1e9, "xsens": 1e4, "mavlink": 1e6}
"""Protocols that send time, with their ticks per second."""
TEXT = {"columns": COLUMNS, "time_unit": "ms"}


def of_protocol(port: str, protocol: str, **settings: object) -> SerialImu:
    return imu(port, protocol=protocol, **(TEXT if protocol == "text" else {}), **settings)


def read_until_error(source: SerialImu, before_each: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        before_each()
        assert source.read(0.05) is None


def judge(chunks: list[Chunk], protocol: str, source: SerialImu, motion: Any, first: int) -> None:
    """Samples first ... as the made-up sensor measured them, 10 ms apart by its clock if it has one."""
    data = np.concatenate([c.data for c in chunks])
    t_ns = np.concatenate([c.t_ns for c in chunks])
    truth = np.array([motion.of(i)[: data.shape[1]] for i in range(first, first + len(data))])
    assert data.dtype == np.float32
    assert np.abs(data - truth).max() < 0.01
    assert source.spec.shape == (data.shape[1],)
    assert {c.clock.domain for c in chunks} == {source.spec.domain} == {"device" if protocol in TIMED else "host"}
    assert (np.diff(t_ns) > 0).all()
    if protocol in TIMED:
        # All at once is faster than it was taken: what a second read brings cannot be stamped after its arrival.
        steps_ns = np.diff(chunks[0].t_ns)
        assert steps_ns.tolist() == pytest.approx([10_000_000] * len(steps_ns), abs=1000)
        ticks = np.concatenate([c.ticks for c in chunks])
        assert (np.diff(ticks) == TIMED[protocol] / 100).all()
    else:
        assert all(c.ticks is None for c in chunks)


@pytest.mark.parametrize("protocol", ["text", *BINARY])
def test_every_protocol_over_a_port_with_a_cut_beginning_and_junk_inside(
    protocol: str, sensor: Any, motion: Any
) -> None:
    source = of_protocol(str(sensor.link), protocol)
    source.open()
    sensor.opened()
    sensor.write(motion.bytes(protocol, 0, 1)[7:] + motion.bytes(protocol, 1, 30))
    first = read_n(source, 29)
    judge(first, protocol, source, motion, 31 - sum(map(len, first)))
    assert not any(c.gap_before for c in first)
    broken = motion.bytes(protocol, 31, 1)
    sensor.write(
        motion.bytes(protocol, 32, 5) + broken[: len(broken) // 2] + b"\x00junk" + motion.bytes(protocol, 40, 10)
    )
    second = read_n(source, 12)
    assert [c.gap_before for c in second].count(True) >= 1
    assert source.counters["bad_bytes"] > 0
    assert source.counters["lost_samples"] >= 1
    source.close()


@pytest.mark.parametrize("protocol", ["text", *BINARY])
def test_every_protocol_over_a_socket_that_breaks_in_a_packet(protocol: str, motion: Any) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    source = of_protocol(f"socket://127.0.0.1:{server.getsockname()[1]}", protocol)
    source.open()
    peer, _ = server.accept()
    stream = b"\n" + motion.bytes(protocol, 0, 40)
    for at in range(0, len(stream), 97):
        peer.sendall(stream[at : at + 97])
    first = read_n(source, 39)
    data = np.concatenate([c.data for c in first])
    assert np.abs(data - np.array([motion.of(i)[: data.shape[1]] for i in range(len(data))])).max() < 0.01
    peer.sendall(motion.bytes(protocol, 40, 1)[:9])
    peer.close()
    with pytest.raises(DeviceError, match="lost"):
        read_n(source, 100)
    source.close()
    source.open()
    peer, _ = server.accept()
    peer.sendall(b"\n" + motion.bytes(protocol, 50, 20))
    second = read_n(source, 19)
    assert np.abs(second[0].data[0] - motion.of(50)[: data.shape[1]]).max() < 0.01
    assert second[0].t_ns[0] > first[-1].t_ns[-1]
    source.close()
    peer.close()
    server.close()


@pytest.mark.requires("pty")
def test_a_recorded_witmotion_stream_is_read_through_a_port(sensor: Any, real: Any) -> None:
    dump = real("serial/wt901blecl50.hexdump.txt").read_text()
    captured = bytes.fromhex("".join(line.partition(":")[2].partition("|")[0] for line in dump.splitlines()))
    source = of_protocol(str(sensor.link), "witmotion_ble", stall_timeout_s=30)
    source.open()
    sensor.opened()
    sensor.write(captured)
    chunks = read_n(source, 17)
    data = np.concatenate([c.data for c in chunks])
    assert len(data) >= 17
    assert data[0, :3] / 9.80665 == pytest.approx([-0.020, -0.021, 1.019], abs=0.002)
    assert np.abs(np.linalg.norm(data[:, :3], axis=1) - 9.80665).max() < 0.5
    assert source.counters["other_packets"] >= 6
    source.close()


def test_a_recorded_table_is_read_as_lines_through_a_port(sensor: Any, real: Any) -> None:
    rows = real("imu_csv/xio_short_walk.csv").read_bytes().splitlines()[1:501]
    columns = ["time", "gyro_x", "gyro_y", "gyro_z", "accel_x", "accel_y", "accel_z"]
    source = imu(
        str(sensor.link), rate_hz=400, columns=columns, time_unit="s", accel_unit="g", gyro_unit="deg/s", batch_s=0.01
    )
    source.open()
    sensor.opened()
    sensor.write(b"\n")
    chunks = []
    for at in range(0, 500, 20):
        sensor.write(b"\n".join(rows[at : at + 20]) + b"\n")
        chunks += read_n(source, 20)
    data = np.concatenate([c.data for c in chunks])
    assert data.shape == (500, 6)
    assert np.median(np.linalg.norm(data[:, :3], axis=1)) == pytest.approx(9.80665, rel=0.05)
    assert source.counters["bad_packets"] == 0
    source.close()


def test_ublox_packets_are_no_motion_of_any_protocol_and_the_error_says_what_was_wanted(sensor: Any, real: Any) -> None:
    stream = real("serial/ublox_SF-calibration.ubx").read_bytes()[:6000]
    for protocol in ("witmotion", "bno08x_rvc", "vectornav_binary", "xsens", "mavlink"):
        source = of_protocol(str(sensor.link), protocol)
        source.open()
        pieces = iter([stream[at : at + 2000] for at in range(0, len(stream), 2000)])
        with pytest.raises(DeviceError, match=r"nothing that can be read in .*protocol"):
            read_until_error(source, lambda pieces=pieces: sensor.write(next(pieces)))
        source.close()


def test_good_packets_of_other_kinds_are_told_from_noise(sensor: Any) -> None:
    """A WitMotion sensor that is set to send angles only."""
    body = bytes([0x55, 0x53, 0, 0, 0, 0, 0, 0, 0, 0])
    angle = body + bytes([sum(body) & 0xFF])
    source = of_protocol(str(sensor.link), "witmotion")
    source.open()
    sensor.opened()
    with pytest.raises(DeviceError, match=r"good packets in \d+ bytes, but none of what is wanted: packets 55 51"):
        read_until_error(source, lambda: sensor.write(angle * 100))
    source.close()


def test_a_sensor_that_falls_silent_is_an_error_after_its_timeout_and_not_before(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL, stall_timeout_s=0.6)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(1, 5))
    read_n(source, 5)
    began = time.monotonic()
    assert source.read(0.1) is None
    with pytest.raises(DeviceError, match=r"stalled: no sample for 0.6 s; it will be opened again"):
        read_until_error(source, lambda: None)
    assert 0.4 < time.monotonic() - began < 5
    assert source.counters["stalls"] == 1
    source.close()
    # The adapter comes to itself when it is opened again.
    source.open()
    sensor.write(b"\n" + lines(50, 5))
    assert sum(map(len, read_n(source, 5))) == 5
    source.close()


def test_bytes_that_never_make_a_sample_do_not_hide_a_stall(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL, stall_timeout_s=0.6)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(1, 5))
    read_n(source, 5)
    with pytest.raises(DeviceError, match="stalled"):
        read_until_error(source, lambda: sensor.write(b"x"))
    source.close()


def test_a_sensor_that_starts_when_its_port_is_opened_is_given_the_time(sensor: Any) -> None:
    """An Arduino's boot loader waits 2 s; closing the port for its silence would restart it, for ever."""
    clock = ManualClock(10**18)
    source = SerialImu(
        SerialImuConfig.model_validate({"port": str(sensor.link), "rate_hz": 100, "stall_timeout_s": 0.5}), "imu", clock
    )
    source.open()
    clock.advance(4.0)
    assert source.read(0.0) is None
    clock.advance(1.5)
    with pytest.raises(DeviceError, match="no sample for 5 s"):
        source.read(0.0)
    source.close()


def test_half_a_line_at_the_timeout_is_kept_until_its_end_comes(sensor: Any) -> None:
    """pyserial's readline() hands out the half line, which reads as numbers too."""
    source = imu(str(sensor.link), columns=["accel_x", "accel_y"])
    source.open()
    sensor.opened()
    sensor.write(b"\n1.5,12")
    assert source.read(0.1) is None
    assert source.read(0.1) is None
    sensor.write(b"3.5\n")
    chunk = source.read(5.0)
    assert chunk is not None
    assert chunk.data.tolist() == [[1.5, 123.5]]
    source.close()


def test_half_a_line_of_the_old_connection_does_not_begin_the_new_one(sensor: Any) -> None:
    source = imu(str(sensor.link), columns=["accel_x"])
    source.open()
    sensor.opened()
    sensor.write(b"\n5\n1")
    assert [c.data.tolist() for c in read_n(source, 1)] == [[[5.0]]]
    sensor.unplug()
    source.close()
    sensor.plug()
    source.open()
    sensor.opened()
    sensor.write(b"2\n3\n")
    assert [c.data.tolist() for c in read_n(source, 1)] == [[[3.0]]]
    source.close()


def test_the_clock_is_kept_where_ticks_go_on_behind_a_new_connection(sensor: Any) -> None:
    source = imu(str(sensor.link), **FULL)
    source.open()
    sensor.opened()
    began = time.monotonic()
    for i in range(0, 60, 5):
        time.sleep(max(0.0, began + i * 0.01 - time.monotonic()))
        sensor.write((b"\n" if i == 0 else b"") + lines(i, 5))
        read_n(source, 5)
    sensor.unplug()
    source.close()
    sensor.plug()
    source.open()
    sensor.opened()
    number = round((time.monotonic() - began) * 100)
    sensor.write(b"\n" + lines(number, 5))
    read_n(source, 5)
    assert source.counters["clock_restarts"] == 0
    sensor.write(lines(0, 5))
    again = read_n(source, 5)
    assert source.counters["clock_restarts"] == 1
    assert again[0].gap_before
    source.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"columns": ["accel_x", "time"]}, "time_unit is needed"),
        ({"columns": ["accel_q"]}, "accel_q unknown"),
        ({"columns": ["time"], "time_unit": "us"}, "at least one axis"),
        ({"columns": {"accel_x": "a"}}, "a list for format csv"),
        ({"rate_hz": -1}, "rate_hz"),
        ({"bauds": 9600}, "bauds"),
        ({"protocol": "nmea"}, "witmotion_ble"),
        ({"protocol": "xsens", "accel_unit": "g"}, "accel_unit is a setting of protocol text; protocol is xsens"),
        ({"accel_range_g": 4}, "accel_range_g is a setting of protocol witmotion and witmotion_ble; protocol is text"),
        ({"protocol": "witmotion", "message": "raw_imu"}, "message is a setting of protocol mavlink"),
        ({"protocol": "bno08x_rvc", "device_time": True}, "device_time is a setting of protocol witmotion"),
        ({"protocol": "xsens", "tick_modulus": 7}, "tick_modulus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        imu("/dev/null", **settings)


def test_stamps_without_a_device_clock_keep_to_the_sensors_own_rate() -> None:
    """A sketch that says 100 Hz and runs at 97, read in ragged batches of up to 16 ms."""
    rng = np.random.default_rng(1)
    clock = ArrivalClock(100.0)
    true_ns = (np.arange(6000) / 97 * 1e9).astype(np.int64) + 10**18
    stamped = []
    start = 0
    while start < len(true_ns):
        stop = min(len(true_ns), start + int(rng.integers(1, 4)))
        arrival = int(true_ns[stop - 1]) + int(rng.uniform(0, 16e6))
        t_ns, silent = clock.stamp(np.arange(start, stop), arrival)
        assert not silent
        stamped.append(t_ns)
        start = stop
    out = np.concatenate(stamped)
    assert (np.diff(out) > 0).all()
    error_ms = (out - true_ns)[1500:] / 1e6
    assert np.abs(error_ms).max() < 3.0
    assert clock.period_ns == pytest.approx(1e9 / 97, rel=1e-3)


def test_a_silence_is_told_and_the_count_anchored_anew() -> None:
    clock = ArrivalClock(100.0)
    for i in range(100):
        clock.stamp(np.array([i]), 10**18 + i * 10_000_000)
    t_ns, silent = clock.stamp(np.array([100]), 10**18 + 3_000_000_000)
    assert silent
    assert t_ns[0] == 10**18 + 3_000_000_000


def test_a_burst_after_a_stall_of_the_transport_is_no_silence() -> None:
    clock = ArrivalClock(100.0)
    for i in range(500):
        clock.stamp(np.array([i]), 10**18 + i * 10_000_000)
    t_ns, silent = clock.stamp(np.arange(500, 600), 10**18 + 599 * 10_000_000)
    assert not silent
    assert t_ns[0] == pytest.approx(10**18 + 5_000_000_000, abs=1_000_000)

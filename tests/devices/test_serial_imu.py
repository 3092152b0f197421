"""The serial IMU over real ptys and sockets, and its two clocks on made-up arrivals."""

from __future__ import annotations

import os
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from devices.arrival_clock import ArrivalClock
from devices.serial_imu import SerialImu, SerialImuConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk


class Sensor:
    """The far end of a pty that a symlink names, as udev does; can be unplugged and plugged again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = -1
        self.plug()

    def plug(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        self._slave = slave

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def opened(self) -> None:
        """Let go of our own hold on the slave end, or nobody would see the unplug."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def unplug(self) -> None:
        self.opened()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
        self.link.unlink(missing_ok=True)


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    plugged = Sensor(tmp_path / "imu")
    yield plugged
    plugged.unplug()


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


def test_lines_become_samples_in_si_with_the_device_clock(sensor: Sensor) -> None:
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


def test_a_counter_that_jumps_marks_the_gap_where_it_is(sensor: Sensor) -> None:
    source = imu(str(sensor.link), **FULL)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + lines(250, 5) + lines(257, 4))
    chunks = read_n(source, 9)
    assert [(len(c), c.gap_before) for c in chunks] == [(5, False), (4, True)]


def test_a_wrapping_counter_is_no_gap(sensor: Sensor) -> None:
    source = imu(str(sensor.link), columns=["counter", "accel_x"], counter_bits=8)
    source.open()
    sensor.opened()
    sensor.write(b"\n" + b"".join(b"%d,1\n" % (i % 256) for i in range(250, 262)))
    chunks = read_n(source, 12)
    assert sum(map(len, chunks)) == 12
    assert not any(c.gap_before for c in chunks)


def test_garbage_between_lines_is_skipped_and_marked(sensor: Sensor) -> None:
    source = imu(str(sensor.link), columns=["accel_x"])
    source.open()
    sensor.opened()
    sensor.write(b"\n1\n2\n\xff\xfe\x80garbage\n3\n")
    chunks = read_n(source, 3)
    assert [(c.data[:, 0].tolist(), c.gap_before) for c in chunks] == [([1, 2], False), ([3], True)]
    assert source.counters["bad_packets"] == 1


def test_an_unplugged_sensor_is_an_error_at_once_and_comes_back(sensor: Sensor) -> None:
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


def test_a_quiet_sensor_costs_no_more_than_the_timeout(sensor: Sensor) -> None:
    source = imu(str(sensor.link))
    source.open()
    sensor.opened()
    sensor.write(b"half a line")
    began = time.monotonic()
    assert source.read(0.1) is None
    assert 0.05 < time.monotonic() - began < 0.5


def test_a_wrong_speed_is_named(sensor: Sensor) -> None:
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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"columns": ["accel_x", "time"]}, "time_unit is needed"),
        ({"columns": ["accel_q"]}, "accel_q unknown"),
        ({"columns": ["time"], "time_unit": "us"}, "at least one axis"),
        ({"columns": {"accel_x": "a"}}, "a list for format csv"),
        ({"rate_hz": -1}, "rate_hz"),
        ({"bauds": 9600}, "bauds"),
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

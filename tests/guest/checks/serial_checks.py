"""Our serial IMU driver on the kernel's own USB serial driver (ftdi_sio), with a sensor that is pulled and put back.

The host plays a WitMotion sensor at 100 Hz whose x rate is a running number (machine.Sensor), so that lost samples and
the length of an absence can be read off the samples themselves. There is no udev in the guest, so no /dev/serial/by-id.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench import plug, pour, rest, unplug, wait_until

from actors.inbox import Arrival, Inbox
from actors.reader import Reader
from devices.serial_imu import SerialImu, SerialImuConfig
from devices.serial_port import attached
from stream_bind.adjust import Adjust
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk
from stream_bind.restart import Backoff

MODULES = ["xhci_pci", "ftdi_sio"]
TIMEOUT_S = 40

RATE_HZ = 100
COUNT_RADPS = np.deg2rad(2000) / 32768


def before_each() -> None:
    rest()
    if there("IMU0") != "/dev/ttyUSB0":
        pull("IMU0")
        put("IMU0")


def node_of(number: str) -> str:
    """The device file of the adapter with this serial number, or ""."""
    return next((port.device for port in attached() if port.serial_number == number), "")


def there(number: str) -> str:
    return wait_until(lambda: node_of(number), 10, f"an adapter with serial number {number}")


def put(number: str) -> str:
    """Plug it in and wait for its device file."""
    plug(number)
    return there(number)


def pull(number: str) -> None:
    """Unplug it and wait until the kernel knows."""
    unplug(number)
    wait_until(lambda: not node_of(number), 10, f"the absence of {number}")


def imu(port: str = "serial:IMU0", **settings: Any) -> SerialImu:
    config = {"port": port, "baud": 115200, "rate_hz": RATE_HZ, "protocol": "witmotion", **settings}
    return SerialImu(SerialImuConfig.model_validate(config), "imu", SystemClock())


def take(device: SerialImu, n: int, limit_s: float = 15.0) -> list[Chunk]:
    """Chunks with at least n samples."""
    chunks: list[Chunk] = []
    end = time.monotonic() + limit_s
    while sum(map(len, chunks)) < n:
        assert time.monotonic() < end, f"{sum(map(len, chunks))} of {n} samples in {limit_s} s; {device.counters}"
        chunk = device.read(0.2)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def numbers(chunks: list[Chunk]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The running numbers (n,) that the samples carry."""
    rates = np.concatenate([chunk.data[:, 3] for chunk in chunks])
    raw = np.rint(rates / COUNT_RADPS).astype(np.int64)
    return raw[0] + np.concatenate([[0], np.cumsum(np.diff(raw) % 65536)])


def stamps(chunks: list[Chunk]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([chunk.t_ns for chunk in chunks])


def sentence(error: DeviceError) -> str:
    """What it says, in one line; trying again is worth while."""
    assert not error.permanent, error
    assert "\n" not in str(error)
    return str(error)


def fault(device: SerialImu, limit_s: float = 10.0) -> tuple[str, float]:
    """The words of the DeviceError that reading ends in, and after how many seconds."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        try:
            device.read(0.2)
        except DeviceError as error:
            return sentence(error), time.monotonic() - began
    raise AssertionError(f"reading went on for {limit_s} s")


def refusal(device: SerialImu) -> str:
    """The words of the DeviceError that opening ends in."""
    try:
        device.open()
    except DeviceError as error:
        return sentence(error)
    raise AssertionError("it was opened")


def latency_timer() -> Path:
    """How many milliseconds the adapter gathers bytes before it hands them over."""
    return Path(f"/sys/bus/usb-serial/devices/{Path(node_of('IMU0')).name}/latency_timer")


class Stream:
    """What a capture actor's reader thread makes of a device."""

    def __init__(self, device: SerialImu) -> None:
        clock = SystemClock()
        inbox = Inbox(lambda: None)
        self.arrived: queue.Queue[Arrival] = queue.Queue()
        inbox.put = self.arrived.put  # type: ignore[method-assign]
        backoff = Backoff(0.1, 0.5)
        self.reader = Reader("imu", device, Adjust(device.spec), inbox, clock, backoff)
        self.chunks: list[Chunk] = []

    def __enter__(self) -> Stream:
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.reader.stop(5.0)

    def until(self, reason: str, limit_s: float = 15.0) -> Arrival:
        """The next notice with this reason; chunks before it are kept."""
        end = time.monotonic() + limit_s
        while True:
            arrival = self.arrived.get(timeout=max(0.01, end - time.monotonic()))
            assert arrival.fatal is None, arrival.fatal
            if arrival.chunk is not None:
                self.chunks.append(arrival.chunk)
            if arrival.notice is not None and arrival.notice.reason == reason:
                return arrival

    def samples(self, n: int, limit_s: float = 15.0) -> list[Chunk]:
        """The next chunks with at least n samples."""
        end = time.monotonic() + limit_s
        new: list[Chunk] = []
        while sum(map(len, new)) < n:
            arrival = self.arrived.get(timeout=max(0.01, end - time.monotonic()))
            assert arrival.fatal is None, arrival.fatal
            if arrival.chunk is not None:
                new.append(arrival.chunk)
        self.chunks += new
        return new


def check_the_adapter_is_known_by_its_serial_number() -> None:
    port = next(port for port in attached() if port.serial_number == "IMU0")
    assert port.device.startswith("/dev/ttyUSB")
    assert port.usb_id == "0403:6001"
    assert port.identity == "serial:IMU0"


def check_samples_come_whole_and_in_order() -> None:
    device = imu()
    device.open()
    take(device, 20)
    began_ns = time.time_ns()
    chunks = take(device, 300)
    t_ns, took_s = stamps(chunks), (time.time_ns() - began_ns) * 1e-9
    device.close()
    device.close()
    data = np.concatenate([chunk.data for chunk in chunks])
    assert data.dtype == np.float32
    assert np.allclose(data[:, :3], [0, 0, 9.80665], atol=1e-3)
    assert not data[:, 4:].any()
    assert (np.diff(numbers(chunks)) == 1).all(), (np.diff(numbers(chunks)), device.counters)
    assert not any(chunk.gap_before for chunk in chunks)
    steps = np.diff(t_ns)
    assert (steps > 0).all()
    assert abs(np.median(steps) - 1e9 / RATE_HZ) < 1e6
    assert abs((t_ns[-1] - t_ns[0]) * 1e-9 - took_s) < 0.5
    assert -0.1 < (time.time_ns() - t_ns[-1]) * 1e-9 < 1.0
    assert {chunk.clock.domain for chunk in chunks} == {device.spec.domain} == {"host"}
    print(device.counters, "median bytes a read", len(data) / len(chunks))


def check_the_adapter_is_told_to_hand_over_bytes_at_once() -> None:
    device = imu()
    for _ in range(2):
        pull("IMU0")
        put("IMU0")
        # An FTDI chip has 16 ms again at every plugging in; QEMU's has none.
        latency_timer().write_text("16")
        device.open()
        take(device, 5)
        assert latency_timer().read_text().strip() == "1"
        device.close()


def check_pulling_the_adapter_out_is_one_device_error() -> None:
    device = imu()
    device.open()
    before = int(stamps(take(device, 20))[-1])
    puller = threading.Thread(target=unplug, args=("IMU0",))
    puller.start()
    words, took_s = fault(device)
    puller.join()
    assert "serial:IMU0" in words
    assert "lost" in words
    assert took_s < 3
    # However often it is asked.
    fault(device, 1.0)
    device.close()
    device.close()
    assert "IMU0 is plugged in" in refusal(device)
    put("IMU0")
    device.open()
    assert stamps(take(device, 20))[0] > before
    device.close()


def check_it_is_found_under_its_new_number() -> None:
    device = imu()
    device.open()
    old, before = node_of("IMU0"), int(stamps(take(device, 20))[-1])
    device.close()
    pull("IMU0")
    assert put("IMU1") == old
    assert put("IMU0") != old
    device.open()
    assert stamps(take(device, 20))[0] > before
    device.close()


def check_a_port_named_by_its_number_is_followed_with_a_warning() -> None:
    old = node_of("IMU0")
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logging.getLogger("devices").addHandler(Listener())
    device = imu(old)
    device.open()
    take(device, 20)
    assert any("serial:IMU0" in line for line in told), told
    device.close()
    pull("IMU0")
    assert put("IMU1") == old
    assert put("IMU0") != old
    device.open()
    take(device, 20)
    assert "held by" in refusal(imu("serial:IMU0"))
    other = imu("serial:IMU1")
    other.open()
    other.close()
    device.close()


def check_two_of_a_kind_are_told_apart() -> None:
    put("IMU1")
    words = refusal(imu("usb:0403:6001"))
    assert "serial:IMU0" in words
    assert "serial:IMU1" in words
    both = [imu("serial:IMU0"), imu("serial:IMU1")]
    for device in both:
        device.open()
    for device in both:
        take(device, 20)
    for device in both:
        device.close()


def check_a_held_port_names_its_holder() -> None:
    device = imu()
    device.open()
    take(device, 5)
    words = refusal(imu())
    assert "held by" in words
    assert "python" in words
    take(device, 20)
    device.close()


def check_silence_is_a_stall_and_ends() -> None:
    device = imu(stall_timeout_s=1.0)
    device.open()
    take(device, 20)
    pour("IMU0", False)
    words, took_s = fault(device)
    assert "stalled" in words
    assert 0.8 < took_s < 4
    assert device.counters["stalls"] == 1
    device.close()
    pour("IMU0", True)
    device.open()
    take(device, 20)
    device.close()


def check_the_stream_goes_on_after_the_adapter_came_back() -> None:
    with Stream(imu()) as stream:
        stream.samples(50)
        for away_s in (1.5, 0.3):
            before = stream.chunks[-1]
            unplug("IMU0")
            lost = stream.until("device_lost").notice
            assert lost is not None
            time.sleep(away_s)
            plug("IMU0")
            plugged = time.monotonic()
            back = stream.until("device_back").notice
            took_s = time.monotonic() - plugged
            assert back is not None
            last = stream.chunks[-1]
            after = stream.samples(50)
            assert after[0].gap_before
            assert after[0].t_ns[0] > last.t_ns[-1] >= before.t_ns[-1]
            assert (back.t_ns, back.t_end_ns) == (int(last.t_ns[-1]) + 10**9 // RATE_HZ, int(after[0].t_ns[0]))
            # The sensor's own numbers say how long it was not heard.
            missed = int(np.diff(numbers([last, after[0]])[len(last) - 1 :])[0]) - 1
            told_s = (back.t_end_ns - back.t_ns) * 1e-9
            print(f"away {missed / RATE_HZ:.2f} s, told {told_s:.3f} s, back {took_s:.2f} s after plugging in")
            assert abs(told_s - missed / RATE_HZ) < 0.25
            # 2 s on a machine, here emulated at a twelfth of the speed.
            assert took_s < 5
            assert (np.diff(numbers(after)) == 1).all()
    assert (np.diff(stamps(stream.chunks)) > 0).all()


def check_the_stream_goes_on_under_another_number() -> None:
    with Stream(imu()) as stream:
        stream.samples(20)
        old = node_of("IMU0")
        pull("IMU0")
        stream.until("device_lost")
        assert put("IMU1") == old
        plug("IMU0")
        stream.until("device_back")
        stream.samples(20)
        assert node_of("IMU0") != old
    assert (np.diff(stamps(stream.chunks)) > 0).all()


def check_discovery_finds_the_sensor_and_how_to_open_it() -> None:
    found = [one for one in SerialImu.discover(probe=True) if "IMU0" in one.identity]
    print(found)
    assert len(found) == 1, found
    assert found[0].modality == "imu"
    config = SerialImuConfig.model_validate(found[0].config)
    assert config.port == "serial:IMU0"
    assert config.protocol == "witmotion"
    device = SerialImu(config, "imu", SystemClock())
    device.open()
    take(device, 20)
    device.close()

"""Finding out what speaks on a port by listening, over ptys that play the sensors."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from serial.tools import list_ports, list_ports_common

from devices import serial_probe
from devices.mlx90640_thermal import Mlx90640Thermal, Mlx90640ThermalConfig
from devices.serial_imu import SerialImu, SerialImuConfig
from devices.serial_port import SerialPort
from stream_bind.clock import SystemClock


class Rig:
    """Sensors on ptys that list_ports is made to find."""

    def __init__(self) -> None:
        self.infos: list[Any] = []
        self._open: list[int] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.written = b""
        self.masters: list[int] = []

    def plug(self, number: str, make: Callable[[int], bytes] | None, rate_hz: float = 100) -> str:
        """A sensor that sends make(i) as its i-th sample; None: one that is silent."""
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        info = list_ports_common.ListPortInfo(os.ttyname(slave), skip_link_detection=True)
        info.vid, info.pid, info.serial_number = 0x0403, 0x6001, number
        info.manufacturer, info.product = "Acme", f"UART {number}"
        self.infos.append(info)
        os.close(slave)
        # Held open without a name in /proc that would make it a port in use: the master alone keeps the pty.
        self._open.append(master)
        self.masters.append(master)
        if make is not None:
            self._threads.append(threading.Thread(target=self._send, args=(master, make, rate_hz), daemon=True))
            self._threads[-1].start()
        return info.device

    def _send(self, master: int, make: Callable[[int], bytes], rate_hz: float) -> None:
        began, n, late = time.monotonic(), 0, b""
        while not self._stop.wait(0.005):
            due = int((time.monotonic() - began) * rate_hz)
            late = (late + b"".join(make(i) for i in range(n, due)))[-4000:]
            n = due
            try:
                late = late[os.write(master, late) :]
            except OSError:
                # Full, since nobody listens: a real line loses these bytes.
                late = b""

    def heard(self) -> bytes:
        """What was written to any of the sensors."""
        out = b""
        for master in self.masters:
            if select.select([master], [], [], 0)[0]:
                try:
                    out += os.read(master, 1000)
                except OSError:
                    pass
        return out

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for fd in self._open:
            os.close(fd)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig()
    monkeypatch.setattr(list_ports, "comports", lambda: list(made.infos))
    monkeypatch.setattr(serial_probe, "_memory", serial_probe._Memory())
    yield made
    made.close()


BINARY = ("witmotion", "witmotion_ble", "bno08x_rvc", "vectornav_ascii", "vectornav_binary", "xsens", "mavlink")


def test_every_protocol_is_recognised_and_its_mapping_opens_it(rig: Rig, motion: Any) -> None:
    for protocol in (*BINARY, "text"):
        rig.plug(protocol, lambda i, protocol=protocol: motion.bytes(protocol, i, 1))
    began = time.monotonic()
    found = {f.identity: f for f in SerialImu.discover()}
    took_s = time.monotonic() - began
    print(f"{len(found)} ports in {took_s:.1f} s")
    assert took_s < 15
    assert len(found) == 8
    for protocol in (*BINARY, "text"):
        entry = found[f"serial:{protocol}"]
        assert entry.config["protocol"] == protocol, entry
        assert entry.config["baud"] == 115200
        assert entry.config["rate_hz"] == pytest.approx(100, rel=0.3)
        assert entry.formats[0].startswith(f"{protocol} at 115200 baud")
        assert entry.note == ""
        device = SerialImu(SerialImuConfig.model_validate(entry.config), "imu", SystemClock())
        device.open()
        chunk, end = None, time.monotonic() + 10
        while chunk is None and time.monotonic() < end:
            chunk = device.read(0.2)
        assert chunk is not None
        assert np.linalg.norm(chunk.data[0, :3]) == pytest.approx(9.81, rel=0.05)
        device.close()
    assert rig.heard() == b""
    assert found["serial:witmotion"].warnings[0].startswith("accel_range_g")
    assert found["serial:text"].config["columns"][0] == "counter"
    assert "8 columns: " in found["serial:text"].formats[0]


def test_a_thermal_module_that_sends_is_found_as_one_and_no_motion_sensor(rig: Rig, motion: Any) -> None:
    frame = motion.mlx(np.full((1, 24, 32), 2500, np.int16))
    rig.plug("MLX", lambda _: frame, rate_hz=4)
    found = Mlx90640Thermal.discover()
    assert [(f.identity, f.config["type"], f.config["baud"]) for f in found] == [
        ("serial:MLX", "mlx90640_thermal", 115200)
    ]
    Mlx90640ThermalConfig.model_validate(found[0].config)
    assert SerialImu.discover() == []


def test_a_port_that_somebody_holds_is_left_alone(rig: Rig, motion: Any) -> None:
    device = rig.plug("BUSY", lambda i: motion.bytes("witmotion", i, 1))
    holder = SerialPort(device, 115200, "imu", SystemClock())
    holder.open()
    found = SerialImu.discover()
    assert f"({os.getpid()})" in found[0].note
    assert "end that, then look again" in found[0].note
    assert "protocol" not in found[0].config
    assert holder.read(5.0)
    holder.close()


def test_silence_and_nonsense_are_told_apart(rig: Rig) -> None:
    rng = np.random.default_rng(1)
    rig.plug("MUTE", None)
    rig.plug("NOISE", lambda _: rng.bytes(50))
    notes = {f.identity: f.note for f in SerialImu.discover()}
    assert notes["serial:MUTE"].startswith("silent for 1 s")
    assert "in no protocol known at 9600, 19200" in notes["serial:NOISE"]
    assert rig.heard() == b""


def test_a_speed_is_found_by_trying(rig: Rig, motion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pty has no speed, so what it sends at the wrong ones is made nonsense of on the way."""
    rig.plug("SLOW", lambda i: motion.bytes("witmotion", i, 1))
    read = SerialPort.read

    def garbled(self: SerialPort, wait_s: float, gather_s: float = 0.0) -> bytes:
        data = read(self, wait_s, gather_s)
        return data if self._baud == 921600 else bytes(byte >> 1 | 0x80 for byte in data)

    monkeypatch.setattr(SerialPort, "read", garbled)
    (found,) = SerialImu.discover()
    assert (found.config["protocol"], found.config["baud"]) == ("witmotion", 921600)


def test_without_probing_ports_are_only_listed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plug("A", None)

    def refuse(*_: object) -> None:
        raise AssertionError("a port was opened")

    monkeypatch.setattr(SerialPort, "open", refuse)
    (found,) = SerialImu.discover(probe=False)
    assert (found.name, found.identity, found.note) == ("Acme UART A", "serial:A", "not listened to")
    assert Mlx90640Thermal.discover(probe=False) == []


def test_a_machine_without_ports_has_nothing_to_tell(rig: Rig) -> None:
    assert SerialImu.discover() == []
    assert Mlx90640Thermal.discover() == []


def test_two_drivers_that_ask_in_one_breath_listen_once(rig: Rig, motion: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plug("A", lambda i: motion.bytes("xsens", i, 1))
    opened = []
    really = SerialPort.open
    monkeypatch.setattr(SerialPort, "open", lambda self: (opened.append(1), really(self))[1])
    threads = [threading.Thread(target=ask) for ask in (SerialImu.discover, Mlx90640Thermal.discover)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_an_adapter_that_breaks_while_it_is_listened_to_ends_nothing(
    rig: Rig, motion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.plug("A", lambda i: motion.bytes("xsens", i, 1))
    monkeypatch.setattr(SerialPort, "read", lambda *_: 1 / 0)
    (found,) = SerialImu.discover()
    assert "ZeroDivisionError" in found.note

"""Serial ports over ptys, sockets, socat and an RFC 2217 server: found, shared with nobody, broken in every way."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
import serial.rfc2217
from serial.tools import list_ports, list_ports_common

from devices import serial_port
from devices.serial_port import SerialPort, attached, find_port, holders
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError

TIOCGEXCL = 0x80045440
"""asm-generic/ioctls.h: whether the terminal is in exclusive mode."""


def port_at(address: object, baud: int = 115200) -> SerialPort:
    return SerialPort(str(address), baud, "imu", SystemClock())


def read_n(port: SerialPort, n: int) -> bytes:
    data, end = b"", time.monotonic() + 5
    while len(data) < n and time.monotonic() < end:
        data += port.read(0.2)
    return data


@pytest.fixture
def open_port(far_end) -> Iterator[SerialPort]:
    port = port_at(far_end.link)
    port.open()
    far_end.opened()
    yield port
    port.close()


def test_all_that_came_is_read_at_once(far_end, open_port: SerialPort) -> None:
    far_end.write(b"abc")
    far_end.write(b"def")
    assert open_port.read(1.0) == b"abcdef"


def test_what_comes_while_gathering_comes_with_it(far_end, open_port: SerialPort) -> None:
    far_end.write(b"abc")
    threading.Timer(0.1, far_end.write, [b"def"]).start()
    assert open_port.read(5.0, 0.8) == b"abcdef"


def test_nothing_is_nothing_after_the_wait(open_port: SerialPort) -> None:
    began = time.monotonic()
    assert open_port.read(0.1) == b""
    assert 0.05 < time.monotonic() - began < 0.6


def test_a_first_byte_ends_the_wait(far_end, open_port: SerialPort) -> None:
    threading.Timer(0.1, far_end.write, [b"x"]).start()
    began = time.monotonic()
    assert open_port.read(30.0) == b"x"
    assert time.monotonic() - began < 10


def test_bytes_are_sent(far_end, open_port: SerialPort) -> None:
    open_port.write(b"\xa5\x35\x02\xdc")
    assert os.read(far_end.master, 100) == b"\xa5\x35\x02\xdc"


def test_what_came_before_the_opening_is_dropped(far_end) -> None:
    far_end.write(b"old")
    port = port_at(far_end.link)
    port.open()
    far_end.write(b"new")
    assert port.read(1.0) == b"new"
    port.close()


# One unplug, every way to meet it.


def test_an_unplug_ends_a_blocking_read_at_once(far_end, open_port: SerialPort) -> None:
    threading.Timer(0.1, far_end.unplug).start()
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"imu: lost: .*opened again") as caught:
        open_port.read(30.0)
    assert time.monotonic() - began < 10
    assert not caught.value.permanent
    assert isinstance(caught.value.__cause__, serial.SerialException)


def test_after_an_unplug_every_call_says_so_and_closing_is_quiet(far_end, open_port: SerialPort) -> None:
    far_end.unplug()
    for call in (lambda: open_port.read(0.1), lambda: open_port.write(b"x"), lambda: open_port.set_baud(9600)):
        with pytest.raises(DeviceError, match="imu: "):
            call()
    open_port.close()
    open_port.close()
    with pytest.raises(DeviceError, match="open the device first"):
        open_port.read(0.0)


@pytest.mark.parametrize(
    "error", [serial.SerialException("gone"), OSError(5, "Input/output error"), termios.error(5, "Input/output error")]
)
def test_each_of_the_three_kinds_of_exception_is_one_kind_of_ours(
    error: Exception, open_port: SerialPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """termios.error is no OSError: whoever catches only those two crashes on it."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(open_port._port, "read", fail)
    monkeypatch.setattr(open_port._port, "write", fail)
    monkeypatch.setattr(open_port._port, "reset_input_buffer", fail)
    monkeypatch.setattr(serial_port.select, "select", lambda *_: ([0], [], []))
    for call in (lambda: open_port.read(0.1), lambda: open_port.write(b"x"), lambda: open_port.set_baud(9600)):
        with pytest.raises(DeviceError) as caught:
            call()
        assert caught.value.__cause__ is error
    closing = open_port._port.close
    monkeypatch.setattr(open_port._port, "close", fail)
    open_port.close()
    closing()


def test_a_port_that_dies_while_it_is_set_up_is_our_error_too(far_end, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's own termios.error: the pty hangs up between pyserial's tcgetattr and its tcsetattr."""
    ask = termios.tcgetattr

    def ask_and_die(fd: int) -> Any:
        answer = ask(fd)
        far_end.unplug()
        return answer

    monkeypatch.setattr(serial.serialposix.termios, "tcgetattr", ask_and_die)
    port = port_at(far_end.link)
    with pytest.raises(DeviceError, match="cannot be opened") as caught:
        port.open()
    assert isinstance(caught.value.__cause__, termios.error)
    assert not port.is_open


def test_a_peer_that_closes_its_socket_is_an_unplug_after_its_last_bytes() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    address = f"socket://127.0.0.1:{server.getsockname()[1]}"
    port = port_at(address)
    port.open()
    peer, _ = server.accept()
    peer.sendall(b"last")
    assert read_n(port, 4) == b"last"
    peer.close()
    with pytest.raises(DeviceError, match="lost"):
        read_n(port, 1)
    port.close()
    server.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        port.open()


def start_socat(near: Path, far: Path) -> subprocess.Popen[bytes]:
    pair = subprocess.Popen(["socat", f"pty,raw,echo=0,link={far}", f"pty,raw,echo=0,link={near}"])
    end = time.monotonic() + 10
    while not (near.exists() and far.exists()) and time.monotonic() < end:
        time.sleep(0.01)
    return pair


@pytest.mark.requires("socat")
@pytest.mark.parametrize(("how", "link_stays"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_a_killed_socat_is_an_unplug_whether_or_not_its_link_stays(
    tmp_path: Path, how: signal.Signals, link_stays: bool
) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    pair = start_socat(near, far)
    try:
        port = port_at(near)
        port.open()
        threading.Timer(0.1, pair.send_signal, [how]).start()
        with pytest.raises(DeviceError, match="lost"):
            port.read(30.0)
        pair.wait(10)
        assert near.is_symlink() == link_stays
        with pytest.raises(DeviceError, match="there is no"):
            port.open()
        near.unlink(missing_ok=True)
        far.unlink(missing_ok=True)
        pair = start_socat(near, far)
        port.open()
        far.write_bytes(b"again")
        assert read_n(port, 5) == b"again"
        port.close()
    finally:
        pair.kill()
        pair.wait()


def test_a_link_that_was_moved_to_another_port_is_followed_at_the_next_opening(far_end, open_port: SerialPort) -> None:
    old = far_end.master
    far_end.plug()
    assert open_port.read(0.1) == b""
    os.close(old)
    with pytest.raises(DeviceError, match="lost"):
        open_port.read(30.0)
    open_port.open()
    far_end.write(b"second")
    assert open_port.read(1.0) == b"second"


class Remote:
    """An RFC 2217 server as pyserial ships it, over a pty, which has no modem lines."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self._slave = slave
        self.bauds: list[int] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"rfc2217://127.0.0.1:{self._server.getsockname()[1]}"
        self._stop = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        peer, _ = self._server.accept()
        bauds = self.bauds

        class Behind(serial.Serial):
            cts = dsr = ri = cd = property(lambda _: False)

            def _update_dtr_state(self) -> None: ...

            def _update_rts_state(self) -> None: ...

            def _reconfigure_port(self, force_update: bool = False) -> None:
                bauds.append(self.baudrate)
                super()._reconfigure_port(force_update)

        class Writer:
            def write(self, data: bytes) -> None:
                peer.sendall(data)

        port = Behind(os.ttyname(self._slave), 9600, timeout=0.05)
        manager = serial.rfc2217.PortManager(port, Writer())

        def pump() -> None:
            while not self._stop.is_set():
                data = port.read(256)
                if data:
                    peer.sendall(b"".join(manager.escape(data)))

        pumping = threading.Thread(target=pump, daemon=True)
        pumping.start()
        while data := peer.recv(1024):
            port.write(b"".join(manager.filter(data)))
        self._stop.set()
        pumping.join()
        port.close()
        peer.close()

    def close(self) -> None:
        self._stop.set()
        self._server.close()
        os.close(self.master)
        os.close(self._slave)


def test_a_port_of_another_machine_is_read_without_talking_to_it_at_every_read() -> None:
    remote = Remote()
    port = port_at(remote.address, 57600)
    port.open()
    negotiated = len(remote.bauds)
    os.write(remote.master, bytes(range(250, 256)) + b"xyz")
    assert read_n(port, 9) == bytes(range(250, 256)) + b"xyz"
    began = time.monotonic()
    assert port.read(0.2) == b""
    assert 0.1 < time.monotonic() - began < 1.5
    assert remote.bauds[-1] == 57600
    assert len(remote.bauds) == negotiated
    port.close()
    remote.close()


# Who holds it.


def test_nobody_else_gets_an_open_port_and_the_holder_is_named(far_end, open_port: SerialPort) -> None:
    second = port_at(far_end.link)
    with pytest.raises(DeviceError, match=rf"is held by .*\({os.getpid()}\).*end that first"):
        second.open()
    # flock stops only those who ask for it too; exclusive mode is for the rest.
    flag = bytearray(4)
    fcntl.ioctl(open_port._port.fileno(), TIOCGEXCL, flag)
    assert struct.unpack("i", flag) == (1,)
    assert holders(str(far_end.link))
    open_port.close()
    second.open()
    second.close()


def test_a_closed_port_is_open_to_others(far_end) -> None:
    port = port_at(far_end.link)
    port.open()
    port.close()
    flag = bytearray(4)
    fcntl.ioctl(far_end.slave, TIOCGEXCL, flag)
    assert struct.unpack("i", flag) == (0,)


# What is plugged in.


def adapter(device: str, vid: int, pid: int, number: str | None, product: str = "USB UART") -> Any:
    info = list_ports_common.ListPortInfo(device, skip_link_detection=True)
    info.vid, info.pid, info.serial_number = vid, pid, number
    info.manufacturer, info.product = "Acme", product
    return info


Plug = Callable[..., None]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plug:
    """Say what list_ports finds, and which links udev made."""

    def plug(*ports: Any, by_id: dict[str, str] | None = None, by_path: dict[str, str] | None = None) -> None:
        monkeypatch.setattr(list_ports, "comports", lambda: list(ports))
        for name, links in (("BY_ID", by_id), ("BY_PATH", by_path)):
            folder = tmp_path / name
            monkeypatch.setattr(serial_port, name, folder)
            for link, device in (links or {}).items():
                folder.mkdir(exist_ok=True)
                (folder / link).symlink_to(device)

    return plug


def test_ports_are_known_by_what_outlives_replugging(plugged: Plug, tmp_path: Path) -> None:
    plugged(
        adapter("/dev/ttyUSB10", 0x1A86, 0x7523, None),
        adapter("/dev/ttyUSB2", 0x0403, 0x6001, "IMU0", "FT232R"),
        adapter("/dev/ttyUSB3", 0x10C4, 0xEA60, "0001"),
        adapter("/dev/ttyUSB4", 0x10C4, 0xEA60, "0001"),
        adapter("/dev/ttyUSB5", 0x10C4, 0xEA60, "0001"),
        adapter("/dev/ttyACM0", 0x2341, 0x0043, "7543"),
        by_id={"usb-Arduino": "/dev/ttyACM0"},
        by_path={"pci-usb-1.4": "/dev/ttyUSB4"},
    )
    told = {port.device: port.identity for port in attached()}
    assert told == {
        "/dev/ttyACM0": str(tmp_path / "BY_ID" / "usb-Arduino"),
        "/dev/ttyUSB2": "serial:IMU0",
        "/dev/ttyUSB3": "/dev/ttyUSB3",
        "/dev/ttyUSB4": str(tmp_path / "BY_PATH" / "pci-usb-1.4"),
        "/dev/ttyUSB5": "/dev/ttyUSB5",
        "/dev/ttyUSB10": "usb:1a86:7523",
    }
    assert list(told)[-1] == "/dev/ttyUSB10"


def test_a_port_is_found_by_serial_number_or_by_what_it_is(plugged: Plug) -> None:
    plugged(adapter("/dev/ttyUSB2", 0x0403, 0x6001, "IMU0"), adapter("/dev/ttyUSB7", 0x1A86, 0x7523, None))
    assert find_port("serial:IMU0", "imu") == "/dev/ttyUSB2"
    assert find_port("usb:1A86:7523", "imu") == "/dev/ttyUSB7"
    assert find_port("socket://a:1", "imu") == "socket://a:1"


def test_what_fits_two_ports_fits_none_and_both_are_named(plugged: Plug) -> None:
    plugged(adapter("/dev/ttyUSB0", 0x0403, 0x6001, "A1"), adapter("/dev/ttyUSB1", 0x0403, 0x6001, "B2"))
    with pytest.raises(DeviceError, match=r"fits 2 ports: .*ttyUSB0.*ttyUSB1.*write one of serial:A1, serial:B2"):
        find_port("usb:0403:6001", "imu")


@pytest.mark.parametrize("address", ["serial:A9", "usb:1234:5678", "/dev/serial/by-id/usb-Gone"])
def test_a_missing_port_names_those_that_are_there(address: str, plugged: Plug) -> None:
    plugged(adapter("/dev/ttyUSB0", 0x0403, 0x6001, "A1", "FT232R"))
    with pytest.raises(DeviceError, match=r"attached: /dev/ttyUSB0 \(Acme FT232R, serial:A1\)") as caught:
        port_at(address).open()
    assert address in str(caught.value)
    assert not caught.value.permanent
    plugged()
    with pytest.raises(DeviceError, match="no serial port is attached; check the cable"):
        port_at(address).open()


def test_a_port_is_looked_for_anew_at_every_opening(far_end, plugged: Plug) -> None:
    port = port_at("serial:IMU0")
    plugged(adapter(os.ttyname(far_end.slave), 0x0403, 0x6001, "IMU0"))
    port.open()
    far_end.write(b"one")
    assert port.read(1.0) == b"one"
    far_end.unplug()
    port.close()
    far_end.plug()
    plugged(adapter(os.ttyname(far_end.slave), 0x0403, 0x6001, "IMU0"))
    port.open()
    far_end.write(b"two")
    assert port.read(1.0) == b"two"
    port.close()


def test_a_number_is_warned_about_and_followed_by_its_serial_number(
    far_end, plugged: Plug, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(serial_port, "_BY_LUCK", (Path(os.ttyname(far_end.slave)).name,))
    here = os.ttyname(far_end.slave)
    port = port_at(here)
    plugged(adapter(here, 0x0403, 0x6001, "IMU0"))
    with caplog.at_level(logging.WARNING):
        port.open()
    assert "in the order of plugging; write port: serial:IMU0" in caplog.text
    port.close()
    # It comes back under another number, and something else has taken its own.
    other, slave = os.openpty()
    tty.setraw(slave)
    plugged(adapter(here, 0x0403, 0x6001, "GPS"), adapter(os.ttyname(slave), 0x0403, 0x6001, "IMU0"))
    port.open()
    os.write(other, b"moved")
    assert port.read(1.0) == b"moved"
    port.close()
    os.close(other)
    os.close(slave)


def test_an_address_of_a_kind_that_does_not_exist_is_not_tried_again() -> None:
    with pytest.raises(DeviceError, match="write a device file, serial:NUMBER, usb:VID:PID") as caught:
        port_at("nonsense://x").open()
    assert caught.value.permanent


# FTDI adapters gather bytes for 16 ms.


@pytest.fixture
def latency_timer(far_end, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "usb-serial"
    timer = folder / Path(os.ttyname(far_end.slave)).name / "latency_timer"
    timer.parent.mkdir(parents=True)
    monkeypatch.setattr(serial_port, "USB_SERIAL", folder)
    return timer


def test_an_ftdi_adapter_that_knows_no_low_latency_mode_has_its_timer_set(far_end, latency_timer: Path) -> None:
    latency_timer.write_text("16\n")
    port = port_at(far_end.link)
    port.open()
    assert latency_timer.read_text() == "1"
    port.close()


def test_a_timer_that_may_not_be_set_is_told_with_the_command_that_does(
    far_end, latency_timer: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A number that even root cannot write.
    latency_timer.symlink_to("/proc/sys/kernel/ngroups_max")
    port = port_at(far_end.link)
    with caplog.at_level(logging.WARNING):
        port.open()
    assert f"echo 1 | sudo tee {latency_timer}" in caplog.text
    assert "udev rule" in caplog.text
    port.close()

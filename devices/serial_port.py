"""A serial port: found by what is plugged in and not by its number, read in bulk, its many ways to break made one.

No protocol belongs here. pyserial is imported when a port is opened or looked for.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import termios
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_bind.clock import Clock
from stream_bind.errors import DeviceError

__all__ = ["PortInfo", "SerialPort", "attached", "find_port", "holders"]

logger = logging.getLogger(__name__)

BY_ID = Path("/dev/serial/by-id")
BY_PATH = Path("/dev/serial/by-path")
USB_SERIAL = Path("/sys/bus/usb-serial/devices")

_MOST_BYTES = 65536
_POLL_S = 0.05
"""Wait of one look at a port without a file descriptor; never changed, since rfc2217 negotiates at every change."""
_WRITE_TIMEOUT_S = 1.0
_BY_LUCK = ("ttyUSB", "ttyACM", "ttyXRUSB", "rfcomm")
"""Names that are numbered in the order of plugging."""


@dataclass(frozen=True, slots=True)
class PortInfo:
    """A port of this machine with what is plugged into it."""

    device: str
    """Its file now, such as /dev/ttyUSB0."""
    name: str = ""
    """Maker and model, as the adapter says them."""
    serial_number: str = ""
    usb_id: str = ""
    """VID:PID in four hexadecimal digits each."""
    by_id: str = ""
    """Its link under /dev/serial/by-id, where udev runs."""
    by_path: str = ""
    """Its link under /dev/serial/by-path, which names the socket."""
    identity: str = ""
    """The address to configure: what outlives replugging, as far as there is such a thing."""

    def __str__(self) -> str:
        told = ", ".join(dict.fromkeys(word for word in (self.name, self.identity) if word and word != self.device))
        return f"{self.device} ({told})" if told else self.device


def attached() -> list[PortInfo]:
    """The serial ports of this machine, in the order of their names."""
    from serial.tools import list_ports

    ports = sorted(list_ports.comports())
    usb_ids = [f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None else "" for port in ports]
    numbers = [port.serial_number or "" for port in ports]
    by_id, by_path = _links(BY_ID), _links(BY_PATH)
    found = []
    for port, usb_id, number in zip(ports, usb_ids, numbers, strict=True):
        real = os.path.realpath(port.device)
        named = " ".join(word for word in (port.manufacturer, port.product) if word)
        if real in by_id:
            identity = by_id[real]
        elif number and numbers.count(number) == 1:
            identity = f"serial:{number}"
        elif usb_id and usb_ids.count(usb_id) == 1:
            identity = f"usb:{usb_id}"
        else:
            identity = by_path.get(real, port.device)
        found.append(PortInfo(port.device, named, number, usb_id, by_id.get(real, ""), by_path.get(real, ""), identity))
    return found


def find_port(address: str, owner: str) -> str:
    """The file or URL to open for an address: a path, a pyserial URL, serial:NUMBER or usb:VID:PID.

    Raises DeviceError, beginning with `owner`, that lists what is attached where nothing or too much fits.
    """
    kind, _, wanted = address.partition(":")
    if "://" in address:
        return address
    if kind not in {"serial", "usb"}:
        if not os.path.exists(address):
            raise DeviceError(f"{owner}: cannot be opened: there is no {address}; {_what_is_there()}")
        return address
    fits = [
        port
        for port in attached()
        if (port.serial_number == wanted if kind == "serial" else port.usb_id == wanted.lower())
    ]
    if len(fits) == 1:
        return fits[0].device
    if fits:
        raise DeviceError(
            f"{owner}: cannot be opened: {address} fits {len(fits)} ports: {', '.join(map(str, fits))}; "
            f"write one of {', '.join(port.identity for port in fits)}"
        )
    raise DeviceError(f"{owner}: cannot be opened: nothing with {address} is plugged in; {_what_is_there()}")


def holders(device: str) -> list[str]:
    """The programs that have this port open, as "name (pid)", as far as we may look at them."""
    real = os.path.realpath(device)
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            held = any(os.readlink(link.path) == real for link in os.scandir(folder / "fd"))
            if held:
                found.append(f"{(folder / 'comm').read_text().strip()} ({folder.name})")
        except OSError:
            continue
    return found


class SerialPort:
    """An open port. Errors of opening, reading and writing are DeviceErrors that begin with `owner`."""

    def __init__(self, address: str, baud: int, owner: str, clock: Clock, *, warn: bool = True) -> None:
        """warn: say in the log what to write instead of an address that is numbered by luck."""
        self._address = address
        self._baud = baud
        self._owner = owner
        self._clock = clock
        self._port: Any = None
        self._fd: int | None = None
        self._is_file = False
        self._failures: tuple[type[Exception], ...] = (OSError, termios.error)
        self._refusals: tuple[type[Exception], ...] = (OSError,)
        """Of settings: broken, or this kind of port has no such thing."""
        self._serial_number = ""
        self._warned = not warn

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def open(self) -> None:
        """Find and claim the port: no other program may open it then. What had arrived before is dropped."""
        self.close()
        import serial

        # One unplug raises any of the three, whichever call meets it first.
        self._failures = (serial.SerialException, OSError, termios.error)
        self._refusals = (*self._failures, ValueError, NotImplementedError, AttributeError)
        target = self._find()
        is_file = "://" not in target
        options = {"exclusive": True, "write_timeout": _WRITE_TIMEOUT_S} if is_file else {}
        try:
            self._port = serial.serial_for_url(
                target, baudrate=self._baud, timeout=0.0 if _has_descriptor(target) else _POLL_S, **options
            )
            self._fd = self._port.fileno() if _has_descriptor(target) else None
        except self._failures as error:
            self.close()
            raise DeviceError(f"{self._owner}: cannot be opened: {_why(error, target)}") from error
        except (ValueError, TypeError, KeyError) as error:
            self.close()
            raise DeviceError(
                f"{self._owner}: cannot be opened: {_words(error)}; write a device file, serial:NUMBER, usb:VID:PID, "
                f"or a URL such as socket://host:port, and a baud that the port has",
                permanent=True,
            ) from error
        if is_file:
            self._is_file = True
            # flock, which pyserial takes, keeps out only those who ask for it too.
            self._exclude(termios.TIOCEXCL)
            self._hasten(target)

    def read(self, wait_s: float, gather_s: float = 0.0) -> bytes:
        """All that has arrived, at most 64 KiB, after waiting wait_s for the first byte and, once it is there, gather_s
        (but no longer than wait_s) for more to come with it. Empty if nothing came."""
        if self._port is None:
            raise DeviceError(f"{self._owner}: read before open; open the device first")
        try:
            if self._fd is None:
                return self._read_queue(wait_s, gather_s)
            if not select.select([self._fd], [], [], wait_s)[0]:
                return b""
            self._clock.sleep(min(gather_s, wait_s))
            data: bytes = self._port.read(_MOST_BYTES)
        except self._failures as error:
            raise DeviceError(f"{self._owner}: lost: {_words(error)}; it will be opened again") from error
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        if self._port is None:
            raise DeviceError(f"{self._owner}: write before open; open the device first")
        try:
            self._port.write(data)
        except self._failures as error:
            raise DeviceError(f"{self._owner}: lost: {_words(error)}; it will be opened again") from error

    def set_baud(self, baud: int) -> None:
        """Change the speed of the open port and drop what came at the old one."""
        if self._port is None:
            raise DeviceError(f"{self._owner}: set_baud before open; open the device first")
        try:
            self._port.baudrate = baud
            self._port.reset_input_buffer()
        except self._refusals as error:
            raise DeviceError(f"{self._owner}: cannot be set to {baud} baud: {_words(error)}") from error
        self._baud = baud

    def close(self) -> None:
        """Let go of the port; never raises."""
        if self._port is None:
            return
        if self._is_file:
            self._exclude(termios.TIOCNXCL)
        try:
            self._port.close()
        except self._failures as error:
            logger.debug("%s: closing: %s", self._owner, error)
        self._port = self._fd = None
        self._is_file = False

    def _find(self) -> str:
        """As find_port; a port that was named by its number is followed to its new one by its serial number."""
        path = Path(self._address)
        if not path.name.startswith(_BY_LUCK) or ":" in self._address or path.is_symlink():
            return find_port(self._address, self._owner)
        ports = attached()
        here = next((port for port in ports if port.device == self._address), None)
        if not self._warned:
            self._warned = True
            better = here.identity if here and here.identity != self._address else "serial:NUMBER or a by-id path"
            logger.warning(
                "%s: %s is numbered in the order of plugging; write port: %s", self._owner, self._address, better
            )
        if self._serial_number and (here is None or here.serial_number != self._serial_number):
            return find_port(f"serial:{self._serial_number}", self._owner)
        if here is not None:
            self._serial_number = here.serial_number
        return find_port(self._address, self._owner)

    def _read_queue(self, wait_s: float, gather_s: float) -> bytes:
        end_ns = self._clock.monotonic_ns() + round(wait_s * 1e9)
        first: bytes = self._port.read(1)
        while not first and self._clock.monotonic_ns() < end_ns:
            first = self._port.read(1)
        if not first:
            return b""
        self._clock.sleep(min(gather_s, wait_s))
        waiting = min(self._port.in_waiting, _MOST_BYTES)
        rest: bytes = self._port.read(waiting) if waiting else b""
        return first + rest

    def _exclude(self, request: int) -> None:
        try:
            fcntl.ioctl(self._port.fileno(), request)
        except self._failures as error:
            logger.debug("%s: exclusive mode: %s", self._owner, _words(error))

    def _hasten(self, device: str) -> None:
        """FTDI adapters gather bytes for 16 ms (62 bytes) unless told otherwise, at every plugging anew."""
        try:
            self._port.set_low_latency_mode(True)
        except self._refusals as error:
            logger.debug("%s: no low-latency mode: %s", self._owner, _words(error))
        timer = USB_SERIAL / Path(os.path.realpath(device)).name / "latency_timer"
        try:
            wait_ms = int(timer.read_text())
        except (OSError, ValueError):
            return
        if wait_ms <= 1:
            return
        try:
            timer.write_text("1")
        except OSError:
            logger.warning(
                "%s: the adapter gathers bytes for %d ms; for every millisecond: echo 1 | sudo tee %s, or for good the "
                'udev rule ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"',
                self._owner,
                wait_ms,
                timer,
            )


def _has_descriptor(target: str) -> bool:
    """Whether poll works on it and a change of its settings costs nothing: files and plain sockets."""
    return "://" not in target or target.startswith("socket://")


def _links(folder: Path) -> dict[str, str]:
    """Device file to the link that names it."""
    try:
        return {os.path.realpath(link): str(link) for link in sorted(folder.iterdir(), reverse=True)}
    except OSError:
        return {}


def _what_is_there() -> str:
    ports = attached()
    return f"attached: {', '.join(map(str, ports))}" if ports else "no serial port is attached; check the cable"


def _why(error: Exception, target: str) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return f"no permission for {target}; run: sudo usermod -aG {_group(target)} $USER, and log in again"
    if number in {errno.EAGAIN, errno.EBUSY}:
        by = ", ".join(holders(target)) or "another program"
        return f"{target} is held by {by}; end that first"
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return f"there is no {target}; {_what_is_there()}"
    return f"{_words(error)}; check the cable, and that nothing else holds it"


def _group(target: str) -> str:
    try:
        return Path(target).group()
    except (OSError, KeyError):
        return "dialout"


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""A motion sensor behind the kernel's real USB serial driver, plugged and unplugged by the host."""

from __future__ import annotations

import serial
from bench import wait_until
from serial.tools import list_ports

MODULES = ["xhci_pci", "ftdi_sio"]
TIMEOUT_S = 40


def nodes(number: str) -> list[str]:
    return [port.device for port in list_ports.comports() if port.serial_number == number]


def check_the_adapter_is_listed_by_its_serial_number() -> None:
    wait_until(lambda: nodes("IMU0"), 10, "an adapter with serial number IMU0")
    with serial.Serial(nodes("IMU0")[0], 115200, timeout=2) as port:
        assert b"\x55\x51" in port.read(200)

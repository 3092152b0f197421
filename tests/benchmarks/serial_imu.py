"""What reading a serial sensor costs: 1 kHz binary packets and 400 Hz text through a pty, as shares of one core.

OMP_NUM_THREADS=1 python tests/benchmarks/serial_imu.py

Floor: pyserial, all that is there at a time, nothing decoded. Peer: the loop most people write, readline() for text,
read(1) until the marker and read() of the rest for packets. Ours: the driver as a rig's reader drives it, decoded,
stamped and cut into chunks. Each reader is a process of its own; CPU is its process time, the sender is another one.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import statistics
import struct
import time
import tty
from collections.abc import Callable
from typing import Any

import serial

from devices.serial_imu import SerialImu, SerialImuConfig
from stream_bind.clock import SystemClock

GROUPS_HZ = 200
"""The sender writes every 5 ms, as a USB adapter with a short latency timer hands bytes over."""


def wit(i: int) -> bytes:
    out = b""
    for kind in (0x51, 0x52):
        body = struct.pack("<BB4h", 0x55, kind, i % 1000, -200, 2048, 2500)
        out += body + bytes([sum(body) & 0xFF])
    return out


def xsens(i: int) -> bytes:
    items = struct.pack(">HBH", 0x1020, 2, i & 0xFFFF) + struct.pack(">HBI", 0x1060, 4, i * 10 % 2**32)
    items += struct.pack(">HB3f", 0x4020, 12, 0.1, 0.2, 9.81) + struct.pack(">HB3f", 0x8020, 12, 0.01, 0.02, 0.03)
    body = bytes([0xFF, 0x36, len(items)]) + items
    return b"\xfa" + body + bytes([-sum(body) & 0xFF])


def text(i: int) -> bytes:
    return b"%d,%d,-0.01234,0.99871,9.80665,0.00123,-0.00456,0.01234\r\n" % (i, i * 2500 % 2**32)


def floor(port: Any, seconds: float) -> int:
    n, end = 0, time.monotonic() + seconds
    port.timeout = 0.2
    while time.monotonic() < end:
        n += len(port.read(max(1, port.in_waiting)))
    return n


def readline_loop(port: Any, seconds: float) -> int:
    n, end = 0, time.monotonic() + seconds
    port.timeout = 0.2
    while time.monotonic() < end:
        line = port.readline()
        # What the timeout cuts is no line, and reads as numbers all the same.
        n += line.endswith(b"\n") and len([float(cell) for cell in line.split(b",")]) == 8
    return n


def wit_loop(port: Any, seconds: float) -> int:
    n, end = 0, time.monotonic() + seconds
    port.timeout = 0.2
    while time.monotonic() < end:
        if port.read(1) != b"\x55":
            continue
        rest = port.read(10)
        if (0x55 + sum(rest[:9])) & 0xFF == rest[9]:
            struct.unpack("<4h", rest[1:9])
            n += rest[0] == 0x52
    return n


def xsens_loop(port: Any, seconds: float) -> int:
    n, end = 0, time.monotonic() + seconds
    port.timeout = 0.2
    while time.monotonic() < end:
        if port.read(1) != b"\xfa":
            continue
        head = port.read(3)
        if head[:2] != b"\xff\x36":
            continue
        rest = port.read(head[2] + 1)
        if sum(head + rest) & 0xFF == 0:
            struct.unpack(">3f", rest[15:27])
            n += 1
    return n


CASES: dict[str, tuple[float, Callable[[int], bytes], Callable[[Any, float], int], dict[str, Any]]] = {
    "WitMotion pairs, 1 kHz": (1000, wit, wit_loop, {"protocol": "witmotion"}),
    "Xsens MTData2, 1 kHz": (1000, xsens, xsens_loop, {"protocol": "xsens"}),
    "text of 8 columns, 400 Hz": (
        400,
        text,
        readline_loop,
        {
            "columns": ["counter", "time", "accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"],
            "time_unit": "us",
        },
    ),
}


def send(fd: int, make: Callable[[int], bytes], rate_hz: float) -> None:
    started, n = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - started) * rate_hz)
        os.write(fd, b"".join(make(i) for i in range(n, due)))
        n = max(n, due)
        time.sleep(1 / GROUPS_HZ)


def read_with(who: str, path: str, case: str, seconds: float, out: Any) -> None:
    rate_hz, _, loop, settings = CASES[case]
    if who == "ours":
        config = SerialImuConfig.model_validate({"port": path, "baud": 921600, "rate_hz": rate_hz, **settings})
        device = SerialImu(config, "imu", SystemClock())
        device.open()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            device.read(0.2)
        cpu, n, end = time.process_time(), 0, time.monotonic() + seconds
        began = time.monotonic()
        while time.monotonic() < end:
            chunk = device.read(0.2)
            n += 0 if chunk is None else len(chunk)
        out.put((time.process_time() - cpu, time.monotonic() - began, n, device.counters))
        return
    port = serial.Serial(path, 921600)
    run = floor if who == "floor" else loop
    run(port, 1.0)
    cpu, began = time.process_time(), time.monotonic()
    n = run(port, seconds)
    out.put((time.process_time() - cpu, time.monotonic() - began, n, {}))


def measure(who: str, case: str, seconds: float) -> tuple[float, float, dict[str, int]]:
    """Per cent of a core, samples a second, and what was counted."""
    rate_hz, make, _, _ = CASES[case]
    master, slave = os.openpty()
    tty.setraw(slave)
    context = mp.get_context("fork")
    out: Any = context.Queue()
    sender = context.Process(target=send, args=(master, make, rate_hz), daemon=True)
    reader = context.Process(target=read_with, args=(who, os.ttyname(slave), case, seconds, out), daemon=True)
    reader.start()
    time.sleep(0.3)
    sender.start()
    try:
        cpu_s, took_s, n, counters = out.get(timeout=seconds + 30)
    finally:
        sender.terminate()
        sender.join()
        reader.join(5)
        os.close(master)
        os.close(slave)
    per_sample = len(make(4000)) if who == "floor" else 1
    return 100 * cpu_s / took_s, n / per_sample / took_s, dict(counters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print("CPU in % of one core, median of runs; samples a second in brackets\n")
    print("| stream | bytes/s | floor | peer | ours |\n|---|---|---|---|---|")
    for case, (rate_hz, make, _, _) in CASES.items():
        cells = []
        for who in ("floor", "peer", "ours"):
            runs = [measure(who, case, args.seconds) for _ in range(args.runs)]
            cells.append(f"{statistics.median(r[0] for r in runs):.1f} ({statistics.median(r[1] for r in runs):.0f})")
            counters = runs[-1][2]
            if counters.get("bad_packets") or counters.get("lost_samples"):
                print(f"{case}, {who}: {counters}")
        print(f"| {case} | {rate_hz * len(make(100)):.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

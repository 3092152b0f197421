"""Small recordings made on the spot, and the folder of real ones where it is there."""

from __future__ import annotations

import binascii
import math
import operator
import os
import struct
import tty
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

SHARED = Path(os.environ.get("STREAM_BIND_SHARED", Path(__file__).parents[3] / "shared"))


@pytest.fixture
def real() -> Callable[[str], Path]:
    """The path of a real recording, or a skip that names what is missing."""

    def find(name: str) -> Path:
        path = SHARED / "data" / "dev" / name
        if not path.exists():
            pytest.skip(f"no real recording {name} (set STREAM_BIND_SHARED)")
        return path

    return find


def write_video(path: Path, n: int = 20, rate: int = 10, pts: list[int] | None = None, sound: bool = False) -> Path:
    """A video whose frame i is grey i*10 with a red left half; `pts` in frames makes its rate vary."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 2_000_000
        stream.codec_context.time_base = Fraction(1, rate)
        track = out.add_stream("aac", rate=16000, layout="mono") if sound else None
        for i in range(n):
            picture = np.full((48, 64, 3), i * 10 % 256, np.uint8)
            picture[:, :32] = (220, 30, 30)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = pts[i] if pts else i
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            tone = np.sin(2 * np.pi * 440 * np.arange(16000 * n // rate) / 16000).astype(np.float32)
            for start in range(0, len(tone) - 1023, 1024):
                frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
                frame.sample_rate, frame.pts = 16000, start
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def write_sound(path: Path, n: int = 8000, rate: int = 8000, channels: int = 2) -> Path:
    """A sine at half of full scale in the first channel, silence in the others."""
    data = np.zeros((n, channels), np.float32)
    data[:, 0] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / rate)
    soundfile.write(str(path), data, rate)
    return path


def write_pictures(folder: Path, n: int = 5) -> Path:
    folder.mkdir()
    for i in range(n):
        Image.new("RGB", (32, 24), (i * 20, 100, 200)).save(folder / f"{i + 8}.png")
    return folder


def write_table(path: Path, n: int = 200, rate: float = 100.0) -> Path:
    rows = "\n".join(f"{i / rate:.4f},0,0,1,0,0,{i % 90}" for i in range(n))
    title = "Time (s),Accelerometer X (g),Accelerometer Y (g),Accelerometer Z (g)"
    path.write_text(f"{title},Gyroscope X (deg/s),Gyroscope Y (deg/s),Gyroscope Z (deg/s)\n{rows}\n")
    return path


@pytest.fixture
def files() -> SimpleNamespace:
    """The writers above, for tests: test folders are no packages, so they cannot import from here."""
    return SimpleNamespace(
        write_video=write_video, write_sound=write_sound, write_pictures=write_pictures, write_table=write_table
    )


class FarEnd:
    """The far end of a pty that a symlink names, as udev does; can be unplugged and plugged again."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master = self.slave = -1
        self.plug()

    def plug(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        fresh = self.link.with_suffix(".new")
        fresh.symlink_to(os.ttyname(self.slave))
        fresh.replace(self.link)

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def opened(self) -> None:
        """Let go of our own hold on the near end, or nobody would see the unplug."""
        slave, self.slave = self.slave, -1
        if slave >= 0:
            os.close(slave)

    def unplug(self) -> None:
        self.opened()
        # Forgotten first: whoever waits for the unplug goes on while this thread is still in here.
        master, self.master = self.master, -1
        if master >= 0:
            self.link.unlink(missing_ok=True)
            os.close(master)


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[FarEnd]:
    plugged = FarEnd(tmp_path / "port")
    yield plugged
    plugged.unplug()


G = 9.80665


def motion_of(i: int) -> tuple[float, ...]:
    """What the made-up sensors below measure as their i-th sample: m/s^2, then rad/s."""
    return (0.05 * (i % 20), 0.0, G, 0.0, 0.0, 0.5)


def _wit(kind: int, values: tuple[float, ...], full: float) -> bytes:
    body = struct.pack("<BB4h", 0x55, kind, *(round(v / full * 32768) for v in values), 0)
    return body + bytes([sum(body) & 0xFF])


def _xor(data: bytes) -> int:
    return reduce(operator.xor, data)


def _crc16(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def motion_bytes(protocol: str, first: int, n: int, rate_hz: int = 100) -> bytes:
    """Samples from `first` on as a sensor of this protocol sends them; by its time, sample i is of i / rate_hz."""
    out = b""
    for i in range(first, first + n):
        accel, gyro = motion_of(i)[:3], motion_of(i)[3:]
        dps = tuple(math.degrees(v) for v in gyro)
        if protocol == "witmotion":
            out += _wit(0x51, tuple(v / G for v in accel), 16) + _wit(0x52, dps, 2000)
        elif protocol == "witmotion_ble":
            counts = [round(v / G / 16 * 32768) for v in accel] + [round(v / 2000 * 32768) for v in dps]
            out += struct.pack("<BB9h", 0x55, 0x61, *counts, 1, 2, 3)
        elif protocol == "bno08x_rvc":
            body = struct.pack("<B6h3B", i & 0xFF, 100, 200, 300, *(round(v / G * 1000) for v in accel), 0, 0, 0)
            out += b"\xaa\xaa" + body + bytes([sum(body) & 0xFF])
        elif protocol == "vectornav_ascii":
            cells = ",".join(f"{v:+09.4f}" for v in (1, 2, 3, 0.1, 0.2, 0.3, *accel, *gyro))
            line = f"VNYMR,{cells}".encode()
            out += b"$%b*%02X\r\n" % (line, _xor(line))
        elif protocol == "vectornav_binary":
            body = struct.pack("<BHQ3f3f", 0x01, 0x0121, i * 1_000_000_000 // rate_hz, *gyro, *accel)
            out += b"\xfa" + body + _crc16(body)
        elif protocol == "xsens":
            items = struct.pack(">HBH", 0x1020, 2, i & 0xFFFF)
            items += struct.pack(">HBI", 0x1060, 4, i * 10_000 // rate_hz % 2**32)
            items += struct.pack(">HB3f", 0x4020, 12, *accel) + struct.pack(">HB3f", 0x8020, 12, *gyro)
            body = bytes([0xFF, 0x36, len(items)]) + items
            out += b"\xfa" + body + bytes([-sum(body) & 0xFF])
        elif protocol == "mavlink":
            from pymavlink.dialects.v20 import common

            link = common.MAVLink(None, srcSystem=1, srcComponent=1)
            link.seq = i & 0xFF
            microseconds = 5_000_000 + i * 1_000_000 // rate_hz
            message = common.MAVLink_highres_imu_message(microseconds, *accel, *gyro, 0, 0, 0, 1013, 0, 0, 25, 0x3F)
            out += message.pack(link)
        else:
            out += b"%d,%d,%.4f,%.4f,%.4f,%.4f,%.4f,%.4f\n" % (i, i * 1000 // rate_hz, *accel, *gyro)
    return out


def mlx_bytes(images: np.ndarray, ambient: int = 2500) -> bytes:
    """Frames of a GY-MCU90640; images: (n, 24, 32) int16, hundredths of a degree Celsius."""
    out = b""
    for image in images:
        words = struct.pack("<2H768hh", 0x5A5A, 0x0602, *image.astype(int).ravel().tolist(), ambient)
        out += words + struct.pack("<H", sum(struct.unpack("<771H", words)) & 0xFFFF)
    return out


@pytest.fixture
def motion() -> SimpleNamespace:
    """The made-up motion sensors and thermal module above."""
    return SimpleNamespace(bytes=motion_bytes, of=motion_of, mlx=mlx_bytes)

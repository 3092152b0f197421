"""Small recordings made on the spot, and the folder of real ones where it is there."""

from __future__ import annotations

import os
import tty
from collections.abc import Callable, Iterator
from fractions import Fraction
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
        if self.slave >= 0:
            os.close(self.slave)
            self.slave = -1

    def unplug(self) -> None:
        self.opened()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
        self.link.unlink(missing_ok=True)


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[FarEnd]:
    plugged = FarEnd(tmp_path / "port")
    yield plugged
    plugged.unplug()

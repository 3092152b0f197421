"""A kernel for the drivers to talk to: it answers system calls byte by byte, as linux/videodev2.h lays them out.

Its structures are packed by hand here, with the offsets of a 64-bit machine, so that a wrong field in ours shows. What
it does with buffers is what videobuf2 does: filled in the order they were queued, and when none is queued the frame is
numbered and lost.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import devices.v4l2
import devices.v4l2_nodes
from stream_bind.clock import ManualClock

MONOTONIC_EOF, MONOTONIC_SOE, UNKNOWN = 0x2000, 0x12000, 0x0
EPOCH_NS = 1_790_000_000 * 10**9


def fourcc(name: str) -> int:
    return struct.unpack("<I", name.ljust(4).encode())[0]  # type: ignore[no-any-return]


@dataclass
class Knob:
    """A control; menu: numbers to names."""

    id: int
    name: str
    value: int
    low: int = 0
    high: int = 255
    step: int = 1
    kind: int = 1
    flags: int = 0
    menu: dict[int, str] = field(default_factory=dict)


@dataclass
class Camera:
    """One USB camera as the bus sees it, with what may be wrong with it."""

    card: str = "Test Cam"
    serial: str = "SN1"
    usb: str = "1234:5678"
    socket: str = "usb-0000:00:14.0-1"
    formats: dict[str, dict[tuple[int, int], list[float]]] = field(
        default_factory=lambda: {"YUYV": {(640, 480): [30.0, 15.0], (320, 240): [30.0]}, "MJPG": {(1280, 720): [30.0]}}
    )
    picture: Callable[[int], bytes] = lambda number: b""
    knobs: list[Knob] = field(default_factory=list)
    stamp_flags: int = MONOTONIC_EOF
    stamp_ahead_ns: int = 0
    padding: int = 0
    """Extra bytes at the end of every line."""
    lost: set[int] = field(default_factory=set)
    """Frames (by number) that the bus loses: numbered, never delivered."""
    damaged: set[int] = field(default_factory=set)
    silent: bool = False
    unplugged: bool = False
    broken: bool = False
    """The driver gives the stream up: poll says error, no more."""
    open_errno: int = 0
    format_errno: int = 0
    stream_errno: int = 0
    caps: int = 0x04000001
    gives: tuple[str, int, int] | None = None
    """What S_FMT gives instead of what was asked for."""
    ranges: tuple[int, ...] | None = None
    numbering: int = 1
    mmaps: int = 0


class Handle:
    """One open file of a camera."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.layout = (0, 0, 0)
        self.rate = 30.0
        self.queued: deque[int] = deque()
        self.done: deque[tuple[int, int, int, int, int]] = deque()
        self.areas: list[mmap.mmap] = []
        self.length = 0
        self.began_ns: int | None = None
        self.number = 0
        self.sequence = 0


class Kernel:
    """Stands in for devices.v4l2.SystemCalls. Time is the manual clock's; waiting moves it."""

    def __init__(self, clock: ManualClock, nodes: dict[str, Camera]) -> None:
        self.clock = clock
        self.nodes = nodes
        self.handles: dict[int, Handle] = {}
        self.next_fd = 1000
        self.asked: list[str] = []

    # -- system calls -------------------------------------------------------

    def open(self, path: str) -> int:
        camera = self.nodes.get(Path(path).name)
        if camera is None or camera.unplugged:
            raise OSError(errno.ENODEV if camera else errno.ENOENT, "gone")
        if camera.open_errno:
            raise OSError(camera.open_errno, os.strerror(camera.open_errno))
        self.next_fd += 1
        self.handles[self.next_fd] = Handle(camera)
        return self.next_fd

    def close(self, fd: int) -> None:
        del self.handles[fd]

    def mmap(self, fd: int, length: int, offset: int) -> mmap.mmap:
        handle = self.handles[fd]
        assert length == handle.length
        assert offset == 0x1000 * len(handle.areas), "the cookie of QUERYBUF"
        handle.areas.append(mmap.mmap(-1, length))
        return handle.areas[-1]

    def poll(self, fd: int, timeout_ms: int) -> int:
        handle = self.handles[fd]
        end_ns = self.clock.monotonic_ns() + timeout_ms * 1_000_000
        while True:
            if handle.camera.unplugged:
                return select.POLLERR | select.POLLHUP
            if handle.camera.broken:
                return select.POLLERR
            self._run(handle)
            if handle.done:
                return select.POLLIN
            now_ns = self.clock.monotonic_ns()
            if now_ns >= end_ns:
                return 0
            due_ns = self._due_ns(handle)
            self.clock.advance((min(end_ns, max(due_ns, now_ns + 1)) - now_ns) / 1e9)

    def ioctl(self, fd: int, request: int, argument: Any) -> None:
        handle = self.handles[fd]
        view = memoryview(argument).cast("B")
        assert len(view) == request >> 16 & 0x3FFF, "the size the number says"
        if handle.camera.unplugged:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        name = {
            0x00: "querycap",
            0x02: "enum_fmt",
            0x05: "s_fmt",
            0x08: "reqbufs",
            0x09: "querybuf",
            0x0F: "qbuf",
            0x11: "dqbuf",
            0x12: "streamon",
            0x13: "streamoff",
            0x15: "g_parm",
            0x16: "s_parm",
            0x1B: "g_ctrl",
            0x1C: "s_ctrl",
            0x24: "queryctrl",
            0x25: "querymenu",
            0x4A: "enum_framesizes",
            0x4B: "enum_frameintervals",
        }[request & 0xFF]
        assert request >> 8 & 0xFF == ord("V")
        self.asked.append(name)
        code = getattr(self, "_" + name)(handle, view)
        if code:
            raise OSError(code, os.strerror(code)) if code != errno.EAGAIN else BlockingIOError(code, "no frame")

    # -- what a driver does -------------------------------------------------

    def _querycap(self, handle: Handle, view: memoryview) -> int:
        camera = handle.camera
        struct.pack_into(
            "<16s32s32sIII", view, 0, b"fakecam", camera.card.encode(), camera.socket.encode(), 0x60100, 0, 0
        )
        # The whole device can do more than this node: only device_caps counts.
        struct.pack_into("<II", view, 84, 0x84000001 | 0x00800000, camera.caps)
        return 0

    def _enum_fmt(self, handle: Handle, view: memoryview) -> int:
        index, kind = struct.unpack_from("<II", view, 0)
        names = list(handle.camera.formats)
        if kind != 1 or index >= len(names):
            return errno.EINVAL
        struct.pack_into("<I32sI", view, 8, 0, names[index].encode(), fourcc(names[index]))
        return 0

    def _sizes(self, handle: Handle, number: int) -> dict[tuple[int, int], list[float]]:
        return next((sizes for name, sizes in handle.camera.formats.items() if fourcc(name) == number), {})

    def _enum_framesizes(self, handle: Handle, view: memoryview) -> int:
        index, number = struct.unpack_from("<II", view, 0)
        if handle.camera.ranges:
            struct.pack_into("<I6I", view, 8, 3, *handle.camera.ranges)
            return errno.EINVAL if index else 0
        sizes = list(self._sizes(handle, number))
        if index >= len(sizes):
            return errno.EINVAL
        struct.pack_into("<III", view, 8, 1, *sizes[index])
        return 0

    def _enum_frameintervals(self, handle: Handle, view: memoryview) -> int:
        index, number, width, height = struct.unpack_from("<IIII", view, 0)
        rates = self._sizes(handle, number).get((width, height), [])
        if index >= len(rates):
            return errno.EINVAL
        struct.pack_into("<III", view, 16, 1, 1000, round(rates[index] * 1000))
        return 0

    def _s_fmt(self, handle: Handle, view: memoryview) -> int:
        camera = handle.camera
        if camera.format_errno:
            return camera.format_errno
        kind = struct.unpack_from("<I", view, 0)[0]
        assert kind == 1
        width, height, number, _ = struct.unpack_from("<IIII", view, 8)
        if camera.gives:
            name, width, height = camera.gives
            number = fourcc(name)
        pixel = {fourcc("GREY"): 1, fourcc("NV12"): 1, fourcc("RGB3"): 3, fourcc("BGR3"): 3}.get(number, 2)
        rows = height * 3 // 2 if number == fourcc("NV12") else height
        jpeg = number == fourcc("MJPG")
        line = 0 if jpeg else width * pixel + camera.padding
        handle.length = width * height * 2 if jpeg else line * rows
        handle.layout = (width, height, number)
        struct.pack_into("<IIIIII", view, 8, width, height, number, 1, line, handle.length)
        return 0

    def _g_parm(self, handle: Handle, view: memoryview) -> int:
        struct.pack_into("<I", view, 4, 0x1000)
        return 0

    def _s_parm(self, handle: Handle, view: memoryview) -> int:
        numerator, denominator = struct.unpack_from("<II", view, 12)
        wanted = denominator / numerator
        offered = self._sizes(handle, handle.layout[2]).get(handle.layout[:2], [30.0])
        handle.rate = min(offered, key=lambda rate: abs(rate - wanted))
        struct.pack_into("<II", view, 12, 1000, round(handle.rate * 1000))
        return 0

    def _reqbufs(self, handle: Handle, view: memoryview) -> int:
        count, kind, memory = struct.unpack_from("<III", view, 0)
        assert (kind, memory) == (1, 1)
        rivals = [one for one in self.handles.values() if one is not handle and one.camera is handle.camera]
        if any(one.began_ns is not None for one in rivals):
            return errno.EBUSY
        struct.pack_into("<I", view, 0, max(2, min(count, 32)))
        return 0

    def _buffer(
        self, view: memoryview, index: int, used: int, flags: int, stamp_ns: int, sequence: int, length: int
    ) -> None:
        struct.pack_into("<IIIII", view, 0, index, 1, used, flags, 1)
        struct.pack_into("<qq", view, 24, stamp_ns // 10**9, stamp_ns % 10**9 // 1000)
        struct.pack_into("<II", view, 56, sequence, 1)
        struct.pack_into("<II", view, 64, 0x1000 * index, 0)
        struct.pack_into("<I", view, 72, length)

    def _querybuf(self, handle: Handle, view: memoryview) -> int:
        index = struct.unpack_from("<I", view, 0)[0]
        self._buffer(view, index, 0, handle.camera.stamp_flags, 0, 0, handle.length)
        return 0

    def _qbuf(self, handle: Handle, view: memoryview) -> int:
        index = struct.unpack_from("<I", view, 0)[0]
        assert struct.unpack_from("<I", view, 60)[0] == 1, "memory: mmap"
        assert index not in handle.queued
        handle.queued.append(index)
        return 0

    def _dqbuf(self, handle: Handle, view: memoryview) -> int:
        self._run(handle)
        if not handle.done:
            return errno.EAGAIN
        index, used, flags, stamp_ns, sequence = handle.done.popleft()
        self._buffer(view, index, used, flags, stamp_ns, sequence, handle.length)
        return 0

    def _streamon(self, handle: Handle, view: memoryview) -> int:
        if handle.camera.stream_errno:
            return handle.camera.stream_errno
        handle.began_ns, handle.number = self.clock.monotonic_ns(), 0
        return 0

    def _streamoff(self, handle: Handle, view: memoryview) -> int:
        handle.began_ns = None
        return 0

    def _knob(self, handle: Handle, number: int) -> Knob | None:
        return next((knob for knob in handle.camera.knobs if knob.id == number), None)

    def _queryctrl(self, handle: Handle, view: memoryview) -> int:
        asked = struct.unpack_from("<I", view, 0)[0]
        assert asked & 0x80000000, "walks by NEXT_CTRL"
        after = [knob for knob in sorted(handle.camera.knobs, key=lambda one: one.id) if knob.id > asked & 0x7FFFFFFF]
        if not after:
            return errno.EINVAL
        knob = after[0]
        struct.pack_into("<II32s", view, 0, knob.id, knob.kind, knob.name.encode())
        struct.pack_into("<iiiiI", view, 40, knob.low, knob.high, knob.step, 0, knob.flags)
        return 0

    def _querymenu(self, handle: Handle, view: memoryview) -> int:
        number, index = struct.unpack_from("<II", view, 0)
        knob = self._knob(handle, number)
        if knob is None or index not in knob.menu:
            return errno.EINVAL
        struct.pack_into("<32s", view, 8, knob.menu[index].encode())
        return 0

    def _g_ctrl(self, handle: Handle, view: memoryview) -> int:
        knob = self._knob(handle, struct.unpack_from("<I", view, 0)[0])
        if knob is None:
            return errno.EINVAL
        struct.pack_into("<i", view, 4, knob.value)
        return 0

    def _s_ctrl(self, handle: Handle, view: memoryview) -> int:
        number, value = struct.unpack_from("<Ii", view, 0)
        knob = self._knob(handle, number)
        if knob is None:
            return errno.EINVAL
        if knob.flags & 0x10:
            return errno.EIO
        knob.value = value - value % knob.step if knob.kind == 1 else value
        return 0

    # -- frames -------------------------------------------------------------

    def _due_ns(self, handle: Handle) -> int:
        if handle.began_ns is None or handle.camera.silent:
            return 1 << 62
        return handle.began_ns + round((handle.number + 1) * 1e9 / handle.rate)

    def _run(self, handle: Handle) -> None:
        """Whatever has happened by now."""
        camera = handle.camera
        while self._due_ns(handle) <= self.clock.monotonic_ns():
            due_ns, number = self._due_ns(handle), handle.number
            handle.number += 1
            sequence = number * camera.numbering
            if number in camera.lost or not handle.queued:
                continue
            index = handle.queued.popleft()
            content = camera.picture(number) or bytes(handle.length)
            assert len(content) <= handle.length, (len(content), handle.length)
            handle.areas[index][: len(content)] = content
            flags = camera.stamp_flags | (0x40 if number in camera.damaged else 0)
            stamp_ns = due_ns + camera.stamp_ahead_ns if camera.stamp_flags else 0
            handle.done.append((index, len(content), flags, stamp_ns, sequence & 0xFFFFFFFF))


class Bench:
    """A machine with cameras: /dev, /sys and /proc in a folder, and the kernel above."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = ManualClock(EPOCH_NS, 10**12)
        self.nodes: dict[str, Camera] = {}
        self.kernel = Kernel(self.clock, self.nodes)
        for folder in ("dev/v4l/by-id", "dev/v4l/by-path", "sys/class/video4linux", "sys/devices", "proc"):
            (root / folder).mkdir(parents=True)

    def plug(self, camera: Camera, number: int = 0, *, index: int = 0, links: bool = True) -> str:
        """Attach as /dev/videoN; returns the by-id path."""
        camera.unplugged = False
        name = f"video{number}"
        self.nodes[name] = camera
        (self.root / "dev" / name).write_text("")
        vendor, product = camera.usb.split(":") if camera.usb else ("", "")
        device = self.root / "sys/devices" / camera.socket
        interface = device / "1-1:1.0"
        own = interface / "video4linux" / name
        own.mkdir(parents=True, exist_ok=True)
        (own / "name").write_text(f"{camera.card}: {camera.card}\n")
        (own / "index").write_text(f"{index}\n")
        if not (own / "device").is_symlink():
            (own / "device").symlink_to(interface)
        if vendor:
            (device / "idVendor").write_text(vendor + "\n")
            (device / "idProduct").write_text(product + "\n")
        if camera.serial:
            (device / "serial").write_text(camera.serial + "\n")
        (self.root / "sys/class/video4linux" / name).symlink_to(own)
        told = "_".join(["Maker", camera.card.replace(" ", "_"), *([camera.serial] if camera.serial else [])])
        by_id = self.root / "dev/v4l/by-id" / f"usb-{told}-video-index{index}"
        by_path = self.root / "dev/v4l/by-path" / f"pci-{camera.socket}-video-index{index}"
        if links:
            for link in (by_id, by_path):
                link.unlink(missing_ok=True)
                link.symlink_to(f"../../{name}")
        return "/" + str(by_id.relative_to(self.root))

    def unplug(self, number: int = 0) -> None:
        name = f"video{number}"
        self.nodes.pop(name).unplugged = True
        (self.root / "dev" / name).unlink()
        (self.root / "sys/class/video4linux" / name).unlink()
        for folder in ("dev/v4l/by-id", "dev/v4l/by-path"):
            for link in (self.root / folder).iterdir():
                if os.readlink(link).endswith("/" + name):
                    link.unlink()

    def hold(self, number: int, program: str, pid: int) -> None:
        """Let a program have the node open."""
        folder = self.root / "proc" / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "comm").write_text(program + "\n")
        (folder / "fd" / "3").symlink_to(self.root / "dev" / f"video{number}")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path / "root")
    monkeypatch.setattr(devices.v4l2, "calls", made.kernel)
    monkeypatch.setattr(devices.v4l2_nodes, "ROOT", made.root)
    yield made
    assert not made.kernel.handles, "every opened node must be closed again"


def yuyv(width: int, height: int) -> Callable[[int], bytes]:
    """Grey frames whose brightness is 16 + their number."""

    def picture(number: int) -> bytes:
        pixels = np.full((height, width, 2), 128, np.uint8)
        pixels[..., 0] = 16 + number % 200
        return pixels.tobytes()

    return picture


def jpeg(width: int, height: int) -> Callable[[int], bytes]:
    """Red frames, with the padding that cameras leave behind the end mark."""

    def picture(number: int) -> bytes:
        pixels = np.full((height, width, 3), (10, 20 + number % 200, 240), np.uint8)
        return bytes(cv2.imencode(".jpg", pixels)[1].tobytes()) + b"\0" * 16

    return picture


def counts(
    width: int, height: int, value: int = 1000, rows: int = 0, extra: Callable[[int], bytes] = lambda n: b""
) -> Any:
    """16-bit frames of `value` plus a little noise, as many lines as the frame has above `rows` extra ones."""

    def picture(number: int) -> bytes:
        noise = np.random.default_rng(number).integers(0, 8, (height - rows, width))
        return (value + noise).astype("<u2").tobytes() + extra(number)

    return picture


@pytest.fixture
def cams() -> SimpleNamespace:
    """The builders above, for tests: test folders are no packages, so they cannot import from here."""
    return SimpleNamespace(
        Camera=Camera,
        Knob=Knob,
        yuyv=yuyv,
        jpeg=jpeg,
        counts=counts,
        SOE=MONOTONIC_SOE,
        UNKNOWN=UNKNOWN,
    )

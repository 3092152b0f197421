"""Video4Linux2 as the kernel speaks it: structures, ioctls and mapped buffers of one capture node.

Only what the system calls say, and OSError where they fail; what it means for a user is said in v4l2_source.py.
Layouts and numbers are those of linux/videodev2.h for 64-bit machines (test_v4l2.py holds the documented sizes). All
calls go through `calls`, so that a test can stand in for the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import math
import mmap
import os
import re
import select
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "MESSAGES",
    "Buffer",
    "Capability",
    "Control",
    "Layout",
    "Sizes",
    "SystemCalls",
    "V4l2Node",
    "calls",
    "code",
    "fourcc",
]

u8, u32, s32 = ctypes.c_uint8, ctypes.c_uint32, ctypes.c_int32

CAPTURE = 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE."""
CAP_VIDEO_CAPTURE, CAP_VIDEO_CAPTURE_MPLANE, CAP_VIDEO_M2M = 0x1, 0x1000, 0x8000
CAP_STREAMING, CAP_DEVICE_CAPS = 0x04000000, 0x80000000
CAP_TIMEPERFRAME = 0x1000
MEMORY_MMAP = 1
FIELD_ANY, FIELD_NONE, FIELD_INTERLACED = 0, 1, 4
BUF_FLAG_ERROR = 0x40
TIMESTAMP_MASK, TIMESTAMP_MONOTONIC = 0xE000, 0x2000
TSTAMP_SRC_MASK, TSTAMP_SRC_SOE = 0x70000, 0x10000
CTRL_DISABLED, CTRL_READ_ONLY, CTRL_INACTIVE, CTRL_NEXT = 0x1, 0x4, 0x10, 0x80000000
TYPE_BOOLEAN, TYPE_MENU, TYPE_BUTTON, TYPE_BITMASK, TYPE_INTEGER_MENU = 2, 3, 4, 8, 9
_SETTABLE = {1, TYPE_BOOLEAN, TYPE_MENU, TYPE_BUTTON, TYPE_BITMASK, TYPE_INTEGER_MENU}

CID_EXPOSURE_AUTO, CID_EXPOSURE_ABSOLUTE = 0x009A0901, 0x009A0902
CID_GAIN, CID_AUTOGAIN = 0x00980913, 0x00980912
EXPOSURE_AUTO, EXPOSURE_MANUAL, EXPOSURE_SHUTTER_PRIORITY, EXPOSURE_APERTURE_PRIORITY = 0, 1, 2, 3

_MOST_ENTRIES = 4096
"""Where an enumeration is given up that never ends (a driver that ignores the index)."""


class _Capability(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", u32),
        ("capabilities", u32),
        ("device_caps", u32),
        ("reserved", u32 * 3),
    ]


class _FmtDesc(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("index", u32),
        ("type", u32),
        ("flags", u32),
        ("description", ctypes.c_char * 32),
        ("pixelformat", u32),
        ("mbus_code", u32),
        ("reserved", u32 * 3),
    ]


class _FrmSizeEnum(ctypes.Structure):
    """values: width, height; or min, max, step of the width, then of the height."""

    _fields_: ClassVar[list[Any]] = [
        ("index", u32),
        ("pixel_format", u32),
        ("type", u32),
        ("values", u32 * 6),
        ("reserved", u32 * 2),
    ]


class _FrmIvalEnum(ctypes.Structure):
    """values: numerator and denominator of the interval in s; or of its least, most and step."""

    _fields_: ClassVar[list[Any]] = [
        ("index", u32),
        ("pixel_format", u32),
        ("width", u32),
        ("height", u32),
        ("type", u32),
        ("values", u32 * 6),
        ("reserved", u32 * 2),
    ]


class _PixFormat(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        (name, u32)
        for name in (
            "width",
            "height",
            "pixelformat",
            "field",
            "bytesperline",
            "sizeimage",
            "colorspace",
            "priv",
            "flags",
            "ycbcr_enc",
            "quantization",
            "xfer_func",
        )
    ]


class _FormatUnion(ctypes.Union):
    # struct v4l2_window in the kernel's union holds pointers, which aligns it.
    _fields_: ClassVar[list[Any]] = [("pix", _PixFormat), ("raw", u8 * 200), ("align", ctypes.c_void_p)]


class _Format(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [("type", u32), ("fmt", _FormatUnion)]


class _StreamParm(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("type", u32),
        ("capability", u32),
        ("capturemode", u32),
        ("numerator", u32),
        ("denominator", u32),
        ("extendedmode", u32),
        ("readbuffers", u32),
        ("reserved", u32 * 44),
    ]


class _RequestBuffers(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("count", u32),
        ("type", u32),
        ("memory", u32),
        ("capabilities", u32),
        ("reserved", u32),
    ]


class _Timeval(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long)]


class _BufferUnion(ctypes.Union):
    _fields_: ClassVar[list[Any]] = [("offset", u32), ("userptr", ctypes.c_ulong), ("fd", s32)]


class _Buffer(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("index", u32),
        ("type", u32),
        ("bytesused", u32),
        ("flags", u32),
        ("field", u32),
        ("timestamp", _Timeval),
        ("timecode", u32 * 4),
        ("sequence", u32),
        ("memory", u32),
        ("m", _BufferUnion),
        ("length", u32),
        ("reserved2", u32),
        ("request_fd", u32),
    ]


class _QueryCtrl(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [
        ("id", u32),
        ("type", u32),
        ("name", ctypes.c_char * 32),
        ("minimum", s32),
        ("maximum", s32),
        ("step", s32),
        ("default_value", s32),
        ("flags", u32),
        ("reserved", u32 * 2),
    ]


class _QueryMenu(ctypes.Structure):
    """name: text, or for an integer menu a 64-bit number."""

    _pack_ = 1
    _fields_: ClassVar[list[Any]] = [("id", u32), ("index", u32), ("name", u8 * 32), ("reserved", u32)]


class _Control(ctypes.Structure):
    _fields_: ClassVar[list[Any]] = [("id", u32), ("value", s32)]


_READ, _WRITE = 2, 1


def _number(way: int, number: int, kind: Any) -> int:
    """_IOC() of asm-generic/ioctl.h, with the letter V."""
    return way << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number


_BOTH = _READ | _WRITE
QUERYCAP = _number(_READ, 0, _Capability)
ENUM_FMT = _number(_BOTH, 2, _FmtDesc)
G_FMT = _number(_BOTH, 4, _Format)
S_FMT = _number(_BOTH, 5, _Format)
REQBUFS = _number(_BOTH, 8, _RequestBuffers)
QUERYBUF = _number(_BOTH, 9, _Buffer)
QBUF = _number(_BOTH, 15, _Buffer)
DQBUF = _number(_BOTH, 17, _Buffer)
STREAMON = _number(_WRITE, 18, ctypes.c_int)
STREAMOFF = _number(_WRITE, 19, ctypes.c_int)
G_PARM = _number(_BOTH, 21, _StreamParm)
S_PARM = _number(_BOTH, 22, _StreamParm)
G_CTRL = _number(_BOTH, 27, _Control)
S_CTRL = _number(_BOTH, 28, _Control)
QUERYCTRL = _number(_BOTH, 36, _QueryCtrl)
QUERYMENU = _number(_BOTH, 37, _QueryMenu)
ENUM_FRAMESIZES = _number(_BOTH, 74, _FrmSizeEnum)
ENUM_FRAMEINTERVALS = _number(_BOTH, 75, _FrmIvalEnum)

MESSAGES: dict[int, Any] = {
    QUERYCAP: _Capability,
    ENUM_FMT: _FmtDesc,
    G_FMT: _Format,
    S_FMT: _Format,
    REQBUFS: _RequestBuffers,
    QUERYBUF: _Buffer,
    QBUF: _Buffer,
    DQBUF: _Buffer,
    G_PARM: _StreamParm,
    S_PARM: _StreamParm,
    G_CTRL: _Control,
    S_CTRL: _Control,
    QUERYCTRL: _QueryCtrl,
    QUERYMENU: _QueryMenu,
    ENUM_FRAMESIZES: _FrmSizeEnum,
    ENUM_FRAMEINTERVALS: _FrmIvalEnum,
}
"""The structure each ioctl carries."""


class SystemCalls:
    """The five calls a capture node needs."""

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self, fd: int) -> None:
        os.close(fd)

    def ioctl(self, fd: int, request: int, argument: Any) -> None:
        """Fills `argument` in place; begins again where a signal came between."""
        import fcntl

        while True:
            try:
                fcntl.ioctl(fd, request, argument, True)
            except InterruptedError:
                continue
            return

    def mmap(self, fd: int, length: int, offset: int) -> mmap.mmap:
        return mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)

    def poll(self, fd: int, timeout_ms: int) -> int:
        """The event bits, 0 if nothing happened in time."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        events = poller.poll(timeout_ms)
        return events[0][1] if events else 0


calls = SystemCalls()
"""What every node uses. Tests put their own kernel here."""


def fourcc(number: int) -> str:
    """A pixel format's name: 'YUYV', 'Y16 '. Bit 31 marks big-endian variants."""
    text = (number & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace")
    return text + "-BE" if number >> 31 else text


def code(name: str) -> int:
    """The number of a pixel format's name; missing characters are blanks ('Y16' is 'Y16 ')."""
    return int.from_bytes(name.ljust(4)[:4].encode("ascii"), "little")


@dataclass(frozen=True, slots=True)
class Capability:
    """What a node says it is. `bits` are those of this very node, not of the whole device."""

    driver: str
    card: str
    bus: str
    bits: int

    @property
    def captures(self) -> bool:
        return bool(self.bits & CAP_VIDEO_CAPTURE and self.bits & CAP_STREAMING)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Frame sizes a format comes in: `listed`, or any within `ranges` ((min, max, step) of width and of height)."""

    listed: tuple[tuple[int, int], ...] = ()
    ranges: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
    known: bool = True
    """False where the driver does not say."""

    def hold(self, width: int, height: int) -> bool:
        if not self.known or (width, height) in self.listed:
            return True
        if self.ranges is None:
            return False
        return all(
            low <= value <= high and (value - low) % max(step, 1) == 0
            for value, (low, high, step) in zip((width, height), self.ranges, strict=True)
        )

    def __str__(self) -> str:
        if self.ranges is not None:
            (a, b, _), (c, d, _) = self.ranges
            return f"{a}x{c} to {b}x{d}"
        return ", ".join(f"{width}x{height}" for width, height in self.listed) or "sizes it does not tell"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a frame lies in its buffer, as the driver settled it."""

    fourcc: str
    width: int
    height: int
    bytesperline: int
    sizeimage: int
    field: int = FIELD_NONE


@dataclass(frozen=True, slots=True)
class Control:
    """One adjustable property; `menu` names the values of a choice."""

    id: int
    name: str
    kind: int
    minimum: int
    maximum: int
    step: int
    default: int
    flags: int
    menu: dict[int, str]


@dataclass(frozen=True, slots=True)
class Buffer:
    """One filled buffer. `view` is the kernel's memory: valid until `requeue`."""

    index: int
    view: memoryview
    stamp_ns: int
    """The driver's time stamp, of the clock that `flags` name."""
    sequence: int
    flags: int


class V4l2Node:
    """An open capture node. Every method raises OSError as the kernel does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._calls = calls
        self._fd = self._calls.open(path)
        self._maps: list[mmap.mmap] = []
        self._streaming = False

    def close(self) -> None:
        """Stop and let go. Never raises."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        if self._streaming:
            self._quietly(STREAMOFF, ctypes.c_int(CAPTURE), fd)
            self._streaming = False
        maps, self._maps = self._maps, []
        for area in maps:
            try:
                area.close()
            except BufferError:
                # Somebody still looks at the last frame; the mapping goes when they do.
                continue
        try:
            self._calls.close(fd)
        except OSError:
            # An unplugged device's file may complain as it goes.
            return

    def capability(self) -> Capability:
        found = _Capability()
        self._ioctl(QUERYCAP, found)
        told = found.capabilities
        bits = found.device_caps if told & CAP_DEVICE_CAPS else told
        return Capability(_text(found.driver), _text(found.card), _text(found.bus_info), bits)

    def formats(self) -> list[str]:
        """Names of the pixel formats offered, in the driver's order."""
        found = []
        for index in range(_MOST_ENTRIES):
            one = _FmtDesc(index=index, type=CAPTURE)
            if not self._enumerate(ENUM_FMT, one):
                break
            found.append(fourcc(one.pixelformat))
        return found

    def sizes(self, name: str) -> Sizes:
        listed = []
        for index in range(_MOST_ENTRIES):
            one = _FrmSizeEnum(index=index, pixel_format=code(name))
            if not self._enumerate(ENUM_FRAMESIZES, one):
                break
            if one.type != 1:
                low_w, high_w, step_w, low_h, high_h, step_h = one.values
                return Sizes(ranges=((low_w, high_w, step_w), (low_h, high_h, step_h)))
            listed.append((one.values[0], one.values[1]))
        return Sizes(tuple(listed), known=bool(listed))

    def rates(self, name: str, width: int, height: int) -> tuple[float, ...]:
        """Frames per second offered at this size, fastest first; of a range only its ends. Empty: not told."""
        found = []
        for index in range(_MOST_ENTRIES):
            one = _FrmIvalEnum(index=index, pixel_format=code(name), width=width, height=height)
            if not self._enumerate(ENUM_FRAMEINTERVALS, one):
                break
            pairs = [tuple(one.values[0:2])] if one.type == 1 else [tuple(one.values[0:2]), tuple(one.values[2:4])]
            found += [denominator / numerator for numerator, denominator in pairs if numerator]
            if one.type != 1:
                break
        return tuple(sorted(set(found), reverse=True))

    def set_format(self, name: str, width: int, height: int) -> Layout:
        """Ask for a format; what the driver gives instead comes back."""
        wanted = _Format(type=CAPTURE)
        pix = wanted.fmt.pix
        pix.width, pix.height, pix.pixelformat, pix.field = width, height, code(name), FIELD_NONE
        self._ioctl(S_FMT, wanted)
        return Layout(fourcc(pix.pixelformat), pix.width, pix.height, pix.bytesperline, pix.sizeimage, pix.field)

    def set_rate(self, rate_hz: float) -> float | None:
        """Ask for a frame rate; the one the driver gives comes back, None where it has no such setting."""
        parm = _StreamParm(type=CAPTURE)
        try:
            self._ioctl(G_PARM, parm)
            if not parm.capability & CAP_TIMEPERFRAME:
                return None
            # 29.97 is 1001/30000 to a driver; a thousandth is finer than any of them step.
            parm.numerator, parm.denominator = 1000, round(rate_hz * 1000)
            self._ioctl(S_PARM, parm)
        except OSError as error:
            if error.errno in {errno.ENOTTY, errno.EINVAL}:
                return None
            raise
        return parm.denominator / parm.numerator if parm.numerator else None

    def controls(self) -> dict[str, Control]:
        """By name as v4l2-ctl writes it: lower case, words joined by underscores."""
        found: dict[str, Control] = {}
        last = 0
        for _ in range(_MOST_ENTRIES):
            one = _QueryCtrl(id=last | CTRL_NEXT)
            if not self._enumerate(QUERYCTRL, one):
                break
            last = one.id
            if one.type in _SETTABLE and not one.flags & CTRL_DISABLED:
                control = self._control(one)
                found[control.name] = control
        return found

    def get(self, control: Control) -> int:
        asked = _Control(id=control.id)
        self._ioctl(G_CTRL, asked)
        return int(asked.value)

    def set(self, control: Control, value: int) -> int:
        """Set and read back; a button has nothing to read."""
        self._ioctl(S_CTRL, _Control(id=control.id, value=value))
        return value if control.kind == TYPE_BUTTON else self.get(control)

    def start(self, count: int) -> int:
        """Map `count` buffers (or what the driver makes of it), queue them all, stream. Returns the buffers' flags."""
        request = _RequestBuffers(count=count, type=CAPTURE, memory=MEMORY_MMAP)
        self._ioctl(REQBUFS, request)
        flags = 0
        for index in range(request.count):
            buffer = _Buffer(index=index, type=CAPTURE, memory=MEMORY_MMAP)
            self._ioctl(QUERYBUF, buffer)
            self._maps.append(self._calls.mmap(self._fd, buffer.length, buffer.m.offset))
            flags = buffer.flags
        for index in range(request.count):
            self.requeue(index)
        self._ioctl(STREAMON, ctypes.c_int(CAPTURE))
        self._streaming = True
        return flags

    @property
    def n_buffers(self) -> int:
        return len(self._maps)

    def wait(self, timeout_s: float) -> bool:
        """Whether a frame is there. OSError ENODEV when the device is gone, EIO when the driver gave the stream up."""
        events = self._calls.poll(self._fd, max(0, math.ceil(timeout_s * 1000)))
        if events & (select.POLLHUP | select.POLLNVAL):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if events & select.POLLERR:
            raise OSError(errno.EIO, "the driver ended the stream")
        return bool(events & select.POLLIN)

    def dequeue(self) -> Buffer | None:
        """The oldest filled buffer; None if there is none after all."""
        got = _Buffer(type=CAPTURE, memory=MEMORY_MMAP)
        try:
            self._ioctl(DQBUF, got)
        except BlockingIOError:
            return None
        stamp_ns = got.timestamp.tv_sec * 1_000_000_000 + got.timestamp.tv_usec * 1000
        view = memoryview(self._maps[got.index])[: got.bytesused]
        return Buffer(got.index, view, stamp_ns, got.sequence, got.flags)

    def requeue(self, index: int) -> None:
        """Hand a buffer back to the driver."""
        self._ioctl(QBUF, _Buffer(index=index, type=CAPTURE, memory=MEMORY_MMAP))

    def _ioctl(self, request: int, argument: Any) -> None:
        if self._fd < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._calls.ioctl(self._fd, request, argument)

    def _quietly(self, request: int, argument: Any, fd: int) -> None:
        try:
            self._calls.ioctl(fd, request, argument)
        except OSError:
            return

    def _enumerate(self, request: int, argument: Any) -> bool:
        """False at the end of the list, or where the driver knows no such list."""
        try:
            self._ioctl(request, argument)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOTTY, errno.ENODATA}:
                return False
            raise
        return True

    def _control(self, one: _QueryCtrl) -> Control:
        menu = dict(self._menu(one)) if one.type in {TYPE_MENU, TYPE_INTEGER_MENU} else {}
        name = re.sub(r"[^a-z0-9]+", "_", _text(one.name).lower()).strip("_")
        low, high, step = one.minimum, one.maximum, one.step
        return Control(one.id, name, one.type, low, high, step, one.default_value, one.flags, menu)

    def _menu(self, one: _QueryCtrl) -> Iterator[tuple[int, str]]:
        for index in range(one.minimum, min(one.maximum, one.minimum + _MOST_ENTRIES) + 1):
            item = _QueryMenu(id=one.id, index=index)
            # Menus have holes: a webcam knows exposure modes 1 and 3 only.
            if not self._enumerate(QUERYMENU, item):
                continue
            raw = bytes(item.name)
            if one.type == TYPE_INTEGER_MENU:
                yield index, str(int.from_bytes(raw[:8], "little", signed=True))
            else:
                yield index, _text(raw)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "replace").strip()

"""GoPro's GPMF: the motion that its cameras write into a track of the video.

Layout and the order of axes: the GPMF introduction, github.com/gopro/gpmf-parser.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.base import Batch, Piece
from stream_bind.importers.combine import COMBINED, Combined, Rows
from stream_bind.messages import IMU_AXES, IntArray, StreamSpec

__all__ = ["GPMF_HEAD", "Motion", "Payload", "motion_of", "walk"]

GPMF_HEAD = b"DEVC"
HEAD = struct.Struct(">4scBH")
"""Name, type, bytes of a structure, number of structures."""
DEEPEST = 8
TYPES = {
    b"b": "i1",
    b"B": "u1",
    b"s": ">i2",
    b"S": ">u2",
    b"l": ">i4",
    b"L": ">u4",
    b"f": ">f4",
    b"d": ">f8",
    b"j": ">i8",
    b"J": ">u8",
}
SENSORS = {b"ACCL": IMU_AXES[:3], b"GYRO": IMU_AXES[3:]}
DEFAULT_ORIGIN = "ZXY"
"""Order of the channels where the camera does not say it: HERO5 and 6."""
SPOKEN = {"up/down": "Z", "right/left": "X", "forward/back": "Y", "x": "X", "y": "Y", "z": "Z"}
PAYLOAD_NS = 1_001_000_000
"""Of a payload without a clock: one a second of 29.97 pictures."""

Payload = tuple[int | None, int | None, bytes]
"""Time and length in ns, and its bytes."""


@dataclass(slots=True)
class Motion:
    """The motion sensors of one recording."""

    specs: dict[str, StreamSpec]
    doubts: list[str]
    payloads: Callable[[], Iterator[Payload]]
    origin_ns: int = 0
    combined: Combined | None = None
    n_bad: int = 0
    """Payloads that are damaged."""
    kinds: dict[str, bytes] = field(default_factory=dict)

    def pieces(self) -> list[Iterator[Piece]]:
        """One iterator for each stream."""
        found = [self._pieces(name) for name in self.kinds]
        return found if self.combined is None else [self.combined.pieces(), *found]

    def rows(self, kind: bytes) -> Iterator[Rows]:
        """One sensor's samples, a payload at a time, spread evenly over it."""
        held: tuple[int, NDArray[np.float32]] | None = None
        step_ns, self.n_bad = 0.0, 0
        for number, (t_ns, _, data) in enumerate(self.payloads()):
            begin_ns = number * PAYLOAD_NS if t_ns is None else t_ns
            values = _samples(data, kind)
            if values is None:
                self.n_bad += 1
            if held is not None:
                n = len(held[1])
                step_ns = (begin_ns - held[0]) / n
                yield self._block(held[0], step_ns, held[1])
            held = None if values is None or not len(values) else (begin_ns, values)
        if held is not None:
            # How long the last payload is nobody says: its samples come as those before it.
            yield self._block(held[0], step_ns or PAYLOAD_NS / len(held[1]), held[1])

    def _block(self, begin_ns: int, step_ns: float, values: NDArray[np.float32]) -> Rows:
        steps: IntArray = np.rint(np.arange(len(values)) * step_ns).astype(np.int64)
        return self.origin_ns + begin_ns + steps, values, False

    def _pieces(self, name: str) -> Iterator[Piece]:
        batch = Batch(self.specs[name])
        for times, values, _ in self.rows(self.kinds[name]):
            for t_ns, row in zip(times.tolist(), values, strict=True):
                yield from batch.add(t_ns, row)
        yield from batch.flush()


def motion_of(payloads: Callable[[], Iterator[Payload]], origin_ns: int = 0, prefix: str = "") -> Motion | None:
    """What the first payloads promise; None where they hold no motion."""
    found = Motion({}, [], payloads, origin_ns)
    for kind, axes in SENSORS.items():
        blocks = list(islice(found.rows(kind), 3))
        if not blocks:
            continue
        whole = blocks[:-1] if len(blocks) > 1 else blocks
        seconds = sum(len(t) * (t[-1] - t[0]) / max(len(t) - 1, 1) for t, _, _ in whole) / 1e9
        name = f"{prefix}{'accel' if kind == b'ACCL' else 'gyro'}"
        rate_hz = sum(len(t) for t, _, _ in whole) / seconds if seconds > 0 else 200.0
        found.specs[name] = StreamSpec(
            name, "imu", rate_hz, (3,), "float32", "si", axes=axes, live=False, domain="file"
        )
        found.kinds[name] = kind
    if not found.kinds:
        return None
    if len(found.kinds) == 2:
        specs = found.specs[f"{prefix}accel"], found.specs[f"{prefix}gyro"]
        rows = (lambda: found.rows(b"ACCL")), (lambda: found.rows(b"GYRO"))
        found.combined = Combined.of(*rows, specs, f"{prefix}{COMBINED}")
        found.specs = {found.combined.made.id: found.combined.made, **found.specs}
        found.doubts.append(found.combined.doubt)
    return found


def walk(data: bytes, depth: int = 0) -> Iterator[tuple[bytes, bytes, int, bytes, int]]:
    """(name, type, bytes of a structure, content, depth) of every entry, parents before children; damage ends it."""
    at = 0
    while at + HEAD.size <= len(data):
        name, kind, size, n = HEAD.unpack_from(data, at)
        content = data[at + HEAD.size : at + HEAD.size + size * n]
        if not name.strip(b"\0"):
            return
        if len(content) < size * n or not name.isascii():
            yield b"", b"", 0, b"", depth
            return
        yield name, kind, size, content, depth
        if kind == b"\0" and depth < DEEPEST:
            yield from walk(content, depth + 1)
        at += HEAD.size + -(-size * n // 4) * 4


def _samples(data: bytes, wanted: bytes) -> NDArray[np.float32] | None:
    """(n, 3) SI values in the order x, y, z of one sensor in one payload; None where the payload is damaged."""
    about: dict[bytes, Any] = {}
    parts: list[NDArray[np.float32]] = []
    device = 0
    chosen: int | None = None
    if not data.startswith(GPMF_HEAD):
        return None
    for name, kind, size, content, _ in walk(data):
        if name == b"":
            return np.concatenate(parts) if parts else None
        if name == GPMF_HEAD:
            device += 1
        if name == b"STRM":
            about = {}
        elif name == wanted and chosen not in {None, device}:
            continue  # a gimbal's own sensor beside the camera's
        elif name == wanted and kind in TYPES and size == 3 * np.dtype(TYPES[kind]).itemsize:
            counts = np.frombuffer(content, TYPES[kind]).reshape(-1, 3).astype(np.float64)
            chosen = device
            parts.append(_placed(counts / _scale(about), about).astype(np.float32))
        elif name in {b"SCAL", b"ORIN", b"STNM"}:
            about[name] = np.frombuffer(content, TYPES[kind]) if kind in TYPES else content
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)


def _scale(about: dict[bytes, Any]) -> NDArray[np.float64]:
    """Divisors: one for all channels, or one each."""
    said = about.get(b"SCAL")
    if not isinstance(said, np.ndarray) or len(said) not in {1, 3} or not said.all():
        return np.ones(1)
    return said.astype(np.float64)


def _placed(values: NDArray[np.float64], about: dict[bytes, Any]) -> NDArray[np.float64]:
    """Channels as x, y, z: by ORIN (a small letter is a turned axis), by the sensor's spoken name, or by habit."""
    origin = about.get(b"ORIN", b"")
    letters = origin.decode(errors="replace").strip("\0 ") if isinstance(origin, bytes) else ""
    if sorted(letters.upper()) != ["X", "Y", "Z"]:
        spoken = about.get(b"STNM", b"")
        text = spoken.decode("latin-1").lower() if isinstance(spoken, bytes) else ""
        inside = re.search(r"\(([^)]*)\)?", text)
        names = [] if inside is None else [SPOKEN.get(part.strip(" \0"), "") for part in inside.group(1).split(",")]
        letters = "".join(names) if sorted(names) == ["X", "Y", "Z"] else DEFAULT_ORIGIN
    placed = np.empty_like(values)
    for channel, letter in enumerate(letters):
        placed[:, "XYZ".index(letter.upper())] = values[:, channel] * (1.0 if letter.isupper() else -1.0)
    return placed

"""Thermal pictures with temperatures in them: FLIR's FFF, SEQ and radiometric JPEG, and TIFF of counts."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions, Piece, stream_name
from stream_bind.importers.combine import mean_rate_hz
from stream_bind.importers.flir import FFF_HEADS, BadFrame, frame_of, frames_in, of_jpeg
from stream_bind.importers.picture_files import DEFAULT_RATE_HZ
from stream_bind.importers.picture_topics import physical
from stream_bind.messages import Chunk, ClockInfo, Raw, StreamSpec

__all__ = ["ThermalSource", "open_source"]

FILE = ClockInfo("file", 0)
JPEG, TIFF = b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
COUNTS_K = (0.01, 1 / 64, 0.04, 0.1)
"""Kelvin per count of the usual cameras: Lepton and Boson, InfiRay, FLIR's Tau and Duo."""
ROOM_K = (250.0, 340.0)
ZERO_CELSIUS_K = 273.15
LOOKED_AT = 64
"""Frames from which the rate is judged."""

Taken = tuple[NDArray[np.float32], int | None, Raw | None]
"""Kelvin (H, W), UNIX ns where the frame says it, and its counts where they are linear."""


@dataclass(slots=True)
class ThermalSource:
    """One stream of frames."""

    format: str
    name: str
    frames: Callable[[Counter[str]], Iterator[Taken]]
    """Anew at every call; counts what could not be read by why."""
    options: ImportOptions
    specs: dict[str, StreamSpec] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    _step: Fraction = Fraction(0)
    _stamped: bool = False

    def look(self, path: Path) -> ThermalSource:
        """Read its head. LogError where no frame can be had."""
        lost: Counter[str] = Counter()
        first: list[Taken] = []
        for taken in self.frames(lost):
            first.append((taken[0] if not first else taken[0][:0], taken[1], None))
            if len(first) == LOOKED_AT:
                break
        if not first:
            raise LogError(f"{path}: a {self.format} of which no frame can be read: {'; '.join(lost) or 'it is empty'}")
        stamps = [t_ns for _, t_ns, _ in first if t_ns is not None]
        self._stamped = len(stamps) == len(first) and (len(first) == 1 or len(set(stamps)) > 1)
        rate_hz = mean_rate_hz(np.array(stamps, np.int64)) if self._stamped else 0.0
        if not rate_hz:
            rate_hz = self.options.rate_hz or DEFAULT_RATE_HZ
            if self.options.rate_hz is None and len(first) > 1:
                self.doubts.append(f"{path}: its frames have no times; {rate_hz:g} a second assumed, --rate-hz says")
        if not self._stamped and self.options.start_ns is None:
            self.doubts.append(f"{path}: does not say when it was recorded; its times count from 0, --start says when")
        step = Fraction(rate_hz).limit_denominator(1001)
        self._step = Fraction(1_000_000_000) / step
        shape = first[0][0].shape
        self.specs = {
            self.name: StreamSpec(self.name, "thermal", rate_hz, shape, "float32", "K", live=False, domain="file")
        }
        return self

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        lost: Counter[str] = Counter()
        n_lost, zero_ns = 0, self.options.start_ns or 0
        for number, (kelvin, said, raw) in enumerate(self.frames(lost)):
            if kelvin.shape != self.specs[self.name].shape:
                lost["are of another size"] += 1
                continue
            t_ns = said if self._stamped and said is not None else zero_ns + int(number * self._step)
            gap, n_lost = lost.total() > n_lost, lost.total()
            yield Piece(self.name, Chunk(kelvin[None], np.array([t_ns], np.int64), gap, FILE, raw=raw))
        self.losses = [f"{self.name}: {n} frames: {why}" for why, n in lost.most_common(5)]

    def close(self) -> None:
        """Every pass opens the files anew."""


def open_source(path: Path, head: bytes, options: ImportOptions) -> ThermalSource | None:
    """Thermal pictures; None if `path` holds none. LogError where their counts do not say what they are."""
    if path.is_dir():
        return _folder(path, options)
    if head.startswith(FFF_HEADS):
        return ThermalSource("FLIR recording", "thermal", lambda lost: _sequence(path, lost), options).look(path)
    if head.startswith(JPEG):
        return _jpegs(path, [path], options)
    if head.startswith(TIFF):
        unit = _tiff_unit(path, options)
        return ThermalSource(
            "TIFF of counts", "thermal", lambda lost: _pages([path], unit, lost), options, doubts=_said(path, unit)
        ).look(path)
    return None


def _folder(path: Path, options: ImportOptions) -> ThermalSource | None:
    files = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    heads = {each: _head(each) for each in files}
    jpegs = [each for each, head in heads.items() if head.startswith(JPEG)]
    records = [each for each, head in heads.items() if head.startswith(FFF_HEADS)]
    if jpegs and of_jpeg(jpegs[0].read_bytes()) is not None:
        return _jpegs(path, jpegs, options)
    if records:
        name = stream_name(path.name)

        def read(lost: Counter[str]) -> Iterator[Taken]:
            for each in records:
                yield from _sequence(each, lost)

        return ThermalSource("folder of FLIR records", name, read, options).look(path)
    return None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _jpegs(path: Path, files: list[Path], options: ImportOptions) -> ThermalSource | None:
    if of_jpeg(files[0].read_bytes()) is None:
        return None

    def read(lost: Counter[str]) -> Iterator[Taken]:
        for each in files:
            data = of_jpeg(each.read_bytes())
            if data is None:
                lost["holds no record of FLIR"] += 1
                continue
            yield from _taken(data, lost)

    source = ThermalSource("FLIR radiometric JPEG", "thermal", read, options)
    source.skipped["picture"] = "the rendering that the JPEG shows holds no measurements"
    return source.look(path)


def _sequence(path: Path, lost: Counter[str]) -> Iterator[Taken]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for start, end in frames_in(data):
            yield from _taken(data[start:end], lost)


def _taken(data: bytes, lost: Counter[str]) -> Iterator[Taken]:
    try:
        frame = frame_of(data)
    except BadFrame as error:
        lost[str(error)] += 1
        return
    if frame.kelvin is None:
        lost["its constants of temperature are missing"] += 1
        return
    yield frame.kelvin, frame.t_ns, None


def _tiff_unit(path: Path, options: ImportOptions) -> tuple[float, float]:
    """Kelvin of a count, and at 0 counts. LogError where the numbers do not say it."""
    first = next(_raw_pages(path, Counter()), None)
    if first is None:
        raise LogError(f"{path}: is a TIFF without a page that can be read")
    if first.ndim != 2 or first.dtype == np.uint8:
        raise LogError(
            f"{path}: is one picture of {first.dtype} {'x'.join(map(str, first.shape[1::-1]))}, no radiometric "
            "recording; `stream-bind embed` takes it, or a folder of pictures"
        )
    if options.scale_k is not None:
        return options.scale_k, options.offset_k
    middle = float(np.nanmedian(first))
    if np.issubdtype(first.dtype, np.floating):
        return 1.0, ZERO_CELSIUS_K if middle < 200.0 else 0.0
    fitting = [scale for scale in COUNTS_K if ROOM_K[0] <= middle * scale <= ROOM_K[1]]
    hint = (
        f"; with {fitting[0]:g} its median would be {middle * fitting[0] - ZERO_CELSIUS_K:.1f} °C"
        if fitting
        else "; its maker's data sheet says which"
    )
    raise LogError(
        f"{path}: holds counts (median {middle:.0f}) and does not say what one is in kelvin; add --scale-k{hint}"
    )


def _said(path: Path, unit: tuple[float, float]) -> list[str]:
    return [f"{path}: its numbers are taken as degrees Celsius"] if unit == (1.0, ZERO_CELSIUS_K) else []


def _pages(files: list[Path], unit: tuple[float, float], lost: Counter[str]) -> Iterator[Taken]:
    for each in files:
        for counts in _raw_pages(each, lost):
            kelvin, raw = physical(counts, *unit)
            yield kelvin, None, raw


def _raw_pages(path: Path, lost: Counter[str]) -> Iterator[NDArray[Any]]:
    """(H, W) of every page, in this machine's byte order."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            for page in ImageSequence.Iterator(image):
                found = np.asarray(page)
                # Pillow gives 16-bit signed and some unsigned pages as int32.
                yield found.astype(np.uint16) if found.dtype == np.int32 and found.min() >= 0 else found
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        lost[f"cannot be read ({error})"] += 1

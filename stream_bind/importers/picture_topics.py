"""Messages of pictures as a stream: colour, depth, heat, packed or not, or frames of a video."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.importers.base import ImportOptions, Piece
from stream_bind.importers.pictures import COUNTS, PACKED, Unreadable, counts_of, rgb_of
from stream_bind.importers.records import Lens, Picture, Record
from stream_bind.importers.times import Times
from stream_bind.log.video import CODECS, FrameDecoder
from stream_bind.messages import Chunk, ClockInfo, Raw, StreamSpec

__all__ = ["FAR", "REP_118_M", "WARM", "PictureTopic", "physical", "picture_topic"]

FILE = ClockInfo("file", 0)
REP_118_M = 0.001
"""REP 118: 16UC1 is depth in millimetres."""
WARM = re.compile(r"therm|lepton|flir|infrared|lwir|seek|boson|(^|[/_])ir(\d*)([/_]|$)")
FAR = re.compile(r"depth|range|disparity")


@dataclass(slots=True)
class PictureTopic:
    """Pictures: colour as RGB, depth and heat in their units with the counts they came from."""

    spec: StreamSpec
    times: Times
    read: Callable[[Picture], NDArray[Any]]
    """To RGB, or to counts."""
    scale: float = 1.0
    offset: float = 0.0
    lost: Counter[str] = field(default_factory=Counter)
    video: FrameDecoder | None = None
    _gap: bool = False

    def take(self, record: Record, log_time_ns: int) -> Iterator[Piece]:
        """See TopicStream."""
        assert isinstance(record, Picture)
        t_ns = self.times(record, log_time_ns)
        if self.video is not None:
            for when, frame in self.video.frames(bytes(record.data), t_ns):
                yield from self._piece(frame, when, log_time_ns, None)
            self.lost["cannot be decoded"] = self.video.n_bad
            return
        try:
            pixels = self.read(record)
        except Unreadable as error:
            self.lost[str(error)] += 1
            self._gap = True
            return
        raw = (
            Raw([bytes(record.data)], "jpeg") if self.spec.modality == "vision" and record.encoding == "jpeg" else None
        )
        yield from self._piece(pixels, t_ns, log_time_ns, raw)

    def flush(self) -> Iterator[Piece]:
        """See TopicStream."""
        if self.video is not None:
            for when, frame in self.video.rest():
                yield from self._piece(frame, when, None, None)

    def _piece(self, pixels: NDArray[Any], t_ns: int, log_time_ns: int | None, raw: Raw | None) -> Iterator[Piece]:
        if pixels.shape != self.spec.shape:
            shape = "x".join(map(str, pixels.shape[1::-1]))
            self.lost[f"are {shape}, the first was {self.spec.shape[1]}x{self.spec.shape[0]}"] += 1
            self._gap = True
            return
        data = pixels
        if self.spec.unit in {"m", "K"}:
            data, raw = physical(pixels, self.scale, self.offset)
        chunk = Chunk(data[None], np.array([t_ns], np.int64), self._gap, FILE, raw=raw)
        self._gap = False
        yield Piece(self.spec.id, chunk, log_time_ns)


def physical(counts: NDArray[Any], scale: float, offset: float = 0.0) -> tuple[NDArray[np.float32], Raw | None]:
    """(H, W) metres or kelvin of counts, NaN where there is none, and the counts themselves where they are integers."""
    values: NDArray[np.float32] = counts.astype(np.float32)
    if scale != 1.0 or np.issubdtype(counts.dtype, np.integer):
        values = values * np.float32(scale)
    if offset:
        values += np.float32(offset)
    if np.issubdtype(counts.dtype, np.floating):
        values[~np.isfinite(values) | (counts == 0)] = np.nan
        return values, None
    values[values == 0] = np.nan
    encoding = {np.dtype(np.uint16): "16UC1", np.dtype(np.int16): "16SC1", np.dtype(np.uint8): "mono8"}.get(
        counts.dtype
    )
    return values, None if encoding is None else Raw(counts[None], encoding, scale, offset)


def picture_topic(
    name: str, topic: str, first: Picture, rate_hz: float, lens: Lens | None, times: Times, options: ImportOptions
) -> PictureTopic | str:
    """The stream of pictures that `first` begins; or why there is none."""
    if first.encoding in CODECS:
        return _video(name, first, rate_hz, lens, times)
    deep = _is_deep(first)
    where = f"{topic}/{first.frame_id}".lower()
    modality = options.modality
    if modality is None and deep:
        modality = "thermal" if WARM.search(where) else "depth"
        if modality == "depth" and first.encoding.lower() == "mono16" and not FAR.search(where):
            return "is 16-bit grey, and its name does not say of what; --modality depth or thermal says it"
    elif modality is None:
        modality = "thermal" if WARM.search(where) and first.encoding.lower() in {"mono8", "8uc1"} else "vision"
    if modality == "vision" and deep and first.encoding.lower() != "mono16":
        return f"is {first.encoding or first.pixels}, which is no colour"
    if modality == "thermal" and deep and options.scale_k is None and not _is_kelvin(first):
        return "its counts of heat do not say their unit; add --scale-k, such as 0.01, and --offset-k"
    read: Callable[[Picture], NDArray[Any]] = rgb_of if modality == "vision" else counts_of
    try:
        pixels = read(first)
    except Unreadable as error:
        return str(error)
    spec = StreamSpec(name, modality, rate_hz, pixels.shape, "uint8", "rgb8", live=False, domain="file")
    if lens is not None and (lens.intrinsics.height, lens.intrinsics.width) == pixels.shape[:2]:
        spec = replace(spec, intrinsics=lens.intrinsics)
    if modality == "vision":
        return PictureTopic(spec, times, read)
    if modality == "thermal" and pixels.dtype == np.uint8 and options.scale_k is None:
        return PictureTopic(replace(spec, unit="grey8"), times, read)
    integers = np.issubdtype(pixels.dtype, np.integer)
    if modality == "depth":
        scale = options.depth_unit_m or (REP_118_M if integers else 1.0)
        return PictureTopic(replace(spec, dtype="float32", unit="m"), times, read, scale)
    scale, offset = options.scale_k or 1.0, options.offset_k
    if options.scale_k is None and float(np.nanmedian(pixels)) < 200.0:
        offset = 273.15  # 32FC1 of heat is in degrees Celsius as a rule (ours for viewers too)
    return PictureTopic(replace(spec, dtype="float32", unit="K"), times, read, scale, offset)


def _video(name: str, first: Picture, rate_hz: float, lens: Lens | None, times: Times) -> PictureTopic | str:
    decoder = FrameDecoder(first.encoding)
    size = decoder.size_of(bytes(first.data))
    if size is None:
        return f"its first {first.encoding} message cannot be decoded"
    spec = StreamSpec(name, "vision", rate_hz, (*size, 3), "uint8", "rgb8", live=False, domain="file")
    if lens is not None and (lens.intrinsics.height, lens.intrinsics.width) == size:
        spec = replace(spec, intrinsics=lens.intrinsics)
    return PictureTopic(spec, times, rgb_of, video=decoder)


def _is_deep(picture: Picture) -> bool:
    if picture.encoding.startswith("compressedDepth"):
        return True
    if picture.encoding in PACKED:
        return picture.pixels.upper() in {"16UC1", "32FC1"}
    return picture.encoding.lower() in COUNTS and picture.encoding.lower() not in {"mono8", "8uc1"}


def _is_kelvin(picture: Picture) -> bool:
    return picture.encoding.upper() in {"32FC1", "64FC1"}

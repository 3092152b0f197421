"""Pictures in files, listed with their times, as one stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.still import read_colour, read_counts
from stream_bind.errors import DeviceError
from stream_bind.importers.base import ImportOptions, Piece
from stream_bind.importers.combine import mean_rate_hz
from stream_bind.importers.picture_topics import physical
from stream_bind.log.codec import decode_picture
from stream_bind.messages import Chunk, ClockInfo, Intrinsics, Raw, StreamSpec

__all__ = ["PictureList", "picture_list"]

FILE = ClockInfo("file", 0)
JPEG = b"\xff\xd8\xff"
DEFAULT_RATE_HZ = 10.0
"""Of pictures without times, as the image_file driver shows them."""
MILLIMETRE_M = 0.001


@dataclass(slots=True)
class PictureList:
    """Files in the order of their times."""

    name: str
    files: list[tuple[int, Path]]
    spec: StreamSpec
    scale: float = 1.0
    offset: float = 0.0
    lost: Counter[str] = field(default_factory=Counter)

    def pieces(self) -> Iterator[Piece]:
        """One picture each; what cannot be read leaves a gap."""
        gap = False
        self.lost.clear()
        for t_ns, path in self.files:
            try:
                pixels, sent = read(path, self.spec.modality)
            except (DeviceError, ValueError, OSError) as error:
                self.lost["cannot be read"] += 1
                del error
                gap = True
                continue
            if pixels.shape != self.spec.shape:
                shape = "x".join(map(str, pixels.shape[1::-1]))
                self.lost[f"are {shape}, the first is {self.spec.shape[1]}x{self.spec.shape[0]}"] += 1
                gap = True
                continue
            raw: Raw | None = None if sent is None else Raw([sent], "jpeg")
            data = pixels
            if self.spec.unit in {"m", "K"}:
                data, raw = physical(pixels, self.scale, self.offset)
            yield Piece(self.name, Chunk(data[None], np.array([t_ns], np.int64), gap, FILE, raw=raw))
            gap = False


def picture_list(
    name: str,
    files: list[tuple[int, Path]],
    modality: str,
    options: ImportOptions,
    *,
    depth_unit_m: float = MILLIMETRE_M,
    intrinsics: Intrinsics | None = None,
) -> PictureList | str:
    """The stream of these pictures; or why there is none. depth_unit_m: as the layout has it, where nobody says."""
    files = sorted(files)
    problem = "holds no picture"
    for _, path in files:
        try:
            pixels, _ = read(path, modality)
        except (DeviceError, ValueError, OSError) as error:
            problem = str(error)
            continue
        rate_hz = mean_rate_hz(np.array([t_ns for t_ns, _ in files], np.int64)) or options.rate_hz or DEFAULT_RATE_HZ
        spec = StreamSpec(name, modality, rate_hz, pixels.shape, "uint8", "rgb8", live=False, domain="file")
        if intrinsics is not None and (intrinsics.height, intrinsics.width) == pixels.shape[:2]:
            spec = replace(spec, intrinsics=intrinsics)
        if modality == "vision":
            return PictureList(name, files, spec)
        if modality == "depth":
            made = replace(spec, dtype="float32", unit="m")
            return PictureList(name, files, made, options.depth_unit_m or depth_unit_m)
        if options.scale_k is not None:
            return PictureList(name, files, replace(spec, dtype="float32", unit="K"), options.scale_k, options.offset_k)
        if pixels.dtype != np.uint8:
            return f"{path.name}: its counts of heat do not say their unit; add --scale-k, such as 0.01, and --offset-k"
        return PictureList(name, files, replace(spec, unit="grey8"))
    return problem


def read(path: Path, modality: str) -> tuple[NDArray[Any], bytes | None]:
    """RGB, or counts; and the file's bytes where they are a JPEG of colour. DeviceError, ValueError or OSError."""
    if modality != "vision":
        return read_counts(path), None
    with path.open("rb") as file:
        packed = file.read(3) == JPEG
    if not packed:
        try:
            return read_colour(path), None
        except DeviceError:
            # Grey of more than 8 bits, as TUM VI has it: all of its range is used.
            counts = read_counts(path)
            if counts.dtype != np.uint16:
                raise
            return np.repeat((counts >> 8).astype(np.uint8)[..., None], 3, axis=2), None
    sent = path.read_bytes()
    return decode_picture(sent), sent

"""A still picture, or a folder of them, as a camera, a depth sensor or a thermal camera."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from devices.pacing import RecordingConfig
from devices.recording import Block, Contents, Recording, check_file
from devices.still import read_colour, read_counts
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import StreamSpec
from stream_bind.registry import register_device

__all__ = ["ImageFile", "ImageFileConfig"]

logger = logging.getLogger(__name__)

_WANTED = "a picture (png, jpg, tiff, pgm, ...), a folder of them, or a pattern such as frames/*.png"
_RATE_HZ = 10.0
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pgm", ".ppm", ".bmp", ".webp"}


class ImageFileConfig(RecordingConfig):
    """Still pictures: one that is shown again and again, or many that are stepped through."""

    type: Literal["image_file"] = "image_file"
    """The device type, always "image_file"."""
    modality: Literal["vision", "depth", "thermal"] = "vision"
    """What the pictures show."""
    path: str
    """A picture, a folder (its pictures in the natural order of their names), or a pattern with * or ?."""
    rate_hz: float | None = Field(default=None, gt=0, le=1000)
    """Pictures per second of event time, by default 10, or what the file names say where they hold the times."""
    times: Literal["rate", "filename_ns"] = "rate"
    """Where time stamps come from: steps of `rate_hz`, or the number in each file's name, in UNIX ns."""
    duration_s: float | None = Field(default=None, gt=0)
    """How long a single picture is shown; by default for ever."""
    depth_unit_m: float = Field(default=0.001, gt=0)
    """Depth: metres per count (0.001 for most cameras); a count of 0 is a hole."""
    scale_k: float | None = Field(default=None, gt=0)
    """Thermal: kelvin per count; without it the picture must be 8-bit and is passed on as grey."""
    offset_k: float = 0.0
    """Thermal: temperature of count 0 in kelvin."""
    upright: bool = True
    """Turn pictures by their EXIF orientation, as viewers do; false keeps them as stored."""

    @model_validator(mode="after")
    def _ends(self) -> ImageFileConfig:
        if self.duration_s is not None and self.times == "filename_ns":
            raise ValueError("duration_s is for a single picture; with times: filename_ns the names say when")
        return self


@register_device("image_file", config=ImageFileConfig, modalities=("vision", "depth", "thermal"))
class ImageFile(Recording):
    """uint8 RGB, float32 metres (holes NaN), float32 kelvin, or uint8 grey heat. `bad_files` counts unreadable ones."""

    def __init__(self, config: ImageFileConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, stream_id, clock)
        self._config = config
        self._files: list[tuple[int, Path]] = []
        self._is_still = False
        self.bad_files = 0

    def _nominal(self, rate_hz: float = _RATE_HZ, size: tuple[int, int] = (-1, -1)) -> StreamSpec:
        modality = self._config.modality
        shape: tuple[int, ...]
        if modality == "vision":
            shape, dtype, unit = (*size, 3), "uint8", "rgb8"
        elif modality == "depth":
            shape, dtype, unit = size, "float32", "m"
        elif self._config.scale_k is not None:
            shape, dtype, unit = size, "float32", "K"
        else:
            shape, dtype, unit = size, "uint8", "grey8"
        return StreamSpec(
            id=self._id,
            modality=modality,
            rate_hz=self._config.rate_hz or rate_hz,
            shape=shape,
            dtype=dtype,
            unit=unit,
            live=False,
            domain="file",
        )

    def _block_size(self, spec: StreamSpec) -> int:
        return 1

    def _describe(self) -> Contents:
        files = self._find()
        self._is_still = str(files[0]) == str(Path(self._config.path)) and self._config.times == "rate"
        zero_ns, rate_hz = 0, self._config.rate_hz or _RATE_HZ
        if self._config.times == "filename_ns":
            stamped = sorted((self._stamp(path), path) for path in files)
            zero_ns = stamped[0][0]
            self._files = [(t_ns - zero_ns, path) for t_ns, path in stamped]
            span_ns = self._files[-1][0]
            rate_hz = (len(files) - 1) * 1e9 / span_ns if span_ns > 0 else rate_hz
        else:
            self._files = [(self._step_ns(i), path) for i, path in enumerate(files)]
        problem: DeviceError | None = None
        for path in files:
            try:
                picture = self._load(path)
            except DeviceError as error:
                problem = problem or error
                continue
            if self._is_still and self._config.rate == "max" and self._config.duration_s is None:
                raise DeviceError(
                    f"image_file {path}: one picture at rate max would be shown without end; set duration_s",
                    permanent=True,
                )
            return Contents(self._nominal(rate_hz, (picture.shape[0], picture.shape[1])), zero_ns)
        assert problem is not None
        raise problem

    def _step_ns(self, i: int) -> int:
        rate = Fraction(self._config.rate_hz or _RATE_HZ).limit_denominator(1001)
        return i * 1_000_000_000 * rate.denominator // rate.numerator

    def _find(self) -> list[Path]:
        path = Path(self._config.path)
        if any(mark in path.name for mark in "*?["):
            found = [file for file in path.parent.glob(path.name) if file.is_file()]
        elif path.is_dir():
            found = [file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES]
        else:
            check_file(path, "image_file", _WANTED)
            return [path]
        if not found:
            raise DeviceError(f"image_file {path}: no picture found there; wanted {_WANTED}", permanent=True)
        return sorted(found, key=_natural)

    def _stamp(self, path: Path) -> int:
        digits = re.search(r"\d+", path.stem)
        if digits is None:
            raise DeviceError(
                f"image_file {path}: its name holds no number of nanoseconds; set times: rate", permanent=True
            )
        return int(digits.group())

    def _blocks(self) -> Iterator[Block]:
        if self._is_still:
            yield from self._repeat(self._files[0][1])
            return
        self.bad_files = 0
        gap = False
        shape = self.spec.shape
        for t_ns, path in self._files:
            try:
                picture = self._load(path)
            except DeviceError as error:
                logger.warning("%s: %s", self._id, error)
                self.bad_files += 1
                gap = True
                continue
            if picture.shape != shape:
                raise DeviceError(
                    f"image_file {path}: is {picture.shape[1]}x{picture.shape[0]}, the pictures before it are "
                    f"{shape[1]}x{shape[0]}; bring them to one size",
                    permanent=True,
                )
            yield Block(picture[None], np.array([t_ns], dtype=np.int64), gap)
            gap = False

    def _repeat(self, path: Path) -> Iterator[Block]:
        picture = self._load(path)[None]
        end_ns = None if self._config.duration_s is None else round(self._config.duration_s * 1e9)
        for i in count():
            t_ns = self._step_ns(i)
            if end_ns is not None and t_ns >= end_ns:
                return
            yield Block(picture, np.array([t_ns], dtype=np.int64))

    def _load(self, path: Path) -> NDArray[Any]:
        config = self._config
        check_file(path, "image_file", _WANTED)
        if config.modality == "vision":
            return read_colour(path, config.upright)
        counts = read_counts(path, config.upright)
        if config.modality == "depth":
            if counts.dtype == np.uint8:
                raise DeviceError(
                    f"image_file {path}: is an 8-bit picture; depth wants 16-bit counts of depth_unit_m", permanent=True
                )
            metres = counts.astype(np.float32) * np.float32(config.depth_unit_m)
            return np.where(counts > 0, metres, np.float32(np.nan))
        if config.scale_k is not None:
            return (counts * config.scale_k + config.offset_k).astype(np.float32)
        if counts.dtype != np.uint8:
            raise DeviceError(
                f"image_file {path}: holds {counts.dtype} counts; set scale_k and offset_k "
                f"(kelvin per count and at count 0; 0.01 and 0 for a FLIR Lepton in TLinear mode)",
                permanent=True,
            )
        return counts


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key in which 2.png comes before 10.png."""
    parts = re.split(r"(\d+)", path.name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]

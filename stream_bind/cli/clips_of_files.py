"""Clips of recordings and pictures, cut by the same windower as a live stream's, without a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.errors import ClipError, ConfigError, EndOfStream
from stream_bind.messages import MODALITIES

__all__ = ["FileClip", "checked", "clips_of", "modality_of"]

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
VIDEOS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts"}
SOUNDS = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff"}
TABLES = {".csv", ".txt", ".tsv"}
START_NS = 1_000_000_000_000_000_000
"""Event time given to a file's first sample: a multiple of every hop below that is a whole number of nanoseconds times
a divisor of it, so that windows begin at the first sample."""


@dataclass(frozen=True, slots=True)
class FileClip:
    """One clip and where in its file it lies, in seconds from the first sample."""

    source: str
    modality: str
    start_s: float
    end_s: float
    coverage: float
    array: NDArray[Any]


def modality_of(path: Path, wanted: str | None, settings: Any = None) -> str:
    """What `path` holds, by its suffix; `wanted` decides where a suffix may hold several. ConfigError if unknown.

    settings: the encoder's, whose declared signals a table may hold, too.
    """
    signals = tuple(signal.name for signal in getattr(settings, "signals", ()))
    suffix = path.suffix.lower()
    for suffixes, modalities in (
        (PICTURES, ("vision", "depth", "thermal")),
        (VIDEOS, ("vision", "audio")),
        (SOUNDS, ("audio",)),
        (TABLES, ("imu", *signals)),
    ):
        if suffix in suffixes:
            if wanted is not None and wanted not in modalities:
                raise ConfigError(f"{path}: a {suffix} file holds {' or '.join(modalities)}, not {wanted}")
            return wanted or modalities[0]
    if path.is_dir():
        return wanted or "vision"
    if wanted is not None and wanted in {"audio", "imu", *signals}:
        return wanted
    raise ConfigError(
        f"{path}: cannot tell what a {suffix or 'nameless'} file holds; rename it, or say --modality audio or imu"
    )


def clips_of(
    path: Path, modality: str, model: str, settings: Any, hop_s: float | None, driver: Mapping[str, Any] | None = None
) -> Iterator[FileClip]:
    """The clips of one file: the first window alone, or one every `hop_s`. Settings are the encoder's (pydantic).

    driver: settings of the file's driver; those it does not have are passed over. A file shorter than one window gives
    one clip with its coverage. DeviceError, ClipError and ConfigError name the file.
    """
    from stream_bind.clock import ManualClock
    from stream_bind.messages import Missing
    from stream_bind.registry import DEVICES, ENCODERS
    from stream_bind.window import Windower

    is_still = modality in {"vision", "depth", "thermal"} and path.suffix.lower() not in VIDEOS and not path.is_dir()
    if is_still and modality == "vision" and "vision" in type(settings).model_fields:
        # The reference takes another path for a picture than for a video's two frames.
        settings = settings.model_copy(update={"vision": settings.vision.model_copy(update={"frames": 1})})
    encoder: Any = ENCODERS.get(model).cls
    maker = encoder.clip_maker(settings, modality)
    length_ns = round(maker.spec.length_s * 1e9)
    hop_ns = length_ns if hop_s is None else round(hop_s * 1e9)
    start_ns = START_NS // hop_ns * hop_ns
    entry = DEVICES.get(_device_type(path, modality))
    given: dict[str, Any] = {"path": str(path), "rate": "max", "start_time": start_ns / 1e9}
    if "modality" in entry.config.model_fields:  # type: ignore[attr-defined]
        given["modality"] = modality
    signal = next((one for one in getattr(settings, "signals", ()) if one.name == modality), None)
    if signal is not None:
        # A table of numbers says nothing of its unit: the model's own is taken, unless the driver is told another.
        given["unit"] = signal.unit or "1"
    if is_still:
        given["duration_s"] = maker.spec.length_s
    given |= {key: value for key, value in (driver or {}).items() if key in entry.config.model_fields}  # type: ignore[attr-defined]
    device: Any = entry.cls(checked(entry.config, given, str(path)), path.name, ManualClock(start_ns))
    device.open()
    try:
        spec = device.spec
        windower = Windower(
            spec,
            length_ns=length_ns,
            hop_ns=hop_ns,
            context_ns=round(maker.spec.context_s * 1e9),
            payload=maker.spec.payload,
        )
        short = None
        for window in chain.from_iterable(_results(device, windower)):
            if isinstance(window, Missing):
                continue
            if window.t_start_ns < start_ns or window.status == "ending":
                # Of a file shorter than one window the part that begins at its start is all there is.
                short = window if short is None and window.t_start_ns >= start_ns else short
                continue
            yield _clip(path, modality, maker, window, spec, start_ns)
            short = False
            if hop_s is None:
                return
        if short is None:
            raise ClipError(f"{path}: holds no sample of {modality}")
        if short is not False:
            yield _clip(path, modality, maker, short, spec, start_ns)
    finally:
        device.close()


def checked(model: Any, given: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Any:
    """Validated settings (a pydantic model); ConfigError with a line for each fault, `source` first."""
    from pydantic import ValidationError

    from stream_bind.config.document import Document, apply_overrides
    from stream_bind.config.problems import Problems

    document = Document(dict(given), source)
    apply_overrides(document, overrides)
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = Problems(document)
        problems.add_validation(error, (), {(): model.model_fields})
        problems.raise_if_any()
        raise


def _results(device: Any, windower: Any) -> Iterator[list[Any]]:
    while True:
        try:
            chunk = device.read(1.0)
        except EndOfStream:
            yield windower.finish()
            return
        if chunk is not None:
            yield windower.push(chunk)


def _clip(path: Path, modality: str, maker: Any, window: Any, spec: Any, start_ns: int) -> FileClip:
    try:
        array = maker.make(window, spec)
    except ClipError as error:
        raise ClipError(f"{path}: {error}") from error
    start_s, end_s = (window.t_start_ns - start_ns) / 1e9, (window.t_end_ns - start_ns) / 1e9
    return FileClip(str(path), modality, start_s, end_s, window.coverage, np.asarray(array))


def _device_type(path: Path, modality: str) -> str:
    if modality == "imu":
        return "imu_csv"
    if modality == "audio":
        return "audio_file"
    if modality not in MODALITIES:
        return "signal_csv"
    return "video_file" if path.suffix.lower() in VIDEOS else "image_file"

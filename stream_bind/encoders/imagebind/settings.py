"""What a configuration file may say about an ImageBind encoder. Imports no torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stream_bind.encoders.catalogue import SHIPPED
from stream_bind.encoders.imagebind.architecture import SMALL, ImageBindConfig, SignalConfig
from stream_bind.encoders.imagebind.directory import PREPROCESSING, ModelDirectory, read_directory
from stream_bind.encoders.preprocess.depth import DepthSettings
from stream_bind.encoders.preprocess.imu import ImuSettings
from stream_bind.encoders.preprocess.thermal import ThermalSettings
from stream_bind.errors import WeightsError
from stream_bind.messages import MODALITIES

__all__ = ["TINY", "AudioSettings", "ImageBindEncoderConfig", "ImageBindTinyConfig", "VisionSettings"]

TINY = SHIPPED["imagebind-tiny"]
"""The model directory that comes with the package."""
SCALING = ("mean", "std", "unit", "axes", "detrend")
"""What of a trained signal may be set anew; the rest is what its weights were trained for."""


class VisionSettings(BaseModel):
    """Which frames of a window are embedded, and which part of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    frames: Literal[1, 2] = 2
    """2: first and last frame of the window, the reference's video path; 1: one still image, its image path."""
    crop: Literal["first", "centre", "last"] = "centre"
    """Square of a two-frame clip: left or top, centre, right or bottom. Stills are cut at the centre."""
    pick: Literal["last", "middle", "first"] = "last"
    """With one frame: which of the window."""


class AudioSettings(BaseModel):
    """How a window of sound becomes spectrograms."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    clips: int = Field(default=3, ge=1, le=64)
    """Windows longer than 2 s are cut into this many evenly spaced 2 s clips, whose unit vectors are averaged."""


class ImageBindEncoderConfig(BaseModel):
    """One ImageBind model and how its inputs are made."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: Literal["imagebind"] = "imagebind"
    """The encoder type."""
    weights: str | None = None
    """Path of a model directory or of a .safetensors or .pth file, `random` for seeded untrained weights, or null for
    the pulled checkpoint. A directory brings its own size, settings, signals and vocabulary."""
    seed: int = Field(default=0, ge=0)
    """Seed of `weights: random`."""
    size: Literal["huge", "small"] | dict[str, Any] = "huge"
    """`huge` is the published model, `small` an untrained one for trials; or constructor arguments by name."""
    vocab: Path | None = None
    """Text vocabulary file (bpe_simple_vocab_16e6.txt.gz, or the model's own); null looks in the model directory,
    beside the weights and in the model cache."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")
    """auto takes a CUDA GPU if there is one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the computation; auto is bfloat16 on CUDA and float32 elsewhere."""
    signals: tuple[SignalConfig, ...] = ()
    """Sensor types that the published model does not have; a model directory declares those it was trained with."""
    modalities: tuple[str, ...] = Field(
        default=MODALITIES,
        min_length=1,
        json_schema_extra={"items": {"anyOf": [{"enum": list(MODALITIES)}, {"type": "string"}]}},
    )
    """Branches this encoder offers, each loads on its own; absent: all that the model has."""
    vision: VisionSettings = VisionSettings()
    """Frames and crop."""
    audio: AudioSettings = AudioSettings()
    """Clips of long windows."""
    depth: DepthSettings = DepthSettings()
    """Metres to disparity; undefined upstream."""
    thermal: ThermalSettings = ThermalSettings()
    """Temperature to grey; undefined upstream."""
    imu: ImuSettings = ImuSettings()
    """Order, units and standardisation; undefined upstream."""

    shipped: ClassVar[Path | None] = None
    """The model directory that `weights: null` stands for."""

    @model_validator(mode="before")
    @classmethod
    def _take_from_directory(cls, data: Any) -> Any:
        """What the YAML leaves out comes from the model directory that `weights` names."""
        if not isinstance(data, Mapping):
            return data
        try:
            directory = cls._directory(data.get("weights"))
        except WeightsError as error:
            raise ValueError(str(error)) from error
        if directory is not None:
            return {**data, **_of_directory(directory, data)}
        if data.get("signals") and "modalities" not in data:
            return {**data, "modalities": (*MODALITIES, *_names(data["signals"]))}
        return data

    @field_validator("modalities")
    @classmethod
    def _known_modalities(cls, value: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = (*MODALITIES, *(signal.name for signal in info.data.get("signals", ())))
        for name in value:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"there is no modality {name!r}{hint} (known: {', '.join(known)})")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.architecture()
        if self.weights is None and self.shipped is None and self.size != "huge":
            raise ValueError("only size huge has published weights; set weights: random or the path of a checkpoint")
        return self

    def architecture(self) -> ImageBindConfig:
        """The model's dimensions, all branches. ValueError where `size` does not fit together."""
        return _architecture(self.size, self.signals)

    def directory(self) -> ModelDirectory | None:
        """The model directory that the weights come from, None where they come from elsewhere. WeightsError."""
        return None if self.weights == "random" else self._directory(self.weights)

    @classmethod
    def _directory(cls, weights: Any) -> ModelDirectory | None:
        if cls.shipped is not None and weights in {None, "random"}:
            return read_directory(cls.shipped)
        if not isinstance(weights, str) or weights == "random" or not Path(weights).expanduser().is_dir():
            return None
        return read_directory(Path(weights).expanduser())


class ImageBindTinyConfig(ImageBindEncoderConfig):
    """imagebind-tiny, the small model that comes with the package: for the simulated world, nothing to fetch."""

    model: Literal["imagebind-tiny"] = "imagebind-tiny"  # type: ignore[assignment]
    """The encoder type."""
    weights: Literal["random"] | None = None
    """Null for the trained weights, `random` for seeded untrained ones in the same architecture."""

    shipped: ClassVar[Path | None] = TINY


def _names(signals: Any) -> tuple[str, ...]:
    """Names of signals before they are checked."""
    given = signals if isinstance(signals, list | tuple) else ()
    names = (one.get("name") if isinstance(one, Mapping) else getattr(one, "name", None) for one in given)
    return tuple(name for name in names if isinstance(name, str))


def _architecture(size: str | Mapping[str, Any], signals: tuple[SignalConfig, ...]) -> ImageBindConfig:
    sizes: Mapping[str, Any] = {"huge": {}, "small": SMALL}[size] if isinstance(size, str) else size
    if "signals" in sizes:
        raise ValueError("size: `signals` stands beside `size`, not in it")
    try:
        return ImageBindConfig(**sizes, signals=signals)
    except TypeError as error:
        raise ValueError(f"size: {error}") from error


def _of_directory(directory: ModelDirectory, given: Mapping[str, Any]) -> dict[str, Any]:
    """The directory's settings under those that were given. ValueError where these contradict what was trained."""
    size = given.get("size")
    if size is not None:
        own = _architecture(directory.architecture_arguments(), ())
        if not (size in ("huge", "small") or isinstance(size, Mapping)) or _architecture(size, ()) != own:
            raise ValueError(
                f"size: the model directory {directory.path} has dimensions of its own, which are others; leave `size` "
                "out"
            )
    signals = _signals_of(directory, given.get("signals"))
    trained = directory.architecture.modalities
    settings: dict[str, Any] = {
        "size": directory.architecture_arguments(),
        "signals": tuple(signals.values()),
        "modalities": given.get("modalities") or (*trained, *(name for name in signals if name not in trained)),
    }
    for modality in PREPROCESSING:
        own_settings, told = directory.preprocessing.get(modality, {}), given.get(modality)
        if isinstance(told, BaseModel):
            told = told.model_dump(exclude_unset=True)
        if told is None or isinstance(told, Mapping):
            settings[modality] = {**own_settings, **(told or {})}
    return settings


def _signals_of(directory: ModelDirectory, given: Any) -> dict[str, Any]:
    """The directory's signals by name with what was given of them, and further ones, which have no weights yet."""
    signals = {signal.name: asdict(signal) for signal in directory.architecture.signals}
    for one in given if isinstance(given, list | tuple) else ():
        told: Any = asdict(one) if isinstance(one, SignalConfig) else one
        name = told.get("name") if isinstance(told, Mapping) else None
        own = signals.get(str(name))
        if own is None:
            signals[str(name)] = told
            continue
        for key, value in told.items():
            plain = tuple(value) if isinstance(value, list) else value
            if key not in SCALING and key in own and plain != own[key]:
                raise ValueError(
                    f"signals: {name}: {key} is {own[key]!r} in the model directory {directory.path}, and its weights "
                    f"were trained so; leave it out (found {value!r})"
                )
        signals[str(name)] = {**own, **told}
    return signals

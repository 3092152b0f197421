"""The bind YAML: which sensor is bound to which model, through what, on which data. Imports no torch."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from stream_bind.config.document import Document, apply_overrides, parse_document, read_document
from stream_bind.config.load import build_config
from stream_bind.config.problems import Problems
from stream_bind.config.schema import StreamConfig
from stream_bind.errors import ConfigError
from stream_bind.training.settings import TrainSettings

__all__ = ["BindConfig", "DataConfig", "SignalSection", "TakeConfig", "load_binding", "parse_binding", "take_streams"]

_CLOSED = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
CHOSEN = ("train", "anchor")
"""Training settings that the file says elsewhere."""


def _seconds(value: Any) -> Any:
    """500ms, 30s, 10m, 1h30m or a number of seconds."""
    if not isinstance(value, str):
        return value
    words = value.strip()
    if not words or _PART.sub("", words):
        raise ValueError(f"expected a length of time such as 30s, 10m or 1h30m, found {value!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(words))


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Start = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]


class SignalSection(BaseModel):
    """A sensor type that the base model does not have: what it delivers, and how wide its branch is."""

    model_config = _CLOSED

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    """Its modality's name, in YAML and in topics."""
    channels: int = Field(ge=1)
    """Numbers of one sample."""
    rate_hz: float = Field(gt=0)
    """Samples per second of the model's input; any sensor's rate is resampled to it."""
    length_s: float = Field(gt=0)
    """Length of the window that makes one clip."""
    unit: str = ""
    """Unit of the samples, which a stream's must then be; empty: any."""
    axes: tuple[str, ...] = ()
    """Names of the channels in the model's order; empty: as the sensor has them."""
    detrend: Literal["none", "mean", "linear"] = "none"
    """What each window loses: its mean, or its straight line."""
    mean: tuple[float, ...] | None = None
    """Subtracted from each channel; null: the training data's own."""
    std: tuple[float, ...] | None = None
    """Divides each channel; null: the training data's own."""
    kernel: int | None = Field(default=None, ge=1)
    """Consecutive samples that make one token; null: what makes about fifty."""
    embed_dim: int = Field(default=96, ge=1)
    """Width of the branch."""
    num_blocks: int = Field(default=3, ge=1)
    """Transformer blocks."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads; divides the width."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last block that is skipped at random in training."""
    head_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Share of the head's features that is dropped at random in training."""

    def arguments(self, mean: Sequence[float] | None = None, std: Sequence[float] | None = None) -> dict[str, Any]:
        """Arguments of SignalConfig, with these figures where the file gives none."""
        body = self.model_dump()
        body["mean"] = self.mean if self.mean is not None else tuple(mean or ())
        body["std"] = self.std if self.std is not None else tuple(std or ())
        n = round(self.rate_hz * self.length_s)
        if self.kernel is None:
            fits = [k for k in range(1, n + 1) if n % k == 0]
            body["kernel"] = min(fits, key=lambda k: abs(n / k - 50)) if fits else 1
        return body


class TakeConfig(BaseModel):
    """Sensors that are or were read together: a rig's file, or streams as in one."""

    model_config = _CLOSED

    rig: Path | None = None
    """A rig configuration, from which the streams of the two modalities are taken; or give `streams`."""
    streams: list[Any] | None = None
    """Streams as in a rig configuration."""
    simulate: bool = False
    """Swap every device for its simulated twin."""
    seeds: tuple[int, ...] = ()
    """Simulated sensors: worlds to read one after the other, each for `duration`; empty: the devices' own."""
    start: Start = 0.0
    """How long after the first sample the first window may begin."""
    duration: Duration | None = None
    """For how long windows are taken (30s, 10m, 1h); needed of simulated and live sensors, else to the end."""
    hop_s: float | None = Field(default=None, gt=0)
    """Time from one moment to the next; absent: as the streams' windows say."""
    captions: Path | None = None
    """A CSV file start_s,end_s,text, counted from the first sample; binding to text needs one of recorded sensors."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.rig is None) == (self.streams is None):
            raise ValueError("give either `rig:` (a file) or `streams:` (a list)")
        return self


class DataConfig(BaseModel):
    """What is trained on, and what is only looked at."""

    model_config = _CLOSED

    train: tuple[TakeConfig, ...] = Field(min_length=1)
    """Takes to train on."""
    held_out: tuple[TakeConfig, ...] = Field(min_length=1)
    """Takes to measure on, of other sources, or of other times of the same."""


class BindConfig(BaseModel):
    """One binding. Build it with `load_binding`."""

    model_config = _CLOSED

    version: Literal[1]
    """Version of this file's layout."""
    base: str | dict[str, Any] = "imagebind-tiny"
    """The model that is bound to: imagebind-tiny, imagebind (the published weights), a model directory's path, or an
    encoder section as in a rig's file."""
    output: Path
    """The model directory to be written."""
    signal: SignalSection | None = None
    """A sensor type that the base does not have; or give `sensor`."""
    sensor: str | None = None
    """A modality that the base has, to be trained on with these data; or give `signal`."""
    anchor: Literal["vision", "text"] = "vision"
    """The frozen branch it is bound through."""
    data: DataConfig
    """What is trained and measured on."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training settings, see stream_bind.training.settings.TrainSettings."""

    @model_validator(mode="after")
    def _one_sensor(self) -> Self:
        if (self.signal is None) == (self.sensor is None):
            raise ValueError("give either `signal:` (a sensor type that is new) or `sensor:` (one that the base has)")
        return self

    @property
    def base_name(self) -> str:
        """The base in words."""
        if isinstance(self.base, str):
            return self.base
        return f"{self.base.get('model')} ({self.base.get('weights') or 'published weights'})"

    @property
    def modality(self) -> str:
        """The sensor that is bound."""
        return self.signal.name if self.signal is not None else str(self.sensor)

    def settings(self) -> TrainSettings:
        """The training settings with the branches of this binding."""
        return TrainSettings.model_validate({**self.training, "train": (self.modality,), "anchor": self.anchor})


@dataclass(frozen=True)
class LoadedBinding:
    """A checked file, and where everything in it stands."""

    config: BindConfig
    document: Document


def load_binding(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> LoadedBinding:
    """The checked bind file at `path`; relative paths in it count from where the command is run.

    Raises ConfigError with every fault in `problems`, one `file:line:col: path: message` each.
    """
    return _build(read_document(path), overrides)


def parse_binding(text: str, overrides: Sequence[str] = (), *, source: str = "<text>") -> LoadedBinding:
    """As load_binding, from YAML text."""
    return _build(parse_document(text, source), overrides)


def take_streams(loaded: LoadedBinding, side: str, index: int, encoder: Mapping[str, Any]) -> tuple[StreamConfig, ...]:
    """The streams of one take that this binding needs, checked as those of a rig.

    encoder: the encoder section, as in YAML, of the model that is bound to. ConfigError as load_config raises it.
    """
    config = loaded.config
    take = getattr(config.data, side)[index]
    if take.rig is not None:
        document = read_document(take.rig)
    else:
        document = _below(loaded.document, ("data", side, index, "streams"))
    document.data = copy.deepcopy(document.data)
    document.data.pop("encoders", None)
    document.data["encoder"] = dict(encoder)
    document.data.setdefault("version", 1)
    document.data.setdefault("rig", "bind")
    streams = document.data.get("streams")
    wanted = [config.modality, *([] if config.anchor == "text" else [config.anchor])]
    for raw in streams if isinstance(streams, list) else ():
        if isinstance(raw, dict):
            raw.pop("encoder", None)
            if take.hop_s is not None:
                raw["window"] = {**(raw.get("window") or {}), "hop_s": take.hop_s}
    rig = build_config(document, simulate=take.simulate, files=True, weights=False)
    found = tuple(next((s for s in rig.streams if s.modality == m), None) for m in wanted)
    place = loaded.document.where(("data", side, index)).text
    for modality, stream in zip(wanted, found, strict=True):
        if stream is None:
            has = ", ".join(dict.fromkeys(s.modality for s in rig.streams))
            raise ConfigError(f"{place}: data.{side}[{index}]: no {modality} stream is in it (it has {has}); add one")
    return tuple(s for s in found if s is not None)


def _build(document: Document, overrides: Sequence[str]) -> LoadedBinding:
    apply_overrides(document, overrides)
    problems = Problems(document)
    known: dict[tuple[str | int, ...], Any] = {
        (): BindConfig.model_fields,
        ("signal",): SignalSection.model_fields,
        ("data",): DataConfig.model_fields,
    }
    for side in ("train", "held_out"):
        takes = (document.data.get("data") or {}).get(side) if isinstance(document.data.get("data"), Mapping) else None
        for index in range(len(takes) if isinstance(takes, list) else 0):
            known["data", side, index] = TakeConfig.model_fields
    config: BindConfig | None = None
    try:
        config = BindConfig.model_validate(document.data)
    except ValidationError as error:
        problems.add_validation(error, (), known)
    _check_training(document, problems)
    if config is not None and config.sensor is not None and config.sensor == config.anchor:
        problems.add(("anchor",), f"{config.anchor} cannot be trained and be the frozen anchor at once")
    problems.raise_if_any()
    assert config is not None
    return LoadedBinding(config, document)


def _check_training(document: Document, problems: Problems) -> None:
    raw = document.data.get("training")
    if not isinstance(raw, Mapping):
        return
    keys = [key for key in TrainSettings.model_fields if key not in CHOSEN]
    for key in CHOSEN:
        if key in raw:
            problems.add(
                ("training", key), f"{key!r} is said at the top of the file, by sensor, signal and anchor", key=True
            )
    body = {key: value for key, value in raw.items() if key not in CHOSEN} | {"train": ("sensor",), "anchor": "vision"}
    known: dict[tuple[str | int, ...], Any] = {(): keys}
    for key, field in TrainSettings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            known[key,] = field.annotation.model_fields
    try:
        TrainSettings.model_validate(body)
    except ValidationError as error:
        problems.add_validation(error, ("training",), known)


def _below(document: Document, prefix: tuple[str | int, ...]) -> Document:
    """The streams of a take as a document of their own that remembers their places."""
    node: Any = document.data
    for part in prefix:
        node = node[part]
    size = len(prefix)

    def moved(places: Mapping[Any, Any]) -> dict[Any, Any]:
        return {("streams", *path[size:]): at for path, at in places.items() if path[:size] == prefix}

    return Document(
        {"streams": node},
        document.source,
        keys=moved(document.keys),
        values=moved(document.values),
        overrides=moved(document.overrides),
    )

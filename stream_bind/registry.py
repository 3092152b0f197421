"""Names to classes, loaded late: a driver, an encoder or a sink is one file with one registering decorator.

Built-in names map to module paths here as strings, so that nothing is imported before it is used and the config layer
can list every known type. Out-of-tree plug-ins add theirs through the entry-point group `stream_bind.plugins`: each
entry point is a module whose import runs the decorators.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from stream_bind.errors import ConfigError
from stream_bind.messages import MODALITIES

__all__ = [
    "ANY_SIGNAL",
    "DEVICES",
    "ENCODERS",
    "SINKS",
    "Entry",
    "Registry",
    "register_device",
    "register_encoder",
    "register_sink",
]

PLUGIN_GROUP = "stream_bind.plugins"
ANY_SIGNAL = "*"
"""Among a driver's modalities: whatever sensor type a stream's encoder declares beyond MODALITIES."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered class with its pydantic config class."""

    name: str
    cls: type
    config: type
    modalities: tuple[str, ...]

    def delivers(self, modality: Any) -> bool:
        """Whether a driver can deliver `modality`."""
        return modality in self.modalities or (
            ANY_SIGNAL in self.modalities and isinstance(modality, str) and modality not in MODALITIES
        )


class Registry:
    """Named entries of one kind. Lookup imports the built-in module, or all plug-ins, at the first need."""

    def __init__(self, noun: str, builtin: Mapping[str, str]) -> None:
        self.noun = noun
        self._builtin = dict(builtin)
        self._entries: dict[str, Entry] = {}
        self._plugins_loaded = False

    def register(self, name: str, config: type, modalities: tuple[str, ...]) -> Callable[[type], type]:
        def enter(cls: type) -> type:
            old = self._entries.get(name)
            if old is not None and old.cls.__module__ != cls.__module__:
                raise ValueError(
                    f"{self.noun} type {name!r} is registered twice: {old.cls.__module__} and {cls.__module__}"
                )
            self._entries[name] = Entry(name, cls, config, modalities)
            return cls

        return enter

    def names(self) -> tuple[str, ...]:
        """Every known type, built in or from plug-ins, sorted."""
        self._load_plugins()
        return tuple(sorted(set(self._builtin) | set(self._entries)))

    def get(self, name: str) -> Entry:
        """The entry called `name`; ConfigError with the nearest known name otherwise."""
        if name not in self._entries and name in self._builtin:
            importlib.import_module(self._builtin[name])
        if name not in self._entries:
            self._load_plugins()
        if name not in self._entries:
            known = ", ".join(self.names())
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown {self.noun} type {name!r}{hint} (known: {known})")
        return self._entries[name]

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in entry_points(group=PLUGIN_GROUP):
            try:
                point.load()
            except Exception as error:
                raise ConfigError(f"plug-in {point.name} ({point.value}) does not load: {error}") from error


DEVICES = Registry(
    "device",
    {
        "video_file": "devices.video_file",
        "video_stream": "devices.video_stream",
        "v4l2_camera": "devices.v4l2_camera",
        "lepton_thermal": "devices.lepton_thermal",
        "infiray_thermal": "devices.infiray_thermal",
        "opencv_camera": "devices.opencv_camera",
        "realsense_depth": "devices.realsense_depth",
        "oak_depth": "devices.oak_depth",
        "microphone": "devices.microphone",
        "audio_file": "devices.audio_file",
        "image_file": "devices.image_file",
        "imu_csv": "devices.imu_csv",
        "signal_csv": "devices.signal_csv",
        "serial_imu": "devices.serial_imu",
        "serial_signal": "devices.serial_signal",
        "mlx90640_thermal": "devices.mlx90640_thermal",
        "simulated": "devices.simulated",
        "faulty": "devices.faulty",
        "replay": "devices.replay",
    },
)
ENCODERS = Registry(
    "encoder",
    {
        "imagebind": "stream_bind.encoders.imagebind.encoder",
        "imagebind-tiny": "stream_bind.encoders.imagebind.encoder",
        "languagebind": "stream_bind.encoders.languagebind.encoder",
    },
)
SINKS = Registry("sink", {"jsonl": "stream_bind.sinks.jsonl"})


def register_device(name: str, *, config: type, modalities: tuple[str, ...]) -> Callable[[type], Any]:
    """Class decorator of a driver: `name` is its `type:` in YAML."""
    return DEVICES.register(name, config, modalities)


def register_encoder(name: str, *, config: type, modalities: tuple[str, ...]) -> Callable[[type], Any]:
    """Class decorator of an encoder: `name` is its `model:` in YAML."""
    return ENCODERS.register(name, config, modalities)


def register_sink(name: str, *, config: type) -> Callable[[type], Any]:
    """Class decorator of a sink: `name` is its `type:` in YAML."""
    return SINKS.register(name, config, modalities=())

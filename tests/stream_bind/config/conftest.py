"""A bench driver and a toy encoder, so that the config layer is tested without anybody else's code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict

from stream_bind.clock import Clock
from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import ConfigError, DeviceError, WeightsError
from stream_bind.messages import IMU_AXES, StreamSpec
from stream_bind.registry import DEVICES, ENCODERS


class BenchConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = "vision"
    path: Path | None = None
    rate_hz: float = 30.0
    axes: tuple[str, ...] = IMU_AXES
    unit: Literal["g", "mps2"] = "mps2"
    broken: bool = False


class Bench:
    def __init__(self, config: BenchConfig, stream_id: str, clock: Clock) -> None:
        self.config, self.stream_id = config, stream_id

    def open(self) -> None:
        if self.config.broken:
            raise DeviceError("bench: notes.txt is no video file", permanent=True)

    def close(self) -> None:
        pass

    @property
    def spec(self) -> StreamSpec:
        kind = self.config.kind
        axes = self.config.axes if kind == "imu" else ()
        return StreamSpec(
            self.stream_id,
            kind,
            self.config.rate_hz,
            (len(axes),),
            "float32",
            "si",
            axes=axes,
            live=not self.config.broken,
        )


class ToyConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "toy"
    weights: str | None = None
    size: str = "small"
    device: str = "cpu"


class Toy:
    @classmethod
    def modalities(cls, config: ToyConfig) -> tuple[str, ...]:
        return ("vision", "audio", "imu")

    @classmethod
    def clip_maker(cls, config: ToyConfig, modality: str, length_s: float | None = None) -> Any:
        if modality not in cls.modalities(config):
            raise ConfigError(f"toy has no {modality}; it has vision, audio, imu")
        axes = IMU_AXES if modality == "imu" else ()
        spec = ClipSpec(modality, 5.0 if modality == "imu" else 2.0, 0.5, (3, 2), "float32", axes=axes)
        return SimpleNamespace(spec=spec)

    @classmethod
    def check_weights(cls, config: ToyConfig) -> None:
        if config.weights != "random":
            raise WeightsError("toy: no weights in the cache; get them with `stream-bind models pull toy`")


@pytest.fixture(autouse=True)
def _bench() -> Iterator[None]:
    DEVICES.register("bench", BenchConfig, ("vision", "audio", "imu", "thermal"))(Bench)
    ENCODERS.register("toy", ToyConfig, ("vision", "audio", "imu"))(Toy)
    yield
    DEVICES._entries.pop("bench")
    ENCODERS._entries.pop("toy")


RIG = """\
version: 1
rig: bench
encoder: {model: toy, weights: random}
streams:
  - id: cam
    modality: vision
    device: {type: bench}
"""


@pytest.fixture
def rig() -> str:
    """The smallest rig that loads."""
    return RIG

"""Lanes: one (stream, encoder) pair each, with the grid that its windows follow after all defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stream_bind.config.schema import EncoderConfig, RigConfig, StreamConfig
from stream_bind.registry import ENCODERS

__all__ = ["Lane", "clip_spec", "resolve", "resolve_lane"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream as one encoder sees it. Times in nanoseconds."""

    stream: str
    encoder: str
    modality: str
    length_ns: int
    hop_ns: int
    lateness_ns: int | None
    """None: the driver's own (StreamSpec.lateness_s)."""
    min_coverage: float
    queue_policy: str
    queue_depth: int
    queue_bytes: int
    context_ns: int = 0
    """Native samples needed before a window's start."""
    wanted_axes: tuple[str, ...] = ()
    """IMU columns the encoder needs."""
    payload: str = "all"
    """all, or edges: only the first and last frame of every hop cell."""
    partial: bool = False
    """Whether windows across the stream's beginning or end are embedded."""

    @property
    def key(self) -> tuple[str, str]:
        return self.stream, self.encoder


def resolve(config: RigConfig) -> list[Lane]:
    """Every lane of the rig: streams in the file's order, encoders in each stream's order."""
    return [
        resolve_lane(stream, name, config.encoders[name])
        for stream in config.streams
        for name in config.encoder_names(stream)
    ]


def resolve_lane(stream: StreamConfig, name: str, encoder: EncoderConfig) -> Lane:
    """One lane. Raises ConfigError where the encoder cannot embed the stream's modality at this window length."""
    window = stream.window
    spec = clip_spec(encoder, stream.modality, window.length_s)
    lateness_ms = window.lateness_ms
    return Lane(
        stream=stream.id,
        encoder=name,
        modality=stream.modality,
        length_ns=round((spec.length_s if window.length_s is None else window.length_s) * 1e9),
        hop_ns=round((spec.hop_s if window.hop_s is None else window.hop_s) * 1e9),
        lateness_ns=None if lateness_ms is None else round(lateness_ms * 1e6),
        min_coverage=window.min_coverage,
        queue_policy=stream.queue_policy,
        queue_depth=stream.queue_depth,
        queue_bytes=stream.queue_bytes,
        context_ns=round(spec.context_s * 1e9),
        wanted_axes=tuple(spec.axes),
        payload=spec.payload,
        partial=window.partial,
    )


def clip_spec(encoder: EncoderConfig, modality: str, length_s: float | None = None) -> Any:
    """The ClipSpec (encoders/base.py) by which `encoder` describes the clip it wants of `modality`."""
    entry: Any = ENCODERS.get(encoder.model).cls
    return entry.clip_maker(encoder.settings, modality, length_s).spec

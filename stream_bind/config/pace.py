"""Whether an encoder keeps up with its hops, from measured seconds per clip; no claim where none was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_bind.config.lanes import Lane
from stream_bind.config.schema import EncoderConfig

__all__ = ["load_factor", "pace_warnings", "seconds_per_clip"]

CPU_SECONDS = {
    ("imagebind", "huge"): {"vision": 2.48, "audio": 0.220, "depth": 0.061, "thermal": 0.182, "imu": 0.054},
}
"""Seconds per clip by model and size: float32, 2 threads of an AVX-512 Xeon, batch of one, torch 2.13. Batching gains
nothing on a CPU. The small sizes take milliseconds and are not listed."""

HEADROOM = 0.9
"""Share of a worker's time that may be promised; the rest absorbs load spikes."""


def seconds_per_clip(encoder: EncoderConfig, modality: str) -> float | None:
    """Measured seconds of one clip on the CPU, or None: not measured, or the encoder runs on a GPU."""
    if _on_gpu(encoder):
        return None
    size = str(getattr(encoder.settings, "size", ""))
    return CPU_SECONDS.get((encoder.model, size), {}).get(modality)


def _on_gpu(encoder: EncoderConfig) -> bool:
    device = str(getattr(encoder.settings, "device", "auto"))
    if device != "auto":
        return device != "cpu"
    return encoder.num_gpus > 0 or Path("/dev/nvidiactl").exists()


def load_factor(lanes: Sequence[Lane], seconds: Mapping[str, float], workers: int) -> float:
    """Share of the workers' time that the lanes ask for; above 1 clips are dropped. `seconds`: per modality."""
    return sum(seconds.get(lane.modality, 0.0) * 1e9 / lane.hop_ns for lane in lanes) / workers


def pace_warnings(encoders: Mapping[str, EncoderConfig], lanes: Sequence[Lane]) -> list[str]:
    """One line for each encoder that cannot keep up, with the hop or the model that would."""
    lines = []
    for name, encoder in encoders.items():
        mine = [lane for lane in lanes if lane.encoder == name]
        seconds = {lane.modality: seconds_per_clip(encoder, lane.modality) or 0.0 for lane in mine}
        line = pace_warning(name, encoder, mine, seconds, "on a CPU like the one measured (2 cores)")
        if line:
            lines.append(line)
    return lines


def pace_warning(
    name: str, encoder: EncoderConfig, lanes: Sequence[Lane], seconds: Mapping[str, float], where: str
) -> str | None:
    """The warning for one encoder whose clips take `seconds` per modality, or None if it keeps up."""
    load = load_factor(lanes, seconds, encoder.workers)
    if load <= HEADROOM:
        return None
    heavy = max(lanes, key=lambda lane: seconds[lane.modality] / lane.hop_ns)
    factor = math.ceil(load / HEADROOM)
    remedies = [f"hops {factor} times as long ({_hops(lanes, factor)})"]
    alone = load - seconds[heavy.modality] * 1e9 / heavy.hop_ns / encoder.workers
    if alone < HEADROOM and len(lanes) > 1:
        hop_s = _hop_alone(heavy, lanes, seconds, encoder.workers, alone)
        remedies.insert(0, f"hop_s: {hop_s:g} for {heavy.stream!r} alone")
    if _has_smaller(encoder.settings):
        remedies.append("`size: small`")
    remedies.append("a GPU (num_gpus: 1)")
    return (
        f"encoders.{name}: cannot keep up: {seconds[heavy.modality]:.2g} s for a {heavy.modality} clip {where}, and "
        f"its {len(lanes)} streams ask for {load:.1f} times what {encoder.workers} worker(s) can do; "
        f"what would: {', or '.join(remedies)}"
    )


def _hops(lanes: Sequence[Lane], factor: int) -> str:
    return ", ".join(f"{lane.stream}: {lane.hop_ns * factor / 1e9:g} s" for lane in lanes)


def _hop_alone(lane: Lane, lanes: Sequence[Lane], seconds: Mapping[str, float], workers: int, others: float) -> float:
    """The least multiple of the lane's hop that fits into the time the other lanes leave and lines up with theirs."""
    needed_ns = seconds[lane.modality] / workers / (HEADROOM - others) * 1e9
    rest = [other.hop_ns for other in lanes if other.stream != lane.stream]
    hop_ns = math.ceil(needed_ns / lane.hop_ns) * lane.hop_ns
    while any(hop_ns % other and other % hop_ns for other in rest):
        hop_ns += lane.hop_ns
    return hop_ns / 1e9


def _has_smaller(settings: Any) -> bool:
    return getattr(settings, "size", None) == "huge"

"""`stream-bind doctor`: what is missing here, whether the encoders of a rig keep up, and how its sensors do."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.finding import Finding, finding_json, put_finding
from stream_bind.cli.machine import endpoint_finding, machine_findings
from stream_bind.cli.page import Page
from stream_bind.errors import StreamBindError

if TYPE_CHECKING:
    from stream_bind.config import EncoderConfig, Lane, RigConfig

__all__ = ["doctor_command"]

SLOW_S = 2.0
"""A clip slower than this is timed once; faster ones three times after a warm-up."""


def doctor_command(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file whose needs and sensors are looked at too.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, over the file.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long each sensor is watched.")] = 5.0,
    skip_sensors: Annotated[bool, typer.Option("--skip-sensors", help="Open no sensor.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines, one finding each, with the figures.")] = False,
) -> None:
    """Say what this machine has and lacks, with the command that mends it, and test the sensors of a file.

    Exit code 1 if a run would fail.
    """
    lacking = False
    page, stream = Page(), None
    for finding in _findings(config, settings or [], 0.0 if skip_sensors else seconds):
        lacking |= finding.status == "lacking"
        if as_json:
            print(finding_json(finding), flush=True)
        else:
            if finding.figures.get("stream") != stream:
                stream = finding.figures.get("stream")
                page.put()
            put_finding(page, finding)
    if lacking:
        raise typer.Exit(1)


def _findings(config: Path | None, settings: list[str], seconds: float) -> Iterator[Finding]:
    from stream_bind.config import load_config

    # A wrong file is told before the slow looks at the machine.
    rig = None if config is None else load_config(config, settings)
    yield from machine_findings()
    yield endpoint_finding(rig.publish.endpoint if rig is not None else "tcp://127.0.0.1:5556")
    if rig is None:
        yield _weights("imagebind", None)
        return
    for name, encoder in rig.encoders.items():
        yield from _encoder_findings(name, encoder, rig)
    # Last, so that timing an encoder does not disturb them.
    if seconds:
        yield from _sensor_findings(rig, seconds)


def _sensor_findings(rig: RigConfig, seconds: float) -> Iterator[Finding]:
    from stream_bind.cli.noise import noise_aside
    from stream_bind.cli.observation import observe_all
    from stream_bind.cli.sensor_check import sensor_findings

    here = [stream for stream in rig.streams if stream.node is None]
    for stream in rig.streams:
        if stream.node is not None:
            yield Finding(stream.id, "note", f"not tested: it hangs on node {stream.node}", "run `doctor` there")
    if not here:
        return
    with noise_aside() as noise:
        noise.tell(f"stream-bind: watching {', '.join(stream.id for stream in here)} for {seconds:g} s")
        seen = observe_all(here, seconds)
        noise.lasting = any(one.hangs for one in seen)
    for one in seen:
        yield from sensor_findings(one)


def _weights(name: str, encoder: EncoderConfig | None) -> Finding:
    """Whether the weights of ImageBind, or of one encoder of a rig, are here."""
    from stream_bind.registry import ENCODERS

    entry: Any = ENCODERS.get("imagebind" if encoder is None else encoder.model)
    config = entry.config(model="imagebind") if encoder is None else encoder.settings
    check = getattr(entry.cls, "check_weights", None)
    title = f"weights of {name}"
    if getattr(config, "weights", None) == "random":
        return Finding(title, "note", "random: vectors are untrained and mean nothing")
    try:
        if check is not None:
            check(config)
    except StreamBindError as error:
        return Finding(title, "note" if encoder is None else "lacking", str(error))
    return Finding(title, "ok", "found")


def _encoder_findings(name: str, encoder: EncoderConfig, rig: RigConfig) -> Iterator[Finding]:
    from stream_bind.config import resolve
    from stream_bind.config.pace import load_factor, pace_warning, seconds_per_clip

    weights = _weights(name, encoder)
    yield weights
    title = f"pace of {name}"
    lanes = [lane for lane in resolve(rig) if lane.encoder == name]
    if not lanes:
        yield Finding(title, "note", "no stream uses it")
        return
    untimed = getattr(encoder.settings, "weights", None) == "random" and getattr(encoder.settings, "size", "") == "huge"
    if weights.status == "lacking" or untimed:
        # The published size takes 5 GB and half a minute to make up: not worth it for weights that mean nothing.
        tabled = {lane.modality: seconds_per_clip(encoder, lane.modality) for lane in lanes}
        seconds = {modality: value for modality, value in tabled.items() if value is not None}
        where = "on a CPU like the one measured (2 cores)"
        if not seconds:
            yield Finding(title, "note", "not loaded, so not measured here")
            return
    else:
        print(f"stream-bind: loading {name} to time it", file=sys.stderr)
        try:
            seconds = _measure(name, encoder, lanes)
        except StreamBindError as error:
            yield Finding(title, "lacking", str(error))
            return
        where = "here"
    warning = pace_warning(name, encoder, lanes, {lane.modality: 0.0 for lane in lanes} | seconds, where)
    times = ", ".join(f"{modality} {value * 1e3:.3g} ms" for modality, value in seconds.items())
    if warning is not None:
        yield Finding(title, "note", warning.partition(": ")[2])
        return
    yield Finding(title, "ok", f"keeps up {where}: {times}; {load_factor(lanes, seconds, encoder.workers):.0%} busy")


def _measure(name: str, encoder: EncoderConfig, lanes: list[Lane]) -> dict[str, float]:
    """Seconds per clip of every modality, batch of one, in this process."""
    import numpy as np

    from stream_bind.config.lanes import clip_spec
    from stream_bind.registry import ENCODERS

    loaded: Any = ENCODERS.get(encoder.model).cls(name, encoder.settings)
    if encoder.threads is not None:
        import torch

        torch.set_num_threads(encoder.threads)
    seconds: dict[str, float] = {}
    try:
        loaded.load(sorted({lane.modality for lane in lanes}))
        for lane in lanes:
            spec = clip_spec(encoder, lane.modality, lane.length_ns / 1e9)
            clip = np.zeros((1, *spec.shape), spec.dtype)
            took = [_timed(loaded, lane.modality, clip)]
            if took[0] < SLOW_S:
                took = sorted(_timed(loaded, lane.modality, clip) for _ in range(3))
            seconds[lane.modality] = max(seconds.get(lane.modality, 0.0), took[len(took) // 2])
    finally:
        loaded.close()
    return seconds


def _timed(encoder: Any, modality: str, clip: Any) -> float:
    start = time.perf_counter()
    encoder.embed(modality, clip)
    return time.perf_counter() - start

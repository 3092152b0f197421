"""Faults and warnings that only show when sections are held against each other, or against a driver and its files."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from stream_bind.adjust import Adjust
from stream_bind.clock import SystemClock
from stream_bind.config.document import Path
from stream_bind.config.lanes import Lane, clip_spec, resolve_lane
from stream_bind.config.problems import Problems, nearest, show_path
from stream_bind.config.schema import EncoderConfig, PublishConfig, SinkConfig, StreamConfig, is_loopback
from stream_bind.errors import ConfigError, StreamBindError
from stream_bind.messages import StreamSpec
from stream_bind.registry import DEVICES, ENCODERS, SINKS

__all__ = [
    "check_devices",
    "check_endpoint",
    "check_lanes",
    "check_names",
    "check_runtime",
    "check_sinks",
    "check_twins",
    "check_weights",
    "grid_warnings",
]

GRID_NS = 500_000_000
"""Hops are multiples of this by default, so that the windows of separate rigs end together."""


def check_names(data: Mapping[str, Any], encoders: Mapping[str, Any], problems: Problems) -> None:
    """Ids used twice and encoders that do not exist; on raw data, so that other faults do not hide these."""
    first: dict[str, int] = {}
    streams = data.get("streams")
    for index, stream in enumerate(streams if isinstance(streams, list) else ()):
        if not isinstance(stream, Mapping):
            continue
        name = stream.get("id")
        if isinstance(name, str):
            if name in first:
                line = problems.document.where(("streams", first[name], "id")).line
                problems.add(("streams", index, "id"), f"{name!r} is taken by streams[{first[name]}], line {line}")
            first.setdefault(name, index)
        _check_encoder_names(stream, index, encoders, problems)


def _check_encoder_names(
    stream: Mapping[str, Any], index: int, encoders: Mapping[str, Any], problems: Problems
) -> None:
    path: Path = ("streams", index, "encoder")
    wanted = stream.get("encoder")
    if wanted is None:
        if len(encoders) > 1:
            known = ", ".join(encoders)
            problems.add(path[:-1], f"the rig has {len(encoders)} encoders; say which one with `encoder:` ({known})")
        return
    names: list[tuple[Path, Any]] = (
        [((*path, i), name) for i, name in enumerate(wanted)] if isinstance(wanted, list) else [(path, wanted)]
    )
    if not names:
        problems.add(path, "the list is empty; name at least one encoder")
    seen = set()
    for place, name in names:
        if not isinstance(name, str):
            continue
        if name not in encoders and encoders:
            hint = nearest(name, encoders)
            problems.add(place, f"there is no encoder {name!r}{hint} (known: {', '.join(sorted(encoders))})")
        elif name in seen:
            problems.add(place, f"the encoder {name!r} is named twice")
        seen.add(name)


def check_lanes(
    streams: Mapping[int, StreamConfig], encoders: Mapping[str, EncoderConfig], problems: Problems
) -> list[tuple[int, Lane]]:
    """The lanes that can be built, with their streams' indices. Checks modalities, adjustments, hops and groups."""
    lanes = []
    for index, stream in streams.items():
        path: Path = ("streams", index)
        for key, modalities in ADJUSTMENTS.items():
            if key in stream.model_fields_set and stream.modality not in modalities:
                which = " and ".join(modalities)
                problems.add((*path, key), f"is a setting of {which} streams; {stream.id!r} is {stream.modality}")
        for name in _encoder_names(stream, encoders):
            try:
                lanes.append((index, resolve_lane(stream, name, encoders[name])))
            except ConfigError as error:
                known = ENCODERS.get(encoders[name].model).cls.modalities(encoders[name].settings)  # type: ignore[attr-defined]
                problems.add((*path, "modality" if stream.modality not in known else "window"), str(error))
            except ValueError as error:
                problems.add((*path, "window"), str(error))
    _check_hops(lanes, problems)
    _check_groups(streams, problems)
    return lanes


ADJUSTMENTS = {
    "rotate_deg": ("vision", "depth", "thermal"),
    "flip": ("vision", "depth", "thermal"),
    "channel": ("audio",),
    "axes": ("imu",),
    "mounting": ("imu",),
    "missing_axes": ("imu",),
}


def _encoder_names(stream: StreamConfig, encoders: Mapping[str, EncoderConfig]) -> list[str]:
    wanted = stream.encoder
    if wanted is None:
        return list(encoders) if len(encoders) == 1 else []
    return [name for name in ((wanted,) if isinstance(wanted, str) else wanted) if name in encoders]


def _check_hops(lanes: Sequence[tuple[int, Lane]], problems: Problems) -> None:
    ordered = sorted(lanes, key=lambda item: item[1].hop_ns)
    for (_, small), (index, large) in itertools.pairwise(ordered):
        if large.hop_ns % small.hop_ns:
            problems.add(
                ("streams", index, "window", "hop_s"),
                f"a hop of {large.hop_ns / 1e9:g} s ({large.stream!r}) is no multiple of {small.hop_ns / 1e9:g} s "
                f"({small.stream!r}); hops of one rig must divide one another, so that windows end together",
            )


def _check_groups(streams: Mapping[int, StreamConfig], problems: Problems) -> None:
    places: dict[str, StreamConfig] = {}
    for index, stream in streams.items():
        if stream.group is None:
            continue
        other = places.setdefault(stream.group, stream)
        if other.node != stream.node:
            problems.add(
                ("streams", index, "group"),
                f"{stream.id!r} and {other.id!r} share the group {stream.group!r} but are placed on different nodes "
                f"({stream.node} and {other.node})",
            )


def check_endpoint(publish: PublishConfig, problems: Problems) -> None:
    """Data leaves this machine only encrypted, or when the owner says otherwise."""
    if not is_loopback(publish.endpoint) and not publish.insecure:
        problems.add(
            ("publish", "endpoint"),
            f"{publish.endpoint} can be reached from other machines and nothing is encrypted; "
            "use 127.0.0.1, or say `insecure: true` if the network is yours alone",
        )


def check_runtime(launcher: str, transport: str, address: str | None, problems: Problems) -> None:
    """Launcher, transport and address must fit each other."""
    if launcher == "ray" and transport == "inproc":
        problems.add(("runtime", "transport"), "inproc works within one process; with launcher ray use ipc or tcp")
    if launcher == "local" and address is not None:
        problems.add(("runtime", "address"), "is the address of a Ray cluster; launcher local starts no Ray")


def check_devices(
    streams: Mapping[int, StreamConfig], encoders: Mapping[str, EncoderConfig], problems: Problems, *, files: bool
) -> None:
    """Ask each driver for its StreamSpec and hold it against what the encoders need.

    files: also report recordings that are missing or unreadable, and missing device files. Opens no hardware.
    """
    clock = SystemClock()
    for index, stream in streams.items():
        entry = DEVICES.get(stream.device.type)
        path: Path = ("streams", index, "device")
        try:
            device = entry.cls(stream.device.settings, stream.id, clock)
            spec: StreamSpec = device.spec
        except StreamBindError as error:
            if files:
                problems.add(path, str(error))
            continue
        if files:
            _check_files(stream.device.settings, device, spec, path, problems)
        if spec.modality != stream.modality:
            found = f"the device delivers {spec.modality}, the stream says {stream.modality}"
            problems.add((*path[:-1], "modality"), found)
            continue
        for name in _encoder_names(stream, encoders):
            _check_adjustments(index, stream, spec, name, encoders[name], problems)


def _check_files(settings: Any, device: Any, spec: StreamSpec, path: Path, problems: Problems) -> None:
    """A recording must open; of hardware only the device file must be there."""
    for key in getattr(type(settings), "model_fields", ()):
        value = getattr(settings, key)
        wanted = isinstance(value, pathlib.Path) or (isinstance(value, str) and value.startswith("/dev/"))
        if wanted and not pathlib.Path(value).exists():
            kind = "device" if str(value).startswith("/dev/") else "file"
            problems.add((*path, key), f"there is no {kind} {value}")
            return
    if spec.live:
        return
    try:
        device.open()
    except StreamBindError as error:
        problems.add((*path, "path"), str(error))
    finally:
        device.close()


def _check_adjustments(
    index: int, stream: StreamConfig, spec: StreamSpec, name: str, encoder: EncoderConfig, problems: Problems
) -> None:
    """Apply the stream's settings to what the device delivers, as the capture actor will."""
    try:
        wanted = clip_spec(encoder, stream.modality, stream.window.length_s).axes
    except (ConfigError, ValueError):
        return  # check_lanes has reported it
    path: Path = ("streams", index)
    if any((*path, key) in problems for key in ADJUSTMENTS):
        return
    entry: Any = ENCODERS.get(encoder.model).cls
    try:
        adjusted = Adjust(spec, **stream.adjust_settings(), wanted_axes=wanted).spec
        # An encoder class may offer `check_stream(config, spec)`, which raises ConfigError.
        if hasattr(entry, "check_stream"):
            entry.check_stream(encoder.settings, adjusted)
    except ConfigError as error:
        message = str(error).removeprefix(f"{stream.id}: ")
        key = message.partition(" ")[0]
        if key in ADJUSTMENTS:
            problems.add((*path, key), message.removeprefix(f"{key} "))
        else:
            problems.add((*path, "device"), message)


def check_twins(streams: Mapping[int, StreamConfig], problems: Problems) -> None:
    """Before simulated devices take the place of all: there is one for each stream's modality."""
    simulated = DEVICES.get("simulated")
    for index, stream in streams.items():
        if not simulated.delivers(stream.modality):
            can = ", ".join(simulated.modalities)
            problems.add(
                ("streams", index, "modality"),
                f"{stream.modality} cannot be simulated, only {can} can; run this rig with its devices",
            )


def check_weights(encoders: Mapping[str, EncoderConfig], places: Mapping[str, Path], problems: Problems) -> None:
    """Report missing weights; an encoder class may offer `check_weights(config)`, which raises WeightsError."""
    for name, encoder in encoders.items():
        check = getattr(ENCODERS.get(encoder.model).cls, "check_weights", None)
        if check is None:
            continue
        try:
            check(encoder.settings)
        except StreamBindError as error:
            problems.add((*places[name], "weights"), str(error))


def check_sinks(sinks: Mapping[int, SinkConfig], problems: Problems) -> None:
    """Report what would keep a sink from opening; its class may offer `check(config)`, which raises SinkError."""
    for index, sink in sinks.items():
        check = getattr(SINKS.get(sink.type).cls, "check", None)
        if check is None:
            continue
        try:
            check(sink.settings)
        except StreamBindError as error:
            problems.add(("publish", "sinks", index), str(error))


def grid_warnings(lanes: Sequence[tuple[int, Lane]]) -> list[str]:
    """Hops that leave time unobserved, or that line up with other rigs only rarely."""
    lines = []
    for index, lane in lanes:
        where = show_path(("streams", index, "window"))
        hop_s, length_s = lane.hop_ns / 1e9, lane.length_ns / 1e9
        if lane.hop_ns > lane.length_ns:
            lines.append(
                f"{where}: a window of {length_s:g} s every {hop_s:g} s leaves {hop_s - length_s:g} s of every hop "
                f"of {lane.stream!r} unobserved"
            )
        if lane.hop_ns % GRID_NS and GRID_NS % lane.hop_ns:
            lines.append(f"{where}: a hop of {hop_s:g} s does not line up with the usual 0.5 s grid of other rigs")
    return lines

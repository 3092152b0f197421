"""From a YAML file to a checked RigConfig: every fault at once, each with its place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stream_bind.config import checks
from stream_bind.config.document import Document, Path, apply_overrides, parse_document, read_document
from stream_bind.config.pace import pace_warnings
from stream_bind.config.problems import Problems, nearest, unknown_key
from stream_bind.config.record import RecordConfig, TriggerConfig
from stream_bind.config.runtime import RuntimeConfig
from stream_bind.config.schema import (
    PIPELINE_KEYS,
    SENSED,
    DeviceConfig,
    EncoderConfig,
    PublishConfig,
    RestartConfig,
    RigConfig,
    SinkConfig,
    StreamConfig,
    WindowConfig,
)
from stream_bind.errors import ConfigError
from stream_bind.messages import MODALITIES
from stream_bind.registry import ANY_SIGNAL, DEVICES, ENCODERS, SINKS, Registry

__all__ = ["build_config", "load_config", "parse_config"]

Known = Mapping[Path, Iterable[str]]
"""The keys allowed at each path of a section."""

TOP_KEYS = ("version", "rig", "encoder", "encoders", "streams", "publish", "record", "runtime")


def load_config(
    path: str | os.PathLike[str], overrides: Sequence[str] = (), *, simulate: bool = False, files: bool = False
) -> RigConfig:
    """The checked configuration in the YAML file at `path`.

    overrides: `key.path=value` each, as given to `--set`. files: also look for the recordings and weights it names.
    simulate: the devices will be swapped for simulated ones, so recordings need not exist. Opens no hardware.
    Raises ConfigError with every fault in `problems`, one `file:line:col: path: message` each.
    """
    return _build(read_document(path), overrides, simulate=simulate, files=files)


def parse_config(
    text: str, overrides: Sequence[str] = (), *, source: str = "<text>", simulate: bool = False, files: bool = False
) -> RigConfig:
    """As load_config, from YAML text; `source` stands in for the file's name in messages."""
    return _build(parse_document(text, source), overrides, simulate=simulate, files=files)


def build_config(document: Document, *, simulate: bool = False, files: bool = False, weights: bool = True) -> RigConfig:
    """As load_config, from a document that was read and changed before. weights False: none need be there."""
    return _build(document, (), simulate=simulate, files=files, weights=weights)


def _build(
    document: Document, overrides: Sequence[str], *, simulate: bool, files: bool, weights: bool = True
) -> RigConfig:
    apply_overrides(document, overrides)
    problems = Problems(document)
    data = document.data
    _check_top(data, problems)
    raw_encoders, places = _encoder_sections(data, problems)
    checks.check_names(data, raw_encoders, problems)
    encoders = {
        name: encoder
        for name, raw in raw_encoders.items()
        if (encoder := _encoder(raw, places[name], problems)) is not None
    }
    streams = _streams(data, encoders, len(encoders) == len(raw_encoders), problems)
    if simulate:
        checks.check_twins(streams, problems)
    publish, sinks = _publish(data, problems)
    record = _record(data, problems)
    runtime = _section(RuntimeConfig, data, "runtime", problems)
    lanes = checks.check_lanes(streams, encoders, problems)
    checks.check_devices(streams, encoders, problems, files=files and not simulate)
    if files and weights:
        checks.check_weights(encoders, places, problems)
    if files:
        checks.check_sinks(sinks, problems)
    if publish is not None:
        checks.check_endpoint(publish, problems)
    if runtime is not None:
        checks.check_runtime(runtime.launcher, runtime.transport, runtime.address, problems)
    whole: dict[str, Any] = {key: data[key] for key in ("version", "rig") if key in data}
    whole |= {"encoders": encoders, "streams": tuple(streams.values())}
    whole |= {"publish": publish or PublishConfig(), "runtime": runtime or RuntimeConfig()}
    whole["record"] = record or RecordConfig()
    try:
        config = RigConfig.model_validate(whole)
    except ValidationError as error:
        # Sections were reported one by one above; only version, rig and encoder names are left to say here.
        _add_rest(error, problems, places)
        problems.raise_if_any()
        raise ConfigError(f"{document.source}: {error}") from error
    problems.raise_if_any()
    config._warnings = (
        *checks.grid_warnings(lanes),
        *pace_warnings(config.encoders, [lane for _, lane in lanes]),
    )
    return config


def _check_top(data: Mapping[str, Any], problems: Problems) -> None:
    for key in data:
        if key not in TOP_KEYS:
            problems.add((key,), unknown_key(key, TOP_KEYS), key=True)
    if not data.get("streams"):
        problems.add(("streams",), "expected a list of streams, each with id, modality and device")


def _encoder_sections(data: Mapping[str, Any], problems: Problems) -> tuple[dict[str, Any], dict[str, Path]]:
    """Raw encoder sections by name, and where each stands in the file."""
    one, many = data.get("encoder"), data.get("encoders")
    if one is not None and many is not None:
        problems.add(("encoder",), "give either `encoder:` (one) or `encoders:` (by name), not both", key=True)
    if isinstance(many, Mapping) and many:
        return dict(many), {name: ("encoders", name) for name in many}
    if isinstance(one, Mapping):
        name = str(one.get("model", "encoder"))
        return {name: one}, {name: ("encoder",)}
    key = "encoders" if many is not None else "encoder"
    problems.add((key,), "expected a section with the encoder's `model:`, such as {model: imagebind, weights: random}")
    return {}, {}


def _encoder(raw: Any, path: Path, problems: Problems) -> EncoderConfig | None:
    if not isinstance(raw, Mapping):
        problems.add(path, "expected a section with the encoder's `model:`")
        return None
    own = {key: value for key, value in raw.items() if key not in PIPELINE_KEYS}
    pipeline = {key: value for key, value in raw.items() if key in PIPELINE_KEYS}
    settings = _plugin(ENCODERS, own, "model", path, problems, also_known=PIPELINE_KEYS)
    # Checked even where the settings are not usable, so that faults of both kinds are told at once.
    body = {**pipeline, "model": str(raw.get("model")), "settings": settings}
    encoder = _validate(EncoderConfig, body, path, problems, {(): PIPELINE_KEYS})
    return encoder if settings is not None else None


def _streams(
    data: Mapping[str, Any], encoders: Mapping[str, EncoderConfig], all_usable: bool, problems: Problems
) -> dict[int, StreamConfig]:
    """The usable streams by their place. all_usable: every encoder is, so what none of them declares does not exist."""
    raw_streams = data.get("streams")
    if raw_streams is not None and not isinstance(raw_streams, list):
        problems.add(("streams",), "expected a list: one `- id: ...` for each sensor")
        return {}
    streams = {}
    for index, raw in enumerate(raw_streams or ()):
        path: Path = ("streams", index)
        if not isinstance(raw, Mapping):
            problems.add(path, "expected a section with id, modality and device")
            continue
        settings, device_type = None, ""
        body = dict(raw)
        unknown = _unknown_modality(raw.get("modality"), encoders, all_usable)
        if unknown:
            problems.add((*path, "modality"), unknown)
        device = raw.get("device")
        if isinstance(device, Mapping):
            device_type = str(device.get("type"))
            settings = _plugin(DEVICES, device, "type", (*path, "device"), problems, modality=raw.get("modality"))
            if settings is not None:
                _check_modality(raw, device_type, (*path, "modality"), problems)
        if device is not None:
            body["device"] = DeviceConfig(type=device_type, settings=settings)
        known: Known = {
            (): StreamConfig.model_fields,
            ("window",): WindowConfig.model_fields,
            ("restart",): RestartConfig.model_fields,
        }
        stream = _validate(StreamConfig, body, path, problems, known)
        if device is not None and not isinstance(device, Mapping):
            problems.add((*path, "device"), "expected a section with the device's `type:`, such as {type: simulated}")
        if stream is not None and settings is not None and not unknown:
            streams[index] = stream
    return streams


def _unknown_modality(modality: Any, encoders: Mapping[str, EncoderConfig], all_usable: bool) -> str:
    """What is wrong with the word, or nothing. Whether the stream's own encoder has it, check_lanes says."""
    if not isinstance(modality, str) or modality in SENSED:
        return ""
    declared = [m for encoder in encoders.values() for m in _modalities_of(encoder) if m not in MODALITIES]
    if modality in declared:
        return ""
    known = tuple(dict.fromkeys((*SENSED, *declared)))
    hint = nearest(modality, known)
    if not hint and not all_usable:
        return ""
    words = ", ".join(known)
    return f"expected one of {words}, or a signal that an encoder declares, found {modality!r}{hint}"


def _modalities_of(encoder: EncoderConfig) -> tuple[str, ...]:
    cls: Any = ENCODERS.get(encoder.model).cls
    found: tuple[str, ...] = cls.modalities(encoder.settings)
    return found


def _check_modality(raw: Mapping[str, Any], device_type: str, path: Path, problems: Problems) -> None:
    entry = DEVICES.get(device_type)
    modality = raw.get("modality")
    if isinstance(modality, str) and not entry.delivers(modality) and path not in problems:
        can = ", ".join("signals that an encoder declares" if m == ANY_SIGNAL else m for m in entry.modalities)
        problems.add(path, f"a {device_type} device cannot deliver {modality}; it delivers {can}")


def _publish(data: Mapping[str, Any], problems: Problems) -> tuple[PublishConfig | None, dict[int, SinkConfig]]:
    """The publish section, and those of its sinks that are usable by their place in the list."""
    raw = data.get("publish")
    if not isinstance(raw, Mapping) or "sinks" not in raw:
        return _section(PublishConfig, data, "publish", problems), {}
    sinks = _sinks(raw["sinks"], problems)
    body = {**raw, "sinks": tuple(sinks.values())}
    return _section(PublishConfig, {"publish": body}, "publish", problems), sinks


def _record(data: Mapping[str, Any], problems: Problems) -> RecordConfig | None:
    raw = data.get("record")
    if raw is None:
        return RecordConfig()
    known: Known = {(): RecordConfig.model_fields, ("trigger",): TriggerConfig.model_fields}
    found: RecordConfig | None = _validate(RecordConfig, raw, ("record",), problems, known)
    return found


def _sinks(raw_sinks: Any, problems: Problems) -> dict[int, SinkConfig]:
    if raw_sinks is not None and not isinstance(raw_sinks, list):
        problems.add(("publish", "sinks"), "expected a list: one `- type: ...` for each sink")
        return {}
    sinks = {}
    for index, raw in enumerate(raw_sinks or ()):
        path: Path = ("publish", "sinks", index)
        if not isinstance(raw, Mapping):
            problems.add(path, "expected a section with the sink's `type:`, such as {type: jsonl, path: out.jsonl}")
            continue
        settings = _plugin(SINKS, raw, "type", path, problems)
        if settings is not None:
            sinks[index] = SinkConfig(type=raw["type"], settings=settings)
    return sinks


def _plugin(
    registry: Registry,
    raw: Mapping[str, Any],
    key: str,
    path: Path,
    problems: Problems,
    also_known: Iterable[str] = (),
    modality: Any = None,
) -> Any:
    """The validated settings of a driver, encoder or sink named under `key`; None after reporting what is wrong."""
    name = raw.get(key)
    if name is None:
        problems.add(path, f"the key {key!r} is missing; known {registry.noun} types: {', '.join(registry.names())}")
        return None
    if not isinstance(name, str):
        problems.add((*path, key), f"expected the name of a {registry.noun} type, found {name!r}")
        return None
    try:
        entry = registry.get(name)
    except ConfigError as error:
        problems.add((*path, key), str(error))
        return None
    except ImportError as error:
        problems.add((*path, key), f"the {registry.noun} type {name!r} cannot be loaded: {error}")
        return None
    fields = getattr(entry.config, "model_fields", {})
    own = dict(raw) if key in fields else {k: v for k, v in raw.items() if k != key}
    if "modality" in fields and entry.delivers(modality):
        own.setdefault("modality", modality)  # a driver of several kinds need not be told twice
    known: Known = {(): (*fields, key, *also_known)}
    return _validate(entry.config, own, path, problems, known)


def _validate(model: Any, raw: Any, path: Path, problems: Problems, known: Known) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems.add_validation(error, path, known)
    except ConfigError as error:
        problems.add(path, str(error))
    return None


def _section(model: Any, data: Mapping[str, Any], key: str, problems: Problems) -> Any:
    raw = data.get(key)
    return model() if raw is None else _validate(model, raw, (key,), problems, {(): model.model_fields})


def _add_rest(error: ValidationError, problems: Problems, places: Mapping[str, Path]) -> None:
    for details in error.errors(include_url=False):
        loc = tuple(details["loc"])
        if loc[0] in {"version", "rig"}:
            problems.add_details(details, (), {})
        elif loc[0] == "encoders" and len(loc) > 1:
            place = places.get(str(loc[1]), ("encoders",))
            problems.add(place, "an encoder's name is 1 to 64 of a-z, 0-9, '_', '.' and '-'", key=True)

"""From a log to the rig that replays it: its config, its streams, and what stands in for their devices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stream_bind.cli.recording import CONFIG_NAME
from stream_bind.config.document import Document, apply_overrides, parse_document, read_document
from stream_bind.config.load import build_config
from stream_bind.config.schema import RigConfig, StreamConfig
from stream_bind.errors import ConfigError, LogError
from stream_bind.log.reader import Log, open_log
from stream_bind.messages import IMU_AXES
from stream_bind.registry import ENCODERS

__all__ = ["ReplayChoice", "choose_rate", "replay_config"]


@dataclass(frozen=True)
class ReplayChoice:
    """Which part of which log, and how fast."""

    path: Path
    rate: float | Literal["max"] = 1.0
    start_s: float = 0.0
    duration_s: float | None = None
    loop: bool = False
    shift_ns: int = 0

    def device(self, stream: StreamConfig) -> dict[str, Any]:
        """Settings of the device that replays `stream`."""
        return {
            "type": "replay",
            "path": str(self.path),
            "stream": stream.id,
            "modality": stream.modality,
            "rate": self.rate,
            "start_s": self.start_s,
            "duration_s": self.duration_s,
            "loop": self.loop,
            "shift_ns": self.shift_ns,
        }


def choose_rate(text: str) -> float | Literal["max"]:
    """Of `--rate`: a number above 0, or max."""
    if text == "max":
        return "max"
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e6:
        raise ConfigError(f"--rate {text}: expected a number above 0, such as 1 or 10, or max")
    return rate


def replay_config(
    path: Path,
    *,
    config: Path | None = None,
    encoder: str | None = None,
    streams: Sequence[str] = (),
    settings: Sequence[str] = (),
) -> tuple[RigConfig, Log]:
    """The rig that replays the log at `path`, and what is known of the log.

    config: a YAML file instead of the one in the log. encoder: embed everything with this model instead. streams:
    these only. settings: as for `--set`. What cannot be replayed is said on stderr. LogError or ConfigError where
    nothing is left.
    """
    log = open_log(path)
    wanted = [name for name in streams if name]
    unknown = [name for name in wanted if name not in log.streams]
    if unknown:
        raise LogError(f"{path}: has no stream {', '.join(unknown)}; it has {', '.join(log.streams)}")
    document = _document(path, log, config, encoder, wanted)
    apply_overrides(document, settings)
    if encoder is not None:
        _embed_anew(document, encoder, log)
    _swap_devices(document, path, log, wanted)
    return build_config(document, files=True), log


def _document(path: Path, log: Log, config: Path | None, encoder: str | None, wanted: Sequence[str]) -> Document:
    if config is not None:
        return read_document(config)
    if CONFIG_NAME in log.attachments:
        text = log.attachments[CONFIG_NAME].decode(errors="replace")
        return parse_document(text, f"{path}:{CONFIG_NAME}", environ={})
    if encoder is None:
        raise ConfigError(
            f"{path}: holds no config, so nothing says how to embed it; add --encoder imagebind-tiny (or imagebind, "
            "languagebind ...), or --config with a rig whose streams are named as in the log: "
            f"{', '.join(log.streams)}"
        )
    rig = "".join(c if c in "abcdefghijklmnopqrstuvwxyz0123456789_.-" else "_" for c in path.stem.lower())
    return Document({"version": 1, "rig": rig[:64] or "replay", "streams": _listed(log, wanted)}, str(path))


def _listed(log: Log, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Every stream; but an accelerometer or a gyroscope alone only where it is asked for, or there is nothing else."""
    halves = [
        name
        for name, spec in log.streams.items()
        if spec.modality == "imu" and set(spec.axes) != set(IMU_AXES) and name not in wanted
    ]
    kept = [name for name in log.streams if name not in halves] or list(log.streams)
    for name in halves:
        if name not in kept and not wanted:
            _say(f"{name} is left out: it has {', '.join(log.streams[name].axes)} only; --streams {name} takes it")
    return [{"id": name, "modality": log.streams[name].modality, "device": {}} for name in kept]


def _embed_anew(document: Document, encoder: str, log: Log) -> None:
    """One encoder for everything it can embed, with its own windows; hops and the rest stay as they were."""
    data = document.data
    own = (data.get("encoders") or {}).get(encoder) or {}
    data.pop("encoder", None)
    data["encoders"] = {encoder: {"model": encoder, **own}}
    entry: Any = ENCODERS.get(str(data["encoders"][encoder]["model"]))
    settings = {key: value for key, value in own.items() if key in getattr(entry.config, "model_fields", {})}
    can = entry.cls.modalities(entry.config(**settings))
    kept = []
    for stream in data.get("streams") or ():
        spec = log.streams.get(stream.get("id"))
        if spec is not None and spec.modality not in can:
            _say(f"{stream['id']} is left out: {encoder} embeds no {spec.modality}")
            continue
        window = {key: value for key, value in (stream.get("window") or {}).items() if key != "length_s"}
        kept.append({**stream, "encoder": [encoder], "window": window})
    if not kept:
        raise ConfigError(f"{encoder} embeds none of the log's streams: {', '.join(log.streams)}")
    data["streams"] = kept


def _swap_devices(document: Document, path: Path, log: Log, wanted: Sequence[str]) -> None:
    """Every stream's device is its recording; streams that were not recorded, or are not wanted, are left out."""
    kept = []
    for stream in document.data.get("streams") or ():
        name = stream.get("id") if isinstance(stream, dict) else None
        if wanted and name not in wanted:
            continue
        if name not in log.streams:
            _say(f"{name} is left out: it is not in the log, which has {', '.join(log.streams)}")
            continue
        device = {"type": "replay", "path": str(path), "stream": name, "modality": stream.get("modality")}
        kept.append({**stream, "device": device})
    if not kept:
        raise ConfigError(f"{path}: none of the config's streams is in the log, which has {', '.join(log.streams)}")
    document.data["streams"] = kept


def _say(text: str) -> None:
    print(f"stream-bind: {text}", file=sys.stderr)

"""From a config to the plan of its recording: the file, what travels in it, and how the streams reach it."""

from __future__ import annotations

import json
import platform
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

from actors.plan import RecordPlan, TapPlan
from stream_bind import __version__
from stream_bind.clock import measure_offset_ns
from stream_bind.config.dump import dump_config
from stream_bind.config.schema import RigConfig
from stream_bind.errors import ConfigError

__all__ = ["CONFIG_NAME", "log_path", "plan_record", "plan_tap"]

CONFIG_NAME = "config.yaml"
"""The attachment that holds the rig's config."""


def log_path(config: RigConfig, asked: Path | None = None) -> Path | None:
    """Where a run of this rig is recorded: as asked, or as its config says; None: nowhere. ConfigError where that is
    there already, or cannot be."""
    if asked is None:
        if config.record.path is None:
            return None
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        asked = Path(config.record.path.format(rig=config.rig, time=now))
    if asked.is_dir():
        raise ConfigError(f"{asked}: is a folder; name a file in it, such as {asked / (config.rig + '.mcap')}")
    if asked.suffix != ".mcap":
        raise ConfigError(f"{asked}: a recording is an MCAP file; name it {asked.with_suffix('.mcap')}")
    taken = [asked, *asked.parent.glob(f"{asked.stem}_[0-9][0-9][0-9][0-9].mcap")]
    if there := next((path for path in taken if path.exists()), None):
        raise ConfigError(f"{there}: is there already, and a recording replaces nothing; name another file")
    return asked


def plan_record(config: RigConfig, path: Path, endpoint: str) -> RecordPlan:
    """The record actor of a rig."""
    record, trigger = config.record, config.record.trigger
    kept_back = [stream.id for stream in config.streams if not stream.record]
    offset_ns = measure_offset_ns()
    return RecordPlan(
        path=str(path),
        endpoint=endpoint,
        session={
            "kind": "recording",
            "rig": config.rig,
            "session": uuid.uuid4().hex,
            "program": f"stream-bind {__version__}",
            "host": platform.node(),
            "started_ns": str(time.monotonic_ns() + offset_ns),
            "monotonic_to_unix_ns": str(offset_ns),
            "not_recorded": ", ".join(kept_back),
        },
        attachments=(
            (CONFIG_NAME, "application/yaml", dump_config(config).encode()),
            ("models.json", "application/json", json.dumps(_models(config)).encode()),
        ),
        split_bytes=None if record.split_mb is None else round(record.split_mb * 1e6),
        split_ns=None if record.split_s is None else round(record.split_s * 1e9),
        before_ns=None if trigger is None else round(trigger.before_s * 1e9),
        after_ns=0 if trigger is None else round(trigger.after_s * 1e9),
        ring_bytes=round(record.buffer_mb * 1e6) * len(config.streams),
        triggers=() if trigger is None else trigger.on,
    )


def plan_tap(config: RigConfig, record: RecordPlan) -> TapPlan:
    """How each recorded stream gets there."""
    wanted = config.record
    return TapPlan(record.endpoint, round(wanted.buffer_mb * 1e6), wanted.colour, wanted.copies)


def _models(config: RigConfig) -> dict[str, dict[str, str]]:
    """What the encoders' settings say of their weights; the digests stand in every embedding."""
    found = {}
    for name, encoder in config.encoders.items():
        settings = encoder.settings_dict()
        found[name] = {"model": encoder.model, "weights": str(settings.get("weights") or "as published")}
    return found

"""What each worker is told when it starts: plain picklable data, made once from the config by the launcher's caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CapturePlan", "EncodePlan", "LanePlan", "PublishPlan", "RecordPlan", "RunPlan", "SensorPlan", "TapPlan"]


@dataclass(frozen=True)
class LanePlan:
    """One (stream, encoder) pair: its grid, its queue, and the encoder settings that shape a clip."""

    stream: str
    encoder: str
    modality: str
    encoder_type: str
    encoder_config: dict[str, Any]
    length_ns: int
    hop_ns: int
    lateness_ns: int | None = None
    """None: the driver's own."""
    min_coverage: float = 0.5
    partial: bool = False
    """Whether windows across the stream's beginning or end become clips."""
    policy: str = "drop_oldest"
    depth: int = 16
    max_bytes: int = 64 << 20


@dataclass(frozen=True)
class TapPlan:
    """How an actor's part of the recording reaches the record actor."""

    endpoint: str
    """The record actor's inlet."""
    max_bytes: int = 64 << 20
    """Memory of one stream for what is not on the disk yet."""
    colour: Literal["jpeg", "h264", "lossless"] = "jpeg"
    copies: bool = True


@dataclass(frozen=True)
class SensorPlan:
    """One device, the adjustments of its samples, and the lanes it feeds."""

    stream: str
    modality: str
    device_type: str
    device_config: dict[str, Any]
    lanes: tuple[LanePlan, ...]
    adjust: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of stream_bind.adjust.Adjust, without the spec."""
    restart: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of stream_bind.restart.Backoff."""
    tap: TapPlan | None = None
    """None: this stream is not recorded."""


@dataclass(frozen=True)
class CapturePlan:
    """One capture actor: usually one sensor, several where the config groups them."""

    name: str
    sensors: tuple[SensorPlan, ...]
    endpoint: str
    """Where its mailbox is bound."""
    publish_endpoint: str
    """The publish actor's inlet."""
    rig: str = "rig"
    node: str | None = None
    resources: dict[str, float] = field(default_factory=dict)
    wait_ready: bool = False
    """Hold the first sample back until `start` is called (a recording that waits for its subscriber)."""


@dataclass(frozen=True)
class EncodePlan:
    """One encode worker."""

    name: str
    encoder: str
    encoder_type: str
    encoder_config: dict[str, Any]
    lanes: tuple[LanePlan, ...]
    mailboxes: tuple[str, ...]
    """Endpoints of the capture actors that feed this encoder."""
    publish_endpoint: str
    capacity: int = 16
    """Clips out at this worker at most; at least one a lane."""
    max_batch: int = 8
    batch_wait_s: float = 0.005
    threads: int | None = None
    """Threads of CPU arithmetic; None leaves one core to the sensors and shares the rest among the workers."""
    workers: int = 1
    """How many workers this encoder has."""
    deterministic: bool = False
    """Ask torch for algorithms that give the same bits every time."""
    nice: int = 5
    num_gpus: float = 0.0
    num_cpus: float = 0.0
    node: str | None = None
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PublishPlan:
    """The publish actor of a rig."""

    rig: str
    inlet: str
    endpoint: str
    insecure: bool = False
    hwm: int = 10_000
    dtype: str = "<f4"
    lanes: tuple[LanePlan, ...] = ()
    sinks: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Type and settings of each further destination."""
    tap: TapPlan | None = None
    """None: vectors and events are not recorded."""
    linger_s: float = 1.0
    """At the end: how long subscribers may take for what they have not read yet."""


@dataclass(frozen=True)
class RecordPlan:
    """The record actor of a rig."""

    path: str
    endpoint: str
    session: dict[str, str] = field(default_factory=dict)
    """What the log says of itself at its beginning."""
    attachments: tuple[tuple[str, str, bytes], ...] = ()
    """Name, media type and content of each file that travels in the log."""
    split_bytes: int | None = None
    split_ns: int | None = None
    before_ns: int | None = None
    """Seconds held in memory until an event comes; None: all is written."""
    after_ns: int = 0
    ring_bytes: int = 512 << 20
    triggers: tuple[str, ...] = ()
    """Reasons of the events that count."""
    node: str | None = None


@dataclass(frozen=True)
class RunPlan:
    """Everything a launcher starts."""

    rig: str
    captures: tuple[CapturePlan, ...]
    encoders: tuple[EncodePlan, ...]
    publisher: PublishPlan
    clock_offset_ns: int
    """Monotonic-to-UNIX offset, fixed once per host and handed to every actor and every restart (DESIGN section 4)."""
    record: RecordPlan | None = None
    """None: nothing is recorded."""
    wait_for_subscriber_s: float = 0.0
    run_dir: str = ""
    address: str | None = None
    object_store_bytes: int = 80_000_000
    log_level: str = "warning"

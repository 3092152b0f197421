"""From a checked config to the plan that launchers start: who runs, where, and over which endpoints they talk."""

from __future__ import annotations

import secrets
import tempfile
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from actors.plan import CapturePlan, EncodePlan, LanePlan, PublishPlan, RunPlan, SensorPlan, TapPlan
from actors.transport import free_port
from stream_bind.cli.recording import plan_record, plan_tap
from stream_bind.cli.replaying import ReplayChoice
from stream_bind.clock import measure_offset_ns
from stream_bind.config.lanes import resolve
from stream_bind.config.schema import RigConfig, StreamConfig

__all__ = ["Endpoints", "plan_run"]

LINGER_S = 30.0
"""A replay's subscribers may still be reading when it has ended."""
REPLAY_HWM = 1_000_000
"""Vectors come as fast as they are embedded; a subscriber that reads on gets all of them."""


class Endpoints:
    """Names the links between the actors of one run. ipc sockets lie in a private directory that `close` removes."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self._dir: tempfile.TemporaryDirectory[str] | None = None
        if transport == "ipc":
            # A socket's path may have 107 characters, so this stays out of deep working directories.
            self._dir = tempfile.TemporaryDirectory(prefix="stream-bind-", ignore_cleanup_errors=True)
        self._run = secrets.token_hex(4)

    def name(self, actor: str) -> str:
        if self._dir is not None:
            return f"ipc://{Path(self._dir.name) / actor}"
        if self.transport == "tcp":
            return f"tcp://127.0.0.1:{free_port()}"
        return f"inproc://{self._run}/{actor}"

    def close(self) -> None:
        if self._dir is not None:
            self._dir.cleanup()


def plan_run(
    config: RigConfig,
    endpoints: Endpoints,
    *,
    simulate: bool | Collection[str] = False,
    address: str | None = None,
    record: Path | None = None,
    replay: ReplayChoice | None = None,
    embed: bool = True,
) -> RunPlan:
    """The plan of one run. `simulate` swaps every device, or those of these streams, for its simulated twin, `replay`
    each for its recording. record: the log to write. embed False: sensors alone, no encoder."""
    swapped = {s.id for s in config.streams if simulate is True or (simulate and s.id in simulate)}
    lanes = _lane_plans(config, replay) if embed else []
    inlet = endpoints.name("publish")
    recording = None if record is None else plan_record(config, record, endpoints.name("record"))
    tap = None if recording is None else plan_tap(config, recording)
    groups: OrderedDict[str, list[StreamConfig]] = OrderedDict()
    for stream in config.streams:
        groups.setdefault(f"group-{stream.group}" if stream.group else f"capture-{stream.id}", []).append(stream)
    captures = [
        CapturePlan(
            name=name,
            sensors=tuple(
                _sensor(
                    s,
                    [p for p in lanes if p.stream == s.id],
                    _device(s, s.id in swapped, replay),
                    tap if s.record else None,
                )
                for s in streams
            ),
            endpoint=endpoints.name(name),
            publish_endpoint=inlet,
            rig=config.rig,
            node=streams[0].node,
            resources=_union(streams),
            wait_ready=config.publish.wait_for_subscriber_s > 0,
        )
        for name, streams in groups.items()
    ]
    return RunPlan(
        rig=config.rig,
        captures=tuple(captures),
        encoders=tuple(_encode_plans(config, lanes, captures, inlet)),
        publisher=PublishPlan(
            rig=config.rig,
            inlet=inlet,
            endpoint=config.publish.endpoint,
            insecure=config.publish.insecure,
            hwm=config.publish.hwm if replay is None else max(config.publish.hwm, REPLAY_HWM),
            dtype=config.publish.dtype,
            lanes=tuple(lanes),
            sinks=tuple((sink.type, sink.settings_dict()) for sink in config.publish.sinks),
            tap=tap,
            linger_s=1.0 if replay is None else LINGER_S,
        ),
        record=recording,
        clock_offset_ns=measure_offset_ns(),
        wait_for_subscriber_s=config.publish.wait_for_subscriber_s,
        address=address or config.runtime.address,
        object_store_bytes=config.runtime.object_store_mb * 1_000_000,
        log_level=config.runtime.log_level,
    )


def _union(streams: list[StreamConfig]) -> dict[str, float]:
    """A group's actor needs what each of its sensors does."""
    return {
        name: max(s.resources.get(name, 0.0) for s in streams)
        for name in dict.fromkeys(name for s in streams for name in s.resources)
    }


def _lane_plans(config: RigConfig, replay: ReplayChoice | None) -> list[LanePlan]:
    return [
        LanePlan(
            stream=lane.stream,
            encoder=lane.encoder,
            modality=lane.modality,
            encoder_type=config.encoders[lane.encoder].model,
            encoder_config=config.encoders[lane.encoder].settings_dict(),
            length_ns=lane.length_ns,
            hop_ns=lane.hop_ns,
            lateness_ns=lane.lateness_ns,
            min_coverage=lane.min_coverage,
            partial=lane.partial,
            policy=lane.queue_policy if replay is None else "backpressure",
            depth=lane.queue_depth,
            max_bytes=lane.queue_bytes,
        )
        for lane in resolve(config)
    ]


def _sensor(
    stream: StreamConfig, lanes: list[LanePlan], device: tuple[str, dict[str, Any]], tap: TapPlan | None
) -> SensorPlan:
    return SensorPlan(
        stream=stream.id,
        modality=stream.modality,
        device_type=device[0],
        device_config=device[1],
        lanes=tuple(lanes),
        adjust=stream.adjust_settings(),
        restart=stream.restart.model_dump(),
        tap=tap,
    )


def _device(stream: StreamConfig, simulate: bool, replay: ReplayChoice | None) -> tuple[str, dict[str, Any]]:
    """Type and settings of the stream's device, or of what stands in for it."""
    if replay is not None:
        return "replay", replay.device(stream)
    if simulate:
        settings = _twin(stream)
        return str(settings["type"]), settings
    return stream.device.type, stream.device.settings_dict()


def _twin(stream: StreamConfig) -> dict[str, Any]:
    """The simulated twin's settings; needs only what the real device says before it opens."""
    from devices.simulated.twin import twin
    from stream_bind.clock import SystemClock
    from stream_bind.errors import DeviceError
    from stream_bind.messages import StreamSpec
    from stream_bind.registry import DEVICES

    if stream.device.type == "simulated":
        return stream.device.settings_dict() | {"type": "simulated"}
    entry = DEVICES.get(stream.device.type)
    try:
        spec = entry.cls(stream.device.settings, stream.id, SystemClock()).spec
    except DeviceError:  # a file that is not here: its twin needs no more than the modality
        spec = StreamSpec(stream.id, stream.modality, 0.0, (-1,), "", "")
    return twin(spec)


def _encode_plans(
    config: RigConfig, lanes: list[LanePlan], captures: list[CapturePlan], inlet: str
) -> list[EncodePlan]:
    plans: list[EncodePlan] = []
    same = config.runtime.deterministic
    for name, encoder in config.encoders.items():
        its_lanes = tuple(lane for lane in lanes if lane.encoder == name)
        if not its_lanes:
            continue
        feeds = {lane.stream for lane in its_lanes}
        boxes = tuple(c.endpoint for c in captures if any(s.stream in feeds for s in c.sensors))
        plans += [
            EncodePlan(
                name=f"encode-{name}-{number}",
                encoder=name,
                encoder_type=encoder.model,
                encoder_config=encoder.settings_dict(),
                lanes=its_lanes,
                mailboxes=boxes,
                publish_endpoint=inlet,
                # Two batches: one in work, one on its way; at least two clips a lane, or a link idles.
                capacity=max(2 * encoder.max_batch, 2 * len(its_lanes)),
                max_batch=1 if same else encoder.max_batch,
                batch_wait_s=0.0 if same else encoder.batch_wait_ms / 1e3,
                threads=1 if same else encoder.threads,
                workers=1 if same else encoder.workers,
                deterministic=same,
                num_gpus=encoder.num_gpus,
                num_cpus=encoder.num_cpus,
                node=encoder.node,
                resources=dict(encoder.resources),
            )
            for number in range(1 if same else encoder.workers)
        ]
    return plans

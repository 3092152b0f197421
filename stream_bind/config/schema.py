"""What may stand in the YAML file: a class per section, a sentence per key. checks.py has what spans sections."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from stream_bind.config.problems import NAME_PATTERN
from stream_bind.config.record import RecordConfig
from stream_bind.config.runtime import RuntimeConfig
from stream_bind.messages import MODALITIES

__all__ = [
    "DeviceConfig",
    "EncoderConfig",
    "PublishConfig",
    "RestartConfig",
    "RigConfig",
    "SinkConfig",
    "StreamConfig",
    "WindowConfig",
    "is_loopback",
]

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=64)]
"""A word that can stand in a topic."""
SENSED = tuple(name for name in MODALITIES if name != "text")
"""What every encoder calls these sensors; an encoder may declare others (load.py asks it)."""
Modality = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=32),
    WithJsonSchema({"anyOf": [{"enum": list(SENSED)}, {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"}]}),
]


class Section(BaseModel):
    """Every section: no unknown key, no infinity, never changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class DeviceConfig(Section):
    """A driver and its own settings, checked by the driver's config class."""

    type: str
    """The driver's registered name."""
    settings: Any = Field(default=None, repr=False)
    """The driver's validated config (a pydantic model)."""

    def settings_dict(self) -> dict[str, Any]:
        """The settings as plain data, from which the driver's config class builds the same settings again."""
        return _plain_settings(self.settings)


class EncoderConfig(Section):
    """An embedding model and where it runs."""

    model: str
    """The encoder's registered name."""
    settings: Any = Field(default=None, repr=False)
    """The encoder's own validated settings (a pydantic model); in YAML they stand beside the keys below."""
    workers: int = Field(default=1, ge=1, le=64)
    """How many workers share this encoder's clips."""
    max_batch: int = Field(default=8, ge=1, le=1024)
    """Clips embedded in one call at most."""
    batch_wait_ms: float = Field(default=5.0, ge=0, le=10_000)
    """How long a clip waits for others to share its batch; 0 sends each alone."""
    num_gpus: float = Field(default=0.0, ge=0, le=64)
    """GPUs one worker reserves; a fraction shares one GPU."""
    num_cpus: float = Field(default=0.0, ge=0, le=1024)
    """CPU cores one worker reserves with Ray."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of one worker's CPU arithmetic; absent: all cores but one, shared among the workers."""
    node: str | None = None
    """Name or address of the Ray node the workers run on; absent: any."""
    resources: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Ray custom resources one worker reserves."""

    @field_validator("num_gpus")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError(f"a fraction of a GPU is at most 1, and more than one is a whole number; found {value}")
        return value

    def settings_dict(self) -> dict[str, Any]:
        """The encoder's own settings as plain data, from which its config class builds them again."""
        return _plain_settings(self.settings)


PIPELINE_KEYS = tuple(key for key in EncoderConfig.model_fields if key not in {"model", "settings"})
"""Keys of an encoder section that say where and how it runs; all others belong to the encoder itself."""


class WindowConfig(Section):
    """The time grid of one stream; what is absent comes from the encoder (length, hop) or the driver (lateness)."""

    length_s: float | None = Field(default=None, gt=0, le=600)
    """Seconds of signal in one window."""
    hop_s: float | None = Field(default=None, gt=0, le=600)
    """Seconds from one window's end to the next one's; windows end on multiples of it since the UNIX epoch."""
    lateness_ms: float | None = Field(default=None, ge=0, le=60_000)
    """How long a window waits for samples that arrive out of order."""
    min_coverage: float = Field(default=0.5, ge=0, le=1)
    """Windows with less of their length covered by samples become events instead of vectors."""
    partial: bool = False
    """Windows that begin before the stream's first sample or end after its last become vectors too, where
    `min_coverage` allows: for recordings shorter than one window. Otherwise they are events."""


class RestartConfig(Section):
    """How long to wait before a broken device is opened again; each failure in a row doubles the wait."""

    first_s: float = Field(default=0.2, gt=0, le=3600)
    """Wait after the first failure."""
    limit_s: float = Field(default=0.5, gt=0, le=86_400)
    """Longest wait: a sensor plugged in again is seen this soon; looking for it costs next to nothing."""

    @model_validator(mode="after")
    def _first_is_least(self) -> Self:
        if self.first_s > self.limit_s:
            raise ValueError(f"first_s ({self.first_s:g}) must not be longer than limit_s ({self.limit_s:g})")
        return self


class StreamConfig(Section):
    """One sensor: its device, its encoders and the corrections of its samples."""

    id: Name
    """Name of the stream in topics, logs and `--set`."""
    modality: Modality
    """What the sensor measures, in the encoders' words: one of the five, or a signal that its encoder declares."""
    encoder: Name | tuple[Name, ...] | None = None
    """Encoders that embed this stream; absent: the only one."""
    device: DeviceConfig
    """The driver and its settings."""
    delay_ms: float = Field(default=0.0, ge=-60_000, le=60_000)
    """Constant transport delay, which cannot be seen from here: subtracted from every time stamp."""
    window: WindowConfig = WindowConfig()
    """The time grid."""
    queue_policy: Literal["drop_oldest", "backpressure"] = "drop_oldest"
    """What happens when the encoder is too slow: drop_oldest (live) or backpressure (recordings: nothing is lost)."""
    queue_depth: int = Field(default=16, ge=1, le=4096)
    """Windows that may wait for the encoder."""
    queue_bytes: int = Field(default=64 << 20, ge=1 << 10)
    """Bytes that may wait for the encoder."""
    record: bool = True
    """Whether recordings of the rig hold this stream."""
    rotate_deg: Literal[0, 90, 180, 270] = 0
    """Images: clockwise rotation that sets them upright."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Images: mirroring, after the rotation."""
    channel: int | Literal["mean"] | None = None
    """Audio: one channel, counted from 0, or `mean` of all; absent: the encoder's choice (ImageBind: the first)."""
    axes: tuple[str, ...] | dict[str, str] | None = None
    """IMU: the sensor's axis and sign for each of the body's x (forward), y (left), z (up), such as ["-y", x, z]."""
    mounting: tuple[float, ...] | tuple[tuple[float, ...], ...] | None = None
    """IMU: turn from sensor to body after `axes`: [roll, pitch, yaw] in degrees, or a 3 x 3 rotation by rows."""
    missing_axes: Literal["error", "zero"] = "error"
    """IMU: whether columns the encoder needs and the sensor lacks are refused or filled with zeros."""
    group: Name | None = None
    """Streams of one group share a capture actor; absent: one of its own."""
    node: str | None = None
    """Name or address of the Ray node the sensor hangs on; absent: any."""
    resources: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Ray custom resources the capture actor reserves."""
    restart: RestartConfig = RestartConfig()
    """Back-off between attempts to open a broken device."""

    @field_validator("encoder", mode="before")
    @classmethod
    def _list_is_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("rotate_deg", mode="before")
    @classmethod
    def _whole_turns(cls, value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    @field_validator("channel", mode="after")
    @classmethod
    def _channel_from_zero(cls, value: int | str | None) -> int | str | None:
        if isinstance(value, int) and value < 0:
            raise ValueError(f"channels count from 0, found {value}")
        return value

    def adjust_settings(self) -> dict[str, Any]:
        """Keyword arguments of stream_bind.adjust.Adjust, without the stream's spec."""
        return {
            "delay_ms": self.delay_ms,
            "rotate_deg": self.rotate_deg,
            "flip": self.flip,
            "channel": self.channel,
            "axes": self.axes,
            "mounting": self.mounting,
            "missing_axes": self.missing_axes,
        }


class SinkConfig(Section):
    """A further destination of vectors and events, and its own settings, checked by the sink's config class."""

    type: str
    """The sink's registered name."""
    settings: Any = Field(default=None, repr=False)
    """The sink's validated config (a pydantic model)."""

    def settings_dict(self) -> dict[str, Any]:
        """The settings as plain data, from which the sink's config class builds the same settings again."""
        return _plain_settings(self.settings)


class PublishConfig(Section):
    """The socket that consumers connect to, and where else vectors and events go."""

    endpoint: str = "tcp://127.0.0.1:5556"
    """Where vectors and events are published: tcp://ADDRESS:PORT or ipc://FILE."""
    insecure: bool = False
    """Allow an endpoint that other machines reach, without encryption."""
    wait_for_subscriber_s: float = Field(default=0.0, ge=0, le=86_400)
    """Hold the first sample back until somebody listens, for at most this long."""
    hwm: int = Field(default=10_000, ge=1)
    """Messages a slow subscriber may fall behind before it loses some."""
    dtype: Literal["<f4", "<f2"] = "<f4"
    """Number format of the vectors on the wire."""
    sinks: tuple[SinkConfig, ...] = ()
    """Further destinations of everything published, such as a file."""

    @field_validator("endpoint")
    @classmethod
    def _known_transport(cls, value: str) -> str:
        if value.startswith(("ipc://", "inproc://")) and len(value.partition("://")[2]) > 0:
            return value
        match = re.fullmatch(r"tcp://(\S+):(\d+|\*)", value)
        if not match:
            raise ValueError(f"expected tcp://ADDRESS:PORT or ipc://FILE, found {value!r}")
        if match.group(2) != "*" and not 0 < int(match.group(2)) < 65536:
            raise ValueError(f"port {match.group(2)} does not exist; ports go from 1 to 65535")
        return value


class RigConfig(Section):
    """A whole rig. Build it with `load_config` or `parse_config`, which also check what spans sections."""

    version: Literal[1]
    """Version of this file's layout."""
    rig: Name
    """Name of the rig in every topic."""
    encoders: dict[Name, EncoderConfig] = Field(min_length=1)
    """Embedding models by name."""
    streams: tuple[StreamConfig, ...] = Field(min_length=1)
    """The sensors."""
    publish: PublishConfig = PublishConfig()
    """The data socket."""
    record: RecordConfig = RecordConfig()
    """The recording."""
    runtime: RuntimeConfig = RuntimeConfig()
    """Launcher and process settings."""

    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What will work badly though it is allowed; one line each."""
        return self._warnings

    def encoder_names(self, stream: StreamConfig) -> tuple[str, ...]:
        """Names of the encoders that embed `stream`, in the order written."""
        if stream.encoder is None:
            return tuple(self.encoders)[:1]
        return (stream.encoder,) if isinstance(stream.encoder, str) else stream.encoder


def is_loopback(endpoint: str) -> bool:
    """Whether only this machine can reach `endpoint`."""
    if not endpoint.startswith("tcp://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host in {"localhost", "lo"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, an interface or * (every interface)


def _plain_settings(settings: Any) -> dict[str, Any]:
    if isinstance(settings, BaseModel):
        return settings.model_dump(mode="json", exclude_unset=True)
    return dict(settings or {})

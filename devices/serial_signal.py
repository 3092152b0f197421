"""A sensor of any type that sends its samples as text lines over a serial port: a microcontroller with a print()."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from devices.protocols.text_channels import TELLS, TextChannels
from devices.protocols.text_lines import SKIP
from devices.serial_samples import SerialSamples
from stream_bind.clock import Clock
from stream_bind.messages import MODALITIES, StreamSpec
from stream_bind.registry import ANY_SIGNAL, register_device

__all__ = ["SerialSignal", "SerialSignalConfig"]


class SerialSignalConfig(BaseModel):
    """A sensor that sends one line of numbers a sample."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["serial_signal"] = "serial_signal"
    """The device type, always "serial_signal"."""
    port: str
    """Where it is plugged in: a path under /dev/serial/by-id, serial:NUMBER, usb:VID:PID, or socket://host:port."""
    baud: int = Field(default=115200, gt=0)
    """Line speed; a socket has none and ignores it."""
    modality: str
    """The sensor type, as the encoder declares it; within a rig that of the stream."""
    rate_hz: float = Field(gt=0, le=100_000)
    """Samples per second the sensor is set to."""
    columns: list[str] | dict[str, str]
    """csv: what each column holds, in order: a channel's name, `time`, `counter`, or `-`; json: for each of these its
    key."""
    unit: str = Field(min_length=1)
    """Unit of the samples after `scale`."""
    scale: float | list[float] = 1.0
    """What the numbers are multiplied by, all or each channel's: 0.1 makes Pa of tenths of a pascal."""
    format: Literal["csv", "json"] = "csv"
    """Numbers between delimiters, or one JSON object per line."""
    delimiter: str = Field(default=",", min_length=1)
    """csv: what stands between columns; a blank stands for any white space."""
    prefix: str = ""
    """What every line of the sensor begins with, such as "BARO,"; other lines are passed over."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of the `time` column, needed where there is one."""
    time_bits: int | None = Field(default=32, ge=8, le=53)
    """Width of the device's time counter, after which it wraps (millis and micros: 32); null for never."""
    counter_bits: int | None = Field(default=None, ge=4, le=53)
    """Width of the sample counter, after which it wraps; by default it does not."""
    stall_timeout_s: float = Field(default=2.0, gt=0)
    """Silence after which the port is opened again, at least three samples long; the first may take 5 s."""
    batch_s: float = Field(default=0.01, ge=0, le=1)
    """How long to gather bytes once some have come: fewer, larger reads."""

    @field_validator("modality")
    @classmethod
    def _of_its_own(cls, value: str) -> str:
        if value in MODALITIES:
            raise ValueError(f"{value} has drivers of its own (serial_imu, microphone, v4l2_camera and others)")
        return value

    @model_validator(mode="after")
    def _columns_fit(self) -> SerialSignalConfig:
        if isinstance(self.columns, dict) != (self.format == "json"):
            raise ValueError("columns is a list for format csv, and a mapping of channel to key for format json")
        kept = [name for name in self.columns if name != SKIP]
        channels = [name for name in kept if name not in TELLS]
        if len(set(kept)) != len(kept) or not channels:
            raise ValueError("columns must name at least one channel, and nothing twice")
        if "time" in kept and self.time_unit is None:
            raise ValueError("time_unit is needed for the time column: one of s, ms, us, ns")
        if isinstance(self.scale, list) and len(self.scale) != len(channels):
            raise ValueError(f"scale must be one number or {len(channels)}, one a channel; found {len(self.scale)}")
        return self


@register_device("serial_signal", config=SerialSignalConfig, modalities=(ANY_SIGNAL,))
class SerialSignal(SerialSamples):
    """float32 (channels,) in the unit told, channels in the columns' order. Stamps: the device's time where it sends
    one, else its counter or our count, fitted to arrivals."""

    def __init__(self, config: SerialSignalConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        decoder = TextChannels(
            config.columns,
            delimiter=config.delimiter,
            prefix=config.prefix,
            time_unit=config.time_unit,
            time_bits=config.time_bits,
            counter_bits=config.counter_bits,
            factors=config.scale if isinstance(config.scale, list) else [config.scale] * _n_channels(config),
        )
        super().__init__(
            f"serial_signal {config.port}",
            decoder,
            clock,
            port=config.port,
            baud=config.baud,
            rate_hz=config.rate_hz,
            stall_timeout_s=config.stall_timeout_s,
            batch_s=config.batch_s,
        )

    @property
    def spec(self) -> StreamSpec:
        return self._spec_of(self._id, self._config.modality, self._config.rate_hz, self._config.unit)

    def _suspects(self) -> str:
        config = self._config
        return f"baud ({config.baud}), format ({config.format}), columns and prefix"


def _n_channels(config: SerialSignalConfig) -> int:
    return len([name for name in config.columns if name not in TELLS])

"""A motion sensor on a serial port, or on a socket that stands for one, in any protocol of devices/protocols."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.base import Found
from devices.imu_decoders import make_decoder
from devices.protocols.mavlink import MavlinkMessage
from devices.protocols.text_lines import SKIP
from devices.serial_samples import SerialSamples
from stream_bind.clock import Clock
from stream_bind.messages import IMU_AXES, StreamSpec
from stream_bind.registry import register_device

__all__ = ["PROTOCOLS", "Protocol", "SerialImu", "SerialImuConfig"]

Protocol = Literal[
    "text", "witmotion", "witmotion_ble", "bno08x_rvc", "vectornav_ascii", "vectornav_binary", "xsens", "mavlink"
]
PROTOCOLS: tuple[str, ...] = Protocol.__args__  # type: ignore[attr-defined]

_TELLS = ("counter", "time", SKIP)
_OWNERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("format", "columns", "delimiter", "prefix", "accel_unit", "gyro_unit", "time_unit", "time_bits"), ("text",)
    ),
    "counter_bits": ("text",),
    **dict.fromkeys(("accel_range_g", "gyro_range_dps"), ("witmotion", "witmotion_ble")),
    "device_time": ("witmotion", "vectornav_binary", "xsens"),
    **dict.fromkeys(("counter", "high_rate", "tick_modulus"), ("xsens",)),
    **dict.fromkeys(("message", "system", "component", "instance"), ("mavlink",)),
}
"""Settings that only some protocols have."""


class SerialImuConfig(BaseModel):
    """A serial IMU."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["serial_imu"] = "serial_imu"
    """The device type, always "serial_imu"."""
    port: str
    """Where it is plugged in: a path under /dev/serial/by-id, serial:NUMBER, usb:VID:PID, or socket://host:port."""
    baud: int = Field(default=115200, gt=0)
    """Line speed; a socket has none and ignores it."""
    rate_hz: float = Field(gt=0, le=100_000)
    """Samples per second the sensor is set to."""
    protocol: Protocol = "text"
    """What it speaks; `stream-bind devices` finds out."""
    stall_timeout_s: float = Field(default=2.0, gt=0)
    """Silence after which the port is opened again, at least three samples long; the first may take 5 s."""
    batch_s: float = Field(default=0.01, ge=0, le=1)
    """How long to gather bytes once some have come: fewer, larger reads."""
    format: Literal["csv", "json"] = "csv"
    """text: numbers between delimiters, or one JSON object per line."""
    columns: list[str] | dict[str, str] = Field(default_factory=lambda: list(IMU_AXES))
    """csv: what each column holds, in order: an axis, `time`, `counter`, or `-`; json: for each of these its key."""
    delimiter: str = ","
    """csv: what stands between columns; a blank stands for any white space."""
    prefix: str = ""
    """text: what every line of the sensor begins with, such as "IMU,"; other lines are passed over."""
    accel_unit: Literal["m/s2", "g", "mg"] = "m/s2"
    """text: unit of the acceleration columns."""
    gyro_unit: Literal["rad/s", "deg/s", "mdeg/s"] = "rad/s"
    """text: unit of the angular rate columns."""
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """text: unit of the `time` column, needed where there is one."""
    time_bits: int | None = Field(default=32, ge=8, le=53)
    """text: width of the device's time counter, after which it wraps (millis and micros: 32); null for never."""
    counter_bits: int | None = Field(default=None, ge=4, le=53)
    """text: width of the sample counter, after which it wraps; by default it does not."""

    accel_range_g: float = Field(default=16.0, gt=0)
    """witmotion: acceleration range set in the sensor; it does not send it."""
    gyro_range_dps: float = Field(default=2000.0, gt=0)
    """witmotion: range of the angular rate set in the sensor, in degrees a second."""
    device_time: bool | None = None
    """Samples carry the sensor's time: by default xsens (SampleTimeFine) and vectornav_binary (TimeStartup) do, and
    witmotion (packet 50) does not."""
    counter: bool = True
    """xsens: it sends PacketCounter."""
    high_rate: bool = False
    """xsens: take AccelerationHR and RateOfTurnHR in place of the filtered quantities."""
    tick_modulus: Literal[4294967296, 864000000] = 4294967296
    """xsens: where SampleTimeFine wraps; 864000000, a day, on the MTi 10- and 100-series."""
    message: MavlinkMessage = "highres_imu"
    """mavlink: which message; PX4 sends highres_imu, ArduPilot raw_imu and scaled_imu2, scaled_imu3."""
    system: int | None = Field(default=None, ge=1, le=255)
    """mavlink: whose messages, by system number; by default of whoever is heard first."""
    component: int | None = Field(default=None, ge=0, le=255)
    """mavlink: whose messages, by component number; by default of whoever is heard first."""
    instance: int | None = Field(default=None, ge=0, le=255)
    """mavlink: the `id` of raw_imu and highres_imu where several sensors send them."""

    @model_validator(mode="after")
    def _settings_fit_the_protocol(self) -> SerialImuConfig:
        for name in sorted(self.model_fields_set & _OWNERS.keys()):
            if self.protocol not in _OWNERS[name]:
                others = " and ".join(_OWNERS[name])
                raise ValueError(f"{name} is a setting of protocol {others}; protocol is {self.protocol}")
        if self.protocol == "text":
            self._check_columns()
        return self

    def _check_columns(self) -> None:
        if isinstance(self.columns, dict) != (self.format == "json") and "columns" in self.model_fields_set:
            raise ValueError("columns is a list for format csv, and a mapping of axis to key for format json")
        names = list(self.columns)
        unknown = [name for name in names if name not in IMU_AXES and name not in _TELLS]
        if unknown:
            raise ValueError(f"columns: {', '.join(unknown)} unknown; known: {', '.join((*IMU_AXES, *_TELLS))}")
        kept = [name for name in names if name != SKIP]
        if len(set(kept)) != len(kept) or not set(kept) & set(IMU_AXES):
            raise ValueError("columns must name at least one axis, and nothing twice")
        if "time" in kept and self.time_unit is None:
            raise ValueError("time_unit is needed for the time column: one of s, ms, us, ns")
        if not self.delimiter:
            raise ValueError("delimiter must not be empty; a blank stands for any white space")


@register_device("serial_imu", config=SerialImuConfig, modalities=("imu",))
class SerialImu(SerialSamples):
    """float32 (len(axes),) in m/s^2 and rad/s. Stamps: the device's time where it sends one, else its counter or our
    count, fitted to arrivals."""

    def __init__(self, config: SerialImuConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        super().__init__(
            f"serial_imu {config.port}",
            make_decoder(config),
            clock,
            port=config.port,
            baud=config.baud,
            rate_hz=config.rate_hz,
            stall_timeout_s=config.stall_timeout_s,
            batch_s=config.batch_s,
        )

    @property
    def spec(self) -> StreamSpec:
        return self._spec_of(self._id, "imu", self._config.rate_hz, "si")

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """Serial ports, and what speaks there where that can be heard: nothing is ever written to them."""
        from devices.serial_probe import motion_sensors

        return motion_sensors(probe)

    def _suspects(self) -> str:
        config = self._config
        what = f"format ({config.format}), columns and prefix" if config.protocol == "text" else "protocol"
        return f"baud ({config.baud}), {what}, or ask `stream-bind devices`"

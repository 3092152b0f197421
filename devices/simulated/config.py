"""Settings of the simulated twins."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_bind.messages import IMU_AXES

__all__ = ["UNITS", "SimulatedConfig"]

UNITS = {"barometer": ("Pa", "hPa", "mbar", "kPa"), "emg": ("mV", "uV", "V")}
"""Units that a simulated signal can be in; the first is the default."""

_ONLY = {
    "width": ("vision", "depth", "thermal"),
    "height": ("vision", "depth", "thermal"),
    "channels": ("audio", "emg"),
    "axes": ("imu", "barometer", "emg"),
    "unit": ("barometer", "emg"),
    "grey8": ("thermal",),
}


class SimulatedConfig(BaseModel):
    """A seeded twin of one sensor kind. Defaults are those of a common part of that kind."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["simulated"] = "simulated"
    """The device type, always "simulated"."""
    modality: Literal["vision", "audio", "depth", "thermal", "imu", "barometer", "emg"]
    """Which sensor to simulate."""
    rate_hz: float | None = Field(default=None, gt=0, le=1e6)
    """Samples per second: by default 30 (vision), 48000 (audio), 15 (depth), 9 (thermal), 200 (imu), 25 (barometer),
    200 (emg)."""
    seed: int = Field(default=0, ge=0)
    """The world that is looked at; sensors of one seed see, hear and feel the same scenes."""
    width: int | None = Field(default=None, ge=8)
    """Picture width in pixels: by default 320 for vision, 160 for depth and thermal."""
    height: int | None = Field(default=None, ge=8)
    """Picture height in pixels: by default 240 for vision, 120 for depth and thermal."""
    channels: int | None = Field(default=None, ge=1)
    """Microphone channels, by default 1; electrodes of the EMG armband, by default 8."""
    axes: tuple[str, ...] | None = None
    """IMU axes to deliver, by default all six; of a barometer or an EMG the names of its channels."""
    unit: str | None = None
    """Barometer: Pa (default), hPa, mbar or kPa; EMG: mV (default), uV or V."""
    grey8: bool = False
    """Thermal: an 8-bit grey picture (0.2 K a count from 273.15 K) instead of float32 kelvin."""
    chunk_size: int | None = Field(default=None, ge=1)
    """Samples in every read: by default 1 frame, or 10 ms of sound or motion."""
    drift_ppm: float = Field(default=0.0, ge=-10000, le=10000)
    """How much faster than nominal the sensor's own clock runs; time stamps stay true."""

    @model_validator(mode="after")
    def _fits_the_modality(self) -> SimulatedConfig:
        for key, modalities in _ONLY.items():
            if getattr(self, key) and self.modality not in modalities:
                raise ValueError(f"{key} belongs to {' and '.join(modalities)}, not to {self.modality}")
        if self.axes is not None and (not self.axes or len(set(self.axes)) != len(self.axes)):
            raise ValueError("axes must name each axis once, and at least one")
        unknown = [axis for axis in self.axes or () if axis not in IMU_AXES]
        if unknown and self.modality == "imu":
            raise ValueError(f"axes: {', '.join(unknown)} unknown; known: {', '.join(IMU_AXES)}")
        if self.modality == "barometer" and len(self.axes or (1,)) != 1:
            raise ValueError(f"axes: a barometer has one channel, not {len(self.axes or ())}")
        if self.modality == "emg" and self.axes and self.channels not in {None, len(self.axes)}:
            raise ValueError(
                f"axes names {len(self.axes)} channels, channels says {self.channels}; drop one of the two"
            )
        if self.unit is not None and self.unit not in UNITS[self.modality]:
            raise ValueError(
                f"unit: a simulated {self.modality} knows {', '.join(UNITS[self.modality])}, not {self.unit}"
            )
        return self

"""A FLIR Lepton on a PureThermal board: 16-bit counts over USB video, in kelvin by its TLinear output."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from devices.base import Found
from devices.pixels import counts
from devices.thermal_frames import Repeats, implausible, to_kelvin
from devices.v4l2 import Layout
from devices.v4l2_found import found_for
from devices.v4l2_source import Frame, Setup, V4l2Config, V4l2Source, Withheld
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["LeptonThermal", "LeptonThermalConfig", "Telemetry", "parse_telemetry"]

logger = logging.getLogger(__name__)

_PICTURES = {160: 120, 80: 60}
"""Width and height of Lepton 3.x and 2.x pictures; further rows are telemetry."""
_TALL = [(160, 122), (80, 63)]
_BARE = [(160, 120), (80, 60)]
_ROW_WORDS = 80
_FFC_RUNNING = 2
_FIRST_PICTURE_S = 2.0


class LeptonThermalConfig(V4l2Config):
    """A FLIR Lepton behind a PureThermal board (USB video, Y16)."""

    type: Literal["lepton_thermal"] = "lepton_thermal"
    """The device type, always "lepton_thermal"."""
    resolution_k: float | Literal["telemetry"]
    """Kelvin per count of the TLinear output: 0.01 (factory setting), 0.1, or telemetry: as the camera says."""
    telemetry: Literal["auto", "off"] = "auto"
    """Ask for frames with telemetry rows where the camera offers them, or never."""
    during_ffc: Literal["drop", "keep"] = "drop"
    """Frames repeated while the shutter is closed for calibration (about 1 s every 3 min): a gap, or passed on."""
    rate_hz: float = Field(default=9.0, gt=0, le=30)
    """Frames per second; Leptons for export deliver 8.7."""
    stall_timeout_s: float = Field(default=3.0, gt=0, le=600)
    """Silence after which the camera is given up and opened again."""

    @field_validator("resolution_k")
    @classmethod
    def _a_resolution(cls, value: float | str) -> float | str:
        if value not in {0.01, 0.1, "telemetry"}:
            raise ValueError(f"resolution_k is 0.01, 0.1 or telemetry; found {value}")
        return value


class Telemetry(NamedTuple):
    """What a Lepton says about a frame in the rows below it."""

    uptime_ms: int
    frame: int
    """Its own frame counter, which runs at the sensor's 26 Hz."""
    ffc_state: int
    """0 never commanded, 1 imminent, 2 in progress, 3 complete."""
    agc: bool
    """Whether counts are stretched for the eye: no temperatures then."""
    tlinear: bool | None
    """Whether counts are kelvin; None where row C is not sent."""
    resolution_k: float | None


def parse_telemetry(rows: NDArray[np.uint16]) -> Telemetry:
    """Telemetry from the rows below the picture, uint16 (n, 160) or (n, 80), n * width >= 80.

    Rows A, B, C of 80 words each. Places: Lepton Engineering Datasheet 500-0659-00-09, tables 2 and 3 (row A: 1-2 time,
    3-4 status, 20-21 frame counter; row C: 48 TLinear, 49 resolution). That 32-bit values come low word first is how
    the tCam firmware reads them; the datasheet does not say.
    """
    words = rows.reshape(-1).tolist()
    status = words[3] | words[4] << 16
    row_c = words[2 * _ROW_WORDS : 3 * _ROW_WORDS]
    whole = len(row_c) == _ROW_WORDS
    return Telemetry(
        uptime_ms=words[1] | words[2] << 16,
        frame=words[20] | words[21] << 16,
        ffc_state=status >> 4 & 3,
        agc=bool(status >> 12 & 1),
        tlinear=bool(row_c[48]) if whole else None,
        resolution_k=(0.01 if row_c[49] else 0.1) if whole else None,
    )


@register_device("lepton_thermal", config=LeptonThermalConfig, modalities=("thermal",))
class LeptonThermal:
    """float32 kelvin, one frame a chunk. Counts ffc_frames (shutter closed) and repeated_frames."""

    def __init__(self, config: LeptonThermalConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._source = V4l2Source("lepton_thermal", stream_id, clock, config)
        self._repeats = Repeats()
        self._size: tuple[int, int] | None = None
        self._ahead: Chunk | None = None
        self._believed = False
        self.telemetry: Telemetry | None = None
        """Of the newest frame, where it carries any."""

    @property
    def spec(self) -> StreamSpec:
        rate_hz = self._source.rate_hz or self._config.rate_hz
        return StreamSpec(
            id=self._id,
            modality="thermal",
            rate_hz=rate_hz,
            shape=self._size or (-1, -1),
            dtype="float32",
            unit="K",
            # The shutter's second must not close windows by host time.
            max_delay_s=2.0,
            domain=self._source.domain,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        return dict(self._source.counters)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        return found_for("lepton_thermal", probe)

    def open(self) -> None:
        sizes = _BARE if self._config.telemetry == "off" else [*_TALL, *_BARE]
        self._source.open(Setup(["Y16 "], sizes, self._config.rate_hz))
        layout = self._source.layout
        assert layout is not None
        self._size = (_PICTURES[layout.width], layout.width)
        self._repeats = Repeats()
        self.telemetry = None
        self._believed = False
        if layout.height == self._size[0] and self._config.resolution_k == "telemetry":
            self._source.close()
            raise DeviceError(
                f"{self._source.name}: sends no telemetry rows ({layout.width}x{layout.height}), so resolution_k must "
                f"be 0.01 or 0.1",
                permanent=True,
            )
        # Counts that are no temperatures are a mistake to be told at once, so opening waits for a picture.
        try:
            self._ahead = self._source.read(_FIRST_PICTURE_S, self._decode)
        except DeviceError:
            self._source.close()
            raise

    def read(self, timeout_s: float) -> Chunk | None:
        ahead, self._ahead = self._ahead, None
        return ahead or self._source.read(timeout_s, self._decode)

    def close(self) -> None:
        self._ahead = None
        self._source.close()

    def _decode(self, buffer: memoryview, layout: Layout) -> Frame:
        height = _PICTURES[layout.width]
        rows = counts(buffer, layout.width, layout.height, layout.bytesperline)
        picture = rows[:height]
        resolution_k = self._resolution(rows[height:])
        repeated = self._repeats.judge(picture)
        closed = self.telemetry is not None and self.telemetry.ffc_state == _FFC_RUNNING
        if self._config.during_ffc == "drop" and (closed or repeated):
            raise Withheld("ffc_frames" if closed else "repeated_frames", gap=closed or Repeats.is_frozen(repeated))
        problem = "" if self._believed else implausible(picture, resolution_k)
        self._believed = True
        if problem:
            raise DeviceError(
                f"{self._source.name}: {problem} at {resolution_k:g} K a count; switch TLinear on and AGC off "
                f"(radiometric Leptons 2.5 and 3.5 only), or set the other resolution_k",
                permanent=True,
            )
        return Frame(to_kelvin(picture, resolution_k), Raw(picture[None], "16UC1", resolution_k))

    def _resolution(self, rows: NDArray[np.uint16]) -> float:
        """Kelvin per count; DeviceError where the camera says that its counts are none."""
        wanted = self._config.resolution_k
        if not len(rows):
            assert isinstance(wanted, float)
            return wanted
        told = self.telemetry = parse_telemetry(rows)
        name = self._source.name
        if told.agc or told.tlinear is False:
            why = "AGC is on" if told.agc else "TLinear is off"
            raise DeviceError(
                f"{name}: {why}, so its counts are no temperatures; switch TLinear on and AGC off "
                f"(radiometric Leptons 2.5 and 3.5 only)",
                permanent=True,
            )
        if wanted == "telemetry":
            if told.resolution_k is None:
                raise DeviceError(
                    f"{name}: its telemetry lacks the resolution; set resolution_k to 0.01 or 0.1", permanent=True
                )
            return told.resolution_k
        assert isinstance(wanted, float)
        if told.resolution_k not in {None, wanted}:
            raise DeviceError(
                f"{name}: resolution_k is {wanted:g}, the camera's telemetry says {told.resolution_k:g}; "
                f"set resolution_k: {told.resolution_k:g}, or telemetry",
                permanent=True,
            )
        return wanted

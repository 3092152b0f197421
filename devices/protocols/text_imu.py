"""Text lines as motion samples: axes put in order, units made SI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from devices.protocols.text_channels import TextChannels
from devices.units import ACCEL_MPS2, GYRO_RADPS
from stream_bind.messages import IMU_AXES

__all__ = ["TextImu"]


class TextImu(TextChannels):
    """An ImuDecoder (devices/protocols/base) of csv or json lines."""

    def __init__(
        self,
        columns: Sequence[str] | Mapping[str, str],
        *,
        delimiter: str = ",",
        prefix: str = "",
        accel_unit: Literal["m/s2", "g", "mg"] = "m/s2",
        gyro_unit: Literal["rad/s", "deg/s", "mdeg/s"] = "rad/s",
        time_unit: Literal["s", "ms", "us", "ns"] | None = None,
        time_bits: int | None = 32,
        counter_bits: int | None = None,
    ) -> None:
        """columns: as TextChannels has them, the channels being names of IMU_AXES; `axes` come in that order."""
        axes = tuple(axis for axis in IMU_AXES if axis in columns)
        units = (ACCEL_MPS2[accel_unit], GYRO_RADPS[gyro_unit])
        super().__init__(
            columns,
            axes=axes,
            factors=[units[axis.startswith("gyro")] for axis in axes],
            delimiter=delimiter,
            prefix=prefix,
            time_unit=time_unit,
            time_bits=time_bits,
            counter_bits=counter_bits,
        )

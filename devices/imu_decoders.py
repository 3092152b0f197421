"""The decoder that a serial IMU's settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from devices.protocols.base import ImuDecoder
from devices.protocols.bno08x_rvc import Bno08xRvc
from devices.protocols.mavlink import MavlinkImu
from devices.protocols.packets import PacketDecoder
from devices.protocols.text_imu import TextImu
from devices.protocols.vectornav import VectorNavAscii, VectorNavBinary
from devices.protocols.witmotion import WitMotion, WitMotionBle
from devices.protocols.xsens import XsensMtData2

if TYPE_CHECKING:
    from devices.serial_imu import SerialImuConfig

__all__ = ["make_decoder"]


def make_decoder(config: SerialImuConfig) -> ImuDecoder:
    """A new one. Raises DeviceError where a protocol's extra is not installed."""
    if config.protocol != "text":
        return _make_packets(config)
    return TextImu(
        config.columns,
        delimiter=config.delimiter,
        prefix=config.prefix,
        accel_unit=config.accel_unit,
        gyro_unit=config.gyro_unit,
        time_unit=config.time_unit,
        time_bits=config.time_bits,
        counter_bits=config.counter_bits,
    )


def _make_packets(config: SerialImuConfig) -> PacketDecoder:
    ranges = {"accel_range_g": config.accel_range_g, "gyro_range_dps": config.gyro_range_dps}
    match config.protocol:
        case "witmotion":
            return WitMotion(**ranges, device_time=config.device_time is True)
        case "witmotion_ble":
            return WitMotionBle(**ranges)
        case "bno08x_rvc":
            return Bno08xRvc()
        case "vectornav_ascii":
            return VectorNavAscii()
        case "vectornav_binary":
            return VectorNavBinary(device_time=config.device_time is not False)
        case "xsens":
            return XsensMtData2(
                device_time=config.device_time is not False,
                tick_modulus=config.tick_modulus,
                counter=config.counter,
                high_rate=config.high_rate,
            )
        case "mavlink":
            return MavlinkImu(
                message=config.message,
                system=config.system,
                component=config.component,
                instance=config.instance,
            )
    raise ValueError(f"no packets are decoded for protocol {config.protocol!r}")

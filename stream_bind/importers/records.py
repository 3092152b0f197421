"""What a message of a foreign log says, whatever its schema: a picture, motion, a block of sound, a lens."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from stream_bind.messages import Intrinsics

__all__ = [
    "NOT_TAKEN",
    "Lens",
    "Motion",
    "Picture",
    "Record",
    "Sound",
    "SoundInfo",
    "bare_type",
    "decoder",
    "from_json",
]

ABSENT = -1.0
"""First element of a covariance in sensor_msgs/Imu: this is not measured (the message's own comment)."""

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, packed or not."""

    t_ns: int | None
    """UNIX ns as the sensor stamped it; None: it says none."""
    encoding: str
    """jpeg, png, compressedDepth, h264, h265 ..., or as ROS names the pixels: rgb8, 16UC1 ..."""
    data: Any
    """Bytes."""
    width: int = 0
    height: int = 0
    step: int = 0
    """Bytes from one line to the next."""
    big_endian: bool = False
    pixels: str = ""
    """Packed pictures: what they hold when unpacked, where that is said (16UC1)."""
    frame_id: str = ""


@dataclass(frozen=True, slots=True)
class Motion:
    """One sample of an IMU."""

    t_ns: int | None
    accel: Vector | None
    """m/s^2."""
    gyro: Vector | None
    """rad/s."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A block of sound."""

    t_ns: int | None
    """Of its first sample."""
    data: Any
    encoding: str
    """pcm-s16, ... or empty: said elsewhere."""
    rate_hz: float = 0.0
    channels: int = 0


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera's calibration."""

    t_ns: int | None
    intrinsics: Intrinsics


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What the bytes on a topic beside this one are."""

    t_ns: int | None
    encoding: str
    """As in Sound; what is packed keeps its name."""
    rate_hz: float
    channels: int


Record = Picture | Motion | Sound | SoundInfo | Lens

NOT_TAKEN = {
    "MagneticField": "a magnetometer is no input of the models",
    "PointCloud2": "a point cloud is no picture of depth",
    "PointCloud": "a point cloud is no picture of depth",
    "LaserScan": "a laser scan is no picture of depth",
    "NavSatFix": "a position is no input of the models",
    "CompressedAudio": "packed sound in messages is not read; export it as a sound file",
}
"""By the last part of a type's name."""


def bare_type(name: str) -> str:
    """One spelling of a type's name: sensor_msgs/msg/Imu as sensor_msgs/Imu, foxglove_msgs/RawImage as
    foxglove.RawImage."""
    return name.replace("/msg/", "/").replace("foxglove_msgs/", "foxglove.").replace("::msg::dds_::", "/")


def decoder(type_name: str) -> Callable[[Any], Record | None] | None:
    """What reads a message of this type; None: none does."""
    return _DECODERS.get(bare_type(type_name))


def from_json(value: Any) -> Any:
    """A JSON value with attributes for keys, as messages have them."""
    if isinstance(value, Mapping):
        return SimpleNamespace(**{str(key): from_json(each) for key, each in value.items()})
    return [from_json(each) for each in value] if isinstance(value, list) else value


def _stamp(value: Any) -> int | None:
    """ns of a ROS time, a protobuf Timestamp, or Foxglove's JSON; None where it is 0: nobody set it."""
    seconds = next((int(getattr(value, name)) for name in ("sec", "seconds", "secs") if hasattr(value, name)), 0)
    names = ("nanosec", "nanos", "nsec", "nsecs")
    rest = next((int(getattr(value, name)) for name in names if hasattr(value, name)), 0)
    return seconds * 1_000_000_000 + rest or None


def _bytes(data: Any) -> Any:
    return base64.b64decode(data) if isinstance(data, str) else data


def _image(found: Any) -> Picture:
    return Picture(
        _stamp(found.header.stamp),
        found.encoding,
        found.data,
        int(found.width),
        int(found.height),
        int(found.step),
        bool(found.is_bigendian),
        frame_id=found.header.frame_id,
    )


def _compressed_image(found: Any) -> Picture:
    """Its format is `jpeg`, `rgb8; jpeg compressed bgr8`, or `16UC1; compressedDepth png` (image_transport_plugins)."""
    said = found.format.lower()
    pixels, _, packing = said.rpartition(";")
    if "compresseddepth" in said:
        packing = "compressedDepth rvl" if "rvl" in said else "compressedDepth"
    else:
        words = packing.replace(".", " ").split()
        packing = next((word for word in words if word in _PACKINGS), words[0] if words else "")
    return Picture(
        _stamp(found.header.stamp),
        _PACKINGS.get(packing, packing),
        found.data,
        pixels=pixels.strip().upper() if pixels.strip()[:2].isdigit() else pixels.strip(),
        frame_id=found.header.frame_id,
    )


_PACKINGS = {
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "png": "png",
    "h264": "h264",
    "h265": "h265",
    "hevc": "h265",
    "webp": "webp",
}


def _imu(found: Any) -> Motion:
    force, rate = found.linear_acceleration, found.angular_velocity
    has_force, has_rate = (
        float(covariance[0]) != ABSENT
        for covariance in (found.linear_acceleration_covariance, found.angular_velocity_covariance)
    )
    return Motion(
        _stamp(found.header.stamp),
        (force.x, force.y, force.z) if has_force else None,
        (rate.x, rate.y, rate.z) if has_rate else None,
    )


def _accel(found: Any) -> Motion:
    """geometry_msgs/AccelStamped, the stamped vector of some drivers."""
    force = found.accel.linear
    return Motion(_stamp(found.header.stamp), (force.x, force.y, force.z), None)


def _camera_info(found: Any) -> Lens:
    k = found.k if hasattr(found, "k") else found.K
    d = found.d if hasattr(found, "d") else found.D
    names = {"plumb_bob": "brown_conrady", "equidistant": "kannala_brandt4"}
    model = names.get(found.distortion_model, found.distortion_model)
    size = int(found.width), int(found.height)
    told = Intrinsics(*size, float(k[0]), float(k[4]), float(k[2]), float(k[5]), model, tuple(map(float, d)))
    return Lens(_stamp(found.header.stamp), told)


def _calibration(found: Any) -> Lens:
    size = int(found.width), int(found.height)
    k = [float(value) for value in found.K]
    told = Intrinsics(*size, k[0], k[4], k[2], k[5], found.distortion_model, tuple(map(float, found.D)))
    return Lens(_stamp(found.timestamp), told)


def _audio_data(found: Any) -> Sound:
    """audio_common_msgs/AudioData: bytes, and nothing said of them."""
    return Sound(None, found.data, "")


def _audio_stamped(found: Any) -> Sound:
    return Sound(_stamp(found.header.stamp), found.audio.data, "")


def _audio_info(found: Any) -> SoundInfo:
    """audio_common_msgs/AudioInfo: GStreamer's names of sample formats, and `wave` for what is not packed."""
    formats = {"S16LE": "pcm-s16", "S32LE": "pcm-s32", "F32LE": "pcm-f32", "U8": "pcm-u8"}
    packing = found.coding_format.lower()
    encoding = formats.get(found.sample_format, found.sample_format) if packing in {"wave", "raw"} else packing
    return SoundInfo(None, encoding, float(found.sample_rate), int(found.channels))


def _raw_audio(found: Any) -> Sound:
    return Sound(
        _stamp(found.timestamp),
        _bytes(found.data),
        found.format,
        float(found.sample_rate),
        int(found.number_of_channels),
    )


def _foxglove_image(found: Any) -> Picture:
    size = int(found.width), int(found.height), int(found.step)
    return Picture(_stamp(found.timestamp), found.encoding, _bytes(found.data), *size, frame_id=found.frame_id)


def _foxglove_packed(found: Any) -> Picture:
    packing = found.format.lower()
    return Picture(
        _stamp(found.timestamp), _PACKINGS.get(packing, packing), _bytes(found.data), frame_id=found.frame_id
    )


_DECODERS: dict[str, Callable[[Any], Record | None]] = {
    "sensor_msgs/Image": _image,
    "sensor_msgs/CompressedImage": _compressed_image,
    "sensor_msgs/Imu": _imu,
    "sensor_msgs/CameraInfo": _camera_info,
    "geometry_msgs/AccelStamped": _accel,
    "audio_common_msgs/AudioData": _audio_data,
    "audio_common_msgs/AudioDataStamped": _audio_stamped,
    "audio_common_msgs/AudioInfo": _audio_info,
    "foxglove.RawAudio": _raw_audio,
    "foxglove.RawImage": _foxglove_image,
    "foxglove.CompressedImage": _foxglove_packed,
    "foxglove.CompressedVideo": _foxglove_packed,
    "foxglove.CameraCalibration": _calibration,
}

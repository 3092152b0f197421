"""MCAP files of other programs: Foxglove's schemas in protobuf and JSON, ROS 1 messages, sound, video, damage."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from mcap.writer import CompressionType, Writer
from rosbags.typesys import Stores, get_typestore

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.job import measure
from stream_bind.log.schemas import RAW_AUDIO, message, ros_time, schema_text, serialize

T0 = 1_760_000_000_000_000_000
RATE = 16_000
TONE = np.rint(np.sin(np.arange(RATE) * 2 * math.pi * 440 / RATE) * 12_000).astype("<i2")
COLOUR = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
JPEG = cv2.imencode(".jpg", COLOUR[..., ::-1])[1].tobytes()
SHOWN = cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
DEPTH = np.arange(24 * 32, dtype="<u2").reshape(24, 32)

FIELDS = {
    "foxglove.CompressedImage": [
        ("timestamp", "time"),
        ("frame_id", "string"),
        ("data", "bytes"),
        ("format", "string"),
    ],
    "foxglove.RawImage": [
        *[("timestamp", "time"), ("frame_id", "string"), ("width", "int"), ("height", "int")],
        *[("encoding", "string"), ("step", "int"), ("data", "bytes")],
    ],
    "foxglove.RawAudio": [
        *[("timestamp", "time"), ("data", "bytes"), ("format", "string")],
        *[("sample_rate", "int"), ("number_of_channels", "int")],
    ],
    "foxglove.CompressedVideo": [
        ("timestamp", "time"),
        ("frame_id", "string"),
        ("data", "bytes"),
        ("format", "string"),
    ],
    "my.Words": [("timestamp", "time"), ("format", "string")],
}
"""As docs.foxglove.dev/docs/visualization/message-schemas lists them."""


def descriptors(name: str) -> descriptor_pb2.FileDescriptorSet:
    """What a protobuf channel carries as its schema, made of the list above."""
    package, _, kind = name.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name=f"{kind}.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    found = file.message_type.add(name=kind)
    types = {"string": 9, "bytes": 12, "int": 7, "time": 11}
    for number, (field, sort) in enumerate(FIELDS[name], 1):
        added = found.field.add(name=field, number=number, type=types[sort], label=1)
        if sort == "time":
            added.type_name = ".google.protobuf.Timestamp"
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    return descriptor_pb2.FileDescriptorSet(file=[stamp, file])


def as_protobuf(name: str, fields: dict[str, Any]) -> bytes:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors(name).file:
        pool.Add(file)
    found = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
    for key, value in fields.items():
        if key == "timestamp":
            found.timestamp.seconds, found.timestamp.nanos = divmod(value, 10**9)
        else:
            setattr(found, key, value)
    return bytes(found.SerializeToString())


def as_json(name: str, fields: dict[str, Any]) -> bytes:
    del name
    plain = {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else value for key, value in fields.items()
    }
    seconds, rest = divmod(plain["timestamp"], 10**9)
    return json.dumps(plain | {"timestamp": {"sec": seconds, "nsec": rest}}).encode()


ENCODERS: dict[str, tuple[str, Callable[[str, dict[str, Any]], bytes]]] = {
    "protobuf": ("protobuf", as_protobuf),
    "json": ("jsonschema", as_json),
}
Messages = list[tuple[str, str, int, dict[str, Any]]]
"""Topic, type, log time, fields."""


def mcap(path: Path, messages: Messages, encoding: str, compression: CompressionType = CompressionType.ZSTD) -> Path:
    sort, encode = ENCODERS[encoding]
    with path.open("wb") as file:
        writer = Writer(file, compression=compression, chunk_size=4096)
        writer.start()
        channels: dict[str, int] = {}
        for topic, kind, at, fields in messages:
            if topic not in channels:
                text = descriptors(kind).SerializeToString() if encoding == "protobuf" else b'{"type": "object"}'
                schema = writer.register_schema(kind, sort, text)
                channels[topic] = writer.register_channel(topic, encoding, schema)
            writer.add_message(channels[topic], at, encode(kind, fields), at)
        writer.finish()
    return path


def rig() -> Messages:
    messages: Messages = []
    for i in range(10):
        at = T0 + i * 100_000_000
        block = TONE[i * RATE // 10 : (i + 1) * RATE // 10]
        stereo = np.stack([block, -block], axis=1)
        image = {"timestamp": at, "frame_id": "c", "data": JPEG, "format": "jpeg"}
        raw = {"timestamp": at, "frame_id": "d", "width": 32, "height": 24, "encoding": "16UC1", "step": 64}
        sound = {"timestamp": at, "format": "pcm-s16", "sample_rate": RATE, "number_of_channels": 2}
        messages += [
            ("/head/image", "foxglove.CompressedImage", at, image),
            ("/head/depth", "foxglove.RawImage", at, raw | {"data": DEPTH.tobytes()}),
            ("/head/mic", "foxglove.RawAudio", at, sound | {"data": stereo.tobytes()}),
        ]
    messages.append(("/words", "my.Words", T0, {"timestamp": T0, "format": "x"}))
    return messages


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.LZ4, CompressionType.NONE])
@pytest.mark.parametrize("encoding", ENCODERS)
def test_foxgloves_schemas_in_protobuf_and_json(
    encoding: str, compression: CompressionType, tmp_path: Path, read, through_log
) -> None:
    path = mcap(tmp_path / "a.mcap", rig(), encoding, compression)
    source, found = read(path)
    assert set(found) == {"head", "head.depth", "head.mic"}
    assert all(np.array_equal(frame, SHOWN) for frame in found["head"][1])
    t_ns, data = found["head.mic"]
    assert data.shape == (RATE, 2)
    assert np.array_equal(data[:, 0], TONE / np.float32(32768))
    assert np.array_equal(t_ns, T0 + np.arange(RATE) * 10**9 // RATE)
    assert np.nanmax(found["head.depth"][1]) == pytest.approx(0.767)
    assert source.skipped == {"/words": "my.Words: is no picture, sound or motion"}
    again = through_log(path)
    assert all(np.array_equal(again[name][1], data, equal_nan=True) for name, (_, data) in found.items())


def h264(n: int) -> list[bytes]:
    """Annex B without B frames, a key frame every half second, as Foxglove wants it."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 10), {"tune": "zerolatency", "g": "5"}
    packets = []
    for i in range(n):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + i * 10, np.uint8), format="rgb24")
        frame.pts = i
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    assert len(packets) == n
    return packets


def test_frames_of_a_video_in_messages_are_decoded(tmp_path: Path, read) -> None:
    messages: Messages = [
        (
            "/cam",
            "foxglove.CompressedVideo",
            T0 + i * 10**8,
            {"timestamp": T0 + i * 10**8, "frame_id": "c", "data": data, "format": "h264"},
        )
        for i, data in enumerate(h264(20))
    ]
    source, found = read(mcap(tmp_path / "a.mcap", messages, "protobuf"))
    t_ns, data = found["cam"]
    assert t_ns.tolist() == [T0 + i * 10**8 for i in range(20)]
    np.testing.assert_allclose(data.mean(axis=(1, 2, 3)), [20 + i * 10 for i in range(20)], atol=3)
    assert source.losses == []
    broken = [(topic, kind, at, fields | {"data": b"\0\0\0\1nothing"}) for topic, kind, at, fields in messages]
    with pytest.raises(LogError, match="its first h264 message cannot be decoded"):
        open_source(mcap(tmp_path / "b.mcap", broken, "protobuf"), ImportOptions())


def test_sound_with_jitter_is_without_seams_and_with_holes_where_blocks_are_lost(tmp_path: Path, read) -> None:
    messages: Messages = []
    for i in range(50):
        if 20 <= i < 25:
            continue
        at = T0 + i * 20_000_000 + (i % 3) * 1_000_000
        block = TONE[: RATE // 50]
        fields = {"timestamp": at, "format": "pcm-s16", "sample_rate": RATE, "number_of_channels": 1}
        messages.append(("/mic", "foxglove.RawAudio", at, fields | {"data": block.tobytes()}))
    path = mcap(tmp_path / "a.mcap", messages, "protobuf")
    _, found = read(path)
    steps = np.diff(found["mic"][0])
    assert (steps > 100_000).sum() == 1
    assert steps.max() == pytest.approx(100_000_000, abs=3_000_000)
    survey = measure(open_source(path, ImportOptions())).streams["mic"]
    assert survey.n_gaps == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": "opus"}, "its sound is opus; wanted pcm-s16"),
        ({"sample_rate": 0}, "its sound does not say its rate and channels"),
        ({"format": ""}, "its sound is of a format that it does not say"),
    ],
)
def test_sound_that_cannot_be_read_says_why(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    fields = {
        "timestamp": T0,
        "format": "pcm-s16",
        "sample_rate": RATE,
        "number_of_channels": 1,
        "data": TONE.tobytes(),
    }
    path = mcap(tmp_path / "a.mcap", [("/mic", "foxglove.RawAudio", T0, fields | change)], "protobuf")
    with pytest.raises(LogError, match=told):
        open_source(path, ImportOptions())


def test_ros1_messages_and_ros2_sound_in_mcap(tmp_path: Path, read) -> None:
    ros1 = get_typestore(Stores.ROS1_NOETIC)
    path = tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros1")
        text, _ = ros1.generate_msgdef("sensor_msgs/msg/Imu", ros_version=1)
        imu = writer.register_channel(
            "/imu", "ros1", writer.register_schema("sensor_msgs/Imu", "ros1msg", text.encode())
        )
        sound = writer.register_schema(RAW_AUDIO, "ros2msg", schema_text(RAW_AUDIO).encode())
        mic = writer.register_channel("/mic", "cdr", sound)
        kinds = ros1.types
        for i in range(100):
            at = T0 + i * 10_000_000
            stamp = kinds["builtin_interfaces/msg/Time"](sec=at // 10**9, nanosec=at % 10**9)
            found = kinds["sensor_msgs/msg/Imu"](
                header=kinds["std_msgs/msg/Header"](seq=i, stamp=stamp, frame_id="i"),
                orientation=kinds["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
                orientation_covariance=np.zeros(9),
                angular_velocity=kinds["geometry_msgs/msg/Vector3"](x=0.1, y=0.0, z=0.0),
                angular_velocity_covariance=np.zeros(9),
                linear_acceleration=kinds["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=9.8),
                linear_acceleration_covariance=np.zeros(9),
            )
            writer.add_message(imu, at, bytes(ros1.serialize_ros1(found, "sensor_msgs/msg/Imu")), at)
            block = TONE[i * 160 : (i + 1) * 160]
            heard = message(
                RAW_AUDIO,
                timestamp=ros_time(at),
                data=block.view(np.uint8),
                format="pcm-s16",
                sample_rate=RATE,
                number_of_channels=1,
            )
            writer.add_message(mic, at, serialize(RAW_AUDIO, heard), at)
        writer.finish()
    _, found = read(path)
    np.testing.assert_allclose(found["imu"][1][:, 2], 9.8, rtol=1e-6)
    assert np.array_equal(found["mic"][1][:, 0], TONE / np.float32(32768))


def test_a_damaged_file_gives_what_is_right_and_says_what_is_not(tmp_path: Path) -> None:
    path = mcap(tmp_path / "a.mcap", rig(), "protobuf")
    whole = path.read_bytes()
    counts = set()
    for cut in range(8, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:cut])
        try:
            source = open_source(path, ImportOptions())
            found = measure(source)
        except LogError:
            continue
        assert found.losses or cut > len(whole) * 0.9
        counts.add(sum(each.n_samples for each in found.streams.values()))
    assert len(counts) > 5
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    found = measure(open_source(path, ImportOptions()))
    assert any("bytes at" in loss for loss in found.losses)


def test_our_own_log_needs_no_import(tmp_path: Path, through_log) -> None:
    through_log(mcap(tmp_path / "a.mcap", rig(), "json"))
    with pytest.raises(LogError, match=r"is a log of our own and needs no import; `stream-bind replay"):
        open_source(tmp_path / "imported.mcap", ImportOptions())

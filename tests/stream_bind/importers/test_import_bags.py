"""ROS bags of both generations, written by rosbags: what is in them, how they are packed, and how they break."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zstandard
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.job import measure
from stream_bind.messages import Intrinsics

ROS1, ROS2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_HUMBLE)
T0 = 1_760_000_000_000_000_000
ABSENT = np.array([-1.0, 0, 0, 0, 0, 0, 0, 0, 0])
KNOWN = np.zeros(9)
RGB = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
DEPTH = (np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 10).astype("<u2")


def header(store: Typestore, t_ns: int, frame: str = "sensor") -> Any:
    time = store.types["builtin_interfaces/msg/Time"](sec=t_ns // 10**9, nanosec=t_ns % 10**9)
    fields = {"seq": 0} if store is ROS1 else {}
    return store.types["std_msgs/msg/Header"](**fields, stamp=time, frame_id=frame)


def imu(store: Typestore, t_ns: int, value: float, *, accel: bool = True, gyro: bool = True) -> Any:
    vector = store.types["geometry_msgs/msg/Vector3"]
    return store.types["sensor_msgs/msg/Imu"](
        header=header(store, t_ns),
        orientation=store.types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
        orientation_covariance=ABSENT,
        angular_velocity=vector(x=0.1, y=0.2, z=0.3) if gyro else vector(x=0.0, y=0.0, z=0.0),
        angular_velocity_covariance=KNOWN if gyro else ABSENT,
        linear_acceleration=vector(x=value, y=0.0, z=9.8) if accel else vector(x=0.0, y=0.0, z=0.0),
        linear_acceleration_covariance=KNOWN if accel else ABSENT,
    )


def image(store: Typestore, t_ns: int, encoding: str, pixels: np.ndarray, *, big: bool = False, pad: int = 0) -> Any:
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    height, width = (rows.shape[0] * 2 // 3, pixels.shape[1]) if encoding.startswith("nv") else pixels.shape[:2]
    rows = np.pad(rows, ((0, 0), (0, pad)))
    return store.types["sensor_msgs/msg/Image"](
        header=header(store, t_ns, "camera"),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big),
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


def packed(store: Typestore, t_ns: int, said: str, data: bytes) -> Any:
    kind = store.types["sensor_msgs/msg/CompressedImage"]
    return kind(header=header(store, t_ns), format=said, data=np.frombuffer(data, np.uint8))


def lens(store: Typestore, t_ns: int) -> Any:
    big = store is ROS1
    names = {"D": "D", "K": "K", "R": "R", "P": "P"} if big else {"D": "d", "K": "k", "R": "r", "P": "p"}
    return store.types["sensor_msgs/msg/CameraInfo"](
        header=header(store, t_ns),
        height=24,
        width=32,
        distortion_model="plumb_bob",
        **{
            names["D"]: np.array([0.1, 0.2, 0.0, 0.0, 0.0]),
            names["K"]: np.array([30.0, 0, 16, 0, 31.0, 12, 0, 0, 1]),
            names["R"]: np.eye(3).reshape(-1),
            names["P"]: np.zeros(12),
        },
        binning_x=0,
        binning_y=0,
        roi=store.types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


Messages = list[tuple[str, int, Any]]
"""Topic, log time and message."""


def bag1(path: Path, messages: Messages, compression: Writer1.CompressionFormat | None = None) -> Path:
    writer = Writer1(path)
    if compression is not None:
        writer.set_compression(compression)
    with writer:
        topics: dict[str, Any] = {}
        for topic, at, found in messages:
            kind = found.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=ROS1)
            writer.write(topics[topic], at, ROS1.serialize_ros1(found, kind))
    return path


def bag2(path: Path, messages: Messages, plugin: StoragePlugin, compression: CompressionMode | None = None) -> Path:
    writer = Writer2(path, version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        topics: dict[str, Any] = {}
        for topic, at, found in messages:
            kind = found.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=ROS2)
            writer.write(topics[topic], at, ROS2.serialize_cdr(found, kind))
    return path


def rig(store: Typestore) -> Messages:
    """2 s of motion, colour, depth and a topic nobody needs."""
    messages: Messages = []
    for i in range(200):
        at = T0 + i * 10_000_000
        messages.append(("/imu/data_raw", at + 1_000_000, imu(store, at, float(i))))
        if i % 10 == 0:
            messages.append(("/camera/color/camera_info", at + 2_000_000, lens(store, at)))
            messages.append(("/camera/color/image_raw", at + 2_000_000, image(store, at, "rgb8", RGB)))
            messages.append(("/camera/depth/image_raw", at + 3_000_000, image(store, at, "16UC1", DEPTH)))
    messages.append(("/words", T0, store.types["std_msgs/msg/String"](data="hello")))
    return messages


def check_rig(found: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    t_ns, data = found["imu"]
    assert t_ns.tolist() == [T0 + i * 10_000_000 for i in range(200)]
    assert data[:, 0].tolist() == list(range(200))
    np.testing.assert_allclose(data[0], [0, 0, 9.8, 0.1, 0.2, 0.3], rtol=1e-6)
    t_ns, data = found["camera.color"]
    assert t_ns.tolist() == [T0 + i * 100_000_000 for i in range(20)]
    assert all(np.array_equal(frame, RGB) for frame in data)
    metres = np.where(DEPTH == 0, np.nan, DEPTH.astype(np.float32) * np.float32(0.001))
    assert all(np.array_equal(frame, metres, equal_nan=True) for frame in found["camera.depth"][1])


WRITERS: dict[str, Callable[[Path], Path]] = {
    "ROS 1": lambda folder: bag1(folder / "a.bag", rig(ROS1)),
    "ROS 1 bz2": lambda folder: bag1(folder / "a.bag", rig(ROS1), Writer1.CompressionFormat.BZ2),
    "ROS 1 lz4": lambda folder: bag1(folder / "a.bag", rig(ROS1), Writer1.CompressionFormat.LZ4),
    "ROS 1 unsorted": lambda folder: bag1(folder / "a.bag", rig(ROS1)[::-1]),
    "ROS 2 sqlite": lambda folder: bag2(folder / "a", rig(ROS2), StoragePlugin.SQLITE3),
    "ROS 2 mcap": lambda folder: bag2(folder / "a", rig(ROS2), StoragePlugin.MCAP),
    "ROS 2 file zstd": lambda folder: bag2(folder / "a", rig(ROS2), StoragePlugin.SQLITE3, CompressionMode.FILE),
    "ROS 2 message zstd": lambda folder: bag2(folder / "a", rig(ROS2), StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    "ROS 2 mcap message zstd": lambda folder: bag2(
        folder / "a", rig(ROS2), StoragePlugin.MCAP, CompressionMode.MESSAGE
    ),
    "ROS 2 bare db3": lambda folder: next(bag2(folder / "a", rig(ROS2), StoragePlugin.SQLITE3).glob("*.db3")),
    "ROS 2 bare mcap": lambda folder: next(bag2(folder / "a", rig(ROS2), StoragePlugin.MCAP).glob("*.mcap")),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_bag_however_packed_gives_the_same_streams(name: str, tmp_path: Path, read, through_log) -> None:
    path = WRITERS[name](tmp_path)
    source, found = read(path)
    assert set(found) == {"imu", "camera.color", "camera.depth"}
    check_rig(found)
    assert source.skipped["/words"] == "std_msgs/msg/String: is no picture, sound or motion"
    assert source.losses == []
    assert source.specs["imu"].rate_hz == pytest.approx(100)
    wanted = Intrinsics(32, 24, 30.0, 31.0, 16.0, 12.0, "brown_conrady", (0.1, 0.2, 0.0, 0.0, 0.0))
    assert source.specs["camera.color"].intrinsics == wanted
    assert any("16-bit depth is taken as millimetres (REP 118)" in doubt for doubt in source.doubts)
    if name in {"ROS 1", "ROS 2 mcap"}:
        check_rig(through_log(path))


def test_a_bag_without_metadata_or_in_parts_is_read_by_its_files(tmp_path: Path, read) -> None:
    whole = rig(ROS2)
    first = bag2(tmp_path / "a", whole[:100], StoragePlugin.SQLITE3)
    second = bag2(tmp_path / "b", whole[100:], StoragePlugin.SQLITE3)
    folder = tmp_path / "walk"
    folder.mkdir()
    next(first.glob("*.db3")).rename(folder / "walk_0.db3")
    next(second.glob("*.db3")).rename(folder / "walk_1.db3")
    source, found = read(folder)
    check_rig(found)
    assert source.doubts[0].endswith("has no metadata.yaml; its 2 files are read by their names")
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information:\n  message_count: 999\n")
    source, found = read(folder)
    check_rig(found)
    assert "counts 999 messages, its files hold 261" in source.losses[0]


@pytest.mark.parametrize("compression", [None, Writer1.CompressionFormat.BZ2, Writer1.CompressionFormat.LZ4])
def test_an_unfinished_or_cut_bag_is_read_to_its_last_message(
    compression: Writer1.CompressionFormat | None, tmp_path: Path
) -> None:
    path = bag1(tmp_path / "a.bag", rig(ROS1), compression)
    whole = path.read_bytes()
    counts = []
    for cut in range(0, len(whole), len(whole) // 40):
        path.write_bytes(whole[:cut])
        try:
            with contextlib.closing(open_source(path, ImportOptions())) as source:
                found = measure(source)
        except LogError as refusal:
            assert counts == [] or "of no kind" in str(refusal)  # noqa: PT017 - a refusal later would be a loss
            continue
        assert "was never finished or is damaged" in found.losses[0]
        counts.append(found.streams["imu"].n_samples)
    assert counts == sorted(counts)
    assert counts[-1] == 200
    # bz2 gives nothing of a block that is not whole.
    assert len(set(counts)) > {None: 5, Writer1.CompressionFormat.BZ2: 0}.get(compression, 1)
    # As `rosbag record` leaves it when it is killed: the place of the index is 0.
    at = whole.index(b"index_pos=") + len(b"index_pos=")
    path.write_bytes(whole[:at] + bytes(8) + whole[at + 8 :])
    with contextlib.closing(open_source(path, ImportOptions())) as source:
        assert measure(source).streams["imu"].n_samples == 200
    path.write_bytes(b"#ROSBAG V1.2\n" + whole[13:])
    with pytest.raises(LogError, match=r"of another version than 2\.0"):
        open_source(path, ImportOptions())


def test_a_cut_database_is_read_as_far_as_it_goes_or_refused(tmp_path: Path) -> None:
    path = WRITERS["ROS 2 bare db3"](tmp_path)
    whole = path.read_bytes()
    refused = 0
    for cut in range(16, len(whole), len(whole) // 30):
        path.write_bytes(whole[:cut])
        try:
            source = open_source(path, ImportOptions())
            found = measure(source)
            source.close()
            assert found.losses
        except LogError:
            refused += 1
    assert refused > 0
    path.write_bytes(whole[: len(whole) // 2] + b"\0" * 4096 + whole[len(whole) // 2 + 4096 :])
    with (
        contextlib.suppress(LogError),
        contextlib.closing(open_source(path, ImportOptions())) as source,
    ):
        assert measure(source).losses


BAYER = {
    "bayer_rggb8": ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)),
    "bayer_bggr8": ((0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 1, 0)),
    "bayer_gbrg8": ((0, 0, 1), (0, 1, 2), (1, 0, 0), (1, 1, 1)),
    "bayer_grbg8": ((0, 0, 1), (0, 1, 0), (1, 0, 2), (1, 1, 1)),
}


def mosaic(colour: tuple[int, int, int], encoding: str) -> np.ndarray:
    pixels = np.zeros((24, 32), np.uint8)
    for row, column, channel in BAYER[encoding]:
        pixels[row::2, column::2] = colour[channel]
    return pixels


def yuv(colour: tuple[int, int, int], name: str) -> np.ndarray:
    """BT.601, limited range, of one colour."""
    r, g, b = colour
    y = round(16 + 0.257 * r + 0.504 * g + 0.098 * b)
    u = round(128 - 0.148 * r - 0.291 * g + 0.439 * b)
    v = round(128 + 0.439 * r - 0.368 * g - 0.071 * b)
    if name.startswith("nv"):
        chroma = (u, v) if name == "nv12" else (v, u)
        return np.concatenate([np.full((24, 32), y, np.uint8), np.tile(np.array(chroma, np.uint8), (12, 16))])
    pair = [(u, y, v, y)] if name in {"uyvy", "yuv422"} else [(y, u, y, v)]
    return np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (24, 16, 1))


COLOUR = (200, 100, 50)


@pytest.mark.parametrize(
    "encoding",
    [
        *("rgb8", "bgr8", "8UC3", "rgba8", "bgra8", "mono8", "8UC1", "rgb16"),
        *("yuv422", "uyvy", "yuyv", "yuv422_yuy2", "nv12", "nv21", *BAYER),
    ],
)
@pytest.mark.parametrize("pad", [0, 4])
def test_pixels_of_every_encoding_become_rgb(encoding: str, pad: int, tmp_path: Path, read) -> None:
    grey = encoding in {"mono8", "8UC1"}
    solid = np.tile(np.array(COLOUR, np.uint8), (24, 32, 1))
    pixels = {
        "rgb8": solid,
        "bgr8": solid[..., ::-1],
        "8UC3": solid[..., ::-1],
        "rgba8": np.dstack([solid, np.full((24, 32), 7, np.uint8)]),
        "bgra8": np.dstack([solid[..., ::-1], np.full((24, 32), 7, np.uint8)]),
        "mono8": np.full((24, 32), 100, np.uint8),
        "8UC1": np.full((24, 32), 100, np.uint8),
        "rgb16": solid.astype(np.uint16) << 8,
    }.get(encoding)
    if pixels is None:
        pixels = mosaic(COLOUR, encoding) if encoding in BAYER else yuv(COLOUR, encoding)
    messages = [
        ("/cam/image", T0 + i * 10**8, image(ROS1, T0 + i * 10**8, encoding, pixels, pad=pad)) for i in range(3)
    ]
    _, found = read(bag1(tmp_path / "a.bag", messages))
    (data,) = (data for _, data in found.values())
    wanted = (100, 100, 100) if grey else COLOUR
    # The border of a mosaic is guessed; YUV rounds.
    np.testing.assert_allclose(data[:, 4:-4, 4:-4], np.broadcast_to(wanted, (3, 16, 24, 3)), atol=2)


@pytest.mark.parametrize(("encoding", "big"), [("16UC1", False), ("16UC1", True), ("32FC1", False), ("32FC1", True)])
def test_depth_in_either_byte_order(encoding: str, big: bool, tmp_path: Path, read) -> None:
    kind = {"16UC1": "u2", "32FC1": "f4"}[encoding]
    values = DEPTH.astype(("<", ">")[big] + kind) if kind == "u2" else (DEPTH / 1000).astype(("<", ">")[big] + kind)
    messages = [("/d/image", T0, image(ROS1, T0, encoding, values, big=big))]
    source, found = read(bag1(tmp_path / "a.bag", messages))
    (name,) = found
    assert source.specs[name].modality == "depth"
    np.testing.assert_allclose(found[name][1][0], np.where(DEPTH == 0, np.nan, DEPTH / 1000), rtol=1e-6)


def test_packed_pictures_and_depth(tmp_path: Path, read, through_log) -> None:
    jpeg = cv2.imencode(".jpg", RGB[..., ::-1])[1].tobytes()
    png = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    counts = cv2.imencode(".png", DEPTH)[1].tobytes()
    head = np.array([0, 100.0, 2.0], "<f4").tobytes()
    messages = [
        ("/a/image_raw/compressed", T0, packed(ROS1, T0, "rgb8; jpeg compressed bgr8", jpeg)),
        ("/b/image_raw/compressed", T0, packed(ROS1, T0, "png", png)),
        ("/c/image_raw/compressedDepth", T0, packed(ROS1, T0, "16UC1; compressedDepth png", head + counts)),
        ("/d/image_raw/compressedDepth", T0, packed(ROS1, T0, "32FC1; compressedDepth png", head + counts)),
        ("/e/image_raw/compressedDepth", T0, packed(ROS1, T0, "16UC1; compressedDepth rvl", head + counts)),
        ("/f/image_raw/compressed", T0, packed(ROS1, T0, "jpeg", jpeg[:40])),
    ]
    path = bag1(tmp_path / "a.bag", messages)
    source, found = read(path)
    assert np.array_equal(found["a"][1][0], cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])
    assert np.array_equal(found["b"][1][0], RGB)
    assert found["c.compresseddepth"][1][0, 1, 1] == np.float32(DEPTH[1, 1]) * np.float32(0.001)
    assert found["d.compresseddepth"][1][0, 1, 1] == pytest.approx(100 / (DEPTH[1, 1] - 2))
    assert np.isnan(found["d.compresseddepth"][1][0, 0, 0])
    assert "depth packed with RVL is not read" in source.skipped["/e/image_raw/compressedDepth"]
    assert "no picture" in source.skipped["/f/image_raw/compressed"]
    assert np.array_equal(through_log(path)["a"][1], found["a"][1])


def test_heat_needs_its_unit_and_pictures_of_unknown_grey_a_word(tmp_path: Path, read) -> None:
    warm = np.full((24, 32), 30000, "<u2")
    messages = [
        ("/lepton/image_raw", T0, image(ROS1, T0, "mono16", warm)),
        ("/cam/image_raw", T0, image(ROS1, T0, "mono16", warm)),
        ("/imu/data", T0, imu(ROS1, T0, 0.0)),
    ]
    path = bag1(tmp_path / "a.bag", messages)
    source, _ = read(path)
    assert "do not say their unit; add --scale-k" in source.skipped["/lepton/image_raw"]
    assert "--modality depth or thermal says it" in source.skipped["/cam/image_raw"]
    source, found = read(path, scale_k=0.01)
    np.testing.assert_allclose(found["lepton"][1], 300.0)
    assert source.specs["lepton"].unit == "K"
    source, found = read(path, scale_k=0.01, modality="thermal")
    np.testing.assert_allclose(found["cam"][1], 300.0)


def test_halves_of_an_imu_with_a_topic_each_make_one_more_stream(tmp_path: Path, read) -> None:
    messages = [
        ("/camera/accel/sample", T0 + i * 5_000_000, imu(ROS1, T0 + i * 5_000_000, 1.0, gyro=False)) for i in range(100)
    ]
    messages += [
        ("/camera/gyro/sample", T0 + i * 2_500_000, imu(ROS1, T0 + i * 2_500_000, 0.0, accel=False)) for i in range(200)
    ]
    source, found = read(bag1(tmp_path / "a.bag", messages))
    assert {name: spec.shape for name, spec in source.specs.items()} == {
        "camera.imu": (6,),
        "camera.accel": (3,),
        "camera.gyro": (3,),
    }
    assert len(found["camera.gyro"][0]) == 200
    assert len(found["camera.imu"][0]) == 199  # the last one lies behind the last of the accelerometer
    np.testing.assert_allclose(found["camera.imu"][1], np.tile([1, 0, 9.8, 0.1, 0.2, 0.3], (199, 1)), rtol=1e-6)


@pytest.mark.parametrize(
    ("stamp_ns", "first_ns", "told"),
    [
        (0, T0, ""),
        (5_000_000_000, T0, "which is no time of day; the recorder's are taken"),
        (T0 - 90 * 86_400 * 10**9, T0 - 90 * 86_400 * 10**9, "its stamps lie 90.0 days from the recorder's"),
    ],
)
def test_stamps_that_are_no_time_of_day_give_way_to_the_recorders(
    stamp_ns: int, first_ns: int, told: str, tmp_path: Path, read
) -> None:
    messages = []
    for i in range(50):
        at = i * 10_000_000
        messages.append(("/imu", T0 + at, imu(ROS1, stamp_ns + at if stamp_ns else 0, 1.0)))
    path = bag1(tmp_path / "a.bag", messages)
    source, found = read(path)
    assert found["imu"][0][0] == first_ns
    assert told in "".join(source.doubts)
    _, found = read(path, by_arrival=True)
    assert found["imu"][0].tolist() == [T0 + i * 10_000_000 for i in range(50)]


def test_units_can_be_told_and_late_messages_find_their_place(tmp_path: Path, read) -> None:
    messages = [("/imu", T0 + i * 10_000_000, imu(ROS1, T0 + i * 10_000_000, 1.0)) for i in range(100)]
    messages[50:60] = messages[50:60][::-1]
    messages = [(topic, T0 + i * 10_000_000, found) for i, (topic, _, found) in enumerate(messages)]
    path = bag1(tmp_path / "a.bag", messages)
    _, found = read(path, accel_unit="g", gyro_unit="deg/s")
    np.testing.assert_allclose(found["imu"][1][0], [9.80665, 0, 9.8 * 9.80665, *np.radians([0.1, 0.2, 0.3])], rtol=1e-6)
    chunks = [piece.chunk.t_ns for piece in open_source(path, ImportOptions()).pieces()]
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(chunks))


@pytest.mark.parametrize("coding", ["wave", "mp3"])
def test_sound_of_audio_common_is_read_by_what_stands_beside_it(coding: str, tmp_path: Path, read) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    store.register(get_types_from_msg("uint8[] data", "audio_common_msgs/msg/AudioData"))
    text = "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format"
    store.register(get_types_from_msg(text, "audio_common_msgs/msg/AudioInfo"))
    data, info = (store.types[f"audio_common_msgs/msg/{kind}"] for kind in ("AudioData", "AudioInfo"))
    tone = np.rint(np.sin(np.arange(16_000) / 10) * 9000).astype("<i2")
    path = tmp_path / "a.bag"
    with Writer1(path) as writer:
        told = writer.add_connection("/audio/audio_info", info.__msgtype__, typestore=store)
        sound = writer.add_connection("/audio/audio", data.__msgtype__, typestore=store)
        about = info(channels=1, sample_rate=16_000, sample_format="S16LE", bitrate=0, coding_format=coding)
        writer.write(told, T0, store.serialize_ros1(about, info.__msgtype__))
        for i in range(100):
            block = data(data=tone[i * 160 : (i + 1) * 160].view(np.uint8))
            # It comes when it is whole, and a little late.
            writer.write(sound, T0 + i * 10_000_000 + i % 4 * 1_000_000, store.serialize_ros1(block, data.__msgtype__))
    if coding == "mp3":
        with pytest.raises(LogError, match="its sound is mp3; wanted pcm-s16"):
            open_source(path, ImportOptions())
        return
    _, found = read(path)
    t_ns, samples = found["audio.audio"]
    assert np.array_equal(samples[:, 0], tone / np.float32(32768))
    assert np.array_equal(t_ns, T0 + np.arange(16_000) * 62_500)


def test_an_empty_bag_and_one_of_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="without a single message; there is nothing to import"):
        open_source(bag1(tmp_path / "empty.bag", []), ImportOptions())
    words = [("/words", T0, ROS1.types["std_msgs/msg/String"](data="hello"))]
    with pytest.raises(LogError, match=r"without a stream to import; it holds /words \(std_msgs/msg/String"):
        open_source(bag1(tmp_path / "words.bag", words), ImportOptions())
    path = tmp_path / "no.db3"
    path.write_bytes(b"SQLite format 3\0" + b"\0" * 100)
    with pytest.raises(LogError, match=r"no ROS 2 bag|damaged"):
        open_source(path, ImportOptions())
    path = tmp_path / "bad.db3.zstd"
    path.write_bytes(zstandard.compress(b"x" * 1000)[:-4])
    with pytest.raises(LogError, match=r"cannot be unpacked"):
        open_source(path, ImportOptions())

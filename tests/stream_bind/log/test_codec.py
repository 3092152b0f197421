"""Chunks through a log and back: to the last bit, but for colour that was stored as JPEG."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Channel, Schema
from mcap_ros2.decoder import DecoderFactory

from devices.depth_counts import to_metres
from devices.pixels import colour
from devices.simulated import Simulated, SimulatedConfig
from devices.thermal_frames import to_kelvin
from stream_bind.clock import ManualClock
from stream_bind.errors import LogError
from stream_bind.log.codec import ChunkReader, ChunkWriter, Mark, namespace
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.schemas import message, opening, ros_time, serialize
from stream_bind.log.writer import LogWriter
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, Intrinsics, Raw, StreamSpec

T0 = 1_700_000_000_123_456_789
SPECS = {
    "vision": StreamSpec("cam", "vision", 30.0, (48, 64, 3), "uint8", "rgb8"),
    "audio": StreamSpec("mic", "audio", 48000.0, (2,), "float32", "full_scale"),
    "depth": StreamSpec(
        "depth", "depth", 15.0, (48, 64), "float32", "m",
        intrinsics=Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0, "brown_conrady", (0.1, 0.2)),
    ),
    "thermal": StreamSpec("heat", "thermal", 9.0, (12, 16), "float32", "K"),
    "grey": StreamSpec("heat", "thermal", 9.0, (12, 16), "uint8", "grey8"),
    "imu": StreamSpec("imu", "imu", 200.0, (6,), "float32", "si", IMU_AXES),
    "accel": StreamSpec("imu", "imu", 200.0, (3,), "float32", "si", IMU_AXES[:3]),
    "emg": StreamSpec("arm", "emg", 1000.0, (8,), "float32", "mV"),
}  # fmt: skip


def through(writer: ChunkWriter, what: list[Chunk | Mark]) -> list[Any]:
    """Written and read again, without a file."""
    infos = writer.topics()
    samples = next(info for info in infos.values() if info.type.endswith("Samples"))
    reader = ChunkReader.of_topic(samples.metadata)
    assert reader.spec == writer.spec
    found = []
    for one in what:
        entries = [writer.mark(one)] if isinstance(one, Mark) else list(writer.chunk(one))
        for entry in entries:
            info = infos[entry.topic]
            channel = Channel(id=1, schema_id=1, topic=entry.topic, message_encoding="cdr", metadata={})
            schema = Schema(id=1, name=info.type, encoding="ros2msg", data=b"")
            done = reader.feed(LogMessage(channel, schema, 0, entry.publish_time, entry.data))
            if done is not None:
                found.append(done)
    return found


def same(a: Chunk, b: Chunk) -> None:
    assert a.data.dtype == b.data.dtype
    assert a.data.shape == b.data.shape
    assert a.data.tobytes() == b.data.tobytes()
    assert a.t_ns.tolist() == b.t_ns.tolist()
    assert (a.gap_before, a.clock) == (b.gap_before, b.clock)
    assert (a.ticks is None) == (b.ticks is None)
    assert a.ticks is None or a.ticks.tolist() == b.ticks.tolist()


def stamps(n: int, step: int = 1_000_000) -> np.ndarray:
    return T0 + np.arange(n, dtype=np.int64) * step


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["audio", "thermal", "depth", "grey", "imu", "accel", "emg"]),
    n=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    gap=st.booleans(),
    ticks=st.booleans(),
    copies=st.booleans(),
    err_ns=st.integers(0, 2**62),
)
def test_numbers_come_back_to_the_last_bit(kind, n, seed, gap, ticks, copies, err_ns):
    rng, spec = np.random.default_rng(seed), SPECS[kind]
    data = rng.normal(1, 100, (n, *spec.shape)).astype(spec.dtype)
    if spec.dtype == "float32":
        data.reshape(-1)[:: max(1, data.size // 3)] = rng.choice([np.nan, np.inf, -0.0, 1e-42], 1)
    t_ns = rng.integers(0, 2**62, n)
    chunk = Chunk(data, t_ns, gap, ClockInfo("device", err_ns), rng.integers(-(2**62), 2**62, n) if ticks else None)
    (back,) = through(ChunkWriter("s", spec, copies=copies), [chunk])
    same(chunk, back)


@pytest.mark.parametrize("unit_m", [0.001, 0.00025, 0.0001])
def test_depth_is_kept_as_the_counts_it_came_from(unit_m):
    counts = np.random.default_rng(1).integers(0, 3, (2, 48, 64)).astype(np.uint16) * 4999
    chunk = Chunk(to_metres(counts, unit_m), stamps(2), raw=Raw(counts, "16UC1", unit_m))
    writer = ChunkWriter("depth", SPECS["depth"])
    sizes = {entry.topic: entry.n_bytes for entry in writer.chunk(chunk)}
    assert sizes["/depth/image"] < (2 * 48 * 64 + 200 if unit_m == 0.001 else 4 * 48 * 64 + 200)
    (back,) = through(ChunkWriter("depth", SPECS["depth"]), [chunk])
    same(chunk, back)
    np.testing.assert_array_equal(back.raw.samples, counts)
    assert (back.raw.encoding, back.raw.scale) == ("16UC1", unit_m)


def test_heat_is_kept_as_counts_and_shown_in_degrees():
    counts = np.random.default_rng(2).integers(0, 2, (1, 12, 16)).astype(np.uint16) * 30_015
    chunk = Chunk(to_kelvin(counts[0], 0.01)[None], stamps(1), raw=Raw(counts, "16UC1", 0.01))
    (back,) = through(ChunkWriter("heat", SPECS["thermal"]), [chunk])
    same(chunk, back)
    np.testing.assert_array_equal(back.raw.samples, counts)


def test_counts_that_do_not_give_the_same_numbers_are_not_trusted():
    counts = np.arange(192, dtype=np.int16).reshape(1, 12, 16)
    chunk = Chunk((counts * 0.01 + 273.15).astype(np.float32), stamps(1), raw=Raw(counts, "16SC1", 0.01, 273.15))
    (back,) = through(ChunkWriter("heat", SPECS["thermal"]), [chunk])
    same(chunk, back)


def test_one_sample_that_its_count_does_not_give_is_enough():
    spec = replace(SPECS["depth"], shape=(200, 300), intrinsics=None)
    counts = np.random.default_rng(5).integers(0, 9999, (1, 200, 300)).astype(np.uint16)
    for place in (0, 30_000, 59_999):
        data = to_metres(counts, 0.001)
        data.reshape(-1)[place] = np.nextafter(np.float32(9.0), np.float32(10.0))
        chunk = Chunk(data, stamps(1), raw=Raw(counts, "16UC1", 0.001))
        (back,) = through(ChunkWriter("depth", spec), [chunk])
        same(chunk, back)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(["imu", "accel"]),
    name=st.sampled_from(["a", "imu", "head.imu", "a_rather_long_name"]),
    t_ns=st.lists(st.integers(-(2**33) * 10**9, 2**33 * 10**9), min_size=1, max_size=5),
    seed=st.integers(0, 2**32),
)
def test_motion_is_byte_for_byte_what_the_library_writes(kind, name, t_ns, seed):
    spec = SPECS[kind]
    data = np.random.default_rng(seed).normal(0, 20, (len(t_ns), *spec.shape)).astype(np.float32)
    data[0, 0] = np.nan
    writer = ChunkWriter(name, spec)
    for _ in range(2):  # the second time from what the first has prepared
        chunk = Chunk(data, np.array(t_ns, np.int64))
        found = [entry.data for entry in writer.chunk(chunk) if entry.topic.endswith("/imu")][: len(t_ns)]
        assert found == [imu_message(name, t, row) for t, row in zip(t_ns, data.astype(np.float64), strict=True)]


def imu_message(name: str, t_ns: int, row: np.ndarray) -> bytes:
    def vector(x: float, y: float, z: float) -> Any:
        return message("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    absent, unknown = np.array([-1.0] + [0.0] * 8), np.zeros(9)
    turns = len(row) == 6
    value = message(
        "sensor_msgs/msg/Imu",
        header=message("std_msgs/msg/Header", stamp=ros_time(t_ns), frame_id=name),
        orientation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        orientation_covariance=absent,
        angular_velocity=vector(*row[3:]) if turns else vector(0.0, 0.0, 0.0),
        angular_velocity_covariance=unknown if turns else absent,
        linear_acceleration=vector(*row[:3]),
        linear_acceleration_covariance=unknown,
    )
    return serialize("sensor_msgs/msg/Imu", value)


@pytest.mark.parametrize("n", [0, 1, 5, 70_000])
def test_a_message_whose_bytes_travel_beside_it_is_what_the_library_writes(n):
    def picture(data: np.ndarray) -> Any:
        header = message("std_msgs/msg/Header", stamp=ros_time(T0), frame_id="cam")
        return message("sensor_msgs/msg/CompressedImage", header=header, format="jpeg", data=data)

    data = np.random.default_rng(n).integers(0, 256, n).astype(np.uint8)
    head = opening("sensor_msgs/msg/CompressedImage", picture(np.zeros(0, np.uint8)), n)
    assert head + data.tobytes() == serialize("sensor_msgs/msg/CompressedImage", picture(data))


@pytest.mark.parametrize(("encoding", "dtype", "bits"), [("pcm_s16le", "<i2", 15), ("pcm_s32le", "<i4", 31)])
def test_sound_is_kept_as_its_native_samples(encoding, dtype, bits):
    native = np.random.default_rng(3).integers(-(2**bits), 2**bits, (960, 2)).astype(dtype)
    data = native.astype(np.float32) * np.float32(2.0**-bits)
    chunk = Chunk(data, stamps(960, 20_833), raw=Raw(native, encoding, 2.0**-bits))
    (back,) = through(ChunkWriter("mic", SPECS["audio"]), [chunk])
    same(chunk, back)
    np.testing.assert_array_equal(back.raw.samples, native)


def pictures(n: int = 2) -> np.ndarray:
    """Smooth, as pictures are."""
    y, x = np.mgrid[:48, :64]
    return np.stack([np.stack([x * 3 + i, y * 4, (x + y) * 2], -1) for i in range(n)]).astype(np.uint8)


def test_lossless_colour_comes_back_to_the_last_bit():
    chunk = Chunk(pictures(), stamps(2))
    (back,) = through(ChunkWriter("cam", SPECS["vision"], colour="lossless"), [chunk])
    same(chunk, back)


def test_jpeg_colour_comes_back_nearly():
    chunk = Chunk(pictures(), stamps(2))
    (back,) = through(ChunkWriter("cam", SPECS["vision"]), [chunk])
    assert np.abs(back.data.astype(int) - chunk.data).mean() < 3
    assert back.raw.encoding == "jpeg"


def test_a_cameras_own_jpeg_is_kept_as_it_came():
    _, jpeg = cv2.imencode(".jpg", pictures(1)[0], [cv2.IMWRITE_JPEG_QUALITY, 60])
    rgb, native, encoding = colour("MJPG", jpeg.tobytes(), 64, 48)
    chunk = Chunk(rgb[None], stamps(1), raw=Raw(native, encoding))
    (back,) = through(ChunkWriter("cam", SPECS["vision"], colour="lossless"), [chunk])
    same(chunk, back)
    assert back.raw.samples == [jpeg.tobytes()]


def test_marks_and_chunks_keep_their_order():
    chunk = Chunk(np.ones((1, 6), np.float32), stamps(1))
    what = [
        chunk,
        Mark("idle", T0, 0, ""),
        replace(chunk, gap_before=True),
        Mark("device_lost", T0, T0 + 5, "unplugged"),
    ]
    back = through(ChunkWriter("imu", SPECS["imu"]), what)
    assert [isinstance(one, Mark) for one in back] == [False, True, False, True]
    assert back[1::2] == what[1::2]


def test_pictures_without_their_samples_are_not_taken_for_others():
    writer = ChunkWriter("cam", SPECS["vision"])
    infos = writer.topics()
    reader = ChunkReader(SPECS["vision"])
    first = list(writer.chunk(Chunk(pictures(1), stamps(1))))
    second = list(writer.chunk(Chunk(pictures(1), stamps(1) + 7)))

    def feed(entry):
        channel = Channel(id=1, schema_id=1, topic=entry.topic, message_encoding="cdr", metadata={})
        schema = Schema(id=1, name=infos[entry.topic].type, encoding="ros2msg", data=b"")
        return reader.feed(LogMessage(channel, schema, 0, 0, entry.data))

    # The Samples of the first picture are lost.
    assert [feed(entry) for entry in (first[0], second[0])] == [None, None]
    assert feed(second[1]).t_ns.tolist() == [T0 + 7]
    # What a recorder that died had written already comes twice, and is taken once.
    assert [feed(entry) for entry in (*first, *second)] == [None] * 4
    third, fourth = (list(writer.chunk(Chunk(pictures(1), stamps(1) + later))) for later in (14, 21))
    with pytest.raises(LogError, match="1 messages hold its samples, found 0"):
        feed(third[1])
    feed(third[0])
    with pytest.raises(LogError, match="of other times"):
        feed(fourth[1])


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        ("cam", "/cam"),
        ("head.cam", "/head/cam"),
        ("left-eye 2", "/left_eye_2"),
        ("2.cam", "/n2/cam"),
        ("a..b", "/a/_/b"),
    ],
)
def test_a_stream_s_name_is_one_that_ros_takes(stream, name):
    assert namespace(stream) == name


@pytest.mark.parametrize("modality", ["vision", "audio", "depth", "thermal", "imu"])
def test_what_a_simulated_sensor_gives_is_seen_by_ros_readers_and_read_back(modality, tmp_path: Path):
    clock = ManualClock(unix_ns=T0)
    device = Simulated(SimulatedConfig(type="simulated", modality=modality), modality, clock)
    device.open()
    writer = ChunkWriter(modality, device.spec, colour="lossless")
    log = LogWriter(tmp_path / "log.mcap", {})
    log.open()
    for topic, info in writer.topics().items():
        log.topic(topic, info.type, info.metadata)
    sent = []
    while len(sent) < 5:
        chunk = device.read(1.0)
        if chunk is not None:
            sent.append(chunk)
            for entry in writer.chunk(chunk):
                log.write(entry.topic, entry.data, clock.unix_ns(), entry.publish_time)
    log.close()
    reader, back = ChunkReader(device.spec), []
    for found in Scan(tmp_path / "log.mcap"):
        if isinstance(found, LogMessage):
            done = reader.feed(found)
            if done is not None:
                back.append(done)
    for a, b in zip(sent, back, strict=True):
        same(a, b)
    with (tmp_path / "log.mcap").open("rb") as file:
        mcap = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
        decoded = {channel.topic: message for _, channel, _, message in mcap.iter_decoded_messages()}
    assert f"/{modality}/samples" in decoded
    if modality == "imu":
        assert decoded["/imu/imu"].linear_acceleration.z == pytest.approx(float(sent[-1].data[-1, 2]))
    if modality == "thermal":
        assert decoded["/thermal/image"].encoding == "32FC1"
        shown = np.frombuffer(decoded["/thermal/image"].data, np.float32)
        np.testing.assert_allclose(shown, sent[-1].data[-1].reshape(-1) - 273.15, atol=1e-3)

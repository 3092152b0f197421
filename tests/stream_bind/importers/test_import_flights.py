"""PX4's ULog and LSL's XDF, written by hand from their specifications."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.job import measure
from stream_bind.messages import IMU_AXES

T0 = 1_760_000_000_000_000_000
G = 9.80665

# -- ULog: docs.px4.io/main/en/dev_log/ulog_file_format.html -----------------------------------------------------------


def ulog_message(kind: bytes, content: bytes) -> bytes:
    return struct.pack("<HB", len(content), kind[0]) + content


def ulog(
    path: Path, formats: dict[str, str], rows: list[tuple[str, bytes]], drops: dict[int, int] | None = None
) -> Path:
    """rows: topic and the bytes of one sample of it; drops: ms lost before the row of this number."""
    data = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", 1_000_000)
    data += ulog_message(b"B", bytes(40))
    for name, fields in formats.items():
        data += ulog_message(b"F", f"{name}:{fields}".encode())
    for number, name in enumerate(formats):
        data += ulog_message(b"A", struct.pack("<BH", 0, number) + name.encode())
    ids = {name: number for number, name in enumerate(formats)}
    for i, (name, row) in enumerate(rows):
        if i in (drops or {}):
            data += ulog_message(b"O", struct.pack("<H", (drops or {})[i]))
        data += ulog_message(b"D", struct.pack("<H", ids[name]) + row)
    path.write_bytes(data)
    return path


COMBINED = (
    "uint64_t timestamp;float[3] gyro_rad;uint32_t gyro_integral_dt;"
    "int32_t accelerometer_timestamp_relative;float[3] accelerometer_m_s2;"
)


def combined(i: int) -> bytes:
    return struct.pack("<Q3fIi3f", 1_000_000 + i * 5_000, 0.1, 0.2, i, 5000, 0, 1.0, 2.0, 9.8)


@pytest.mark.requires("pyulog")
def test_a_flight_has_its_motion_and_a_hole_where_the_logger_dropped_out(tmp_path: Path, read, through_log) -> None:
    rows = [("sensor_combined", combined(i)) for i in range(400) if not 200 <= i < 260]
    path = ulog(
        tmp_path / "a.ulg",
        {"sensor_combined": COMBINED, "battery": "uint64_t timestamp;float voltage;"},
        rows,
        {200: 300},
    )
    source, found = read(path)
    t_ns, data = found["imu"]
    assert source.specs["imu"].axes == IMU_AXES
    assert t_ns[:2].tolist() == [1_000_000_000, 1_005_000_000]
    assert len(t_ns) == 340
    np.testing.assert_allclose(data[7], [1, 2, 9.8, 0.1, 0.2, 7], rtol=1e-6)
    assert source.losses == [f"{path}: 1 dropouts of the logger, 300 ms in all"]
    assert any("count from the autopilot's start" in doubt for doubt in source.doubts)
    survey = measure(open_source(path, ImportOptions())).streams["imu"]
    assert (survey.n_gaps, survey.longest_gap_ns) == (1, 305_000_000)
    assert np.array_equal(through_log(path)["imu"][1], data)


@pytest.mark.requires("pyulog")
def test_gps_tells_the_time_of_day(tmp_path: Path, read) -> None:
    rows = [("sensor_combined", combined(i)) for i in range(40)]
    gps = struct.pack("<QQ", 1_100_000, T0 // 1000 + 100_000)
    rows.insert(20, ("vehicle_gps_position", gps))
    formats = {"sensor_combined": COMBINED, "vehicle_gps_position": "uint64_t timestamp;uint64_t time_utc_usec;"}
    source, found = read(ulog(tmp_path / "a.ulg", formats, rows))
    assert found["imu"][0][0] == T0
    assert source.doubts == []


@pytest.mark.requires("pyulog")
def test_sensors_of_their_own_make_one_stream_more(tmp_path: Path, read) -> None:
    xyz = "uint64_t timestamp;float x;float y;float z;"
    rows = [("sensor_gyro", struct.pack("<Q3f", 1_000_000 + i * 2_500, 1, 2, 3)) for i in range(400)]
    rows += [("sensor_accel", struct.pack("<Q3f", 1_000_000 + i * 5_000, 4, 5, 6)) for i in range(200)]
    source, found = read(ulog(tmp_path / "a.ulg", {"sensor_accel": xyz, "sensor_gyro": xyz}, rows))
    assert {name: len(t_ns) for name, (t_ns, _) in found.items()} == {
        "imu": 399,
        "sensor_accel": 200,
        "sensor_gyro": 400,
    }
    assert found["imu"][1][0].tolist() == [4, 5, 6, 1, 2, 3]
    assert source.doubts


@pytest.mark.requires("pyulog")
def test_ulogs_of_no_use_or_cut_short(tmp_path: Path) -> None:
    path = ulog(
        tmp_path / "a.ulg", {"battery": "uint64_t timestamp;float voltage;"}, [("battery", struct.pack("<Qf", 1, 2))]
    )
    with pytest.raises(LogError, match=r"\(PX4 ULog\) without a stream to import; it holds battery"):
        open_source(path, ImportOptions())
    rows = [("sensor_combined", combined(i)) for i in range(100)]
    whole = ulog(path, {"sensor_combined": COMBINED}, rows).read_bytes()
    outcomes = set()
    for cut in range(8, len(whole), 97):
        path.write_bytes(whole[:cut])
        try:
            outcomes.add(measure(open_source(path, ImportOptions())).streams["imu"].n_samples)
        except LogError:
            outcomes.add(0)
    assert len(outcomes) > 10


# -- XDF: github.com/sccn/xdf/wiki/Specifications ----------------------------------------------------------------------


def length(n: int) -> bytes:
    return b"\x04" + struct.pack("<I", n)


def chunk(tag: int, content: bytes, stream: int | None = None) -> bytes:
    content = struct.pack("<H", tag) + (b"" if stream is None else struct.pack("<I", stream)) + content
    return length(len(content)) + content


def header(
    stream: int, name: str, kind: str, channels: list[tuple[str, str]], hz: float, sort: str = "float32"
) -> bytes:
    listed = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label, unit in channels)
    text = (
        f"<?xml version='1.0'?><info><name>{name}</name><type>{kind}</type>"
        f"<channel_count>{len(channels)}</channel_count>"
        f"<nominal_srate>{hz}</nominal_srate><channel_format>{sort}</channel_format>"
        f"<desc><channels>{listed}</channels></desc></info>"
    )
    return chunk(2, text.encode(), stream)


def samples(stream: int, times: list[float], values: np.ndarray) -> bytes:
    content = length(len(times))
    for at, row in zip(times, values, strict=True):
        content += b"\x08" + struct.pack("<d", at) + row.tobytes()
    return chunk(3, content, stream)


def footer(stream: int, n: int) -> bytes:
    return chunk(6, f"<?xml version='1.0'?><info><sample_count>{n}</sample_count></info>".encode(), stream)


def xdf(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"XDF:" + chunk(1, b"<?xml version='1.0'?><info><version>1.0</version></info>") + b"".join(parts))
    return path


XYZ = [(f"ACC_{axis}", "g") for axis in "XYZ"] + [(f"GYRO_{axis}", "deg/s") for axis in "XYZ"]
TIMES = [100 + i / 100 for i in range(200)]


@pytest.mark.requires("pyxdf")
def test_motion_and_sound_of_lsl_with_their_clocks_brought_together(tmp_path: Path, read, through_log) -> None:
    motion = np.tile(np.array([0, 0, 1, 10, 0, 0], np.float32), (200, 1))
    sound = np.arange(800, dtype=np.int16).reshape(400, 2)
    # The sound's computer was 5 s ahead, as LSL measured twice.
    offsets = b"".join(chunk(4, struct.pack("<dd", 105.0 + i, -5.0), 2) for i in range(3))
    path = xdf(
        tmp_path / "a.xdf",
        header(1, "Muse", "ACC", XYZ, 100),
        header(2, "Mic", "Audio", [("l", ""), ("r", "")], 200, "int16"),
        header(3, "Brain", "EEG", [("Fz", "uV"), ("Cz", "uV")], 100),
        header(4, "Words", "Markers", [("m", "")], 0, "string"),
        samples(1, TIMES, motion),
        samples(2, [105 + i / 200 for i in range(400)], sound),
        samples(3, TIMES[:10], np.zeros((10, 2), np.float32)),
        offsets,
        *(footer(stream, n) for stream, n in ((1, 200), (2, 400), (3, 10), (4, 0))),
    )
    source, found = read(path)
    assert set(found) == {"muse", "mic"}
    assert source.specs["muse"].axes == IMU_AXES
    np.testing.assert_allclose(found["muse"][1][0], [0, 0, G, np.radians(10), 0, 0], rtol=1e-6)
    assert found["muse"][0][[0, -1]].tolist() == [100_000_000_000, 101_990_000_000]
    assert abs(int(found["mic"][0][0]) - 100_000_000_000) < 1_000_000
    assert np.array_equal(found["mic"][1], sound / np.float32(32768))
    assert source.skipped["Brain"] == "eeg: no channel is acceleration or angular rate"
    assert "Words" in source.skipped
    assert any("LSL counts from the start of a computer" in doubt for doubt in source.doubts)
    _, placed = read(path, start_ns=T0)
    assert int(placed["muse"][0][0]) - T0 < 1_000_000
    again = through_log(path)
    assert all(np.array_equal(again[name][1], data) for name, (_, data) in found.items())


@pytest.mark.requires("pyxdf")
def test_lsl_without_units_asks_for_them(tmp_path: Path, read) -> None:
    bare = [(label, "") for label, _ in XYZ]
    parts = header(1, "Muse", "IMU", bare, 100), samples(1, TIMES, np.ones((200, 6), np.float32)), footer(1, 200)
    path = xdf(tmp_path / "a.xdf", *parts)
    with pytest.raises(LogError, match="its acceleration does not say its unit; add --accel-unit"):
        open_source(path, ImportOptions())
    with pytest.raises(LogError, match="its angular rate does not say its unit; add --gyro-unit"):
        open_source(path, ImportOptions(accel_unit="g"))
    _, found = read(path, accel_unit="g", gyro_unit="rad/s")
    np.testing.assert_allclose(found["muse"][1][0], [G, G, G, 1, 1, 1], rtol=1e-6)


@pytest.mark.requires("pyxdf")
def test_a_cut_xdf_is_read_as_far_as_it_goes_or_refused(tmp_path: Path) -> None:
    blocks = [samples(1, TIMES[i : i + 20], np.ones((20, 6), np.float32)) for i in range(0, 200, 20)]
    whole = xdf(tmp_path / "a.xdf", header(1, "Muse", "IMU", XYZ, 100), *blocks, footer(1, 200)).read_bytes()
    path = tmp_path / "b.xdf"
    outcomes = set()
    for cut in range(4, len(whole), 151):
        path.write_bytes(whole[:cut])
        try:
            outcomes.add(measure(open_source(path, ImportOptions())).streams["muse"].n_samples)
        except LogError:
            outcomes.add(0)
    assert len(outcomes) > 5

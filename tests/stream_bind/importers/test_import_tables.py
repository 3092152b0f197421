"""Tables of motion as loggers write them: titles, units, times, pauses, and what is wrong with them."""

from __future__ import annotations

import contextlib
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.combine import Combined, mean_rate_hz
from stream_bind.importers.find import open_source
from stream_bind.importers.job import measure
from stream_bind.messages import IMU_AXES, StreamSpec

G = 9.80665
DEG = math.pi / 180
T0 = 1_760_000_000_000_000_000


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("'", "").encode(encoding))
    return path


LAYOUTS = {
    # name: (titles and rows of t = 0, 10, 20 ms with accel (0, 0, 1 g) and gyro (10, 0, 0) deg/s, UNIX time?)
    "x-IMU3": (
        "Time (s),Gyroscope X (deg/s),Gyroscope Y (deg/s),Gyroscope Z (deg/s),"
        "Accelerometer X (g),Accelerometer Y (g),Accelerometer Z (g)\n"
        "0.00,10,0,0,0,0,1\n0.01,10,0,0,0,0,1\n0.02,10,0,0,0,0,1\n",
        False,
    ),
    "EuRoC": (
        "#timestamp [ns],w_RS_S_x [rad s^-1],w_RS_S_y [rad s^-1],w_RS_S_z [rad s^-1],"
        "a_RS_S_x [m s^-2],a_RS_S_y [m s^-2],a_RS_S_z [m s^-2]\n"
        + "".join(f"{T0 + i * 10_000_000},{10 * DEG!r},0,0,0,0,{G}\n" for i in range(3)),
        True,
    ),
    "Movella DOT": (
        "DeviceTag: D422\nFirmwareVersion: 2.0.0\nAppVersion: 2021.0\n\n"
        "PacketCounter,SampleTimeFine,Euler_X,Acc_X,Acc_Y,Acc_Z,Gyr_X,Gyr_Y,Gyr_Z\n"
        + "".join(f"{i},{4294962296 + i * 10_000 & 0xFFFFFFFF},1.0,0,0,{G},10,0,0\n" for i in range(3)),
        False,
    ),
    "Xsens MT": (
        "// General information:\n//  MT Manager version: 4.6\n// Update Rate: 100.0Hz\n"
        "PacketCounter\tSampleTimeFine\tAcc_X\tAcc_Y\tAcc_Z\tGyr_X\tGyr_Y\tGyr_Z\n"
        + "".join(f"{i}\t{1000 + i * 100}\t0\t0\t{G}\t{10 * DEG!r}\t0\t0\n" for i in range(3)),
        False,
    ),
    "Shimmer": (
        'sep=\t\n"Shimmer_6749_Timestamp_Unix_CAL"\tShimmer_6749_Accel_LN_X_CAL\tShimmer_6749_Accel_LN_Y_CAL\t'
        "Shimmer_6749_Accel_LN_Z_CAL\tShimmer_6749_Gyro_X_CAL\tShimmer_6749_Gyro_Y_CAL\tShimmer_6749_Gyro_Z_CAL\n"
        "ms\tm/(s^2)\tm/(s^2)\tm/(s^2)\tdeg/s\tdeg/s\tdeg/s\n"
        + "".join(f"{T0 / 1e6 + i * 10:.4f}\t0\t0\t{G}\t10\t0\t0\n" for i in range(3)),
        True,
    ),
    "AndroSensor": (
        "ACCELEROMETER X (m/s²);ACCELEROMETER Y (m/s²);ACCELEROMETER Z (m/s²);"
        "GYROSCOPE X (rad/s);GYROSCOPE Y (rad/s);GYROSCOPE Z (rad/s);Time since start in ms ;YYYY-MO-DD HH-MI-SS_SSS\n"
        + "".join(f"0;0;{G};{10 * DEG!r};0;0;{i * 10};2025-10-09 08-53-20_{i * 10:03d}\n" for i in range(3)),
        True,
    ),
    "decimal commas": (
        "Zeit;acc_x (g);acc_y (g);acc_z (g);gyr_x (deg/s);gyr_y (deg/s);gyr_z (deg/s)\n".replace("Zeit", "time (s)")
        + "".join(f"0,{i:02d};0,0;0,0;1,0;10,0;0,0;0,0\n" for i in range(3)),
        False,
    ),
    "WitMotion": (
        "time\tDeviceName\tAccX(g)\tAccY(g)\tAccZ(g)\tAsX(°/s)\tAsY(°/s)\tAsZ(°/s)\tAngleX(°)\tHX(uT)\n"
        + "".join(f"2025-10-09 08:53:20.{i * 10:03d}\tWT901\t0\t0\t1\t10\t0\t0\t1.5\t30\n" for i in range(3)),
        True,
    ),
    "SensorLog": (
        "loggingTime(txt),loggingSample(N),accelerometerAccelerationX(G),accelerometerAccelerationY(G),"
        "accelerometerAccelerationZ(G),gyroRotationX(rad/s),gyroRotationY(rad/s),gyroRotationZ(rad/s)\n"
        + "".join(f"2025-10-09T10:53:20.{i * 10:03d}+02:00,{i},0,0,1,{10 * DEG!r},0,0\n" for i in range(3)),
        True,
    ),
    "Physics Toolbox": (
        "time,gFx,gFy,gFz,wx,wy,wz,\n" + "".join(f"{i / 100:.2f},0,0,1,{10 * DEG!r},0,0,\n" for i in range(3)),
        False,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_loggers_table_becomes_metres_and_radians(name: str, tmp_path: Path, read) -> None:
    text, unix = LAYOUTS[name]
    source, found = read(table(tmp_path / "log.csv", text))
    t_ns, data = found["imu"]
    assert source.specs["imu"].axes == IMU_AXES
    np.testing.assert_allclose(data, np.tile([0, 0, G, 10 * DEG, 0, 0], (3, 1)), rtol=1e-6)
    assert np.diff(t_ns).tolist() == [10_000_000, 10_000_000]
    assert (int(t_ns[0]) == T0) is unix
    assert any("--start says when that was" in doubt for doubt in source.doubts) is not unix
    assert source.specs["imu"].rate_hz == pytest.approx(100)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_other_encodings_quotes_crlf_and_a_second_heading(encoding: str, tmp_path: Path, read) -> None:
    titles = '"Time (s)","Acceleration x (m/s²)","Acceleration y (m/s²)","Acceleration z (m/s²)"'
    rows = "\r\n".join(f'"{i / 50}","1","2","{G}"' for i in range(40))
    source, found = read(table(tmp_path / "a.csv", f"{titles}\r\n{rows}\r\n{titles}\r\n0.8,1,2,{G}\r\n", encoding))
    t_ns, data = found["accel"]
    assert len(t_ns) == 41
    assert data[-1].tolist() == pytest.approx([1, 2, G])
    assert source.losses == []
    assert any("models of motion want all six axes" in doubt for doubt in source.doubts)


def test_what_is_no_number_leaves_a_hole_and_is_counted(tmp_path: Path, through_log, read) -> None:
    rows = [f"{i / 100},0,0,9.8" for i in range(100)]
    rows[30], rows[31], rows[99] = "0.30,NaN,0,9.8", "0.31,,0,9.8", "0.99,0"
    path = table(tmp_path / "log.csv", "time (s),ax (m/s2),ay (m/s2),az (m/s2)\n" + "\n".join(rows))
    source, found = read(path)
    assert len(found["accel"][0]) == 97
    assert source.losses == [f"{path}: 3 rows are not numbers and are left out"]
    assert measure(open_source(path, ImportOptions())).streams["accel"].n_gaps == 1
    assert np.array_equal(through_log(path)["accel"][1], found["accel"][1])


def test_columns_by_name_position_and_unit(tmp_path: Path, read) -> None:
    text = "tick;a;b;c\n" + "".join(f"{i};{i};0;1000\n" for i in range(10))
    columns = {"time": "tick", "accel_x": "a", "accel_y": 2, "accel_z": "c"}
    path = table(tmp_path / "odd.csv", text)
    with pytest.raises(LogError, match=r"none of its 4 columns is recognised .* name them with --columns"):
        open_source(path, ImportOptions())
    with pytest.raises(LogError, match="'a' does not say its unit; add --accel-unit m/s2 or g or mg"):
        open_source(path, ImportOptions(columns=columns))
    with pytest.raises(LogError, match="'tick' does not say the unit of its times; add --time-unit"):
        open_source(path, ImportOptions(columns=columns, accel_unit="mg"))
    with pytest.raises(LogError, match="has no column 'nope'; it has tick, a, b, c"):
        open_source(path, ImportOptions(columns={"time": "nope"}))
    _, found = read(path, columns=columns, accel_unit="mg", time_unit="ms", start_ns=T0)
    t_ns, data = found["accel"]
    assert t_ns.tolist() == [T0 + i * 1_000_000 for i in range(10)]
    np.testing.assert_allclose(data[9], [9 * G / 1000, 0, G], rtol=1e-6)


def sensor(path: Path, n: int, period_ns: int, zyx: tuple[float, float, float], first_ns: int = 0) -> None:
    rows = "".join(f"{T0 + first_ns + i * period_ns},{i},{','.join(map(str, zyx))}\n" for i in range(n))
    table(path, f"time,seconds_elapsed,z,y,x\n{rows}")


def test_a_phones_folder_makes_one_stream_of_its_sensors_with_gravity(tmp_path: Path, read) -> None:
    folder = tmp_path / "walk"
    sensor(folder / "Accelerometer.csv", 100, 10_000_000, (0.1, 0.2, 0.3))
    sensor(folder / "TotalAcceleration.csv", 100, 10_000_000, (9.9, 0.2, 0.3))
    sensor(folder / "Gyroscope.csv", 50, 20_000_000, (3, 2, 1), 5_000_000)
    sensor(folder / "Magnetometer.csv", 50, 20_000_000, (3, 2, 1))
    table(folder / "Metadata.csv", "version,device name\n3,Pixel 6\n")
    source, found = read(folder)
    assert set(found) == {"imu", "accelerometer", "totalacceleration", "gyroscope"}
    t_ns, data = found["imu"]
    # The gyroscope measured from 5 to 985 ms; the accelerometer's 98 stamps between them are kept.
    assert t_ns.tolist() == [T0 + i * 10_000_000 for i in range(1, 99)]
    np.testing.assert_allclose(data, np.tile([0.3, 0.2, 9.9, 1, 2, 3], (98, 1)), rtol=1e-6)
    assert source.skipped["Magnetometer.csv"] == "is of no accelerometer or gyroscope"
    (doubt,) = [doubt for doubt in source.doubts if doubt.startswith("imu: made of two sensors")]
    assert "the gyroscope is interpolated to the accelerometer's times" in doubt


def test_mbientlab_writes_a_file_for_each_sensor(tmp_path: Path, read) -> None:
    titles = "epoc (ms),timestamp (+0000),elapsed (s)," + ",".join(f"{axis}-axis ({{}})" for axis in "xyz")
    for name, unit, row in (("Accelerometer", "g", "0,0,1"), ("Gyroscope", "deg/s", "10,0,0")):
        rows = "".join(
            f"{T0 // 10**6 + i * 10},2025-10-09T08.53.20.{i * 10:03d},{i / 100:.3f},{row}\n" for i in range(90)
        )
        file = f"MetaWear_2025-10-09T08.53.20.000_CAFE_{name}_100.000Hz_1.5.0.csv"
        table(tmp_path / "walk" / file, f"{titles.format(unit, unit, unit)}\n{rows}")
    _, found = read(tmp_path / "walk")
    t_ns, data = found["imu"]
    assert t_ns.tolist() == [T0 + i * 10_000_000 for i in range(90)]
    np.testing.assert_allclose(data[5], [0, 0, G, 10 * DEG, 0, 0], rtol=1e-6)
    _, alone = read(next((tmp_path / "walk").glob("*Gyro*")))
    assert len(alone["gyro"][0]) == 90


def phyphox(folder: Path) -> None:
    """1 s at 100 Hz, a pause of 60 s, and 1 s more: the experiment's own time stands still in between."""
    for name, title, value in (("Accelerometer", "Acceleration", "m/s^2"), ("Gyroscope", "Gyroscope", "rad/s")):
        rows = "".join(f"{i / 100:.9E},{i},0,9.8\n" for i in range(200))
        titles = ",".join(f'"{title} {axis} ({value})"' for axis in "xyz")
        table(folder / f"{name}.csv", f'"Time (s)",{titles}\n{rows}')
    begun = T0 / 1e9
    table(
        folder / "meta" / "time.csv",
        '"event","experiment time","system time","system time text"\n'
        f'"START",0.0,{begun:.3f},"a"\n"PAUSE",1.0,{begun + 1:.3f},"b"\n'
        f'"START",1.0,{begun + 61:.3f},"c"\n"PAUSE",2.0,{begun + 62:.3f},"d"\n',
    )
    table(folder / "meta" / "device.csv", '"property","value"\n"deviceModel","X"\n')


@pytest.mark.parametrize("packed", [False, True])
def test_phyphox_with_a_pause_is_placed_on_the_walls_clock(packed: bool, tmp_path: Path, read) -> None:
    phyphox(tmp_path / "run")
    path = tmp_path / "run"
    if packed:
        path = tmp_path / "run.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted((tmp_path / "run").rglob("*.csv")):
                archive.write(file, file.relative_to(tmp_path / "run"))
    _, found = read(path)
    t_ns, data = found["imu"]
    assert (t_ns[0], t_ns[99], t_ns[100]) == (T0, T0 + 990_000_000, T0 + 61_000_000_000)
    assert data[:, 0].tolist() == list(range(200))
    assert data[:, 3].tolist() == list(range(200))
    survey = measure(open_source(path, ImportOptions())).streams["imu"]
    assert (survey.n_gaps, survey.longest_gap_ns) == (1, 60_010_000_000)
    # However short a pause is: what lies before it and behind it does not belong together.
    gaps = [p.chunk for p in open_source(path, ImportOptions()).pieces() if p.stream == "imu" and p.chunk.gap_before]
    assert [int(chunk.t_ns[0]) for chunk in gaps] == [T0 + 61_000_000_000]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; there is nothing to import"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer, not the file"),
        (b"PK\x03\x04 no archive", "is a zip file that cannot be read"),
        (b"hello\nworld\n", "is of no kind that can be imported; text that begins 'hello'"),
        (b"\xb5\x62\x10\x02", "a u-blox UBX log"),
        (b"\x00\x01\x02\x03\x04", "a file that begins 00 01 02 03 04"),
        (b"time (s),ax (g),ay (g),az (g)\n0,0,0,1\n", "1 rows can be read as numbers; wanted at least 2"),
        (b"time (s),ax (g),ay (g),az (g)\n5,0,0,1\n5,0,0,1\n5,0,0,1\n", "its time column does not advance"),
        (b"ax (g),ay (g),az (g)\n0,0,1\n0,0,1\n0,0,1\n", "no column holds the time; name it with --columns"),
        (b"a,b\n1,2\n3,4\n5,6\n", "none of its 2 columns is recognised"),
    ],
)
def test_what_is_no_table_of_motion_is_refused_in_one_sentence(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(LogError) as refusal:
        open_source(path, ImportOptions())
    assert told in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file or folder"):
        open_source(tmp_path / "nothing", ImportOptions())
    (tmp_path / "empty").mkdir()
    with pytest.raises(LogError, match="is an empty folder"):
        open_source(tmp_path / "empty", ImportOptions())
    table(tmp_path / "other" / "readme.txt", "hello\n")
    with pytest.raises(LogError, match=r"a folder that holds readme\.txt"):
        open_source(tmp_path / "other", ImportOptions())


@given(cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_table_cut_anywhere_is_read_or_refused(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = LAYOUTS["x-IMU3"][0].encode()
    path = tmp_path_factory.mktemp("cut") / "log.csv"
    path.write_bytes(whole[: min(cut, len(whole) - 1)])
    with contextlib.suppress(LogError):
        source = open_source(path, ImportOptions())
        assert sum(len(piece.chunk) for piece in source.pieces()) in {2, 3}


@given(
    fast=st.lists(st.integers(0, 10**9), min_size=2, max_size=80),
    slow=st.lists(st.integers(0, 10**9), min_size=2, max_size=40),
    size=st.integers(1, 9),
)
def test_what_is_combined_lies_on_the_line_between_two_measurements(
    fast: list[int], slow: list[int], size: int
) -> None:
    fast_t, slow_t = np.array(sorted(fast), np.int64), np.array(sorted(set(slow)), np.int64)

    def rows(times: np.ndarray):
        for start in range(0, len(times), size):
            part = times[start : start + size]
            # A straight line in time, so that every interpolation must give it back.
            yield part, np.repeat(part[:, None] / 1e9, 3, axis=1).astype(np.float32), False

    def spec(name: str, hz: float) -> StreamSpec:
        return StreamSpec(name, "imu", hz, (3,), "float32", "si", live=False)

    made = Combined.of(lambda: rows(slow_t), lambda: rows(fast_t), (spec("a", 1.0), spec("g", 2.0)))
    pieces = list(made.pieces())
    kept = [t for piece in pieces for t in piece.chunk.t_ns.tolist()]
    assert len(kept) + made.n_left_out == len(fast_t)
    inside = fast_t[(fast_t >= slow_t[0]) & (fast_t <= slow_t[-1])]
    assert kept == inside.tolist()
    for piece in pieces:
        np.testing.assert_allclose(piece.chunk.data[:, 0], piece.chunk.data[:, 3], atol=1e-6)


def test_a_hole_of_the_slower_sensor_stays_a_hole() -> None:
    slow_t = np.concatenate([np.arange(50), np.arange(150, 200)]) * 20_000_000
    fast_t = np.arange(400) * 10_000_000

    def rows(times: np.ndarray):
        yield times.astype(np.int64), np.zeros((len(times), 3), np.float32), False

    def spec(hz: float) -> StreamSpec:
        return StreamSpec("x", "imu", hz, (3,), "float32", "si", live=False)

    made = Combined.of(lambda: rows(fast_t), lambda: rows(slow_t), (spec(100.0), spec(50.0)))
    pieces = list(made.pieces())
    kept = np.concatenate([piece.chunk.t_ns for piece in pieces])
    assert kept.max() == 199 * 20_000_000
    assert not ((kept > 49 * 20_000_000) & (kept < 150 * 20_000_000)).any()
    assert [piece.chunk.gap_before for piece in pieces].count(True) == 1


@pytest.mark.parametrize(
    ("steps_ms", "rate_hz"),
    [([10] * 50, 100.0), ([2, 3, 2, 3, 2, 3], 400.0), ([10] * 20 + [5000] + [10] * 20, 100.0), ([0, 20] * 20, 100.0)],
)
def test_a_rate_leaves_holes_out_and_counts_repeats(steps_ms: list[int], rate_hz: float) -> None:
    assert mean_rate_hz(np.cumsum([0, *steps_ms]) * 1_000_000) == pytest.approx(rate_hz)

"""Tables of motion: columns and units found, told, or refused; stamps exact; odd rows counted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from devices.imu_csv import ImuCsv, ImuCsvConfig
from devices.units import axis_of_title, unit_of_title
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import IMU_AXES, Chunk

Real = Callable[[str], Path]
G = 9.80665


def device(path: Path, **settings: object) -> ImuCsv:
    config = ImuCsvConfig.model_validate({"path": path, "rate": "max", **settings})
    return ImuCsv(config, "imu", ManualClock())


def drain(source: ImuCsv) -> list[Chunk]:
    source.open()
    chunks = []
    while True:
        try:
            chunk = source.read(0.1)
        except EndOfStream:
            return chunks
        assert chunk is not None
        chunks.append(chunk)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


TITLES = "Time (s),Gyro X (deg/s),Gyro Y (deg/s),Gyro Z (deg/s),Accel X (g),Accel Y (g),Accel Z (g)\n"


def test_units_are_read_from_the_titles(tmp_path: Path) -> None:
    source = device(write(tmp_path / "a.csv", TITLES + "0,90,0,0,0,0,1\n0.5,0,180,0,1,0,0\n"))
    chunk = drain(source)[0]
    assert source.spec.axes == IMU_AXES
    assert chunk.data[0].tolist() == pytest.approx([0, 0, G, np.pi / 2, 0, 0])


@pytest.mark.parametrize(
    ("accel", "gyro", "factors"),
    [("mg", "mdeg/s", (G / 1000, np.pi / 180000)), ("m/s2", "rad/s", (1, 1)), ("g", "deg/s", (G, np.pi / 180))],
)
def test_units_can_be_told(tmp_path: Path, accel: str, gyro: str, factors: tuple[float, float]) -> None:
    path = write(tmp_path / "a.csv", "t;ax;ay;az;gx;gy;gz\n0;1;2;3;4;5;6\n10;1;2;3;4;5;6\n")
    data = drain(device(path, time_unit="ms", accel_unit=accel, gyro_unit=gyro))[0].data[0]
    wanted = [v * factors[0] for v in (1, 2, 3)] + [v * factors[1] for v in (4, 5, 6)]
    assert data.tolist() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("titles", "settings", "words"),
    [
        ("t,ax,ay,az", {"time_unit": "s"}, "does not say its unit; set accel_unit"),
        ("t,ax (g),ay (g),az (g)", {}, "set time_unit"),
        ("time,seconds_elapsed,z,y,x", {}, "no column is recognised as accel_x, accel_y, accel_z"),
        ("0,1,2,3", {}, "its columns have no titles"),
        ("t,a,b,c", {"columns": {"time": "t", "accel_x": "d"}}, "columns.accel_x: it has no column 'd'"),
    ],
)
def test_what_a_table_does_not_say_is_asked_for(
    tmp_path: Path, titles: str, settings: dict[str, object], words: str
) -> None:
    path = write(tmp_path / "a.csv", titles + "\n0,1,2,3\n1,1,2,3\n")
    with pytest.raises(DeviceError) as caught:
        device(path, **settings).open()
    assert caught.value.permanent
    assert words in str(caught.value)


def test_a_table_without_gyroscope_has_three_axes(tmp_path: Path) -> None:
    source = device(write(tmp_path / "a.csv", "t_ns,ax (g),ay (g),az (g)\n0,0,0,1\n10000000,0,0,1\n"))
    assert source.spec.axes == IMU_AXES[:3]
    assert source.spec.shape == (3,)
    assert source.spec.rate_hz == pytest.approx(100)


def test_epoch_nanoseconds_stay_exact(tmp_path: Path) -> None:
    rows = "".join(f"{1403715273262142976 + i * 5000001},0,0,9.8\n" for i in range(10))
    path = write(tmp_path / "a.csv", "#timestamp [ns],a_x [m s^-2],a_y [m s^-2],a_z [m s^-2]\n" + rows)
    t_ns = np.concatenate([c.t_ns for c in drain(device(path))])
    assert t_ns.tolist() == [1403715273262142976 + i * 5000001 for i in range(10)]


def test_unreadable_rows_are_counted_and_leave_a_gap(tmp_path: Path) -> None:
    good = [f"0.{i:02d},0,0,0,0,0,1" for i in range(10)]
    rows = [*good[:4], "0.04,,,,", "lost", "nan,0,0,0,0,0,1", "", *good[7:]]
    source = device(write(tmp_path / "a.csv", TITLES + "\n".join(rows)), chunk_size=3)
    chunks = drain(source)
    assert source.bad_rows == 3
    assert [int(c.t_ns[0]) for c in chunks if c.gap_before] == [70_000_000]
    assert sum(map(len, chunks)) == 7


def test_acceleration_far_from_gravity_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.csv", "t (s),ax,ay,az\n" + "".join(f"{i},0,0,1\n" for i in range(5)))
    with caplog.at_level(logging.WARNING):
        device(path, accel_unit="m/s2").open()
    assert "far from gravity's 9.81; check accel_unit" in caplog.text
    caplog.clear()
    device(path, accel_unit="g").open()
    assert not caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02" * 99, "is no text table"),
        (TITLES.encode(), "0 rows"),
        (TITLES.encode() + b"1,0,0,0,0,0,1\n" * 3, "does not advance"),
    ],
)
def test_files_that_are_no_table_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DeviceError, match=words):
        device(path).open()


def test_column_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="accel_w unknown"):
        ImuCsvConfig(path="x", columns={"time": 0, "accel_w": 1})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="name the time column"):
        ImuCsvConfig(path="x", columns={"accel_x": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "axis", "unit"),
    [
        ("Gyroscope X (deg/s)", "gyro_x", "deg/s"),
        ("w_RS_S_y [rad s^-1]", "gyro_y", "rad/s"),
        ("a_RS_S_z [m s^-2]", "accel_z", None),
        ("Linear Acceleration x (m/s^2)", "accel_x", None),
        ("accel_x_mps2", "accel_x", None),
        ("angular_velocity.z", "gyro_z", None),
        ("gyroX", "gyro_x", None),
        ("Timestamp", "time", None),
        ("temperature", None, None),
    ],
)
def test_titles_are_understood(title: str, axis: str | None, unit: str | None) -> None:
    assert axis_of_title(title) == axis
    assert unit_of_title(title, {"deg/s": 1.0, "rad/s": 1.0}) == unit


def test_the_xio_walk_is_read_whole_with_its_repeated_stamps(real: Real) -> None:
    source = device(real("imu_csv/xio_short_walk.csv"))
    assert source.spec.rate_hz == pytest.approx(397.4, abs=0.05)
    chunks = drain(source)
    t_ns = np.concatenate([c.t_ns for c in chunks])
    data = np.concatenate([c.data for c in chunks])
    assert (len(t_ns), int(t_ns[0])) == (16539, 0)
    assert int((np.diff(t_ns) == 0).sum()) == 205
    assert t_ns[-1] == pytest.approx(41.618e9, abs=1e6)
    assert float(np.median(np.linalg.norm(data[:, :3], axis=1))) == pytest.approx(9.81, abs=0.2)
    assert data[0, 3] == pytest.approx(np.deg2rad(-0.1428319))


def test_the_phone_table_needs_its_columns_told(real: Real) -> None:
    path = real("imu_csv/sensorlogger_pixel6/TotalAcceleration.csv")
    columns = {"time": "time", "accel_x": "x", "accel_y": "y", "accel_z": "z"}
    source = device(path, columns=columns, time_unit="ns", accel_unit="m/s2")
    chunks = drain(source)
    assert sum(map(len, chunks)) == 23487
    assert source.spec.rate_hz == pytest.approx(56.3, abs=0.05)
    assert int(chunks[0].t_ns[0]) == 1713800421046693000

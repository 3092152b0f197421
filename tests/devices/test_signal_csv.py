"""Tables of any sensor type: channels and times found or told, units taken at their word, odd rows counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from devices.signal_csv import SignalCsv, SignalCsvConfig
from devices.simulated import Simulated, SimulatedConfig, twin
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk

NOON_NS = 1_772_366_400 * 10**9


def device(path: Path, **settings: object) -> SignalCsv:
    given = {"path": path, "rate": "max", "modality": "barometer", "unit": "Pa", **settings}
    return SignalCsv(SignalCsvConfig.model_validate(given), "baro", ManualClock())


def drain(source: SignalCsv) -> Chunk:
    source.open()
    chunks = []
    while True:
        try:
            chunk = source.read(0.1)
        except EndOfStream:
            break
        assert chunk is not None
        chunks.append(chunk)
    return Chunk(np.concatenate([c.data for c in chunks]), np.concatenate([c.t_ns for c in chunks]))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_column_but_time_is_a_channel_named_by_its_title(tmp_path: Path) -> None:
    source = device(
        write(tmp_path / "a.csv", "Pressure (Pa),t_ms,Air temperature [C]\n101325.5,0,20\n101326,40,21\n101327,80,22\n")
    )
    read = drain(source)
    assert source.spec.axes == ("pressure", "air_temperature")
    assert source.spec.rate_hz == pytest.approx(25)
    assert (source.spec.modality, source.spec.unit, source.spec.shape) == ("barometer", "Pa", (2,))
    assert read.data.tolist() == [[101325.5, 20], [101326, 21], [101327, 22]]
    assert read.t_ns.tolist() == [0, 40_000_000, 80_000_000]


def test_columns_are_told_by_title_or_position_in_the_channels_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "0 1 2 3\n1 4 5 6\n2 7 8 9\n")
    source = device(path, columns={"second": 3, "time": 0, "first": 1}, time_unit="s")
    read = drain(source)
    assert source.spec.axes == ("second", "first")
    assert read.data.tolist() == [[3, 1], [6, 4], [9, 7]]
    titled = device(write(tmp_path / "b.csv", "when,p\n5,1\n6,2\n"), columns={"time": "when", "x": "p"}, time_unit="ns")
    assert drain(titled).t_ns.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("unit", "cells"),
    [
        ("s", ("1772366400", "1772366400.5")),
        ("ms", ("1772366400000", "1772366400500")),
        ("us", ("1772366400000000", "1772366400500000")),
        ("ns", ("1772366400000000000", "1772366400500000000")),
        ("iso", ("2026-03-01T12:00:00Z", "2026-03-01T13:00:00.5+01:00")),
        ("auto", ("2026-03-01 12:00:00", "2026-03-01 12:00:00.500000")),
    ],
)
def test_times_are_exact_in_every_unit_and_as_iso(tmp_path: Path, unit: str, cells: tuple[str, str]) -> None:
    path = write(tmp_path / "a.csv", f"time,p\n{cells[0]},1\n{cells[1]},2\n")
    assert drain(device(path, time_unit=unit)).t_ns.tolist() == [NOON_NS, NOON_NS + 500_000_000]


def test_rows_without_a_time_come_at_the_rate_that_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "p\n1\nnothing\n3\n4\n")
    source = device(path, rate_hz=50)
    assert drain(source).t_ns.tolist() == [0, 40_000_000, 60_000_000]
    assert source.bad_rows == 1
    told = device(path, rate_hz=50, columns={"x": 0})
    assert drain(told).data[:, 0].tolist() == [1, 3, 4]


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        ("1,2\n2,3\n", {}, "columns have no titles; set columns"),
        ("a,b\n2,3\n", {}, "no column is recognised as time among a, b"),
        ("time,b\n2,3\n3,4\n", {}, "does not say its unit; set time_unit"),
        ("t_s\n2\n3\n", {}, "a time column and no other"),
        ("t_s,b\n2,3\n3,4\n", {"columns": {"time": "t_s", "x": "c"}}, r"columns.x: it has no column 'c', only t_s, b"),
        ("t_s,b\n2,3\n2,4\n", {}, "does not advance"),
        ("t_s,b\nx,y\n", {}, "0 rows can be read as numbers"),
        ("", {}, "is empty"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_to_set(
    tmp_path: Path, text: str, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(DeviceError, match=says) as caught:
        device(write(tmp_path / "a.csv", text), **settings).open()
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"modality": "imu"}, "imu has drivers of its own"),
        ({"columns": {"time": 0}}, "at least one channel"),
        ({"columns": {"x": 0}}, "needs rate_hz"),
        ({"unit": ""}, "unit"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SignalCsvConfig.model_validate({"path": "a.csv", "modality": "barometer", "unit": "Pa", **settings})


def test_a_file_that_is_not_there_yet_has_a_spec_and_a_twin(tmp_path: Path) -> None:
    told = device(tmp_path / "none.csv", columns={"time": 0, "p": 1}, rate_hz=10).spec
    assert (told.shape, told.axes, told.rate_hz) == ((1,), ("p",), 10)
    assert device(tmp_path / "none.csv").spec.shape == (-1,)
    stand_in = Simulated(SimulatedConfig.model_validate(twin(told)), "baro", ManualClock())
    assert (stand_in.spec.modality, stand_in.spec.unit, stand_in.spec.axes) == ("barometer", "Pa", ("p",))

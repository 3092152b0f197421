"""Tables of motion: one file, or the folder or zip that a phone's logger writes, a file for each sensor."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from stream_bind.errors import LogError
from stream_bind.importers.base import Batch, ImportOptions, Piece, merged, stream_name
from stream_bind.importers.combine import COMBINED, Combined, Rows, mean_rate_hz
from stream_bind.importers.pauses import Pauses, read_pauses
from stream_bind.importers.profiles import ACCEL, EPOCH_NS, GYRO, ISO, Columns, find_columns
from stream_bind.importers.sheet import Opener, Sheet, opener_of, read_sheet
from stream_bind.messages import IMU_AXES, StreamSpec

__all__ = ["Table", "TableSource", "look_and_place", "motion_table", "open_source"]

HEAD_ROWS = 20_000
"""Rows from which the rate is judged: 50 s at 400 Hz, 0.1 s of reading."""
BLOCK_ROWS = 1024
SUFFIXES = {".csv", ".tsv", ".txt", ".log"}
MLX90640_WORDS = {832: "the EEPROM of an MLX90640", 834: "raw frames of an MLX90640"}
"""Words of its EEPROM and of one frame with its control registers (Melexis driver library)."""


@dataclass(slots=True)
class Table:
    """The rows of one sheet in SI units."""

    name: str
    """Of its stream."""
    sheet: Sheet
    columns: Columns
    pauses: Pauses | None = None
    shift_ns: int = 0
    """Added to every stamp."""
    rate_hz: float = 0.0
    first_ns: int = 0
    n_bad: int = 0
    """Rows that are not numbers; each leaves a gap."""

    def look(self) -> None:
        """Read its head. LogError where that is of no use."""
        stamps: list[int] = []
        for t_ns, _, _ in self._samples():
            stamps.append(t_ns)
            if len(stamps) == HEAD_ROWS:
                break
        if len(stamps) < 2:
            raise LogError(f"{self.sheet.name}: {len(stamps)} rows can be read as numbers; wanted at least 2")
        self.rate_hz = mean_rate_hz(np.array(stamps, np.int64))
        if self.rate_hz <= 0:
            raise LogError(f"{self.sheet.name}: its time column does not advance over {len(stamps)} rows")
        self.first_ns = stamps[0]

    @property
    def spec(self) -> StreamSpec:
        axes = self.columns.axes
        return StreamSpec(
            self.name, "imu", self.rate_hz, (len(axes),), "float32", "si", axes=axes, live=False, domain="file"
        )

    @property
    def is_unix(self) -> bool:
        return self.columns.time_ns == ISO or self.first_ns >= EPOCH_NS

    def rows(self) -> Iterator[Rows]:
        """All of it, in blocks, as it stands."""
        times: list[int] = []
        values: list[list[float]] = []
        lost = False
        for t_ns, row, gap in self._samples():
            if times and (gap or len(times) == BLOCK_ROWS):
                yield np.array(times, np.int64), np.array(values, np.float32), lost
                times, values, lost = [], [], False
            lost = lost or gap
            times.append(t_ns + self.shift_ns)
            values.append(row)
        if times:
            yield np.array(times, np.int64), np.array(values, np.float32), lost

    def pieces(self) -> Iterator[Piece]:
        """All of it as chunks."""
        batch = Batch(self.spec)
        for times, values, lost in self.rows():
            for i, t_ns in enumerate(times.tolist()):
                yield from batch.add(t_ns, values[i], gap=lost and i == 0)
        yield from batch.flush()

    def _samples(self) -> Iterator[tuple[int, list[float], bool]]:
        """(t_ns, values, whether rows are missing before it)."""
        self.n_bad = 0
        gap, turns, latest, run = False, 0, 0, -1
        wrap = self.columns.wrap * max(self.columns.time_ns, 1)
        with self.sheet.rows() as rows:
            for row in rows:
                t_ns, values = self.columns.t_ns(row), self.columns.values(row)
                if t_ns is None or values is None:
                    self.n_bad += 1
                    gap = True
                    continue
                if wrap:
                    turns += latest - t_ns > wrap // 2
                    latest = t_ns
                    t_ns += turns * wrap
                if self.pauses is not None:
                    before, (run, t_ns) = run, self.pauses.place(t_ns)
                    gap |= before not in {-1, run}
                yield t_ns, values, gap
                gap = False


@dataclass(slots=True)
class TableSource:
    """Tables opened together."""

    format: str
    tables: list[Table]
    combined: Combined | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    specs: dict[str, StreamSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.combined is not None:
            self.specs[self.combined.made.id] = self.combined.made
        self.specs |= {table.name: table.spec for table in self.tables}

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        streams = [table.pieces() for table in self.tables]
        if self.combined is not None:
            streams.append(self.combined.pieces())
        yield from merged(streams)
        self.losses[:] = [
            f"{table.sheet.name}: {table.n_bad} rows are not numbers and are left out"
            for table in self.tables
            if table.n_bad
        ]

    def close(self) -> None:
        """Nothing is kept open between passes."""


def open_source(path: Path, head: bytes, options: ImportOptions) -> TableSource | None:
    """A table of motion at `path`, or several; None where there is no table. LogError where it holds no motion."""
    if path.is_dir():
        files = {str(each.relative_to(path)): opener_of(each) for each in _files_of(path)}
        return _of_set(path, files, options)
    if head.startswith(b"PK\x03\x04"):
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise LogError(f"{path}: is a zip file that cannot be read ({error}); export it again") from error
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
        return _of_set(path, {name: partial(archive.open, name) for name in names}, options)
    sheet = read_sheet(str(path), opener_of(path))
    if sheet is None:
        return None
    table = motion_table(COMBINED, sheet, options, _sensor(path.stem))
    if table is None:
        raise LogError(_no_motion(sheet))
    doubts = _place([table], None, options)
    kept = set(table.columns.axes)
    if kept != set(IMU_AXES):
        table.name = "accel" if kept == set(ACCEL) else "gyro" if kept == set(GYRO) else COMBINED
        doubts.append(f"{path}: holds only {', '.join(table.columns.axes)}; models of motion want all six axes")
    doubts.extend(_gravity_free(table))
    return TableSource(f"table of motion ({table.columns.profile})", [table], None, {}, doubts)


def _files_of(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file() and len(each.relative_to(path).parts) <= 3)


def _of_set(path: Path, files: dict[str, Opener], options: ImportOptions) -> TableSource | None:
    """One table for each sensor's file."""
    sheets = {
        name: read_sheet(f"{path}/{name}", opener)
        for name, opener in files.items()
        if Path(name).suffix.lower() in SUFFIXES
    }
    if not any(sheets.values()):
        return None
    pauses = next((read_pauses(sheet) for name, sheet in sheets.items() if sheet and _stem(name) == "time"), None)
    tables: list[Table] = []
    skipped = {name: "is no table" for name in files if sheets.get(name) is None}
    for name, sheet in sheets.items():
        if sheet is None or _stem(name) in {"time", "metadata", "device"}:
            skipped[name] = "says how it was recorded"
            continue
        sensor = _sensor(Path(name).stem)
        if sensor is None and {"x", "y", "z"} <= {title.lower() for title in sheet.titles}:
            skipped[name] = "is of no accelerometer or gyroscope"
            continue
        table = motion_table(stream_name(Path(name).stem, [each.name for each in tables]), sheet, options, sensor)
        if table is None:
            skipped[name] = "holds no acceleration and no angular rate"
            continue
        table.pauses = pauses
        if table.columns.profile == "sensor-logger" and _stem(name) in {"accelerometer", "linearacceleration"}:
            # Its app gives gravity apart; TotalAcceleration holds both.
            table.columns = replace(table.columns, gravity_free=True)
        tables.append(table)
    if not tables:
        raise LogError(f"{path}: none of its {len(sheets)} tables holds acceleration or angular rate")
    doubts = _place(tables, pauses, options)
    combined = _combined(tables)
    doubts.extend([] if combined is None else [combined.doubt])
    for table in tables:
        doubts.extend(_gravity_free(table))
    profile = next((each.columns.profile for each in tables if each.columns.profile != "table"), "one for each sensor")
    return TableSource(f"set of tables ({profile})", tables, combined, skipped, doubts)


def look_and_place(tables: list[Table], doubts: list[str], options: ImportOptions) -> None:
    """Look at the tables' heads and put them on one clock; what is to be said of it goes to `doubts`."""
    doubts.extend(_place(tables, None, options))


def motion_table(name: str, sheet: Sheet, options: ImportOptions, sensor: str | None = None) -> Table | None:
    """The motion that a table holds; None where it holds none. LogError where it does not say its units."""
    columns = find_columns(sheet, options, sensor or "")
    return None if columns is None else Table(name, sheet, columns)


def _place(tables: list[Table], pauses: Pauses | None, options: ImportOptions) -> list[str]:
    """Look at the tables and put them on one clock; what is to be said of that."""
    for table in tables:
        table.look()
    counted = [table for table in tables if not table.is_unix]
    if not counted:
        return []
    if options.start_ns is None:
        names = ", ".join(table.sheet.name for table in counted[:3])
        return [f"{names}: times count from the start of the recording; --start says when that was"]
    zero_ns = 0 if pauses is not None else min(table.first_ns for table in counted)
    for table in counted:
        table.shift_ns = options.start_ns - zero_ns
    return []


def _combined(tables: list[Table]) -> Combined | None:
    """The six columns of an accelerometer's and a gyroscope's table: with gravity where there is a choice."""
    if any(set(table.columns.axes) == set(IMU_AXES) for table in tables):
        return None
    accels = [table for table in tables if set(table.columns.axes) == set(ACCEL)]
    gyros = [table for table in tables if set(table.columns.axes) == set(GYRO)]
    if not accels or not gyros:
        return None
    accel, gyro = min(accels, key=_rank), min(gyros, key=_rank)
    return Combined.of(accel.rows, gyro.rows, (accel.spec, gyro.spec))


def _rank(table: Table) -> tuple[bool, bool, bool]:
    return "uncal" in table.name, table.columns.gravity_free, "total" not in table.name


def _gravity_free(table: Table) -> list[str]:
    if not table.columns.gravity_free:
        return []
    return [f"{table.sheet.name}: its acceleration is without gravity, which models of motion were trained with"]


def _stem(name: str) -> str:
    return Path(name).stem.lower()


def _sensor(stem: str) -> str | None:
    """Which sensor a file is of, by its name."""
    bare = re.sub(r"[^a-z]", "", stem.lower())
    if "gravity" in bare or "orientation" in bare or "magnet" in bare:
        return None
    if "gyr" in bare or "angularvelocity" in bare or "rotationrate" in bare:
        return "gyro"
    return "accel" if "acc" in bare else None


def _no_motion(sheet: Sheet) -> str:
    width = len(sheet.example)
    if width in MLX90640_WORDS or (not sheet.titles and sheet.n_rows(2000) in MLX90640_WORDS):
        what = MLX90640_WORDS.get(width) or MLX90640_WORDS[sheet.n_rows(2000)]
        return (
            f"{sheet.name}: looks like {what}: 16-bit words that are temperatures only together with the sensor's own "
            "calibration; record it through the mlx90640 driver, which applies that"
        )
    titles = ", ".join(title for title in sheet.titles if title)[:200]
    return (
        f"{sheet.name}: none of its {width} columns is recognised as acceleration or angular rate "
        f"({titles or 'it has no titles'}); name them with --columns time=...,accel_x=...,gyro_x=..."
    )

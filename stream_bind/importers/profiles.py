"""Which column of a motion table is what, in which unit, and when: by its titles, its logger's habits, or as told."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from devices.text_table import iso_ns
from devices.units import ACCEL_MPS2, GYRO_RADPS, TIME_NS, axis_of_title, unit_of_title
from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.sheet import Sheet
from stream_bind.messages import IMU_AXES

__all__ = ["PROFILES", "Columns", "Profile", "find_columns"]

ACCEL, GYRO = IMU_AXES[:3], IMU_AXES[3:]
EPOCH_NS = 10**17
"""Stamps beyond this (1973) are UNIX time; no recorder counts three years from its start."""
ISO = 0
"""In place of a unit: cells hold dates."""
ANDROSENSOR_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d)[-:](\d\d)[-:](\d\d)[_.:](\d{1,6})")


@dataclass(frozen=True, slots=True)
class Profile:
    """Habits of one logger that its titles do not tell."""

    name: str
    accel_unit: str | None = None
    gyro_unit: str | None = None
    time: str | None = None
    """Title of the time column, as a regular expression."""
    time_unit: str | None = None
    wrap: int = 0
    """The time column is a counter that begins anew after so many units."""
    gravity_free: bool = False


PROFILES: dict[str, Profile] = {
    each.name: each
    for each in (
        # "Time (s)" and units in all titles.
        Profile("xio"),
        Profile("phyphox"),
        Profile("euroc"),
        Profile("witmotion"),
        Profile("mbientlab", time=r"epoc", time_unit="ms"),
        # time in ns since 1970; https://github.com/tszheichoi/awesome-sensor-logger: m/s2 and rad/s
        Profile("sensor-logger", "m/s2", "rad/s", time=r"time$"),
        # gFx: multiples of gravity, w in rad/s (its manual)
        Profile("physics-toolbox", "g", "rad/s", time=r"time", time_unit="s"),
        Profile("androsensor", "m/s2", "rad/s", time=r"YYYY-MO-DD.*", time_unit="iso"),
        Profile("shimmer", "m/s2", "deg/s", time=r".*Timestamp_Unix_CAL|.*_TimestampSync_Unix_CAL|.*Timestamp.*CAL"),
        # A 32-bit counter of microseconds (Movella DOT data export) or of 10 kHz ticks (MT Manager).
        Profile("movella-dot", "m/s2", "deg/s", time=r"SampleTimeFine", time_unit="us", wrap=1 << 32),
        Profile("xsens-mt", "m/s2", "rad/s", time=r"SampleTimeFine", time_unit="100us", wrap=1 << 32),
    )
}
UNITS_NS = {**TIME_NS, "100us": 100_000}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the numbers of a table stand."""

    profile: str
    axes: tuple[str, ...]
    positions: tuple[int, ...]
    factors: tuple[float, ...]
    """To m/s^2 and rad/s."""
    time: int
    time_ns: int
    """ns of a unit of the time column; ISO: dates."""
    wrap: int = 0
    gravity_free: bool = False

    def values(self, row: list[str]) -> list[float] | None:
        """One row in SI units; None where a cell is no number."""
        try:
            found = [float(row[i]) * factor for i, factor in zip(self.positions, self.factors, strict=True)]
        except (ValueError, IndexError):
            return None
        return found if all(map(math.isfinite, found)) else None

    def t_ns(self, row: list[str]) -> int | None:
        """Its time; None where that is no time."""
        try:
            text = row[self.time]
            if self.time_ns == ISO:
                return _date_ns(text)
            # Epoch nanoseconds do not fit into a float.
            return int(text) * self.time_ns if text.isdigit() else round(Decimal(text) * self.time_ns)
        except (ValueError, IndexError, InvalidOperation, ArithmeticError):
            return None


def find_columns(sheet: Sheet, options: ImportOptions, sensor: str = "") -> Columns | None:
    """The columns of a table of motion; None where it holds none. sensor: accel or gyro, where a file holds one sensor
    and its titles say x, y, z only. LogError where a unit is not said, or a column that was named is not there."""
    if options.profile is not None and options.profile not in PROFILES:
        raise LogError(f"no profile {options.profile!r}; there are {', '.join(PROFILES)}")
    profile = PROFILES[options.profile] if options.profile is not None else _recognise(sheet)
    found = _told(sheet, options) or _recognised(sheet, sensor)
    axes = tuple(axis for axis in IMU_AXES if axis in found)
    if not axes or (set(ACCEL) & set(axes) and not set(ACCEL) <= set(axes)):
        return None
    time = found.get("time")
    if profile.time is not None and not options.columns:
        time = next((i for i, t in enumerate(sheet.titles) if re.match(profile.time, t, re.IGNORECASE)), time)
    if time is None:
        time = _any_time(sheet, profile, options)
    if time is None:
        raise LogError(f"{sheet.name}: no column holds the time; name it with --columns time=TITLE,accel_x=...")
    factors = tuple(_factor(sheet, found[axis], axis, profile, options) for axis in axes)
    positions = tuple(found[axis] for axis in axes)
    unit_ns = _time_unit(sheet, time, profile, options)
    return Columns(
        profile.name,
        axes,
        positions,
        factors,
        time,
        unit_ns,
        profile.wrap,
        profile.gravity_free or _is_linear(sheet, found),
    )


def _recognise(sheet: Sheet) -> Profile:
    titles = [title.lower() for title in sheet.titles]
    joined = "|".join(titles)
    if "sampletimefine" in joined:
        # MT Manager writes // before its preamble, and tabs; the DOT app commas.
        return PROFILES["xsens-mt" if any(line.startswith("//") for line in sheet.preamble) else "movella-dot"]
    if "yyyy-mo-dd" in joined:
        return PROFILES["androsensor"]
    if any(title.endswith("_cal") for title in titles):
        return PROFILES["shimmer"]
    if {"time", "seconds_elapsed", "x", "y", "z"} <= set(titles):
        return PROFILES["sensor-logger"]
    if {"gfx", "gfy", "gfz"} <= set(titles):
        return PROFILES["physics-toolbox"]
    if any(title.startswith("epoc") for title in titles):
        return PROFILES["mbientlab"]
    return Profile("table")


def _told(sheet: Sheet, options: ImportOptions) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, where in (options.columns or {}).items():
        if name not in {"time", *IMU_AXES}:
            raise LogError(f"--columns {name}: there are time, {', '.join(IMU_AXES)}")
        if isinstance(where, int) and where < max(len(sheet.titles), len(sheet.example)):
            found[name] = where
        elif where in sheet.titles:
            found[name] = sheet.titles.index(str(where))
        else:
            raise LogError(
                f"{sheet.name}: has no column {where!r}; it has {', '.join(sheet.titles)[:200] or 'no titles'}"
            )
    return found


def _recognised(sheet: Sheet, sensor: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for position, title in enumerate(sheet.titles):
        name = _axis(title, sensor)
        if name is not None:
            found.setdefault(name, position)
    return found


def _axis(title: str, sensor: str) -> str | None:
    """As `axis_of_title`, and what single loggers write."""
    bare = re.sub(r"[(\[].*?[)\]]", " ", title).strip().lower()
    if re.search(r"free|magn|uncal_|raw|quat|orient|euler|angle|mag_|low_noise_raw", bare):
        return None
    if re.fullmatch(r"yyyy-mo-dd.*|timestamp.*|epoc.*|time since start.*", bare):
        return "time"
    if match := re.fullmatch(r"gf([xyz])", bare):
        return f"accel_{match.group(1)}"
    if match := re.fullmatch(r".*_(accel|gyro)_(?:\w+_)?([xyz])_cal", bare):
        return f"{match.group(1)}_{match.group(2)}"
    if "sampletimefine" in bare:
        return "time"
    if sensor and (match := re.fullmatch(r"([xyz])(?:[ -]?axis)?", bare)):
        return f"{sensor}_{match.group(1)}"
    return axis_of_title(title) or _axis_by_unit(title, bare)


def _axis_by_unit(title: str, bare: str) -> str | None:
    """An axis whose unit alone says what it is of, as in WitMotion's AsX(°/s)."""
    match = re.search(r"([xyz])$", bare)
    if match is None:
        return None
    if unit_of_title(title, GYRO_RADPS):
        return f"gyro_{match.group(1)}"
    return f"accel_{match.group(1)}" if unit_of_title(title, ACCEL_MPS2) else None


def _any_time(sheet: Sheet, profile: Profile, options: ImportOptions) -> int | None:
    """The first column that speaks of time and whose unit can be told, as loggingTime(txt) of SensorLog."""
    for position, title in enumerate(sheet.titles):
        if re.search(r"time|elapsed|epoch|clock", title, re.IGNORECASE):
            try:
                _time_unit(sheet, position, profile, options)
            except LogError:
                continue
            return position
    return None


def _is_linear(sheet: Sheet, found: dict[str, int]) -> bool:
    titles = [sheet.titles[i].lower() for axis, i in found.items() if axis in ACCEL and i < len(sheet.titles)]
    return any("linear" in title for title in titles)


def _factor(sheet: Sheet, position: int, axis: str, profile: Profile, options: ImportOptions) -> float:
    accel = axis in ACCEL
    factors = ACCEL_MPS2 if accel else GYRO_RADPS
    told = options.accel_unit if accel else options.gyro_unit
    title = sheet.titles[position] if position < len(sheet.titles) else f"column {position}"
    unit = told or unit_of_title(title, factors)
    if unit is None and position < len(sheet.units):
        unit = unit_of_title(f"({sheet.units[position].replace('(', '').replace(')', '')})", factors)
    unit = unit or (profile.accel_unit if accel else profile.gyro_unit)
    if unit is None:
        option = "--accel-unit" if accel else "--gyro-unit"
        raise LogError(f"{sheet.name}: column {title!r} does not say its unit; add {option} {' or '.join(factors)}")
    return factors[unit]


def _time_unit(sheet: Sheet, position: int, profile: Profile, options: ImportOptions) -> int:
    title = sheet.titles[position] if position < len(sheet.titles) else ""
    cell = sheet.example[position] if position < len(sheet.example) else ""
    unit = options.time_unit or unit_of_title(title, TIME_NS)
    if unit is None and position < len(sheet.units):
        unit = unit_of_title(f"({sheet.units[position]})", TIME_NS)
    unit = unit or profile.time_unit
    if unit is None and title.lower().startswith("seconds"):
        unit = "s"
    if unit == "iso" or (unit is None and _is_date(cell)):
        return ISO
    if unit is not None:
        return UNITS_NS[unit]
    try:
        value = float(cell)
    except ValueError:
        value = 0.0
    for name in ("ns", "us", "ms", "s"):
        # UNIX time of 1973 to 2286 in one unit is none of these years in another.
        if EPOCH_NS <= value * TIME_NS[name] < 100 * EPOCH_NS:
            return TIME_NS[name]
    raise LogError(
        f"{sheet.name}: column {title or position!r} does not say the unit of its times; "
        "add --time-unit s, ms, us, ns or iso"
    )


def _is_date(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        pass
    else:
        return False  # 20260301 is a number here
    try:
        _date_ns(cell)
    except ValueError:
        return False
    return True


def _date_ns(text: str) -> int:
    match = ANDROSENSOR_DATE.fullmatch(text.strip())
    if match is None:
        return iso_ns(text)
    *date, fraction = match.groups()
    when = datetime(*map(int, date), tzinfo=UTC)  # type: ignore[misc,arg-type]
    return int(when.timestamp()) * 1_000_000_000 + int(fraction.ljust(9, "0"))

"""What the columns of an unknown sensor's text lines may hold, guessed from their values. Pure; never sure of units."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.units import STANDARD_GRAVITY_MPS2, axis_of_title

__all__ = ["TextGuess", "guess_text"]

_FEWEST_LINES = 4
_GRAVITY = {"m/s2": STANDARD_GRAVITY_MPS2, "g": 1.0, "mg": 1000.0}
_NEAR = 0.15
"""A sensor at rest measures gravity; shaken, or badly calibrated, it is this far off."""
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True, slots=True)
class TextGuess:
    """Lines of one layout."""

    n_lines: int
    settings: dict[str, Any]
    """Of serial_imu: format, columns, delimiter, prefix and units, as far as the values tell them."""
    sample: str
    """The last whole line."""
    n_columns: int
    doubts: tuple[str, ...]
    """What the user must fill in or check."""


def guess_text(data: bytes, span_s: float) -> TextGuess | None:
    """The layout of lines that came within span_s; None where the bytes are no text, or no numbers."""
    lines = data.split(b"\n")[1:-1]
    kept = [line.strip() for line in lines if line.strip()]
    plain = sum(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data)
    if len(kept) < _FEWEST_LINES or plain < 0.95 * len(data):
        return None
    texts = [line.decode("ascii", "replace") for line in kept]
    rate_hz = len(texts) / span_s
    return _guess_json(texts, rate_hz) or _guess_csv(texts, rate_hz)


def _guess_json(texts: list[str], rate_hz: float) -> TextGuess | None:
    records = []
    for text in texts:
        try:
            record = json.loads(text)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append({k: v for k, v in record.items() if isinstance(v, int | float)})
    if len(records) < max(_FEWEST_LINES, 0.8 * len(texts)):
        return None
    keys = list(records[-1])
    same = [record for record in records if list(record) == keys]
    columns: dict[str, str] = {}
    for key in keys:
        axis = axis_of_title(key)
        if axis is not None and axis not in columns:
            columns[axis] = key
    settings: dict[str, Any] = {"format": "json", "columns": columns}
    doubts = ["accel_unit and gyro_unit: check them, the keys do not say"]
    if "time" in columns:
        settings["time_unit"] = _time_unit(np.array([record[columns["time"]] for record in same], float), rate_hz)
    accel = [columns.get(f"accel_{axis}") for axis in "xyz"]
    if all(accel):
        values = np.array([[record[key] for key in accel if key] for record in same], float)
        settings["accel_unit"] = _unit_of(values) or "m/s2"
    if not any(name.startswith(("accel", "gyro")) for name in columns):
        doubts = [f"columns: say which of the keys {', '.join(keys)} are accel_x ... gyro_z"]
    return TextGuess(len(same), settings, texts[-1], len(keys), tuple(doubts))


def _guess_csv(texts: list[str], rate_hz: float) -> TextGuess | None:
    for delimiter in (",", ";", "\t", " "):
        rows = [text.split(delimiter if delimiter.strip() else None) for text in texts]
        (count, n_alike), *_ = Counter(map(len, rows)).most_common(1)
        if count < 2 or n_alike < 0.8 * len(rows):
            continue
        rows = [row for row in rows if len(row) == count]
        word = rows[-1][0]
        prefix = ""
        if not _is_number(word) and all(row[0] == word for row in rows):
            prefix = word + (delimiter if delimiter.strip() else " ")
            rows = [row[1:] for row in rows]
        numbers = [[float(cell) for cell in row] for row in rows if all(map(_is_number, row))]
        if len(numbers) < max(_FEWEST_LINES, 0.8 * len(rows)):
            continue
        settings: dict[str, Any] = {"format": "csv"}
        if delimiter != ",":
            settings["delimiter"] = " " if not delimiter.strip() else delimiter
        if prefix:
            settings["prefix"] = prefix
        values = np.array(numbers)
        doubts = _name_columns(values, rate_hz, settings)
        return TextGuess(len(values), settings, texts[-1], values.shape[1], doubts)
    return None


def _name_columns(values: NDArray[np.float64], rate_hz: float, settings: dict[str, Any]) -> tuple[str, ...]:
    """Fill in columns and units; what is left to doubt."""
    n = values.shape[1]
    columns = ["-"] * n
    steps = np.diff(values, axis=0)
    for i in range(n):
        whole = bool((values[:, i] == np.rint(values[:, i])).all())
        if "counter" not in columns and whole and (steps[:, i] == 1).mean() > 0.8:
            columns[i] = "counter"
        elif "time" not in columns and (steps[:, i] > 0).all() and steps[:, i].max() < 5 * np.median(steps[:, i]):
            columns[i] = "time"
            settings["time_unit"] = _time_unit(values[:, i], rate_hz)
    free = [i for i in range(n) if columns[i] == "-"]
    settings["columns"] = columns
    for at in range(len(free) - 2):
        unit = _unit_of(values[:, free[at : at + 3]])
        if unit is None:
            continue
        for i, axis in zip(free[at : at + 3], "xyz", strict=True):
            columns[i] = f"accel_{axis}"
        settings["accel_unit"] = unit
        rest = free[at + 3 : at + 6] if at + 6 <= len(free) else free[:at][-3:]
        if len(rest) < 3:
            return (f"columns: guessed from the values, gravity being {unit}; check them",)
        for i, axis in zip(rest, "xyz", strict=True):
            columns[i] = f"gyro_{axis}"
        return (
            f"columns: guessed from the values, gravity being {unit}; check them, and set gyro_unit to rad/s or deg/s",
        )
    return (f"columns: {n} in a line, and none looks like gravity; say which are accel_x ... gyro_z",)


def _unit_of(values: NDArray[np.float64]) -> str | None:
    """The unit in which these three columns (n, 3) are as long as gravity."""
    length = float(np.median(np.linalg.norm(values, axis=1)))
    return next((unit for unit, gravity in _GRAVITY.items() if abs(length / gravity - 1) < _NEAR), None)


def _time_unit(values: NDArray[np.float64], rate_hz: float) -> str:
    per_s = max(float(np.median(np.diff(values))) * rate_hz, 1e-12)
    return min(_PER_SECOND, key=lambda unit: abs(np.log(per_s / _PER_SECOND[unit])))


def _is_number(cell: str) -> bool:
    try:
        return "_" not in cell and np.isfinite(float(cell))
    except ValueError:
        return False

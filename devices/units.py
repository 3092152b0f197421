"""Units of motion and time as tables and text lines name them, and what a column's title says about itself."""

from __future__ import annotations

import re

__all__ = ["ACCEL_MPS2", "GYRO_RADPS", "STANDARD_GRAVITY_MPS2", "TIME_NS", "axis_of_title", "unit_of_title"]

STANDARD_GRAVITY_MPS2 = 9.80665
"""ISO 80000-3."""
_DEGREE_RAD = 0.017453292519943295

ACCEL_MPS2 = {"m/s2": 1.0, "g": STANDARD_GRAVITY_MPS2, "mg": STANDARD_GRAVITY_MPS2 / 1000}
"""Factors to m/s^2."""
GYRO_RADPS = {"rad/s": 1.0, "deg/s": _DEGREE_RAD, "mdeg/s": _DEGREE_RAD / 1000}
"""Factors to rad/s."""
TIME_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Factors to ns."""

_SPELLINGS = {
    "m/s/s": "m/s2",
    "ms-2": "m/s2",
    "mps2": "m/s2",
    "rads-1": "rad/s",
    "radps": "rad/s",
    "rps": "rad/s",
    "degs-1": "deg/s",
    "degps": "deg/s",
    "dps": "deg/s",
    "°/s": "deg/s",
    "mdps": "mdeg/s",
    "sec": "s",
    "seconds": "s",
    "µs": "us",
    "μs": "us",
}


def unit_of_title(title: str, known: dict[str, float] | dict[str, int]) -> str | None:
    """The unit a title carries, as in "Gyroscope X (deg/s)", "a_x [m s^-2]" or "t_ns"; None if none of `known`."""
    bracketed = re.search(r"[(\[]([^)\]]+)[)\]]", title)
    text = bracketed.group(1) if bracketed else title.rsplit("_", 1)[-1] if "_" in title else ""
    text = re.sub(r"[\s^*·]", "", text.lower()).replace("²", "2")
    text = _SPELLINGS.get(text, text)
    return text if text in known else None


def axis_of_title(title: str) -> str | None:
    """`time`, or the axis (as in messages.IMU_AXES) that a column's title names; None where it names neither."""
    bare = re.sub(r"[(\[].*?[)\]]", " ", title)
    bare = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", bare).lower()
    words = [word for word in re.split(r"[^a-z0-9]+", bare) if word]
    if not words:
        return None
    if words[0] in {"t", "time", "timestamp"}:
        return "time"
    short = re.fullmatch(r"(acc|accel|a|gyro|gyr|g|w)([xyz])", words[0])
    if short:
        return f"{'accel' if short.group(1).startswith('a') else 'gyro'}_{short.group(2)}"
    axis = next((word for word in reversed(words) if word in {"x", "y", "z"}), None)
    if axis is None:
        return None
    if words[0] == "a" or any(word.startswith("acc") for word in words):
        return f"accel_{axis}"
    if words[0] == "w" or any(word.startswith(("gyr", "angular")) for word in words):
        return f"gyro_{axis}"
    return None

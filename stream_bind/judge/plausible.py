"""Whether sound, pictures, distances and warmth can be what the sensor looks at: silence, darkness, holes, units.

Pure: arrays in, verdicts out. Frames may be thinned out before (every k-th row and column).
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_bind.judge.verdict import Verdict

__all__ = ["judge_depth", "judge_picture", "judge_sound", "judge_thermal"]

_QUIET_DBFS = -80.0
"""Below the noise of a quiet room in any microphone that is on; 16 bits end at -98."""
_FULL = 0.999
_CLIPPED_RUN = 3
"""Samples in a row at full scale: a peak touches it once."""
_OFFSET = 0.02
_DARK, _BRIGHT = 8.0, 250
_FLAT = 1.5
_REPEATS = 0.2
_COUNTS = {"0.01 K": 0.01, "1/64 K": 1 / 64, "0.04 K": 0.04, "0.1 K": 0.1}
_ROOM_K = (250.0, 340.0)
_SANE_K = (200.0, 450.0)


def judge_sound(samples: NDArray[Any]) -> list[Verdict]:
    """samples: (n, channels), full scale is -1..1."""
    if len(samples) < 2:
        return []
    offsets = samples.mean(axis=0, dtype=np.float64)
    centred = samples - offsets
    levels = _dbfs(np.sqrt(np.square(centred, dtype=np.float64).mean(axis=0)))
    peaks = np.abs(samples).max(axis=0)
    clipped = max(_clipped(samples[:, channel]) for channel in range(samples.shape[1]))
    loudest = int(np.argmax(levels))
    figures = {
        "level_dbfs": float(levels[loudest]),
        "levels_dbfs": levels.tolist(),
        "peak": float(peaks.max()),
        "dc_offset": float(offsets[np.argmax(np.abs(offsets))]),
        "clipped_share": clipped,
    }
    if not np.isfinite(samples).all():
        return [Verdict("sound", False, "samples that are not numbers", "set another sample format", figures)]
    if not samples.any():
        detail = "dead silence: every sample is 0"
        remedy = "unmute it, or name another device: `stream-bind devices --modality audio` lists them"
        return [Verdict("sound", False, detail, remedy, figures)]
    found = f"level {levels[loudest]:.0f} dBFS, peak {_dbfs(peaks.max()):.0f}"
    if samples.shape[1] > 1:
        found += f" (loudest of {samples.shape[1]} channels: {loudest})"
    if clipped > 1e-4:
        detail = f"{found}: {clipped:.2%} clipped"
        return [Verdict("sound", False, detail, "turn its gain down (alsamixer, pavucontrol)", figures)]
    if abs(figures["dc_offset"]) > _OFFSET:
        detail = f"{found}: offset of {figures['dc_offset']:+.3f} of full scale"
        return [
            Verdict("sound", False, detail, "a fault of the microphone or its supply; filters cannot mend it", figures)
        ]
    if levels[loudest] < _QUIET_DBFS:
        remedy = "unmute it, turn its gain up, or name another device"
        return [Verdict("sound", False, f"{found}: quieter than a quiet room", remedy, figures)]
    dead = np.flatnonzero(~samples.any(axis=0)).tolist()
    if dead:
        detail = f"{found}: channel {', '.join(map(str, dead))} is dead silent"
        return [Verdict("sound", False, detail, f"set the stream's `channel: {loudest}`", figures)]
    return [Verdict("sound", True, found, figures=figures)]


def judge_picture(frames: NDArray[Any], *, live: bool = True) -> list[Verdict]:
    """frames: (n, h, w, 3) uint8. live: frames of a living sensor are never the same twice."""
    if not len(frames):
        return []
    level = float(frames.mean(dtype=np.float64))
    bright = float((frames >= _BRIGHT).mean())
    contrast = float(np.median(frames.reshape(len(frames), -1).std(axis=1, dtype=np.float64)))
    repeats = _repeats(frames)
    figures = {"brightness": level, "bright_share": bright, "contrast": contrast, "repeated_share": repeats}
    found = f"brightness {level:.0f} of 255, contrast {contrast:.0f}"
    if level < _DARK:
        return [Verdict("picture", False, f"{found}: black", "take the cover off; set its exposure longer", figures)]
    if bright > 0.5:
        return [Verdict("picture", False, f"{found}: {bright:.0%} overexposed", "set its exposure shorter", figures)]
    if contrast < _FLAT:
        return [
            Verdict("picture", False, f"{found}: all of one colour", "look at the lens, and at its format", figures)
        ]
    return [_frozen("picture", found, repeats, figures, live)]


def judge_depth(frames: NDArray[Any], *, live: bool = True) -> list[Verdict]:
    """frames: (n, h, w) metres, NaN where there is no measurement."""
    if not len(frames):
        return []
    seen = np.isfinite(frames)
    holes = 1 - float(seen.mean())
    if holes == 1:
        remedy = "nothing within its range? uncover it; look at its projector"
        return [Verdict("distance", False, "no distance at all: every pixel is a hole", remedy, {"hole_share": 1.0})]
    near, middle, far = (float(value) for value in np.percentile(frames[seen], (5, 50, 95)))
    repeats = _repeats(frames)
    figures = {
        "hole_share": holes,
        "depth_p5_m": near,
        "depth_median_m": middle,
        "depth_p95_m": far,
        "repeated_share": repeats,
    }
    found = f"median {middle:.3g} m ({near:.2g} to {far:.2g}), {holes:.0%} holes"
    factor = _depth_factor(middle)
    if factor:
        remedy = "hold it before a wall at a known distance and set its unit (`depth_unit_m`)"
        return [Verdict("distance", False, f"{found}: its unit may be {factor}", remedy, figures)]
    if holes > 0.5:
        remedy = "more light or texture, less glass; step back from what is nearer than its least distance"
        return [Verdict("distance", False, f"{found}: more holes than distances", remedy, figures)]
    return [_frozen("distance", found, repeats, figures, live)]


def judge_thermal(frames: NDArray[Any], unit: str = "K", *, live: bool = True) -> list[Verdict]:
    """frames: (n, h, w) kelvin, or grey levels where `unit` is not K."""
    if not len(frames):
        return []
    repeats = _repeats(frames)
    if unit != "K":
        contrast = float(np.median(frames.reshape(len(frames), -1).std(axis=1, dtype=np.float64)))
        figures: dict[str, Any] = {"contrast": contrast, "repeated_share": repeats}
        found = f"grey levels, contrast {contrast:.0f}"
        if contrast < _FLAT:
            return [Verdict("warmth", False, f"{found}: all of one grey", "look at the lens cap", figures)]
        return [_frozen("warmth", found, repeats, figures, live)]
    seen = frames[np.isfinite(frames)]
    if not len(seen):
        return [Verdict("warmth", False, "no temperature at all", "look at its format", {"repeated_share": repeats})]
    if not seen.any():
        return [
            Verdict("warmth", False, "every pixel is 0", "look at its format and its lens", {"repeated_share": repeats})
        ]
    cold, middle, hot = (float(value) for value in np.percentile(seen, (1, 50, 99)))
    figures = {"kelvin_p1": cold, "kelvin_median": middle, "kelvin_p99": hot, "repeated_share": repeats}
    if not _SANE_K[0] <= middle <= _SANE_K[1]:
        detail = f"median {middle:.5g} K: {_not_kelvin(middle)}"
        return [Verdict("warmth", False, detail, "set its resolution (`resolution_k`, `scale_k`, `offset_k`)", figures)]
    found = f"median {middle:.1f} K ({middle - 273.15:.1f} °C), {cold:.1f} to {hot:.1f} K"
    return [_frozen("warmth", found, repeats, figures, live)]


def _dbfs(amplitude: Any) -> Any:
    """Decibels below full scale; -200 for nothing."""
    return 20 * np.log10(np.maximum(np.asarray(amplitude, np.float64), 1e-10))


def _clipped(channel: NDArray[Any]) -> float:
    """Share of samples that stand at full scale for longer than a peak would."""
    full = np.abs(channel) >= _FULL
    if not full.any():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate(([0], full.astype(np.int8), [0]))))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= _CLIPPED_RUN].sum()) / len(channel)


def _repeats(frames: NDArray[Any]) -> float:
    """Share of frames that are the one before again, bit by bit."""
    if len(frames) < 2:
        return 0.0
    pairs = itertools.pairwise(frames)
    nan = np.issubdtype(frames.dtype, np.floating)
    return sum(np.array_equal(one, two, equal_nan=nan) for one, two in pairs) / (len(frames) - 1)


def _frozen(noun: str, found: str, repeats: float, figures: dict[str, Any], live: bool) -> Verdict:
    if live and repeats == 1:
        return Verdict(noun, False, f"{found}: frozen, every frame is the same", "replug it", figures)
    if live and repeats > _REPEATS:
        remedy = "it makes fewer frames than it sends: give it light, or set a lower rate_hz"
        return Verdict(noun, False, f"{found}: {repeats:.0%} of the frames repeat the one before", remedy, figures)
    return Verdict(noun, True, found, figures=figures)


def _depth_factor(middle_m: float) -> str:
    """What a median distance says about the unit; no depth camera sees farther than some 20 m or nearer than 7 cm."""
    if middle_m > 200:
        return "1000 times too large"
    if middle_m > 20:
        return "10 times too large"
    if middle_m < 0.01:
        return "1000 times too small"
    return "10 times too small" if middle_m < 0.07 else ""


def _not_kelvin(middle: float) -> str:
    for name, scale in _COUNTS.items():
        if middle > 1000 and _ROOM_K[0] <= middle * scale <= _ROOM_K[1]:
            return f"looks like counts of {name}, not kelvin"
    if middle > 1000:
        return "looks like counts, not kelvin"
    return "looks like degrees Celsius, not kelvin" if -40 <= middle < 150 else "no temperature a room can have"

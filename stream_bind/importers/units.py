"""Whether an imported stream's numbers can be in the unit they are said to be in. Doubts are said, never mended."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from stream_bind.judge.motion import judge_motion, turn_ratio
from stream_bind.judge.plausible import judge_depth, judge_picture, judge_sound, judge_thermal
from stream_bind.judge.verdict import Verdict
from stream_bind.messages import Chunk, StreamSpec

__all__ = ["UnitCheck"]

STRETCH_S = {"imu": 10.0, "audio": 1.0}
"""Seconds of consecutive samples that are judged as one; pictures are judged one by one."""
STRETCHES = 32
"""Most stretches that are kept, spread over the whole stream."""
FRAME_ROWS = 128
"""Pictures are thinned to fewer rows and columns than twice this."""
FAST_RADPS = math.radians(1000.0)
"""Faster than heads and vehicles turn; hands and feet may, for a moment."""
BOUNCE = 0.001
"""Share of stamps that repeat or step back which is worth a word."""
_OPTION = re.compile(r"`(accel_unit|gyro_unit): (\S+)`")


@dataclass(slots=True)
class UnitCheck:
    """Feed it a stream's chunks; then ask for `doubts`. Its memory does not grow with the stream."""

    spec: StreamSpec
    _kept: dict[int, list[Chunk]] = field(default_factory=dict)
    """Stretches by their number."""
    _every: int = 1
    _n: int = 0
    _n_repeated: int = 0
    _n_backwards: int = 0
    _latest_ns: int | None = None
    _peak_radps: float = 0.0

    def add(self, chunk: Chunk) -> None:
        """Take note of one chunk."""
        if not len(chunk):
            return
        before = [] if self._latest_ns is None else [self._latest_ns]
        steps = np.diff(np.concatenate([np.array(before, np.int64), chunk.t_ns]))
        self._n_repeated += int((steps == 0).sum())
        self._n_backwards += int((steps < 0).sum())
        self._latest_ns = int(chunk.t_ns[-1])
        turning = [i for i, axis in enumerate(self.spec.axes) if axis.startswith("gyro")]
        if turning:
            self._peak_radps = max(self._peak_radps, float(np.abs(chunk.data[:, turning]).max()))
        stretch = self._n // self._length
        self._n += len(chunk)
        if stretch % self._every:
            return
        self._kept.setdefault(stretch, []).append(_thinned(chunk) if self._shows else chunk)
        if len(self._kept) > STRETCHES:
            self._every *= 2
            self._kept = {number: held for number, held in self._kept.items() if number % self._every == 0}

    @property
    def _shows(self) -> bool:
        return self.spec.modality in {"vision", "depth", "thermal"}

    @property
    def _length(self) -> int:
        """Samples of a stretch."""
        return max(1, round(STRETCH_S.get(self.spec.modality, 0.0) * self.spec.rate_hz))

    def doubts(self) -> list[str]:
        """A sentence for each thing that cannot be, with what would mend it."""
        found = self._of_stamps()
        for verdict in self._judged():
            found.append(f"{self.spec.id}: {verdict.noun}: {verdict.detail}{_mended(verdict)}")
        return [*found, *self._fast()]

    def _of_stamps(self) -> list[str]:
        found = []
        if self._n_repeated > BOUNCE * self._n:
            found.append(f"{self.spec.id}: {self._n_repeated:,} of {self._n:,} stamps repeat the one before")
        if self._n_backwards:
            found.append(f"{self.spec.id}: {self._n_backwards:,} of {self._n:,} stamps step back")
        return found

    def _fast(self) -> list[str]:
        """An angular rate that is rare, and what gravity says to it."""
        peak = self._peak_radps
        if peak <= FAST_RADPS or any(verdict.noun == "rotation" for verdict in self._judged()):
            return []
        held = [chunk for stretch in self._kept.values() for chunk in stretch]
        data, t_ns = np.concatenate([c.data for c in held]), np.concatenate([c.t_ns for c in held])
        ratio = turn_ratio(data, t_ns, self.spec.axes) or 0.0
        told = (
            f"gravity turns {ratio:.2g} times as far as it says, which speaks for rad/s"
            if 1 / 3 < ratio < 3
            else "if it is in deg/s, import it with `--gyro-unit deg/s`"
        )
        return [
            f"{self.spec.id}: rotation: angular rate peaks at {peak:.3g}, {math.degrees(peak):,.0f} deg/s if that is "
            f"rad/s; few things turn so fast; {told}"
        ]

    def _judged(self) -> list[Verdict]:
        if not self._kept:
            return []
        if self.spec.modality == "imu":
            return self._motion()
        data = np.concatenate([chunk.data for held in self._kept.values() for chunk in held])
        match self.spec.modality:
            case "audio":
                found = judge_sound(data)
            case "depth":
                found = judge_depth(data, live=False)
            case "thermal":
                found = judge_thermal(data, self.spec.unit, live=False)
            case _:
                found = judge_picture(data, live=False)
        return [verdict for verdict in found if not verdict.fine and "clipped" not in verdict.detail]

    def _motion(self) -> list[Verdict]:
        """What most stretches agree upon: in one alone a sensor may have been dropped, or thrown."""
        judged = []
        for held in self._kept.values():
            data, t_ns = np.concatenate([c.data for c in held]), np.concatenate([c.t_ns for c in held])
            judged.append({verdict.noun: verdict for verdict in judge_motion(data, t_ns, self.spec.axes)})
        bad = Counter(noun for each in judged for noun, verdict in each.items() if not verdict.fine)
        total = Counter(noun for each in judged for noun in each)
        return [
            next(each[noun] for each in judged if noun in each and not each[noun].fine)
            for noun, n in bad.items()
            if n > total[noun] / 2
        ]


def _mended(verdict: Verdict) -> str:
    """What an option of the import can do; the sensor itself is out of reach."""
    option = _OPTION.search(verdict.remedy)
    if option is not None:
        return f"; import it with `--{option.group(1).replace('_', '-')} {option.group(2)}`"
    if "its unit may be" in verdict.detail:
        return "; say its unit with `--depth-unit-m`"
    return "; say its unit with `--scale-k` and `--offset-k`" if verdict.noun == "warmth" else ""


def _thinned(chunk: Chunk) -> Chunk:
    """Every k-th row and column: a copy, so that the whole picture can go."""
    rows, columns = (max(1, n // FRAME_ROWS) for n in chunk.data.shape[1:3])
    return Chunk(chunk.data[:, ::rows, ::columns].copy(), chunk.t_ns)

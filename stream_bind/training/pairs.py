"""Moments and their clips on disk: what training reads and corpora are written as. numpy only.

A directory holds `pairs.json` (the clips' shapes), one `<modality>.bin` a modality (packed clips, one after the other)
and `moments.jsonl` (one line a moment: what it is, where its clips lie, their digests). Clips are written before the
line that names them, so a writer that was killed leaves at most clips that nobody names; the next writer overwrites
them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import ConfigError

__all__ = ["Moment", "PairWriter", "Pairs", "StoredClips"]

INDEX = "pairs.json"
MOMENTS = "moments.jsonl"
VERSION = 1
HALF = ("audio", "depth", "thermal")
"""Stored as float16: 11 bits, finer than log-mel values, disparities and grey levels are measured."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Moment:
    """One end of windows, which all clips of the moment share."""

    source: str
    """What it was seen in: `world:<seed>`, a recording or a log. Neighbouring moments of one source look alike."""
    t_start_ns: int
    """Earliest start of its windows, UNIX ns."""
    t_end_ns: int
    """Their common end."""
    label: str = ""
    """What it shows, where that is known; one of few."""
    group: str = ""
    """A coarser label."""
    captions: tuple[str, ...] = ()
    """Sentences that are true of it."""


@dataclass(frozen=True, slots=True)
class StoredClips:
    """How one modality's clips lie on disk."""

    shape: tuple[int, ...]
    dtype: str
    """As the encoder takes them: float32 or uint8."""
    stored: str
    """On disk: uint8 (float32 pictures in [0, 1], times 255), float16 or float32."""
    length_s: float
    """Length of the windows."""

    @classmethod
    def of(cls, spec: ClipSpec) -> StoredClips:
        dtype = np.dtype(spec.dtype).name
        if dtype == "uint8" or spec.modality == "vision":
            stored = "uint8"
        else:
            stored = "float16" if spec.modality in HALF else dtype
        return cls(tuple(spec.shape), dtype, stored, spec.length_s)

    @property
    def size(self) -> int:
        """Bytes of one clip on disk."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.stored).itemsize

    def pack(self, clip: NDArray[Any]) -> NDArray[Any]:
        """One clip as it is stored. ValueError if it has another shape."""
        clip = np.asarray(clip)
        if clip.shape != self.shape:
            raise ValueError(f"a clip of shape {self.shape} is wanted, found {clip.shape}")
        if self.stored == "uint8" and clip.dtype != np.uint8:
            clip = np.rint(np.clip(clip, 0.0, 1.0) * 255.0)
        return np.ascontiguousarray(clip, dtype=self.stored)

    def unpack(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Stored clips as the encoder's `embed` takes them."""
        if self.stored == self.dtype:
            return stored
        clips = stored.astype(self.dtype)
        return clips / np.float32(255) if self.stored == "uint8" else clips


class PairWriter:
    """Appends moments to a directory, creating it where needed; what an earlier writer left complete is kept.

    specs: the clips of each modality, as ClipMaker.spec says. ConfigError if the directory holds clips of another
    shape. A context manager. One writer per directory at a time.
    """

    def __init__(self, directory: str | os.PathLike[str], specs: Mapping[str, ClipSpec]) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._clips = {modality: StoredClips.of(spec) for modality, spec in specs.items()}
        index = self.directory / INDEX
        if index.exists():
            found = _read_index(self.directory)
            if found != self._clips:
                differing = [m for m in {**found, **self._clips} if found.get(m) != self._clips.get(m)]
                raise ConfigError(
                    f"{self.directory}: holds other clips of {', '.join(differing)} "
                    f"({_told(found, differing)}) than are to be added ({_told(self._clips, differing)}); "
                    "write to another directory"
                )
        else:
            body = {"version": VERSION, "clips": {m: asdict(c) for m, c in self._clips.items()}}
            temporary = index.with_suffix(".tmp")
            temporary.write_text(json.dumps(body, indent=1) + "\n")
            os.replace(temporary, index)
        lines, complete = _read_lines(self.directory)
        self.n_moments = len(lines)
        """Moments in the directory, those of earlier writers included: where a resumed corpus goes on."""
        self._rows = dict.fromkeys(self._clips, 0)
        for line in lines:
            for modality in line["rows"]:
                self._rows[modality] += 1
        self._files: dict[str, BinaryIO] = {}
        for modality, clips in self._clips.items():
            file = open(self.directory / f"{modality}.bin", "ab")  # noqa: SIM115 - closed in close()
            file.truncate(self._rows[modality] * clips.size)
            file.seek(0, os.SEEK_END)
            self._files[modality] = file
        self._moments = open(self.directory / MOMENTS, "ab")  # noqa: SIM115
        self._moments.truncate(complete)
        self._moments.seek(0, os.SEEK_END)

    def add(self, moment: Moment, clips: Mapping[str, NDArray[Any]]) -> None:
        """Append one moment with the clips it has. ValueError for a clip of the wrong shape or no known modality."""
        packed = {}
        for modality, clip in clips.items():
            if modality not in self._clips:
                raise ValueError(f"{self.directory} holds {', '.join(self._clips)}, no {modality}")
            packed[modality] = self._clips[modality].pack(clip)
        line: dict[str, Any] = asdict(moment)
        line["rows"] = {modality: self._rows[modality] for modality in packed}
        line["digests"] = {
            modality: hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest() for modality, array in packed.items()
        }
        for modality, array in packed.items():
            file = self._files[modality]
            file.write(array.tobytes())
            file.flush()
            self._rows[modality] += 1
        self._moments.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._moments.flush()
        self.n_moments += 1

    def close(self) -> None:
        """Bring everything to the disk. May be called twice."""
        for file in (*self._files.values(), self._moments):
            if not file.closed:
                file.flush()
                os.fsync(file.fileno())
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class _Part:
    """One modality's clips of one directory."""

    data: NDArray[Any]
    """(rows, *shape), memory-mapped."""
    begin: int
    """Number of its first row among all directories' rows of this modality."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Moments of one or several directories, read-only and memory-mapped. Rows number the moments, from 0."""

    moments: tuple[Moment, ...]
    stored: Mapping[str, StoredClips]
    """How each modality's clips are kept."""
    _parts: Mapping[str, tuple[_Part, ...]]
    _places: Mapping[str, Rows]
    """modality: (n,) number of the moment's clip, -1 where it has none."""
    _digests: Mapping[str, NDArray[np.uint64]] = field(repr=False)
    _scales: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, directories: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> Pairs:
        """What lies in these directories, in their order. ConfigError if one is none, or their clips differ."""
        one = isinstance(directories, (str, os.PathLike))
        paths = [Path(directories)] if one else [Path(p) for p in directories]  # type: ignore[arg-type,union-attr]
        if not paths:
            raise ConfigError("pairs: no directory given; name at least one that a corpus was written to")
        stored: dict[str, StoredClips] = {}
        moments: list[Moment] = []
        parts: dict[str, list[_Part]] = {}
        places: dict[str, list[Rows]] = {}
        digests: dict[str, list[NDArray[np.uint64]]] = {}
        counts: dict[str, int] = {}
        n_before = 0
        for path in paths:
            for modality, clips in _read_index(path).items():
                if stored.setdefault(modality, clips) != clips:
                    raise ConfigError(
                        f"{path}: its {modality} clips are {clips.shape} of {clips.length_s:g} s, those of the "
                        f"directories before it {stored[modality].shape} of {stored[modality].length_s:g} s; "
                        "write both with the same model and windows"
                    )
            lines, _ = _read_lines(path)
            moments += [_moment(line) for line in lines]
            for modality, kept in stored.items():
                here = np.array([line["rows"].get(modality, -1) for line in lines], np.intp)
                n_rows = int((here >= 0).sum())
                begin = counts.get(modality, 0)
                blank = np.full(n_before, -1, np.intp), np.zeros(n_before, np.uint64)
                places.setdefault(modality, [blank[0]]).append(np.where(here >= 0, here + begin, -1))
                digests.setdefault(modality, [blank[1]]).append(
                    np.array([int(line["digests"].get(modality, "0"), 16) for line in lines], np.uint64)
                )
                counts[modality] = begin + n_rows
                if n_rows:
                    parts.setdefault(modality, []).append(_Part(_map(path, modality, kept, n_rows), begin))
            n_before += len(lines)
        return cls(
            tuple(moments),
            stored,
            {modality: tuple(parts.get(modality, ())) for modality in stored},
            {modality: np.concatenate(found) for modality, found in places.items()},
            {modality: np.concatenate(found) for modality, found in digests.items()},
        )

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of which at least one moment has a clip."""
        return tuple(modality for modality in self.stored if (self._places[modality] >= 0).any())

    def has(self, modality: str) -> NDArray[np.bool_]:
        """(n,) whether each moment has a clip of this modality; `text` means that it has a caption."""
        if modality == "text":
            return np.array([bool(m.captions) for m in self.moments], bool)
        if modality not in self._places:
            return np.zeros(len(self), bool)
        return np.asarray(self._places[modality] >= 0)

    def packed(self, modality: str, rows: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """(len(rows), *shape) clips as they are stored. ValueError if one of the moments has none."""
        if modality not in self._places:
            raise ValueError(f"no {modality} clips here; there are {', '.join(self.modalities) or 'none'}")
        places = self._places[modality][np.asarray(rows, np.intp)]
        if (places < 0).any():
            raise ValueError(f"{int((places < 0).sum())} of these moments have no {modality} clip; ask has() first")
        kept = self.stored[modality]
        out = np.empty((len(places), *kept.shape), kept.stored)
        parts = self._parts[modality]
        if len(places):
            begins = np.array([part.begin for part in parts])
            owners = np.searchsorted(begins, places, side="right") - 1
            for number in np.unique(owners):
                chosen = np.flatnonzero(owners == number)
                out[chosen] = parts[number].data[places[chosen] - parts[number].begin]
        if modality in self._scales:
            mean, std = self._scales[modality]
            out = ((out - mean) / std).astype(kept.stored)
        return out

    def clips(self, modality: str, rows: Sequence[int] | NDArray[Any]) -> NDArray[Any]:
        """(len(rows), *shape) clips as the encoder's `embed` takes them. ValueError if one of the moments has none."""
        packed = self.packed(modality, rows)
        return self.stored[modality].unpack(packed)

    def digests(self, modality: str) -> NDArray[np.uint64]:
        """(n,) digest of each moment's stored clip; 0 where it has none."""
        return self._digests[modality] if modality in self._digests else np.zeros(len(self), np.uint64)

    def take(self, rows: Sequence[int] | NDArray[Any]) -> Pairs:
        """These moments alone, in this order; clips stay where they are. `rows` may be a mask."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
        return Pairs(
            tuple(self.moments[i] for i in index),
            self.stored,
            self._parts,
            {modality: places[index] for modality, places in self._places.items()},
            {modality: digests[index] for modality, digests in self._digests.items()},
            self._scales,
        )

    def scaled(self, modality: str, mean: NDArray[Any], std: NDArray[Any]) -> Pairs:
        """The same moments with `mean` subtracted from this modality's clips and the rest divided by `std`; both
        broadcast to one clip."""
        return replace(self, _scales={**self._scales, modality: (mean, std)})

    def fingerprint(self, modalities: Iterable[str] | None = None) -> str:
        """16 hex digits that change with any moment, caption or clip (of these modalities)."""
        whole = hashlib.blake2b(digest_size=8)
        for moment in self.moments:
            whole.update(json.dumps(asdict(moment), ensure_ascii=False).encode())
        for modality in sorted(self.stored if modalities is None else modalities):
            whole.update(modality.encode())
            whole.update(self.digests(modality).tobytes())
            for part in self._scales.get(modality, ()):
                whole.update(np.asarray(part, np.float64).tobytes())
        return whole.hexdigest()


def _map(path: Path, modality: str, clips: StoredClips, n_rows: int) -> NDArray[Any]:
    file = path / f"{modality}.bin"
    found = file.stat().st_size if file.exists() else 0
    if found < n_rows * clips.size:
        raise ConfigError(
            f"{file}: {n_rows} clips of {clips.size} bytes are wanted, the file has {found} bytes; write it again"
        )
    mapped: NDArray[Any] = np.memmap(file, dtype=clips.stored, mode="r", shape=(n_rows, *clips.shape))
    return mapped


def _read_index(path: Path) -> dict[str, StoredClips]:
    index = path / INDEX
    try:
        body = json.loads(index.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no {INDEX} in it; name a directory that a corpus of moments was written to"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{index}: cannot be read ({error}); write the corpus again") from error
    if body.get("version") != VERSION:
        raise ConfigError(f"{index}: version {VERSION} is wanted, found {body.get('version')}; write the corpus again")
    return {
        modality: StoredClips(tuple(c["shape"]), c["dtype"], c["stored"], c["length_s"])
        for modality, c in body["clips"].items()
    }


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The complete lines, and the bytes they take."""
    file = path / MOMENTS
    raw = file.read_bytes() if file.exists() else b""
    complete = raw.rfind(b"\n") + 1
    return [json.loads(line) for line in raw[:complete].splitlines()], complete


def _moment(line: Mapping[str, Any]) -> Moment:
    return Moment(
        line["source"], line["t_start_ns"], line["t_end_ns"], line["label"], line["group"], tuple(line["captions"])
    )


def _told(clips: Mapping[str, StoredClips], modalities: Iterable[str]) -> str:
    return ", ".join(
        f"{m} {clips[m].shape} of {clips[m].length_s:g} s" if m in clips else f"no {m}" for m in modalities
    )

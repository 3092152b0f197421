"""Folders of pictures with times: EuRoC (ASL), TUM RGB-D, and pictures named by their times or numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from stream_bind.importers.base import ImportOptions, Piece, merged, stream_name
from stream_bind.importers.picture_files import DEFAULT_RATE_HZ, PictureList, picture_list
from stream_bind.importers.picture_topics import FAR, WARM
from stream_bind.importers.sheet import opener_of, read_sheet
from stream_bind.importers.tables import Table, look_and_place, motion_table
from stream_bind.messages import Intrinsics, StreamSpec

__all__ = ["FolderSource", "open_source"]

PICTURES = {".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".tif", ".tiff", ".bmp", ".webp"}
LIST = "data.csv"
TUM_LISTS = {"rgb.txt": "vision", "depth.txt": "depth", "accelerometer.txt": "imu"}
TUM_UNIT_M = 1 / 5000
"""5000 counts are 1 m: "File Formats", TUM RGB-D benchmark."""
DIGITS = {19: 1, 16: 1_000, 13: 1_000_000, 10: 1_000_000_000}
"""Digits of UNIX time in ns, us, ms and s, and ns of each."""
MOST_FOLDERS = 64


@dataclass(slots=True)
class FolderSource:
    """Lists of pictures, and tables of motion beside them."""

    format: str
    lists: list[PictureList] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @property
    def specs(self) -> dict[str, StreamSpec]:
        pictures = {each.name: each.spec for each in self.lists}
        return pictures | {each.name: each.spec for each in self.tables}

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        yield from merged([*(each.pieces() for each in self.lists), *(each.pieces() for each in self.tables)])
        found = [f"{each.name}: {n} pictures {why}" for each in self.lists for why, n in each.lost.items()]
        found += [f"{each.sheet.name}: {each.n_bad} rows are not numbers" for each in self.tables if each.n_bad]
        self.losses = [*self.missing, *found]

    def close(self) -> None:
        """Nothing is kept open."""


def open_source(path: Path, head: bytes, options: ImportOptions) -> FolderSource | None:
    """A folder of pictures; None if `path` is none."""
    if not path.is_dir():
        return None
    for opener in (_euroc, _tum, _pictures):
        found = opener(path, options)
        if found is not None:
            found.losses = list(found.missing)
            look_and_place(found.tables, found.doubts, options)
            return found
    return None


# -- EuRoC -------------------------------------------------------------------------------------------------------------


def _euroc(path: Path, options: ImportOptions) -> FolderSource | None:
    """mav0/<sensor>/data.csv, each with a sensor.yaml that names the sensor's type."""
    root = path / "mav0" if (path / "mav0").is_dir() else path
    folders = [root] if (root / LIST).is_file() else sorted(each.parent for each in root.glob(f"*/{LIST}"))
    if not folders:
        return None
    source = FolderSource("EuRoC (ASL) folder")
    for folder in folders:
        settings = _settings(folder / "sensor.yaml")
        name = stream_name(folder.name, source.specs)
        if (folder / "data").is_dir():
            _euroc_camera(source, folder, name, settings, options)
            continue
        sheet = read_sheet(str(folder / LIST), opener_of(folder / LIST))
        table = None if sheet is None else motion_table(name, sheet, options)
        if table is None:
            source.skipped[folder.name] = f"{settings.get('sensor_type', 'its table')}: no motion and no pictures"
        else:
            source.tables.append(table)
    return source if source.lists or source.tables or source.skipped else None


def _euroc_camera(
    source: FolderSource, folder: Path, name: str, settings: dict[str, Any], options: ImportOptions
) -> None:
    listed: list[tuple[int, Path]] = []
    for line in (folder / LIST).read_text(errors="replace").splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) >= 2 and cells[0].isdigit():
            listed.append((int(cells[0]), folder / "data" / Path(cells[1]).name))
    present = [each for each in listed if each[1].is_file()]
    if len(present) < len(listed):
        source.missing.append(
            f"{folder.name}: {len(listed) - len(present)} of {len(listed)} listed pictures are not there"
        )
    _add(source, name, present, options, intrinsics=_euroc_lens(settings))


def _euroc_lens(settings: dict[str, Any]) -> Intrinsics | None:
    try:
        width, height = map(int, settings["resolution"])
        fx, fy, cx, cy = map(float, settings["intrinsics"])
        names = {"radial-tangential": "brown_conrady", "equidistant": "kannala_brandt4"}
        said = str(settings.get("distortion_model", ""))
        coeffs = tuple(map(float, settings.get("distortion_coefficients") or ()))
        return Intrinsics(width, height, fx, fy, cx, cy, names.get(said, said), coeffs)
    except (KeyError, TypeError, ValueError):
        return None


def _settings(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(errors="replace")
        # OpenCV writes %YAML:1.0, which YAML itself does not allow.
        found = YAML(typ="safe").load("\n".join(line for line in text.splitlines() if not line.startswith("%")))
    except (OSError, YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


# -- TUM RGB-D ---------------------------------------------------------------------------------------------------------


def _tum(path: Path, options: ImportOptions) -> FolderSource | None:
    """rgb.txt and depth.txt with a time in seconds and a file's name in each line."""
    lists = {name: path / name for name in TUM_LISTS if (path / name).is_file()}
    if not {"rgb.txt", "depth.txt"} & set(lists):
        return None
    source = FolderSource("TUM RGB-D folder")
    for file, target in lists.items():
        name, modality = Path(file).stem, TUM_LISTS[file]
        if modality == "imu":
            columns: dict[str, str | int] = {"time": 0, "accel_x": 1, "accel_y": 2, "accel_z": 3}
            told = replace(options, columns=columns, time_unit="s", accel_unit=options.accel_unit or "m/s2")
            sheet = read_sheet(str(target), opener_of(target))
            table = None if sheet is None else motion_table("accel", sheet, told)
            if table is not None:
                source.tables.append(table)
            continue
        listed = []
        for line in target.read_text(errors="replace").splitlines():
            cells = line.split()
            if len(cells) >= 2 and not line.startswith("#"):
                try:
                    listed.append((round(Fraction(cells[0]) * 1_000_000_000), path / cells[1]))
                except ValueError:
                    source.missing.append(f"{file}: {line[:40]!r} is no time and file")
        present = [each for each in listed if each[1].is_file()]
        if len(present) < len(listed):
            source.missing.append(
                f"{file}: {len(listed) - len(present)} of {len(listed)} listed pictures are not there"
            )
        _add(source, name, present, options, modality, TUM_UNIT_M)
        if modality == "depth" and options.depth_unit_m is None and name in source.specs:
            source.doubts.append(
                "depth: 5000 counts are taken as 1 m, as TUM RGB-D has it; --depth-unit-m says otherwise"
            )
    return source


# -- pictures with numbers for names -----------------------------------------------------------------------------------


def _pictures(path: Path, options: ImportOptions) -> FolderSource | None:
    """A folder of pictures, or one that holds such folders, named for what they show."""
    folders = [each for each in (path, *sorted(path.iterdir())) if each.is_dir() and _shown(each)]
    if not folders:
        return None
    source = FolderSource("folder of pictures")
    for folder in folders[:MOST_FOLDERS]:
        files = _shown(folder)
        bare = folder.name.lower()
        modality = "depth" if FAR.search(bare) else "thermal" if WARM.search(bare) else "vision"
        times = _times(files)
        if times is None:
            rate = Fraction(options.rate_hz or DEFAULT_RATE_HZ).limit_denominator(1001)
            zero_ns = options.start_ns or 0
            times = [zero_ns + i * 1_000_000_000 * rate.denominator // rate.numerator for i in range(len(files))]
            if options.rate_hz is None:
                source.doubts.append(
                    f"{folder.name}: its pictures have no times; {DEFAULT_RATE_HZ:g} a second assumed, --rate-hz says"
                )
        name = stream_name(folder.name if folder != path else path.name, source.specs)
        _add(source, name, list(zip(times, files, strict=True)), options, modality)
        if modality == "depth" and options.depth_unit_m is None and name in source.specs:
            source.doubts.append(f"{folder.name}: 1000 counts are taken as 1 m; --depth-unit-m says otherwise")
    return source


def _shown(folder: Path) -> list[Path]:
    found = [each for each in folder.iterdir() if each.suffix.lower() in PICTURES and each.is_file()]
    return sorted(found, key=lambda each: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", each.stem)])


def _times(files: list[Path]) -> list[int] | None:
    """UNIX ns that the names say; None where they are numbers only."""
    found = []
    for file in files:
        match = re.search(r"(?<!\d)(\d{10})[._](\d{1,9})(?!\d)", file.stem)
        whole = re.search(r"(?<!\d)(\d{19}|\d{16}|\d{13}|\d{10})(?!\d)", file.stem)
        if match is not None:
            found.append(int(match.group(1)) * 1_000_000_000 + int(match.group(2).ljust(9, "0")))
        elif whole is not None:
            found.append(int(whole.group(1)) * DIGITS[len(whole.group(1))])
        else:
            return None
    return found


def _add(
    source: FolderSource,
    name: str,
    files: list[tuple[int, Path]],
    options: ImportOptions,
    modality: str = "vision",
    depth_unit_m: float = 0.001,
    intrinsics: Intrinsics | None = None,
) -> None:
    made = picture_list(
        name, files, options.modality or modality, options, depth_unit_m=depth_unit_m, intrinsics=intrinsics
    )
    if isinstance(made, str):
        source.skipped[name] = made
    else:
        source.lists.append(made)

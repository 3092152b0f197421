"""`stream-bind import`: a foreign recording as a log of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stream_bind.cli.foreign import Foreign, inspect, progress_of

if TYPE_CHECKING:
    from stream_bind.importers.base import ImportOptions

__all__ = ["import_command"]

LOST = 3


def import_command(
    source: Annotated[Path, typer.Argument(help="A file, or a folder: bag, MCAP, video, sound, table, pictures ...")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The log to write; absent: only say what is in it.")
    ] = None,
    streams: Annotated[str | None, typer.Option(help="Only these, with commas between them.")] = None,
    profile: Annotated[str | None, typer.Option(help="Tables: which logger wrote it, such as phyphox.")] = None,
    columns: Annotated[
        str | None, typer.Option(help='Tables: "time=t,accel_x=ax,..." by title or position from 0.')
    ] = None,
    time_unit: Annotated[str | None, typer.Option(help="Tables: s, ms, us, ns or iso.")] = None,
    accel_unit: Annotated[str | None, typer.Option(help="m/s2, g or mg, against what the format says.")] = None,
    gyro_unit: Annotated[str | None, typer.Option(help="rad/s, deg/s or mdeg/s, against what the format says.")] = None,
    modality: Annotated[str | None, typer.Option(help="Pictures: vision, depth or thermal.")] = None,
    depth_unit_m: Annotated[float | None, typer.Option(help="Depth: metres per count, such as 0.001.")] = None,
    scale_k: Annotated[float | None, typer.Option(help="Thermal: kelvin per count, such as 0.01 ...")] = None,
    offset_k: Annotated[float, typer.Option(help="... and kelvin at 0 counts.")] = 0.0,
    rate_hz: Annotated[float | None, typer.Option(help="Pictures without times: how many a second.")] = None,
    start: Annotated[
        str | None, typer.Option(help="When it began, where its clock does not say: 2026-03-01T12:00:00Z.")
    ] = None,
    by_arrival: Annotated[
        bool, typer.Option("--by-arrival", help="Take the recorder's stamps instead of the sensors' own.")
    ] = False,
    colour: Annotated[
        str, typer.Option(help="Pictures that are no JPEG: jpeg (quality 90), h264 or lossless.")
    ] = "jpeg",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Import a recording of another program: `replay` then treats it like one of ours.

    The kind is seen from the content. Without -o nothing is written. Exit code 3 where part of it could not be read.
    """
    from stream_bind.importers.base import ImportOptions

    kept = _one_of(colour, ("jpeg", "h264", "lossless"), "--colour")
    options = ImportOptions(
        profile=profile,
        columns=_columns(columns),
        time_unit=_one_of(time_unit, ("s", "ms", "us", "ns", "iso"), "--time-unit"),
        accel_unit=_one_of(accel_unit, ("m/s2", "g", "mg"), "--accel-unit"),
        gyro_unit=_one_of(gyro_unit, ("rad/s", "deg/s", "mdeg/s"), "--gyro-unit"),
        modality=_one_of(modality, ("vision", "depth", "thermal"), "--modality"),
        depth_unit_m=_above_zero(depth_unit_m, "--depth-unit-m"),
        scale_k=_above_zero(scale_k, "--scale-k"),
        offset_k=offset_k,
        rate_hz=_above_zero(rate_hz, "--rate-hz"),
        start_ns=_start_ns(start),
        by_arrival=by_arrival,
    )
    names = None if streams is None else [name.strip() for name in streams.split(",") if name.strip()]
    target = None if output is None else _new_log(output)
    told = inspect(source, options, names) if target is None else _write(source, options, target, names, kept)
    if as_json:
        print(json.dumps(told.plain()))
    else:
        told.print()
    if told.done.losses:
        raise typer.Exit(LOST)


def _new_log(output: Path) -> Path:
    """Where to write; typer.BadParameter where that is no new MCAP file."""
    if output.suffix != ".mcap":
        raise typer.BadParameter(f"a log is an MCAP file; name it {output.with_suffix('.mcap')}", param_hint="--output")
    if output.exists():
        raise typer.BadParameter(f"{output} is there already, and an import replaces nothing", param_hint="--output")
    return output


def _write(
    path: Path,
    options: ImportOptions,
    target: Path,
    streams: list[str] | None,
    colour: Literal["jpeg", "h264", "lossless"],
) -> Foreign:
    from stream_bind import __version__
    from stream_bind.importers.find import open_source
    from stream_bind.importers.job import import_log
    from stream_bind.log.writer import LogWriter

    source = open_source(path, options)
    try:
        about = {"kind": "import", "rig": path.stem, "source": path.name, "format": source.format}
        writer = LogWriter(target, about | {"program": f"stream-bind {__version__}"}, sync=False)
        with progress_of(f"importing {path.name}") as on_piece:
            done = import_log(source, writer, streams=streams, colour=colour, on_progress=on_piece)
        return Foreign.of(path, source, done, target)
    finally:
        source.close()


def _columns(text: str | None) -> dict[str, str | int] | None:
    if text is None:
        return None
    found: dict[str, str | int] = {}
    for part in text.split(","):
        name, mark, where = part.partition("=")
        if not mark or not name.strip() or not where.strip():
            raise typer.BadParameter(f"{part!r}: write NAME=COLUMN, such as accel_x=ax", param_hint="--columns")
        where = where.strip()
        found[name.strip()] = int(where) if where.isdigit() else where
    return found


def _one_of(value: str | None, known: tuple[str, ...], option: str) -> Any:
    if value is not None and value not in known:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(known)}", param_hint=option)
    return value


def _above_zero(value: float | None, option: str) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"must be above 0, found {value:g}", param_hint=option)
    return value


def _start_ns(text: str | None) -> int | None:
    from devices.pacing import parse_time_ns

    try:
        return None if text is None else parse_time_ns(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--start") from error

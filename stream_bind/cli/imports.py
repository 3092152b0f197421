"""`stream-bind import`: a foreign recording as a log of our own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from stream_bind.importers.base import Piece, Source

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
    colour: Annotated[str, typer.Option(help="Pictures that are no JPEG: jpeg (quality 90) or lossless.")] = "jpeg",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Import a recording of another program: `replay` then treats it like one of ours.

    The kind is seen from the content. Without -o nothing is written. Exit code 3 where part of it could not be read.
    """
    from stream_bind.importers.base import ImportOptions
    from stream_bind.importers.find import open_source

    if colour not in {"jpeg", "lossless"}:
        raise typer.BadParameter(f"{colour!r} is none of jpeg, lossless", param_hint="--colour")
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
    target = None if output is None else _new_log(output)
    found = open_source(source, options)
    try:
        told = _said(source, found)
        if target is not None:
            told |= _write(
                source, found, target, streams, "lossless" if colour == "lossless" else "jpeg", quiet=as_json
            )
    finally:
        found.close()
    if as_json:
        print(json.dumps(told))
    else:
        _print(source, told)
    if told.get("losses"):
        raise typer.Exit(LOST)


def _new_log(output: Path) -> Path:
    """Where to write; typer.BadParameter where that is no new MCAP file."""
    if output.suffix != ".mcap":
        raise typer.BadParameter(f"a log is an MCAP file; name it {output.with_suffix('.mcap')}", param_hint="--output")
    if output.exists():
        raise typer.BadParameter(f"{output} is there already, and an import replaces nothing", param_hint="--output")
    return output


def _write(
    source: Path, found: Source, target: Path, streams: str | None, colour: Literal["jpeg", "lossless"], *, quiet: bool
) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from stream_bind import __version__
    from stream_bind.importers.job import import_log
    from stream_bind.log.survey import survey
    from stream_bind.log.writer import LogWriter

    about = {"kind": "import", "rig": source.stem, "source": source.name, "format": found.format}
    writer = LogWriter(target, about | {"program": f"stream-bind {__version__}"}, sync=False)
    names = None if streams is None else [name.strip() for name in streams.split(",") if name.strip()]
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task(f"importing {source.name}")
        begun: dict[str, int] = {}

        def on_progress(piece: Piece) -> None:
            first_ns = begun.setdefault(piece.stream, int(piece.chunk.t_ns[0]))
            seconds = (int(piece.chunk.t_ns[-1]) - first_ns) / 1e9
            progress.update(task, description=f"importing {source.name}: {piece.stream} {seconds:,.1f} s")

        done = import_log(found, writer, streams=names, colour=colour, on_progress=on_progress)
    measured = {
        name: {
            "samples": stream.n_samples,
            "t_start": stream.first_ns,
            "t_end": stream.last_ns,
            "duration_s": stream.duration_s,
            "measured_rate_hz": stream.rate_hz,
            "gaps": stream.n_gaps,
            "longest_gap_s": stream.longest_gap_ns / 1e9,
            "repeated": stream.n_repeated,
            "backwards": stream.n_backwards,
        }
        for name, stream in survey(target).streams.items()
    }
    return {"output": str(target), "measured": measured, "doubts": done.doubts, "losses": done.losses}


def _said(source: Path, found: Source) -> dict[str, Any]:
    return {
        "source": str(source),
        "format": found.format,
        "streams": {
            name: {"modality": spec.modality, "rate_hz": spec.rate_hz, "shape": list(spec.shape), "unit": spec.unit}
            for name, spec in found.specs.items()
        },
        "skipped": dict(found.skipped),
        "doubts": list(found.doubts),
        "losses": list(found.losses),
    }


def _print(source: Path, told: dict[str, Any]) -> None:
    print(f"{source}: {told['format']}")
    width = max(map(len, told["streams"]), default=0)
    for name, spec in told["streams"].items():
        line = (
            f"  {name:<{width}}  {spec['modality']:<8} {spec['rate_hz']:>9,.2f} Hz  {'x'.join(map(str, spec['shape']))}"
        )
        measured = told.get("measured", {}).get(name)
        if measured is not None:
            line += f"  {measured['samples']:,} samples, {measured['duration_s']:.3f} s"
            odd = {key: measured[key] for key in ("gaps", "repeated", "backwards") if measured[key]}
            line += "".join(f", {n:,} {key}" for key, n in odd.items())
        print(line)
    skipped = list(told["skipped"].items())
    for name, why in skipped[:12]:
        print(f"  not taken: {name}: {why}")
    if len(skipped) > 12:
        print(f"  ... and {len(skipped) - 12} more that are no streams")
    for doubt in told["doubts"]:
        print(f"stream-bind: doubt: {doubt}", file=sys.stderr)
    for loss in told["losses"]:
        print(f"stream-bind: lost: {loss}", file=sys.stderr)
    if "output" in told:
        print(f"written: {told['output']}; `stream-bind replay {told['output']} --encoder imagebind-tiny` embeds it")
    else:
        print("nothing was written; -o LOG.mcap makes a log of it")


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

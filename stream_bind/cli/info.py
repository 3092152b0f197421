"""`stream-bind info`: what a log holds, and whether it is whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stream_bind.log.survey import StreamSurvey, Survey

__all__ = ["info_command"]


def info_command(
    log: Annotated[Path, typer.Argument(help="An MCAP file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show a log's streams, rates, gaps and topics, and what is lost of it. Reads all of it; exit code 0 even so."""
    from stream_bind.log.survey import survey

    found = survey(log)
    if as_json:
        print(json.dumps(_plain(found)))
        return
    _print(found)


def _print(found: Survey) -> None:
    from stream_bind.encoders.download import human_size

    state = "whole" if found.whole else "not closed" if not found.closed else "no index" if not found.losses else ""
    lost = sum(loss.n_bytes for loss in found.losses)
    damage = f"{human_size(lost)} cannot be read" if found.losses else ""
    told = ", ".join(word for word in (state, damage) if word)
    print(f"{found.path}: {human_size(found.n_bytes)}, {found.n_messages:,} messages, {told}")
    print(f"written by {found.library or 'unknown'}, profile {found.profile or 'none'}")
    for name, fields in found.metadata.items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in fields.items())}")
    for name, size in found.attachments.items():
        print(f"attached: {name}, {human_size(size)}")
    if found.streams:
        width = max(map(len, found.streams))
        print(f"\n{'stream':<{width}}  modality     samples   duration      rate (nominal)  gaps  longest   clock")
        for name, stream in found.streams.items():
            print(_row(name, width, stream))
    if found.topics:
        width = max(map(len, found.topics))
        print(f"\n{'topic':<{width}}  messages        size  type")
        for name, topic in sorted(found.topics.items()):
            kind = topic.type or f"({topic.encoding or 'no schema'})"
            print(f"{name:<{width}}  {topic.n_messages:>8,}  {human_size(topic.n_bytes):>10}  {kind}")
    for loss in found.losses[:10]:
        print(f"\nat byte {loss.offset:,}: {human_size(loss.n_bytes)} cannot be read: {loss.reason}")
    if len(found.losses) > 10:
        print(f"... and {len(found.losses) - 10:,} more places")
    if not found.whole:
        print(f"\n`stream-bind recover {found.path}` makes a whole file of what there is")


def _row(name: str, width: int, stream: StreamSurvey) -> str:
    begun = datetime.fromtimestamp(stream.first_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    odd = [f"{n} {what}" for n, what in ((stream.n_repeated, "repeated"), (stream.n_backwards, "backwards")) if n]
    longest = f"{stream.longest_gap_ns / 1e9:.3f} s" if stream.n_gaps else "-"
    clock = f"{stream.clock_domain} ±{stream.worst_clock_err_ns / 1e6:.3g} ms"
    rate = f"{stream.rate_hz:.2f} Hz ({stream.spec.rate_hz:g})"
    return (
        f"{name:<{width}}  {stream.spec.modality:<8}  {stream.n_samples:>9,}  {stream.duration_s:>7.3f} s  {rate:>22}"
        f"  {stream.n_gaps:>4}  {longest:>8}  {clock}  from {begun}{'; stamps: ' + ', '.join(odd) if odd else ''}"
    )


def _plain(found: Survey) -> dict[str, Any]:
    return {
        "path": str(found.path),
        "size": found.n_bytes,
        "messages": found.n_messages,
        "profile": found.profile,
        "library": found.library,
        "whole": found.whole,
        "closed": found.closed,
        "indexed": found.indexed,
        "losses": [{"offset": x.offset, "size": x.n_bytes, "reason": x.reason} for x in found.losses],
        "metadata": found.metadata,
        "attachments": found.attachments,
        "streams": {
            name: {
                "modality": stream.spec.modality,
                "samples": stream.n_samples,
                "t_start": stream.first_ns,
                "t_end": stream.last_ns,
                "duration_s": stream.duration_s,
                "rate_hz": stream.rate_hz,
                "nominal_rate_hz": stream.spec.rate_hz,
                "gaps": stream.n_gaps,
                "longest_gap_s": stream.longest_gap_ns / 1e9,
                "repeated": stream.n_repeated,
                "backwards": stream.n_backwards,
                "clock": {"domain": stream.clock_domain, "err_ns": stream.worst_clock_err_ns},
            }
            for name, stream in found.streams.items()
        },
        "topics": {
            name: {
                "type": topic.type,
                "encoding": topic.encoding,
                "messages": topic.n_messages,
                "size": topic.n_bytes,
                "t_start": topic.first_ns,
                "t_end": topic.last_ns,
            }
            for name, topic in sorted(found.topics.items())
        },
    }

"""Streams of a recording as lines, and as JSON: rates, gaps, stamps, clocks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_bind.log.survey import StreamSurvey

__all__ = ["plain_streams", "print_streams"]

_EARLIEST_NS = 10**17
"""1973: what lies before is counted from a recording's start."""


def print_streams(streams: Mapping[str, StreamSurvey]) -> None:
    """One line each, under titles."""
    width = max(6, *map(len, streams))
    print(f"{'stream':<{width}}  modality     samples   duration      rate (nominal)  gaps  longest   clock")
    for name, stream in streams.items():
        print(_row(name, width, stream))


def plain_streams(streams: Mapping[str, StreamSurvey]) -> dict[str, Any]:
    """Names with their units last, times in UNIX ns."""
    return {
        name: {
            "modality": stream.spec.modality,
            "shape": list(stream.spec.shape),
            "unit": stream.spec.unit,
            "axes": list(stream.spec.axes),
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
        for name, stream in streams.items()
    }


def _row(name: str, width: int, stream: StreamSurvey) -> str:
    odd = [f"{n:,} {what}" for n, what in ((stream.n_repeated, "repeated"), (stream.n_backwards, "backwards")) if n]
    longest = f"{stream.longest_gap_ns / 1e9:.3f} s" if stream.n_gaps else "-"
    clock = f"{stream.clock_domain} ±{stream.worst_clock_err_ns / 1e6:.3g} ms"
    rate = f"{stream.rate_hz:.2f} Hz ({stream.spec.rate_hz:g})" if stream.n_samples > 1 else "-"
    return (
        f"{name:<{width}}  {stream.spec.modality:<8}  {stream.n_samples:>9,}  {stream.duration_s:>7.3f} s  {rate:>22}"
        f"  {stream.n_gaps:>4}  {longest:>8}  {clock}  from {_begun(stream.first_ns)}"
        f"{'; stamps: ' + ', '.join(odd) if odd else ''}"
    )


def _begun(t_ns: int) -> str:
    if t_ns < _EARLIEST_NS:
        return f"{t_ns / 1e9:.3f} s of its own clock"
    return datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(timespec="milliseconds")

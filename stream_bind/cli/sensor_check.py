"""What watching the sensors of a rig for some seconds tells, as findings: rate, clock, losses, plausibility."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.base import TALLIES
from stream_bind.cli.finding import Finding, Status
from stream_bind.cli.observation import Observation
from stream_bind.cli.timing import Drift, Losses, Rate, coming_hz, delay_of, drift_of, losses_of, rate_of
from stream_bind.judge.motion import judge_motion
from stream_bind.judge.plausible import judge_depth, judge_picture, judge_sound, judge_thermal
from stream_bind.judge.verdict import Verdict
from stream_bind.messages import StreamSpec

__all__ = ["sensor_findings"]

_RATE_PERCENT = 5.0
_COMING_PERCENT = 12.0
"""What a queue emptied at the start or a late last read may make of 5 s."""
_OLD_MS = 1000.0
_AHEAD_MS = 2.0
_FOLLOWED_PPM = 500.0
"""What clocksync.MAX_PPM lets a clock differ."""
_VAGUE_PPM = 300.0
"""A drift known no better than this says nothing: crystals stay within 200."""
_LOSSES = ("dropped", "damaged", "lost", "overflow", "stall", "bad_packets", "stuck")


def sensor_findings(seen: Observation) -> Iterator[Finding]:
    """The findings of one sensor, all carrying `stream` and `modality` for programs."""
    for finding in _judge(seen):
        figures = {"stream": seen.stream, "modality": seen.modality, **finding.figures}
        yield Finding(finding.name, finding.status, finding.detail, finding.remedy, figures)


def _judge(seen: Observation) -> Iterator[Finding]:
    spec, n = seen.spec, len(seen.t_ns)
    if seen.error:
        after = f"broke after {(int(seen.t_ns.max()) - int(seen.t_ns.min())) / 1e9:.1f} s: " if n else ""
        figures = {"error": seen.error, "hangs": seen.hangs}
        yield Finding(seen.stream, "lacking", after + seen.error, figures=figures)
    if spec is None:
        return
    if not n:
        if not seen.error:
            yield Finding(seen.stream, "lacking", "the recording holds no sample")
        return
    losses = losses_of(seen.t_ns, seen.marked)
    yield _rate(seen, spec, rate_of(seen.t_ns, spec.rate_hz), losses)
    yield _clock(seen, spec)
    yield _samples(seen, spec, losses)
    for verdict in _verdicts(seen, spec):
        status: Status = "ok" if verdict.fine else "note"
        yield Finding(f"{seen.stream} {verdict.noun}", status, verdict.detail, verdict.remedy, verdict.figures)


def _rate(seen: Observation, spec: StreamSpec, rate: Rate | None, losses: Losses) -> Finding:
    name = f"{seen.stream} rate"
    figures: dict[str, Any] = {"nominal_hz": spec.rate_hz}
    if rate is None:
        detail = f"{len(seen.t_ns)} samples are too few to measure it; {spec.rate_hz:g} Hz nominal"
        return Finding(name, "note", detail, "--seconds 20 looks longer", figures)
    figures |= {
        "rate_hz": rate.rate_hz,
        "rate_off_percent": rate.off_percent,
        "jitter_p50_ms": rate.jitter_p50_ms,
        "jitter_p99_ms": rate.jitter_p99_ms,
    }
    detail = (
        f"{_number(rate.rate_hz)} Hz (nominal {spec.rate_hz:g}, {_percent(rate.off_percent)}); "
        f"jitter p50 {_ms(rate.jitter_p50_ms)}, p99 {_ms(rate.jitter_p99_ms)}"
    )
    if not spec.live:
        return Finding(name, "ok", detail, figures=figures)
    came_hz = coming_hz(seen.read_counts, seen.read_arrivals_ns)
    figures["coming_hz"] = came_hz
    if came_hz is not None and abs(came_hz / rate.rate_hz - 1) > _COMING_PERCENT / 100:
        # A driver that stamps by the nominal rate cannot notice that it is wrong.
        detail += f"; but {_number(came_hz)} samples a second come"
        remedy = f"set rate_hz: {_nice(came_hz)} if that is the sensor's rate; else look at this machine's load"
        return Finding(name, "note", detail, remedy, figures)
    if abs(rate.off_percent) <= _RATE_PERCENT:
        return Finding(name, "ok", detail, figures=figures)
    sending_hz = rate.rate_hz * (1 + losses.missing / (len(seen.t_ns) - 1))
    if abs(sending_hz / spec.rate_hz - 1) <= _RATE_PERCENT / 100:
        return Finding(name, "note", f"{detail}; {_number(sending_hz)} Hz between the holes", figures=figures)
    remedy = f"set rate_hz: {_number(sending_hz)}, or the sensor to {spec.rate_hz:g} Hz"
    if seen.modality == "vision" and rate.off_percent < 0:
        remedy += "; give it light: long exposures lower the rate"
    return Finding(name, "note", detail, remedy, figures)


def _clock(seen: Observation, spec: StreamSpec) -> Finding:
    name = f"{seen.stream} clock"
    clock = seen.clock
    assert clock is not None
    figures: dict[str, Any] = {"domain": clock.domain, "err_ns": clock.err_ns}
    where = {
        "host": "stamped here on arrival",
        "kernel": "stamped by the kernel",
        "device": "the sensor's own clock",
        "file": "recorded",
        "simulated": "simulated",
    }.get(clock.domain, clock.domain)
    detail = where + (f", error {_ms(clock.err_ns / 1e6)}" if clock.err_ns else "")
    if not spec.live:
        return Finding(name, "ok", detail, figures=figures)
    delay = delay_of(seen.t_ns, seen.arrivals_ns)
    assert delay is not None
    figures |= {"delay_p50_ms": delay.p50_ms, "delay_p99_ms": delay.p99_ms, "delay_least_ms": delay.least_ms}
    detail += f"; samples are {_ms(delay.p50_ms)} old when they come, p99 {_ms(delay.p99_ms)}"
    drift = _drift(seen, spec)
    if drift is not None:
        figures |= {"drift_ppm": drift.ppm, "drift_err_ppm": drift.err_ppm, "tick_hz": drift.tick_hz}
        detail += f"; {_drift_words(drift)}"
        if abs(drift.ppm) - 2 * drift.err_ppm > _FOLLOWED_PPM:
            remedy = f"clocks are followed within {_FOLLOWED_PPM:g} ppm: check its time unit and rate_hz"
            return Finding(name, "note", detail, remedy, figures)
    if delay.least_ms < -_AHEAD_MS:
        remedy = f"set the stream's delay_ms: {-delay.least_ms:.0f} if that is always so"
        return Finding(name, "note", f"{detail}; some are stamped after they came", remedy, figures)
    if delay.p50_ms > _OLD_MS:
        remedy = "a queue on the way is full: lower its rate or size, look at this machine's load"
        return Finding(name, "note", detail, remedy, figures)
    return Finding(name, "ok", detail, figures=figures)


def _drift(seen: Observation, spec: StreamSpec) -> Drift | None:
    """Only a sensor with a clock of its own drifts: one that sends its time, or sound, whose samples are its time."""
    if seen.clock is None or seen.clock.domain != "device":
        return None
    if seen.ticks is not None:
        return drift_of(seen.ticks, seen.read_arrivals_ns, rate_hz=spec.rate_hz)
    if seen.modality == "audio" and not seen.marked[1:].any():
        return drift_of(seen.read_counts, seen.read_arrivals_ns, spec.rate_hz)
    return None


def _drift_words(drift: Drift) -> str:
    if drift.err_ppm > _VAGUE_PPM:
        return "drift not measurable so soon"
    if abs(drift.ppm) <= 2 * drift.err_ppm:
        return f"drift below {abs(drift.ppm) + 2 * drift.err_ppm:.0f} ppm"
    return f"drift {drift.ppm:+.0f} ± {drift.err_ppm:.0f} ppm"


def _samples(seen: Observation, spec: StreamSpec, losses: Losses) -> Finding:
    name = f"{seen.stream} samples"
    n = len(seen.t_ns)
    span_s = float(seen.t_ns.max() - seen.t_ns.min()) / 1e9 + 1 / spec.rate_hz
    counters = {key: value for key, value in seen.counters.items() if value}
    figures: dict[str, Any] = {
        "samples": n,
        "span_s": span_s,
        "open_s": seen.open_s,
        "first_sample_s": seen.first_s,
        "holes": losses.holes,
        "missing": losses.missing,
        "longest_hole_ms": losses.longest_ms,
        "backwards": losses.backwards,
        "repeated": losses.repeated,
        "silent_s": seen.silent_s,
        "ended": seen.ended,
        "counters": dict(seen.counters),
    }
    parts = [f"{n:,} in {span_s:.1f} s"]
    if losses.holes:
        missing = f"{losses.missing:,} missing in " if losses.missing else ""
        parts.append(f"{missing}{losses.holes:,} hole{'s' * (losses.holes > 1)}, the longest {_ms(losses.longest_ms)}")
    else:
        parts.append("none missing")
    parts += [f"{losses.backwards:,} back in time"] if losses.backwards else []
    parts += [f"{losses.repeated:,} stamped twice"] if losses.repeated else []
    told = {key: value for key, value in counters.items() if key not in TALLIES}
    parts += [f"{value:,} {key.replace('_', ' ')}" for key, value in told.items()]
    if seen.ended:
        parts.append("the recording ended")
    quiet = spec.live and not seen.error and seen.silent_s > max(spec.max_delay_s, 3 / spec.rate_hz)
    if quiet:
        parts.append(f"then nothing for {seen.silent_s:.1f} s")
    lossy = spec.live and (losses.holes or losses.backwards or any(key.startswith(_LOSSES) for key in told))
    remedy = ""
    if quiet:
        remedy = "look at its cable and its supply"
    elif lossy:
        remedy = "look at its cable, its USB hub and this machine's load; a lower rate or size needs less"
    return Finding(name, "note" if quiet or lossy else "ok", "; ".join(parts), remedy, figures)


def _verdicts(seen: Observation, spec: StreamSpec) -> list[Verdict]:
    data: NDArray[Any] | None = seen.data
    if data is None:
        return []
    if seen.modality == "imu":
        return judge_motion(data, seen.t_ns[: len(data)], spec.axes)
    if seen.modality == "audio":
        return judge_sound(np.asarray(data))
    if seen.modality == "depth":
        return judge_depth(data, live=spec.live)
    if seen.modality == "thermal":
        return judge_thermal(data, spec.unit, live=spec.live)
    if seen.modality == "vision":
        return judge_picture(data, live=spec.live)
    return []


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _nice(rate_hz: float) -> str:
    """To two digits, for a rate that was measured by when samples came."""
    return f"{float(f'{rate_hz:.2g}'):g}"


def _percent(value: float) -> str:
    return f"{value:+.1f} %" if abs(value) >= 0.05 else f"{value:+.2f} %" if abs(value) >= 0.005 else "+0 %"


def _ms(value: float) -> str:
    """Milliseconds with as many digits as matter."""
    if abs(value) >= 1000:
        return f"{value / 1e3:.1f} s"
    return f"{value:.0f} ms" if abs(value) >= 10 else f"{value:.2g} ms" if abs(value) >= 0.001 else "0 ms"

"""From what was watched to findings: what is fine, what is a note, what is lacking."""

from __future__ import annotations

import numpy as np
import pytest

from devices.faulty import Faulty, FaultyConfig
from devices.simulated import Simulated
from devices.simulated.config import SimulatedConfig
from stream_bind.cli.observation import Observation, Watch
from stream_bind.cli.sensor_check import sensor_findings
from stream_bind.clock import ManualClock
from stream_bind.messages import IMU_AXES, ClockInfo, StreamSpec

T0 = 1_772_366_400_000_000_000


def simulated(modality, faults=(), seconds=5.0, **settings):
    """Five seconds of a simulated sensor, as fast as it computes."""
    clock = ManualClock(T0, 0)
    if faults:
        inside = {"type": "simulated", **settings}
        config = FaultyConfig(modality=modality, device=inside, faults=list(faults))
        watch = Watch("s", modality, lambda: Faulty(config, "s", clock), clock, seconds)
    else:
        config = SimulatedConfig(modality=modality, **settings)
        watch = Watch("s", modality, lambda: Simulated(config, "s", clock), clock, seconds)
    watch.run()
    return watch.seen()


def found(seen):
    return {finding.name: finding for finding in sensor_findings(seen)}


def imu(n=1000, rate_hz=200.0, **changes):
    """A still IMU that stamps by its own clock."""
    t_ns = T0 + np.arange(n) * round(1e9 / rate_hz)
    data = np.random.default_rng(0).normal([0, 0, 9.81, 0, 0, 0], 0.003, (n, 6)).astype(np.float32)
    spec = StreamSpec("imu", "imu", rate_hz, (6,), "float32", "si", IMU_AXES, domain="device")
    whole = {
        "stream": "imu",
        "modality": "imu",
        "spec": spec,
        "t_ns": t_ns,
        "arrivals_ns": t_ns + 4_000_000,
        "marked": np.zeros(n, np.bool_),
        "data": data,
        "ticks": np.arange(n) * 5000,
        "read_counts": np.arange(1, n + 1),
        "read_arrivals_ns": t_ns + 4_000_000,
        "clock": ClockInfo("device", 100_000),
        "first_s": 0.1,
    }
    return Observation(**(whole | changes))


@pytest.mark.parametrize(
    ("modality", "noun"),
    [("vision", "picture"), ("audio", "sound"), ("depth", "distance"), ("thermal", "warmth"), ("imu", "gravity")],
)
def test_every_simulated_sensor_is_fine(modality, noun):
    findings = found(simulated(modality))
    assert {"s rate", "s clock", "s samples", f"s {noun}"} <= findings.keys()
    assert {finding.status for finding in findings.values()} == {"ok"}
    for finding in findings.values():
        assert finding.figures["stream"] == "s"
        assert finding.figures["modality"] == modality


def test_the_figures_are_there_for_programs():
    findings = found(imu(counters={"bytes": 9000, "bad_packets": 0}))
    assert findings["imu rate"].figures["rate_hz"] == pytest.approx(200)
    assert findings["imu rate"].figures["rate_off_percent"] == pytest.approx(0, abs=1e-6)
    assert findings["imu clock"].figures["domain"] == "device"
    assert findings["imu clock"].figures["err_ns"] == 100_000
    assert findings["imu clock"].figures["delay_p99_ms"] == pytest.approx(4)
    assert findings["imu clock"].figures["drift_ppm"] == pytest.approx(0, abs=0.1)
    assert findings["imu samples"].figures["samples"] == 1000
    assert findings["imu samples"].figures["counters"] == {"bytes": 9000, "bad_packets": 0}
    assert "bytes" not in findings["imu samples"].detail
    assert {finding.status for finding in findings.values()} == {"ok"}


def test_a_wrong_rate_is_a_note_with_the_right_one():
    spec = StreamSpec("imu", "imu", 100.0, (6,), "float32", "si", IMU_AXES)
    finding = found(imu(rate_hz=97.0 * 2, spec=spec))["imu rate"]
    assert finding.status == "note"
    assert "set rate_hz: 194" in finding.remedy
    assert found(imu(rate_hz=98.0, spec=spec))["imu rate"].status == "ok"


def test_a_rate_that_only_losses_lower_is_not_to_be_set():
    findings = found(simulated("imu", [{"kind": "gap", "at_s": 1, "duration_s": 0.5}]))
    assert "200 Hz between the holes" in findings["s rate"].detail
    assert not findings["s rate"].remedy
    assert findings["s samples"].status == "note"
    assert "100 missing in 1 hole, the longest 505 ms" in findings["s samples"].detail


def test_stamps_laid_at_a_wrong_nominal_rate_are_noticed_by_what_comes():
    arrivals = T0 + np.arange(1000) * 10_000_000
    finding = found(imu(read_arrivals_ns=arrivals, arrivals_ns=arrivals))["imu rate"]
    assert finding.status == "note"
    assert "but 100 samples a second come" in finding.detail
    assert "set rate_hz: 100 " in finding.remedy


def test_drift_is_told_with_its_error_and_too_much_of_it_is_a_note():
    ticks = np.round(np.arange(1000) * 5000 * (1 + 120e-6)).astype(np.int64)
    assert "drift +120 ±" in found(imu(ticks=ticks))["imu clock"].detail
    ticks = np.round(np.arange(1000) * 5000 * 1.01).astype(np.int64)
    finding = found(imu(ticks=ticks))["imu clock"]
    assert finding.status == "note"
    assert "time unit" in finding.remedy


def test_a_clock_that_is_not_the_sensors_own_does_not_drift():
    assert "drift" not in found(imu(clock=ClockInfo("kernel", 0)))["imu clock"].detail


def test_stamps_after_arrival_and_old_samples_are_notes():
    t_ns = imu().t_ns
    finding = found(imu(arrivals_ns=t_ns - 33_000_000))["imu clock"]
    assert finding.status == "note"
    assert "delay_ms: 33" in finding.remedy
    finding = found(imu(arrivals_ns=t_ns + 1_400_000_000))["imu clock"]
    assert finding.status == "note"
    assert "1.4 s old" in finding.detail


def test_what_does_not_open_is_lacking_in_the_devices_words():
    seen = Observation("imu", "imu", error="serial_imu /dev/ttyUSB0: not there; plug it in")
    (finding,) = sensor_findings(seen)
    assert (finding.name, finding.status) == ("imu", "lacking")
    assert finding.detail == "serial_imu /dev/ttyUSB0: not there; plug it in"


def test_what_breaks_is_lacking_and_judged_as_far_as_it_came():
    findings = found(simulated("imu", [{"kind": "unplug", "at_s": 1, "duration_s": 1}]))
    assert findings["s"].status == "lacking"
    assert findings["s"].detail.startswith("broke after 1.0 s: ")
    assert findings["s rate"].status == "ok"


def test_one_that_fell_silent_is_a_note():
    finding = found(imu(silent_s=3.2))["imu samples"]
    assert finding.status == "note"
    assert "then nothing for 3.2 s" in finding.detail


def test_what_the_driver_counted_is_told():
    finding = found(imu(counters={"dropped_frames": 7, "bad_bytes": 12}))["imu samples"]
    assert finding.status == "note"
    assert "7 dropped frames; 12 bad bytes" in finding.detail
    # The packet that was cut when the port was opened is no loss.
    assert found(imu(counters={"bad_bytes": 12}))["imu samples"].status == "ok"


def test_a_recording_has_neither_delay_nor_drift_and_may_end():
    spec = StreamSpec("imu", "imu", 200.0, (6,), "float32", "si", IMU_AXES, live=False)
    findings = found(imu(spec=spec, clock=ClockInfo("file", 0), arrivals_ns=imu().t_ns + 10**18, ended=True))
    assert findings["imu clock"].detail == "recorded"
    assert "the recording ended" in findings["imu samples"].detail
    assert {finding.status for finding in findings.values()} == {"ok"}
    empty = Observation("imu", "imu", spec=spec, ended=True)
    assert [finding.detail for finding in sensor_findings(empty)] == ["the recording holds no sample"]


def test_a_slow_sensor_may_need_a_longer_look():
    finding = found(imu(n=2))["imu rate"]
    assert finding.status == "note"
    assert "--seconds 20" in finding.remedy


def test_sound_is_measured_against_the_clock_by_its_samples():
    n, block = 480_000, 480
    t_ns = T0 + np.arange(n) * 1_000_000_000 // 48_000
    ends = np.arange(block, n + 1, block)
    arrivals = T0 + np.round(ends / 48_000 / (1 + 80e-6) * 1e9).astype(np.int64)
    tone = 0.1 * np.sin(np.arange(n) / 10).astype(np.float32)[:, None]
    seen = Observation(
        "mic",
        "audio",
        spec=StreamSpec("mic", "audio", 48_000.0, (1,), "float32", "full_scale"),
        t_ns=t_ns,
        arrivals_ns=np.repeat(arrivals, block),
        marked=np.zeros(n, np.bool_),
        data=tone,
        read_counts=ends,
        read_arrivals_ns=arrivals,
        clock=ClockInfo("device", 1000),
    )
    findings = found(seen)
    assert findings["mic clock"].figures["drift_ppm"] == pytest.approx(80, abs=1)
    assert findings["mic sound"].status == "ok"

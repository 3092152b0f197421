"""Faults on a timetable: what each does to a simulated IMU, and that chunking and restarts change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from devices.faulty import Faulty, FaultyConfig
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk

START_NS = 1_790_000_000_000_000_000
IMU = {"type": "simulated", "modality": "imu", "rate_hz": 100.0, "chunk_size": 10}


def faulty(clock: ManualClock, *faults: dict[str, object], device: dict[str, object] | None = None, **more: object):
    config = FaultyConfig.model_validate({"device": device or IMU, "faults": list(faults), **more})
    return Faulty(config, "imu", clock)


def run(source: Faulty, seconds: float, clock: ManualClock) -> list[Chunk]:
    source.open()
    chunks, end = [], clock.unix_ns() + round(seconds * 1e9)
    while clock.unix_ns() < end:
        chunk = source.read(0.05)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def ages(chunks: list[Chunk]) -> np.ndarray:
    t_ns = np.concatenate([c.t_ns for c in chunks])
    return (t_ns - START_NS) / 1e9


def test_without_faults_everything_passes_untouched() -> None:
    chunks = run(faulty(clock := ManualClock(START_NS)), 1.0, clock)
    assert ages(chunks).tolist() == pytest.approx([i / 100 for i in range(1, 101)])


@pytest.mark.parametrize(("kind", "told"), [("gap", True), ("stall", False)])
def test_a_gap_is_told_and_a_stall_is_not(kind: str, told: bool) -> None:
    clock = ManualClock(START_NS)
    chunks = run(faulty(clock, {"kind": kind, "at_s": 0.255, "duration_s": 0.3}), 1.0, clock)
    at = ages(chunks)
    assert len(at) == 70
    assert not ((at > 0.265) & (at < 0.565)).any()
    after = next(c for c in chunks if (c.t_ns[0] - START_NS) / 1e9 > 0.5)
    assert after.gap_before is told
    assert sum(c.gap_before for c in chunks) == told


def test_a_stall_returns_none_while_time_passes() -> None:
    clock = ManualClock(START_NS)
    source = faulty(clock, {"kind": "stall", "at_s": 0.0, "duration_s": 1.0})
    source.open()
    assert [source.read(0.1) for _ in range(10)] == [None] * 10
    assert clock.unix_ns() - START_NS == pytest.approx(1e9, abs=2e8)


def test_an_unplugged_device_fails_until_it_is_back_and_then_goes_on() -> None:
    clock = ManualClock(START_NS)
    source = faulty(clock, {"kind": "unplug", "at_s": 0.245, "duration_s": 2.0})
    source.open()
    before = [source.read(0.2), source.read(0.2), source.read(0.2)]
    assert ages([c for c in before if c is not None])[-1] == pytest.approx(0.25)
    with pytest.raises(DeviceError, match=r"unplugged on purpose at 0\.245 s"):
        source.read(0.2)
    source.close()
    with pytest.raises(DeviceError, match="will be back") as caught:
        source.open()
    assert not caught.value.permanent
    source.close()
    clock.advance(2.0)
    after = run(source, 0.5, clock)
    assert after[0].gap_before
    assert ages(after)[0] > 2.25
    assert len(ages(after)) == pytest.approx(50, abs=10)


def test_reordered_samples_stay_within_the_bound_and_none_is_lost() -> None:
    clock = ManualClock(START_NS)
    chunks = run(faulty(clock, {"kind": "reorder", "at_s": 0.2, "duration_s": 0.5, "within_s": 0.05}), 1.0, clock)
    at = ages(chunks)
    assert sorted(at) == pytest.approx([i / 100 for i in range(1, len(at) + 1)])
    late = np.maximum.accumulate(at) - at
    assert (np.diff(at) < 0).any()
    assert late.max() <= 0.05


def test_late_samples_come_after_younger_ones() -> None:
    clock = ManualClock(START_NS)
    chunks = run(faulty(clock, {"kind": "late", "at_s": 0.2, "duration_s": 0.1, "delay_s": 0.3}), 1.0, clock)
    at = ages(chunks)
    assert sorted(at) == pytest.approx([i / 100 for i in range(1, len(at) + 1)])
    assert (np.maximum.accumulate(at) - at).max() == pytest.approx(0.3, abs=0.02)


def test_duplicates_come_twice_in_a_row() -> None:
    clock = ManualClock(START_NS)
    chunks = run(faulty(clock, {"kind": "duplicate", "at_s": 0.2, "duration_s": 0.1}), 0.5, clock)
    at = ages(chunks)
    assert len(at) == 60
    assert (np.diff(at) == 0).sum() == 10


def test_a_clock_jump_moves_the_stamps_and_stays() -> None:
    clock = ManualClock(START_NS)
    chunks = run(faulty(clock, {"kind": "clock_jump", "at_s": 0.2, "jump_s": -5.0}), 0.5, clock)
    at = ages(chunks)
    assert at[:20].tolist() == pytest.approx([i / 100 for i in range(1, 21)])
    assert at[20:].tolist() == pytest.approx([i / 100 - 5 for i in range(21, 51)])


ALL = (
    {"kind": "gap", "at_s": 0.3, "duration_s": 0.2},
    {"kind": "reorder", "at_s": 0.6, "duration_s": 0.5, "within_s": 0.04},
    {"kind": "duplicate", "at_s": 1.0, "duration_s": 0.2},
    {"kind": "late", "at_s": 1.4, "duration_s": 0.2, "delay_s": 0.3},
    {"kind": "clock_jump", "at_s": 2.0, "duration_s": 0.3, "jump_s": 0.7},
)


def test_the_order_of_samples_does_not_depend_on_the_chunking() -> None:
    streams = []
    for chunk_size in (1, 7, 20, 400):
        clock = ManualClock(START_NS)
        device = {**IMU, "chunk_size": chunk_size}
        at = ages(run(faulty(clock, *ALL, device=device, seed=5), 6.0, clock))
        streams.append(at[:400].tolist())
    assert len(streams[0]) == 400
    assert streams[0] == streams[1] == streams[2] == streams[3]


def table(path: Path, n: int) -> Path:
    rows = "\n".join(f"{i / 100:.2f},0,0,9.81" for i in range(n))
    path.write_text("Time (s),ax (m/s2),ay (m/s2),az (m/s2)\n" + rows + "\n")
    return path


def test_a_recording_goes_on_after_an_unplug_and_loses_that_stretch(tmp_path: Path) -> None:
    device = {"type": "imu_csv", "path": str(table(tmp_path / "a.csv", 300)), "rate": "max", "chunk_size": 7}
    clock = ManualClock(START_NS)
    source = faulty(clock, {"kind": "unplug", "at_s": 1.0, "duration_s": 0.5}, device=device)
    for _ in range(2):
        source.open()
        stamps, lost = [], 0
        while True:
            try:
                chunk = source.read(0.1)
            except EndOfStream:
                break
            except DeviceError:
                lost += 1
                source.close()
                clock.advance(0.5)
                source.open()
                continue
            if chunk is not None:
                stamps += chunk.t_ns.tolist()
        assert lost == 1
        assert stamps == [i * 10_000_000 for i in range(300) if not 100 <= i < 150]
        with pytest.raises(EndOfStream):
            source.read(0.1)
        source.close()


def test_held_samples_come_out_at_the_end_of_a_recording(tmp_path: Path) -> None:
    device = {"type": "imu_csv", "path": str(table(tmp_path / "a.csv", 100)), "rate": "max"}
    source = faulty(ManualClock(), {"kind": "late", "at_s": 0.5, "duration_s": 9.0, "delay_s": 5.0}, device=device)
    source.open()
    n = 0
    while n < 100:
        n += len(source.read(0.1) or ())
    with pytest.raises(EndOfStream):
        source.read(0.1)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"device": {"type": "simulated", "modality": "imu", "rate": 1}}, r"device.*rate"),
        ({"device": {"type": "simulatd"}}, "did you mean 'simulated'"),
        ({"device": {}}, "'type' is missing"),
        ({"device": IMU, "faults": [{"kind": "gap", "at_s": 1}]}, "duration_s is needed for a gap"),
        ({"device": IMU, "faults": [{"kind": "fire", "at_s": 1}]}, "kind"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FaultyConfig.model_validate(config)


def test_the_modality_of_the_stream_reaches_the_device_inside() -> None:
    config = FaultyConfig.model_validate({"modality": "thermal", "device": {"type": "simulated"}})
    assert Faulty(config, "t", ManualClock()).spec.modality == "thermal"

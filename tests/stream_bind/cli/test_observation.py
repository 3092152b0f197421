"""Watching devices: read for the time given, whatever they do."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from devices.faulty import Faulty, FaultyConfig
from devices.simulated import Simulated
from devices.simulated.config import SimulatedConfig
from stream_bind.cli import observation
from stream_bind.cli.observation import Watch, observe_all
from stream_bind.clock import ManualClock
from stream_bind.config import parse_config
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk, ClockInfo, StreamSpec

T0 = 1_772_366_400_000_000_000
RIG = """\
version: 1
rig: bench
encoder: {model: imagebind, weights: random, size: small}
streams:
  - {id: imu, modality: imu, device: {type: simulated}}
  - {id: thermal, modality: thermal, device: {type: simulated}}
"""


class Fake:
    """A 100 Hz sensor that does what its script says; each read takes 0.2 s of the clock."""

    def __init__(self, clock, reads, *, live=True, opens=None):
        self.clock = clock
        self.reads = iter(reads)
        self.opens = opens
        self.closed = 0
        self.counters = {"bad_packets": 3}
        self.spec = StreamSpec("s", "imu", 100.0, (1,), "float32", "si", ("accel_x",), live=live)

    def open(self):
        if self.opens is not None:
            raise self.opens

    def read(self, timeout_s):
        self.clock.advance(timeout_s)
        what = next(self.reads, None)
        if isinstance(what, Exception):
            raise what
        if what is None:
            return None
        t_ns = self.clock.unix_ns() - np.arange(what, 0, -1, dtype=np.int64) * 10_000_000
        ticks = t_ns // 1000
        return Chunk(np.ones((what, 1), np.float32), t_ns, False, ClockInfo("device", 5), ticks)

    def close(self):
        self.closed += 1


def watched(reads, seconds=5.0, **how):
    clock = ManualClock(T0, 77)
    device = Fake(clock, reads, **how)
    watch = Watch("s", "imu", lambda: device, clock, seconds)
    watch.run()
    return watch.seen(), device


def test_it_reads_for_the_time_given_from_the_first_sample_on():
    seen, device = watched([None, None, *[20] * 100])
    # The first read with samples begins the time; 25 more of 0.2 s end it.
    assert len(seen.t_ns) == 26 * 20
    assert seen.first_s == pytest.approx(0.6)
    assert not seen.error
    assert device.closed == 1
    assert seen.counters == {"bad_packets": 3}
    assert seen.clock == ClockInfo("device", 5)


def test_arrivals_stand_beside_samples_and_reads():
    seen, _ = watched([20, 5, 20], seconds=0.5)
    assert seen.read_counts.tolist() == [20, 25, 45]
    assert len(seen.arrivals_ns) == len(seen.t_ns) == len(seen.data) == 45
    np.testing.assert_array_equal(np.unique(seen.arrivals_ns), seen.read_arrivals_ns)
    np.testing.assert_array_equal(seen.ticks, (seen.read_arrivals_ns - 10_000_000) // 1000)


def test_a_device_that_does_not_open_says_why_and_is_closed():
    seen, device = watched([], opens=DeviceError("imu /dev/x: busy"))
    assert seen.error == "imu /dev/x: busy"
    assert seen.spec is None
    assert device.closed == 1


def test_what_came_before_it_broke_is_kept():
    seen, _ = watched([20, 20, DeviceError("unplugged")])
    assert seen.error == "unplugged"
    assert len(seen.t_ns) == 40


def test_a_drivers_bug_is_told_in_one_line():
    seen, _ = watched([20, ZeroDivisionError("division\nby zero")])
    assert seen.error == "the driver failed: ZeroDivisionError: division by zero"


def test_one_that_delivers_nothing_is_given_up():
    seen, _ = watched([])
    assert seen.error == "opened, but delivered nothing for 8 s"
    assert seen.spec is not None


def test_one_that_falls_silent_is_watched_to_the_end():
    seen, _ = watched([20, 20])
    assert not seen.error
    assert seen.silent_s == pytest.approx(4.8, abs=0.3)


def test_a_recording_may_end_and_may_come_faster_than_it_was_taken():
    seen, _ = watched([20, EndOfStream()], live=False)
    assert seen.ended
    assert not seen.error
    seen, _ = watched([600] * 100, live=False)
    assert len(seen.t_ns) == 600


def test_pictures_are_thinned_out():
    clock = ManualClock(T0, 0)
    config = SimulatedConfig(modality="vision", width=640, height=480, rate_hz=10)
    watch = Watch("cam", "vision", lambda: Simulated(config, "cam", clock), clock, 1.0)
    watch.run()
    seen = watch.seen()
    assert seen.spec.shape == (480, 640, 3)
    assert seen.data.shape[1] <= 96
    assert seen.data.shape[2] <= 96
    assert len(seen.data) == len(seen.t_ns) >= 10


def test_samples_that_change_their_shape_are_the_drivers_fault():
    clock = ManualClock(T0, 0)
    device = Fake(clock, [20, 20])
    widths = iter((1, 2))
    device.read = lambda timeout_s: Chunk(np.ones((1, next(widths)), np.float32), np.array([T0]))
    watch = Watch("s", "imu", lambda: device, clock, 1.0)
    watch.run()
    assert "samples of shape (2,) after (1,)" in watch.seen().error


def test_a_driver_that_hangs_is_left_behind_and_the_others_are_watched(monkeypatch):
    hang = threading.Event()
    real = Simulated.open
    monkeypatch.setattr(observation, "OPEN_S", 2.0)
    monkeypatch.setattr(Simulated, "open", lambda self: hang.wait(60) if self.spec.id == "imu" else real(self))
    imu, thermal = observe_all(parse_config(RIG).streams, 0.5)
    hang.set()
    assert imu.hangs
    assert "did not open within 2 s" in imu.error
    assert not thermal.error
    assert len(thermal.t_ns) >= 3


@pytest.mark.parametrize("call", ["read", "close"])
def test_hanging_later_is_told_with_what_came_before(monkeypatch, call):
    hang = threading.Event()
    real = Simulated.read
    reads = []

    def read(self, timeout_s):
        reads.append(self)
        return hang.wait(60) and None if len(reads) > 20 and call == "read" else real(self, timeout_s)

    monkeypatch.setattr(observation, "HANG_S", 1.5)
    monkeypatch.setattr(Simulated, "read", read)
    if call == "close":
        monkeypatch.setattr(Simulated, "close", lambda self: hang.wait(60))
    (imu,) = observe_all(parse_config(RIG).streams[:1], 0.5)
    hang.set()
    assert imu.hangs
    assert f"has not come back from {call[:-1] if call == 'close' else call}ing" in imu.error
    assert len(imu.t_ns) > 0


def test_all_are_watched_at_the_same_time(monkeypatch):
    both = threading.Barrier(2)
    real = Simulated.open

    def open_together(self):
        both.wait(20)
        real(self)

    monkeypatch.setattr(Simulated, "open", open_together)
    assert [seen.error for seen in observe_all(parse_config(RIG).streams, 0.5)] == ["", ""]


def test_an_unplugged_sensor_is_told_in_its_drivers_words():
    clock = ManualClock(T0, 0)
    fault = {"kind": "unplug", "at_s": 1, "duration_s": 1}
    config = FaultyConfig(modality="imu", device={"type": "simulated"}, faults=[fault])
    watch = Watch("imu", "imu", lambda: Faulty(config, "imu", clock), clock, 5.0)
    watch.run()
    assert "unplugged on purpose" in watch.seen().error
    assert len(watch.seen().t_ns) == 200

"""The RealSense driver on the SDK's software device: live, through its frame queue; recorded, through its player."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from devices import realsense_camera, realsense_depth, realsense_sdk
from devices.realsense_depth import RealsenseDepth, RealsenseDepthConfig
from devices.realsense_options import Settings, apply_settings
from devices.realsense_sdk import Attached, choose
from stream_bind.clock import Clock, ManualClock, SystemClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk, Intrinsics

pytestmark = pytest.mark.requires("realsense")

WIDTH, HEIGHT, FPS = 64, 48, 30
PERIOD_MS = 1000 / FPS
COEFFS = (0.1, -0.2, 0.003, -0.004, 0.05)
UNIX_NS = 1_790_000_000 * 10**9


def sdk() -> Any:
    return importlib.import_module("pyrealsense2")


class SoftCamera:
    """A software device of the SDK with a depth sensor, and a colour one on wish; frames are pushed into it."""

    def __init__(self, unit_m: float = 0.001, serial: str = "SN123", colour: bool = False) -> None:
        rs = sdk()
        self.rs, self.unit_m, self.serial = rs, unit_m, serial
        self.device = rs.software_device()
        self.sensor = self.device.add_sensor("Stereo Module")
        self.depth = self.sensor.add_video_stream(self._stream(rs.stream.depth, rs.format.z16, 2, 0))
        self.sensor.add_read_only_option(rs.option.depth_units, unit_m)
        if colour:
            self.rgb = self.device.add_sensor("RGB Camera")
            self.colour = self.rgb.add_video_stream(self._stream(rs.stream.color, rs.format.rgb8, 3, 1))
            same = rs.extrinsics()
            same.rotation, same.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
            self.depth.register_extrinsics_to(self.colour, same)
            self.device.create_matcher(rs.matchers.default)
        self.device.register_info(rs.camera_info.name, "Soft D400")
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.connected = True

    def _stream(self, kind: Any, pixel_format: Any, n_bytes: int, uid: int) -> Any:
        rs = self.rs
        seen = rs.intrinsics()
        seen.width, seen.height, seen.ppx, seen.ppy, seen.fx, seen.fy = WIDTH, HEIGHT, 31.5, 23.5, 50, 51
        # Colour of the software device is undistorted, so that aligning is by pixel.
        distorted = kind == rs.stream.depth
        seen.model = rs.distortion.brown_conrady if distorted else rs.distortion.none
        seen.coeffs = list(COEFFS) if distorted else [0] * 5
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid = kind, 0, uid
        stream.width, stream.height, stream.fps, stream.bpp = WIDTH, HEIGHT, FPS, n_bytes
        stream.fmt, stream.intrinsics = pixel_format, seen
        return stream

    def push(
        self,
        number: int,
        counts: int | None = None,
        stamp_ms: float | None = None,
        domain: str = "hardware_clock",
        sensor_us: int | None = None,
    ) -> None:
        """One depth frame of `counts` (1000 + number), but for a hole in its first pixel."""
        rs = self.rs
        pixels = np.full((HEIGHT, WIDTH), 1000 + number if counts is None else counts, np.uint16)
        pixels[0, 0] = 0
        frame = rs.software_video_frame()
        frame.stride, frame.bpp, frame.pixels = WIDTH * 2, 2, pixels
        frame.timestamp = 1000 + number * PERIOD_MS if stamp_ms is None else stamp_ms
        frame.domain = getattr(rs.timestamp_domain, domain)
        frame.frame_number, frame.profile = number, self.depth.as_video_stream_profile()
        frame.depth_units = self.unit_m
        if sensor_us is not None:
            self.sensor.set_metadata(rs.frame_metadata_value.sensor_timestamp, sensor_us)
        self.sensor.on_video_frame(frame)

    def push_colour(self, number: int) -> None:
        rs = self.rs
        frame = rs.software_video_frame()
        frame.stride, frame.bpp = WIDTH * 3, 3
        frame.pixels = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        frame.timestamp, frame.domain = 1000 + number * PERIOD_MS, rs.timestamp_domain.hardware_clock
        frame.frame_number, frame.profile = number, self.colour.as_video_stream_profile()
        self.rgb.on_video_frame(frame)

    # What the driver uses of an SDK device; a software device can neither be unplugged nor tell its USB port.
    def query_sensors(self) -> Any:
        return self.device.query_sensors()

    def is_connected(self) -> bool:
        return self.connected

    def attached(self, usb: str = "3.2") -> Attached:
        return Attached("Soft D400", self.serial, usb, self)


def record(path: Path, write: Callable[[SoftCamera], None], unit_m: float = 0.001, silent_colour: bool = False) -> Path:
    """A file of the SDK's recorder."""
    rs = sdk()
    camera = SoftCamera(unit_m, colour=silent_colour)
    recorder = rs.recorder(str(path), camera.device)
    sensors = list(recorder.query_sensors())
    queue = rs.frame_queue(100)
    sensors[0].open(camera.depth)
    sensors[0].start(queue=queue)
    if silent_colour:
        sensors[1].open(camera.colour)
        sensors[1].start(queue=queue)
    write(camera)
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    # Every reference to the recorder has to die: only then is the file closed ("unindexed" otherwise).
    del recorder, sensors, sensor, queue
    gc.collect()
    return path


def thirty(camera: SoftCamera) -> None:
    """Frames 0 to 29 without 15, stamped by the device, mid-exposure 7 ms before."""
    for number in range(30):
        if number != 15:
            camera.push(number, sensor_us=round((1000 + number * PERIOD_MS - 7) * 1000))


def build(clock: Clock | None = None, **settings: Any) -> RealsenseDepth:
    if "file" not in settings:
        settings = {"width": WIDTH, "height": HEIGHT, "rate_hz": FPS, **settings}
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()}
    return RealsenseDepth(RealsenseDepthConfig(**settings), "depth", SystemClock() if clock is None else clock)


def drain(device: RealsenseDepth) -> list[Chunk]:
    chunks: list[Chunk] = []
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            chunk = device.read(0.2)
        except EndOfStream:
            return chunks
        if chunk is not None:
            chunks.append(chunk)
    raise AssertionError(f"no end of the recording after {len(chunks)} frames")


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> SoftCamera:
    """The one camera that is attached."""
    one = SoftCamera()
    attach(monkeypatch, one)
    return one


def attach(monkeypatch: pytest.MonkeyPatch, *cameras: SoftCamera, usb: str = "3.2") -> None:
    monkeypatch.setattr(realsense_depth, "attached", lambda rs: [one.attached(usb) for one in cameras])


@contextmanager
def sending(push: Callable[[], None]) -> Iterator[None]:
    """Frames are pushed meanwhile, since opening waits for one."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            push()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def opened(
    camera: SoftCamera, clock: Clock, first: Callable[[], None] | None = None, **settings: Any
) -> RealsenseDepth:
    """An open device that has delivered frame 0."""
    device = build(clock, **settings)
    open_with(device, first or (lambda: camera.push(0)))
    return device


def open_with(device: RealsenseDepth, first: Callable[[], None]) -> Chunk:
    with sending(first):
        device.open()
    chunk = device.read(0.0)
    assert chunk is not None
    while device.read(0.05) is not None:
        pass
    return chunk


def next_chunk(device: RealsenseDepth) -> Chunk:
    for _ in range(100):
        chunk = device.read(0.1)
        if chunk is not None:
            return chunk
    raise AssertionError("no frame")


# Recorded.


def test_a_recording_arrives_whole_with_its_hole_marked_and_its_counts_kept(tmp_path: Path) -> None:
    device = build(ManualClock(), file=record(tmp_path / "a.db3", thirty), rate="max")
    assert device.spec.shape == (-1, -1)
    assert not device.spec.live
    device.open()
    spec = device.spec
    assert (spec.shape, spec.rate_hz, spec.unit, spec.domain) == ((HEIGHT, WIDTH), 30.0, "m", "file")
    # A player that does not wait for its reader would drop what does not fit the queue.
    time.sleep(0.3)
    chunks = drain(device)
    numbers = [int(chunk.raw.samples[0, 1, 1]) - 1000 for chunk in chunks if chunk.raw]  # type: ignore[call-overload]
    assert numbers == [number for number in range(30) if number != 15]
    assert [number for number, chunk in zip(numbers, chunks, strict=True) if chunk.gap_before] == [16]
    assert device.counters == {"dropped_frames": 1, "repeated_frames": 0}
    for number, chunk in zip(numbers, chunks, strict=True):
        assert chunk.data.shape == (1, HEIGHT, WIDTH)
        assert chunk.data.dtype == np.float32
        assert np.isnan(chunk.data[0, 0, 0])
        assert np.nansum(np.isnan(chunk.data)) == 1
        assert chunk.data[0, 5, 5] == pytest.approx((1000 + number) * 0.001, rel=1e-6)
        assert chunk.raw is not None
        assert (chunk.raw.encoding, chunk.raw.scale) == ("16UC1", 0.001)
        assert chunk.ticks is not None
        assert chunk.ticks.tolist() == [round((993 + number * PERIOD_MS) * 1000)]
        # Event time goes by the device's clock, in its microseconds.
        assert int(chunk.t_ns[0] - chunks[0].t_ns[0]) == pytest.approx(number * PERIOD_MS * 1e6, abs=2000)
    for _ in range(2):
        with pytest.raises(EndOfStream):
            device.read(0.0)
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="open"):
        build(file=tmp_path / "a.db3").read(0.0)


def test_one_scene_of_two_models_whose_units_differ_by_ten_is_equally_far(tmp_path: Path) -> None:
    metres = []
    for unit_m, counts in ((0.001, 1500), (0.0001, 15000)):
        path = record(tmp_path / f"{counts}.db3", lambda camera, counts=counts: camera.push(0, counts), unit_m)
        device = build(file=path, rate="max")
        device.open()
        (chunk,) = drain(device)
        device.close()
        assert chunk.raw is not None
        assert chunk.raw.scale == unit_m
        metres.append(chunk.data[0])
    assert metres[0][5, 5] == pytest.approx(1.5, rel=1e-6)
    np.testing.assert_allclose(metres[0], metres[1], rtol=1e-6)


def test_a_recording_can_be_closed_in_its_middle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    device = build(file=record(tmp_path / "a.db3", thirty), rate="max")
    for _ in range(2):
        device.open()
        # The player stands still with its queue full, and would wait in stop for a reader.
        time.sleep(0.3)
        began = time.monotonic()
        device.close()
        assert time.monotonic() - began < 2.0
    assert not caplog.records


def test_the_calibration_is_carried_with_its_distortion_by_name(tmp_path: Path) -> None:
    device = build(file=record(tmp_path / "a.db3", thirty), rate="max")
    device.open()
    seen = device.spec.intrinsics
    device.close()
    assert seen == Intrinsics(WIDTH, HEIGHT, 50.0, 51.0, 31.5, 23.5, "brown_conrady", COEFFS)


def test_a_stream_that_was_recorded_but_never_sent_starves_nobody(tmp_path: Path) -> None:
    device = build(file=record(tmp_path / "a.db3", thirty, silent_colour=True), rate="max")
    device.open()
    assert len(drain(device)) == 29
    device.close()


def test_a_recording_is_paced_begins_when_told_and_loops_without_stepping_back(tmp_path: Path) -> None:
    clock = ManualClock(10**18)
    path = record(tmp_path / "a.db3", thirty)
    device = build(clock, file=path, start_time="2026-03-01T12:00:00Z", loop=True)
    device.open()
    t_ns: list[int] = []
    while len(t_ns) < 40:
        chunk = device.read(0.05)
        if chunk is None:
            continue
        t_ns += chunk.t_ns.tolist()
        assert t_ns[-1] - t_ns[0] == pytest.approx(clock.monotonic_ns(), abs=1_000_000)
    device.close()
    assert t_ns[0] == 1772366400 * 10**9
    assert (np.diff(t_ns) > 30_000_000).all()
    assert t_ns[29] - t_ns[0] == pytest.approx(1e9, abs=5000)


def test_a_recording_across_the_wrap_of_the_devices_clock_goes_on(tmp_path: Path) -> None:
    start_us = (1 << 32) - 70_000

    def write(camera: SoftCamera) -> None:
        for number in range(6):
            camera.push(number, sensor_us=(start_us + number * 33_333) % (1 << 32))

    device = build(ManualClock(), file=record(tmp_path / "a.db3", write), rate="max")
    device.open()
    t_ns = np.concatenate([chunk.t_ns for chunk in drain(device)])
    device.close()
    assert np.diff(t_ns).tolist() == [33_333_000] * 5


def test_a_recording_in_host_time_says_when_it_was_made(tmp_path: Path) -> None:
    def write(camera: SoftCamera) -> None:
        for number in range(3):
            camera.push(number, stamp_ms=UNIX_NS / 1e6 + number * 40, domain="system_time")

    device = build(ManualClock(), file=record(tmp_path / "a.db3", write), rate="max")
    device.open()
    t_ns = np.concatenate([chunk.t_ns for chunk in drain(device)])
    device.close()
    assert t_ns.tolist() == pytest.approx([UNIX_NS, UNIX_NS + 40_000_000, UNIX_NS + 80_000_000], abs=1000)


def test_a_file_that_is_no_recording_is_refused_for_good(tmp_path: Path) -> None:
    junk = tmp_path / "junk.db3"
    junk.write_bytes(b"hello" * 100)
    bag = tmp_path / "junk.bag"
    bag.write_bytes(b"hello" * 100)
    for path, words in ((junk, "no recording"), (bag, "no recording"), (tmp_path / "none.db3", "no such file")):
        with pytest.raises(DeviceError, match=words) as caught:
            build(file=path).open()
        assert caught.value.permanent
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


# Live.


def test_a_live_camera_keeps_the_contract(camera: SoftCamera) -> None:
    device = build()
    before = device.spec
    assert (before.shape, before.rate_hz, before.domain, before.live) == ((HEIGHT, WIDTH), 30.0, "device", True)
    newest = 0
    for _ in range(2):
        numbers = iter(range(10**6))
        begin_ns = time.time_ns()
        with sending(lambda numbers=numbers: camera.push(next(numbers), stamp_ms=time.monotonic() * 1000)):
            device.open()
            assert device.spec.intrinsics is not None
            for _ in range(10):
                chunk = next_chunk(device)
                assert chunk.clock.domain == device.spec.domain == "device"
                assert chunk.t_ns.dtype == np.int64
                assert newest < int(chunk.t_ns[0]) <= time.time_ns() + 10_000_000
                newest = int(chunk.t_ns[0])
            assert newest > begin_ns - 10**9
        device.close()
        device.close()
        with pytest.raises(DeviceError, match="read before open"):
            device.read(0.0)


def test_stamps_are_the_middle_of_the_exposure_across_the_wrap_of_the_devices_clock(camera: SoftCamera) -> None:
    clock = ManualClock(UNIX_NS)
    start_us = (1 << 32) - 2_000_000
    # What the SDK calls the frame's time is the readout, 20 ms later, and not in this clock at all.
    device = opened(camera, clock, lambda: camera.push(0, stamp_ms=5.0, sensor_us=start_us))
    t_ns = []
    late_s = 0.0
    for number in range(1, 121):
        # Around the wrap, at number 60, all arrive 10 ms late: who fits anew there is off by that.
        was_late_s, late_s = late_s, 0.01 if 50 < number < 80 else 0.0
        clock.advance(0.033333 + late_s - was_late_s)
        tick = (start_us + number * 33_333) % (1 << 32)
        camera.push(number, stamp_ms=5.0, sensor_us=tick)
        chunk = next_chunk(device)
        assert chunk.ticks is not None
        assert chunk.ticks.tolist() == [tick]
        t_ns.append(int(chunk.t_ns[0]))
    device.close()
    assert max(abs(int(step) - 33_333_000) for step in np.diff(t_ns)) < 200_000
    assert abs(t_ns[-1] - clock.unix_ns()) < 2_000_000
    assert chunk.clock.domain == "device"


def test_numbers_that_jump_are_counted_and_marked_and_repeats_are_dropped(camera: SoftCamera) -> None:
    clock = ManualClock(UNIX_NS)
    device = opened(camera, clock)
    gaps = []
    for number in (1, 2, 5, 6, 3, 4):
        clock.advance(0.04)
        camera.push(number, stamp_ms=clock.monotonic_ns() / 1e6)
        gaps.append(next_chunk(device).gap_before)
    assert gaps == [False, False, True, False, True, False]
    repeats = device.counters["repeated_frames"]
    camera.push(4, stamp_ms=clock.monotonic_ns() / 1e6)
    assert device.read(0.2) is None
    assert device.counters["dropped_frames"] == 2
    assert device.counters["repeated_frames"] == repeats + 1
    device.close()


def test_a_reader_that_pauses_loses_the_oldest_frames_and_learns_how_many(camera: SoftCamera) -> None:
    device = opened(camera, SystemClock())
    for number in range(1, 31):
        camera.push(number)
    chunk = next_chunk(device)
    assert chunk.gap_before
    assert chunk.raw is not None
    first = int(chunk.raw.samples[0, 1, 1]) - 1000  # type: ignore[call-overload]
    assert 15 < first < 30
    assert device.counters["dropped_frames"] == first - 1
    device.close()


def test_host_stamps_follow_our_clock_where_the_system_clock_was_set(camera: SoftCamera) -> None:
    clock = ManualClock(UNIX_NS)
    device = opened(camera, clock, lambda: camera.push(0, stamp_ms=UNIX_NS / 1e6, domain="system_time"))
    assert device.spec.domain == "host"
    clock.advance(1.0)
    clock.step_system(3600.0)
    stamp_ms = (clock.unix_ns() + clock.step_ns()) / 1e6 - 25
    camera.push(1, stamp_ms=stamp_ms, domain="system_time")
    chunk = next_chunk(device)
    assert abs(int(chunk.t_ns[0]) - (clock.unix_ns() - 25_000_000)) < 1000
    assert chunk.clock.domain == "host"
    assert chunk.ticks is None
    camera.push(2, stamp_ms=stamp_ms + 10, domain="global_time")
    chunk = next_chunk(device)
    assert chunk.clock.domain == device.spec.domain == "device"
    assert abs(int(chunk.t_ns[0]) - (clock.unix_ns() - 15_000_000)) < 1000
    # The SDK's global time can step back by seconds; ours must not.
    last_ns = int(chunk.t_ns[0])
    camera.push(3, stamp_ms=stamp_ms - 2000, domain="global_time")
    assert int(next_chunk(device).t_ns[0]) > last_ns
    device.close()


def test_the_sdks_own_clock_fit_is_turned_off(camera: SoftCamera) -> None:
    rs = camera.rs
    reach = rs.option_range()
    reach.min, reach.max, reach.step, reach.default = 0, 1, 1, 1
    camera.sensor.add_option(rs.option.global_time_enabled, reach, True)
    opened(camera, SystemClock()).close()
    assert camera.sensor.get_option(rs.option.global_time_enabled) == 0


def test_a_frozen_camera_holds_no_read_up_and_is_given_up_after_its_limit(camera: SoftCamera) -> None:
    clock = ManualClock(UNIX_NS)
    device = opened(camera, clock, stall_timeout_s=2.0)
    began = time.monotonic()
    assert device.read(0.2) is None
    assert 0.15 < time.monotonic() - began < 1.0
    clock.advance(1.9)
    assert device.read(0.01) is None
    clock.advance(0.2)
    with pytest.raises(DeviceError, match="stalled: no frame for 2 s") as caught:
        device.read(0.01)
    assert not caught.value.permanent
    device.close()


def test_a_camera_that_sends_nothing_from_the_start_says_so(camera: SoftCamera) -> None:
    device = build(open_timeout_s=0.3)
    with pytest.raises(DeviceError, match=r"sends no frame for 0\.3 s"):
        device.open()
    device.close()


def test_an_unplugged_camera_is_found_again_by_its_number_and_time_goes_on(
    camera: SoftCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(UNIX_NS)
    device = build(clock)
    before = open_with(device, lambda: camera.push(0, stamp_ms=50_000.0))
    camera.connected = False
    clock.advance(0.6)
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.01)
    device.close()
    # Only the neighbour is there: whoever was opened first is meant, though no number was configured.
    other = SoftCamera(serial="SN999")
    attach(monkeypatch, other)
    with pytest.raises(DeviceError, match=r"SN123: not attached; found SN999") as caught:
        device.open()
    assert not caught.value.permanent
    camera.connected = True
    attach(monkeypatch, other, camera)
    clock.advance(0.4)
    # Its clock began anew, where it would seem to go on.
    after = open_with(device, lambda: camera.push(0, stamp_ms=50_300.0))
    assert int(after.t_ns[0]) - int(before.t_ns[0]) == pytest.approx(1e9, abs=1e6)
    device.close()


def test_two_cameras_and_none_named_lists_both() -> None:
    two = [Attached("D405", "111", "3.2", None), Attached("D435", "222", "3.2", None)]
    with pytest.raises(DeviceError, match=r"2 cameras .*serial: 111 \(D405\), 222 \(D435\)") as caught:
        choose(two, None, "realsense_depth")
    assert caught.value.permanent
    assert choose(two, "222", "x").name == "D435"
    assert choose(two[:1], None, "x").serial == "111"
    with pytest.raises(DeviceError, match=r"not attached; found 111 \(D405\), 222") as caught:
        choose(two, "333", "realsense_depth 333")
    assert not caught.value.permanent
    with pytest.raises(DeviceError, match="no RealSense depth camera is attached"):
        choose([], None, "x")


def test_cameras_are_listed_by_number_and_those_without_depth_are_not() -> None:
    rs = sdk()
    tracker = rs.software_device()
    tracker.add_sensor("Motion Module")
    cameras = [SoftCamera(serial="222"), SoftCamera(serial="111")]
    devices = [cameras[0].device, tracker, cameras[1].device]
    context = SimpleNamespace(query_devices=lambda: devices)
    found = realsense_sdk.attached(SimpleNamespace(camera_info=rs.camera_info, context=lambda: context))
    assert [(one.serial, one.name, one.usb) for one in found] == [("111", "Soft D400", ""), ("222", "Soft D400", "")]


def test_without_a_camera_the_real_sdk_finds_none_and_says_what_to_do() -> None:
    if RealsenseDepth.discover():
        pytest.skip("a RealSense camera is attached")
    with pytest.raises(DeviceError, match=r"realsense_depth SN0: no RealSense .*udev|rules") as caught:
        build(serial="SN0").open()
    assert "\n" not in str(caught.value)


def test_a_size_it_does_not_offer_is_answered_with_those_it_does(
    camera: SoftCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceError, match=r"depth 640x480 at 30 Hz; it offers 64x48 at 30 Hz") as caught:
        build(width=640, height=480).open()
    assert caught.value.permanent
    attach(monkeypatch, camera, usb="2.1")
    with pytest.raises(DeviceError, match="USB 2") as caught:
        build(rate_hz=60).open()
    # Another socket mends it.
    assert not caught.value.permanent


def test_a_sensor_that_does_not_open_is_one_sentence_and_tried_again(camera: SoftCamera) -> None:
    camera.sensor.open(camera.depth)
    with pytest.raises(DeviceError, match=r"SN123: failed: .*already opened!; unplug it") as caught:
        build().open()
    assert not caught.value.permanent
    camera.sensor.close()
    opened(camera, SystemClock()).close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("xioctl(VIDIOC_S_FMT) failed, errno=16 Last Error: Device or resource busy", "in use by another program"),
        ("failed to open usb interface: 0, error: RS2_USB_STATUS_ACCESS", "99-realsense-libusb.rules"),
        ("Frame processing\nhas failed", "failed: Frame processing has failed; unplug it"),
    ],
)
def test_what_the_sdk_says_is_told_with_what_to_do(said: str, words: str, camera: SoftCamera) -> None:
    device = opened(camera, SystemClock())
    sensor = device._source._sensor  # type: ignore[union-attr]
    assert sensor is not None

    def fail(timeout_ms: int) -> Any:
        raise RuntimeError(said)

    sensor._queue = SimpleNamespace(try_wait_for_frame=fail, poll_for_frame=lambda: None)
    with pytest.raises(DeviceError, match=words) as caught:
        device.read(0.1)
    assert not caught.value.permanent
    camera.connected = False
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.1)
    device.close()


def test_depth_can_be_seen_from_the_colour_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = SoftCamera(colour=True)
    attach(monkeypatch, camera)
    numbers = iter(range(10**6))

    def push() -> None:
        number = next(numbers)
        camera.push(number, counts=2000)
        camera.push_colour(number)

    device = build(align_to_color=True)
    with sending(push):
        device.open()
        chunk = next_chunk(device)
        seen = device.spec.intrinsics
    device.close()
    assert seen is not None
    assert (seen.model, seen.coeffs) == ("", ())
    assert chunk.data.shape == (1, HEIGHT, WIDTH)
    assert np.nanmedian(chunk.data) == pytest.approx(2.0, rel=1e-6)
    attach(monkeypatch, SoftCamera())
    with pytest.raises(DeviceError, match="no colour camera"):
        build(align_to_color=True).open()


def test_discover_lists_number_formats_and_what_to_paste(monkeypatch: pytest.MonkeyPatch) -> None:
    attach(monkeypatch, SoftCamera(), usb="2.1")
    (found,) = RealsenseDepth.discover()
    assert (found.name, found.identity, found.modality) == ("Soft D400", "SN123", "depth")
    assert found.formats == ("Z16 64x48 30 fps",)
    assert "USB 2.1" in found.warnings[0]
    assert RealsenseDepthConfig(**found.config).serial == "SN123"


# Settings.


class Menu:
    """A software sensor whose presets have names, which the SDK's own has not."""

    def __init__(self, sensor: Any) -> None:
        self._sensor = sensor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sensor, name)

    def get_option_value_description(self, option: Any, value: float) -> str | None:
        return {0.0: "Custom", 1.0: "Default", 3.0: "High Accuracy"}.get(value)


def with_options() -> tuple[Any, Any]:
    camera = SoftCamera()
    option = camera.rs.option
    for one, top, default in (
        (option.visual_preset, 3, 1),
        (option.emitter_enabled, 1, 1),
        (option.exposure, 165_000, 33_000),
        (option.enable_auto_exposure, 1, 1),
    ):
        reach = camera.rs.option_range()
        reach.min, reach.max, reach.step, reach.default = 0, top, 1, default
        camera.sensor.add_option(one, reach, True)
    return camera, Menu(camera.sensor)


def test_settings_are_made_and_can_be_read_back() -> None:
    camera, sensor = with_options()
    rs = camera.rs
    apply_settings(rs, sensor, Settings("high accuracy", False, None, 8.5), "x")
    option = rs.option
    assert [sensor.get_option(one) for one in (option.visual_preset, option.emitter_enabled)] == [3, 0]
    assert [sensor.get_option(one) for one in (option.enable_auto_exposure, option.exposure)] == [0, 8500]
    apply_settings(rs, sensor, Settings(exposure_ms="auto"), "x")
    assert sensor.get_option(option.enable_auto_exposure) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings("High Density"), "'High Density'; the camera has Custom, Default, High Accuracy"),
        (
            Settings(laser_power_mw=100),
            "laser_power_mw: the camera has no such setting; of these it has visual_preset, em",
        ),
        (Settings(exposure_ms=500.0), "exposure_ms: found 500; the camera takes 0 to 165 in steps of 0.001"),
    ],
)
def test_what_cannot_be_set_is_answered_with_what_can(settings: Settings, words: str) -> None:
    camera, sensor = with_options()
    with pytest.raises(DeviceError, match=words) as caught:
        apply_settings(camera.rs, sensor, settings, "realsense_depth SN123")
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"file": "a.bag", "serial": "1"}, "serial is a setting of a camera"),
        ({"file": "a.bag", "emitter": True}, "emitter is a setting of a camera"),
        ({"file": "a.bag", "align_to_color": True}, "align_to_color is a setting of a camera"),
        ({"loop": True}, "loop is a setting of a recording; it needs `file`"),
        ({"exposure_ms": 0.0}, "above 0"),
        ({"rate_hz": 0.5, "stall_timeout_s": 1.0}, "two frames: 4 s"),
        ({"chunk_size": 4}, "one frame a read"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RealsenseDepthConfig(**settings)


# The SDK itself.


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (ModuleNotFoundError("No module named 'pyrealsense2'"), "pip install 'stream-bind\\[realsense\\]'"),
        (ImportError("libusb-1.0.so.0: cannot open shared object file"), "apt-get install libusb-1.0-0"),
    ],
)
def test_a_missing_sdk_is_named_with_the_command_that_brings_it(
    error: ImportError, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> Any:
        raise error

    monkeypatch.setattr(realsense_sdk, "importlib", SimpleNamespace(import_module=fail))
    with pytest.raises(DeviceError, match=mend) as caught:
        build().open()
    assert caught.value.permanent
    assert RealsenseDepth.discover() == []


def test_an_sdk_that_hangs_in_stop_is_left_behind(camera: SoftCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realsense_camera, "_CLOSE_S", 0.3)
    device = opened(camera, SystemClock())
    sensor = device._source._sensor  # type: ignore[union-attr]
    assert sensor is not None
    release = threading.Event()
    inner = sensor._started
    broken = SimpleNamespace(stop=lambda: sdk().frame_queue(0).wait_for_frame(1), close=lambda: None)
    sensor._started = [broken, SimpleNamespace(stop=release.wait, close=lambda: None)]
    began = time.monotonic()
    device.close()
    assert time.monotonic() - began < 2.0
    release.set()
    for one in inner:
        one.stop()
        one.close()


def test_the_driver_alone_loads_no_sdk_and_the_sdk_keeps_standard_output_clean() -> None:
    code = (
        "import sys; import devices.realsense_depth as d; assert 'pyrealsense2' not in sys.modules;"
        "print(len(d.RealsenseDepth.discover()) >= 0); assert 'pyrealsense2' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr

"""The OAK driver on the SDK's own pipeline: frames made by a node on the host come through its real output queue."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from devices import oak_camera, oak_depth
from devices.oak_camera import Running, Wanted, build, choose, from_calibration, load_sdk, unit_m
from devices.oak_depth import OakDepth, OakDepthConfig
from stream_bind.clock import Clock, ManualClock, SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Intrinsics

pytestmark = pytest.mark.requires("depthai")

WIDTH, HEIGHT = 64, 40
UNIX_NS = 1_790_000_000 * 10**9
MATRIX = [[50.0, 0.0, 31.5], [0.0, 51.0, 19.5], [0.0, 0.0, 1.0]]


def info(serial: str, name: str = "1.2", state: str = "X_LINK_UNBOOTED", status: str = "X_LINK_SUCCESS") -> Any:
    word = {"state": state, "status": status, "platform": "X_LINK_MYRIAD_X", "protocol": "X_LINK_USB_VSC"}
    return SimpleNamespace(
        deviceId=serial, name=name, **{key: SimpleNamespace(name=value) for key, value in word.items()}
    )


class HostCamera:
    """A pipeline without a device whose one node sends the frames that are pushed."""

    def __init__(self) -> None:
        dai = load_sdk()
        self.dai = dai
        self.frames: queue.Queue[Any] = queue.Queue()
        self.unit = 0.001
        self.infos = [info("SN1")]
        self.starts = 0
        self.on_start: Callable[[], None] = lambda: None

    def start(self, info: Any, wanted: Wanted, name: str) -> Running:
        dai, frames = self.dai, self.frames

        class Source(dai.node.ThreadedHostNode):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.out = self.createOutput()

            def run(self) -> None:
                while self.isRunning():
                    try:
                        self.out.send(frames.get(timeout=0.02))
                    except queue.Empty:
                        continue

        self.pipeline = dai.Pipeline(False)
        self.source = self.pipeline.create(Source)
        output = self.source.out.createOutputQueue(maxSize=4, blocking=False)
        self.pipeline.start()
        self.starts += 1
        self.on_start()
        return Running(dai, self.pipeline, output, name, self.unit)

    def frame(
        self,
        number: int,
        steady_s: float | None = None,
        exposure_us: int = 0,
        device_us: int = 0,
        coeffs: tuple[float, ...] = (),
        calibrated: bool = True,
        pixels: Any = None,
    ) -> Any:
        """A depth frame of 1000 + number counts, but for a hole in its first pixel; the stamp ends the exposure."""
        dai = self.dai
        counts = np.full((HEIGHT, WIDTH), 1000 + number, np.uint16)
        counts[0, 0] = 0
        message = dai.ImgFrame()
        if pixels is None:
            message.setCvFrame(counts, dai.ImgFrame.Type.RAW16)
        else:
            message.setCvFrame(pixels, dai.ImgFrame.Type.GRAY8)
        message.setSequenceNum(number)
        message.setTimestamp(dai.Clock.now() if steady_s is None else timedelta(seconds=steady_s))
        message.setTimestampDevice(timedelta(microseconds=device_us))
        settings = message.cam
        settings.exposureTimeUs = exposure_us
        message.cam = settings
        if calibrated:
            seen = dai.ImgTransformation(WIDTH, HEIGHT)
            seen.setIntrinsicMatrix(MATRIX)
            seen.setDistortionCoefficients(list(coeffs))
            message.setTransformation(seen)
        return message

    def push(self, number: int, **told: Any) -> None:
        self.frames.put(self.frame(number, **told))


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostCamera]:
    """The one camera that is attached."""
    one = HostCamera()
    monkeypatch.setattr(oak_depth, "attached", lambda dai: one.infos)
    monkeypatch.setattr(oak_depth, "start", one.start)
    yield one
    if one.starts:
        one.pipeline.stop()
        one.pipeline.wait()


def make(clock: Clock | None = None, **settings: Any) -> OakDepth:
    settings = {"width": WIDTH, "height": HEIGHT, **settings}
    if settings.get("source") == "tof":
        del settings["width"], settings["height"]
    return OakDepth(OakDepthConfig(**settings), "depth", SystemClock() if clock is None else clock)


def next_chunk(device: OakDepth) -> Chunk:
    for _ in range(100):
        chunk = device.read(0.1)
        if chunk is not None:
            return chunk
    raise AssertionError("no frame")


def opened(camera: HostCamera, clock: Clock | None = None, **settings: Any) -> OakDepth:
    """An open device that has delivered frame 0."""
    device = make(clock, **settings)
    camera.push(0)
    device.open()
    assert device.read(0.0) is not None
    return device


def test_a_live_camera_keeps_the_contract(camera: HostCamera) -> None:
    device = make()
    before = device.spec
    assert (before.shape, before.unit, before.domain, before.live) == ((HEIGHT, WIDTH), "m", "device", True)
    assert before.intrinsics is None
    newest = 0
    for _ in range(2):
        for number in range(3):
            camera.push(number)
        device.open()
        for number in range(3):
            chunk = next_chunk(device)
            assert chunk.data.shape == (1, HEIGHT, WIDTH)
            assert chunk.data.dtype == np.float32
            assert np.isnan(chunk.data).sum() == 1
            assert np.isnan(chunk.data[0, 0, 0])
            assert chunk.data[0, 5, 5] == pytest.approx((1000 + number) * 0.001, rel=1e-6)
            assert chunk.raw is not None
            assert (chunk.raw.encoding, chunk.raw.scale) == ("16UC1", 0.001)
            assert not chunk.gap_before
            assert chunk.clock.domain == "device"
            assert chunk.clock.err_ns == 200_000
            assert newest < int(chunk.t_ns[0]) <= time.time_ns() + 10_000_000
            newest = int(chunk.t_ns[0])
        assert time.time_ns() - newest < 5 * 10**9
        assert device.spec.intrinsics == Intrinsics(WIDTH, HEIGHT, 50.0, 51.0, 31.5, 19.5)
        device.close()
        device.close()
        with pytest.raises(DeviceError, match="read before open"):
            device.read(0.0)
    assert camera.starts == 2


def test_stamps_are_the_middle_of_the_exposure_on_the_hosts_steady_clock(camera: HostCamera) -> None:
    clock = ManualClock(UNIX_NS, 5_000 * 10**9)
    device = make(clock)
    camera.push(7, steady_s=4_999.98, exposure_us=10_000, device_us=123_456)
    device.open()
    chunk = device.read(0.0)
    assert chunk is not None
    # The SDK's stamp is the end of the exposure: 20 ms ago, so its middle was 25 ms ago.
    assert chunk.t_ns.tolist() == [UNIX_NS - 25_000_000]
    assert chunk.ticks is not None
    assert chunk.ticks.tolist() == [123_456]
    # The SDK has corrected its mapping backwards.
    camera.push(8, steady_s=4_999.97)
    assert next_chunk(device).t_ns.tolist() == [UNIX_NS - 25_000_000 + 1]
    device.close()


def test_the_unit_is_read_from_the_configuration_not_assumed() -> None:
    dai = load_sdk()
    unit = dai.StereoDepthConfig.AlgorithmControl.DepthUnit
    config = dai.StereoDepthConfig()
    assert unit_m(config) == 0.001
    for name, metres in (("METER", 1.0), ("CENTIMETER", 0.01), ("INCH", 0.0254), ("FOOT", 0.3048)):
        config.setDepthUnit(getattr(unit, name))
        assert unit_m(config) == metres
    config.setDepthUnit(unit.CUSTOM)
    config.setCustomDepthUnitMultiplier(10_000.0)
    assert unit_m(config) == pytest.approx(0.0001)


def test_another_unit_gives_other_metres(camera: HostCamera) -> None:
    camera.unit = 0.0001
    device = make()
    camera.push(0)
    device.open()
    chunk = device.read(0.0)
    device.close()
    assert chunk is not None
    assert chunk.data[0, 5, 5] == pytest.approx(0.1, rel=1e-6)
    assert chunk.raw is not None
    assert chunk.raw.scale == 0.0001


def test_numbers_that_jump_are_counted_and_marked_and_repeats_are_dropped(camera: HostCamera) -> None:
    device = opened(camera)
    gaps = []
    for number in (1, 2, 5, 6, 3, 4):
        camera.push(number)
        gaps.append(next_chunk(device).gap_before)
    assert gaps == [False, False, True, False, True, False]
    camera.push(4)
    assert device.read(0.3) is None
    assert device.counters == {"dropped_frames": 2, "repeated_frames": 1}
    device.close()


def test_a_reader_that_pauses_loses_the_oldest_frames_and_learns_how_many(camera: HostCamera) -> None:
    device = opened(camera)
    for number in range(1, 31):
        camera.push(number)
    end = time.monotonic() + 10
    while not camera.frames.empty() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)
    chunk = next_chunk(device)
    assert chunk.raw is not None
    first = int(chunk.raw.samples[0, 1, 1]) - 1000  # type: ignore[call-overload]
    assert chunk.gap_before
    assert first >= 26
    assert device.counters["dropped_frames"] == first - 1
    device.close()


def test_calibration_with_distortion_comes_with_the_frames(camera: HostCamera) -> None:
    device = make()
    camera.push(0, coeffs=(0.1, -0.2, 0.003))
    device.open()
    seen = device.spec.intrinsics
    device.close()
    assert seen == Intrinsics(WIDTH, HEIGHT, 50.0, 51.0, 31.5, 19.5, "rational_polynomial", (0.1, -0.2, 0.003))


def test_a_camera_without_calibration_says_none(camera: HostCamera) -> None:
    device = make()
    camera.push(0, calibrated=False)
    device.open()
    assert device.spec.intrinsics is None
    device.close()


def test_a_stored_calibration_is_scaled_to_the_frames() -> None:
    dai = load_sdk()
    stored = dai.CalibrationHandler()
    socket = dai.CameraBoardSocket.CAM_C
    assert from_calibration(stored, socket, 640, 400) is None
    stored.setCameraIntrinsics(socket, [[800, 0, 640], [0, 810, 400], [0, 0, 1]], 1280, 800)
    assert from_calibration(stored, socket, 640, 400) == Intrinsics(640, 400, 400.0, 405.0, 320.0, 200.0)


def test_a_time_of_flight_sensor_tells_its_size_with_the_first_frame(camera: HostCamera) -> None:
    device = make(source="tof")
    assert device.spec.shape == (-1, -1)
    camera.push(0)
    device.open()
    assert device.spec.shape == (HEIGHT, WIDTH)
    device.close()


def test_frames_of_another_size_or_kind_are_refused_for_good(camera: HostCamera) -> None:
    camera.push(0)
    with pytest.raises(DeviceError, match="wanted 640x400, it sends 64x40") as caught:
        make(width=640, height=400).open()
    assert caught.value.permanent
    camera.push(0, pixels=np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(DeviceError, match="wanted 16-bit depth, found GRAY8") as caught:
        make().open()
    assert caught.value.permanent


def test_a_frozen_camera_holds_no_read_up_and_is_given_up_after_its_limit(camera: HostCamera) -> None:
    clock = ManualClock(UNIX_NS)
    device = opened(camera, clock)
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


def test_a_camera_that_sends_nothing_from_the_start_says_so(camera: HostCamera) -> None:
    with pytest.raises(DeviceError, match=r"sends no frame for 0\.3 s"):
        make(open_timeout_s=0.3).open()


def test_a_pipeline_that_ends_under_a_waiting_read_is_a_lost_camera(camera: HostCamera) -> None:
    device = opened(camera)
    threading.Timer(0.3, camera.pipeline.stop).start()
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"oak_depth SN1: was lost: .*closed; it will be opened again") as caught:
        device.read(30.0)
    assert time.monotonic() - began < 10
    assert not caught.value.permanent
    device.close()
    camera.push(5)
    device.open()
    chunk = device.read(0.0)
    assert chunk is not None
    # The reader knows of the hole that the outage left.
    assert not chunk.gap_before
    device.close()


def test_every_kind_of_error_of_the_link_is_a_lost_camera() -> None:
    dai = load_sdk()
    pipeline = dai.Pipeline(False)
    for error in (RuntimeError("Communication exception - X_LINK_ERROR"), dai.MessageQueue.QueueException("closed")):
        running = Running(dai, pipeline, MagicMock(get=MagicMock(side_effect=error)), "oak_depth SN1")
        with pytest.raises(DeviceError, match="oak_depth SN1: was lost: ") as caught:
            running.next(0.1)
        assert not caught.value.permanent


def test_a_camera_that_is_gone_silently_is_told_from_a_stalled_one(camera: HostCamera) -> None:
    clock = ManualClock(UNIX_NS)
    device = opened(camera, clock)
    running = device._running
    assert running is not None
    running._device = SimpleNamespace(isClosed=lambda: True, close=lambda: None)
    clock.advance(0.6)
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.01)
    device.close()


def test_the_camera_that_was_opened_is_the_one_that_is_meant(camera: HostCamera) -> None:
    device = opened(camera)
    device.close()
    camera.infos = [info("SN2")]
    with pytest.raises(DeviceError, match=r"SN1: not attached; found SN2 \(1\.2\)") as caught:
        device.open()
    assert not caught.value.permanent
    camera.infos = [info("SN2"), info("SN1", name="3.4")]
    camera.push(0)
    device.open()
    device.close()


def test_the_camera_that_is_meant_is_found_or_told_why_not() -> None:
    two = [info("SN1", "1.1"), info("SN2", "192.168.1.44")]
    with pytest.raises(DeviceError, match=r"2 cameras .*serial: SN1 \(1\.1\), SN2 \(192\.168\.1\.44\)") as caught:
        choose(two, None, "oak_depth")
    assert caught.value.permanent
    assert choose(two, "SN2", "x") is choose(two, "192.168.1.44", "x") is two[1]
    with pytest.raises(DeviceError, match="in use by another program"):
        choose([info("SN1", state="X_LINK_BOOTED")], "SN1", "x")
    with pytest.raises(DeviceError, match=r"may not be opened; echo .*03e7.*udevadm trigger"):
        choose([info("SN1", status="X_LINK_INSUFFICIENT_PERMISSIONS")], None, "x")


def test_without_a_camera_the_real_sdk_finds_none_and_says_what_to_do() -> None:
    if OakDepth.discover():
        pytest.skip("an OAK camera is attached")
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"oak_depth SN0: no OAK .*03e7.*udevadm") as caught:
        make(serial="SN0").open()
    # Opening by id would search for 10 s.
    assert time.monotonic() - began < 8
    assert "\n" not in str(caught.value)


def test_discover_lists_ids_and_what_to_paste(camera: HostCamera) -> None:
    camera.infos = [info("SN1"), info("SN2", state="X_LINK_BOOTED")]
    one, two = OakDepth.discover()
    assert (one.name, one.identity, one.note) == ("Luxonis OAK (RVC2)", "SN1", "")
    assert two.note == "open in another program"
    assert OakDepthConfig(**one.config).serial == "SN1"


def test_stereo_is_built_of_the_pair_at_the_wanted_size_and_rate() -> None:
    dai = load_sdk()
    stereo = MagicMock(spec=dai.node.StereoDepth, initialConfig=dai.StereoDepthConfig())
    cameras = [MagicMock(spec=dai.node.Camera) for _ in range(2)]
    for camera in cameras:
        camera.build.return_value = camera
    pipeline = MagicMock(spec=dai.Pipeline)
    pipeline.create.side_effect = [stereo, *cameras]
    sockets = dai.CameraBoardSocket
    device = MagicMock(spec=dai.Device)
    device.getConnectedCameras.return_value = [sockets.CAM_A, sockets.CAM_B, sockets.CAM_C]
    pipeline.getDefaultDevice.return_value = device
    wanted = Wanted("stereo", 640, 400, 20.0, "CAM_B", "CAM_C", "robotics")
    depth, unit = build(dai, pipeline, wanted, "x")
    assert depth is stereo.depth
    assert unit == 0.001
    stereo.setDefaultProfilePreset.assert_called_once_with(dai.node.StereoDepth.PresetMode.ROBOTICS)
    for camera, socket, into in zip(cameras, ("CAM_B", "CAM_C"), (stereo.left, stereo.right), strict=True):
        camera.build.assert_called_once_with(getattr(sockets, socket))
        camera.requestOutput.assert_called_once_with((640, 400), fps=20.0)
        camera.requestOutput.return_value.link.assert_called_once_with(into)
    pipeline.create.side_effect = [stereo, *cameras]
    device.getConnectedCameras.return_value = [sockets.CAM_A]
    with pytest.raises(DeviceError, match="no camera at CAM_B; it has CAM_A"):
        build(dai, pipeline, wanted, "x")


@pytest.mark.parametrize(("protocol", "err_ns"), [("X_LINK_USB_VSC", 200_000), ("X_LINK_TCP_IP", 500_000)])
def test_a_started_camera_tells_its_error_and_its_stored_calibration(
    protocol: str, err_ns: int, camera: HostCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    dai = load_sdk()
    device, pipeline = MagicMock(spec=dai.Device), MagicMock(spec=dai.Pipeline)
    device.getDeviceInfo.return_value = SimpleNamespace(protocol=SimpleNamespace(name=protocol))
    stored = dai.CalibrationHandler()
    stored.setCameraIntrinsics(dai.CameraBoardSocket.CAM_C, [[100, 0, 64], [0, 100, 40], [0, 0, 1]], 128, 80)
    device.readCalibration.return_value = stored
    device.isClosed.return_value = False
    depth = MagicMock(spec=dai.Node.Output)
    monkeypatch.setattr(
        oak_camera,
        "load_sdk",
        lambda: SimpleNamespace(
            Device=lambda info: device,
            Pipeline=lambda device: pipeline,
            CameraBoardSocket=dai.CameraBoardSocket,
            CameraExposureOffset=dai.CameraExposureOffset,
        ),
    )
    monkeypatch.setattr(oak_camera, "build", lambda *told: (depth, 0.001))
    depth.createOutputQueue.return_value.get.return_value = camera.frame(3, calibrated=False)
    running = oak_camera.start(info("SN1"), Wanted("stereo", 64, 40, 20.0, "CAM_B", "CAM_C", None), "x")
    pipeline.start.assert_called_once_with()
    frame = running.next(0.1)
    assert frame is not None
    assert (frame.number, running.err_ns) == (3, err_ns)
    assert running.intrinsics == Intrinsics(WIDTH, HEIGHT, 50.0, 50.0, 32.0, 20.0)
    assert running.is_attached()
    running.stop()
    pipeline.stop.assert_called_once_with()
    device.close.assert_called_once_with()


def test_time_of_flight_is_built_at_the_wanted_rate() -> None:
    dai = load_sdk()
    node = MagicMock(spec=dai.node.ToF)
    node.build.return_value = node
    pipeline = MagicMock(spec=dai.Pipeline)
    pipeline.create.return_value = node
    depth, unit = build(dai, pipeline, Wanted("tof", 640, 400, 20.0, "CAM_B", "CAM_C", None), "x")
    pipeline.create.assert_called_once_with(dai.node.ToF)
    node.build.assert_called_once_with(fps=20.0)
    assert (depth, unit) == (node.depth, 0.001)


def test_a_camera_that_does_not_start_is_let_go_and_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    device = MagicMock()
    pipeline = MagicMock(side_effect=RuntimeError("Failed to boot\n device: X_LINK_TIMEOUT"))
    monkeypatch.setattr(oak_camera, "load_sdk", lambda: SimpleNamespace(Device=lambda info: device, Pipeline=pipeline))
    wanted = Wanted("stereo", 64, 40, 20.0, "CAM_B", "CAM_C", None)
    with pytest.raises(DeviceError, match=r"x: cannot be started: Failed to boot device: X_LINK_TIMEOUT; ") as caught:
        oak_camera.start(info("SN1"), wanted, "x")
    assert not caught.value.permanent
    device.setMaxReconnectionAttempts.assert_called_once_with(0)
    device.close.assert_called_once_with()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"left": "CAM_C"}, "must be two cameras"),
        ({"source": "tof", "preset": "robotics"}, "preset is a setting of source: stereo"),
        ({"rate_hz": 0.5, "stall_timeout_s": 1.0}, "two frames: 4 s"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OakDepthConfig(**settings)


def test_a_missing_or_old_sdk_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    old = SimpleNamespace(node=SimpleNamespace(), __version__="2.28.0")
    for module, words in ((fail, "No module named"), (lambda name: old, "wanted depthai 3, found 2.28.0")):
        monkeypatch.setattr(oak_camera, "importlib", SimpleNamespace(import_module=module))
        with pytest.raises(DeviceError, match=words + r".*pip install 'stream-bind\[oak\]'") as caught:
            make().open()
        assert caught.value.permanent
        assert OakDepth.discover() == []


def test_the_sdk_writes_nothing_to_standard_output_and_leaves_signals_alone() -> None:
    code = """
import sys
import numpy
import devices.oak_depth as d
def caught():
    line = next(line for line in open("/proc/self/status") if line.startswith("SigCgt"))
    # Of signals 1 to 31: glibc takes 33 for itself with the first thread.
    return hex(int(line.split()[1], 16) & 0x7FFFFFFF)
assert "depthai" not in sys.modules
before = caught()
print(len(d.OakDepth.discover()) >= 0)
assert "depthai" in sys.modules
assert caught() == before, (before, caught())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr

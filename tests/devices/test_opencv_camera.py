"""OpenCV's capture against a real loopback camera that stalls and dies, and against what it says of itself."""

from __future__ import annotations

import http.server
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from devices.opencv_camera import OpencvCamera, OpencvCameraConfig
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk


class Camera:
    """Motion JPEG over HTTP; the frame number is its green. `stalled` stops the pictures."""

    def __init__(self, rate_hz: float = 20.0) -> None:
        camera = self
        self.stalled, self.killed = threading.Event(), threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                while not camera.killed.wait(1 / rate_hz):
                    if camera.stalled.is_set():
                        continue
                    number += 1
                    picture = np.full((48, 64, 3), (10, number % 200, 220), np.uint8)
                    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    try:
                        self.wfile.write(head + jpeg + b"\r\n")
                    except OSError:
                        return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/cam.mjpg"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        self.killed.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.kill()


def build(source: str | int, **settings: Any) -> OpencvCamera:
    config = {"source": source, "rate_hz": 20, "stall_timeout_s": 1.5, "backend": "ffmpeg", **settings}
    return OpencvCamera(OpencvCameraConfig.model_validate(config), "cam", SystemClock())


def read(device: OpencvCamera) -> Chunk:
    for _ in range(100):
        chunk = device.read(1.0)
        if chunk is not None:
            return chunk
    raise AssertionError("no frame")


def read_on(device: OpencvCamera) -> None:
    """Read what is still on its way, until something is raised."""
    for _ in range(200):
        device.read(0.2)


def test_frames_are_rgb_stamped_on_the_host_and_say_so(camera: Camera) -> None:
    device = build(camera.url)
    assert device.spec.shape == (-1, -1, 3)
    assert device.spec.domain == "host"
    device.open()
    assert device.spec.shape == (48, 64, 3)
    chunks = [read(device) for _ in range(10)]
    device.close()
    device.close()
    stamps = np.concatenate([chunk.t_ns for chunk in chunks])
    assert (np.diff(stamps) > 0).all()
    assert abs(time.time_ns() - stamps[-1]) < 1_000_000_000
    assert {chunk.clock.domain for chunk in chunks} == {"host"}
    assert chunks[0].clock.err_ns == 25_000_000, "half a period: a frame's true age is not known"
    assert all(chunk.data.shape == (1, 48, 64, 3) and chunk.data.dtype == np.uint8 for chunk in chunks)
    assert chunks[0].data[0, 20, 20, 0] > 200, "red first"
    with pytest.raises(DeviceError, match="open the device first"):
        device.read(0)


def test_a_dead_camera_that_still_says_it_is_open_is_an_error(camera: Camera) -> None:
    device = build(camera.url)
    device.open()
    read(device)
    capture = device._capture
    camera.kill()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="opened again"):
        read_on(device)
    assert time.monotonic() - began < 5
    assert capture.isOpened(), "the trap: it says so still"
    device.close()


def test_a_stalled_camera_is_an_error_in_time_and_opens_again(camera: Camera) -> None:
    device = build(camera.url)
    device.open()
    read(device)
    camera.stalled.set()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="lost or stalled"):
        read_on(device)
    assert time.monotonic() - began < 6
    camera.stalled.clear()
    before_ns = time.time_ns()
    device.open()
    assert read(device).t_ns[0] > before_ns
    device.close()


class Queued:
    """A capture as OpenCV's V4L2 is: keeps the four oldest frames while nobody reads. Frames are 1/20 s apart."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.next_ns = clock.monotonic_ns() + 50_000_000
        self.kept: list[int] = []
        self.frame = 0
        self.alive = True

    def _run(self) -> None:
        while self.next_ns <= self.clock.monotonic_ns():
            if len(self.kept) < 4:
                self.kept.append(self.next_ns)
            self.next_ns += 50_000_000

    def grab(self) -> bool:
        self._run()
        if not self.kept:
            self.clock.advance((self.next_ns - self.clock.monotonic_ns()) / 1e9)
            self._run()
        self.frame = self.kept.pop(0)
        return self.alive

    def retrieve(self) -> tuple[bool, Any]:
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[..., 1] = self.frame // 50_000_000 % 256
        return True, picture

    def isOpened(self) -> bool:
        return True

    def set(self, *_: Any) -> bool:
        return True

    def get(self, _: Any) -> float:
        return 20.0

    def release(self) -> None:
        self.alive = False


def test_old_frames_from_opencvs_buffers_are_not_passed_as_new(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(10**18, 10**12)
    captures: list[Queued] = []

    def capture(*_: Any) -> Queued:
        captures.append(Queued(clock))
        return captures[-1]

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    device = OpencvCamera(OpencvCameraConfig(source="x", rate_hz=20), "cam", clock)
    device.open()
    for _ in range(5):
        chunk = device.read(0.2)
        assert chunk is not None
        assert chunk.t_ns[0] == clock.unix_ns()
        assert not chunk.gap_before
    clock.advance(1.0)
    chunk = device.read(0.2)
    assert chunk is not None
    assert device.counters["stale_frames"] == 4
    assert chunk.gap_before
    assert abs(captures[0].frame - clock.monotonic_ns()) < 1_000_000, "the frame is as new as its stamp"
    again = device.read(0.2)
    assert again is not None
    assert not again.gap_before
    device.close()


def test_a_frame_that_cannot_be_opened_is_an_error_that_may_mend() -> None:
    for source in ("http://127.0.0.1:1/x", "/dev/video77"):
        device = build(source, backend="auto")
        with pytest.raises(DeviceError, match="cannot be opened") as caught:
            device.open()
        assert not caught.value.permanent
        device.close()


def test_a_size_that_was_not_given_is_refused(camera: Camera) -> None:
    device = build(camera.url, width=640, height=480)
    assert device.spec.shape == (480, 640, 3)
    with pytest.raises(DeviceError, match="wanted 640x480, it gives 64x48"):
        device.open()


def test_a_file_is_no_camera(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(DeviceError, match="video_file") as caught:
        build(str(tmp_path / "a.mp4")).open()
    assert caught.value.permanent


def test_an_index_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    device = build(77, backend="v4l2")
    with caplog.at_level(logging.WARNING), pytest.raises(DeviceError):
        device.open()
    assert "index 77 may be another camera after a replug" in caplog.text


def test_the_ten_second_select_is_shortened_before_opencv_loads_or_warned_of() -> None:
    program = (
        "import os, sys, logging; logging.basicConfig(stream=sys.stdout)\n"
        "{before}\n"
        "from devices.opencv_camera import *; from stream_bind.clock import SystemClock\n"
        "device = OpencvCamera(OpencvCameraConfig(source='/dev/video77', stall_timeout_s=1.2), 'cam', SystemClock())\n"
        "try: device.open()\n"
        "except Exception: pass\n"
        "print('select', os.environ.get('OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT'))"
    )
    root = Path(__file__).parents[2]
    env = {key: value for key, value in os.environ.items() if not key.startswith("OPENCV")} | {"PYTHONPATH": str(root)}
    told = {}
    for before in ("", "import cv2"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(before=before)],
            capture_output=True,
            text=True,
            env=env,
            timeout=120,
            check=True,
        )
        told[before] = done.stdout
    assert "select 2" in told[""]
    assert "10 s" not in told[""]
    assert "select None" in told["import cv2"]
    assert "a read of a silent camera will last 10 s" in told["import cv2"]


def test_nothing_is_discovered_where_the_kernel_knows_more() -> None:
    assert OpencvCamera.discover() == []


@pytest.mark.parametrize("settings", [{"backend": "gstreamer"}, {"rate_hz": 0}, {"sauce": 1}])
def test_a_config_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpencvCameraConfig.model_validate({"source": "x", **settings})

"""The network camera against real loopback servers that are killed, stalled and restarted."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from devices.video_stream import VideoStream, VideoStreamConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError


class Camera:
    """An HTTP motion-JPEG camera on loopback; the frame number is its brightness. `stalled` stops the pictures."""

    def __init__(self, port: int = 0, rate_hz: float = 50.0) -> None:
        camera = self
        self.stalled = threading.Event()
        self.killed = threading.Event()
        self.sockets: list[socket.socket] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                camera.sockets.append(self.connection)
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                number = 0
                while not camera.killed.wait(1 / rate_hz):
                    if camera.stalled.is_set():
                        continue
                    number += 1
                    picture = np.full((48, 64, 3), (10, number % 200, 200), np.uint8)
                    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                    try:
                        self.wfile.write(head + jpeg + b"\r\n")
                    except OSError:
                        return

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self) -> None:
        self.killed.set()
        self._server.shutdown()
        self._server.server_close()
        for connection in self.sockets:
            connection.close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    made = Camera()
    yield made
    made.kill()


def device(url: str, **settings: object) -> VideoStream:
    config = {"url": url, "open_timeout_s": 2.0, "stall_timeout_s": 0.5, **settings}
    return VideoStream(VideoStreamConfig.model_validate(config), "cam", SystemClock())


def read_on(source: VideoStream) -> None:
    """Read what is still on its way."""
    for _ in range(200):
        source.read(1.0)


def test_motion_jpeg_frames_are_stamped_on_arrival(camera: Camera) -> None:
    source = device(f"http://127.0.0.1:{camera.port}/", rate_hz=50)
    assert source.spec.shape == (-1, -1, 3)
    source.open()
    assert source.spec.shape == (48, 64, 3)
    chunks = [source.read(1.0) for _ in range(20)]
    stamps = np.array([c.t_ns[0] for c in chunks if c is not None])
    assert len(stamps) == 20
    assert (np.diff(stamps) > 0).all()
    assert abs(time.time_ns() - stamps[-1]) < 2e8
    # FFmpeg's own count would say 40 ms.
    assert 0.010 < np.median(np.diff(stamps)) / 1e9 < 0.035
    first = chunks[0]
    assert first is not None
    assert first.data.dtype == np.uint8
    assert int(first.data[0, 20, 20, 0]) == pytest.approx(200, abs=8), "red first: RGB, not BGR"
    assert first.clock.domain == "host"
    source.close()
    source.close()


def test_a_killed_camera_is_an_error_and_a_restarted_one_is_found(camera: Camera) -> None:
    source = device(f"http://127.0.0.1:{camera.port}/")
    source.open()
    assert source.read(1.0) is not None
    camera.kill()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="opened again") as caught:
        read_on(source)
    assert time.monotonic() - began < 3
    assert not caught.value.permanent
    source.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        source.open()
    back = Camera(camera.port)
    try:
        source.open()
        assert source.read(1.0) is not None
        source.close()
    finally:
        back.kill()


def test_a_stalled_camera_is_given_up_after_the_timeout(camera: Camera) -> None:
    source = device(f"http://127.0.0.1:{camera.port}/")
    source.open()
    camera.stalled.set()
    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"stalled: no picture for 0\.5 s"):
        read_on(source)
    assert time.monotonic() - began < 2
    source.close()


def test_a_mute_server_does_not_hold_the_opening_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = device(f"http://127.0.0.1:{server.getsockname()[1]}/", open_timeout_s=0.5)
        began = time.monotonic()
        with pytest.raises(DeviceError, match="cannot be opened"):
            source.open()
        assert time.monotonic() - began < 2


def test_passwords_stay_out_of_messages() -> None:
    source = device("http://me:secret@127.0.0.1:9/cam")
    with pytest.raises(DeviceError) as caught:
        source.open()
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:9/cam" in str(caught.value)


def test_an_unknown_protocol_is_permanent() -> None:
    with pytest.raises(DeviceError) as caught:
        device("foo://somewhere").open()
    assert caught.value.permanent


def test_a_path_is_refused_as_an_address() -> None:
    with pytest.raises(ValidationError, match="use video_file"):
        VideoStreamConfig(url="/tmp/a.mp4")


class Wire:
    """A socket as the file PyAV writes to; a peer that has gone swallows the rest."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer

    def write(self, data: bytes) -> int:
        try:
            self.peer.sendall(data)
        except OSError:
            pass
        return len(data)


def serve_mpegts(server: socket.socket, n_old: int, n: int, rate: int, stop: threading.Event) -> None:
    """A camera with a clock of its own: n_old frames at once, then n frames as time passes, up to 15 ms late."""
    rng = np.random.default_rng(0)
    peer, _ = server.accept()
    with peer, av.open(Wire(peer), "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"}) as out:
        stream = out.add_stream("mpeg2video", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 5
        began = time.monotonic()
        for i in range(n_old + n):
            due = began + max(0, i - n_old) / rate + (rng.uniform(0, 0.015) if i > n_old else 0)
            while time.monotonic() < due and not stop.is_set():
                time.sleep(0.001)
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i % 250, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            for packet in stream.encode(frame):
                out.mux(packet)
            if stop.is_set():
                return


def test_a_stream_with_a_clock_of_its_own_is_fitted_and_its_opening_burst_dropped() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    server = threading.Thread(target=serve_mpegts, args=(listener, 40, 150, 50, stop), daemon=True)
    server.start()
    source = device(f"tcp://127.0.0.1:{listener.getsockname()[1]}", rate_hz=50)
    source.open()
    stamps = []
    while len(stamps) < 80:
        chunk = source.read(1.0)
        if chunk is not None:
            stamps.append(int(chunk.t_ns[0]))
            assert chunk.clock.domain == "device"
    steps_ms = np.diff(stamps)[10:] / 1e6
    assert source.counters["burst_frames"] >= 20
    assert np.percentile(np.abs(steps_ms - 20), 75) < 4, "arrivals jitter by 15 ms, the stamps must not"
    assert abs(time.time_ns() - stamps[-1]) < 5e8
    source.close()
    stop.set()
    server.join(5)
    listener.close()

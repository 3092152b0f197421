"""A real motion-JPEG camera in its own process: how it sends, slow readers, silence, time of its own, raw pictures."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from devices.video_stream import VideoStream, VideoStreamConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

Cameras = Callable[..., Any]
LATE_MS = 250.0
"""How far a stamp may be from the time drawn into its picture: 2 ms measured, the rest is for a loaded machine."""


def device(port: int, where: str = "/plain", user: str = "", **settings: Any) -> VideoStream:
    config = VideoStreamConfig.model_validate({"url": f"http://{user}127.0.0.1:{port}{where}", **settings})
    return VideoStream(config, "cam", SystemClock())


def grab(source: VideoStream, n: int, limit_s: float = 20.0) -> list[Chunk]:
    """n pictures; every read keeps to its timeout."""
    chunks: list[Chunk] = []
    end = time.monotonic() + limit_s
    while len(chunks) < n:
        called = time.monotonic()
        assert called < end, f"{len(chunks)} pictures in {limit_s} s"
        chunk = source.read(0.1)
        assert time.monotonic() - called < 0.6
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def errors_ms(chunks: list[Chunk], drawn: SimpleNamespace) -> np.ndarray:
    return np.array([(int(chunk.t_ns[0]) - drawn.code(chunk.data[0])[0]) / 1e6 for chunk in chunks])


def numbers(chunks: list[Chunk], drawn: SimpleNamespace) -> list[int]:
    return [drawn.code(chunk.data[0])[1] for chunk in chunks]


@pytest.mark.parametrize("where", ["/plain", "/bare", "/chunked"])
def test_pictures_come_whole_however_they_are_sent(cameras: Cameras, drawn: SimpleNamespace, where: str) -> None:
    source = device(cameras("mjpeg").port, where)
    assert source.spec.domain == "host"
    source.open()
    chunks = grab(source, 60)
    source.close()
    late = errors_ms(chunks, drawn)
    assert np.median(late) < 25, "not one period late, though without a length it is complete only then"
    assert np.abs(late[5:]).max() < LATE_MS
    assert chunks[-1].clock.domain == "host"
    raw = chunks[-1].raw
    assert raw is not None
    assert raw.encoding == "jpeg"
    again = cv2.cvtColor(cv2.imdecode(np.frombuffer(raw.samples[0], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert np.array_equal(again, chunks[-1].data[0]), "the camera's own bytes"


def test_after_a_pause_what_waited_is_dropped_and_the_next_picture_is_fresh(
    cameras: Cameras, drawn: SimpleNamespace
) -> None:
    source = device(cameras("mjpeg").port)
    source.open()
    before = grab(source, 30)
    time.sleep(5.0)
    resumed_ns = time.time_ns()
    late = grab(source, 30)
    source.close()
    # OpenCV delivers pictures 5 s old here, as new ones, and needs 150 reads to catch up.
    assert np.abs(errors_ms(late, drawn)).max() < LATE_MS
    assert drawn.code(late[0].data[0])[0] > resumed_ns - 500_000_000
    assert late[0].t_ns[0] < resumed_ns + 2_000_000_000
    assert late[0].gap_before
    assert not late[1].gap_before
    assert source.counters["stale_frames"] >= 100
    assert numbers(late, drawn)[0] - numbers(before, drawn)[-1] > 100


def test_with_a_time_of_its_own_a_pause_costs_nothing(cameras: Cameras, drawn: SimpleNamespace) -> None:
    source = device(cameras("mjpeg", width=320, height=240).port, time="header")
    assert source.spec.domain == "device"
    source.open()
    grab(source, 60)
    time.sleep(2.0)
    late = grab(source, 60)
    source.close()
    errors = errors_ms(late, drawn)
    assert np.abs(errors).max() < 50, "two seconds in a queue, and still right"
    assert np.median(np.abs(errors)) < 25
    assert (np.diff(numbers(late, drawn)) >= 1).all()
    assert numbers(late, drawn)[0] < 100
    assert source.counters["stale_frames"] == 0
    assert all(chunk.ticks is not None for chunk in late)


def test_the_cameras_own_time_is_taken_as_it_is_where_that_is_asked_for(
    cameras: Cameras, drawn: SimpleNamespace
) -> None:
    source = device(cameras("mjpeg").port, time="sender")
    source.open()
    chunks = grab(source, 30)
    source.close()
    assert np.abs(errors_ms(chunks, drawn)).max() <= 1.0, "what is drawn is in whole ms"
    assert chunks[0].clock.domain == "device"


def test_a_frozen_camera_is_given_up_in_time_and_back_after_reopening(cameras: Cameras, drawn: SimpleNamespace) -> None:
    server = cameras("mjpeg")
    source = device(server.port, stall_timeout_s=1.0, open_timeout_s=1.0)
    source.open()
    grab(source, 20)
    frozen_ns = server.freeze()
    with pytest.raises(DeviceError, match="stalled: no picture for 1 s"):
        grab(source, 1000)
    assert 0.9 < (time.time_ns() - frozen_ns) / 1e9 < 3.0
    source.close()
    with pytest.raises(DeviceError, match="no answer for 1 s"):
        source.open()
    server.thaw()
    source.open()
    assert np.abs(errors_ms(grab(source, 20), drawn)[5:]).max() < LATE_MS
    source.close()


def test_a_short_freeze_is_no_stall_and_nothing_old_is_stamped_as_new(cameras: Cameras, drawn: SimpleNamespace) -> None:
    server = cameras("mjpeg")
    source = device(server.port)
    source.open()
    grab(source, 20)
    server.freeze()
    silent_from = time.monotonic()
    while time.monotonic() - silent_from < 1.0:
        source.read(0.1)
    server.thaw()
    chunks = grab(source, 20)
    source.close()
    # The picture it was sending when it was frozen may come late by as much: one, and no more.
    assert (np.abs(errors_ms(chunks, drawn)) > LATE_MS).sum() <= 1


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n"


def pictures(n: int, rate_hz: float, shape: tuple[int, int] = (48, 64)) -> Callable[[socket.socket], None]:
    def send(peer: socket.socket) -> None:
        peer.sendall(HEAD % b"multipart/x-mixed-replace; boundary=b")
        for i in range(n):
            jpeg = cv2.imencode(".jpg", np.full((*shape, 3), (10, i % 200, 200), np.uint8))[1].tobytes()
            if i % 10 == 9:
                jpeg = jpeg[:100] + jpeg[-40:-20]
            peer.sendall(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n")
            time.sleep(1 / rate_hz)

    return send


def test_a_broken_picture_is_counted_and_leaves_a_gap(scripted: Callable[..., Any]) -> None:
    source = device(scripted(pictures(60, 50)).port, rate_hz=50)
    source.open()
    chunks = grab(source, 25)
    assert source.counters["bad_packets"] >= 2
    gaps = [i for i, chunk in enumerate(chunks) if chunk.gap_before]
    assert gaps == [9, 18]
    source.close()


def test_nothing_but_broken_pictures_is_a_stall(scripted: Callable[..., Any]) -> None:
    good = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()

    def send(peer: socket.socket) -> None:
        peer.sendall(HEAD % b"multipart/x-mixed-replace; boundary=b")
        for i in range(400):
            jpeg = good if i == 0 else good[:60] + good[-40:-20]
            peer.sendall(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg + b"\r\n")
            time.sleep(0.02)

    source = device(scripted(send).port, rate_hz=50, stall_timeout_s=0.5)
    source.open()
    with pytest.raises(DeviceError, match=r"stalled: none but broken pictures for 0\.5 s"):
        grab(source, 100)
    assert source.counters["bad_packets"] > 5
    source.close()


def test_an_unwritten_at_sign_in_a_password_is_not_shown() -> None:
    source = VideoStream(
        VideoStreamConfig(url="rtsp://me:se@cret@127.0.0.1:1/x", open_timeout_s=0.5), "cam", SystemClock()
    )
    with pytest.raises(DeviceError) as caught:
        source.open()
    assert "cret" not in str(caught.value)


def test_a_single_picture_is_no_stream(scripted: Callable[..., Any]) -> None:
    with pytest.raises(DeviceError, match=r"a single picture \(image/jpeg\); wanted a stream") as caught:
        device(scripted(HEAD % b"image/jpeg" + b"\xff\xd8").port).open()
    assert caught.value.permanent
    with pytest.raises(DeviceError, match="a web page"):
        device(scripted(HEAD % b"text/html" + b"<html>").port).open()


def test_a_stream_that_never_brings_a_picture_is_given_up(scripted: Callable[..., Any]) -> None:
    def chatter(peer: socket.socket) -> None:
        peer.sendall(HEAD % b"multipart/x-mixed-replace; boundary=b")
        for _ in range(200):
            peer.sendall(b"--b\r\nContent-Type: text/plain\r\n\r\nalive\r\n")
            time.sleep(0.02)

    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"no whole picture in 0\.7 s"):
        device(scripted(chatter).port, open_timeout_s=0.7).open()
    assert time.monotonic() - began < 3


def test_the_password_opens_it_and_is_in_no_message(scripted: Callable[..., Any]) -> None:
    refusal = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n'
    server = scripted(refusal, pictures(20, 50), refusal, refusal)
    source = device(server.port, user="me:secret@", rate_hz=50)
    source.open()
    grab(source, 5)
    assert base64.b64encode(b"me:secret").decode() in server.requests[1]
    messages = []
    try:
        grab(source, 50)
    except DeviceError as error:
        messages.append(str(error))
    with pytest.raises(DeviceError, match="refuses user or password") as caught:
        source.open()
    messages.append(str(caught.value))
    assert len(messages) == 2
    assert not any("secret" in message for message in messages)


def test_motion_jpeg_has_no_presentation_time(scripted: Callable[..., Any]) -> None:
    with pytest.raises(DeviceError, match="no clock of its own") as caught:
        device(scripted(pictures(20, 50)).port, time="presentation").open()
    assert caught.value.permanent

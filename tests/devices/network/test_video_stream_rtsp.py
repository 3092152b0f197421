"""A real RTSP camera (GStreamer): true times, slow readers, silence, death. Each picture has its own time drawn in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from devices.video_stream import VideoStream, VideoStreamConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

pytestmark = pytest.mark.requires("gst_rtsp")
Cameras = Callable[..., Any]
LATE_MS = 400.0
"""How far a stamp may be from the time drawn into its picture: a few ms measured, the rest is for a loaded machine."""


def device(port: int, **settings: Any) -> VideoStream:
    config = VideoStreamConfig.model_validate({"url": f"rtsp://127.0.0.1:{port}/cam", **settings})
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


def until_error(source: VideoStream, limit_s: float) -> tuple[list[Chunk], DeviceError]:
    chunks: list[Chunk] = []
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        called = time.monotonic()
        try:
            chunk = source.read(0.1)
        except DeviceError as error:
            return chunks, error
        assert time.monotonic() - called < 0.6
        if chunk is not None:
            chunks.append(chunk)
    pytest.fail(f"no error in {limit_s} s")


def errors_ms(chunks: list[Chunk], drawn: SimpleNamespace) -> np.ndarray:
    return np.array([(int(chunk.t_ns[0]) - drawn.code(chunk.data[0])[0]) / 1e6 for chunk in chunks])


def numbers(chunks: list[Chunk], drawn: SimpleNamespace) -> list[int]:
    return [drawn.code(chunk.data[0])[1] for chunk in chunks]


@pytest.mark.parametrize(("codec", "transport"), [("h264", "tcp"), ("h264", "udp"), ("h264_b", "tcp"), ("jpeg", "tcp")])
def test_pictures_are_stamped_when_they_were_taken(
    cameras: Cameras, drawn: SimpleNamespace, codec: str, transport: str
) -> None:
    server = cameras("rtsp", codec=codec)
    source = device(server.port, transport=transport)
    assert source.spec.shape == (-1, -1, 3)
    source.open()
    assert source.spec.shape == (480, 640, 3)
    assert source.spec.domain == "device"
    chunks = grab(source, 90)
    source.close()
    assert (np.diff(numbers(chunks, drawn)) == 1).all(), "every picture, in the order they were taken"
    stamps = np.array([chunk.t_ns[0] for chunk in chunks])
    assert (np.diff(stamps) > 0).all()
    late = errors_ms(chunks, drawn)[30:]
    assert np.abs(late).max() < LATE_MS
    assert np.median(late) < 25, "FFmpeg holds a picture back for one period: that is not its age"
    # The median: on a loaded machine the server itself takes a picture late, and says so.
    ticks = [chunk.ticks[0] for chunk in chunks if chunk.ticks is not None]
    assert np.median(np.diff(ticks)) == pytest.approx(3000, abs=100)


def test_what_is_old_at_the_opening_is_dropped(cameras: Cameras, drawn: SimpleNamespace) -> None:
    server = cameras("rtsp")
    warm = device(server.port)
    warm.open()
    source = device(server.port)
    began = time.monotonic()
    source.open()
    opened_s = time.monotonic() - began
    chunks = grab(source, 10)
    assert np.abs(errors_ms(chunks, drawn)).max() < LATE_MS
    assert source.counters["burst_frames"] < 30
    assert opened_s < 4
    warm.close()
    source.close()


def test_a_reader_away_for_5_s_goes_on_with_pictures_stamped_as_they_were_taken(
    cameras: Cameras, drawn: SimpleNamespace
) -> None:
    source = device(cameras("rtsp").port)
    source.open()
    before = grab(source, 60)
    time.sleep(5.0)
    back_ns = time.time_ns()
    late = grab(source, 90)
    source.close()
    assert np.abs(errors_ms(late, drawn)).max() < LATE_MS
    assert back_ns - drawn.code(late[0].data[0])[0] < 3e9, "what is older is dropped"
    assert late[0].gap_before
    lost = numbers(late, drawn)[0] - numbers(before, drawn)[-1] - 1
    assert abs(source.counters["dropped_frames"] - lost) <= 2
    assert lost > 60
    assert (np.diff(numbers(late, drawn)) == 1).all()
    # Caught up: the backlog took less time to read than to take.
    assert time.time_ns() - drawn.code(late[-1].data[0])[0] < 1.5e9


def test_a_frozen_camera_is_given_up_in_time_and_delivers_nothing_stale(
    cameras: Cameras, drawn: SimpleNamespace
) -> None:
    server = cameras("rtsp")
    source = device(server.port, stall_timeout_s=1.0, open_timeout_s=1.5)
    source.open()
    grab(source, 30)
    frozen_ns = server.freeze()
    chunks, error = until_error(source, 8.0)
    stalled_s = (time.time_ns() - frozen_ns) / 1e9
    assert "stalled: no picture for 1 s" in str(error)
    assert not error.permanent
    assert 0.9 < stalled_s < 3.0
    assert source.counters["stalls"] == 1
    for chunk in chunks:
        assert chunk.t_ns[0] <= frozen_ns + 50_000_000
    if chunks:
        assert np.abs(errors_ms(chunks, drawn)).max() < LATE_MS
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 1.0
    with pytest.raises(DeviceError, match=r"no answer for 1\.5 s"):
        source.open()
    server.thaw()
    source.open()
    fresh = grab(source, 30)
    assert np.abs(errors_ms(fresh, drawn)).max() < LATE_MS
    assert source.counters["reopened"] == 1
    source.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_killed_camera_is_an_error_at_once(cameras: Cameras, drawn: SimpleNamespace, transport: str) -> None:
    server = cameras("rtsp")
    source = device(server.port, transport=transport)
    source.open()
    grab(source, 10)
    killed_ns = server.kill()
    chunks, error = until_error(source, 8.0)
    assert (time.time_ns() - killed_ns) / 1e9 < 3.0, "at the latest with the stall"
    assert "opened again" in str(error)
    assert all(chunk.t_ns[0] < killed_ns + 50_000_000 for chunk in chunks)
    for _ in range(2):
        with pytest.raises(DeviceError):
            source.read(0.1)
    source.close()
    with pytest.raises(DeviceError, match="cannot be opened"):
        source.open()
    server.start()
    source.open()
    again = grab(source, 10)
    assert np.abs(errors_ms(again, drawn)).max() < LATE_MS
    source.close()


def test_the_cameras_own_time_is_believed_where_that_is_asked_for(cameras: Cameras, drawn: SimpleNamespace) -> None:
    source = device(cameras("rtsp").port, time="sender")
    source.open()
    chunks = grab(source, 60, limit_s=30)
    source.close()
    assert source.counters["unstamped_frames"] > 0, "before the first RTCP report"
    assert np.median(np.abs(errors_ms(chunks, drawn))) < 15
    assert np.abs(errors_ms(chunks, drawn)).max() < LATE_MS
    assert chunks[0].clock.domain == "device"
    assert chunks[0].gap_before


def test_nothing_is_left_behind_when_it_is_closed(cameras: Cameras) -> None:
    server = cameras("rtsp")
    source = device(server.port)

    def n_threads() -> int:
        return sum(f":{server.port}/" in thread.name for thread in threading.enumerate())

    for _ in range(3):
        source.open()
        assert n_threads() == 1, "that of packet_pump"
        grab(source, 3)
        source.close()
        source.close()
        end = time.monotonic() + 5
        while n_threads() and time.monotonic() < end:
            time.sleep(0.02)
        assert n_threads() == 0
    with pytest.raises(DeviceError, match="open the device first"):
        source.read(0.0)


def test_motion_jpegs_header_is_not_looked_for_in_rtsp(cameras: Cameras) -> None:
    with pytest.raises(DeviceError, match="no header") as caught:
        device(cameras("rtsp").port, time="header").open()
    assert caught.value.permanent

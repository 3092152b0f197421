"""16-bit depth and temperature over the network: ffmpeg serves FFV1 in NUT, and every count arrives as it was sent."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from devices.video_stream import VideoStream, VideoStreamConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

pytestmark = pytest.mark.requires("ffmpeg")
N, H, W, RATE_HZ = 180, 120, 160, 60


def counts(i: int) -> np.ndarray:
    """Lepton-like centikelvin around 20 degrees Celsius, no two alike; its number in the first pixel, one hole."""
    picture = (29_315 + i + np.arange(H)[:, None] * 3 + np.arange(W)[None] * 7).astype("<u2")
    picture[0, 0] = i
    picture[5, 5] = 0
    return picture


Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start ffmpeg with N pictures; returns the URL it will listen on, once it has read the first of them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(pix_fmt: str = "gray16le", codec: str = "ffv1", pause_s: float = 0.0) -> str:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            url = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        given = f"-f rawvideo -pix_fmt gray16le -s {W}x{H} -r {RATE_HZ} -i -".split()
        made = f"-c:v {codec} -pix_fmt {pix_fmt} -threads 1 -flush_packets 1 -f nut {url}?listen=1".split()
        process = subprocess.Popen(["ffmpeg", "-loglevel", "error", *given, *made], stdin=subprocess.PIPE)
        started.append(process)
        pipe = process.stdin
        assert pipe is not None

        def feed() -> None:
            # Paced here: with -re ffmpeg would make up for the time before somebody came.
            try:
                for i in range(N):
                    pipe.write(counts(i).tobytes())
                    pipe.flush()
                    time.sleep(1 / RATE_HZ + (pause_s if i == N // 2 else 0))
                pipe.close()
            except OSError:
                pass

        threading.Thread(target=feed, daemon=True).start()
        return url

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def device(url: str, **settings: Any) -> VideoStream:
    config = VideoStreamConfig.model_validate({"url": url, "rate_hz": RATE_HZ, **settings})
    return VideoStream(config, "cam", SystemClock())


def opened(source: VideoStream) -> VideoStream:
    """ffmpeg listens only once it has input, and to one caller only, so no other way tells that it does."""
    end = time.monotonic() + 20
    while True:
        try:
            source.open()
            return source
        except DeviceError as error:
            if error.permanent or time.monotonic() > end:
                raise
            time.sleep(0.05)


def drain(source: VideoStream) -> list[Chunk]:
    chunks = []
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            chunk = source.read(0.2)
        except DeviceError as error:
            if "ended the stream" not in str(error):
                raise
            return chunks
        if chunk is not None:
            chunks.append(chunk)
    pytest.fail("ffmpeg did not end the stream")


def test_every_count_arrives_and_becomes_kelvin(serve: Serve) -> None:
    source = device(serve(), modality="thermal", scale_k=0.01, time="arrival")
    assert (source.spec.modality, source.spec.unit, source.spec.dtype) == ("thermal", "K", "float32")
    opened(source)
    assert source.spec.shape == (H, W)
    chunks = drain(source)
    assert len(chunks) == N
    for i, chunk in enumerate(chunks):
        assert chunk.raw is not None
        assert chunk.raw.samples[0].dtype == np.uint16
        assert np.array_equal(chunk.raw.samples[0], counts(i))
        assert (chunk.raw.encoding, chunk.raw.scale, chunk.raw.offset) == ("mono16", 0.01, 0.0)
        known = counts(i) > 0
        assert chunk.data[0][known] == pytest.approx(counts(i)[known] * 0.01, abs=1e-4)
        assert np.isnan(chunk.data[0][~known]).all(), "0 K is no temperature"


def test_depth_is_metres_with_nothing_where_nothing_was_measured(serve: Serve) -> None:
    source = opened(device(serve(), modality="depth", depth_unit_m=0.001))
    chunks = drain(source)
    source.close()
    first = chunks[0]
    assert len(chunks) + source.counters["burst_frames"] == N
    number = int(first.raw.samples[0][0, 0])  # type: ignore[union-attr, call-overload]
    assert np.isnan(first.data[0][5, 5])
    assert first.data[0][1, 1] == pytest.approx(counts(number)[1, 1] * 0.001, abs=1e-5)
    assert first.data.dtype == np.float32
    assert first.clock.domain == "device"
    steps = np.diff([chunk.t_ns[0] for chunk in chunks])
    assert np.median(steps) == pytest.approx(1e9 / RATE_HZ, rel=0.1)


def test_counts_with_an_offset_keep_their_zero(serve: Serve) -> None:
    source = opened(device(serve(), modality="thermal", scale_k=0.005, offset_k=150.0, time="arrival"))
    chunk = drain(source)[3]
    assert chunk.data[0][5, 5] == pytest.approx(150.0)
    assert chunk.raw is not None
    assert chunk.raw.offset == 150.0


def test_a_stream_that_lost_the_counts_is_refused(serve: Serve) -> None:
    source = device(serve("gray", "ffv1"), modality="depth", depth_unit_m=0.001)
    with pytest.raises(DeviceError, match=r"sends gray; wanted 16-bit counts \(gray16le\)") as caught:
        opened(source)
    assert caught.value.permanent


def test_a_silent_stretch_of_the_stream_holds_no_read(serve: Serve) -> None:
    source = opened(device(serve(pause_s=1.2), modality="depth", depth_unit_m=0.001, time="arrival"))
    longest = 0.0
    n = 0
    while n < N:
        called = time.monotonic()
        n += source.read(0.1) is not None
        longest = max(longest, time.monotonic() - called)
    assert longest < 0.6
    source.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modality": "depth"}, "depth_unit_m is needed"),
        ({"modality": "thermal"}, "scale_k is needed"),
        ({"depth_unit_m": 0.001}, "setting of modality depth"),
        ({"modality": "depth", "depth_unit_m": 0.001, "offset_k": 5}, "settings of modality thermal"),
        ({"stall_timeout_s": 0.01}, "at least two frames"),
        ({"timestamp_header": "a: b"}, "timestamp_header"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        device("tcp://127.0.0.1:1", **settings)

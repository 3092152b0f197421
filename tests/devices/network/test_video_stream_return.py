"""A network camera killed or frozen, and back, seen by the reader thread that drives it in a rig: back in time, the gap
told as long as it was, every window accounted for."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.inbox import Arrival, Inbox
from actors.reader import Reader
from devices.video_stream import VideoStream, VideoStreamConfig
from stream_bind.adjust import Adjust
from stream_bind.clock import SystemClock
from stream_bind.config.schema import RestartConfig
from stream_bind.messages import Chunk, Missing, Notice
from stream_bind.restart import Backoff
from stream_bind.window import Windower

Cameras = Callable[..., Any]
PERIOD_NS = 33_333_333
GAP_WITHIN_NS = 200_000_000
HOP_NS = 500_000_000
KINDS = [
    pytest.param("mjpeg", "http", 2.0, id="mjpeg"),
    pytest.param("rtsp", "rtsp", 4.0, id="rtsp", marks=pytest.mark.requires("gst_rtsp")),
]


class Watch:
    """The reader thread over the driver; what it puts in the inbox, kept."""

    def __init__(self, url: str) -> None:
        config = VideoStreamConfig(url=url, stall_timeout_s=1.0)
        self.device = VideoStream(config, "cam", SystemClock())
        self._arrived: queue.Queue[Arrival] = queue.Queue()
        inbox = Inbox(lambda: None)
        inbox.put = self._arrived.put  # type: ignore[method-assign]
        restart = RestartConfig()
        backoff = Backoff(restart.first_s, restart.limit_s)
        self.reader = Reader("cam", self.device, Adjust(self.device.spec), inbox, SystemClock(), backoff)
        self.reader.start()
        self.chunks: list[Chunk] = []

    def next(self) -> Arrival:
        arrival = self._arrived.get(timeout=30)
        assert arrival.fatal is None
        if arrival.chunk is not None:
            self.chunks.append(arrival.chunk)
        return arrival

    def until_notice(self, reason: str) -> Notice:
        while (arrival := self.next()).notice is None:
            pass
        assert arrival.notice.reason == reason
        return arrival.notice

    def pictures(self, n: int) -> None:
        for _ in range(n):
            assert self.next().notice is None


@pytest.fixture
def watched() -> Iterator[Callable[[str], Watch]]:
    made: list[Watch] = []

    def watch(url: str) -> Watch:
        made.append(Watch(url))
        return made[-1]

    yield watch
    for one in made:
        one.reader.stop(10.0)


@pytest.mark.parametrize("how", ["killed", "frozen"])
@pytest.mark.parametrize(("kind", "scheme", "within_s"), KINDS)
def test_a_camera_that_was_away_is_back_in_time_with_its_gap_right(
    cameras: Cameras,
    watched: Callable[[str], Watch],
    drawn: SimpleNamespace,
    kind: str,
    scheme: str,
    within_s: float,
    how: str,
) -> None:
    server = cameras(kind)
    watch = watched(f"{scheme}://127.0.0.1:{server.port}/cam")
    watch.pictures(60)
    for _ in range(2):
        gone_ns = server.kill() if how == "killed" else server.freeze()
        lost = watch.until_notice("device_lost")
        last = watch.chunks[-1]
        assert abs(lost.t_ns - gone_ns) < 500_000_000
        time.sleep(0.7)
        ready_ns = server.start() if how == "killed" else server.thaw()
        back = watch.until_notice("device_back")
        arrival = watch.next()
        assert arrival.chunk is not None
        assert arrival.chunk.gap_before
        back_s = (arrival.arrived_ns - ready_ns) / 1e9
        # By what is drawn into the pictures, nobody's stamps.
        first_ns, last_ns = drawn.code(arrival.chunk.data[0])[0], drawn.code(last.data[0])[0]
        truth_ns = first_ns - last_ns - PERIOD_NS
        told_ns = back.t_end_ns - back.t_ns
        print(f"back after {back_s:.3f} s; gap {truth_ns / 1e9:.3f} s, told {told_ns / 1e9:.3f} s")
        assert back_s < within_s
        assert abs(told_ns - truth_ns) < GAP_WITHIN_NS
        assert back.t_ns <= gone_ns + GAP_WITHIN_NS
        # A frozen camera may show what it took before it was frozen only as such.
        assert first_ns > gone_ns
        watch.pictures(30)
    stamps = [int(chunk.t_ns[0]) for chunk in watch.chunks]
    assert all(b > a for a, b in itertools.pairwise(stamps))

    windower = Windower(watch.device.spec, length_ns=HOP_NS, hop_ns=HOP_NS)
    fates: list[int] = []
    for closed in [one for chunk in watch.chunks for one in windower.push(chunk)] + windower.finish():
        span = range(closed.from_window, closed.to_window) if isinstance(closed, Missing) else [closed.index]
        fates.extend(span)
    assert fates == list(range(fates[0], fates[-1] + 1)), "every window once"
    assert fates[-1] - fates[0] >= (stamps[-1] - stamps[0]) // HOP_NS

"""Our camera driver on the kernel's virtual camera (vivid): what it delivers, what it loses, how it is pulled out."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench import wait_until

from devices.v4l2 import V4l2Node
from devices.v4l2_camera import V4l2Camera, V4l2CameraConfig
from devices.v4l2_nodes import list_nodes
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

MODULES = ["vivid n_devs=1 node_types=0x1"]
TIMEOUT_S = 60

DRIVER = Path("/sys/bus/platform/drivers/vivid")
SMALL = {"width": 320, "height": 180, "rate_hz": 25, "pixel_format": "YUYV"}
PERIOD_NS = 40_000_000


def camera(**settings: Any) -> V4l2Camera:
    config = {"device": "card:vivid", **SMALL, **settings}
    return V4l2Camera(V4l2CameraConfig.model_validate(config), "cam", SystemClock())


@contextmanager
def opened(**settings: Any) -> Iterator[V4l2Camera]:
    device = camera(**settings)
    device.open()
    try:
        yield device
    finally:
        device.close()


def turn(name: str, value: int) -> None:
    """Set one of vivid's controls behind the driver's back."""
    node = V4l2Node(list_nodes()[0].node)
    try:
        node.set(node.controls()[name], value)
    finally:
        node.close()


def frames(device: V4l2Camera, n: int, limit_s: float = 20.0) -> list[Chunk]:
    chunks: list[Chunk] = []
    end = time.monotonic() + limit_s
    while len(chunks) < n:
        assert time.monotonic() < end, f"{len(chunks)} of {n} frames in {limit_s} s"
        chunk = device.read(0.5)
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def stamps(chunks: list[Chunk]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([chunk.t_ns for chunk in chunks])


def fault(call: Callable[[], Any], limit_s: float = 10.0) -> tuple[str, float]:
    """The DeviceError's words that calling again and again ends in, and after how long."""
    began, words = time.monotonic(), ""
    while not words and time.monotonic() - began < limit_s:
        try:
            call()
        except DeviceError as error:
            words = str(error)
    assert words, f"no DeviceError in {limit_s} s"
    assert "\n" not in words
    return words, time.monotonic() - began


def check_frames_carry_the_kernels_stamps() -> None:
    device = camera()
    assert device.spec.shape == (180, 320, 3)
    try:
        device.open()
        assert device.spec.rate_hz == 25
        frames(device, 5)
        chunks = frames(device, 30)
    finally:
        device.close()
        device.close()
    t_ns = stamps(chunks)
    steps = np.diff(t_ns)
    assert (steps > 0).all()
    # vivid stamps when its thread wakes up, which in an emulated machine is not always on time.
    assert abs(np.median(steps) - PERIOD_NS) < 4_000_000, steps
    assert {chunk.clock.domain for chunk in chunks} == {device.spec.domain} == {"kernel"}
    assert all(0 < chunk.clock.err_ns < 40_000_000 for chunk in chunks[3:])
    # Its end-of-frame stamps lie up to a frame in the future.
    assert abs(time.time_ns() - t_ns[-1]) < 1_000_000_000
    ticks = chunks[-1].ticks
    assert ticks is not None
    assert abs(int(ticks[0]) - time.monotonic_ns()) < 1_000_000_000


def check_stamps_go_on_over_a_reopening() -> None:
    device = camera()
    before = 0
    for _ in range(3):
        try:
            device.open()
            t_ns = stamps(frames(device, 3))
        finally:
            device.close()
        assert t_ns[0] > before
        before = int(t_ns[-1])


def check_every_colour_format_shows_the_same_picture() -> None:
    seen = {}
    for name in ("RGB3", "BGR3", "YUYV", "UYVY", "NV12", "GREY"):
        # vivid's first test pattern is eight upright colour bars.
        with opened(pixel_format=name) as device:
            chunk = frames(device, 2)[-1]
        assert chunk.data.shape == (1, 180, 320, 3), name
        assert chunk.data.dtype == np.uint8, name
        assert (chunk.raw is None) == (name == "RGB3"), name
        # Below the text that vivid writes into its frames, the middle of each bar.
        seen[name] = chunk.data[0, 150:170, 20::40].astype(float).mean(axis=0)
    for name in ("BGR3", "YUYV", "UYVY", "NV12"):
        worst = np.abs(seen[name] - seen["RGB3"]).max()
        assert worst < 16, f"{name} differs by {worst:.0f}: {seen[name].tolist()} from {seen['RGB3'].tolist()}"
    grey = seen["RGB3"] @ [0.299, 0.587, 0.114]
    assert np.corrcoef(seen["GREY"][:, 0], grey)[0, 1] > 0.98


def check_sixteen_bit_counts_are_depth() -> None:
    with opened(modality="depth", pixel_format="Y16", depth_unit_m=0.0001) as device:
        assert device.spec.unit == "m"
        chunk = frames(device, 1)[0]
    assert chunk.data.shape == (1, 180, 320)
    assert chunk.data.dtype == np.float32
    assert chunk.raw is not None
    assert chunk.raw.encoding == "16UC1"
    counts = chunk.raw.samples
    assert isinstance(counts, np.ndarray)
    assert counts.dtype == np.uint16
    assert counts.max() > 255
    holes = counts == 0
    assert np.isnan(chunk.data[holes]).all()
    assert np.allclose(chunk.data[~holes], counts[~holes] * 1e-4)


def check_dropped_frames_are_counted_and_marked() -> None:
    with opened() as device:
        frames(device, 5)
        before = device.counters["dropped_frames"]
        turn("percentage_of_dropped_buffers", 50)
        try:
            chunks = frames(device, 40, 30)
        finally:
            turn("percentage_of_dropped_buffers", 0)
        lost = device.counters["dropped_frames"] - before
    t_ns = stamps(chunks)
    missing = int(np.rint(np.diff(t_ns) / PERIOD_NS).sum()) - (len(chunks) - 1)
    assert lost > 10, lost
    assert abs(lost - missing) <= 5, f"{lost} by number, {missing} by time"
    for before_ns, chunk in zip(t_ns[:-1], chunks[1:], strict=True):
        if abs((chunk.t_ns[0] - before_ns) / PERIOD_NS - 1.5) > 0.3:
            assert chunk.gap_before == (chunk.t_ns[0] - before_ns > 1.5 * PERIOD_NS)


def check_a_damaged_buffer_is_dropped_and_counted() -> None:
    with opened() as device:
        frames(device, 3)
        turn("inject_v4l2_buf_flag_error", 1)
        chunks = frames(device, 15)
        assert device.counters["damaged_frames"] == 1, dict(device.counters)
    assert any(chunk.gap_before for chunk in chunks)


def check_old_frames_after_a_pause_keep_their_own_time() -> None:
    with opened() as device:
        before_ns = int(frames(device, 5)[-1].t_ns[0])
        lost = device.counters["dropped_frames"]
        time.sleep(1.5)
        chunks = frames(device, 12)
        lost = device.counters["dropped_frames"] - lost
    t_ns = stamps(chunks)
    assert (np.diff(np.concatenate([[before_ns], t_ns])) > 0).all()
    # The oldest were kept: the first follows what was read before the pause, and says when it was taken.
    assert t_ns[0] - before_ns < 4 * PERIOD_NS
    gaps = [k for k, chunk in enumerate(chunks) if chunk.gap_before]
    assert gaps
    assert gaps[-1] <= 5, "not more old frames than there are buffers"
    assert lost >= 20, lost


def check_silence_is_an_error_in_time() -> None:
    with opened(stall_timeout_s=1.5) as device:
        frames(device, 3)
        turn("percentage_of_dropped_buffers", 100)
        try:
            longest = 0.0

            def read() -> None:
                nonlocal longest
                began = time.monotonic()
                try:
                    device.read(0.1)
                finally:
                    longest = max(longest, time.monotonic() - began)

            words, took = fault(read)
        finally:
            turn("percentage_of_dropped_buffers", 0)
        assert "stalled" in words
        assert took < 4, took
        assert longest < 1.5, longest
        device.open()
        frames(device, 2)


def check_a_fatal_driver_error_is_seen_at_once() -> None:
    with opened(stall_timeout_s=20) as device:
        frames(device, 3)
        turn("inject_fatal_streaming_error", 1)
        words, took = fault(lambda: device.read(0.5))
        assert "opened again" in words
        assert took < 3, took
        device.open()
        frames(device, 2)


def check_a_disconnected_camera_is_seen_at_once() -> None:
    with opened(stall_timeout_s=20) as device:
        frames(device, 3)
        turn("disconnect", 1)
        words, took = fault(lambda: device.read(0.5))
        assert "unplugged" in words
        assert took < 3, took
        device.close()
        # vivid is back when the last user has let go.
        device.open()
        frames(device, 2)


def check_an_unplugged_camera_is_found_again_under_another_number() -> None:
    with opened(stall_timeout_s=20) as device:
        unplug_and_replug(device)


def unplug_and_replug(device: V4l2Camera) -> None:
    first_ns = int(frames(device, 3)[-1].t_ns[0])
    before = list_nodes()[0].node
    # While somebody holds the dead node open its number stays taken.
    held = os.open(before, os.O_RDWR)
    try:
        (DRIVER / "unbind").write_text("vivid.0")
        words, took = fault(lambda: device.read(0.5))
        assert "unplugged" in words
        assert took < 3, took
        assert "not attached" in fault(device.open)[0]
        (DRIVER / "bind").write_text("vivid.0")
        wait_until(lambda: any(one.card == "vivid" for one in list_nodes()), 10, "vivid's node")
        assert list_nodes()[0].node != before, "its number should have changed"
        device.open()
        assert frames(device, 3)[0].t_ns[0] > first_ns
    finally:
        os.close(held)


def check_a_second_opener_hears_who_holds_it() -> None:
    with opened(), opened_quietly() as second:
        words, _ = fault(second.open)
        assert "in use by" in words, words
        assert f"pid {os.getpid()}" in words, words


@contextmanager
def opened_quietly() -> Iterator[V4l2Camera]:
    device = camera()
    try:
        yield device
    finally:
        device.close()


def check_controls_are_set_and_read_back() -> None:
    with opened(controls={"brightness": 77, "test_pattern": "100% Colorbar"}, gain=42) as device:
        frames(device, 1)
        node = V4l2Node(list_nodes()[0].node)
        known = node.controls()
        assert node.get(known["brightness"]) == 77
        assert known["test_pattern"].menu[node.get(known["test_pattern"])] == "100% Colorbar"
        assert node.get(known["gain"]) == 42
        assert node.get(known["gain_automatic"]) == 0
        node.set(known["test_pattern"], 0)
        node.close()
    assert "0 to 255" in fault(camera(controls={"brightness": 999}).open)[0]
    assert "brightness" in fault(camera(controls={"brigthness": 1}).open)[0]
    assert "takes 0 (" in fault(camera(controls={"test_pattern": "nonsense"}).open)[0]


def check_a_size_or_rate_it_lacks_is_told() -> None:
    assert "320x180" in fault(camera(width=321).open)[0]
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Keep()
    logging.getLogger("devices.v4l2_source").addHandler(handler)
    with opened(rate_hz=17) as device:
        assert device.spec.rate_hz != 17
        assert len([line for line in told if "wanted 17 frames/s" in line]) == 1, told


def check_it_is_discovered_with_its_formats() -> None:
    found = V4l2Camera.discover()
    assert [one.name for one in found] == ["vivid"], found
    one = found[0]
    assert one.modality == "vision"
    assert any(line.startswith("YUYV 640x360") for line in one.formats), one.formats
    device = V4l2Camera(V4l2CameraConfig.model_validate(one.config), "cam", SystemClock())
    try:
        device.open()
        frames(device, 1)
    finally:
        device.close()
    assert V4l2Camera.discover(probe=False)


if __name__ == "__main__":
    import sys
    import traceback

    failed = 0
    for name, check in list(globals().items()):
        if name.startswith("check_") and (len(sys.argv) < 2 or sys.argv[1] in name):
            began = time.monotonic()
            try:
                check()
                print(f"ok   {name} {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
    sys.exit(bool(failed))

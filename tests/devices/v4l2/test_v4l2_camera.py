"""The camera driver on a kernel that can do everything wrong. Nothing sleeps: waiting moves the manual clock."""

from __future__ import annotations

import errno
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from devices.base import Counting, Device, Discoverable
from devices.v4l2_camera import V4l2Camera, V4l2CameraConfig
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

PERIOD_NS = 1e9 / 30


def build(bench: Any, **settings: Any) -> V4l2Camera:
    config = {"device": "serial:SN1", **settings}
    return V4l2Camera(V4l2CameraConfig.model_validate(config), "cam", bench.clock)


def small(cams: Any, **settings: Any) -> Any:
    """A camera of 320x240 YUYV frames that show their number."""
    formats = {"YUYV": {(320, 240): [30.0]}}
    return cams.Camera(**{"formats": formats, "picture": cams.yuyv(320, 240), **settings})


SMALL = {"width": 320, "height": 240}


def frames(device: V4l2Camera, n: int) -> list[Chunk]:
    found = []
    for _ in range(10 * n):
        chunk = device.read(0.2)
        if chunk is not None:
            found.append(chunk)
        if len(found) == n:
            return found
    raise AssertionError(f"{len(found)} of {n} frames")


def read_in_vain(device: V4l2Camera) -> None:
    """Read until something is raised."""
    for _ in range(100):
        assert device.read(0.2) is None


def numbers(chunks: list[Chunk]) -> list[int]:
    """Which frames these are, from their brightness (16 + number, video range)."""
    return [round(int(c.data[0, 0, 0, 0]) * 219 / 255) for c in chunks]


@pytest.fixture
def device(bench: Any, cams: Any) -> Any:
    bench.plug(small(cams))
    made = build(bench, **SMALL)
    yield made
    made.close()


def test_it_is_a_device_that_counts_and_can_be_discovered(device: V4l2Camera) -> None:
    assert isinstance(device, Device)
    assert isinstance(device, Counting)
    assert isinstance(device, Discoverable)


def test_frames_come_one_by_one_with_the_kernels_time(device: V4l2Camera, bench: Any) -> None:
    assert device.spec.shape == (240, 320, 3)
    assert device.spec.domain == "kernel"
    device.open()
    began_ns = bench.clock.unix_ns()
    chunks = frames(device, 5)
    assert numbers(chunks) == [0, 1, 2, 3, 4]
    for k, chunk in enumerate(chunks):
        assert chunk.data.shape == (1, 240, 320, 3)
        assert chunk.data.dtype == np.uint8
        assert abs(chunk.t_ns[0] - (began_ns + (k + 1) * PERIOD_NS)) < 2000, "the kernel has microseconds"
        assert chunk.ticks is not None
        assert chunk.t_ns[0] - chunk.ticks[0] == bench.clock.unix_ns() - bench.clock.monotonic_ns()
        assert chunk.clock.domain == "kernel"
        assert not chunk.gap_before
        assert chunk.raw is not None
        assert chunk.raw.encoding == "yuyv"
        assert np.asarray(chunk.raw.samples).shape == (1, 240, 320, 2)
    assert device.counters["dropped_frames"] == 0


def test_the_time_is_the_kernels_however_late_it_is_read(device: V4l2Camera, bench: Any) -> None:
    device.open()
    began_ns = bench.clock.unix_ns()
    bench.clock.advance(0.09)
    first, second = frames(device, 2)
    assert abs(first.t_ns[0] - (began_ns + PERIOD_NS)) < 2000
    assert abs(second.t_ns[0] - (began_ns + 2 * PERIOD_NS)) < 2000


def test_a_read_lasts_no_longer_than_it_may(device: V4l2Camera, bench: Any, cams: Any) -> None:
    device.open()
    frames(device, 1)
    bench.nodes["video0"].silent = True
    for timeout_s in (0.0, 0.05, 0.5):
        before_ns = bench.clock.monotonic_ns()
        assert device.read(timeout_s) is None
        assert timeout_s * 1e9 <= bench.clock.monotonic_ns() - before_ns <= timeout_s * 1e9 + 2e6


def test_a_jump_in_the_numbering_is_counted_and_marked(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, lost={2, 3, 7}))
    device = build(bench, **SMALL)
    device.open()
    chunks = frames(device, 8)
    assert numbers(chunks) == [0, 1, 4, 5, 6, 8, 9, 10]
    assert [c.gap_before for c in chunks] == [False, False, True, False, False, True, False, False]
    assert device.counters["dropped_frames"] == 3
    device.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lost=st.sets(st.integers(1, 60)), damaged=st.sets(st.integers(1, 60)))
def test_whatever_is_lost_every_frame_is_good_counted_or_still_to_come(
    bench: Any, cams: Any, lost: set[int], damaged: set[int]
) -> None:
    bench.nodes.clear()
    if (bench.root / "sys/class/video4linux/video0").is_symlink():
        (bench.root / "sys/class/video4linux/video0").unlink()
    bench.plug(small(cams, lost=lost, damaged=damaged))
    device = build(bench, **SMALL)
    device.open()
    chunks = frames(device, 70)
    device.close()
    seen = numbers(chunks)
    assert seen == [k for k in range(seen[-1] + 1) if k not in lost | damaged]
    assert device.counters["dropped_frames"] == len(lost)
    assert device.counters["damaged_frames"] == len(damaged - lost)
    for before, after, chunk in zip(seen[:-1], seen[1:], chunks[1:], strict=True):
        assert chunk.gap_before == (after != before + 1)


def test_frames_the_driver_marks_as_damaged_are_dropped(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, damaged={1}))
    device = build(bench, **SMALL)
    device.open()
    chunks = frames(device, 3)
    assert numbers(chunks) == [0, 2, 3]
    assert [c.gap_before for c in chunks] == [False, True, False]
    assert dict(device.counters) == {"dropped_frames": 0, "damaged_frames": 1}
    device.close()


def test_old_frames_after_a_pause_keep_their_time_and_what_is_missing_is_told(device: V4l2Camera, bench: Any) -> None:
    device.open()
    before = frames(device, 3)
    bench.clock.advance(1.0)
    after = frames(device, 8)
    # The kernel keeps the oldest: as many as there are buffers, then nothing until they are read.
    assert numbers(after)[:4] == [3, 4, 5, 6]
    steps = np.diff([int(c.t_ns[0]) for c in before + after])
    assert (steps > 0).all()
    gaps = [k for k, chunk in enumerate(after) if chunk.gap_before]
    assert gaps == [4]
    lost = numbers(after)[4] - 7
    assert device.counters["dropped_frames"] == lost > 20
    assert steps[2 + 4] == pytest.approx((lost + 1) * PERIOD_NS, abs=3000)


def test_a_pause_of_the_reader_is_no_silence_of_the_camera(device: V4l2Camera, bench: Any) -> None:
    device.open()
    frames(device, 1)
    bench.clock.advance(60)
    assert device.read(0.1) is not None


def test_stamps_a_frame_ahead_are_as_good(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, stamp_ahead_ns=33_000_000))
    device = build(bench, **SMALL)
    device.open()
    for _ in range(5):
        (chunk,) = frames(device, 1)
        assert 0 < chunk.t_ns[0] - bench.clock.unix_ns() < 34_000_000
    assert device.counters["dropped_frames"] == 0
    device.close()


@pytest.mark.parametrize("ahead_ns", [5 * 10**9, 10**18, -(10**15)])
def test_stamps_of_another_clock_are_refused_and_told(bench: Any, cams: Any, ahead_ns: int) -> None:
    bench.plug(small(cams, stamp_ahead_ns=ahead_ns))
    device = build(bench, **SMALL)
    device.open()
    with pytest.raises(DeviceError, match="stamps"):
        read_in_vain(device)
    assert device.counters["bad_stamps"] > 10
    device.close()
    later = build(bench, **SMALL, time="arrival")
    later.open()
    assert frames(later, 1)[0].clock.domain == "host"
    later.close()


@pytest.mark.parametrize("step_ns", [-40_000_000, -round(PERIOD_NS)])
def test_a_stamp_that_steps_back_or_stands_still_is_refused(step_ns: int, bench: Any, cams: Any) -> None:
    camera = small(cams)

    def slip(number: int) -> bytes:
        camera.stamp_ahead_ns = step_ns if number == 3 else 0
        return cams.yuyv(320, 240)(number)  # type: ignore[no-any-return]

    camera.picture = slip
    bench.plug(camera)
    device = build(bench, **SMALL)
    device.open()
    chunks = frames(device, 5)
    device.close()
    assert numbers(chunks) == [0, 1, 2, 4, 5]
    assert chunks[3].gap_before
    assert device.counters["bad_stamps"] == 1
    assert (np.diff([int(chunk.t_ns[0]) for chunk in chunks]) > 0).all()


def test_a_driver_without_stamps_is_stamped_on_arrival(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, stamp_flags=cams.UNKNOWN))
    device = build(bench, **SMALL)
    device.open()
    assert device.spec.domain == "host"
    began_ns = bench.clock.unix_ns()
    chunks = frames(device, 4)
    assert {c.clock.domain for c in chunks} == {"host"}
    assert all(c.ticks is None for c in chunks)
    for k, chunk in enumerate(chunks):
        assert abs(chunk.t_ns[0] - (began_ns + (k + 1) * PERIOD_NS)) < 3e6
    # What waited while nobody read is of unknown age: never delivered as if it were new.
    bench.clock.advance(1.0)
    resumed_ns = bench.clock.unix_ns()
    fresh = frames(device, 2)
    assert fresh[0].gap_before
    assert device.counters["stale_frames"] == 4
    assert numbers(fresh)[0] >= 34
    assert fresh[0].t_ns[0] >= resumed_ns
    device.close()


def test_stamps_tell_how_unsteady_they_are(bench: Any, cams: Any) -> None:
    steady = small(cams)
    bench.plug(steady)
    device = build(bench, **SMALL)
    device.open()
    errors = [chunk.clock.err_ns for chunk in frames(device, 50)]
    assert errors[:2] == [1_000_000, 1_000_000], "before anything is known"
    assert max(errors[2:]) < 2000
    random = np.random.default_rng(3)

    def shaken(number: int) -> bytes:
        steady.stamp_ahead_ns = round(random.normal(0, 2e6))
        return cams.yuyv(320, 240)(number)  # type: ignore[no-any-return]

    steady.picture = shaken
    last = frames(device, 400)[-1]
    assert 1e6 < last.clock.err_ns < 4e6, "2 ms of jitter"
    device.close()


def test_silence_is_an_error_and_the_camera_comes_back(device: V4l2Camera, bench: Any) -> None:
    device.open()
    frames(device, 2)
    bench.nodes["video0"].silent = True
    before_ns = bench.clock.monotonic_ns()
    with pytest.raises(DeviceError, match="stalled: no frame for 2 s") as caught:
        read_in_vain(device)
    assert not caught.value.permanent
    assert 2e9 <= bench.clock.monotonic_ns() - before_ns < 2.5e9
    bench.nodes["video0"].silent = False
    device.open()
    assert len(frames(device, 2)) == 2


def test_nothing_but_damage_is_an_error_too(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, damaged=set(range(1, 1000))))
    device = build(bench, **SMALL)
    device.open()
    frames(device, 1)
    with pytest.raises(DeviceError, match="delivers nothing but frames that the driver itself marks as damaged"):
        read_in_vain(device)
    device.close()


def test_one_damaged_frame_after_a_long_pause_is_no_stall(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, damaged={1, 2}))
    device = build(bench, **SMALL)
    device.open()
    frames(device, 1)
    bench.clock.advance(30)
    assert device.read(0.2) is not None
    device.close()


@pytest.mark.parametrize(("what", "words"), [("unplugged", "was unplugged"), ("broken", "failed: the driver ended")])
def test_a_camera_that_dies_is_seen_at_once(what: str, words: str, device: V4l2Camera, bench: Any) -> None:
    device.open()
    frames(device, 2)
    setattr(bench.nodes["video0"], what, True)
    before_ns = bench.clock.monotonic_ns()
    with pytest.raises(DeviceError, match=words):
        device.read(1.0)
    assert bench.clock.monotonic_ns() - before_ns < 1e6
    device.close()
    device.close()


def test_a_camera_unplugged_while_its_buffer_goes_back_is_an_error(device: V4l2Camera, bench: Any, cams: Any) -> None:
    device.open()
    camera = bench.nodes["video0"]

    frames(device, 1)
    real = bench.kernel._qbuf

    def gone(handle: Any, view: memoryview) -> int:
        return errno.ENODEV if camera.card == "Test Cam" else real(handle, view)

    bench.kernel._qbuf = gone
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(1.0)


@pytest.mark.parametrize("address", ["by_id", "serial:SN1", "card:Test Cam"])
def test_a_camera_is_found_again_under_another_number_and_time_goes_on(address: str, bench: Any, cams: Any) -> None:
    camera = small(cams)
    by_id = bench.plug(camera, 0)
    device = build(bench, **SMALL, device=by_id if address == "by_id" else address)
    device.open()
    before = frames(device, 3)[-1].t_ns[0]
    bench.unplug(0)
    with pytest.raises(DeviceError, match="unplugged"):
        device.read(0.2)
    device.close()
    for _ in range(3):
        with pytest.raises(DeviceError, match="not attached") as caught:
            device.open()
        assert not caught.value.permanent
    bench.plug(small(cams, card="Intruder", serial="SN9", socket="usb-9"), 0)
    bench.plug(camera, 1)
    device.open()
    after = frames(device, 2)
    assert after[0].t_ns[0] > before
    assert numbers(after) == [0, 1]
    device.close()


def test_a_read_before_open_or_after_close_says_so(device: V4l2Camera) -> None:
    for _ in range(2):
        with pytest.raises(DeviceError, match="open the device first"):
            device.read(0.0)
        device.open()
        device.close()


# -- setting up ---------------------------------------------------------------


def failure(bench: Any, **settings: Any) -> DeviceError:
    device = build(bench, **settings)
    with pytest.raises(DeviceError) as caught:
        device.open()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("v4l2_camera serial:SN1: ")
    return caught.value


def test_the_uncompressed_format_is_taken_where_it_is_fast_enough(bench: Any, cams: Any) -> None:
    formats = {
        "MJPG": {(640, 480): [30.0], (1280, 720): [30.0]},
        "YUYV": {(640, 480): [30.0], (1280, 720): [10.0]},
    }
    camera = cams.Camera(formats=formats, picture=cams.yuyv(640, 480))
    bench.plug(camera)
    device = build(bench)
    device.open()
    assert frames(device, 1)[0].raw.encoding == "yuyv"  # type: ignore[union-attr]
    device.close()
    camera.picture = cams.jpeg(1280, 720)
    device = build(bench, width=1280, height=720)
    device.open()
    chunk = frames(device, 1)[0]
    device.close()
    assert chunk.raw is not None
    assert chunk.raw.encoding == "jpeg"
    sent = chunk.raw.samples[0]
    assert isinstance(sent, bytes)
    assert sent == camera.picture(0), "the camera's own bytes, to the last"
    assert np.abs(chunk.data[0, 300, 300].astype(int) - (240, 20, 10)).max() < 8, "red first"


def test_a_corrupt_jpeg_is_counted_and_leaves_a_gap(bench: Any, cams: Any) -> None:
    good = cams.jpeg(320, 240)
    formats = {"MJPG": {(320, 240): [30.0]}}
    bench.plug(cams.Camera(formats=formats, picture=lambda n: good(n)[:-400] if n == 2 else good(n)))
    device = build(bench, **SMALL)
    device.open()
    chunks = frames(device, 4)
    assert [c.gap_before for c in chunks] == [False, False, True, False]
    assert device.counters["bad_jpeg"] == 1
    device.close()


def test_a_short_frame_is_counted_and_leaves_a_gap(bench: Any, cams: Any) -> None:
    good = cams.yuyv(320, 240)
    bench.plug(small(cams, picture=lambda n: good(n)[:-2] if n == 1 else good(n)))
    device = build(bench, **SMALL)
    device.open()
    assert numbers(frames(device, 2)) == [0, 2]
    assert device.counters["short_frames"] == 1
    device.close()


def test_a_size_the_camera_lacks_is_refused_with_those_it_has(bench: Any, cams: Any) -> None:
    bench.plug(cams.Camera())
    error = failure(bench, width=800, height=600)
    assert error.permanent
    assert "800x600" in str(error)
    assert "YUYV 640x480, 320x240; MJPG 1280x720" in str(error)
    assert "does not offer 640x480 as MJPG" in str(failure(bench, pixel_format="MJPG"))


def test_a_driver_that_gives_another_size_or_format_is_refused(bench: Any, cams: Any) -> None:
    camera = small(cams, gives=("YUYV", 352, 288))
    bench.plug(camera)
    error = failure(bench, **SMALL)
    assert error.permanent
    assert "wanted YUYV 320x240, the driver gives YUYV 352x288; it offers YUYV 320x240" in str(error)
    camera.gives = ("MJPG", 320, 240)
    assert "the driver gives MJPG 320x240" in str(failure(bench, **SMALL))


def test_sizes_may_be_a_range(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, ranges=(16, 1920, 16, 16, 1080, 2)))
    device = build(bench, **SMALL)
    device.open()
    assert len(frames(device, 1)) == 1
    device.close()
    assert "16x16 to 1920x1080" in str(failure(bench, width=321, height=240))


def test_another_rate_is_told_once_with_what_it_means(bench: Any, cams: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench.plug(small(cams, formats={"YUYV": {(320, 240): [25.0, 10.0]}}))
    device = build(bench, **SMALL)
    assert device.spec.rate_hz == 30, "known before opening: what was wanted"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            device.open()
            device.close()
    assert device.spec.rate_hz == 25
    assert len(caplog.records) == 1
    assert "wanted 30 frames/s, the camera gives 25; set rate_hz: 25" in caplog.text
    assert "it offers 25, 10 at YUYV 320x240" in caplog.text


def test_a_rate_within_rounding_is_not_worth_a_word(bench: Any, cams: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench.plug(small(cams))
    device = build(bench, **SMALL, rate_hz=29.97)
    with caplog.at_level(logging.WARNING):
        device.open()
        device.close()
    assert not caplog.records


def test_lines_with_padding_are_read_right(bench: Any, cams: Any) -> None:
    rows = cams.yuyv(320, 240)(0)
    padded = b"".join(rows[at : at + 640] + b"\xff" * 24 for at in range(0, len(rows), 640))
    bench.plug(small(cams, padding=24, picture=lambda n: padded))
    device = build(bench, **SMALL)
    device.open()
    picture = frames(device, 1)[0].data
    assert (picture == picture[0, 0, 0, 0]).all()
    device.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stream_errno": errno.ENOSPC}, ["bandwidth", "pixel_format: MJPG", "smaller size", "another USB controller"]),
        ({"stream_errno": errno.EBUSY}, ["/dev/video0 is in use by ffmpeg (pid 4711)"]),
        ({"format_errno": errno.EBUSY}, ["/dev/video0 is in use by ffmpeg (pid 4711)"]),
        ({"open_errno": errno.EACCES}, ["no permission for /dev/video0", "usermod -aG video"]),
        ({"stream_errno": errno.EIO}, ["cannot be opened", "unplug it and plug it in"]),
        ({"stream_errno": errno.ENODEV}, ["unplugged while it was opened"]),
    ],
)
def test_what_the_kernel_refuses_is_said_in_a_sentence(
    settings: dict[str, int], words: list[str], bench: Any, cams: Any
) -> None:
    bench.plug(small(cams, **settings))
    bench.hold(0, "ffmpeg", 4711)
    error = failure(bench, **SMALL)
    assert not error.permanent
    for word in words:
        assert word in str(error)


def test_two_streams_cannot_share_one_camera(bench: Any, cams: Any) -> None:
    bench.plug(small(cams))
    first, second = build(bench, **SMALL), build(bench, **SMALL)
    first.open()
    with pytest.raises(DeviceError, match="in use by another program"):
        second.open()
    assert len(frames(first, 2)) == 2
    first.close()
    second.open()
    second.close()


def webcam(cams: Any) -> list[Any]:
    modes = {1: "Manual Mode", 3: "Aperture Priority Mode"}
    return [
        cams.Knob(0x00980900, "Brightness", 128),
        cams.Knob(0x0098090C, "White Balance, Automatic", 1, high=1, kind=2),
        cams.Knob(0x00980913, "Gain", 10, high=100),
        cams.Knob(0x00980918, "Power Line Frequency", 2, high=2, kind=3, menu={0: "Disabled", 1: "50 Hz", 2: "60 Hz"}),
        cams.Knob(0x009A0901, "Auto Exposure", 3, high=3, kind=3, menu=modes),
        cams.Knob(0x009A0902, "Exposure Time, Absolute", 250, low=3, high=2047),
        cams.Knob(0x009A090A, "Focus, Absolute", 0, step=5),
    ]


def test_exposure_gain_and_controls_are_set(bench: Any, cams: Any, caplog: pytest.LogCaptureFixture) -> None:
    camera = small(cams, knobs=webcam(cams))
    bench.plug(camera)
    wanted = {"white_balance_automatic": False, "power_line_frequency": "50 hz", "brightness": 99}
    device = build(bench, **SMALL, exposure_ms=8.3, gain=42, controls=wanted)
    with caplog.at_level(logging.WARNING):
        device.open()
    device.close()
    assert {knob.name: knob.value for knob in camera.knobs} == {
        "Brightness": 99,
        "White Balance, Automatic": 0,
        "Gain": 42,
        "Power Line Frequency": 1,
        "Auto Exposure": 1,
        "Exposure Time, Absolute": 83,
        "Focus, Absolute": 0,
    }
    assert not caplog.records
    device = build(bench, **SMALL, exposure_ms="auto")
    device.open()
    device.close()
    assert camera.knobs[4].value == 3, "this camera knows aperture priority as its automatic"


def test_a_value_the_camera_rounds_is_told(bench: Any, cams: Any, caplog: pytest.LogCaptureFixture) -> None:
    bench.plug(small(cams, knobs=webcam(cams)))
    with caplog.at_level(logging.WARNING):
        device = build(bench, **SMALL, controls={"focus_absolute": 13})
        device.open()
        device.close()
    assert "controls.focus_absolute: wanted 13, the camera took 10" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"exposure_ms": 500.0}, "exposure_ms: found 5000; the camera takes 3 to 2047 in steps of 1 (in 0.1 ms)"),
        ({"gain": 101}, "gain: found 101; the camera takes 0 to 100"),
        ({"controls": {"brigthness": 1}}, "controls.brigthness: the camera has no such setting; it has brightness, "),
        ({"controls": {"power_line_frequency": "400 Hz"}}, "takes 0 (Disabled), 1 (50 Hz), 2 (60 Hz)"),
        ({"controls": {"auto_exposure": 0}}, "found 0; the camera takes 1 (Manual Mode), 3 (Aperture"),
        ({"controls": {"brightness": "bright"}}, "found 'bright'; the camera takes 0 to 255"),
    ],
)
def test_a_setting_the_camera_cannot_take_is_an_error(
    wanted: dict[str, Any], words: str, bench: Any, cams: Any
) -> None:
    bench.plug(small(cams, knobs=webcam(cams)))
    error = failure(bench, **SMALL, **wanted)
    assert words in str(error)
    assert error.permanent


def test_a_setting_an_automatic_mode_holds_is_told(bench: Any, cams: Any) -> None:
    bench.plug(small(cams, knobs=[cams.Knob(0x0098091A, "White Balance Temperature", 4000, high=9000, flags=0x10)]))
    error = failure(bench, **SMALL, controls={"white_balance_temperature": 5000})
    assert "an automatic mode may be in charge" in str(error)


def test_a_camera_without_exposure_or_gain_says_so(bench: Any, cams: Any) -> None:
    bench.plug(small(cams))
    assert "no exposure time that can be set" in str(failure(bench, **SMALL, exposure_ms=5.0))
    assert "no automatic exposure that can be set" in str(failure(bench, **SMALL, exposure_ms="auto"))
    assert "gain: the camera has no such setting" in str(failure(bench, **SMALL, gain=1))


# -- depth --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "unit_m"), [("Z16 ", 0.001), ("Z16 ", 0.0001), ("Y16 ", 0.00025)])
def test_depth_is_metres_and_the_counts_are_kept(name: str, unit_m: float, bench: Any, cams: Any) -> None:
    values = np.array([[0, 1, 1000, 65535]], "<u2").repeat(120, 0).repeat(40, 1)
    formats = {name: {(160, 120): [30.0]}, "GREY": {(160, 120): [30.0]}}
    bench.plug(cams.Camera(formats=formats, picture=lambda n: values.tobytes(), padding=0))
    device = build(bench, modality="depth", width=160, height=120, depth_unit_m=unit_m)
    assert (device.spec.unit, device.spec.shape, device.spec.dtype) == ("m", (120, 160), "float32")
    device.open()
    chunk = frames(device, 1)[0]
    device.close()
    assert chunk.data.dtype == np.float32
    assert np.isnan(chunk.data[0, :, :40]).all(), "0 is no measurement"
    assert not np.isnan(chunk.data[0, :, 40:]).any()
    assert chunk.data[0, 0, 80] == pytest.approx(1000 * unit_m)
    assert chunk.data[0, 0, 159] == pytest.approx(65535 * unit_m)
    assert chunk.raw is not None
    assert chunk.raw.encoding == "16UC1"
    assert (chunk.raw.scale, chunk.raw.offset) == (unit_m, 0.0)
    assert np.array_equal(np.asarray(chunk.raw.samples)[0], values)


def test_a_colour_camera_is_no_depth_camera(bench: Any, cams: Any) -> None:
    bench.plug(small(cams))
    error = failure(bench, **SMALL, modality="depth", depth_unit_m=0.001)
    assert "does not offer 320x240 as Z16, Y16; it offers only YUYV" in str(error)


# -- configuration ------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"modality": "depth"}, "depth_unit_m is needed"),
        ({"depth_unit_m": 0.001}, "modality depth"),
        ({"pixel_format": "Z16"}, "carries no vision"),
        ({"modality": "depth", "depth_unit_m": 0.001, "pixel_format": "MJPG"}, "carries no depth"),
        ({"exposure_ms": -1.0}, "above 0"),
        ({"exposure_ms": "manual"}, "auto"),
        ({"rate_hz": 0.5}, "two frames"),
        ({"device": "0"}, "by-id"),
        ({"device": 0}, "string"),
        ({"buffers": 1}, "2"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        V4l2CameraConfig.model_validate({"device": "serial:1", **settings})


def test_depth_units_have_no_default_since_makers_differ_by_ten() -> None:
    assert V4l2CameraConfig.model_fields["depth_unit_m"].default is None

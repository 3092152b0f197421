from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_bind.adjust import Adjust
from stream_bind.errors import ConfigError
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, StreamSpec

CAMERA = StreamSpec("cam", "vision", 30, (2, 3, 3), "uint8", "rgb8")
DEPTH = StreamSpec("tof", "depth", 30, (2, 3), "float32", "m")
SOUND = StreamSpec("mic", "audio", 48_000, (2,), "float32", "full_scale", axes=("left", "right"))
IMU = StreamSpec("imu", "imu", 200, (6,), "float32", "si", axes=IMU_AXES)
ACCEL = StreamSpec("imu", "imu", 200, (3,), "float32", "si", axes=IMU_AXES[:3])


def chunk(data: Any, dtype: Any = np.float32) -> Chunk:
    array = np.asarray(data, dtype)
    return Chunk(array, np.arange(len(array), dtype=np.int64) * 1000 + 10**18, True, ClockInfo("device", 7))


def test_without_settings_the_chunk_passes_untouched():
    for spec in (CAMERA, DEPTH, SOUND, IMU):
        adjust = Adjust(spec, wanted_axes=IMU_AXES if spec is IMU else ())
        given = chunk(np.zeros((1, *spec.shape)), spec.dtype)
        assert adjust.spec == spec
        assert adjust.apply(given) is given


def test_the_delay_is_subtracted_from_every_stamp_and_all_else_kept():
    given = chunk(np.zeros((3, 2, 3, 3)), np.uint8)
    out = Adjust(CAMERA, delay_ms=33.5).apply(given)
    assert (given.t_ns - out.t_ns).tolist() == [33_500_000] * 3
    assert (out.gap_before, out.clock) == (True, ClockInfo("device", 7))
    assert np.shares_memory(out.data, given.data)


@pytest.mark.parametrize(
    ("rotate_deg", "flip", "wanted"),
    [
        (0, None, [[1, 2, 3], [4, 5, 6]]),
        (90, None, [[4, 1], [5, 2], [6, 3]]),  # clockwise
        (180, "none", [[6, 5, 4], [3, 2, 1]]),
        (270, None, [[3, 6], [2, 5], [1, 4]]),
        (0, "horizontal", [[3, 2, 1], [6, 5, 4]]),
        (0, "vertical", [[4, 5, 6], [1, 2, 3]]),
        (0, "both", [[6, 5, 4], [3, 2, 1]]),
        (90, "horizontal", [[1, 4], [2, 5], [3, 6]]),
    ],
)
def test_frames_are_turned_clockwise_then_mirrored_without_copying(rotate_deg, flip, wanted):
    frame = np.array([[1, 2, 3], [4, 5, 6]])
    adjust = Adjust(DEPTH, rotate_deg=rotate_deg, flip=flip)
    given = chunk([frame, frame + 10])
    out = adjust.apply(given).data
    assert out.tolist() == [wanted, (np.array(wanted) + 10).tolist()]
    assert adjust.spec.shape == out.shape[1:]
    assert np.shares_memory(out, given.data)
    colour = Adjust(CAMERA, rotate_deg=rotate_deg, flip=flip)
    out = colour.apply(chunk(np.repeat(frame[None, :, :, None], 3, axis=3), np.uint8)).data
    assert out[0, :, :, 1].tolist() == wanted
    assert colour.spec.shape == out.shape[1:]


def test_a_shape_known_only_when_open_stays_open():
    spec = StreamSpec("cam", "vision", 30, (-1, 640, 3), "uint8", "rgb8")
    assert Adjust(spec, rotate_deg=90).spec.shape == (640, -1, 3)


def test_one_channel_is_a_view_and_the_mean_is_of_all():
    given = chunk([[1, 3], [2, 6]])
    right = Adjust(SOUND, channel=1)
    assert right.apply(given).data.tolist() == [[3], [6]]
    assert np.shares_memory(right.apply(given).data, given.data)
    assert (right.spec.shape, right.spec.axes) == ((1,), ("right",))
    for mean in ("mean", "mix"):
        both = Adjust(SOUND, channel=mean)
        out = both.apply(given).data
        assert (out.tolist(), out.dtype) == ([[2], [4]], np.float32)
        assert (both.spec.shape, both.spec.axes) == ((1,), ())
    assert Adjust(SOUND).apply(given) is given


def test_a_channel_that_does_not_exist_is_named_before_and_after_opening():
    with pytest.raises(ConfigError, match=r"mic: channel wants one below the 2 there are, counted from 0; found 2"):
        Adjust(SOUND, channel=2)
    unknown = StreamSpec("mic", "audio", 48_000, (-1,), "float32", "full_scale")
    with pytest.raises(ConfigError, match="found 2"):
        Adjust(unknown, channel=2).apply(chunk([[1, 3]]))


@pytest.mark.parametrize("axes", [{"x": "-y", "y": "x", "z": "z"}, ["-y", "x", "z"], ("-y", "+x", "z")])
def test_axes_are_mapped_alike_for_acceleration_and_rate(axes):
    out = Adjust(IMU, axes=axes).apply(chunk([[1, 2, 3, 4, 5, 6]]))
    assert out.data.tolist() == [[-2, 1, 3, -5, 4, 6]]
    assert out.data.dtype == np.float32


def test_mounting_turns_after_the_axes():
    quarter_about_z = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned = Adjust(IMU, mounting=quarter_about_z).apply(chunk([[1, 0, 9.81, 0, 1, 2]])).data
    assert turned == pytest.approx(np.array([[0, 1, 9.81, -1, 0, 2]]))
    angles = Adjust(IMU, mounting=[0, 0, 90]).apply(chunk([[1, 0, 9.81, 0, 1, 2]])).data
    assert angles == pytest.approx(turned, abs=1e-6)
    both = Adjust(IMU, axes=["y", "-x", "z"], mounting=quarter_about_z).apply(chunk([[1, 2, 3, 4, 5, 6]])).data
    assert both == pytest.approx(np.array([[1, 2, 3, 4, 5, 6]]))
    both = Adjust(ACCEL, axes=["y", "z", "x"], mounting=quarter_about_z).apply(chunk([[1, 2, 3]])).data
    assert both == pytest.approx(np.array([[-3, 2, 1]]))


def test_roll_comes_before_pitch_before_yaw():
    # Down along body x after a pitch of 90 degrees; the roll before it turns about the axis itself.
    out = Adjust(ACCEL, mounting=[90, 90, 0]).apply(chunk([[0, 1, 0]])).data
    assert out == pytest.approx(np.array([[1, 0, 0]]), abs=1e-6)


def test_a_matrix_typed_with_three_digits_becomes_the_nearest_rotation():
    out = Adjust(ACCEL, mounting=[[0.707, -0.707, 0], [0.707, 0.707, 0], [0, 0, 1]]).apply(chunk([[3, 4, 12]])).data
    assert np.linalg.norm(out) == pytest.approx(13)


def test_columns_come_in_the_order_the_encoder_wants():
    wanted = ("gyro_z", "accel_x", "gyro_x")
    adjust = Adjust(IMU, wanted_axes=wanted)
    assert adjust.apply(chunk([[1, 2, 3, 4, 5, 6]])).data.tolist() == [[6, 1, 4]]
    assert (adjust.spec.axes, adjust.spec.shape) == (wanted, (3,))


def test_lacking_axes_are_refused_unless_zero_is_asked_for():
    with pytest.raises(
        ConfigError, match=r"needs gyro_x, gyro_y, gyro_z, the sensor delivers accel_x.*missing_axes: zero"
    ):
        Adjust(ACCEL, wanted_axes=IMU_AXES)
    adjust = Adjust(ACCEL, wanted_axes=IMU_AXES, missing_axes="zero")
    assert adjust.apply(chunk([[1, 2, 3]])).data.tolist() == [[1, 2, 3, 0, 0, 0]]
    assert adjust.spec.axes == IMU_AXES


def test_an_axis_that_a_rotation_would_make_of_lacking_ones_is_lacking():
    flat = StreamSpec("imu", "imu", 200, (2,), "float32", "si", axes=("accel_x", "accel_y"))
    assert Adjust(flat, axes=["-y", "x", "z"]).spec.axes == ("accel_x", "accel_y")
    tilted = Adjust(flat, mounting=[0, 45, 0], wanted_axes=IMU_AXES[:3], missing_axes="zero")
    assert tilted.apply(chunk([[1, 2]])).data.tolist() == [[0, 2, 0]]


@pytest.mark.parametrize(
    ("spec", "wrong", "says"),
    [
        (CAMERA, {"rotate_deg": 45}, "cam: rotate_deg wants 0, 90, 180 or 270; found 45"),
        (CAMERA, {"flip": "sideways"}, "flip wants none, horizontal, vertical or both; found sideways"),
        (CAMERA, {"channel": 0}, "channel wants a stream of modality audio; found vision"),
        (CAMERA, {"axes": ["x", "y", "z"]}, "wants a stream of modality imu; found vision"),
        (SOUND, {"rotate_deg": 90}, "rotate_deg and flip wants a stream of frames; found audio"),
        (SOUND, {"channel": "left"}, "channel wants a number from 0, or mean; found left"),
        (SOUND, {"channel": -1}, "found -1"),
        (SOUND, {"channel": True}, "found True"),
        (IMU, {"missing_axes": "drop"}, "missing_axes wants error or zero; found drop"),
        (IMU, {"axes": {"x": "y"}}, "axes wants for each of x, y, z one sensor axis"),
        (IMU, {"axes": ["x", "y"]}, "axes wants"),
        (IMU, {"axes": ["x", "y", "z", "x"]}, "axes wants"),
        (IMU, {"axes": ["x", "y", "-y"]}, "axes wants"),
        (IMU, {"axes": ["x", "y", "w"]}, "axes wants"),
        (IMU, {"axes": ["x", "y", ""]}, "axes wants"),
        (IMU, {"axes": ["x", "y", "--z"]}, "axes wants"),
        (IMU, {"mounting": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "proper rotation.*determinant -1"),
        (IMU, {"mounting": [[2, 0, 0], [0, 1, 0], [0, 0, 0.5]]}, "mounting wants 3 rows of 3"),
        (IMU, {"mounting": [1, 2]}, "mounting wants"),
        (IMU, {"mounting": "up"}, "mounting wants"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_what_was_wanted(spec, wrong, says):
    with pytest.raises(ConfigError, match=says):
        Adjust(spec, **wrong)

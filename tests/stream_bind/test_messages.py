from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from stream_bind import messages
from stream_bind.messages import IMU_AXES, MODALITIES, Chunk, ClockInfo, Embedding, Event, StreamSpec


def test_a_chunk_of_unequal_samples_and_stamps_is_refused():
    with pytest.raises(ValueError, match="chunk of 3 samples with 2 time stamps"):
        Chunk(np.zeros((3, 6)), np.zeros(2, np.int64))


def test_a_chunk_is_as_long_as_its_samples():
    assert len(Chunk(np.zeros((3, 6)), np.zeros(3, np.int64))) == 3
    assert len(Chunk(np.zeros((0, 6)), np.zeros(0, np.int64))) == 0


def test_the_period_is_the_nearest_nanosecond():
    assert StreamSpec("m", "audio", 48_000, (1,), "float32", "full_scale").period_ns == 20_833
    assert StreamSpec("c", "vision", 30000 / 1001, (-1, -1, 3), "uint8", "rgb8").period_ns == 33_366_667


def test_kinds_are_those_of_the_wire():
    embedding = Embedding("r", "s", "e", "imu", 1, 0, 1, np.zeros(4, np.float32))
    assert (embedding.kind, Event("r", "s", "e", "gap").kind) == ("emb", "evt")


def test_modalities_and_axes_are_fixed():
    assert MODALITIES == ("vision", "audio", "depth", "thermal", "imu", "text")
    assert IMU_AXES == ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")


@pytest.mark.parametrize("name", [n for n in messages.__all__ if isinstance(getattr(messages, n), type)])
def test_every_message_is_frozen_and_slotted(name):
    cls = getattr(messages, name)
    assert cls.__dataclass_params__.frozen
    assert "__dict__" not in dir(cls)


def test_messages_cannot_be_changed_in_passing():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClockInfo().err_ns = 5


def test_specs_cross_process_borders():
    spec = StreamSpec("imu", "imu", 200, (6,), "float32", "si", axes=IMU_AXES)
    assert pickle.loads(pickle.dumps(spec)) == spec

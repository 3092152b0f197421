"""A small log with every message type of ours, and of ROS 2 what we write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_bind.log.schemas import OWN, RAW_AUDIO, message, ros_time, serialize
from stream_bind.log.writer import Attached, LogWriter

T0 = 1_700_000_000_000_000_000
PICTURE, IMU, AUDIO = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Imu", RAW_AUDIO
IMAGE, LENS = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
TOPICS = {"/cam/image": PICTURE, "/depth/image": IMAGE, "/cam/info": LENS, "/imu/imu": IMU, "/mic/audio": AUDIO} | {
    f"/own/{name.rpartition('/')[2].lower()}": name for name in OWN if name != RAW_AUDIO
}


def header(t_ns: int) -> Any:
    return message("std_msgs/msg/Header", stamp=ros_time(t_ns), frame_id="bench")


def filled(name: str, i: int, t_ns: int) -> Any:
    """A message of type `name` of which every field says something."""
    rng = np.random.default_rng(i)
    if name == PICTURE:
        return message(name, header=header(t_ns), format="jpeg", data=rng.integers(0, 256, 3000, np.uint8))
    if name == IMAGE:
        data = rng.integers(0, 256, 600, np.uint8)
        return message(
            name, header=header(t_ns), height=15, width=20, encoding="16UC1", is_bigendian=0, step=40, data=data
        )
    if name == LENS:
        whole = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        return message(
            name, header=header(t_ns), height=15, width=20, distortion_model="plumb_bob", d=np.full(5, 0.1),
            k=np.arange(9.0), r=np.eye(3).reshape(-1), p=np.zeros(12), binning_x=0, binning_y=0, roi=whole,
        )  # fmt: skip
    if name == IMU:
        vector = message("geometry_msgs/msg/Vector3", x=0.5, y=float(i), z=9.81)
        turn = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        three = {k: np.zeros(9) for k in ("orientation_covariance", "angular_velocity_covariance")}
        return message(
            name, header=header(t_ns), orientation=turn, angular_velocity=vector, linear_acceleration=vector,
            linear_acceleration_covariance=np.zeros(9), **three,
        )  # fmt: skip
    if name == AUDIO:
        data = rng.integers(0, 256, 1920, np.uint8)
        return message(
            name, timestamp=ros_time(t_ns), data=data, format="pcm-s16", sample_rate=48000, number_of_channels=1
        )
    numbers = {
        "t_ns": t_ns, "t_start_ns": t_ns - 1, "t_end_ns": t_ns, "t_pub_ns": t_ns, "clock_err_ns": 7, "window": i,
        "to_window": i + 1, "order": i, "seq": i, "epoch": 1, "scale": 0.001, "offset": 0.0, "coverage": 1.0,
        "gap_before": bool(i % 2), "trained": True,
    }  # fmt: skip
    arrays = {
        "ticks": np.arange(3), "shape": np.array([2, 3], np.uint32), "data": rng.integers(0, 256, 600, np.uint8),
        "gaps": np.array([1, 2]), "vector": rng.random(64).astype(np.float32),
    }  # fmt: skip
    if name.endswith("Samples"):
        arrays["t_ns"] = np.array([t_ns, t_ns + 1, t_ns + 2])
    lines = [line.split("#")[0].split() for line in OWN[name].splitlines()]
    fields = {line[1]: line[0] for line in lines if len(line) > 1}
    arrays["timestamp"] = ros_time(t_ns)
    values = {k: header(t_ns) if k == "header" else (arrays.get(k, numbers.get(k, f"{k} {i}"))) for k in fields}
    return message(name, **values)


@pytest.fixture
def write_log(tmp_path: Path) -> Callable[..., Path]:
    """write_log(n, close=True) makes a log of n messages of every type, a hundredth of a second apart."""

    def made(
        n: int = 40, *, close: bool = True, flush_every: int = 5, name: str = "bench.mcap", **settings: Any
    ) -> Path:
        path = tmp_path / name
        attached = (Attached("config.yaml", "application/yaml", b"version: 1\nrig: bench\n" * 20),)
        writer = LogWriter(path, {"rig": "bench", "log": "1"}, attached, sync=False, **settings)
        writer.open()
        for topic, kind in TOPICS.items():
            writer.topic(topic, kind, {"stream": topic})
        for i in range(n):
            t_ns = T0 + i * 10_000_000
            for topic, kind in TOPICS.items():
                writer.write(topic, serialize(kind, filled(kind, i, t_ns)), t_ns + 500, t_ns)
            if i % flush_every == flush_every - 1:
                writer.flush()
        if close:
            writer.close()
        else:
            writer.flush()
        return path

    return made

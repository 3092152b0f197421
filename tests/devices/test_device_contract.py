"""What every driver promises (devices/base.py), held against all that need no hardware."""

from __future__ import annotations

import ast
import inspect
import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from devices.base import Device
from devices.simulated import Simulated, SimulatedConfig, twin
from stream_bind.clock import ManualClock, SystemClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.log.codec import ChunkWriter
from stream_bind.log.writer import LogWriter
from stream_bind.messages import IMU_AXES, MODALITIES, Chunk, ClockInfo, StreamSpec
from stream_bind.registry import DEVICES

MakeFile = Callable[[str], dict[str, Any]]

FILES = (
    "video_file",
    "audio_file",
    "audio_of_video",
    "still",
    "folder",
    "depth_folder",
    "imu_csv",
    "signal_csv",
    "faulty_file",
    "replay",
)
LIVE = ("vision", "audio", "depth", "thermal", "imu", "barometer", "emg", "faulty_imu")


def build(config: dict[str, Any], clock: Any) -> Device:
    entry = DEVICES.get(config["type"])
    device: Device = entry.cls(entry.config.model_validate(config), "s", clock)
    return device


def file_config(kind: str, folder: Path, files: SimpleNamespace) -> dict[str, Any]:
    if kind == "video_file":
        return {"type": "video_file", "path": files.write_video(folder / "a.mp4")}
    if kind == "audio_file":
        return {"type": "audio_file", "path": files.write_sound(folder / "a.wav")}
    if kind == "audio_of_video":
        return {"type": "audio_file", "path": files.write_video(folder / "a.mp4", sound=True)}
    if kind == "still":
        picture = files.write_pictures(folder / "p") / "9.png"
        return {"type": "image_file", "path": str(picture), "duration_s": 2.0}
    if kind == "folder":
        return {"type": "image_file", "path": str(files.write_pictures(folder / "p"))}
    if kind == "depth_folder":
        (folder / "d").mkdir()
        for i in range(4):
            counts = np.full((24, 32), 1000 * i, ">u2").tobytes()
            (folder / "d" / f"{i}.pgm").write_bytes(b"P5 32 24 65535\n" + counts)
        return {"type": "image_file", "modality": "depth", "path": str(folder / "d")}
    if kind == "signal_csv":
        rows = "".join(f"{i / 50},{101325 + i}\n" for i in range(100))
        (folder / "a.csv").write_text(f"t (s),pressure\n{rows}")
        return {"type": "signal_csv", "path": str(folder / "a.csv"), "modality": "barometer", "unit": "Pa"}
    if kind == "replay":
        return {"type": "replay", "path": str(write_log(folder / "a.mcap")), "stream": "imu", "modality": "imu"}
    table = {"type": "imu_csv", "path": str(files.write_table(folder / "a.csv"))}
    if kind == "imu_csv":
        return table
    return {
        "type": "faulty",
        "device": {**table, "rate": "max"},
        "faults": [{"kind": "gap", "at_s": 1, "duration_s": 0.2}],
    }


def write_log(path: Path) -> Path:
    """2 s of an IMU at 100 Hz, 20 ms a chunk."""
    coder = ChunkWriter(
        "imu", StreamSpec("imu", "imu", 100.0, (6,), "float32", "si", IMU_AXES, live=False, domain="file")
    )
    log = LogWriter(path, {"rig": "bench"}, sync=False)
    log.open()
    for topic, info in coder.topics().items():
        log.topic(topic, info.type, info.metadata)
    for i in range(0, 200, 2):
        t_ns = 1_700_000_000_000_000_000 + np.arange(i, i + 2) * 10_000_000
        for entry in coder.chunk(Chunk(np.full((2, 6), i, np.float32), t_ns, clock=ClockInfo("file"))):
            log.write(entry.topic, entry.data, int(t_ns[-1]), entry.publish_time)
    log.close()
    return path


@pytest.fixture
def make_file(tmp_path: Path, files: SimpleNamespace) -> MakeFile:
    """The config of a file device of this kind, with a file made for it."""

    def make(kind: str) -> dict[str, Any]:
        folder = tmp_path / kind
        folder.mkdir()
        return file_config(kind, folder, files)

    return make


def live_config(kind: str) -> dict[str, Any]:
    if kind == "faulty_imu":
        inside = {"type": "simulated", "modality": "imu"}
        return {"type": "faulty", "device": inside, "faults": [{"kind": "duplicate", "at_s": 0.1, "duration_s": 0.1}]}
    return {"type": "simulated", "modality": kind}


def judge_spec(spec: StreamSpec) -> None:
    assert spec.rate_hz > 0
    units = {"vision": {"rgb8"}, "audio": {"full_scale"}, "depth": {"m"}, "thermal": {"K", "grey8"}, "imu": {"si"}}
    if spec.modality not in MODALITIES:
        # A signal of its own kind: its channels have names, its unit is what it says.
        assert spec.shape == (len(spec.axes),)
        assert spec.unit
        assert spec.dtype == "float32"
        return
    assert spec.unit in units[spec.modality]
    if spec.modality == "imu":
        assert spec.axes
        assert set(spec.axes) <= set(IMU_AXES)
        assert spec.shape == (len(spec.axes),)


def judge_chunk(chunk: Chunk, spec: StreamSpec) -> None:
    assert len(chunk) > 0
    assert chunk.data.shape[1:] == spec.shape
    assert chunk.data.dtype == np.dtype(spec.dtype)
    assert chunk.t_ns.dtype == np.int64
    assert chunk.clock.domain == spec.domain


def drain(device: Device) -> list[Chunk]:
    chunks = []
    while True:
        try:
            chunk = device.read(0.1)
        except EndOfStream:
            return chunks
        if chunk is not None:
            chunks.append(chunk)


@pytest.mark.parametrize("kind", FILES)
def test_a_recording_keeps_the_contract(kind: str, make_file: MakeFile) -> None:
    config = make_file(kind)
    fast = config if kind == "faulty_file" else {**config, "rate": "max"}
    device = build(fast, ManualClock())
    before = device.spec
    judge_spec(before)
    assert not before.live
    device.open()
    assert device.spec == before
    first = drain(device)
    for chunk in first:
        judge_chunk(chunk, device.spec)
    t_ns = np.concatenate([c.t_ns for c in first])
    assert (np.diff(t_ns) > 0).all()
    for _ in range(2):
        with pytest.raises(EndOfStream):
            device.read(0.0)
    device.close()
    device.close()
    with pytest.raises(DeviceError, match="open"):
        build(fast, ManualClock()).read(0.0)
    device.open()
    second = drain(device)
    device.close()
    assert [c.data.tobytes() for c in first] == [c.data.tobytes() for c in second]
    assert [c.t_ns.tolist() for c in first] == [c.t_ns.tolist() for c in second]


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in {"faulty_file", "replay"}])
def test_a_recording_gives_the_same_samples_for_any_chunk_size(kind: str, make_file: MakeFile) -> None:
    config = make_file(kind)
    streams = []
    for chunk_size in (1, 7, 20, 400, 2000):
        device = build({**config, "rate": "max", "chunk_size": chunk_size}, ManualClock())
        device.open()
        chunks = drain(device)
        assert all(len(c) == chunk_size for c in chunks[:-1])
        streams.append((b"".join(c.data.tobytes() for c in chunks), np.concatenate([c.t_ns for c in chunks]).tolist()))
    assert all(stream == streams[0] for stream in streams)


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind != "faulty_file"])
@pytest.mark.parametrize("rate", [1.0, 10.0])
def test_a_recording_is_paced_by_the_clock(kind: str, rate: float, make_file: MakeFile) -> None:
    clock = ManualClock(10**18)
    device = build({**make_file(kind), "rate": rate}, clock)
    device.open()
    first_ns, last_ns, nones = None, 0, 0
    while True:
        called_ns = clock.monotonic_ns()
        try:
            chunk = device.read(0.004)
        except EndOfStream:
            break
        assert clock.monotonic_ns() - called_ns <= 4_000_000
        if chunk is None:
            nones += 1
            continue
        first_ns = int(chunk.t_ns[-1]) if first_ns is None else first_ns
        last_ns = int(chunk.t_ns[-1])
        assert abs((last_ns - first_ns) / rate - clock.monotonic_ns()) <= 1_000_000
    assert last_ns > (first_ns or 0)
    assert nones or rate > 1


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in {"faulty_file", "replay"}])
def test_a_recording_starts_when_it_is_told_and_loops_without_stepping_back(kind: str, make_file: MakeFile) -> None:
    config = make_file(kind)
    device = build({**config, "rate": "max", "start_time": "2026-03-01T12:00:00Z"}, ManualClock())
    device.open()
    once = np.concatenate([c.t_ns for c in drain(device)])
    assert once[0] == 1772366400 * 10**9
    device = build({**config, "rate": "max", "start_time": "now", "loop": True}, ManualClock(5 * 10**9))
    device.open()
    twice: list[int] = []
    while len(twice) < 2 * len(once):
        chunk = device.read(0.0)
        assert chunk is not None
        twice += chunk.t_ns.tolist()
    twice = twice[: 2 * len(once)]
    assert twice[0] == 5 * 10**9
    assert (np.diff(twice) > 0).all()
    lap = twice[len(once)] - twice[0]
    assert np.array_equal(np.array(twice[len(once) :]) - lap, twice[: len(once)])
    device.close()


@pytest.mark.parametrize("kind", LIVE)
def test_a_live_device_keeps_the_contract(kind: str) -> None:
    clock = ManualClock(1_790_000_000 * 10**9)
    device = build(live_config(kind), clock)
    judge_spec(device.spec)
    assert device.spec.live
    for _ in range(2):
        device.open()
        newest = -1
        for _ in range(30):
            called_ns = clock.unix_ns()
            chunk = device.read(0.03)
            assert clock.unix_ns() - called_ns <= 31_000_000
            if chunk is not None:
                judge_chunk(chunk, device.spec)
                assert int(chunk.t_ns[0]) >= newest
                newest = int(chunk.t_ns[-1])
                assert newest <= clock.unix_ns() + 1
        assert newest > 0
        device.close()
        device.close()
        with pytest.raises(DeviceError):
            device.read(0.0)
        clock.advance(1.0)


@pytest.fixture
def imu_port() -> Iterator[str]:
    master, slave = os.openpty()
    tty.setraw(slave)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.01):
            os.write(master, b"%d,0,0,9.81,0,0,0\n" % number)
            number += 1

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield os.ttyname(slave)
    stop.set()
    writer.join()
    os.close(master)
    os.close(slave)


SERIAL = (
    {"type": "serial_imu", "columns": ["counter", *IMU_AXES]},
    {"type": "serial_signal", "columns": ["counter", *"abcdef"], "modality": "emg", "unit": "mV"},
)


@pytest.mark.parametrize("settings", SERIAL, ids=lambda settings: settings["type"])
def test_a_serial_sensor_keeps_the_contract(imu_port: str, settings: dict[str, Any]) -> None:
    device = build({"port": imu_port, "rate_hz": 100, **settings}, SystemClock())
    judge_spec(device.spec)
    for _ in range(2):
        device.open()
        chunks, end = [], time.monotonic() + 5
        while len(chunks) < 5 and time.monotonic() < end:
            called = time.monotonic()
            chunk = device.read(0.1)
            assert time.monotonic() - called < 0.4
            if chunk is not None:
                judge_chunk(chunk, device.spec)
                chunks.append(chunk)
        t_ns = np.concatenate([c.t_ns for c in chunks])
        assert len(chunks) == 5
        assert (np.diff(t_ns) > 0).all()
        device.close()
        device.close()
        with pytest.raises(DeviceError):
            device.read(0.0)


@pytest.mark.parametrize("kind", [*FILES, *LIVE])
def test_every_device_has_a_twin_of_its_shape(kind: str, make_file: MakeFile) -> None:
    config = make_file(kind) if kind in FILES else live_config(kind)
    spec = build(config, ManualClock()).spec
    copy = Simulated(SimulatedConfig.model_validate(twin(spec)), "s", ManualClock()).spec
    assert (copy.modality, copy.rate_hz, copy.shape, copy.dtype, copy.unit, copy.axes) == (
        spec.modality,
        spec.rate_hz,
        spec.shape,
        spec.dtype,
        spec.unit,
        spec.axes,
    )


@pytest.mark.parametrize(
    "config",
    [
        {"type": "video_file", "path": "/nowhere/a.mp4"},
        {"type": "video_stream", "url": "rtsp://127.0.0.1:1/x"},
        {"type": "audio_file", "path": "/nowhere/a.wav"},
        {"type": "image_file", "path": "/nowhere/*.png", "modality": "thermal"},
        {"type": "imu_csv", "path": "/nowhere/a.csv"},
        {
            "type": "signal_csv",
            "path": "/nowhere/a.csv",
            "modality": "emg",
            "unit": "mV",
            "columns": {"time": 0, "l": 1},
        },
        {"type": "serial_imu", "port": "/nowhere/tty", "rate_hz": 100},
        {"port": "/nowhere/tty", "rate_hz": 100, **SERIAL[1]},
        {"type": "v4l2_camera", "device": "/dev/v4l/by-id/nowhere"},
        {"type": "v4l2_camera", "device": "serial:nowhere", "modality": "depth", "depth_unit_m": 0.001},
        {"type": "lepton_thermal", "device": "card:nowhere", "resolution_k": 0.01},
        {"type": "infiray_thermal", "device": "/dev/v4l/by-path/nowhere"},
        {"type": "opencv_camera", "source": "/nowhere/camera"},
    ],
)
def test_the_twin_needs_no_hardware_and_an_absent_device_says_so(config: dict[str, Any]) -> None:
    device = build(config, ManualClock())
    judge_spec(device.spec)
    Simulated(SimulatedConfig.model_validate(twin(device.spec)), "s", ManualClock()).open()
    with pytest.raises(DeviceError) as caught:
        device.open()
    assert "nowhere" in str(caught.value) or "127.0.0.1:1" in str(caught.value)
    assert "\n" not in str(caught.value)
    device.close()


# Other tests register drivers of their own in this process.
OURS = [name for name in DEVICES.names() if DEVICES.get(name).cls.__module__.startswith("devices.")]


def test_every_registered_driver_is_held_to_this(make_file: MakeFile) -> None:
    held = {make_file(kind)["type"] for kind in FILES}
    held |= {live_config(kind)["type"] for kind in LIVE} | {"serial_imu", "serial_signal", "video_stream"}
    # On a fake kernel in v4l2/test_v4l2_contract.py, on a loopback camera in test_opencv_camera.py.
    held |= {"v4l2_camera", "lepton_thermal", "infiray_thermal", "opencv_camera"}
    # Over a pty in test_mlx90640_thermal.py.
    held |= {"mlx90640_thermal"}
    # On a simulated PortAudio in test_microphone.py, on PulseAudio in test_microphone_pulse.py.
    held |= {"microphone"}
    # On the host-side devices of their SDKs in test_realsense_depth.py and test_oak_depth.py.
    held |= {"realsense_depth", "oak_depth"}
    assert set(OURS) == held


@pytest.mark.parametrize("name", OURS)
def test_every_setting_says_in_a_sentence_what_it_is(name: str) -> None:
    config = DEVICES.get(name).config
    for cls in config.__mro__:
        if not cls.__module__.startswith("devices."):
            continue
        tree = ast.parse(Path(inspect.getfile(cls)).read_text())
        body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
        for statement, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign):
                told = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                assert told, f"{cls.__name__}.{ast.unparse(statement.target)} has no docstring"
    assert config.model_config.get("extra") == "forbid"  # type: ignore[attr-defined]

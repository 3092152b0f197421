"""What recording costs, and how fast a log replays, beside the bare MCAP library.

python tests/benchmarks/log.py record [SECONDS [ROUNDS]]   five sensors at full rate, with and without a recording, as
                                                           threads and as Ray actors (default 20 s each, 5 rounds)
python tests/benchmarks/log.py replay [SECONDS]            a simulated headset recorded for SECONDS, then replayed
                                                           (default 60 s)

Sensors at the edge deliver frames that were made before, so that capture costs next to nothing and what is left is
ours: 640x480 colour at 30 fps (raw, so that it has to be coded), 48 kHz stereo in 16 bit, 640x480 depth at 15 fps in
16-bit millimetres, 160x120 thermal at 9 fps in 16-bit hundredths of a kelvin, a six-axis IMU at 400 Hz.
"""

from __future__ import annotations

import os
import pickle
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zstandard
from clocking import FOLDER, clock, clocked
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from pydantic import BaseModel

from stream_bind.cli.replaying import ReplayChoice, replay_config
from stream_bind.cli.run import run
from stream_bind.config import parse_config
from stream_bind.log import codec
from stream_bind.log.codec import ChunkWriter
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.writer import CHUNK_BYTES
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, Raw, StreamSpec
from stream_bind.registry import PLUGIN_GROUP, register_device

KINDS: dict[str, tuple[float, int]] = {
    "vision": (30.0, 1),
    "audio": (48000.0, 480),
    "depth": (15.0, 1),
    "thermal": (9.0, 1),
    "imu": (400.0, 8),
}
"""Rate and samples a read."""
FRAMES: dict[str, list[Any]] = {}
FRAMES_AT = "CANNED_FRAMES"
JPEG, ZSTD = "_compressed", "compress"
"""Functions of our codec and of zstandard whose time is image coding."""
CODED = ("audio", "depth", "thermal", "imu")
"""Whose messages are made without a picture's compression; timed by themselves, outside the run."""


class CannedConfig(BaseModel):
    type: str = "canned"
    modality: str


@register_device("canned", config=CannedConfig, modalities=tuple(KINDS))
class Canned:
    """Samples made before, at their rate, stamped as they leave."""

    def __init__(self, config: CannedConfig, stream_id: str, clock: Any) -> None:
        self._kind, self._clock = config.modality, clock
        self._rate_hz, self._n = KINDS[config.modality]
        self.spec = spec_of(config.modality, stream_id)
        self._count = 0

    def open(self) -> None:
        if self._kind not in FRAMES:
            FRAMES[self._kind] = pickle.loads((Path(os.environ[FRAMES_AT]) / f"{self._kind}.pickle").read_bytes())
        self._zero_ns = self._clock.unix_ns()

    def read(self, timeout_s: float) -> Chunk | None:
        due_ns = self._zero_ns + round((self._count + self._n) * 1e9 / self._rate_hz)
        wait_s = (due_ns - self._clock.unix_ns()) / 1e9
        if wait_s > 0:
            self._clock.sleep(min(wait_s, timeout_s))
            if wait_s > timeout_s:
                return None
        data, raw = FRAMES[self._kind][(self._count // self._n) % len(FRAMES[self._kind])]
        t_ns = self._zero_ns + ((self._count + np.arange(self._n)) * 1e9 / self._rate_hz).astype(np.int64)
        self._count += self._n
        return Chunk(data, t_ns, clock=ClockInfo("kernel", 1000), raw=raw)

    def close(self) -> None: ...


def spec_of(kind: str, name: str) -> StreamSpec:
    shape, dtype, unit = {
        "vision": ((480, 640, 3), "uint8", "rgb8"),
        "audio": ((2,), "float32", "full_scale"),
        "depth": ((480, 640), "float32", "m"),
        "thermal": ((120, 160), "float32", "K"),
        "imu": ((6,), "float32", "si"),
    }[kind]
    axes = IMU_AXES if kind == "imu" else ()
    return StreamSpec(name, kind, KINDS[kind][0], shape, dtype, unit, axes)


def make_frames() -> None:
    """A second and a half of everything, from the simulated world, with a sensor's noise on it."""
    from devices.simulated import Simulated, SimulatedConfig
    from stream_bind.clock import ManualClock

    rng = np.random.default_rng(0)
    sizes = {"vision": (640, 480), "depth": (640, 480), "thermal": (160, 120)}
    for kind, (_, n) in KINDS.items():
        size = dict(zip(("width", "height"), sizes[kind], strict=True)) if kind in sizes else {}
        settings = SimulatedConfig(modality=kind, chunk_size=n, **size)  # type: ignore[arg-type]
        device = Simulated(settings, kind, ManualClock(1_790_000_000 * 10**9))
        device.open()
        found: list[Any] = []
        while len(found) < 45:
            chunk = device.read(1.0)
            if chunk is None:
                continue
            data, raw = chunk.data, None
            if kind == "vision":
                noise = rng.normal(0, 3, data.shape)
                data = np.clip(data + noise, 0, 255).astype(np.uint8)
            elif kind == "audio":
                counts = np.rint(np.repeat(data[:, :1], 2, axis=1) * 20000 + rng.normal(0, 30, (n, 2))).astype("<i2")
                raw = Raw(counts, "pcm_s16le", 1 / 32768)
                data = counts.astype(np.float32) * np.float32(1 / 32768)
            elif kind in {"depth", "thermal"}:
                unit = 0.001 if kind == "depth" else 0.01
                values = np.nan_to_num(data) + rng.normal(0, 0.003 if kind == "depth" else 0.05, data.shape)
                counts = np.clip(np.rint(values / unit), 0, 65535).astype("<u2")
                raw = Raw(counts, "16UC1" if kind == "depth" else "mono16", unit)
                data = counts.astype(np.float32) * np.float32(unit)
                data[data == 0] = np.nan
            found.append((data, raw))
        FRAMES[kind] = found


def rig() -> str:
    streams = "\n".join(f"  - {{id: {k}, modality: {k}, device: {{type: canned, modality: {k}}}}}" for k in KINDS)
    return (
        f"version: 1\nrig: bench\nencoder: {{model: imagebind-tiny}}\nstreams:\n{streams}\n"
        'publish: {endpoint: "tcp://127.0.0.1:*"}\n'
    )


class Meter:
    """CPU time over the middle of a run: while it starts and ends, a computer has other things to do."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []

    def look(self, snapshot: Any) -> None:
        self._points.append((time.monotonic(), _cpu_s()))

    def middle(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Monotonic time and CPU seconds, two seconds after its beginning and one before its end."""
        first, last = self._points[0][0] + 2.0, self._points[-1][0] - 1.0
        inside = [point for point in self._points if first <= point[0] <= last]
        return inside[0], inside[-1]

    @property
    def share(self) -> float:
        """Of one core."""
        (begun, before), (ended, after) = self.middle()
        return (after - before) / (ended - begun)


def _cpu_s() -> float:
    """Of this process and all it has started: for Ray, actors and daemons alike."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def metered(config: Any, seconds: float, **more: Any) -> tuple[Meter, Any]:
    """A run of so many seconds."""
    meter = Meter()
    return meter, run(config, duration_s=seconds, embed=False, on_poll=meter.look, **more)


def _share(folder: Path, name: str, meter: Meter) -> float:
    """Of one core, for the calls of one function in the middle of a run."""
    (begun, _), (ended, _) = meter.middle()
    return clocked(folder, name, begun, ended) / (ended - begun)


def become_a_plugin(folder: Path) -> None:
    """Let processes that Ray starts know the canned device and its frames: they import what is installed."""
    about = folder / "canned-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: canned\nVersion: 0\n")
    (about / "entry_points.txt").write_text(f"[{PLUGIN_GROUP}]\ncanned = {Path(__file__).stem}\n")
    for kind, frames in FRAMES.items():
        (folder / f"{kind}.pickle").write_bytes(pickle.dumps(frames))
    # The record actor knows no plugins, but every Python looks for this.
    (folder / "sitecustomize.py").write_text("import clocking, zstandard\nclocking.clock(zstandard, 'compress')\n")
    os.environ[FRAMES_AT] = os.environ[FOLDER] = str(folder)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), str(Path(__file__).parent), os.getcwd()])


def coding_cost(kind: str, n: int = 200) -> float:
    """Share of a core that turning a stream's chunks into messages takes."""
    coder = ChunkWriter(kind, spec_of(kind, kind))
    rate_hz, size = KINDS[kind]
    begun = time.process_time()
    for i in range(n):
        data, raw = FRAMES[kind][i % len(FRAMES[kind])]
        t_ns = np.arange(i * size, i * size + size, dtype=np.int64) * round(1e9 / rate_hz) + 10**18
        list(coder.chunk(Chunk(data, t_ns, raw=raw)))
    return (time.process_time() - begun) / n * rate_hz / size


def pictures_share(path: Path) -> float:
    """Of the CPU time that zstd takes for a log, the part that the depth and thermal pictures cause: their only
    coding. Neither the JPEGs, which it squeezes in vain, nor the copy of thermal for viewers is in it."""
    found = [each for each in Scan(path) if isinstance(each, LogMessage)]
    pictures = [each.data for each in found if each.topic in {"/depth/image", "/thermal/samples"}]
    return _zstd_s(pictures) / _zstd_s([each.data for each in found])


def _zstd_s(pieces: list[bytes]) -> float:
    """CPU seconds for these bytes, in chunks of the size that a log has."""
    blocks, block = [], bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= CHUNK_BYTES:
            blocks.append(bytes(block))
            block.clear()
    begun = time.process_time()
    for each in [*blocks, bytes(block)]:
        zstandard.compress(each)
    return time.process_time() - begun


def bench_record(seconds: float, rounds: int) -> None:
    make_frames()
    config = parse_config(rig())
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        become_a_plugin(folder)
        clock(codec, JPEG)
        clock(zstandard, ZSTD)
        for i in range(rounds):
            for local, where in ((True, "threads"), (False, "Ray")):
                path = folder / f"{i}_{where}.mcap"
                alone, _ = metered(config, seconds, local=local)
                both, result = metered(config, seconds, local=local, record=path)
                jpeg, zstd = _share(folder, JPEG, both), _share(folder, ZSTD, both)
                lossless = zstd * pictures_share(path)
                for row, share in {
                    "capture alone": alone.share,
                    "JPEG of 640x480 at 30 fps": jpeg,
                    "zstd of depth and thermal pictures": lossless,
                    "capture and recording": both.share,
                    "recording beyond capture and image coding": both.share - alone.share - jpeg - lossless,
                    "  of it zstd of everything else": zstd - lossless,
                }.items():
                    rows.setdefault(f"{where}: {row}", []).append(share)
                recorder = result.snapshot.recorder
                lost = sum(each["dropped"] for c in result.snapshot.captures for each in c["recorded"].values())
                size_mb, n_samples = path.stat().st_size / 1e6, {n: s.n_samples for n, s in _survey(path).items()}
                print(
                    f"{path.stem}: dropped {lost} chunks, {recorder['dropped']} messages; samples in the log: ", end=""
                )
                print(", ".join(f"{name} {n:,}" for name, n in n_samples.items()), flush=True)
                if local:
                    floor = _floor(path, folder / "floor.mcap") / seconds
                    rows.setdefault("the mcap library alone, the same messages (floor)", []).append(floor)
                for log in folder.glob("*.mcap"):
                    log.unlink()
    for kind in CODED:
        rows[f"messages of {kind}"] = [coding_cost(kind)]
    print(
        f"\nshare of one core, {rounds} runs of {seconds:.0f} s, median (range); threads of a process, and Ray actors\n"
    )
    for row, found in rows.items():
        print(f"  {row:<52} {statistics.median(found):6.1%}  ({min(found):.1%} to {max(found):.1%})")
    print(
        f"\n{size_mb / seconds:.1f} MB/s on the disk, {recorder['bytes'] / seconds / 1e6:.1f} MB/s before compression"
    )


def _survey(path: Path) -> Any:
    from stream_bind.log.survey import survey

    return survey(path).streams


def _floor(path: Path, target: Path) -> float:
    """Seconds of CPU in which the bare library writes the same messages."""
    messages = [found for found in Scan(path) if isinstance(found, LogMessage)]
    begun = time.process_time()
    with target.open("wb") as file:
        writer = Writer(file, compression=CompressionType.ZSTD)
        writer.start("ros2", "floor")
        channels: dict[int, int] = {}
        for found in messages:
            if found.channel.id not in channels:
                channels[found.channel.id] = writer.register_channel(found.topic, "cdr", 0)
            writer.add_message(channels[found.channel.id], found.log_time, found.data, found.publish_time)
        writer.finish()  # type: ignore[no-untyped-call]
    return time.process_time() - begun


def bench_replay(seconds: float) -> None:
    streams = "\n".join(f"  - {{id: {k}, modality: {k}, device: {{type: simulated}}}}" for k in KINDS)
    text = (
        f"version: 1\nrig: bench\nencoder: {{model: imagebind-tiny}}\nstreams:\n{streams}\n"
        'publish: {endpoint: "tcp://127.0.0.1:*"}\n'
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.mcap"
        run(parse_config(text), local=True, duration_s=seconds, record=path, embed=False)
        log = open_log(path)
        length_s = log.duration_s
        size_mb = path.stat().st_size / 1e6
        print(f"{length_s:.1f} s of five simulated sensors, {size_mb:.1f} MB; hours of log an hour\n")
        for name, took_s in (
            ("mcap's own reader, every message", _timed(lambda: _bare(path))),
            ("our scan, every message, checksums", _timed(lambda: list(Scan(path)))),
            ("five streams to chunks, one after another", _timed(lambda: _chunks(log))),
            ("replay, no encoder (threads)", _replayed(path, local=True, embed=False)),
            ("replay, tiny model (threads)", _replayed(path, local=True)),
            ("replay, tiny model (Ray actors)", _replayed(path, local=False)),
        ):
            print(f"  {name:<44} {length_s / took_s:8.1f}   {took_s:6.2f} s")


def _timed(what: Any) -> float:
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def _bare(path: Path) -> None:
    with path.open("rb") as file:
        for _ in make_reader(file).iter_messages(log_time_order=False):
            pass


def _chunks(log: Any) -> None:
    for spec in log.streams.values():
        for _ in StreamReader(log.parts, spec):
            pass


def _replayed(path: Path, *, local: bool, embed: bool = True) -> float:
    """Seconds from the first to the last moment at which samples were read; starting actors and models is not in it."""
    rig_config, _ = replay_config(path)
    publish = rig_config.publish.model_copy(update={"wait_for_subscriber_s": 12.0})
    moments: list[tuple[float, int]] = []

    def look(snapshot: Any) -> None:
        n = sum(sensor["samples"] for capture in snapshot.captures for sensor in capture.get("sensors", ()))
        moments.append((time.monotonic(), n))

    runtime = rig_config.runtime.model_copy(update={"health_interval_s": 0.1})
    run(
        rig_config.model_copy(update={"publish": publish, "runtime": runtime}),
        local=local,
        replay=ReplayChoice(path, "max"),
        embed=embed,
        on_poll=look,
    )
    begun = max((t for t, n in moments if n == 0), default=moments[0][0])
    whole = max(n for _, n in moments)
    return min(t for t, n in moments if n == whole) - begun


if __name__ != "__main__":
    # In a capture actor, as a plugin.
    clock(codec, JPEG)
else:
    what, seconds = (sys.argv[1:2] or ["record"])[0], float((sys.argv[2:3] or ["0"])[0])
    if what == "record":
        bench_record(seconds or 20.0, int((sys.argv[3:4] or ["5"])[0]))
    else:
        bench_replay(seconds or 60.0)

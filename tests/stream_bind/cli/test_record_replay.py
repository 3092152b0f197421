"""A live run recorded, and replayed at any rate: the same windows, the same vectors, each once; and what breaks it."""

from __future__ import annotations

import hashlib
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel

from stream_bind.cli.main import main
from stream_bind.cli.replaying import ReplayChoice, replay_config
from stream_bind.cli.run import run
from stream_bind.config import parse_config
from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import DeviceError
from stream_bind.log.codec import IDLE, Mark
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.recover import recover
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.vectors import EMBEDDING, EVENT, embedding_of, event_of
from stream_bind.messages import Chunk, Embedding, Event, StreamSpec, Window
from stream_bind.registry import register_device, register_encoder

ROOT = Path(__file__).resolve().parents[3]
FIVE = ("vision", "audio", "depth", "thermal", "imu")
S = 1_000_000_000


def five_sensors(**more: str) -> str:
    streams = "\n".join(f"  - {{id: {m}, modality: {m}, device: {{type: simulated}}}}" for m in FIVE)
    return f"""\
version: 1
rig: five
encoder: {{model: imagebind-tiny}}
streams:
{streams}
publish: {{endpoint: "tcp://127.0.0.1:*"}}
{"".join(f"{key}: {value}" + chr(10) for key, value in more.items())}"""


def published(log: Path) -> tuple[dict[Any, Embedding], dict[Any, Event]]:
    """Vectors by stream and window, and the events of windows; both asserted to be there once."""
    vectors, events = {}, {}
    for found in Scan(log):
        if not isinstance(found, LogMessage) or found.schema is None:
            continue
        if found.schema.name == EMBEDDING:
            vector = embedding_of(found.data)
            assert (vector.stream, vector.window) not in vectors
            vectors[vector.stream, vector.window] = vector
        elif found.schema.name == EVENT:
            event = event_of(found.data)
            key = (event.stream, event.window, event.to_window, event.reason, event.t_start, event.detail)
            assert key not in events
            events[key] = event
    return vectors, events


def replay(log: Path, target: Path, rate: Any = "max", **more: Any) -> tuple[dict[Any, Embedding], dict[Any, Event]]:
    settings = ["runtime.deterministic=true"] if more.pop("deterministic", False) else []
    rig, _ = replay_config(log, settings=settings)
    result = run(rig, local=True, record=target, replay=ReplayChoice(log, rate, **more))
    assert result.error is None
    return published(target)


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some seven seconds of five sensors, no sample changed on its way to the disk."""
    path = tmp_path_factory.mktemp("live") / "live.mcap"
    config = parse_config(five_sensors(record="{colour: lossless}", runtime="{deterministic: true}"))
    result = run(config, local=True, duration_s=8.0, record=path)
    assert all(account.vectors for account in result.accounts.values()), result.accounts
    return path


@pytest.mark.parametrize("rate", [1.0, 10.0, "max"])
def test_a_replay_gives_the_same_vectors_to_the_last_bit_at_every_rate(lossless: Path, tmp_path: Path, rate) -> None:
    live, live_events = published(lossless)
    again, events = replay(lossless, tmp_path / "again.mcap", rate, deterministic=True)
    assert again.keys() == live.keys()
    assert events.keys() == live_events.keys()
    for key, vector in live.items():
        other = again[key]
        assert np.array_equal(vector.vector, other.vector), key
        assert (vector.coverage, vector.gaps, vector.status, vector.clock) == (
            other.coverage,
            other.gaps,
            other.status,
            other.clock,
        )


def test_batches_of_other_sizes_change_no_more_than_the_last_bits(lossless: Path, tmp_path: Path) -> None:
    live, _ = published(lossless)
    again, _ = replay(lossless, tmp_path / "again.mcap")
    assert again.keys() == live.keys()
    assert min(float(live[key].vector @ again[key].vector) for key in live) >= 1 - 1e-6


@pytest.mark.parametrize(("colour", "closest"), [("jpeg", 0.999), ("h264", 0.99)])
def test_colour_stored_with_a_loss_stays_close(colour: str, closest: float, tmp_path: Path) -> None:
    path = tmp_path / "lossy.mcap"
    run(parse_config(five_sensors(record=f"{{colour: {colour}}}")), local=True, duration_s=6.0, record=path)
    live, _ = published(path)
    again, _ = replay(path, tmp_path / "again.mcap")
    assert again.keys() == live.keys()
    cosines = {key: float(live[key].vector @ again[key].vector) for key in live}
    assert min(value for (stream, _), value in cosines.items() if stream == "vision") >= closest
    assert min(value for (stream, _), value in cosines.items() if stream != "vision") >= 1 - 1e-6


def test_a_part_of_a_log_and_some_of_its_streams(lossless: Path, tmp_path: Path) -> None:
    live, _ = published(lossless)
    rig, log = replay_config(lossless, streams=["imu", "depth"])
    target = tmp_path / "part.mcap"
    run(rig, local=True, record=target, replay=ReplayChoice(lossless, "max", start_s=2.0, duration_s=4.0))
    again, events = published(target)
    assert {stream for stream, _ in again} == {"depth"}  # 4 s hold no window of 5 s
    assert {key[0] for key in events} == {"depth", "imu"}
    period_ns = log.streams["depth"].period_ns  # the last picture stands for one of these after its stamp
    first, last = (log.start_ns + 2 * S) // (S // 2), (log.start_ns + 6 * S + period_ns) // (S // 2)
    assert again.keys() < live.keys()
    assert all(first < window <= last for _, window in again)
    assert min(float(live[key].vector @ again[key].vector) for key in again) >= 1 - 1e-6


def test_event_time_moves_by_whole_hops(lossless: Path, tmp_path: Path) -> None:
    live, _ = published(lossless)
    shift_ns = 40 * 5 * S
    moved, _ = replay(lossless, tmp_path / "moved.mcap", shift_ns=shift_ns)
    assert len(moved) == len(live)
    for (stream, _), vector in moved.items():
        its = [v for (s, _), v in live.items() if s == stream and v.t_end + shift_ns == vector.t_end]
        assert float(its[0].vector @ vector.vector) >= 1 - 1e-6


def test_readers_of_ros_find_every_message_of_every_topic(lossless: Path) -> None:
    """rosbags and mcap-ros2-support, each with its own CDR, against our own scan."""
    from collections import Counter

    from mcap.reader import make_reader
    from mcap_ros2.decoder import DecoderFactory
    from rosbags.highlevel import AnyReader

    ours = Counter(found.topic for found in Scan(lossless) if isinstance(found, LogMessage))
    with AnyReader([lossless]) as bag:
        theirs = Counter()
        for connection, _, data in bag.messages():
            bag.deserialize(data, connection.msgtype)
            theirs[connection.topic] += 1
    assert theirs == ours
    with lossless.open("rb") as file:
        decoded = make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
        assert Counter(found.channel.topic for found in decoded) == ours
    assert len(ours) >= 15


def test_every_stream_is_kept_but_the_private_ones(tmp_path: Path) -> None:
    text = five_sensors().replace("id: audio,", "id: audio, record: false,")
    path = tmp_path / "private.mcap"
    run(parse_config(text), local=True, duration_s=1.5, record=path)
    log = open_log(path)
    assert set(log.streams) == set(FIVE) - {"audio"}
    assert log.session["not_recorded"] == "audio"
    assert not any(
        t.topic.startswith("/audio/") and "sample" in t.topic for t in Scan(path) if isinstance(t, LogMessage)
    )


# -- what happens between samples --------------------------------------------------------------------------------------

SCRIPT: queue.Queue[Any] = queue.Queue()


class PlayConfig(BaseModel):
    type: str = "play"


@register_device("play", config=PlayConfig, modalities=("imu",))
class Play:
    """What SCRIPT holds, now: chunks by their age in seconds, errors, or silence."""

    def __init__(self, config: PlayConfig, stream_id: str, clock: Any) -> None:
        self.spec = StreamSpec(
            stream_id, "imu", 100.0, (3,), "float32", "si", ("accel_x", "accel_y", "accel_z"), max_delay_s=0.3
        )
        self._clock = clock

    def open(self) -> None: ...

    def read(self, timeout_s: float) -> Chunk | None:
        try:
            what = SCRIPT.get_nowait()
        except queue.Empty:
            self._clock.sleep(timeout_s)
            return None
        if isinstance(what, Exception):
            raise what
        if callable(what):
            return what(self._clock)
        self._clock.sleep(what)
        return None

    def close(self) -> None: ...


class DigestConfig(BaseModel):
    model: str = "digest"


class DigestMaker:
    spec = ClipSpec("imu", 1.0, 0.5, (32,), "uint8")

    def make(self, window: Window, stream: StreamSpec) -> np.ndarray:
        seen = hashlib.sha256(np.ascontiguousarray(window.data).tobytes() + window.t_ns.tobytes())
        seen.update(repr((window.index, window.gaps, window.coverage, window.n_context, window.status)).encode())
        return np.frombuffer(seen.digest(), np.uint8)


@register_encoder("digest", config=DigestConfig, modalities=("imu",))
class Digest:
    """The vector is the hash of the window: of every sample, stamp, gap, and its status."""

    model, dim, trained = "digest@1", 32, True
    seen: ClassVar[list[Any]] = []

    def __init__(self, name: str, config: DigestConfig) -> None: ...

    @classmethod
    def clip_maker(cls, config: DigestConfig, modality: str, length_s: float | None = None) -> DigestMaker:
        return DigestMaker()

    @classmethod
    def modalities(cls, config: DigestConfig) -> tuple[str, ...]:
        return ("imu",)

    def load(self, modalities: Any = None) -> None: ...

    def embed(self, modality: str, clips: np.ndarray) -> np.ndarray:
        vectors = clips.astype(np.float32) + 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def scale(self, modality: str) -> float:
        return 1.0

    def close(self) -> None: ...


def lately(n: int, age_s: float = 0.0, seed: int = 0) -> Any:
    """A chunk of n samples at 100 Hz that ended age_s ago, on the grid of 10 ms."""

    def made(clock: Any) -> Chunk:
        end = clock.unix_ns() // 10_000_000 - round(age_s * 100)
        t_ns = np.arange(end - n, end, dtype=np.int64) * 10_000_000
        return Chunk(np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32), t_ns)

    return made


def test_idle_times_late_samples_clock_jumps_and_lost_devices_come_back_as_they_were(tmp_path: Path) -> None:
    for seed in range(8):
        SCRIPT.put(0.1)
        SCRIPT.put(lately(10, seed=seed))
    SCRIPT.put(1.3)  # longer than max_delay_s: host time closes windows
    SCRIPT.put(lately(60, age_s=0.4, seed=20))  # partly too late for the windows that were closed
    SCRIPT.put(0.2)
    SCRIPT.put(lately(5, age_s=-3.0, seed=21))  # 3 s in the future: refused
    for seed in range(30, 34):
        SCRIPT.put(0.1)
        SCRIPT.put(lately(10, seed=seed))
    SCRIPT.put(DeviceError("play: pulled out"))
    SCRIPT.put(0.5)
    for seed in range(40, 50):
        SCRIPT.put(0.1)
        SCRIPT.put(lately(10, seed=seed))
    config = parse_config(
        "version: 1\nrig: odd\nencoder: {model: digest}\n"
        "streams: [{id: imu, modality: imu, device: {type: play}, delay_ms: 20, axes: {x: -y, y: x, z: z}}]\n"
        'publish: {endpoint: "tcp://127.0.0.1:*"}\nruntime: {deterministic: true}\n'
    )
    log = tmp_path / "odd.mcap"
    run(config, local=True, duration_s=6.0, record=log)
    live, events = published(log)
    marks = [
        found.item.reason for found in StreamReader([log], open_log(log).streams["imu"]) if type(found.item) is Mark
    ]
    assert {IDLE, "device_lost", "device_back", "end"} <= set(marks)
    reasons = {key[3] for key in events}
    assert {"clock_ahead", "clock_resumed", "device_lost", "device_back", "late"} <= reasons
    assert len(live) >= 2  # of 2 s windows on the wall clock's own grid, with holes in the samples
    for rate in (3.0, "max"):
        target = tmp_path / f"again-{rate}.mcap"
        again, again_events = replay(log, target, rate)
        assert {k: v.vector.tobytes() for k, v in again.items()} == {k: v.vector.tobytes() for k, v in live.items()}
        assert again_events.keys() == events.keys()


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(five_sensors())
    return path


def start(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stream_bind.cli", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_record_needs_no_model_and_replay_embeds_it_with_any(rig: Path, tmp_path: Path, capsys) -> None:
    log = tmp_path / "walk.mcap"
    assert main(["record", str(rig), "-o", str(log), "--local", "--duration", "3s"]) == 0
    told = capsys.readouterr().err
    assert f"recorded: {log} (" in told
    assert "● recording" in told
    assert "vectors" not in told
    assert main(["replay", str(log), "--local", "--rate", "max", "--wait", "0s", "--encoder", "imagebind-tiny"]) == 0
    assert "windows due" in capsys.readouterr().err
    assert main(["record", str(rig), "-o", str(log), "--local"]) == 2
    assert "is there already, and a recording replaces nothing" in capsys.readouterr().err
    assert main(["run", str(rig), "--replay", str(log), "--local", "--rate", "max"]) == 0
    assert "windows due" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--rate", "0"], 2, "--rate 0: expected a number above 0"),
        (["--rate", "fast"], 2, "expected a number above 0, such as 1 or 10, or max"),
        (["--start", "1h"], 2, "lies behind the end of"),
        (["--streams", "imu,sonar"], 1, "has no stream sonar; it has"),
        (["--encoder", "imagbind"], 2, "did you mean 'imagebind'?"),
        (["--set", "encoders.imagebind-tiny.modle=x"], 2, "modle"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(lossless: Path, capsys, words: list[str], code: int, told: str) -> None:
    assert main(["replay", str(lossless), "--local", *words]) == code
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_logs_that_are_none_are_refused_with_a_sentence(tmp_path: Path, capsys) -> None:
    empty, pointer, other = (tmp_path / name for name in ("a.mcap", "b.mcap", "c.mcap"))
    empty.write_bytes(b"")
    pointer.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    other.write_bytes(b"RIFF1234")
    for path, told in (
        (empty, "is empty"),
        (pointer, "git lfs pull"),
        (other, "no MCAP file"),
        (tmp_path / "d", "no such"),
    ):
        assert main(["replay", str(path), "--local"]) == 1
        assert told in capsys.readouterr().err


def test_a_subscriber_gets_every_vector_of_a_replay_once(lossless: Path, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/data"
    replaying = start(
        "replay", lossless, "--local", "--rate", "max", "--set", f"publish.endpoint={endpoint}", "--wait", "30s"
    )
    time.sleep(3.0)  # nothing may be lost by coming late
    got = start("subscribe", endpoint, "--json", "--idle-exit", "3s")
    out, said = got.communicate(timeout=90)
    _, err = replaying.communicate(timeout=60)
    assert replaying.returncode == 0, err
    live, _events = published(lossless)
    assert sum('"kind": "emb"' in line or '"kind":"emb"' in line for line in out.splitlines()) == len(live)
    assert "lost 0" in said


# -- crashes -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def motion_rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rig") / "rig.yaml"
    path.write_text(five_sensors())
    return path


@pytest.mark.slow
def test_kill_9_of_the_whole_run_loses_a_second_at_most(motion_rig: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    for trial in range(4):
        log = tmp_path / f"killed{trial}.mcap"
        process = start("record", motion_rig, "-o", log, "--local")
        while not log.exists() or log.stat().st_size < 1000:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        time.sleep(1.5 + 2 * chance.random())
        killed_ns = time.time_ns()
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        found = open_log(log)
        assert set(found.streams) == set(FIVE)
        for stream, spec in found.streams.items():
            items = list(StreamReader(found.parts, spec))
            newest_ns = max(int(each.item.t_ns[-1]) for each in items if isinstance(each.item, Chunk))
            assert killed_ns - newest_ns < 1.2 * S, stream
        whole = tmp_path / f"whole{trial}.mcap"
        recovery = recover(log, whole)
        assert recovery.n_messages == sum(isinstance(each, LogMessage) for each in Scan(log))
        again, _ = replay(log, tmp_path / f"replayed{trial}.mcap")
        also, _ = replay(whole, tmp_path / f"recovered{trial}.mcap")
        assert again.keys() == also.keys()


@pytest.mark.slow
def test_a_recorder_that_is_killed_is_started_again_and_nothing_is_missing(motion_rig: Path, tmp_path: Path) -> None:
    """With Ray the recorder is a process of its own: its death takes neither sensors nor what they have sent."""
    log = tmp_path / "walk.mcap"
    process = start("record", motion_rig, "-o", log, "--duration", "9s")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr or ()), daemon=True)
    reader.start()
    while not log.exists() or log.stat().st_size < 200_000:
        assert process.poll() is None, "".join(lines)
        time.sleep(0.1)
    holders = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _holds_open(entry, log) and int(entry.name) != process.pid
    ]
    assert len(holders) == 1
    os.kill(holders[0], signal.SIGKILL)
    assert process.wait(timeout=60) == 0, "".join(lines)
    reader.join(5)
    found = open_log(log)
    assert [part.name for part in found.parts] == ["walk.mcap", "walk_0001.mcap"]
    for stream, spec in found.streams.items():
        its = StreamReader(found.parts, spec)
        t_ns = np.concatenate([each.item.t_ns for each in its if isinstance(each.item, Chunk)])
        assert its.lost == 0
        steps = np.diff(t_ns)
        assert steps.min() > 0, stream
        assert steps.max() < 1.5 * spec.period_ns, stream


def _holds_open(process: Path, path: Path) -> bool:
    try:
        return any(os.readlink(each) == str(path) for each in (process / "fd").iterdir())
    except OSError:
        return False


def test_a_log_cut_anywhere_replays_as_far_as_it_goes(lossless: Path, tmp_path: Path, capsys) -> None:
    whole = lossless.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert main(["replay", str(cut), "--local", "--rate", "max", "--wait", "0s"]) == 0
    assert "was not closed, or is damaged" in capsys.readouterr().err
    holed = tmp_path / "holed.mcap"
    start_at = len(whole) // 2
    holed.write_bytes(whole[:start_at] + bytes(300_000) + whole[start_at + 300_000 :])
    assert main(["replay", str(holed), "--local", "--rate", "max", "--wait", "0s"]) == 3
    assert "chunks of the log could not be read" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def _script_is_empty() -> Iterator[None]:
    yield
    while not SCRIPT.empty():
        SCRIPT.get()

"""The microphone on the real stack: PulseAudio with null sinks and a pipe, ALSA's plugin, PortAudio, our driver.

A daemon of its own lives in each test's folder. Nothing here needs a sound card.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actors.inbox import Arrival, Inbox
from actors.reader import Reader
from actors.transport import free_port
from devices.microphone import Microphone, MicrophoneConfig
from devices.portaudio import PORTAUDIO
from stream_bind.adjust import Adjust
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Notice
from stream_bind.restart import Backoff

pytestmark = [pytest.mark.requires("portaudio", "pulseaudio"), pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
S = 1_000_000_000
RAMP = 32768
"""The played ramp counts samples modulo this; at 48 kHz it begins anew every 0.68 s."""
DEVICES = """
pcm.mic48 { type pulse device "mic48.monitor" hint { show on description "virtual 48 kHz" } }
pcm.mic16 { type pulse device "mic16.monitor" hint { show on description "virtual 16 kHz" } }
"""
WRITER = """
import os, sys, time
path, rate = sys.argv[1], 48000
ramp = b"".join(k.to_bytes(2, "little") for k in range(32768)) * 8
t0 = time.monotonic(); print(t0, flush=True)
n, pipe = 0, None
while True:
    time.sleep(0.004)
    due = int((time.monotonic() - t0) * rate)
    n = max(n, due - 32768)
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK) if pipe is None else pipe
        os.write(pipe, ramp[2 * (n % 32768):2 * (n % 32768 + due - n)])
    except BlockingIOError:
        pass
    except OSError:
        if pipe is not None: os.close(pipe)
        pipe = None
    n = due
"""


RIG = """\
version: 1
rig: desk
encoder: {{model: imagebind, weights: random, size: small, modalities: [audio]}}
streams:
  - id: mic
    modality: audio
    device: {{type: microphone, source: pipe}}
    window: {{length_s: 2, hop_s: 1}}
publish: {{endpoint: "{endpoint}"}}
"""


class Sound:
    """A sound server in `folder`: null sinks mic48 and mic16, and `pipe`, a microphone that hears a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.children: list[subprocess.Popen[bytes]] = []
        self.clock = SystemClock()
        self.daemon: subprocess.Popen[bytes] | None = None
        self.pipe_start_s = 0.0

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """A program that dies with this one."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], **quiet)
        self.children.append(child)
        return child

    def start(self) -> float:
        """Start the server; the monotonic time at which it answers."""
        self.socket.unlink(missing_ok=True)
        (self.folder / "pipe").unlink(missing_ok=True)
        home = {name: str(self.folder) for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH")}
        modules = [
            f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}",
            "module-null-sink sink_name=mic48 rate=48000 channels=1 format=s16le",
            "module-null-sink sink_name=mic16 rate=16000 channels=1 format=s16le",
            f"module-pipe-source source_name=pipe file={self.folder}/pipe rate=48000 channels=1 format=s16le",
        ]
        options = ["--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--high-priority=no", "--realtime=no"]
        loads = [word for module in modules for word in ("-L", module)]
        environment = {**os.environ, **home}
        environment.pop("PULSE_SERVER", None)
        self.daemon = self.spawn("pulseaudio", "-n", *options, *loads, env=environment)
        wait_until(self.answers, 20.0, "PulseAudio to answer")
        return time.monotonic()

    def answers(self) -> bool:
        asked = subprocess.run(["pactl", "info"], capture_output=True, timeout=10, check=False)
        return self.socket.exists() and asked.returncode == 0

    def signal(self, number: signal.Signals) -> float:
        assert self.daemon is not None
        self.daemon.send_signal(number)
        if number == signal.SIGKILL:
            self.daemon.wait()
        return time.monotonic()

    def pactl(self, *words: str) -> str:
        return subprocess.run(["pactl", *words], capture_output=True, text=True, timeout=10, check=True).stdout

    def unload(self, sink: str) -> None:
        line = next(
            line for line in self.pactl("list", "short", "modules").splitlines() if f"sink_name={sink} " in line
        )
        self.pactl("unload-module", line.split()[0])

    def play(self, sink: str, rate_hz: int, samples: NDArray[np.int16]) -> None:
        """Play into a null sink, whose monitor is the microphone."""
        words = ["-d", sink, "--rate", str(rate_hz), "--channels", "1", "--format", "s16le", "--latency-msec", "1000"]
        file = self.folder / f"{sink}.raw"
        file.write_bytes(samples.tobytes())
        self.spawn("pacat", "--playback", "--raw", *words, str(file))

    def feed_pipe(self) -> None:
        """Write a ramp into the pipe in real time: sample k, of value k modulo RAMP, at pipe_start_s + k / 48000."""
        writer = self.spawn(sys.executable, "-c", WRITER, str(self.folder / "pipe"), stdout=subprocess.PIPE)
        assert writer.stdout is not None
        self.pipe_start_s = float(writer.stdout.readline())

    def error_ms(self, chunk: Chunk) -> float:
        """How far the stamp of the chunk's first sample of the pipe is from when it was written."""
        assert chunk.raw is not None
        value = int(np.asarray(chunk.raw.samples)[0, 0]) % RAMP
        stamped_s = (int(chunk.t_ns[0]) - self.clock.offset_ns) / S - self.pipe_start_s
        off_s = stamped_s - value / 48000
        return (off_s - round(off_s * 48000 / RAMP) * RAMP / 48000) * 1e3

    def stop(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()


@pytest.fixture
def sound(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sound]:
    # Sockets have short paths.
    folder = tmp_path_factory.mktemp("pa")
    (folder / "asound.conf").write_text(DEVICES)
    monkeypatch.setenv("ALSA_CONFIG_PATH", f"/usr/share/alsa/alsa.conf:{folder}/asound.conf")
    monkeypatch.setenv("PULSE_SERVER", f"unix:{folder}/native")
    server = Sound(folder)
    try:
        server.start()
        # PortAudio may have been initialised by another test, with other variables.
        wait_until(lambda: PORTAUDIO.n_stuck == 0 and PORTAUDIO.n_streams == 0, 10.0, "earlier streams to end")
        names = [it.name for it in PORTAUDIO.inputs(refresh=True)]
        assert {"mic48", "mic16", "pulse"} <= set(names)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


def microphone(sound: Sound, **settings: Any) -> Microphone:
    return Microphone(MicrophoneConfig(**settings), "mic", sound.clock)


@pytest.fixture
def opened(sound: Sound) -> Iterator[Callable[..., Microphone]]:
    """Opens a microphone that is closed at the end."""
    made: list[Microphone] = []

    def make(**settings: Any) -> Microphone:
        made.append(microphone(sound, **settings))
        made[-1].open()
        return made[-1]

    yield make
    for it in made:
        it.close()


def record(it: Microphone, seconds: float, *, timeout_s: float = 20.0) -> list[Chunk]:
    """So many seconds of chunks."""
    chunks: list[Chunk] = []
    end = time.monotonic() + timeout_s
    while sum(map(len, chunks)) < seconds * it.spec.rate_hz:
        assert time.monotonic() < end, f"got {sum(map(len, chunks))} samples in {timeout_s} s"
        called = time.monotonic()
        chunk = it.read(0.2)
        assert time.monotonic() - called < 1.0
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def until_heard(it: Microphone, timeout_s: float = 20.0) -> None:
    """Read until the player can be heard, and half a second more."""
    end = time.monotonic() + timeout_s
    while not joined(record(it, 0.05)).any():
        assert time.monotonic() < end, "nothing was heard"
    record(it, 0.5)


def joined(chunks: list[Chunk]) -> NDArray[np.float32]:
    return np.concatenate([chunk.data[:, 0] for chunk in chunks])


def sine(rate_hz: int, tone_hz: float, level: float, seconds: float) -> NDArray[np.int16]:
    t = np.arange(round(rate_hz * seconds)) / rate_hz
    return np.rint(level * 32767 * np.sin(2 * np.pi * tone_hz * t)).astype(np.int16)


def tone_of(samples: NDArray[np.float32], rate_hz: float) -> tuple[float, float]:
    """Frequency in Hz and level of the strongest tone, by parabola through the peak of a Hann-windowed spectrum."""
    window = np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window))
    k = int(spectrum.argmax())
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    tone_hz = (k + (a - c) / (2 * (a - 2 * b + c))) * rate_hz / len(samples)
    t = np.arange(len(samples)) / rate_hz
    return float(tone_hz), float(2 * abs(np.sum(samples * window * np.exp(-2j * np.pi * tone_hz * t))) / window.sum())


class Run:
    """A microphone read by the actor's own reader thread."""

    def __init__(self, sound: Sound, **settings: Any) -> None:
        self.inbox = Inbox(lambda: None)
        self.microphone = microphone(sound, **settings)
        backoff = Backoff(0.1, 0.5)
        self.reader = Reader("mic", self.microphone, Adjust(self.microphone.spec), self.inbox, sound.clock, backoff)
        self.chunks: list[Chunk] = []
        self.times_s: list[float] = []
        """Monotonic time at which each chunk was taken."""
        self.notices: list[Notice] = []
        self.fatal: str | None = None
        self.reader.start()

    def take(self) -> None:
        while (arrival := self.inbox.take()) is not None:
            self._note(arrival)

    def _note(self, arrival: Arrival) -> None:
        self.fatal = arrival.fatal or self.fatal
        if arrival.notice is not None:
            self.notices.append(arrival.notice)
        if arrival.chunk is not None:
            self.chunks.append(arrival.chunk)
            self.times_s.append(time.monotonic())

    def until(self, reason: str, n: int, timeout_s: float) -> Notice:
        """The n-th notice of this reason."""

        def there() -> bool:
            self.take()
            assert self.fatal is None, self.fatal
            return len(self.of(reason)) >= n

        wait_until(there, timeout_s, f"{reason} ({n})")
        return self.of(reason)[n - 1]

    def of(self, reason: str) -> list[Notice]:
        return [notice for notice in self.notices if notice.reason == reason]

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take()
            time.sleep(0.01)

    def n_samples(self, n: int, timeout_s: float) -> None:
        def enough() -> bool:
            self.take()
            return sum(map(len, self.chunks)) >= n

        wait_until(enough, timeout_s, f"{n} samples")


@pytest.fixture
def run(sound: Sound) -> Iterator[Callable[..., Run]]:
    made: list[Run] = []

    def make(**settings: Any) -> Run:
        made.append(Run(sound, **settings))
        return made[-1]

    yield make
    for it in made:
        it.inbox.close()
        it.reader.stop(5.0)


@pytest.mark.parametrize(
    ("address", "rate_hz", "sink_hz"),
    [
        ({"name": "mic48"}, 48000, 48000),
        ({"name": "mic16"}, 16000, 16000),
        ({"source": "mic48.monitor"}, 48000, 48000),
        ({"source": "mic16.monitor", "sample_format": "float32"}, 48000, 16000),
    ],
)
def test_a_played_tone_comes_back_with_its_pitch_and_level(
    sound: Sound, opened: Callable[..., Microphone], address: dict[str, str], rate_hz: int, sink_hz: int
) -> None:
    sink = str(next(iter(address.values()))).removesuffix(".monitor")
    sound.play(sink, sink_hz, sine(sink_hz, 997.0, 0.5, 30))
    it = opened(**address, rate_hz=rate_hz)
    assert it.spec.shape == (1,)
    until_heard(it)
    chunks = record(it, 2.0)
    tone_hz, level = tone_of(joined(chunks), rate_hz)
    assert tone_hz == pytest.approx(997.0, abs=0.5)
    assert level == pytest.approx(0.5, rel=0.02)
    assert not any(chunk.gap_before for chunk in chunks)
    t_ns = np.concatenate([chunk.t_ns for chunk in chunks])
    assert (np.diff(t_ns) > 0).all()
    assert (len(t_ns) - 1) * S / (t_ns[-1] - t_ns[0]) == pytest.approx(rate_hz, rel=0.03)
    assert abs(int(t_ns[-1]) - sound.clock.unix_ns()) < S / 2


def test_no_sample_is_lost_or_doubled_in_two_microphones_of_one_process(
    sound: Sound, opened: Callable[..., Microphone]
) -> None:
    ramp = (np.arange(20 * 48000) % RAMP).astype(np.int16)
    sound.play("mic48", 48000, ramp)
    sound.play("mic16", 16000, ramp)
    both = [opened(name="mic48", rate_hz=48000), opened(name="mic16", rate_hz=16000)]
    heard: list[list[Chunk]] = [[], []]
    for it in both:
        until_heard(it)
    for _ in range(40):
        for number, it in enumerate(both):
            heard[number] += record(it, 0.1)
    for its in heard:
        values = np.concatenate([np.asarray(chunk.raw.samples)[:, 0] for chunk in its if chunk.raw]).astype(int)
        steps = np.diff(values) % RAMP
        assert (steps != 1).sum() == 0
        assert not any(chunk.gap_before for chunk in its)
    assert PORTAUDIO.n_streams == 2


def test_stamps_are_right_through_a_server_that_counts_in_unix_time(
    sound: Sound, opened: Callable[..., Microphone]
) -> None:
    sound.feed_pipe()
    it = opened(source="pipe")
    record(it, 2.0)
    chunks = record(it, 3.0)
    assert it._adc.domain == "realtime"
    errors_ms = np.array([sound.error_ms(chunk) for chunk in chunks])
    # Measured: -1.7 to 3.0 ms in 12 s.
    assert np.median(np.abs(errors_ms)) < 15
    assert np.ptp(errors_ms) < 20


def test_a_killed_server_that_comes_back_leaves_a_gap_of_the_right_length(
    sound: Sound, run: Callable[..., Run]
) -> None:
    sound.feed_pipe()
    it = run(source="pipe")
    it.n_samples(2 * 48000, 15.0)
    killed_s = sound.signal(signal.SIGKILL)
    lost = it.until("device_lost", 1, 5.0)
    assert time.monotonic() - killed_s < 2.0
    assert "the stream ended" in lost.detail
    it.run(1.5)
    returned_s = sound.start()
    back = it.until("device_back", 1, 10.0)
    assert time.monotonic() - returned_s < 4.0
    it.run(0.5)
    at = next(number for number, chunk in enumerate(it.chunks) if chunk.t_ns[0] == back.t_end_ns)
    assert it.chunks[at].gap_before
    assert back.t_ns - int(it.chunks[at - 1].t_ns[-1]) == pytest.approx(S / 48000, abs=2)
    # Both ends of the hole against the writer's time, which the samples carry.
    off_ms = sound.error_ms(it.chunks[at]) - sound.error_ms(it.chunks[at - 1])
    assert abs(off_ms) < 20
    assert (back.t_end_ns - back.t_ns) / S == pytest.approx(it.times_s[at] - killed_s, abs=0.3)
    assert (np.diff(np.concatenate([chunk.t_ns for chunk in it.chunks])) > 0).all()


def test_a_cold_server_is_back_within_four_seconds(sound: Sound, run: Callable[..., Run]) -> None:
    it = run(name="mic48")
    it.n_samples(48000, 15.0)
    for number in (1, 2):
        sound.signal(signal.SIGKILL)
        it.until("device_lost", number, 5.0)
        it.run(1.0)
        returned_s = sound.start()
        it.until("device_back", number, 10.0)
        # An idle null sink wakes up after 1.6 s.
        assert time.monotonic() - returned_s < 4.0
    assert len(it.of("device_lost")) == 2


def test_a_frozen_server_hangs_nobody_and_is_back_when_it_thaws(sound: Sound, run: Callable[..., Run]) -> None:
    sound.feed_pipe()
    it = run(source="pipe", stall_timeout_s=1.0)
    it.n_samples(2 * 48000, 15.0)
    frozen_s = sound.signal(signal.SIGSTOP)
    lost = it.until("device_lost", 1, 6.0)
    # A second of silence, and a second for a closing that hangs.
    assert 0.9 < time.monotonic() - frozen_s < 4.0
    assert "no sound for" in lost.detail
    it.run(1.5)
    assert it.microphone.counters["stuck_calls"] == 1
    assert not it.of("device_back")
    thawed_s = sound.signal(signal.SIGCONT)
    back = it.until("device_back", 1, 10.0)
    assert time.monotonic() - thawed_s < 4.0
    it.run(0.5)
    at = next(number for number, chunk in enumerate(it.chunks) if chunk.t_ns[0] == back.t_end_ns)
    assert it.chunks[at].gap_before
    assert abs(sound.error_ms(it.chunks[at - 1])) < 20
    assert (np.diff(np.concatenate([chunk.t_ns for chunk in it.chunks])) > 0).all()
    wait_until(lambda: PORTAUDIO.n_stuck == 0, 5.0, "the closing that hung to end")


def test_a_server_that_is_killed_while_frozen_lets_go_of_what_hangs(sound: Sound, run: Callable[..., Run]) -> None:
    it = run(name="mic48", stall_timeout_s=1.0)
    it.n_samples(48000, 15.0)
    sound.signal(signal.SIGSTOP)
    it.until("device_lost", 1, 6.0)
    sound.signal(signal.SIGKILL)
    wait_until(lambda: PORTAUDIO.n_stuck == 0, 10.0, "the closing that hung to end")
    returned_s = sound.start()
    it.until("device_back", 1, 10.0)
    assert time.monotonic() - returned_s < 4.0


def test_a_short_standstill_is_a_gap_and_not_seconds_of_wrong_times(sound: Sound, run: Callable[..., Run]) -> None:
    sound.feed_pipe()
    it = run(source="pipe", stall_timeout_s=5.0)
    it.n_samples(2 * 48000, 15.0)
    sound.signal(signal.SIGSTOP)
    it.run(1.2)
    sound.signal(signal.SIGCONT)
    lost = it.until("device_lost", 1, 5.0)
    assert "stood still for 1." in lost.detail
    back = it.until("device_back", 1, 5.0)
    it.run(3.0)
    at = next(number for number, chunk in enumerate(it.chunks) if chunk.t_ns[0] == back.t_end_ns)
    assert len(it.of("device_lost")) == 1
    assert [number for number, chunk in enumerate(it.chunks) if chunk.gap_before] == [at]
    assert np.ptp([sound.error_ms(chunk) for chunk in it.chunks[at:]]) < 40


def test_a_stream_the_server_moves_to_another_microphone_is_noticed_and_not_recorded(
    sound: Sound, run: Callable[..., Run]
) -> None:
    sound.play("mic48", 48000, sine(48000, 440.0, 0.1, 60))
    for other in ("mic16", "loud"):
        if other == "loud":
            sound.pactl("load-module", "module-null-sink", "sink_name=loud", "rate=48000", "channels=1")
        sound.play(other, 48000, sine(48000, 3000.0, 0.9, 60))
    it = run(name="mic48")
    it.n_samples(2 * 48000, 15.0)
    # The stream was followed from its first second on.
    assert it.microphone._home is not None
    assert it.microphone._home.name == "mic48.monitor"
    unloaded_s = time.monotonic()
    sound.unload("mic48")
    lost = it.until("device_lost", 1, 5.0)
    assert time.monotonic() - unloaded_s < 2.0
    assert "moved it from mic48.monitor to " in lost.detail
    assert "another microphone" in lost.detail
    it.run(1.0)
    wrong = np.abs(joined(it.chunks)) > 0.2
    # Measured: none in five moves; the limit is for a busy machine.
    assert wrong.sum() < 0.1 * 48000
    assert not it.of("device_back")
    sound.pactl("load-module", "module-null-sink", "sink_name=mic48", "rate=48000", "channels=1")
    returned_s = time.monotonic()
    it.until("device_back", 1, 10.0)
    assert time.monotonic() - returned_s < 4.0
    assert it.microphone.counters["moves"] == 1


def test_a_microphone_without_another_to_move_to_just_ends(sound: Sound, run: Callable[..., Run]) -> None:
    for line in sound.pactl("list", "short", "modules").splitlines():
        if "pipe-source" in line or "mic16" in line:
            sound.pactl("unload-module", line.split()[0])
    it = run(name="mic48")
    it.n_samples(48000, 15.0)
    sound.unload("mic48")
    assert "lost: the stream ended" in it.until("device_lost", 1, 5.0).detail


def test_an_absent_source_and_an_absent_server_are_told_in_a_sentence(sound: Sound) -> None:
    for settings in ({"source": "nowhere"}, {"name": "mic"}, {"name": "headset"}):
        with pytest.raises(DeviceError) as caught:
            microphone(sound, **settings).open()
        words = str(caught.value)
        assert words.startswith(f"microphone {next(iter(settings.values()))}: ")
        assert "\n" not in words
        assert not caught.value.permanent
        assert ("mic48" in words and "mic16" in words) == ("name" in settings)
    sound.signal(signal.SIGKILL)
    with pytest.raises(DeviceError, match="mic48"):
        microphone(sound, name="mic48").open()


def test_opening_on_a_frozen_server_ends_in_time(sound: Sound) -> None:
    sound.signal(signal.SIGSTOP)
    it = microphone(sound, name="mic48")
    called_s = time.monotonic()
    with pytest.raises(DeviceError, match="PortAudio hangs; is the sound server frozen"):
        it.open()
    assert time.monotonic() - called_s < 8.0
    called_s = time.monotonic()
    with pytest.raises(DeviceError, match="still hangs"):
        it.open()
    assert time.monotonic() - called_s < 1.0
    assert Microphone.discover() is not None
    assert time.monotonic() - called_s < 15.0
    sound.signal(signal.SIGCONT)
    wait_until(lambda: PORTAUDIO.n_stuck == 0, 10.0, "what hung to end")
    it.open()
    record(it, 0.5)
    it.close()


def test_what_there_is_is_listed_with_sources_and_monitors_marked(
    sound: Sound, opened: Callable[..., Microphone]
) -> None:
    found = {it.identity: it for it in Microphone.discover()}
    assert {"mic48", "mic16", "pulse", "pipe", "mic48.monitor"} <= set(found)
    assert found["pipe"].config == {"type": "microphone", "source": "pipe", "rate_hz": 48000.0, "channels": 1}
    assert not found["pipe"].warnings
    assert "monitor" in found["mic48.monitor"].warnings[0]
    sound.feed_pipe()
    assert len(record(opened(**found["pipe"].config), 0.1)) == 10


def test_closing_leaves_no_stream_and_no_thread_behind(sound: Sound) -> None:
    before = {thread.name for thread in threading.enumerate()}
    for _ in range(5):
        it = microphone(sound, name="mic48")
        it.open()
        record(it, 0.05)
        it.close()
    assert PORTAUDIO.n_streams == PORTAUDIO.n_stuck == 0
    assert {thread.name for thread in threading.enumerate()} - before <= {"sound-server"}
    assert "ALSA Capture" not in sound.pactl("list", "source-outputs")


def test_a_microphone_under_ray_survives_its_sound_server(sound: Sound, tmp_path: Path) -> None:
    """From a person's chair: the variables that lead to the server reach the actor; subscribers hear of the hole."""
    sound.feed_pipe()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    config, out = tmp_path / "rig.yaml", tmp_path / "received.jsonl"
    config.write_text(RIG.format(endpoint=endpoint))
    cli = [sys.executable, "-m", "stream_bind.cli"]
    with out.open("w") as sink:
        subscriber = sound.spawn(*cli, "subscribe", endpoint, "--json", "--idle-exit", "10s", cwd=ROOT, stdout=sink)
    rig = subprocess.Popen(
        [*cli, "run", str(config), "--set=publish.wait_for_subscriber_s=20"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def told() -> list[dict[str, Any]]:
        return [json.loads(line) for line in out.read_text().splitlines() if line.endswith("}")]

    def of(reason: str) -> list[dict[str, Any]]:
        return [message for message in told() if message.get("reason") == reason]

    try:
        wait_until(lambda: any(message["kind"] == "emb" for message in told()), 60.0, "a vector")
        time.sleep(1.0)
        sound.signal(signal.SIGKILL)
        killed_ns = sound.clock.unix_ns()
        wait_until(lambda: bool(of("device_lost")), 10.0, "device_lost")
        time.sleep(2.0)
        sound.start()
        started_ns = sound.clock.unix_ns()
        wait_until(lambda: bool(of("device_back")), 20.0, "device_back")
        back = of("device_back")[0]
        resumed = lambda: any(m["kind"] == "emb" and m["t_start"] > back["t_end"] for m in told())  # noqa: E731
        wait_until(resumed, 20.0, "a vector of sound after the hole")
    finally:
        rig.terminate()
        _, said = rig.communicate(timeout=60)
        subscriber.wait(60)
    assert "Traceback" not in said
    assert len(of("device_lost")) == len(of("device_back")) == 1
    assert abs(back["t_start"] - killed_ns) < S / 2
    assert started_ns - S < back["t_end"] < started_ns + 4 * S

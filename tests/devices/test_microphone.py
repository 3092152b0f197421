"""The microphone over a simulated PortAudio: stamps, losses, faults, addresses, without a sound and without waiting."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import devices.microphone
import devices.sound_intake
from devices.adc_clock import AdcClock
from devices.microphone import Microphone, MicrophoneConfig
from devices.portaudio import Call, PortAudio, SoundInput, Stuck
from devices.sound_cards import SoundCard, find_card, sound_cards, why_closed
from devices.sound_inputs import choose_input, found_inputs
from devices.sound_server import SoundServer, Source
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

S = 1_000_000_000
MS = 1_000_000
T0 = 1_790_000_000 * S
UP_NS = 5_000 * S  # the machine's uptime when a test begins

USB = SoundInput(0, "USB PnP Sound Device: Audio (hw:1,0)", "ALSA", 1, 44100.0, False)
PULSE = SoundInput(1, "pulse", "ALSA", 32, 44100.0, False)
DEFAULT = SoundInput(2, "default", "ALSA", 32, 44100.0, True)
STEREO = SoundInput(3, "Line In: Audio (hw:2,0)", "ALSA", 2, 48000.0, False)
INPUTS = [USB, PULSE, DEFAULT, STEREO]
CARDS = [SoundCard(1, "Device", "USB PnP Sound Device"), SoundCard(2, "Line", "Line In")]


class PortAudioError(Exception):
    pass


class Bench:
    """A microphone on a simulated PortAudio. `play` is a callback of PortAudio's, the time it comes at included."""

    n_streams = 0

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock(T0, UP_NS)
        self.stepped_ns = 0  # of the system's own UNIX clock
        self.fails: Exception | None = None
        self.opened: list[dict[str, Any]] = []
        self.hangs = False
        self.server = SoundServer()
        self.domain = "realtime"
        monkeypatch.setattr(devices.microphone, "PORTAUDIO", self)
        monkeypatch.setattr(devices.microphone, "SOUND_SERVER", self.server)
        monkeypatch.setattr(devices.microphone, "uses_sound_server", lambda: False)
        monkeypatch.setattr("devices.sound_inputs.sound_cards", lambda: CARDS)
        monkeypatch.setattr(devices.sound_intake, "time_ns", lambda: self.clock.unix_ns() + self.stepped_ns)

    def make(self, **settings: Any) -> Microphone:
        settings = {"name": "pulse", **settings} if "source" not in settings else settings
        self.microphone = Microphone(MicrophoneConfig(**settings), "mic", self.clock)
        return self.microphone

    def open(self, choose: Any, settle: Any, callback: Any, finished: Any, **how: Any) -> Any:
        chosen = choose(INPUTS)
        settings = settle(chosen)
        self.opened.append({"input": chosen, "settings": settings, **how})
        if self.fails:
            raise self.fails
        self.settings, self.callback, self.finished = settings, callback, finished
        return object(), chosen, settings

    def close(self, stream: object) -> None:
        if self.hangs:
            raise Stuck(self.hung)

    def offers(self, *_: object) -> str:
        return "1 to 2 channels at 44100, 48000 Hz"

    def play(
        self,
        sound: Any = None,
        *,
        after_s: float | None = None,
        age_s: float | None = None,
        waited_s: float = 0.0,
        overflow: bool = False,
    ) -> None:
        """One block, taken while the clock moves by after_s, by default its own length; waited_s: how long before the
        callback PortAudio took the time."""
        n, channels = self.settings.block, self.settings.channels
        block_s = n / self.settings.rate_hz
        self.clock.advance(block_s if after_s is None else after_s)
        current_s = {
            "realtime": (self.clock.unix_ns() + self.stepped_ns) / S,
            "monotonic": self.clock.monotonic_ns() / S,
            "own": self.clock.monotonic_ns() / S + 77 * 86400,
            "none": 0.0,
        }[self.domain]
        current_s = current_s and current_s - waited_s
        age_s = block_s if age_s is None else age_s
        times = SimpleNamespace(inputBufferAdcTime=current_s and current_s - age_s, currentTime=current_s)
        data = np.zeros((n, channels), self.settings.dtype) if sound is None else np.asarray(sound)
        self.callback(data.tobytes(), n, times, SimpleNamespace(input_overflow=overflow) if overflow else None)

    def read(self) -> Chunk:
        chunk = self.microphone.read(0.0)
        assert chunk is not None
        return chunk

    @property
    def now_s(self) -> float:
        return (self.clock.unix_ns() - T0) / S


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def starts_s(chunks: list[Chunk]) -> np.ndarray:
    return (np.array([int(chunk.t_ns[0]) for chunk in chunks]) - T0) / S


def late_s(number: int) -> float:
    """How late the callback of a block is."""
    return 0.002 + number * 7 % 10 * 0.001


def play_late(bench: Bench, number: int) -> Chunk:
    """Block `number`, of a stream that began at T0, with PortAudio's time taken before the wait."""
    arrives_s = (number + 1) * 0.01 + late_s(number)
    bench.play(after_s=arrives_s - bench.now_s, waited_s=late_s(number))
    return bench.read()


@pytest.mark.parametrize(
    ("domain", "within_s"), [("monotonic", 1e-5), ("realtime", 1e-5), ("own", 0.009), ("none", 0.006)]
)
def test_stamps_are_right_whatever_clock_the_back_end_takes_its_times_from(
    bench: Bench, domain: str, within_s: float
) -> None:
    bench.domain = domain
    microphone = bench.make()
    microphone.open()
    chunks = [play_late(bench, number) for number in range(300)]
    assert starts_s(chunks) == pytest.approx(np.arange(300) * 0.01, abs=within_s)
    assert (np.diff(np.concatenate([chunk.t_ns for chunk in chunks])) > 0).all()
    assert not any(chunk.gap_before for chunk in chunks)
    assert chunks[0].clock.domain == microphone.spec.domain == "device"
    assert chunks[2].ticks is not None
    assert chunks[2].ticks.tolist() == list(range(960, 1440))


@pytest.mark.parametrize("domain", ["monotonic", "realtime"])
@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 0.3, -0.3])
def test_a_step_of_the_systems_clock_moves_no_stamp(bench: Bench, domain: str, step_s: float) -> None:
    bench.domain = domain
    bench.make().open()
    chunks = []
    for number in range(600):
        bench.stepped_ns = round(step_s * S) if number >= 250 else 0
        chunks.append(play_late(bench, number))
    assert np.abs(starts_s(chunks) - np.arange(600) * 0.01).max() < 1e-5
    assert bench.microphone.counters["losses_found"] == 0


def test_a_callback_that_waited_for_python_is_stamped_by_its_adc_time(bench: Bench) -> None:
    bench.make().open()
    chunks = []
    for number in range(300):
        # PortAudio takes the time of nine blocks, while its thread waits 80 ms for the interpreter.
        held = number % 50 - 20
        if 0 <= held < 9:
            bench.play(after_s=0.09 if held == 0 else 0.0, waited_s=0.08 - 0.01 * held)
        else:
            bench.play()
        chunks.append(bench.read())
    assert np.abs(np.diff(starts_s(chunks)) - 0.01).max() < 1e-3
    assert not any(chunk.gap_before for chunk in chunks)


def test_adc_times_that_mean_nothing_are_not_believed() -> None:
    clock = AdcClock()
    up_s, unix_s = 5000.0, 1.79e9
    now = (round(up_s * S), round(unix_s * S))
    assert clock.monotonic_ns(0.0, 0.0, *now) is None
    assert clock.monotonic_ns(0.0, up_s, *now) is None
    assert clock.monotonic_ns(up_s - 3, up_s, *now) is None
    assert clock.monotonic_ns(up_s + 1, up_s, *now) is None
    assert clock.domain == "unknown"
    assert clock.monotonic_ns(up_s - 0.01, up_s, *now) == pytest.approx(now[0] - 10 * MS, abs=100)
    assert clock.domain == "monotonic"
    assert clock.monotonic_ns(unix_s - 0.31, unix_s - 0.3, *now) == pytest.approx(now[0] - 310 * MS, abs=1000)
    assert clock.domain == "realtime"
    assert clock.monotonic_ns(77.0 - 0.01, 77.0, *now) == pytest.approx(now[0] - 10 * MS, abs=100)
    assert clock.domain == "own"


@pytest.mark.parametrize(
    ("sample_format", "encoding", "half"),
    [("int16", "pcm_s16le", 2**14), ("int32", "pcm_s32le", 2**30), ("float32", "pcm_f32le", 0.5)],
)
def test_samples_are_full_scale_floats_and_kept_as_they_came(
    bench: Bench, sample_format: str, encoding: str, half: float
) -> None:
    microphone = bench.make(name="Line", sample_format=sample_format)
    assert microphone.spec.shape == (-1,)
    microphone.open()
    assert microphone.spec.shape == (2,)
    native = np.zeros((480, 2), sample_format)
    native[:, 0], native[:, 1] = half, -half
    bench.play(native)
    chunk = bench.read()
    assert chunk.data.dtype == np.float32
    assert chunk.data[7].tolist() == [0.5, -0.5]
    assert chunk.raw is not None
    assert chunk.raw.encoding == encoding
    assert np.asarray(chunk.raw.samples).tobytes() == native.tobytes()
    assert np.array_equal(np.asarray(chunk.raw.samples) * chunk.raw.scale, chunk.data)


def test_a_reported_overflow_is_a_gap_of_its_own_length(bench: Bench) -> None:
    bench.make().open()
    chunks = []
    for number in range(200):
        bench.play(after_s=0.51 if number == 100 else None, overflow=number == 100)
        chunks.append(bench.read())
    assert [number for number, chunk in enumerate(chunks) if chunk.gap_before] == [100]
    assert chunks[100].t_ns[0] - chunks[99].t_ns[-1] == pytest.approx(500 * MS, abs=1 * MS)
    assert bench.microphone.counters["overflows"] == 1


def test_sound_lost_without_a_word_is_found_by_the_clock(bench: Bench) -> None:
    bench.make(name="Line").open()
    chunks = []
    for number in range(300):
        bench.play(after_s=0.21 if number == 200 else None)
        chunks.append(bench.read())
    assert [number for number, chunk in enumerate(chunks) if chunk.gap_before] == [201]
    assert starts_s(chunks)[205] == pytest.approx(2.25, abs=1e-3)
    assert bench.microphone.counters["losses_found"] == 1


def test_times_that_run_away_while_blocks_come_as_before_are_no_loss(bench: Bench) -> None:
    """A sound server's first second: all is said to be half a second old, then time seems to run at double speed."""
    bench.make().open()
    chunks = []
    for number in range(600):
        bench.play(age_s=0.01 + min(0.5, max(0.0, 1.3 - number * 0.01)))
        chunks.append(bench.read())
    # Once the times have stood a second where they belong, the counter is anchored there.
    assert [number for number, chunk in enumerate(chunks) if chunk.gap_before] == pytest.approx([181], abs=20)
    assert np.abs(starts_s(chunks)[200:] - np.arange(200, 600) * 0.01).max() < 0.001


def test_a_cold_sound_servers_first_times_are_not_believed(bench: Bench) -> None:
    bench.make().open()
    bench.clock.advance(1.6)
    chunks = []
    for number in range(900):
        bench.play(age_s=0.01 + min(0.5, max(0.0, 1.3 - number * 0.01)))
        chunks.append(bench.read())
    assert not any(chunk.gap_before for chunk in chunks)
    assert np.abs(starts_s(chunks) - 1.6 - np.arange(900) * 0.01).max() < 0.001


def test_a_reader_that_is_late_loses_the_oldest_sound_and_is_told(bench: Bench) -> None:
    bench.make(buffer_s=0.5).open()
    bench.play()
    bench.read()
    for _ in range(120):
        bench.play()
    chunks = [bench.read() for _ in range(50)]
    assert bench.microphone.read(0.0) is None
    assert [chunk.gap_before for chunk in chunks] == [True, *[False] * 49]
    assert starts_s(chunks)[0] == pytest.approx(0.71, abs=1e-3)
    assert bench.microphone.counters["dropped_blocks"] == 70


def test_silence_of_the_driver_is_a_stall_though_the_stream_says_it_runs(bench: Bench) -> None:
    bench.make(stall_timeout_s=2.0).open()
    bench.play()
    bench.read()
    bench.clock.advance(1.9)
    assert bench.microphone.read(0.0) is None
    bench.clock.advance(0.2)
    with pytest.raises(DeviceError, match=r"pulse: stalled: no sound for 2\.1 s") as caught:
        bench.microphone.read(0.0)
    assert not caught.value.permanent
    assert bench.microphone.counters["stalls"] == 1


def test_the_first_block_may_take_longer(bench: Bench) -> None:
    bench.make(stall_timeout_s=1.0, start_timeout_s=4.0).open()
    bench.clock.advance(3.9)
    assert bench.microphone.read(0.0) is None
    bench.clock.advance(0.2)
    with pytest.raises(DeviceError, match="stalled"):
        bench.microphone.read(0.0)


def test_a_sound_server_that_stood_still_is_opened_anew_and_a_card_is_not(bench: Bench) -> None:
    for name, opened_anew in (("pulse", True), ("Line", False)):
        bench.make(name=name).open()
        for after_s in (0.01, 0.01, 0.9):
            bench.play(after_s=after_s, age_s=0.9 if after_s > 0.5 else 0.01)
        bench.read()
        bench.read()
        if opened_anew:
            with pytest.raises(DeviceError, match=r"stood still for 0\.9 s"):
                bench.read()
        else:
            bench.read()


def test_an_ended_stream_gives_what_it_had_and_then_an_error_at_once(bench: Bench) -> None:
    bench.make().open()
    bench.play()
    bench.finished()
    bench.read()
    with pytest.raises(DeviceError, match="lost: the stream ended"):
        bench.microphone.read(10.0)


def test_time_goes_on_forwards_with_a_gap_when_it_is_opened_again(bench: Bench) -> None:
    microphone = bench.make()
    microphone.open()
    for _ in range(100):
        bench.play()
        last = bench.read()
    late = bench.callback
    microphone.close()
    microphone.close()
    bench.clock.advance(3.0)
    with pytest.raises(DeviceError, match="read before open"):
        microphone.read(0.0)
    microphone.open()
    late(b"\1\0" * 480, 480, SimpleNamespace(inputBufferAdcTime=0.0, currentTime=0.0), None)  # of the first stream
    bench.play()
    first = bench.read()
    assert not first.data.any()
    assert first.gap_before
    assert (int(first.t_ns[0]) - int(last.t_ns[-1])) / S == pytest.approx(3.0, abs=0.001)


def test_a_moved_stream_is_the_wrong_microphone(bench: Bench) -> None:
    microphone = bench.make()
    microphone.open()
    usb = Source("alsa_input.usb", "USB", 48000, 1, False)
    room = Source("alsa_input.pci", "Room", 48000, 2, False)
    tag = bench.opened[0]["environment"]["PULSE_PROP_stream_bind.stream"]
    bench.server._places[tag] = usb
    bench.play()
    bench.read()
    bench.play()
    bench.server._places[tag] = room
    with pytest.raises(DeviceError, match=r"moved it from alsa_input\.usb to alsa_input\.pci, another microphone"):
        microphone.read(0.0)
    assert microphone.counters["moves"] == 1


def test_a_source_is_asked_for_by_name_and_no_other_is_taken_for_it(bench: Bench) -> None:
    microphone = bench.make(source="alsa_input.usb")
    microphone.open()
    how = bench.opened[0]
    assert how["input"] is PULSE
    assert how["environment"]["PULSE_SOURCE"] == "alsa_input.usb"
    bench.server._places[how["environment"]["PULSE_PROP_stream_bind.stream"]] = Source("other", "Other", 1, 1, False)
    bench.play()
    with pytest.raises(DeviceError, match=r"from alsa_input\.usb to other"):
        microphone.read(0.0)


def test_closing_that_hangs_is_left_alone_and_opening_waits_for_its_end(bench: Bench) -> None:
    release = threading.Event()
    bench.hung = Call(release.wait)
    microphone = bench.make()
    microphone.open()
    bench.hangs = True
    microphone.close()
    assert microphone.counters["stuck_calls"] == 1
    with pytest.raises(DeviceError, match="still hangs in an earlier call; is the sound server frozen"):
        microphone.open()
    release.set()
    bench.hung._done.wait(5.0)
    bench.hangs = False
    microphone.open()
    assert len(bench.opened) == 2


@pytest.mark.parametrize(
    ("name", "settings", "channels"),
    [("pulse", {}, 1), ("Line", {}, 2), ("Line", {"channels": 1}, 1), ("pulse", {"channels": 2}, 2)],
)
def test_all_channels_are_recorded_but_of_devices_that_take_any_number(
    bench: Bench, name: str, settings: dict[str, int], channels: int
) -> None:
    microphone = bench.make(name=name, **settings)
    microphone.open()
    assert bench.settings.channels == channels
    assert microphone.spec.shape == (channels,)


def test_a_rate_the_device_does_not_do_is_told_with_those_it_does(bench: Bench) -> None:
    bench.fails = PortAudioError("Invalid sample rate", -9997)
    microphone = bench.make(name="Line", rate_hz=12345)
    with pytest.raises(DeviceError, match=r"Line In.*2 channels at 12345 Hz: Invalid sample rate.*44100, 48000 Hz"):
        microphone.open()
    microphone.close()


def test_after_a_failure_the_device_list_is_read_anew(bench: Bench) -> None:
    microphone = bench.make()
    bench.fails = PortAudioError("Illegal combination of I/O devices", -9993)
    for _ in range(2):
        with pytest.raises(DeviceError, match="cannot be opened: Illegal combination"):
            microphone.open()
    bench.fails = None
    microphone.open()
    microphone.close()
    microphone.open()
    assert [how["refresh"] for how in bench.opened] == [False, True, True, False]


def test_exactly_one_address_is_wanted() -> None:
    for settings in ({}, {"name": "a", "index": 1}, {"source": "a", "name": "b"}):
        with pytest.raises(ValidationError, match="exactly one of name, source and index"):
            MicrophoneConfig(**settings)  # type: ignore[arg-type]


def test_defaults_and_numbers_are_taken_with_a_warning(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.make(name="default").open()
    assert "the default changes" in caplog.text
    Microphone(MicrophoneConfig(index=3), "mic", bench.clock).open()
    assert "index 3 is 'Line In: Audio (hw:2,0)' now; write its name" in caplog.text


@pytest.mark.parametrize(
    ("wanted", "host_api", "chosen"),
    [
        ("usb pnp", None, USB),
        ("PULSE", None, PULSE),
        ("Line In: Audio (hw:2,0)", "alsa", STEREO),
        ("hw:CARD=Device,DEV=0", None, USB),
        ("hw:Line", None, STEREO),
        ("hw:2,0", None, STEREO),
        ("default", None, DEFAULT),
        (0, None, USB),
    ],
)
def test_an_input_is_found_by_name_part_card_or_place(wanted: Any, host_api: str | None, chosen: SoundInput) -> None:
    assert choose_input(INPUTS, wanted, host_api, cards=CARDS) is chosen


@pytest.mark.parametrize(
    ("wanted", "host_api", "words"),
    [
        ("audio", None, r"2 inputs match: 'USB PnP.*'Line In.*write more of the name"),
        ("headset", None, r"'headset' not found.*'USB PnP.*'pulse' \(ALSA\)"),
        (9, None, "9 not found"),
        ("hw:CARD=Gone,DEV=0", None, r"card is not there; there are: hw:CARD=Device \(USB PnP Sound Device\)"),
        ("pulse", "JACK", "no input of host API 'JACK'; there are: ALSA"),
    ],
)
def test_what_cannot_be_told_names_the_candidates(wanted: Any, host_api: str | None, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        choose_input(INPUTS, wanted, host_api, cards=CARDS)


def test_another_card_that_took_the_number_is_not_taken_for_the_one_listed() -> None:
    moved = [SoundCard(1, "Webcam", "Webcam C920"), SoundCard(3, "Device", "USB PnP Sound Device")]
    for wanted in ("USB PnP", "hw:CARD=Webcam,DEV=0", "hw:CARD=Device,DEV=0"):
        with pytest.raises(DeviceError, match="not found"):
            choose_input(INPUTS, wanted, cards=moved)


def test_cards_are_read_from_the_kernel_and_known_by_their_links(tmp_path: Path) -> None:
    (tmp_path / "cards").write_text(
        " 0 [Loopback       ]: Loopback - Loopback\n                      Loopback 1\n"
        " 1 [Device_1       ]: USB-Audio - USB PnP Sound Device\n                      C-Media at usb-1\n"
    )
    (tmp_path / "controlC1").touch()
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-C-Media-00").symlink_to("../controlC1")
    cards = sound_cards(tmp_path, tmp_path / "by-id")
    assert [(card.number, card.id, card.name) for card in cards] == [
        (0, "Loopback", "Loopback"),
        (1, "Device_1", "USB PnP Sound Device"),
    ]
    assert cards[1].path.endswith("usb-C-Media-00")
    assert find_card("hw:CARD=Device_1,DEV=2", cards) == (1, "(hw:1,2)")
    assert find_card("hw:CARD=Gone", cards) == (None, "(hw:None,0)")
    assert find_card("USB PnP", cards) is None
    assert sound_cards(tmp_path / "nothing") == []


def test_a_card_that_is_gone_or_held_is_known_without_opening_it(tmp_path: Path) -> None:
    status = tmp_path / "card1" / "pcm0c" / "sub0" / "status"
    status.parent.mkdir(parents=True)
    status.write_text("closed\n")
    assert why_closed("USB PnP: Audio (hw:1,0)", tmp_path) == ""
    assert why_closed("pulse", tmp_path) == ""
    assert why_closed("USB PnP: Audio (hw:2,0)", tmp_path) == "its card is gone"
    status.write_text("state: RUNNING\nowner_pid   : 77\n")
    assert why_closed("USB PnP: Audio (hw:1,0)", tmp_path) == "another program holds it"


class Library:
    """sounddevice, as far as listing goes."""

    def __init__(self) -> None:
        self.default = SimpleNamespace(device=[-1, -1])
        self.initialised = 1

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA", "default_input_device": 1}]

    def query_devices(self) -> list[dict[str, Any]]:
        keys = ("index", "name", "hostapi", "max_input_channels", "default_samplerate")
        rows = [(0, "speaker", 0, 0, 48000.0), (1, f"mic of list {self.initialised}", 0, 1, 48000.0)]
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def RawInputStream(self, **_: object) -> SimpleNamespace:
        return SimpleNamespace(start=lambda: None, close=lambda ignore_errors=True: None)

    def _terminate(self) -> None:
        pass

    def _initialize(self) -> None:
        self.initialised += 1

    def _exit_handler(self) -> None:
        pass


@pytest.fixture
def portaudio(monkeypatch: pytest.MonkeyPatch) -> PortAudio:
    library = Library()
    monkeypatch.setattr("devices.portaudio._load", lambda: library)
    return PortAudio()


def test_the_list_is_read_anew_only_while_no_stream_of_the_process_is_open(portaudio: PortAudio) -> None:
    names = lambda: [it.name for it in portaudio.inputs(refresh=True)]  # noqa: E731
    assert names() == ["mic of list 1"]
    assert names() == ["mic of list 2"]
    settings = SimpleNamespace(rate_hz=1, channels=1, dtype="int16", block=1, latency_s=0)
    stream, chosen, _ = portaudio.open(lambda them: them[0], lambda it: settings, print, print)  # type: ignore[arg-type, return-value]
    assert chosen.is_default
    assert names() == ["mic of list 2"]
    portaudio.close(stream)
    assert names() == ["mic of list 3"]


def test_beside_a_running_stream_nothing_is_opened_that_would_fail(
    portaudio: PortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.portaudio.why_closed", lambda name: "its card is gone")
    settings = SimpleNamespace(rate_hz=1, channels=1, dtype="int16", block=1, latency_s=0)
    open_one = lambda: portaudio.open(lambda them: them[0], lambda it: settings, print, print)  # type: ignore[arg-type, return-value]  # noqa: E731
    open_one()  # the first may try: nobody else would go down with it
    with pytest.raises(DeviceError, match="its card is gone"):
        open_one()


def test_a_device_missing_from_the_list_is_looked_for_in_a_new_one(portaudio: PortAudio) -> None:
    portaudio.inputs()
    settings = SimpleNamespace(rate_hz=1, channels=1, dtype="int16", block=1, latency_s=0)
    _, chosen, _ = portaudio.open(lambda them: choose_input(them, "list 2"), lambda it: settings, print, print)  # type: ignore[arg-type, return-value]
    assert chosen.name == "mic of list 2"


def test_a_call_that_hangs_is_given_up_and_its_late_result_undone(
    portaudio: PortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.portaudio.OPEN_TIMEOUT_S", 0.05)
    portaudio.inputs()
    release, closed = threading.Event(), threading.Event()
    late = SimpleNamespace(start=release.wait, close=closed.set)
    monkeypatch.setattr(portaudio._sd, "RawInputStream", lambda **_: late, raising=False)
    settings = SimpleNamespace(rate_hz=1, channels=1, dtype="int16", block=1, latency_s=0)
    with pytest.raises(Stuck):
        portaudio.open(lambda them: them[0], lambda it: settings, print, print)  # type: ignore[arg-type, return-value]
    assert portaudio.n_stuck == 1
    assert [it.name for it in portaudio.inputs(refresh=True)] == ["mic of list 1"]  # not while a call hangs
    release.set()
    assert closed.wait(5.0)


def test_what_is_found_says_monitors_twins_and_who_holds_a_card(
    portaudio: PortAudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portaudio, "inputs", lambda refresh: INPUTS)
    sources = [
        Source("alsa_input.usb", "USB microphone", 44100, 1, False, "1"),
        Source("alsa_output.monitor", "Monitor of speakers", 48000, 2, True, "1"),
    ]
    monkeypatch.setattr("devices.sound_inputs.list_sources", lambda: sources)
    monkeypatch.setattr("devices.sound_inputs.sound_cards", lambda: [*CARDS, SoundCard(5, "Line_1", "Line In")])
    usb, pulse, default, line, held, monitor = found_inputs(portaudio)
    assert usb.identity == "hw:CARD=Device,DEV=0"
    assert usb.warnings == ("the sound server holds this card; use `source: alsa_input.usb`",)
    assert usb.config == {"type": "microphone", "name": "hw:CARD=Device,DEV=0", "rate_hz": 44100.0, "channels": 1}
    assert "may change" in pulse.warnings[0]
    assert "the system's default now" in default.warnings
    assert "2 cards of this name" in line.warnings[0]
    assert (held.identity, held.warnings) == ("alsa_input.usb", ())
    assert "a monitor" in monitor.warnings[0]
    for found in (usb, pulse, default, line, held, monitor):
        MicrophoneConfig.model_validate(found.config)


def test_without_portaudio_the_error_is_permanent_and_names_the_package() -> None:
    program = """
import ctypes.util, sys
ctypes.util.find_library = lambda name: None
from devices.microphone import Microphone, MicrophoneConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
try:
    Microphone(MicrophoneConfig(name="default"), "mic", SystemClock()).open()
except DeviceError as error:
    print(error.permanent, error)
print(Microphone.discover()[0].note)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    opened, found = done.stdout.splitlines()
    assert opened.startswith("True microphone default: PortAudio is not installed")
    assert "apt-get install libportaudio2" in opened
    assert "apt-get install libportaudio2" in found

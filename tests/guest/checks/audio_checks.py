"""The microphone on a sound card of the kernel's own: snd-aloop, which hears on device 1 what device 0 plays.

Only here do overflow flags rise and is the ADC clock CLOCK_MONOTONIC; and only here can a card be pulled out while it
is recorded from.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from bench import OUT, Skipped, shell, wait_until

from actors.inbox import Inbox
from actors.reader import Reader
from devices.microphone import Microphone, MicrophoneConfig
from stream_bind.adjust import Adjust
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk
from stream_bind.restart import Backoff

MODULES = ["snd-aloop id=Loopback pcm_substreams=1"]
TIMEOUT_S = 90

ADDRESS = "hw:CARD=Loopback,DEV=1"
PLAYING = Path("/proc/asound/Loopback/pcm0p/sub0/status")
DRIVER = Path("/sys/bus/platform/drivers/snd_aloop")
RAMP = 32768
S = 1_000_000_000


def before_each() -> None:
    if shutil.which("aplay") is None or ctypes.util.find_library("portaudio") is None:
        raise Skipped("aplay or PortAudio is not installed (apt-get install alsa-utils libportaudio2)")


def microphone(**settings: Any) -> Microphone:
    settings = {"name": ADDRESS, "channels": 1, "latency_s": 0.5, **settings}
    return Microphone(MicrophoneConfig(**settings), "mic", SystemClock())


@contextmanager
def played(samples: np.ndarray[Any, Any], rate_hz: int = 48000) -> Iterator[None]:
    """While a program plays these into the card."""
    file = OUT / "played.raw"
    file.write_bytes(samples.astype("<i2").tobytes())
    words = ["-q", "-D", "hw:Loopback,0", "-t", "raw", "-f", "S16_LE", "-r", str(rate_hz), "-c", "1"]
    player = subprocess.Popen(["aplay", *words, "--buffer-time", "500000", str(file)])

    def plays() -> bool:
        nonlocal player
        if player.poll() is not None:
            # PortAudio opens every card for a moment when it looks for them, and aplay does not wait for its turn.
            player = subprocess.Popen(player.args)
        return PLAYING.is_file() and PLAYING.read_text().strip() != "closed"

    try:
        wait_until(plays, 20, "a player that has the card")
        yield
    finally:
        player.kill()
        player.wait()


def record(it: Microphone, seconds: float, timeout_s: float = 30.0) -> list[Chunk]:
    chunks: list[Chunk] = []
    end = time.monotonic() + timeout_s
    while sum(map(len, chunks)) < seconds * it.spec.rate_hz:
        assert time.monotonic() < end, f"{sum(map(len, chunks))} samples in {timeout_s} s; {it.counters}"
        called = time.monotonic()
        chunk = it.read(0.2)
        assert time.monotonic() - called < 2.0
        if chunk is not None:
            chunks.append(chunk)
    return chunks


def unbroken(it: Microphone, seconds: float) -> list[Chunk]:
    """So many seconds without a gap: a guest this slow may lose sound at any time."""
    for _ in range(6):
        chunks = record(it, seconds)
        if not any(chunk.gap_before for chunk in chunks):
            return chunks
    raise AssertionError(f"nothing but gaps: {it.counters}")


def refused(it: Microphone) -> str:
    """What it says when it cannot be opened."""
    try:
        it.open()
    except DeviceError as error:
        return str(error)
    raise AssertionError(f"{it._name} was opened")


def values(chunks: list[Chunk]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.asarray(chunk.raw.samples)[:, 0] for chunk in chunks if chunk.raw]).astype(np.int64)


def check_a_tone_comes_back_stamped_by_the_monotonic_clock() -> None:
    for rate_hz in (48000, 16000):
        tone = 16384 * np.sin(2 * np.pi * 1000 * np.arange(rate_hz * 30) / rate_hz)
        it = microphone(rate_hz=rate_hz)
        with played(tone, rate_hz):
            it.open()
            record(it, 2.0)
            chunks = unbroken(it, 2.0)
            assert it._adc.domain == "monotonic", it._adc.domain
            # The guest's Python may be late; the stamps are not.
            assert -0.1 < (it._clock.unix_ns() - int(chunks[-1].t_ns[-1])) / S < 3.0
            it.close()
        sound = values(chunks) / 32768
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        assert abs(spectrum.argmax() * rate_hz / len(sound) - 1000) < 1
        assert abs(np.abs(sound).max() - 0.5) < 0.01
        t_ns = np.concatenate([chunk.t_ns for chunk in chunks])
        assert (np.diff(t_ns) > 0).all()
        told_hz = (len(t_ns) - 1) * S / (t_ns[-1] - t_ns[0])
        assert abs(told_hz / rate_hz - 1) < 0.03, told_hz


def check_an_overflow_is_a_gap_as_long_as_the_sound_that_is_missing() -> None:
    it = microphone()
    with played(np.arange(48000 * 60) % RAMP):
        it.open()
        # Until the player is heard, and the clock has settled.
        wait_until(lambda: values(record(it, 0.1)).any(), 20, "the ramp")
        unbroken(it, 2.0)
        before = it.counters["overflows"]
        last = record(it, 0.1)[-1]
        # As any program may: the interpreter is held for 1.5 s, and PortAudio's thread cannot take its blocks.
        ctypes.PyDLL(None).usleep(1_500_000)
        chunks = record(it, 3.0)
        it.close()
    assert it.counters["overflows"] > before, it.counters
    gaps = [number for number, chunk in enumerate(chunks) if chunk.gap_before]
    assert gaps, it.counters
    # Across the hole or holes, time must have moved as far as the ramp, to 20 ms.
    after = chunks[min(gaps[-1] + 20, len(chunks) - 1)]
    moved = int(values([after])[0]) - int(values([last])[0])
    stamped = (int(after.t_ns[0]) - int(last.t_ns[0])) * 48000 / S
    off = (stamped - moved + RAMP / 2) % RAMP - RAMP / 2
    assert abs(off) / 48 < 20, f"{off / 48:.1f} ms"
    assert 0.5 < stamped / 48000 < 5


class Card:
    """The driver bound to its card or not, as a plug is in or out."""

    def __init__(self) -> None:
        self.pulls: list[subprocess.Popen[bytes]] = []

    def pull(self) -> None:
        """The kernel lets the writer wait until the card is closed."""
        self.pulls.append(subprocess.Popen(["/bin/sh", "-c", f"echo snd_aloop.0 > {DRIVER}/unbind"]))
        wait_until(lambda: "Loopback" not in Path("/proc/asound/cards").read_text(), 10, "the card to go")

    def plug(self) -> None:
        for pull in self.pulls:
            pull.wait(20)
        shell(f"echo snd_aloop.0 > {DRIVER}/bind")
        wait_until(lambda: "Loopback" in Path("/proc/asound/cards").read_text(), 10, "the card to come")


def check_a_card_pulled_out_is_lost_though_its_stream_says_it_runs() -> None:
    it, card = microphone(stall_timeout_s=1.5), Card()
    it.open()
    record(it, 0.5)
    card.pull()
    pulled_s = time.monotonic()
    said = ""
    while not said:
        called = time.monotonic()
        try:
            it.read(0.2)
        except DeviceError as error:
            said = str(error)
        assert time.monotonic() - called < 1.0
        assert time.monotonic() - pulled_s < 10
    assert "stalled: no sound for" in said, said
    # The trap: PortAudio knows nothing of it.
    assert it._stream.active
    it.close()
    for _ in range(2):
        assert ADDRESS in refused(it)
    card.plug()
    it.open()
    assert record(it, 0.5)[0].gap_before
    it.close()
    assert it.counters["stuck_calls"] == 0, it.counters


def check_a_pulled_card_comes_back_under_its_name_through_the_reader() -> None:
    it, card = microphone(stall_timeout_s=1.5), Card()
    inbox = Inbox(lambda: None)
    reader = Reader("mic", it, Adjust(it.spec), inbox, it._clock, Backoff(0.1, 0.5))
    chunks: list[Chunk] = []
    notices = {}

    def heard(reason: str) -> bool:
        while (arrival := inbox.take()) is not None:
            assert arrival.fatal is None, arrival.fatal
            if arrival.chunk is not None:
                chunks.append(arrival.chunk)
            if arrival.notice is not None:
                notices[arrival.notice.reason] = arrival.notice
        return reason in notices or (reason == "sound" and len(chunks) > 50)

    reader.start()
    wait_until(lambda: heard("sound"), 20, "sound")
    card.pull()
    pulled_ns = it._clock.unix_ns()
    wait_until(lambda: heard("device_lost"), 15, "device_lost")
    time.sleep(1.0)
    card.plug()
    plugged_s = time.monotonic()
    wait_until(lambda: heard("device_back"), 15, "device_back")
    plugged_ns = it._clock.unix_ns()
    # The limit is four seconds; this guest runs Python twelve times slower.
    assert time.monotonic() - plugged_s < 8
    back = notices["device_back"]
    assert abs(back.t_ns - pulled_ns) < S
    assert abs(back.t_end_ns - plugged_ns) < 2 * S
    reader.stop(5.0)


def check_what_a_card_cannot_do_is_told_with_what_it_can() -> None:
    said = refused(microphone(rate_hz=4000))
    assert "48000" in said, said
    assert "Loopback" in said, said
    # Not a microphone of this process: PortAudio 19.6 may take an opening that fails for a good one, and crash, while
    # another stream runs: error codes pass through one global (PortAudio issue 278). 4 of 6 runs of 30 openings did.
    holder = subprocess.Popen(["arecord", "-q", "-D", ADDRESS, "-f", "S16_LE", "-r", "48000", "-c", "1", "/dev/null"])
    try:
        state = Path("/proc/asound/Loopback/pcm1c/sub0/status")
        wait_until(lambda: "RUNNING" in state.read_text(), 15, "the card to be held")
        said = refused(microphone())
        assert "no other program holds it" in said, said
    finally:
        holder.kill()
        holder.wait()


def check_the_card_is_listed_by_its_lasting_name() -> None:
    found = {it.identity: it for it in Microphone.discover()}
    assert ADDRESS in found, list(found)
    config = found[ADDRESS].config
    assert config["name"] == ADDRESS
    it = Microphone(MicrophoneConfig.model_validate({**config, "channels": 2}), "mic", SystemClock())
    it.open()
    assert record(it, 0.1)[0].data.shape[1] == 2
    it.close()
    assert threading.active_count() < 4

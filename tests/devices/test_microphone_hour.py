"""An hour of a microphone whose crystal is 200 ppm off, in simulated time, through driver, windows and resampler."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import devices.microphone
import devices.sound_intake
from devices.microphone import Microphone, MicrophoneConfig
from devices.portaudio import SoundInput
from stream_bind.clock import ManualClock
from stream_bind.clocksync import ClockFit
from stream_bind.messages import Chunk, Window
from stream_bind.resample import resample_audio
from stream_bind.window import Windower

S = 1_000_000_000
MS = 1_000_000
T0 = 1_790_000_000 * S
RATE_HZ, OUT_HZ, BLOCK = 48_000, 16_000, 2400
LOW_HZ, HIGH_HZ = 61.0, 997.0
HOUR_S = 3600.0
LOST_AT_S, LOST_S = 1801.0, 1.0
STEP_AT_S = 1000.0
JITTER_S = 0.001


def tone(t_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.4 * np.sin(2 * np.pi * LOW_HZ * t_s) + 0.4 * np.sin(2 * np.pi * HIGH_HZ * t_s)


def sounds(t_s: float) -> bool:
    """Whether there is sound: around the 4 s of every minute that are judged, and around the loss."""
    return t_s % 60 < 5 or t_s % 60 > 59 or 1795 < t_s < 1815


class Card:
    """PortAudio with one sound card, which is driven block by block."""

    n_streams = 0

    def open(self, choose: Any, settle: Any, callback: Any, finished: Any, **_: Any) -> Any:
        chosen = choose([SoundInput(0, "card", "Simulated", 1, 48000.0, True)])
        self.callback = callback
        return object(), chosen, settle(chosen)

    def close(self, stream: object) -> None:
        pass


class Read(NamedTuple):
    chunk: Chunk
    true_s: NDArray[np.float64]
    """(n,) when each sample was taken."""


def hour(monkeypatch: pytest.MonkeyPatch, ppm: float, *, seconds: float = HOUR_S) -> Iterator[Read]:
    """Blocks as the driver delivers them; the system's own clock is set back by an hour on the way."""
    card, clock = Card(), ManualClock(T0)
    monkeypatch.setattr(devices.microphone, "PORTAUDIO", card)
    stepped_ns = 0
    monkeypatch.setattr(devices.sound_intake, "time_ns", lambda: clock.unix_ns() + stepped_ns)
    microphone = Microphone(MicrophoneConfig(name="card", rate_hz=RATE_HZ, block_s=BLOCK / RATE_HZ), "mic", clock)
    microphone.open()
    rng = np.random.default_rng(1)
    period_s = 1 / (RATE_HZ * (1 + ppm * 1e-6))
    block_s = BLOCK * period_s
    quiet = np.zeros(BLOCK, np.int16).tobytes()
    number, lost_s = 0, 0.0
    while True:
        start_s = number * block_s + lost_s
        overflow = not lost_s and start_s > LOST_AT_S
        if overflow:
            lost_s = LOST_S
            start_s += LOST_S
        if start_s > seconds:
            return
        number += 1
        arrived_s = start_s + block_s + 0.001 + rng.exponential(0.001)
        clock.advance(arrived_s - (clock.unix_ns() - T0) / S)
        stepped_ns = -HOUR_S_NS if start_s > STEP_AT_S else 0
        now_s = (clock.unix_ns() + stepped_ns) / S
        age_s = arrived_s - start_s + rng.normal(0, JITTER_S)
        true_s = start_s + np.arange(BLOCK) * period_s
        sound = quiet
        if sounds(start_s):
            sound = np.rint(tone(true_s) * 32767 + rng.uniform(-0.5, 0.5, BLOCK)).astype(np.int16).tobytes()
        times = SimpleNamespace(inputBufferAdcTime=now_s - age_s, currentTime=now_s)
        card.callback(sound, BLOCK, times, SimpleNamespace(input_overflow=True) if overflow else None)
        chunk = microphone.read(0.0)
        assert chunk is not None
        assert chunk.gap_before == overflow
        yield Read(chunk, true_s)


HOUR_S_NS = round(HOUR_S * S)


class Judged(NamedTuple):
    apart_ms: float
    """Worst distance of the window's sound from its place."""
    noise_db: float
    """Everything but the two tones, against full scale."""
    click: float
    """Largest single sample of that."""


def judge(sound: NDArray[np.float32], t_start_s: float, ppm: float) -> Judged:
    """The window's sound against the tones as they really were; edges of 20 ms, where the filter mirrors, left out."""
    edge = OUT_HZ // 50
    k = np.arange(edge, len(sound) - edge)
    y = sound[edge:-edge, 0].astype(np.float64)
    # Resampled at the nominal ratio, so that a fast crystal's tones come out low.
    at_s = k / OUT_HZ
    angles = [2 * np.pi * f / (1 + ppm * 1e-6) * at_s for f in (LOW_HZ, HIGH_HZ)]
    basis = np.stack([g(a) for a in angles for g in (np.sin, np.cos)], axis=1)
    weights, *_ = np.linalg.lstsq(basis, y, rcond=None)
    rest = y - basis @ weights
    worst = 0.0
    for part in np.array_split(k, 10):
        angle = 2 * np.pi * LOW_HZ * (t_start_s + part / OUT_HZ)
        turned = np.angle(np.sum(sound[part, 0] * np.exp(-1j * angle))) + np.pi / 2
        turned = (turned + np.pi) % (2 * np.pi) - np.pi
        worst = max(worst, abs(turned) / (2 * np.pi * LOW_HZ) * 1e3)
    noise_db = 10 * np.log10(np.mean(rest**2) / 0.5)
    return Judged(worst, noise_db, float(np.abs(rest).max()))


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_a_microphone_200_ppm_off_stays_aligned_for_an_hour_without_clicks(
    monkeypatch: pytest.MonkeyPatch, ppm: float
) -> None:
    windows: list[Window] = []
    windower = None
    stamps_ms, seconds = [], []
    for read in hour(monkeypatch, ppm):
        if windower is None:
            spec = Microphone(MicrophoneConfig(name="x", channels=1), "mic", ManualClock()).spec
            windower = Windower(spec, length_ns=2 * S, hop_ns=2 * S, context_ns=50 * MS)
        stamps_ms.append((int(read.chunk.t_ns[0]) - T0 - read.true_s[0] * S) / MS)
        seconds.append(read.true_s[0])
        for window in windower.push(read.chunk):
            assert isinstance(window, Window)
            start_s = (window.t_start_ns - T0) / S
            if start_s % 60 in {0, 2} or window.status == "gap":
                windows.append(window)
    error_ms, at_s = np.abs(np.array(stamps_ms)), np.array(seconds)
    assert len(error_ms) > 70_000
    # Measured: 1.4 ms at the anchors, 0.3 ms else.
    # An anchor stands on one jittered time at first: at the beginning, and after the loss.
    settled = (at_s > 60) & ((at_s < LOST_AT_S) | (at_s > LOST_AT_S + 60))
    assert error_ms.max() < 5
    assert error_ms[settled].max() < 1
    judged, torn = [], []
    for window in windows:
        sound = resample_audio(window.data, window.t_ns, window.t_start_ns, window.t_end_ns, OUT_HZ, RATE_HZ)
        assert len(sound) == 2 * OUT_HZ
        if window.status == "gap":
            torn.append((window, sound))
        elif window.status == "ok":
            judged.append(judge(sound, (window.t_start_ns - T0) / S, ppm))
    assert len(judged) > 100
    # Measured: 1.2 ms apart in the first window, 0.5 in others, of which 0.4 drift; -100 dB, largest rest 0.00003.
    assert max(it.apart_ms for it in judged) < 5
    assert max(it.noise_db for it in judged) < -75
    assert max(it.click for it in judged) < 1e-3
    judge_the_torn(torn, ppm)


def judge_the_torn(torn: list[tuple[Window, NDArray[np.float32]]], ppm: float) -> None:
    """The lost second is a hole of one second in its place, and sound goes on in its own."""
    missing_ns = sum(gap.end_ns - gap.start_ns for window, _ in torn for gap in window.gaps)
    assert missing_ns == pytest.approx(LOST_S * S, abs=5 * MS)
    for window, sound in torn:
        for gap in window.gaps:
            start, end = (round((t - window.t_start_ns) * OUT_HZ / S) for t in (gap.start_ns, gap.end_ns))
            assert np.abs(sound[start + 80 : end - 80]).max() < 0.02
            for part in (slice(start - 800, start - 80), slice(end + 80, end + 800)):
                k = np.arange(2 * OUT_HZ)[part]
                if len(k) < 700:
                    continue
                t_s = (window.t_start_ns - T0) / S + k / OUT_HZ
                turned = np.angle(np.sum(sound[part, 0] * np.exp(-2j * np.pi * LOW_HZ * t_s))) + np.pi / 2
                turned = (turned + np.pi) % (2 * np.pi) - np.pi
                assert abs(turned) / (2 * np.pi * LOW_HZ) * 1e3 < 5


def test_sound_and_picture_are_in_step_to_5_ms_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens at one true time, seen and heard, once a second through the last minute of the hour."""
    stamped, seconds = [], []
    for read in hour(monkeypatch, 200.0):
        stamped.append((int(read.chunk.t_ns[0]) - T0) / S)
        seconds.append(read.true_s[0])
    rng = np.random.default_rng(2)
    frames_s = np.arange(0, HOUR_S, 1 / 30)
    # One camera stamped by its driver, in the interrupt; one that sends ticks of its own, 50 ppm slow.
    by_kernel_s = frames_s + rng.exponential(0.0003, len(frames_s))
    arrived_s = np.maximum.accumulate(frames_s + rng.exponential(0.004, len(frames_s)))
    ticks = np.rint(frames_s * (1 - 50e-6) * 1e6).astype(np.int64) % (1 << 32)
    fit = ClockFit(1e6, bits=32)
    host_ns = T0 + np.rint(arrived_s * S).astype(np.int64)
    by_ticks_ns = [int(fit.stamp([tick], int(at))[0]) for tick, at in zip(ticks, host_ns, strict=True)]
    events_s = HOUR_S - 60 + np.arange(60)
    heard_off = np.interp(events_s, seconds, np.array(stamped) - np.array(seconds))
    skew_ms = {}
    for name, seen_s in (("kernel", by_kernel_s), ("ticks", (np.array(by_ticks_ns) - T0) / S)):
        seen_off = np.interp(events_s, frames_s, seen_s - frames_s)
        skew_ms[name] = float(np.abs(heard_off - seen_off).max() * 1e3)
    # Measured: kernel 1.2 ms, which is the interrupt's jitter; ticks 0.1 ms.
    assert max(skew_ms.values()) < 5

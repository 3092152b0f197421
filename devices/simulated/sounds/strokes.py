"""Short sounds: bursts of noise, ringing bodies, gliding tones, and what is put together from them.

Every stroke is float32 with a peak of about 1 and begins with its attack: where it is placed is where it is heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from devices.simulated.sounds.score import Later, Score
from devices.simulated.sounds.tables import Samples, Spectrum, cycle, db

__all__ = ["Room", "burst", "chirp", "drip", "glide", "grains", "join", "note", "ring"]

_SILENT = 7.0
"""Decay times after which a ringing is cut: -61 dB."""
_FINE = 256


def _times(score: Score, length_s: float) -> Samples:
    return np.asarray(np.arange(max(2, round(length_s * score.rate_hz))) / score.rate_hz, dtype=np.float32)


def _rise(t: Samples, attack_s: float) -> Samples:
    return np.asarray(np.minimum(1.0, t / np.float32(max(attack_s, 2e-4))), dtype=np.float32)


def burst(score: Score, spectrum: Spectrum, decay_s: float, attack_s: float = 0.001, length_s: float = 0.0) -> Samples:
    """Noise that rises in `attack_s` and fades by 8.7 dB every `decay_s`; `length_s` of it, by default all."""
    length_s = length_s or attack_s + 5 * decay_s
    t = _times(score, length_s)
    fade = np.exp(-np.maximum(0, t - np.float32(attack_s)) / np.float32(decay_s))
    samples = score.noise(score.varied(spectrum), length_s)[: len(t)]
    # Divided by what noise peaks at, not by its own peak: upper frequencies missing must not make the rest louder.
    return np.asarray(samples * (fade * _rise(t, attack_s) * np.minimum(1, (t[-1] - t) * 200) / 3), dtype=np.float32)


def ring(
    score: Score, modes: Sequence[tuple[float, float, float]], attack_s: float = 0.0, longest_s: float = 2.5
) -> Samples:
    """A struck body: (frequency in Hz, amplitude, decay time in s) of each of its modes; damped at `longest_s`."""
    t = _times(score, min(longest_s, _SILENT * max(decay for _, _, decay in modes)))
    rows = -(-len(t) // _FINE)
    out, one, other = np.zeros((3, rows, _FINE), dtype=np.float32)
    for hz, amplitude, decay_s in modes:
        if hz < 0.45 * score.rate_hz:
            # exp(-t / decay) sin(2 pi hz t) as powers of one complex number, products of coarse and fine ones: 0.1 ms
            # for 77 thousand samples, of which sin and exp take 1 ms each.
            each = (-1 / decay_s + 2j * np.pi * hz) / score.rate_hz
            heard_s = decay_s * max(1.0, _SILENT + math.log(abs(amplitude) + 1e-9))
            n = min(rows, math.ceil(heard_s * score.rate_hz / _FINE))
            fine = np.exp(each * np.arange(_FINE)).astype(np.complex64)
            coarse = amplitude * np.exp(each * _FINE * np.arange(n))[:, None].astype(np.complex64)
            np.multiply(coarse.real, fine.imag, out=one[:n])
            np.multiply(coarse.imag, fine.real, out=other[:n])
            out[:n] += one[:n]
            out[:n] += other[:n]
    peak = max(1e-9, sum(abs(amplitude) for _, amplitude, _ in modes))
    return np.asarray(out.reshape(-1)[: len(t)] * (_rise(t, attack_s) / np.float32(peak)), dtype=np.float32)


def glide(
    score: Score,
    pitch_hz: Sequence[float],
    gains: Sequence[float],
    length_s: float,
    harmonics: Sequence[float] = (1.0,),
    breath: float = 0.0,
) -> Samples:
    """A tone through pitches and gains, each evenly spread over its length; `breath` roughens it with noise."""
    t = _times(score, length_s)
    place = np.linspace(0, 1, len(t))
    pitches = np.interp(place, np.linspace(0, 1, len(pitch_hz)), pitch_hz)
    turns = np.cumsum(pitches) / score.rate_hz
    table = cycle(score.rng, harmonics, int(0.45 * score.rate_hz / max(pitch_hz)))
    out = table[(turns * len(table)).astype(np.int64) & (len(table) - 1)] / np.float32(2.0)
    if breath:
        out = out * (1 + np.float32(breath) * score.noise([(40, 0), (200, 0), (600, -30)], length_s)[: len(t)])
    return np.asarray(out * np.interp(place, np.linspace(0, 1, len(gains)), gains), dtype=np.float32)


def chirp(score: Score, low_hz: float, high_hz: float, length_s: float) -> Samples:
    """One note of a bird: a tone that bends a few times."""
    pitches = score.rng.uniform(low_hz, high_hz, int(score.rng.integers(2, 5)))
    return glide(score, pitches.tolist(), (0, 1, 0.8, 0.5, 0), length_s)


def drip(score: Score, hz: float) -> Samples:
    """A drop that falls into water: the bubble it takes in rings upward."""
    length_s = score.between(0.03, 0.07)
    return glide(score, (hz, 1.1 * hz, 1.5 * hz), (1, 0.7, 0.3, 0.1, 0), length_s)


def grains(score: Score, spectrum: Spectrum, n: int, length_s: float, decay_s: float = 0.004) -> Samples:
    """A crunch: `n` tiny bursts, the first at once and most of them early."""
    one = [burst(score, spectrum, decay_s * score.between(0.5, 1.6)) for _ in range(4)]
    at_s = np.sort(score.rng.uniform(0, 1, n) ** 1.6) * length_s
    at_s[0] = 0.0
    # Grains of a crunch are many sizes: a few carry most of it.
    sizes = np.clip(score.rng.pareto(1.8, n) + 0.2, 0.2, 2.5) / 2.5
    sizes[0] = 1.0
    return join(
        score, [(float(t), one[i % 4], float(size)) for i, (t, size) in enumerate(zip(at_s, sizes, strict=True))]
    )


def note(score: Score, pitch_hz: float, bright: float, length_s: float = 1.4) -> Later:
    """A piano's note: harmonics stretched a little, the upper ones gone first, and the damper that ends it."""
    modes = []
    sustain_s = 0.9 * (220 / pitch_hz) ** 0.4
    for k in range(1, 9):
        # Inharmonicity of a stiff string, B = 4e-4 in the middle of the keyboard.
        hz = k * pitch_hz * (1 + 4e-4 * k * k) ** 0.5
        if hz < 9000:
            modes.append((hz, bright ** (k - 1) * score.between(0.6, 1.0), sustain_s / k**0.7))
    length_s = min(length_s, _SILENT * sustain_s)
    released = round(0.12 * score.rate_hz)

    def make() -> Samples:
        samples = ring(score, modes, 0.002, length_s)
        end = samples[max(0, len(samples) - released) :]
        end *= np.linspace(1, 0, len(end), dtype=np.float32)
        return samples

    return Later(max(2, round(length_s * score.rate_hz)), make)


def join(score: Score, parts: Sequence[tuple[float, Samples, float]]) -> Samples:
    """(time in s, stroke, gain) one after and over another."""
    starts = [round(at_s * score.rate_hz) for at_s, _, _ in parts]
    out = np.zeros(max(start + len(s) for start, (_, s, _) in zip(starts, parts, strict=True)), dtype=np.float32)
    for start, (_, stroke, gain) in zip(starts, parts, strict=True):
        out[start : start + len(stroke)] += np.float32(gain) * stroke
    return out


class Room:
    """Echo of a room: strokes come out longer, their first sound as it was."""

    def __init__(self, score: Score, decay_s: float, wet_db: float, spectrum: Spectrum) -> None:
        """decay_s: time in which the echo fades by 60 dB; wet_db: its energy against that of the direct sound."""
        length_s = min(decay_s, 1.2)
        t = _times(score, length_s)
        fade = np.exp(-t * np.float32(6.9 / decay_s))
        echo = score.noise(score.varied(spectrum), length_s)[: len(t)] * fade
        # The wall is some metres away.
        echo[: round(score.between(0.004, 0.012) * score.rate_hz)] = 0
        # The fading noise has the energy decay_s / 13.8, spread over 40 kHz; a sum over samples is an integral.
        scale = db(wet_db) * (13.8 * 40_000 / decay_s) ** 0.5 / score.rate_hz
        self._echo = np.asarray(echo * scale, dtype=np.float32)
        self._spectra: dict[int, np.ndarray] = {}

    def __call__(self, stroke: Samples) -> Later:
        """The stroke and its echo."""
        return Later(len(stroke) + len(self._echo), lambda: self._echoed(stroke))

    def _echoed(self, stroke: Samples) -> Samples:
        n = len(stroke) + len(self._echo)
        # A length of 2^a is what a fast transform likes best.
        size = 1 << (n - 1).bit_length()
        if size not in self._spectra:
            self._spectra[size] = np.fft.rfft(self._echo, size)
        out = np.fft.irfft(np.fft.rfft(stroke, size) * self._spectra[size], size)[:n]
        out[: len(stroke)] += stroke
        return np.asarray(out, dtype=np.float32)

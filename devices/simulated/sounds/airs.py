"""What several scenarios share: birds, crickets, gulls, passing cars, wind, water, steady patter."""

from __future__ import annotations

import numpy as np

from devices.simulated.sounds.score import SCENE_S, Score
from devices.simulated.sounds.strokes import chirp, drip, glide
from devices.simulated.sounds.tables import Spectrum

__all__ = ["birds", "breath", "crickets", "drops", "gulls", "pass_by", "wildlife", "wind"]

_WIND: Spectrum = ((30, 4), (90, 2), (300, -6), (900, -18), (3000, -34), (9000, -50))
_SOUND_MPS = 343.0


def wind(score: Score, level_db: float, gust_db: float = 5.0, hz: float = 0.5) -> None:
    """Wind about the ears, gusty."""
    score.bed(_WIND, level_db, score.swell(hz, gust_db), near=True)


def birds(score: Score, per_s: float, level_db: float) -> None:
    """Phrases of a bird or two, each with a few notes of its own."""
    for _ in range(int(score.rng.integers(1, 4))):
        centre_hz = score.between(2600, 5200)
        notes = [
            chirp(score, centre_hz * 0.8, centre_hz * 1.25, score.between(0.05, 0.16))
            for _ in range(int(score.rng.integers(2, 5)))
        ]
        away_db = score.between(-10, 2)
        gap_s = score.between(0.09, 0.24)
        for at_s in score.at_random(per_s / 2):
            for i in range(int(score.rng.integers(2, 7))):
                score.play([at_s + i * gap_s], [notes[i % len(notes)]], level_db + away_db, 1.5)


def crickets(score: Score, level_db: float) -> None:
    """A cricket's trains of pulses, and a second one a little beside it."""
    for _ in range(int(score.rng.integers(1, 3))):
        hz, trains_hz, pulse_hz = score.between(3800, 5000), score.between(1.2, 2.6), score.between(28, 36)
        pulse = glide(score, (hz, hz), (0, 1, 0.8, 0), 0.016)
        offset_s, away_db = score.between(0, 1), score.between(-8, 0)
        for start_s in np.arange(-1, SCENE_S, 1 / trains_hz) + offset_s:
            for i in range(int(score.rng.integers(3, 6))):
                score.hit(float(start_s) + i / pulse_hz, pulse, level_db + away_db)


def gulls(score: Score, level_db: float) -> None:
    """Cries of gulls, some of them in a row."""
    for at_s in score.at_random(0.18):
        top_hz, length_s = score.between(1100, 1700), score.between(0.25, 0.5)
        cry = glide(
            score,
            (0.7 * top_hz, top_hz, 0.95 * top_hz, 0.65 * top_hz),
            (0, 0.9, 1, 0.7, 0),
            length_s,
            (1, 0.8, 0.5, 0.3),
            0.4,
        )
        away_db = score.between(-10, 0)
        for i in range(int(score.rng.integers(1, 6))):
            score.play([at_s + i * (length_s + 0.1)], [cry], level_db + away_db, 1.5)


def wildlife(score: Score, level_db: float) -> None:
    """Birds in the morning and now and then at noon, crickets at dusk and at night."""
    light = score.scene.light_name
    if light == "in the morning":
        birds(score, score.between(0.5, 1.1), level_db)
    elif light == "at noon" and score.chance(0.5):
        birds(score, score.between(0.15, 0.4), level_db - 4)
    elif light in {"at dusk", "at night"} and score.chance(0.75):
        crickets(score, level_db - 8)


def pass_by(score: Score, at_s: float, level_db: float, speed_mps: float, aside_m: float) -> None:
    """A car that comes, passes at `at_s`, `aside_m` metres away, and goes; level_db at its nearest."""
    aside_m *= score.scene.distance
    along_m = speed_mps * (score.times_s - at_s)
    away_m = np.hypot(along_m, aside_m)
    gains = np.clip(aside_m / away_m, 0.02, 1.0) ** 1.3
    nearing_mps = -speed_mps * along_m / away_m
    pitch = score.between(55, 110) / (1 - nearing_mps / _SOUND_MPS)
    score.tone([1, 0.9, 0.6, 0.7, 0.4, 0.3, 0.25, 0.2, 0.15], pitch, level_db - 6, gains)
    tyres: Spectrum = ((60, -6), (200, -3), (800, 0), (1600, -3), (5000, -18))
    score.bed(tyres, level_db, gains)
    # What is near hisses; the air swallows it farther away.
    score.bed([(1500, -20), (3000, 0), (8000, -6)], level_db - 7, gains**2)


def drops(score: Score, per_s: float, level_db: float, low_hz: float, high_hz: float) -> None:
    """Drops or bubbles in water, of every size between."""
    drips = [drip(score, score.between(low_hz, high_hz)) for _ in range(8)]
    score.play(score.at_random(per_s), drips, level_db, 5.0)


def breath(score: Score, period_s: float, level_db: float, offset_s: float = 0.0) -> None:
    """Breath in and out, the wearer's own."""
    turns = (score.times_s + offset_s) / period_s % 1.0
    out = np.clip(np.sin(np.pi * turns / 0.45), 0, None) * (turns < 0.45)
    into = np.clip(np.sin(np.pi * (turns - 0.5) / 0.4), 0, None) * ((turns > 0.5) & (turns < 0.9))
    score.bed([(250, -12), (600, -2), (1500, 0), (4000, -10), (9000, -26)], level_db, out, near=True)
    score.bed([(400, -14), (1800, 0), (5000, -6), (9000, -18)], level_db - 3, into, near=True)

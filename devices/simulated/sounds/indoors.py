"""The indoor scenarios in which the wearer goes, sits or works."""

from __future__ import annotations

import numpy as np

from devices.simulated.sounds.airs import breath
from devices.simulated.sounds.score import SCENE_S, Later, Score
from devices.simulated.sounds.steps import footsteps
from devices.simulated.sounds.strokes import Room, burst, glide, join, note, ring
from devices.simulated.sounds.tables import Samples, Spectrum

__all__ = ["hammering", "piano", "stairs", "supermarket", "typing", "vacuuming"]

_FAN: Spectrum = ((50, -4), (150, 0), (500, -4), (1500, -10), (5000, -24))
_PLASTER: Spectrum = ((100, -4), (500, 0), (2000, -6), (8000, -20))
_STONE: Spectrum = ((80, -4), (400, 0), (1500, -2), (5000, -10), (12000, -26))


def supermarket(score: Score) -> None:
    s = score.scene
    score.play(score.beats(), footsteps(score, "floor"), -18, 1.5, near=True)
    # Small hard wheels on tiles: a steady rattle, with a tick at every joint.
    rattle: Spectrum = ((150, -6), (500, -4), (1800, 0), (4500, 1), (9000, -10))
    score.bed(rattle, -31, score.swell(9, 4) * score.swell(0.5, 2) * (s.speed_mps / 0.85), near=True)
    wire_hz = score.between(1900, 3400)
    wires = [
        ring(score, [(wire_hz * score.between(0.8, 1.3), 1, 0.018), (wire_hz * score.between(1.7, 2.4), 0.6, 0.012)])
        for _ in range(5)
    ]
    score.play(score.at_random(score.between(9, 22)), wires, -32, 5, near=True)
    joint_s = score.between(0.2, 0.4) / s.speed_mps
    joints_s = np.arange(0, SCENE_S, joint_s) + score.between(0, joint_s)
    tick = burst(score, [(200, 0), (900, -2), (4000, -12)], 0.006)
    score.play(joints_s, [tick], -27, 2, near=True)
    if score.chance(0.45):
        hz = score.between(1100, 2300)
        turn = np.clip(np.sin(2 * np.pi * score.between(1.8, 2.6) * s.speed_mps * score.times_s), 0, 1) ** 2
        score.tone([1, 0.3, 0.1], hz * (1 + 0.02 * turn), -45, turn, near=True)
    cold_db = 8 if s.place == "by the fridges" else 0
    score.tone([0.3, 1, 0.2, 0.6, 0.1, 0.3, 0.05, 0.15], 50.0 * score.between(0.995, 1.005), -48 + cold_db)
    score.bed(_FAN, -47 + cold_db, score.swell(0.2, 1))
    score.voices(score.between(-46, -38))
    hall = Room(score, score.between(0.8, 1.4), -8, _PLASTER)
    hz = score.between(1100, 2700)
    beep = hall(glide(score, (hz, hz), (0, 1, 1, 1, 1, 0), score.between(0.07, 0.14), (1, 0.1, 0.15)))
    score.play(score.at_random(score.between(0.3, 1.0)), [beep], -32, 2)
    if score.chance(0.5):
        bags = hall(burst(score, [(1500, -6), (5000, 0), (10000, -6)], 0.08, 0.03))
        score.play(score.at_random(0.3), [bags], -36, 3)


def stairs(score: Score) -> None:
    s = score.scene
    ground, decay_s, wet_db, walls = {
        "in a stone stairwell": ("stone", score.between(1.5, 2.4), -1.0, _STONE),
        "in a wooden house": ("wood", score.between(0.25, 0.45), -9.0, _PLASTER),
        "in an office building": ("office", score.between(0.7, 1.2), -4.0, _STONE),
    }[s.place]
    room = Room(score, decay_s, wet_db, walls)
    score.play(
        score.beats(),
        [room(step) for step in footsteps(score, ground)],
        -14 if ground == "wood" else -9,
        1.5,
        near=True,
    )
    cloth = burst(score, [(800, -10), (3000, 0), (8000, -10)], 0.05, 0.06)
    score.play(score.beats() + 0.25 / s.tempo_hz, [cloth], -38, 2, near=True)
    breath(score, 2 * round(score.between(1, 2)) / s.tempo_hz, score.between(-48, -40), score.between(0, 1))
    if ground == "wood":
        hz = score.between(220, 500)
        creaks = [
            glide(score, (hz, score.between(1.0, 1.5) * hz, 0.9 * hz), (0, 1, 0.3, 0.8, 0), score.between(0.1, 0.3),
                  (0.5, 1, 0.9, 0.7, 0.6, 0.4), 1.2)
            for _ in range(3)
        ]  # fmt: skip
        beats = score.beats()
        score.play(beats[score.rng.random(len(beats)) < 0.4] + 0.08, creaks, -25, 4, near=True)
    else:
        score.bed(_FAN, -54 if ground == "stone" else -48)
    if score.chance(0.4):
        slam = room(burst(score, [(60, 2), (200, 0), (800, -8), (3000, -24)], 0.05, 0.002))
        score.play([score.between(0.5, 9)], [slam], -26, 3)
    if score.chance(0.5):
        hz = score.between(500, 900)
        rail = room(ring(score, [(hz, 1, 0.08), (2.7 * hz, 0.6, 0.05), (5.1 * hz, 0.3, 0.03)]))
        score.play(score.at_random(0.3), [rail], -30, 3, near=True)


def typing(score: Score) -> None:
    s = score.scene
    body_hz, click_hz = score.between(180, 420), score.between(1800, 4200)
    click: Spectrum = ((300, -12), (click_hz, 0), (2.2 * click_hz, -4), (14000, -20))

    def key(low: float) -> Samples:
        return join(
            score,
            [
                (0, burst(score, click, score.between(0.003, 0.006)), 0.8),
                (0, ring(score, [(body_hz * low, 1, 0.012), (2.6 * body_hz * low, 0.5, 0.008)]), 0.5),
                (score.between(0.05, 0.09), burst(score, click, 0.003), 0.3),
            ],
        )

    keys = [key(score.between(0.9, 1.4)) for _ in range(6)]
    space = join(score, [(0, key(0.55), 1.0), (0, ring(score, [(0.5 * body_hz, 1, 0.03)], 0.001), 0.7)])
    level_db, left = score.between(-24, -16), int(score.rng.integers(2, 8))
    rests_s = [(start, start + score.between(0.5, 1.2)) for start in score.at_random(0.15)]
    for beat_s in score.beats():
        # Words of some letters; now and then a thought instead of a word.
        if any(start <= beat_s < end for start, end in rests_s):
            continue
        left -= 1
        late_s = float(np.clip(score.rng.normal(0, 0.005), -0.015, 0.015))
        if left == 0:
            score.play([beat_s + late_s], [space], level_db + 3, 1, near=True)
            left = int(score.rng.integers(3, 9))
        elif score.chance(0.92):
            score.play([beat_s + late_s], keys, level_db, 2, near=True)
    if score.chance(0.5):
        mouse = join(score, [(0, keys[0], 0.5), (0.09, keys[1], 0.35)])
        score.play(score.at_random(0.3), [mouse], level_db - 2, 1, near=True)
    fan_hz = score.between(70, 160)
    score.bed(_FAN, score.between(-52, -44), score.swell(0.15, 1))
    score.tone([1, 0.4, 0.3, 0.1], fan_hz * (1 + 0.003 * score.wander(0.5)), score.between(-58, -50))
    if s.place == "in an office":
        score.voices(score.between(-50, -44))
        if score.chance(0.3):
            ringing = glide(score, [1000, 1300] * 8, (0, 1, 1, 1, 1, 0), 0.7, (1, 0.2))
            score.play([score.between(0, 9)], [ringing], -40)
    if score.chance(0.3):
        hz = score.between(280, 420)
        squeak = glide(score, (hz, 1.6 * hz, 1.2 * hz), (0, 1, 0.4, 0.9, 0), 0.3, (0.4, 1, 0.8, 0.6), 1.0)
        score.play([score.between(0, 9)], [squeak], -36, 2, near=True)


def piano(score: Score) -> None:
    s = score.scene
    scale = (0, 2, 4, 5, 7, 9, 11) if score.chance(0.6) else (0, 2, 3, 5, 7, 8, 10)
    root_hz = 220.0 * 2 ** (int(score.rng.integers(-5, 6)) / 12)
    bright = score.between(0.4, 0.65)
    knock = burst(score, [(60, 0), (250, -3), (900, -20)], 0.02)
    notes: dict[int, Later] = {}

    def pitched(degree: int) -> Later:
        if degree not in notes:
            octave, step = divmod(degree, 7)
            notes[degree] = note(score, root_hz * 2 ** (octave + scale[step] / 12), bright)
        return notes[degree]

    level_db = -19.0
    degree = int(score.rng.integers(5, 10))
    offbeat = score.between(0.1, 0.7)
    bar = 4 if score.chance(0.6) else 3
    chord_root = int(score.rng.choice([0, 3, 4, 5]))
    for k, beat_s in enumerate(score.beats()):
        degree = int(np.clip(degree + score.rng.integers(-2, 3), 3, 11))
        score.play([beat_s], [pitched(degree)], level_db, 1.5)
        score.play([beat_s], [knock], level_db - 17, 1.5)
        if k % bar == 0:
            chord_root = int(score.rng.choice([0, 3, 4, 5]))
            for third in (0, 2, 4):
                score.play([beat_s], [pitched(chord_root + third - 7)], level_db - 4, 1)
        elif k % 2 == 0 and score.chance(0.5):
            score.play([beat_s], [pitched(chord_root - 7)], level_db - 3, 1)
        if score.chance(offbeat):
            degree = int(np.clip(degree + score.rng.integers(-1, 2), 3, 11))
            score.play([beat_s + 0.5 / s.tempo_hz], [pitched(degree)], level_db - 2.5, 1.5)
    if s.place == "on a stage":
        score.bed([(60, 0), (300, -4), (1500, -14), (6000, -34)], -52)
        if score.chance(0.4):
            cough = burst(score, [(300, 0), (900, -2), (3000, -14)], 0.06, 0.01)
            at_s = score.between(0, 9)
            score.play([at_s, at_s + 0.3], [cough], -42, 2)
    pedal = ring(score, [(score.between(70, 110), 1, 0.05), (score.between(180, 260), 0.4, 0.03)], 0.004)
    score.play(score.beats()[1::bar], [pedal], -37, 3)


def vacuuming(score: Score) -> None:
    s = score.scene
    turns = s.tempo_hz * score.times_s - s.phase
    stroke = np.cos(2 * np.pi * turns)
    pushing = 0.5 + 0.5 * stroke
    # The motor labours on the push: deeper, and louder at the nozzle.
    pitch = score.between(170, 330) * (1 - 0.025 * pushing + 0.003 * score.wander(2))
    decay = score.between(0.72, 0.86)
    harmonics = [decay**k * score.between(0.4, 1.0) for k in range(24)]
    score.tone(harmonics, pitch, -22, 1 - 0.15 * pushing)
    score.tone([1, 0.3], pitch * score.between(8.7, 11.3), -38)
    score.bed([(80, -6), (250, 0), (800, -1), (2500, -4), (7000, -10), (14000, -22)], -20, score.swell(1, 0.7))
    hiss: Spectrum = ((300, -14), (1500, -4), (4000, 0), (10000, -4))
    if s.place == "on a carpet":
        hiss = ((150, -6), (600, 0), (1800, -4), (6000, -18))
    score.bed(hiss, -28, 0.3 + pushing)
    scuff = [burst(score, [(80, 0), (300, -1), (1500, -10), (5000, -24)], 0.05, 0.003) for _ in range(3)]
    score.play(score.beats(), scuff, -15, 1.5)
    wheel = [burst(score, [(300, -4), (1200, 0), (4000, -8)], 0.006) for _ in range(3)]
    if s.place != "on a carpet":
        score.play(score.at_random(6), wheel, -22, 4)
    if s.place == "under a table":
        leg = ring(score, [(score.between(160, 260), 1, 0.04), (score.between(420, 700), 0.6, 0.03)])
        score.play(score.at_random(0.5), [leg], -12, 2)
    if score.chance(0.5):
        # Crumbs up the pipe.
        at_s = score.between(0.5, 8.5)
        score.play(at_s + np.sort(score.rng.exponential(0.2, 15)), wheel, -20, 4)


def hammering(score: Score) -> None:
    s = score.scene
    decay_s, wet_db = {
        "in a workshop": (score.between(0.35, 0.6), -7.0),
        "in a garage": (score.between(0.8, 1.4), -3.0),
        "on a building site": (score.between(0.5, 0.9), -12.0),
    }[s.place]
    room = Room(score, decay_s, wet_db, _STONE)
    wood_hz, nail_hz = score.between(140, 320), score.between(2300, 3900)
    # The nail's free end gets shorter with every blow and rings higher, until the next nail.
    blows = [room(_blow(score, wood_hz, nail_hz * sunk)) for sunk in (1.0, 1.06, 1.13)]
    for k, beat_s in enumerate(score.beats()):
        score.hit(float(beat_s), blows[k // 2 % len(blows)], -5 + float(score.rng.normal(0, 1.2)))
    if s.place == "on a building site":
        score.bed([(30, 2), (100, 0), (400, -6), (2000, -18)], -44, score.swell(0.3, 4))
        if score.chance(0.5):
            hum_hz = score.between(110, 210) * (1 - 0.1 * np.clip(score.wander(0.6), 0, 1))
            drilling = np.clip(3 * score.wander(0.3), 0, 1)
            score.tone([1, 0.8, 0.9, 0.6, 0.7, 0.5, 0.4, 0.3, 0.2], hum_hz, -42, drilling)
        score.voices(-50)
    elif score.chance(0.4):
        radio_hz = score.between(180, 300)
        tune = radio_hz * 2 ** (np.round(score.wander(2) * 3) / 12)
        score.tone([1, 0.7, 0.5, 0.3, 0.2], tune, -50, np.clip(score.wander(2), 0.1, None))
    if score.chance(0.5):
        hz = score.between(3000, 5500)
        box = [ring(score, [(hz * score.between(0.8, 1.3), 1, 0.03), (1.6 * hz, 0.6, 0.02)]) for _ in range(3)]
        at_s = score.between(0, 9)
        score.play(at_s + np.sort(score.rng.uniform(0, 0.5, 8)), box, -30, 4)


def _blow(score: Score, wood_hz: float, nail_hz: float) -> Samples:
    wood = ring(score, [(wood_hz, 1, 0.03), (1.9 * wood_hz, 0.8, 0.022), (3.4 * wood_hz, 0.5, 0.015)])
    nail = ring(score, [(nail_hz, 1, 0.06), (1.62 * nail_hz, 0.7, 0.045), (2.35 * nail_hz, 0.5, 0.03)])
    return join(
        score,
        [
            (0, burst(score, [(300, -6), (1500, 0), (5000, -2), (12000, -10)], 0.003, 0.0002), 0.8),
            (0, wood, 0.8),
            (0, nail, 0.35),
        ],
    )

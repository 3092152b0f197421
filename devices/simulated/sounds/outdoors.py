"""The outdoor scenarios and the bus."""

from __future__ import annotations

import numpy as np

from devices.simulated.sounds.airs import birds, breath, crickets, drops, gulls, pass_by, wildlife, wind
from devices.simulated.sounds.score import SCENE_S, Score
from devices.simulated.sounds.steps import footsteps
from devices.simulated.sounds.strokes import burst, glide, join, ring
from devices.simulated.sounds.tables import Spectrum

__all__ = ["beach_run", "bus_ride", "camp_fire", "cycling", "dog_walk", "rowing"]

_ROAD: Spectrum = ((30, 0), (90, 2), (350, -5), (1200, -12), (4000, -34))


def dog_walk(score: Score) -> None:
    ground = {"in a park": "gravel", "along a street": "street", "on a forest path": "leaves"}[score.scene.place]
    score.play(score.beats(), footsteps(score, ground), -12, 1.5, near=True)
    # The dog's paws are quick and light, its collar jingles with them.
    trot_hz = score.scene.tempo_hz * score.between(1.5, 2.2)
    trot_s = np.arange(-0.5, SCENE_S, 1 / trot_hz) + score.between(0, 0.4)
    paws = [burst(score, [(800, -6), (2500, 0), (6000, -8)], 0.006) for _ in range(3)]
    score.play(trot_s + score.rng.normal(0, 0.012, len(trot_s)), paws, -34, 3)
    body_hz = score.between(3800, 5600)
    for _ in range(3):
        tags = ring(score, [(body_hz * f, a, score.between(0.02, 0.06)) for f, a in ((1, 1), (1.37, 0.8), (1.83, 0.6))])
        score.play(trot_s[score.rng.random(len(trot_s)) < 0.35] + score.between(0, 0.05), [tags], -30, 3)
    if score.chance(0.55):
        score.bed(
            [(600, -8), (1600, 0), (5000, -6), (10000, -20)],
            -42,
            np.clip(np.sin(2 * np.pi * score.between(2.6, 4.2) * score.times_s), 0, 1),
        )
    if score.chance(0.85):
        pitch_hz = score.between(260, 650)
        bark = glide(
            score, (0.8 * pitch_hz, 1.25 * pitch_hz, 0.7 * pitch_hz), (0, 1, 0.9, 0.4, 0), score.between(0.11, 0.2),
            (0.6, 1, 0.9, 0.8, 0.5, 0.3, 0.2), 0.9,
        )  # fmt: skip
        rough = burst(score, [(400, -4), (1200, 0), (4000, -12)], 0.04, 0.01)
        for at_s in score.rng.uniform(0.3, 9.2, int(score.rng.integers(1, 4))):
            for i in range(int(score.rng.integers(1, 4))):
                score.play(
                    [at_s + i * score.between(0.3, 0.42)], [join(score, [(0, bark, 1), (0, rough, 0.5)])], -13, 1.5
                )
    wildlife(score, -36)
    wind(score, -50, 4)
    if ground == "street":
        score.bed(_ROAD, -46, score.swell(0.25, 4))
        if score.chance(0.5):
            pass_by(score, score.between(1, 9), -30, score.between(7, 12), 6)
    if ground == "leaves":
        score.bed([(600, -12), (2500, 0), (8000, -4)], -52, score.swell(0.4, 6))


def beach_run(score: Score) -> None:
    score.play(score.beats(), footsteps(score, "sand"), -11, 1.5, near=True)
    period_s = score.between(8, 12)
    for offset in (score.between(0, 1), score.between(0, 1)):
        # A breaker falls, then its foam runs up and fizzes out.
        turns = (score.times_s / period_s + offset) % 1.0
        rise = np.clip(turns / 0.12, 0, 1)
        fall = np.exp(-np.clip(turns - 0.12, 0, None) * score.between(3.2, 5))
        level_db = score.between(-30, -25)
        score.bed([(40, 0), (150, 1), (500, -3), (1500, -12), (5000, -30)], level_db, 0.12 + rise * fall)
        foam = np.clip((turns - 0.06) / 0.2, 0, 1) * np.exp(-np.clip(turns - 0.26, 0, None) * 3.2)
        score.bed([(500, -12), (1800, -2), (5000, 0), (12000, -8)], level_db - 4, 0.06 + foam)
    wind(score, -46 + 3 * (score.scene.speed_mps - 2.6), 4)
    gulls(score, -30)
    if score.chance(0.7):
        steps = 4 if score.chance(0.5) else 2
        breath(score, steps / score.scene.tempo_hz, score.between(-42, -36), score.between(0, 1))
    if score.scene.place == "beside the pier":
        slap = [burst(score, [(150, 0), (700, -3), (3000, -14)], 0.07, 0.02) for _ in range(2)]
        score.play(score.at_random(0.8), slap, -28, 4)


def cycling(score: Score) -> None:
    s = score.scene
    rush_db = 20 * np.log10(s.speed_mps / 5.5)
    wind(score, -31 + 2 * rush_db, 4, 0.8)
    score.bed([(500, -14), (1500, -4), (4000, 0), (9000, -6)], -44 + 1.2 * rush_db, score.swell(0.8, 2), near=True)
    # The chain: a link over a tooth, many a turn, and a click of the crank once a turn.
    links_s = np.arange(0, SCENE_S, 1 / (s.tempo_hz * 14))
    link = [burst(score, [(1500, -6), (4000, 0), (9000, -4)], 0.003) for _ in range(3)]
    score.play(links_s + score.rng.normal(0, 0.002, len(links_s)), link, -41, 3, near=True)
    crank = ring(score, [(score.between(1500, 2600), 1, 0.012), (score.between(3200, 4800), 0.6, 0.008)])
    score.play(score.beats(), [crank], -27, 1.5, near=True)
    score.bed(_ROAD, -38 if s.place != "on a country road" else -46, score.swell(0.25, 3))
    n_cars = int(score.rng.integers(1, 3)) if s.place == "on a country road" else int(score.rng.integers(2, 5))
    for at_s in score.rng.uniform(0, SCENE_S, n_cars):
        pass_by(score, float(at_s), score.between(-25, -18), score.between(7, 14), score.between(2, 4.5))
    if score.chance(0.35):
        low_hz = score.between(330, 460)
        length_s = score.between(0.25, 0.8)
        horn = join(
            score,
            [
                (0, glide(score, (hz, hz), (0, 1, 1, 1, 1, 1, 1, 1, 1, 0), length_s, (1, 0.9, 0.7, 0.6, 0.4, 0.3)), 0.5)
                for hz in (low_hz, 1.25 * low_hz)
            ],
        )
        score.play([score.between(0.5, 9)], [horn], -17)
    if score.chance(0.2):
        hz = score.between(2200, 3200)
        bell = ring(score, [(hz, 1, 0.35), (1.52 * hz, 0.5, 0.25), (2.6 * hz, 0.3, 0.15)])
        at_s = score.between(0.5, 8.5)
        score.play([at_s, at_s + 0.16], [bell], -24, near=True)
    if s.light_name == "in the morning" and s.place != "past shops":
        birds(score, 0.4, -38)


def bus_ride(score: Score) -> None:
    s = score.scene
    # Revolutions climb in each gear and drop at the change; the engine idles at a stop in some scenes.
    idle_hz = score.between(24, 32)
    pitch = np.full(len(score.times_s), idle_hz)
    at_s, hz = -score.between(0, 3), score.between(34, 60)
    while at_s < SCENE_S:
        length_s, top_hz = score.between(1.8, 4.5), hz * score.between(0.95, 1.5)
        inside = (score.times_s >= at_s) & (score.times_s < at_s + length_s)
        pitch[inside] = hz + (top_hz - hz) * (score.times_s[inside] - at_s) / length_s
        at_s += length_s
        hz = float(np.clip(top_hz * score.between(0.62, 0.9), 30, 70))
    # The clutch takes a fifth of a second.
    pitch = np.convolve(np.pad(pitch, 10, mode="edge"), np.full(21, 1 / 21), mode="valid")
    pitch = pitch * (1 + 0.01 * score.wander(3))
    rear = 4 if s.place == "in the last row" else 0
    load = np.clip(pitch / 50, 0.5, 1.4)
    score.tone([0.6, 1, 0.5, 0.8, 0.35, 0.5, 0.25, 0.2, 0.2, 0.12, 0.1, 0.08], pitch, -26 + rear, load)
    score.tone([1, 0.4, 0.2], pitch * score.between(6.4, 9.2), -44 + rear, load)
    score.bed([(30, 6), (80, 6), (200, 0), (600, -12), (2500, -32)], -27, score.swell(0.8, 2) * load)
    score.bed([(200, -6), (700, 0), (1500, -6), (5000, -24)], -42 + 8 * np.log10(s.speed_mps / 10), score.swell(0.5, 3))
    # Panes and poles rattle after every bump.
    rattle_hz = score.between(900, 2200)
    pane = [
        ring(score, [(rattle_hz * score.between(0.9, 1.1), 1, 0.015), (2.3 * rattle_hz, 0.5, 0.01)]) for _ in range(4)
    ]
    thud = ring(score, [(score.between(45, 70), 1, 0.08), (score.between(90, 140), 0.5, 0.05)], 0.004)
    for bump_s in score.at_random(score.between(0.5, 1.1)):
        score.play([bump_s], [thud], -17, 3)
        n = int(score.rng.integers(4, 12))
        score.play(bump_s + 0.02 + np.sort(score.rng.exponential(0.12, n)), pane, -32, 4)
    score.play(score.at_random(score.between(2, 9)), pane, -42, 4)
    if s.place != "in the last row" or score.chance(0.4):
        score.voices(score.between(-48, -40))
    if score.chance(0.3):
        hiss = burst(score, [(1000, -10), (4000, 0), (12000, -4)], score.between(0.15, 0.3), 0.02)
        score.play([score.between(0.5, 9)], [hiss], -26)
    if score.chance(0.25):
        hz = score.between(700, 1000)
        bell = ring(score, [(hz, 1, 0.3), (2.01 * hz, 0.4, 0.2), (2.9 * hz, 0.2, 0.1)])
        score.play([score.between(0.5, 9)], [bell], -27)


def camp_fire(score: Score) -> None:
    fierce = score.between(0.6, 1.5)
    score.bed(
        [(30, 2), (90, 4), (250, -2), (700, -12), (2500, -26)], -37, score.swell(1.5, 3) * score.swell(5, 1.5) * fierce
    )
    score.bed([(400, -10), (2000, -2), (6000, 0), (14000, -6)], -54, score.swell(0.8, 3) * fierce)
    small = [burst(score, [(800, -10), (score.between(2000, 6000), 0), (12000, -6)], 0.0012, 0.0002) for _ in range(6)]
    large = [
        join(
            score,
            [
                (
                    0,
                    burst(score, [(300, -6), (score.between(900, 2500), 0), (9000, -8)], score.between(0.004, 0.012)),
                    1,
                ),
                (score.between(0.004, 0.03), small[i], 0.5),
            ],
        )
        for i in range(4)
    ]
    per_s = score.between(7, 20) * fierce
    # Crackles come in flurries.
    lively = score.rng.uniform(0.2, 1.8, 5)
    for i, factor in enumerate(lively):
        score.play(score.at_random(per_s * float(factor), 2.0 * i, 2.0 * i + 2.0), small, -19, 5)
    score.play(score.at_random(score.between(0.5, 1.8)), large, -9, 3.5)
    if score.chance(0.4):
        fizz = burst(score, [(2000, -10), (6000, 0), (14000, -2)], score.between(0.2, 0.5), 0.05)
        score.play([score.between(0, 9)], [fizz], -36)
    if score.chance(0.6):
        crickets(score, -42)
    if score.scene.place == "by a lake":
        score.bed([(100, -4), (400, 0), (1200, -10), (4000, -28)], -50, np.clip(score.wander(0.7), 0, None))
        drops(score, 1.5, -46, 300, 800)
    else:
        wind(score, -55 if score.scene.place == "in the woods" else -52, 5)
    if score.scene.place == "in the woods" and score.scene.light_name == "at night" and score.chance(0.4):
        hoot = glide(score, (380, 400, 380), (0, 1, 0.9, 0), 0.35, (1, 0.1))
        at_s = score.between(0, 7)
        score.play([at_s, at_s + 0.7, at_s + 0.95], [hoot], -40)


def rowing(score: Score) -> None:
    s = score.scene
    period_s = 1 / s.tempo_hz
    beats = score.beats()
    splash: Spectrum = ((200, -4), (700, 0), (2500, -4), (7000, -14))
    catches = [
        join(score, [(0, burst(score, splash, 0.09, 0.004), 0.9),
                     (0, ring(score, [(score.between(120, 190), 1, 0.05)], 0.002), 0.5)])
        for _ in range(3)
    ]  # fmt: skip
    score.play(beats, catches, -15, 1.5, near=True)
    # The pull: water gurgles past the blades, the rowlocks creak.
    pull = 0.4 * period_s
    turns = (score.times_s * s.tempo_hz - s.phase) % 1.0
    dragging = np.clip(np.sin(np.pi * turns / 0.42), 0, None) * (turns < 0.42)
    score.bed([(150, -2), (500, 0), (1500, -8), (5000, -22)], -33, dragging * score.swell(6, 3), near=True)
    creak_hz = score.between(180, 420)
    creaks = [
        glide(score, (creak_hz, creak_hz * score.between(1.1, 1.7), creak_hz * score.between(0.8, 1.2)),
              (0, 1, 0.2, 0.9, 0.3, 0.8, 0), score.between(0.18, 0.4), (0.5, 1, 0.8, 0.9, 0.5, 0.6, 0.4, 0.3), 1.2)
        for _ in range(3)
    ]  # fmt: skip
    score.play(beats + 0.35 * pull, creaks, score.between(-28, -20), 2, near=True)
    knock = ring(score, [(score.between(240, 360), 1, 0.03), (score.between(600, 900), 0.5, 0.02)])
    score.play(beats + pull + 0.03, [knock], -24, 2, near=True)
    drips = [burst(score, splash, 0.03, 0.004)]
    score.play(beats + pull, drips, -26, 2, near=True)
    drops(score, 3, -38, 500, 1300)
    for beat_s in beats:
        fall_s = beat_s + pull + np.sort(score.rng.uniform(0.05, 0.5 * period_s, int(score.rng.integers(4, 10))))
        score.play(fall_s, [glide(score, (900, 1000, 1500), (1, 0.5, 0.1, 0), 0.03)], -33, 4, near=True)
    # Small waves along the planks.
    score.bed([(100, -2), (350, 0), (1000, -8), (4000, -24)], -43, np.clip(score.wander(1.6), 0, None) + 0.1, near=True)
    wind(score, -52, 4)
    if s.place == "on a river":
        score.bed([(200, -6), (800, 0), (2500, -4), (8000, -16)], -42, score.swell(0.8, 2))
    elif s.place == "in a harbour":
        gulls(score, -30)
        hz = score.between(1500, 2400)
        halyard = ring(score, [(hz, 1, 0.05), (1.7 * hz, 0.6, 0.03), (2.9 * hz, 0.4, 0.02)])
        score.play(score.at_random(1.6), [halyard], -36, 4)
        if score.chance(0.4):
            score.tone([1, 0.7, 0.8, 0.5, 0.4, 0.2], score.between(22, 38), -42, score.swell(0.2, 3))
    else:
        wildlife(score, -40)

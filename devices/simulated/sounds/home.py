"""The scenarios in kitchen, bathroom and by the window."""

from __future__ import annotations

import numpy as np

from devices.simulated.sounds.airs import breath, drops, wind
from devices.simulated.sounds.score import SCENE_S, Score
from devices.simulated.sounds.strokes import Room, burst, glide, join, ring
from devices.simulated.sounds.tables import Spectrum
from devices.simulated.world import FloatArray

__all__ = ["kettle", "rain_window", "tooth_brushing", "washing_up"]

_TAP: Spectrum = ((120, -14), (400, -6), (1200, 0), (4000, 0), (9000, -6), (15000, -16))
_TILES: Spectrum = ((150, -8), (600, 0), (2500, 0), (8000, -8), (14000, -20))


def kettle(score: Score) -> None:
    s = score.scene
    # From a whisper to the boil: by the end of the scene it is as hot as it will be.
    begun = score.between(0.0, 0.35)
    heat = begun + (1 - begun) * score.times_s / SCENE_S
    bubbling = np.clip((heat - 0.45) / 0.55, 0, 1)
    score.bed([(200, -8), (600, -2), (1800, 0), (4500, -3), (9000, -12)], -30, 0.2 + heat**2.2)
    score.bed([(50, -4), (120, 2), (350, 0), (900, -8), (3000, -24)], -28, bubbling**1.5 * score.swell(7, 3))
    for start_s in range(10):
        per_s = 60 * float(bubbling[start_s * 100]) ** 1.5
        blubs = [glide(score, (hz, 1.4 * hz), (1, 0.7, 0), 0.03) for hz in score.rng.uniform(180, 700, 3)]
        score.play(score.at_random(per_s, start_s, start_s + 1), blubs, -31, 4)
    if s.place == "on a gas cooker":
        score.bed([(100, -4), (400, 0), (1500, -3), (5000, -8), (12000, -22)], -43, score.swell(2, 1))
        if score.chance(0.5):
            whistle_hz = score.between(1500, 2600) * (0.75 + 0.25 * np.clip(2 * bubbling, 0, 1))
            score.tone([1, 0.25, 0.08], whistle_hz * (1 + 0.006 * score.wander(6)), -27, bubbling**3)
    else:
        score.tone([0.3, 1, 0.1, 0.5, 0.1, 0.2], 50.0, -52)
        if score.chance(0.4):
            score.play([score.between(9.0, 9.8)], [burst(score, [(400, 0), (1800, -1), (6000, -10)], 0.006)], -16)
    lid_hz = score.between(1400, 2600)
    lid = [ring(score, [(lid_hz * f, 1, 0.02), (2.4 * lid_hz * f, 0.6, 0.012)]) for f in (0.95, 1.0, 1.07)]
    shaking = score.at_random(score.between(0, 14), 6.0, SCENE_S)
    score.play(shaking, lid, -36, 4)
    if score.chance(0.6):
        cup_hz = score.between(1800, 3200)
        cup = ring(score, [(cup_hz, 1, 0.09), (2.3 * cup_hz, 0.5, 0.06), (3.9 * cup_hz, 0.3, 0.03)])
        score.play(score.at_random(0.25), [cup], -26, 3)
    if score.chance(0.3):
        score.bed([(60, -4), (150, 0), (600, -6), (3000, -24)], -50)


def washing_up(score: Score) -> None:
    s = score.scene
    steel = s.place == "at a steel sink"
    running = score.swell(1.0, 1.5)
    if score.chance(0.5):
        # The tap is turned down for a while.
        shut_s = score.between(2, 8)
        running = running * np.interp(np.abs(score.times_s - shut_s), [0, 0.9, 1.2], [0.25, 0.25, 1.0])
    score.bed(_TAP, -29, running)
    if steel:
        score.bed([(250, -6), (900, 0), (1300, -2), (3500, -14)], -36, running * score.swell(6, 2))
    drops(score, score.between(18, 40), -33, 350, 1600)
    plates = []
    for _ in range(5):
        hz = score.between(1300, 3600)
        modes = [(hz * f, a, score.between(0.04, 0.14)) for f, a in ((1, 1), (1.58, 0.7), (2.34, 0.8), (3.6, 0.4))]
        plates.append(join(score, [(0, ring(score, modes), 0.9), (0, burst(score, _TAP, 0.002), 0.4)]))
    beats = score.beats()
    score.play(beats[score.rng.random(len(beats)) < 0.55], plates, -19, 3)
    score.play(score.at_random(score.between(0.5, 1.6)), plates, -25, 4)
    scrub = [burst(score, [(500, -8), (1800, 0), (5000, -3), (10000, -14)], 0.07, 0.03) for _ in range(3)]
    score.play(beats, scrub, -25, 2, near=True)
    score.play(beats + 0.45 / s.tempo_hz, scrub, -28, 2, near=True)
    splash = [burst(score, [(250, -4), (900, 0), (3000, -4), (9000, -16)], 0.08, 0.01) for _ in range(3)]
    score.play(score.at_random(score.between(0.6, 1.5)), splash, -20, 3)
    if steel and score.chance(0.7):
        hz = score.between(160, 320)
        bang = ring(score, [(hz, 1, 0.08), (2.2 * hz, 0.8, 0.06), (4.1 * hz, 0.5, 0.04)])
        score.play(score.at_random(0.35), [bang], -20, 3)
    if score.chance(0.4):
        spoons_hz = score.between(3200, 5200)
        spoons = [ring(score, [(spoons_hz * f, 1, 0.03), (1.7 * spoons_hz * f, 0.6, 0.02)]) for f in (0.9, 1, 1.15)]
        at_s = score.between(0, 9)
        score.play(at_s + np.sort(score.rng.uniform(0, 0.6, 6)), spoons, -26, 3)


def rain_window(score: Score) -> None:
    s = score.scene
    heavy = score.between(0.4, 1.6)
    roof = s.place == "under a roof window"
    gusts: FloatArray = score.swell(0.35, 5)
    score.bed([(150, -14), (700, -6), (2500, 0), (7000, -1), (14000, -8)], -40 + (4 if roof else 0), gusts * heavy)
    glass: Spectrum = ((600, -10), (1500, -1), (3500, 0), (8000, -8))
    drum: Spectrum = ((200, -4), (500, 0), (1500, -4), (5000, -16))
    ticks = [
        join(
            score,
            [
                (0, burst(score, drum if roof else glass, score.between(0.0015, 0.005), 0.0003), 1.0),
                (0, ring(score, [(score.between(900, 3000), 1, 0.006)]), 0.4),
            ],
        )
        for _ in range(12)
    ]
    times_s = score.at_random(110 * heavy)
    # More drops where the gust is: thinned by its curve.
    kept = score.rng.random(len(times_s)) < np.clip(gusts[(times_s * 100).astype(np.int64)] / 1.6, 0.1, 1)
    score.play(times_s[kept], ticks, -26 + (3 if roof else 0), 5)
    wind(score, -50, 6, 0.35)
    if score.chance(0.6):
        gutter_s = np.arange(0, SCENE_S, score.between(0.25, 0.9)) + score.between(0, 0.3)
        pling = [glide(score, (hz, 1.2 * hz), (1, 0.5, 0.1, 0), 0.05) for hz in score.rng.uniform(500, 1300, 3)]
        score.play(gutter_s + score.rng.normal(0, 0.02, len(gutter_s)), pling, -34, 2)
    if score.chance(0.5):
        score.bed([(150, -4), (500, 0), (1500, -6), (5000, -20)], -48, score.swell(2, 2))
    if score.chance(0.2):
        rumble = np.exp(-np.abs(score.times_s - score.between(1, 9)) / 1.4) * score.swell(2.5, 5)
        score.bed([(30, 4), (70, 2), (150, -6), (500, -26)], -30, rumble)
    if s.place == "in a living room" and score.chance(0.6):
        tick = [burst(score, [(1200, -4), (3000, 0), (7000, -8)], 0.003), burst(score, [(1000, -4), (2400, 0)], 0.003)]
        offset_s = score.between(0, 0.5)
        for i in range(20):
            score.play([offset_s + 0.5 * i], [tick[i % 2]], -44, 0.5)


def tooth_brushing(score: Score) -> None:
    s = score.scene
    small = s.place == "in a small bathroom"
    room = Room(score, score.between(0.15, 0.22) if small else score.between(0.3, 0.42), -12, _TILES)
    # Front teeth sound bright, back teeth through a closed mouth.
    bright_hz = score.between(3200, 6000)
    kinds = []
    for hz in (bright_hz, 0.6 * bright_hz, 0.42 * bright_hz):
        brush: Spectrum = ((hz / 6, -16), (hz / 2, -4), (hz, 0), (1.8 * hz, -4), (3.5 * hz, -18))
        decay_s = 0.16 / s.tempo_hz
        kinds.append([[room(burst(score, brush, decay_s, a)) for _ in range(2)] for a in (0.004, 0.02)])
    level_db = score.between(-16, -10)
    where = np.clip(np.round(score.wander(0.5) + 1), 0, 2).astype(int)
    for beat_s in score.beats():
        there, back = kinds[where[int(np.clip(beat_s, 0, SCENE_S) * 100)]]
        score.play([beat_s], there, level_db, 1, near=True)
        score.play([beat_s + 0.48 / s.tempo_hz], back, level_db - 3, 1, near=True)
    foam = [burst(score, [(200, 0), (700, -2), (2500, -10)], 0.02, 0.01) for _ in range(2)]
    score.play(score.at_random(1.5), foam, -34, 3, near=True)
    if score.chance(0.4):
        start_s, length_s = score.between(-1, 8), score.between(1.5, 3.5)
        gone_s = score.times_s - start_s
        running = np.clip(np.minimum(gone_s, length_s - gone_s) / 0.25, 0, 1)
        score.bed(_TAP, -33, running * score.swell(1, 1))
    elif score.chance(0.6):
        drip = [room(glide(score, (hz, 1.4 * hz), (1, 0.4, 0.1, 0), 0.04)) for hz in (900.0, 1150.0)]
        score.play(np.arange(score.between(0, 1), SCENE_S, score.between(0.7, 1.6)), drip, -34, 1)
    if s.place == "in a hotel bathroom" or score.chance(0.3):
        score.bed([(60, -2), (180, 0), (600, -4), (2000, -12), (6000, -28)], -46)
        score.tone([1, 0.5, 0.3, 0.2], score.between(90, 150), -54)
    breath(score, score.between(2.2, 3.6), -48, score.between(0, 2))

"""Footsteps by what is trodden on."""

from __future__ import annotations

from devices.simulated.sounds.score import Score
from devices.simulated.sounds.strokes import burst, grains, join, ring
from devices.simulated.sounds.tables import Samples

__all__ = ["footsteps"]

_N = 4


def footsteps(score: Score, ground: str) -> list[Samples]:
    """Some steps on "gravel", "leaves", "sand", "street", "floor", "stone", "wood" or "office": all of one shoe."""
    thump_hz = score.between(70, 110)
    toe_s = score.between(0.07, 0.12)
    return [_step(score, ground, thump_hz * score.between(0.92, 1.08), toe_s) for _ in range(_N)]


def _step(score: Score, ground: str, thump_hz: float, toe_s: float) -> Samples:
    thump = ring(score, [(thump_hz, 1.0, 0.025), (2.3 * thump_hz, 0.4, 0.015)], 0.002)
    if ground == "gravel":
        crunch = grains(score, [(400, -14), (1500, -2), (3000, 0), (7000, -8), (12000, -22)], 26, 0.16)
        return join(score, [(0, crunch, 0.9), (0, thump, 0.5)])
    if ground == "leaves":
        heel = burst(score, [(300, -8), (1800, 0), (6000, -2), (14000, -14)], 0.05, 0.004)
        rustle = grains(score, [(1500, -8), (4500, 0), (9000, -4)], 14, 0.22, 0.008)
        return join(score, [(0, heel, 0.6), (0, rustle, 0.6), (0, thump, 0.45)])
    if ground == "sand":
        heel = burst(score, [(80, -2), (250, 0), (1200, -8), (5000, -22)], 0.035, 0.006)
        shove = burst(score, [(300, -4), (1500, 0), (5000, -10)], 0.05, 0.03)
        return join(score, [(0, heel, 0.9), (toe_s * 0.6, shove, 0.3), (0, thump, 0.6)])
    if ground == "wood":
        board = ring(score, [(thump_hz * 1.7, 1.0, 0.05), (thump_hz * 3.1, 0.6, 0.04), (thump_hz * 5.3, 0.35, 0.03)])
        heel = burst(score, [(200, 0), (900, -3), (4000, -18)], 0.008)
        return join(score, [(0, board, 0.9), (0, heel, 0.5), (toe_s, board, 0.35)])
    # Hard ground: a heel that clicks, and a toe.
    click_hz = {"street": 1700.0, "stone": 2100.0, "office": 1300.0, "floor": 1000.0}[ground]
    heel = burst(score, [(click_hz / 6, -8), (click_hz, 0), (2 * click_hz, -5), (6 * click_hz, -24)], 0.007)
    toe = burst(score, [(click_hz / 4, -4), (1.4 * click_hz, 0), (5 * click_hz, -18)], 0.012, 0.004)
    return join(score, [(0, heel, 0.9), (0, thump, 0.4), (toe_s, toe, 0.35)])

"""Which scenario sounds like what."""

from __future__ import annotations

from collections.abc import Callable

from devices.simulated.sounds import home, indoors, outdoors
from devices.simulated.sounds.score import Score
from devices.simulated.world import Scene

__all__ = ["PIECES", "score_of"]

PIECES: dict[str, Callable[[Score], None]] = {
    "dog_walk": outdoors.dog_walk,
    "supermarket": indoors.supermarket,
    "beach_run": outdoors.beach_run,
    "stairs": indoors.stairs,
    "cycling": outdoors.cycling,
    "bus_ride": outdoors.bus_ride,
    "kettle": home.kettle,
    "washing_up": home.washing_up,
    "camp_fire": outdoors.camp_fire,
    "typing": indoors.typing,
    "rain_window": home.rain_window,
    "piano": indoors.piano,
    "vacuuming": indoors.vacuuming,
    "hammering": indoors.hammering,
    "rowing": outdoors.rowing,
    "tooth_brushing": home.tooth_brushing,
}
"""Scenario to what writes its score."""


def score_of(scene: Scene, rate_hz: float) -> Score:
    """All that sounds in `scene`, made for a sensor of this rate."""
    score = Score(scene, rate_hz)
    PIECES[scene.name](score)
    score.background()
    return score

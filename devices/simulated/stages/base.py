"""What a stage is, and where each scenario's is found."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import ClassVar

from devices.simulated.canvas import Canvas
from devices.simulated.world import Scene

__all__ = ["STAGES", "Stage", "stage_of"]


class Stage(ABC):
    """The bodies of one scene. Everything random is drawn once, from `scene.rng`, when the stage is set."""

    gaze: ClassVar[tuple[float, float]] = (0.0, 0.0)
    """Where the wearer looks when the head is at rest: (yaw left, pitch up) in radians."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @abstractmethod
    def draw(self, canvas: Canvas, age_s: float) -> None:
        """Paint the scene as it is `age_s` after its beginning, far things first."""


STAGES: dict[str, str] = {
    "dog_walk": "devices.simulated.stages.dog_walk:DogWalk",
    "supermarket": "devices.simulated.stages.supermarket:Supermarket",
    "beach_run": "devices.simulated.stages.beach_run:BeachRun",
    "stairs": "devices.simulated.stages.stairs:Stairs",
    "cycling": "devices.simulated.stages.cycling:Cycling",
    "bus_ride": "devices.simulated.stages.bus_ride:BusRide",
    "kettle": "devices.simulated.stages.kettle:Kettle",
    "washing_up": "devices.simulated.stages.washing_up:WashingUp",
    "camp_fire": "devices.simulated.stages.camp_fire:CampFire",
    "typing": "devices.simulated.stages.typing:Typing",
    "rain_window": "devices.simulated.stages.rain_window:RainWindow",
    "piano": "devices.simulated.stages.piano:Piano",
    "vacuuming": "devices.simulated.stages.vacuuming:Vacuuming",
    "hammering": "devices.simulated.stages.hammering:Hammering",
    "rowing": "devices.simulated.stages.rowing:Rowing",
    "tooth_brushing": "devices.simulated.stages.tooth_brushing:ToothBrushing",
}
"""Scenario to the class that draws it, loaded when it is first looked at."""


def stage_of(scene: Scene) -> Stage:
    """The stage of `scene`, set up."""
    module, _, name = STAGES[scene.name].partition(":")
    stage: Stage = getattr(importlib.import_module(module), name)(scene)
    return stage

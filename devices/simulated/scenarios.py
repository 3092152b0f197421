"""The sixteen everyday scenarios of the simulated world, as data: what happens, where, how fast and how warm.

Fixed before any model is trained. The motion groups say which scenarios a head-worn IMU can tell apart: sitting by a
fire and typing feel alike, so they share one. No scenario has a motion invented to be told by.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FELT", "GROUPS", "LABELS", "SCENARIOS", "Scenario", "scenario_named"]

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of scene. Ranges are drawn from anew for every scene."""

    name: str
    """Identifier."""
    label: str
    """The plain caption by which it is told."""
    phrases: tuple[str, ...]
    """What the wearer does, in words: each completes "a person ..."."""
    group: str
    """Scenarios of one group feel alike to an IMU on the head."""
    places: tuple[str, ...]
    """Where: each completes "... <place>"; every one looks different."""
    lights: tuple[str, ...]
    """When or under which light, see world.LIGHTS."""
    things: str
    """What the scene's colour belongs to: the noun that a caption puts it before."""
    air_c: Range
    """Temperature of the surroundings in degrees Celsius."""
    tempo_hz: Range = (0.0, 0.0)
    """Beats per second of what is rhythmic in it (steps, strokes, blows); 0: nothing is."""
    speed_mps: Range = (0.0, 0.0)
    """How fast the wearer moves forward."""
    eye_m: Range = (1.55, 1.75)
    """Height of the eyes over the ground."""
    colours: tuple[str, ...] = ()
    """Colours that `things` come in, keys of world.COLOURS; empty: all of them."""


INDOORS = ("in daylight", "under a lamp", "in dim light")
OUTDOORS = ("in the morning", "at noon", "at dusk")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "dog_walk",
        "a person walking a dog",
        ("walking a dog", "taking the dog for a walk", "out with a dog on a leash"),
        "walking",
        ("in a park", "along a street", "on a forest path"),
        OUTDOORS,
        "dog",
        (4, 26),
        (1.6, 2.0),
        (1.1, 1.5),
        colours=("brown", "black", "white", "grey", "yellow"),
    ),
    Scenario(
        "supermarket",
        "a person pushing a trolley through a supermarket",
        ("pushing a trolley through a supermarket", "shopping for groceries", "walking past supermarket shelves"),
        "walking",
        ("between the shelves", "by the fruit", "by the fridges"),
        ("under bright lamps",),
        "trolley",
        (17, 22),
        (1.3, 1.7),
        (0.7, 1.0),
    ),
    Scenario(
        "beach_run",
        "a person running on a beach",
        ("running on a beach", "jogging by the sea", "running along the waves"),
        "running",
        ("on the sand", "below the dunes", "beside the pier"),
        OUTDOORS,
        "towel",
        (12, 30),
        (2.5, 3.0),
        (2.6, 3.6),
    ),
    Scenario(
        "stairs",
        "a person climbing stairs",
        ("climbing stairs", "walking up the stairs", "going upstairs"),
        "climbing stairs",
        ("in a stone stairwell", "in a wooden house", "in an office building"),
        INDOORS,
        "banister",
        (15, 23),
        (1.5, 2.0),
        (0.45, 0.6),
    ),
    Scenario(
        "cycling",
        "a person cycling in traffic",
        ("cycling in traffic", "riding a bicycle on the road", "cycling among cars"),
        "cycling",
        ("past houses", "past shops", "on a country road"),
        OUTDOORS,
        "car",
        (6, 28),
        (1.1, 1.5),
        (4.0, 7.0),
    ),
    Scenario(
        "bus_ride",
        "a person riding a bus",
        ("riding a bus", "sitting in a bus", "travelling by bus"),
        "riding",
        ("in the last row", "by the aisle", "behind other passengers"),
        OUTDOORS,
        "seats",
        (17, 26),
        (0.0, 0.0),
        (7.0, 13.0),
        (1.15, 1.3),
    ),
    Scenario(
        "kettle",
        "a person boiling a kettle",
        ("boiling a kettle", "waiting for the kettle to boil", "making tea"),
        "standing",
        ("in a small kitchen", "on a gas cooker", "by the kitchen window"),
        INDOORS,
        "kettle",
        (18, 24),
    ),
    Scenario(
        "washing_up",
        "a person washing the dishes",
        ("washing the dishes", "washing up", "rinsing plates in the sink"),
        "standing",
        ("at a steel sink", "at a white sink", "under the kitchen window"),
        INDOORS,
        "plate",
        (18, 24),
        (0.7, 1.1),
    ),
    Scenario(
        "camp_fire",
        "a person sitting by a camp fire",
        ("sitting by a camp fire", "watching a fire burn", "sitting at a fire outdoors"),
        "sitting",
        ("in the woods", "by a lake", "in front of a tent"),
        ("at dusk", "at night"),
        "blanket",
        (3, 16),
        eye_m=(0.95, 1.15),
    ),
    Scenario(
        "typing",
        "a person typing on a computer",
        ("typing on a computer", "working at a desk", "writing on a keyboard"),
        "sitting",
        ("in an office", "in a study", "at a window desk"),
        INDOORS,
        "mug",
        (19, 24),
        (5.0, 7.0),
        eye_m=(1.1, 1.25),
    ),
    Scenario(
        "rain_window",
        "a person watching rain on a window",
        ("watching rain on a window", "looking out into the rain", "sitting by a rainy window"),
        "sitting",
        ("in a living room", "in a bedroom", "under a roof window"),
        ("on a grey day", "in the evening"),
        "curtain",
        (17, 22),
        eye_m=(1.1, 1.25),
    ),
    Scenario(
        "piano",
        "a person playing the piano",
        ("playing the piano", "practising the piano", "playing a tune on a piano"),
        "sitting",
        ("in a living room", "on a stage", "in a music room"),
        INDOORS,
        "piano",
        (18, 23),
        (1.4, 2.4),
        eye_m=(1.1, 1.25),
    ),
    Scenario(
        "vacuuming",
        "a person vacuuming the floor",
        ("vacuuming the floor", "cleaning the carpet", "pushing a vacuum cleaner"),
        "vacuuming",
        ("on a carpet", "on a wooden floor", "under a table"),
        INDOORS,
        "vacuum cleaner",
        (18, 24),
        (0.5, 0.75),
    ),
    Scenario(
        "hammering",
        "a person hammering a nail",
        ("hammering a nail", "driving nails into wood", "working with a hammer"),
        "hammering",
        ("in a workshop", "in a garage", "on a building site"),
        INDOORS,
        "hammer",
        (8, 24),
        (1.4, 2.2),
    ),
    Scenario(
        "rowing",
        "a person rowing a boat",
        ("rowing a boat", "rowing across the water", "pulling the oars of a boat"),
        "rowing",
        ("on a lake", "on a river", "in a harbour"),
        OUTDOORS,
        "boat",
        (10, 26),
        (0.4, 0.6),
        (1.0, 2.0),
        (0.95, 1.1),
    ),
    Scenario(
        "tooth_brushing",
        "a person brushing their teeth",
        ("brushing their teeth", "cleaning their teeth", "standing at the mirror with a toothbrush"),
        "brushing teeth",
        ("in a tiled bathroom", "in a small bathroom", "in a hotel bathroom"),
        INDOORS,
        "towel",
        (20, 25),
        (3.5, 4.8),
    ),
)

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(scenario.group for scenario in SCENARIOS))
"""The eleven motion groups."""
FELT = frozenset({"imu", "barometer", "emg"})
"""Modalities that feel the wearer and cannot be asked to tell more than the motion group."""
LABELS: tuple[str, ...] = tuple(scenario.label for scenario in SCENARIOS)
"""One caption a scenario, in the order of SCENARIOS."""


def scenario_named(name: str) -> Scenario:
    """The scenario called `name`; KeyError otherwise."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise KeyError(name)

"""How the wearer's head moves in each motion group, in figures.

Scenarios of one group share their movements: sitting by a fire, typing, and playing the piano are told apart by what is
seen and heard and by where the wearer looks, not by how the head moves.
"""

from __future__ import annotations

from collections.abc import Callable

from devices.simulated.movements import Movements
from devices.simulated.world import Scene

__all__ = ["movements_of"]


def _walking(m: Movements) -> None:
    # The body rises by 4 cm at steps of 0.72 m (1.3 m/s, 1.8 a second) and by the square of longer ones; the head goes
    # to the side once every two steps, nearly as far. Felt: 2 m/s^2 rms up and down, as measured on heads.
    step_m = m.scene.speed_mps / m.scene.tempo_hz
    bob = 0.017 * (step_m / 0.72) ** 2 + 0.002
    m.beat("z", bob, turns=0.75)
    m.beat("z", 0.12 * bob, 2, turns=0.6)
    m.beat("y", 0.016, 0.5)
    m.beat("x", 0.35 * bob, turns=0.1)
    m.beat("pitch", 0.014, turns=0.3)
    m.beat("yaw", 0.016, 0.5, turns=0.2)
    m.beat("roll", 0.013, 0.5, turns=0.05)
    _sway(m, 0.006)
    m.strike(80 * bob, 40 * bob, 0.35)
    m.glance_about(3, 0.17, 0.06)


def _running(m: Movements) -> None:
    # 8 cm and more from low to high. Between two steps the body falls freely, which the second harmonic makes room for:
    # without it the head would be pulled down by more than its weight.
    m.beat("z", 0.032, turns=0.75)
    m.beat("z", 0.0022, 2, turns=0.75)
    m.beat("y", 0.014, 0.5)
    m.beat("x", 0.009, turns=0.15)
    m.beat("pitch", 0.026, turns=0.3)
    m.beat("yaw", 0.024, 0.5, turns=0.2)
    m.beat("roll", 0.02, 0.5, turns=0.05)
    _sway(m, 0.008)
    m.strike(5.5, 2.5, 1.0, hz=15.0, length_s=0.14)
    m.glance_about(2, 0.13, 0.05)


def _climbing(m: Movements) -> None:
    # Every step lifts the body by 17 cm, and not evenly: a push, then a rest on the upper leg.
    m.beat("z", 0.019, turns=0.7)
    m.beat("z", 0.003, 2, turns=0.55)
    m.beat("y", 0.010, 0.5)
    m.beat("x", 0.014, turns=0.0)
    m.beat("pitch", 0.028, turns=0.55)
    m.beat("yaw", 0.014, 0.5, turns=0.2)
    m.beat("roll", 0.016, 0.5, turns=0.05)
    m.posture["pitch"] -= 0.03
    _sway(m, 0.008)
    m.strike(1.3, 0.9, 0.3, hz=9.0, length_s=0.22)
    m.glance_about(2, 0.12, 0.05)


def _cycling(m: Movements) -> None:
    # tempo_hz counts turns of the pedals: the trunk goes to the side once a turn, up and down twice.
    m.beat("y", 0.013)
    m.beat("roll", 0.018, turns=0.05)
    m.beat("z", 0.004, 2, turns=0.2)
    m.beat("x", 0.004, 2)
    m.beat("pitch", 0.006, 2, turns=0.3)
    m.beat("yaw", 0.008, turns=0.4)
    m.sway("roll", 0.03, (0.1, 0.35))
    m.sway("y", 0.015, (0.15, 0.4))
    m.sway("yaw", 0.03, (0.08, 0.25))
    rough = float(m.rng.uniform(0.7, 1.5)) * m.scene.speed_mps / 5.5
    m.buzz("accel_z", 1.3 * rough, (10.0, 40.0), 8)
    m.buzz("accel_x", 0.5 * rough, (10.0, 40.0))
    m.buzz("accel_y", 0.4 * rough, (8.0, 30.0))
    m.buzz("gyro_y", 0.05 * rough, (8.0, 30.0), 4)
    m.buzz("gyro_x", 0.04 * rough, (8.0, 30.0), 4)
    m.bumps(3, 5.0, hz=7.0, length_s=0.4)
    m.glance_about(3, 0.2, 0.05)


def _riding(m: Movements) -> None:
    # The bus and all in it turn, brake and heave together: felt, and not seen inside. The head gives way a little.
    m.buzz("accel_x", 0.45, (0.08, 0.3), 3)
    m.buzz("accel_y", 0.5, (0.15, 0.5), 3)
    m.buzz("accel_z", 0.4, (1.0, 2.0), 4)
    m.buzz("gyro_z", 0.04, (0.1, 0.4), 3)
    m.buzz("gyro_x", 0.025, (0.8, 1.6), 3)
    m.buzz("accel_z", 0.22, (22.0, 29.0), 4)
    m.buzz("accel_y", 0.13, (22.0, 29.0), 3)
    m.buzz("accel_x", 0.1, (8.0, 29.0), 4)
    m.sway("y", 0.012, (0.2, 0.5))
    m.sway("x", 0.008, (0.2, 0.5))
    m.sway("z", 0.002, (1.0, 2.0))
    m.sway("roll", 0.018, (0.2, 0.6))
    m.sway("pitch", 0.012, (0.3, 1.5))
    m.bumps(3, 3.0, hz=4.0, length_s=0.7)
    m.glance_about(2, 0.2, 0.05)


def _standing(m: Movements) -> None:
    _sway(m, 0.009)
    m.sway("yaw", 0.02, (0.1, 0.4))
    m.sway("pitch", 0.012, (0.2, 0.6))
    _breathing(m)
    if m.scene.tempo_hz:
        # Arms that scrub push the trunk back and forth a little.
        m.beat("y", 0.004)
        m.beat("x", 0.002, turns=0.3)
        m.beat("roll", 0.004, turns=0.1)
        m.beat("yaw", 0.006, turns=0.4)
        m.beat("pitch", 0.004, 2)
    m.glance_about(3, 0.2, 0.07)


def _sitting(m: Movements) -> None:
    for axis in ("x", "y"):
        m.sway(axis, 0.003, (0.1, 0.4))
    _breathing(m)
    m.sway("pitch", 0.008, (0.2, 0.7))
    m.sway("yaw", 0.012, (0.08, 0.3))
    m.sway("roll", 0.006, (0.08, 0.3))
    m.glance_about(3, 0.2, 0.06)


def _vacuuming(m: Movements) -> None:
    # The trunk follows the arm, which is out farthest half a beat after a beat: 10 to 15 cm to and fro.
    m.beat("x", 0.06, turns=0.75)
    m.beat("x", 0.006, 2, turns=0.1)
    m.beat("z", 0.010, turns=0.25)
    m.beat("pitch", 0.05, turns=0.25)
    m.beat("yaw", 0.03, turns=0.1)
    m.beat("roll", 0.015, turns=0.3)
    m.sway("yaw", 0.05, (0.1, 0.3))
    _sway(m, 0.012)
    m.buzz("accel_x", 0.05, (45.0, 90.0), 4)
    m.buzz("accel_z", 0.07, (45.0, 90.0), 4)
    m.glance_about(2, 0.12, 0.04)


def _hammering(m: Movements) -> None:
    # The head nods with the arm's swing, down at the blow, and the blow comes back through the shoulder.
    m.beat("pitch", 0.03, turns=0.7)
    m.beat("z", 0.006, turns=0.7)
    m.beat("x", 0.006, turns=0.25)
    m.beat("roll", 0.010, turns=0.1)
    m.beat("yaw", 0.010, turns=0.4)
    _sway(m, 0.008)
    m.strike(4.0, -2.2, 1.2, hz=17.0, length_s=0.16, spread=0.3)
    m.glance_about(2, 0.13, 0.05)


def _rowing(m: Movements) -> None:
    # At a beat the oars go in: the trunk is bent forward as far as it goes, and swings back with the pull.
    m.beat("x", 0.19, turns=0.25)
    m.beat("x", 0.02, 2, turns=0.1)
    m.beat("z", 0.03, turns=0.75)
    m.beat("z", 0.008, 2, turns=0.3)
    m.beat("pitch", 0.075, turns=0.75)
    m.beat("yaw", 0.01, turns=0.2)
    m.sway("roll", 0.03, (0.3, 0.9))
    m.sway("z", 0.012, (0.3, 0.8))
    m.sway("y", 0.010, (0.3, 0.8))
    m.strike(0.8, -1.0, hz=4.0, length_s=0.5)
    m.glance_about(2, 0.15, 0.03)


def _brushing(m: Movements) -> None:
    # Brushing shakes the head by 1 or 2 mm, mostly aside.
    m.beat("y", 0.0012)
    m.beat("y", 0.0001, 2, turns=0.3)
    m.beat("x", 0.0005, turns=0.2)
    m.beat("z", 0.0003, turns=0.4)
    m.beat("roll", 0.006, turns=0.1)
    m.beat("yaw", 0.004, turns=0.5)
    m.beat("pitch", 0.0015, 2, turns=0.2)
    _sway(m, 0.007)
    m.sway("yaw", 0.02, (0.1, 0.4))
    m.sway("pitch", 0.012, (0.2, 0.6))
    _breathing(m)
    m.glance_about(2, 0.15, 0.06)


def _sway(m: Movements, amplitude: float) -> None:
    """Balance on two feet: most of it at 0.2 to 0.5 Hz, and about a centimetre."""
    for axis in ("x", "y"):
        m.sway(axis, amplitude, (0.2, 0.5))
    m.sway("yaw", 0.012, (0.1, 0.4))
    m.sway("pitch", 0.008, (0.15, 0.5))
    m.sway("roll", 0.008, (0.15, 0.5))


def _breathing(m: Movements) -> None:
    """About fifteen breaths a minute lift the head by 1 or 2 mm."""
    hz, turns = float(m.rng.uniform(0.2, 0.3)), float(m.rng.uniform())
    m.wave("z", 0.0012, hz, turns)
    m.wave("pitch", 0.004, hz, turns + 0.1)


_GROUPS: dict[str, Callable[[Movements], None]] = {
    "walking": _walking,
    "running": _running,
    "climbing stairs": _climbing,
    "cycling": _cycling,
    "riding": _riding,
    "standing": _standing,
    "sitting": _sitting,
    "vacuuming": _vacuuming,
    "hammering": _hammering,
    "rowing": _rowing,
    "brushing teeth": _brushing,
}


def movements_of(scene: Scene) -> Movements:
    """What the wearer's head does in `scene`."""
    movements = Movements(scene)
    _GROUPS[scene.scenario.group](movements)
    return movements

"""How the wearer's head moves in each scenario: one motion that tilts the pictures and is felt by the IMU."""

from __future__ import annotations

from devices.simulated.canvas import Pose
from devices.simulated.world import Scene

__all__ = ["HeadMotion"]


class HeadMotion:
    """The head's motion through one scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def pose(self, age_s: float) -> Pose:
        """Where the head is, `age_s` into the scene."""
        return Pose()

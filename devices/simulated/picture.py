"""Frames of the simulated world for the three image sensors: the scene's stage, painted from the head's pose."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from devices.simulated.canvas import Canvas, Kind, Lens, Pose
from devices.simulated.motion import HeadMotion
from devices.simulated.stages import Stage, stage_of
from devices.simulated.world import Scene, World

__all__ = ["Picture", "join"]

_WIDEST = 320
"""Pixels painted across at most; larger pictures are enlarged from these: 640 x 480 at 30 Hz costs a third."""


def join(frames: list[NDArray[Any]]) -> NDArray[Any]:
    """(n, ...) of n frames; a single one is not copied."""
    return frames[0][None] if len(frames) == 1 else np.stack(frames)


class Picture:
    """Frames of `height` x `width` of one kind."""

    def __init__(self, world: World, kind: Kind, height: int, width: int, lens: Lens) -> None:
        self._world = world
        self._size = (width, height)
        shrink = max(1.0, width / _WIDEST)
        self._canvas = Canvas(kind, max(1, round(height / shrink)), max(1, round(width / shrink)), lens)
        self._scene: Scene | None = None
        self._stage: Stage
        self._motion: HeadMotion

    def frame(self, t_ns: int) -> tuple[Scene, NDArray[Any]]:
        """The scene and a fresh frame at event time t_ns; where the depth canvas has nothing it is inf."""
        scene = self._world.scene_at(t_ns)
        if scene is not self._scene:
            self._scene, self._stage, self._motion = scene, stage_of(scene), HeadMotion(scene)
        age_s = (t_ns - scene.begin_ns) * 1e-9
        pose = self._motion.pose(age_s)
        yaw, pitch = self._stage.gaze
        self._canvas.begin(scene, Pose(pose.x, pose.y, pose.z, pose.yaw + yaw, pose.pitch + pitch, pose.roll))
        self._stage.draw(self._canvas, age_s)
        painted = self._canvas.image
        if painted.shape[1::-1] == self._size:
            return scene, painted.copy()
        way = cv2.INTER_NEAREST if self._canvas.kind == "depth" else cv2.INTER_LINEAR
        return scene, np.asarray(cv2.resize(painted, self._size, interpolation=way))

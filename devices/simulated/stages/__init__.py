"""What each scenario looks like: one class a scenario, which draws its scene on any canvas."""

from __future__ import annotations

from devices.simulated.stages.base import STAGES, Stage, stage_of

__all__ = ["STAGES", "Stage", "stage_of"]

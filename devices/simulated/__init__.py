"""Seeded twins of every sensor kind, all looking at one small shared world."""

from __future__ import annotations

from devices.simulated.config import SimulatedConfig
from devices.simulated.device import Simulated
from devices.simulated.twin import twin

__all__ = ["Simulated", "SimulatedConfig", "twin"]

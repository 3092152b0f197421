"""What each scenario sounds like: noise, tones and strokes, put together in one score a scene."""

from __future__ import annotations

from devices.simulated.sounds.pieces import PIECES, score_of
from devices.simulated.sounds.score import CONTROL_HZ, Bed, Hit, Later, Score, Tone

__all__ = ["CONTROL_HZ", "PIECES", "Bed", "Hit", "Later", "Score", "Tone", "score_of"]

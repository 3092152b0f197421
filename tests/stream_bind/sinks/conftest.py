"""Messages as the publisher returns them: numbered, with unit vectors."""

from __future__ import annotations

import numpy as np
import pytest

from stream_bind.messages import ClockInfo, Embedding, Event

SECOND = 1_000_000_000


def make_embedding(window: int = 7, **changes: object) -> Embedding:
    vector = np.random.default_rng(window).normal(size=64)
    values: dict = {
        "rig": "bench",
        "stream": "cam",
        "encoder": "ib",
        "modality": "vision",
        "window": window,
        "t_start": (window - 4) * SECOND // 2,
        "t_end": window * SECOND // 2,
        "vector": (vector / np.linalg.norm(vector)).astype(np.float32),
        "model": "toy@0123",
        "coverage": 0.75,
        "status": "gap",
        "gaps": ((SECOND, SECOND + SECOND // 2),),
        "scale": 20.0,
        "trained": False,
        "seq": 3,
        "epoch": 11,
        "t_pub": 5 * SECOND,
        "clock": ClockInfo("device", 40_000),
        "timing": {"closed": 1, "sent": 2},
    }
    return Embedding(**values | changes)


def make_event(window: int | None = 8, **changes: object) -> Event:
    end = None if window is None else window + 1
    values = {"detail": "no samples", "window": window, "to_window": end, "seq": 4, "epoch": 11, "t_pub": 6 * SECOND}
    return Event(**{"rig": "bench", "stream": "cam", "encoder": "ib", "reason": "outage"} | values | changes)


@pytest.fixture
def embedding() -> Embedding:
    return make_embedding()


@pytest.fixture
def event() -> Event:
    return make_event()

"""Captions of a run's vectors, and whether they are right where the world is known."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from devices.simulated.scenarios import LABELS, SCENARIOS
from devices.simulated.world import SCENE_NS, World
from stream_bind.cli.labelling import Labelling, marked, short
from stream_bind.cli.view import RunView
from stream_bind.messages import Embedding
from stream_bind.retrieval import LabelSet

EYE = np.eye(len(LABELS), dtype=np.float32)
GROUPS = tuple(scenario.group for scenario in SCENARIOS)
SEED = 3
FIRST = 176_000_000


def labels() -> LabelSet:
    return LabelSet(LABELS, EYE, GROUPS, "tiny@1")


def vector(told: str, scene: int, *, start_s: float = 2.0, end_s: float = 4.0, **more: Any) -> Embedding:
    given = {"stream": "cam", "modality": "vision", "model": "tiny@1", **more}
    begin = (FIRST + scene) * SCENE_NS
    return Embedding(
        rig="r",
        encoder="tiny",
        window=0,
        t_start=begin + round(start_s * 1e9),
        t_end=begin + round(end_s * 1e9),
        vector=EYE[LABELS.index(told)],
        **given,
    )


def truth(scene: int) -> Any:
    return World(SEED).scene_at((FIRST + scene) * SCENE_NS).scenario


def test_a_caption_is_right_when_it_is_the_scenes() -> None:
    labelling = Labelling({"tiny": labels()}, {"cam": SEED})
    right = labelling.add(vector(truth(0).label, 0))
    other = next(label for label in LABELS if label != truth(1).label)
    wrong = labelling.add(vector(other, 1))
    assert right is not None
    assert wrong is not None
    assert (right.right, wrong.right) == (True, False)
    tally = labelling.tally("cam", "tiny")
    assert tally is not None
    assert (tally.right, tally.judged, tally.share) == (1, 2, "50%")
    assert marked(right, tally) == f'"{truth(0).label}" ✓  50% of 2'
    assert "cam → tiny: 1 of 2 (50%; chance 6%)" in labelling.summary()
    assert truth(1).label in labelling.scene()


def test_a_window_across_two_scenes_is_captioned_and_not_judged() -> None:
    labelling = Labelling({"tiny": labels()}, {"cam": SEED})
    caption = labelling.add(vector(truth(0).label, 0, start_s=9.0, end_s=11.0))
    assert caption is not None
    assert caption.right is None
    assert labelling.summary() == ""
    exactly_to_the_end = labelling.add(vector(truth(0).label, 0, start_s=8.0, end_s=10.0))
    assert exactly_to_the_end is not None
    assert exactly_to_the_end.right is True


def test_what_feels_the_wearer_is_judged_by_its_motion_group() -> None:
    scene = next(i for i in range(40) if truth(i).group == "sitting")
    alike = next(s.label for s in SCENARIOS if s.group == "sitting" and s.label != truth(scene).label)
    labelling = Labelling({"tiny": labels()}, {"imu": SEED, "cam": SEED})
    felt = labelling.add(vector(alike, scene, stream="imu", modality="imu"))
    seen = labelling.add(vector(alike, scene))
    assert felt is not None
    assert seen is not None
    assert (felt.right, seen.right) == (True, False)
    assert "by motion group; chance 9%" in labelling.summary()


def test_real_sensors_and_strange_vectors_are_not_judged() -> None:
    labelling = Labelling({"tiny": labels()}, {})
    caption = labelling.add(vector(LABELS[0], 0))
    assert caption is not None
    assert caption.right is None
    assert marked(caption, None) == f'"{LABELS[0]}"'
    assert labelling.scene() == ""
    assert labelling.add(vector(LABELS[0], 0, model="huge@2")) is None
    assert not Labelling({}, {"cam": SEED})


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_shows_captions_on_every_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.stream_bind.cli.test_view import snapshot

    monkeypatch.setenv("COLUMNS", str(width))
    labelling = Labelling({"tiny": labels()}, {"microphone": SEED})
    labelling.add(vector(truth(0).label, 0, stream="microphone", modality="audio"))
    view = RunView("headset", live=False, labelling=labelling)
    shown = snapshot(encoders=("tiny",))
    rows = list(view._rows(shown))
    console = Console(width=width, file=io.StringIO())
    console.print(view._table(shown, rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    assert short(truth(0).label)[:12] in text
    assert "100%" in text
    assert f"scene: {truth(0).label}"[:40] in text
    assert "headset-camera" in text

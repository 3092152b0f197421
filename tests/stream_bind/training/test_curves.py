"""The picture of a run can be drawn whatever the run was like."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import pytest

from stream_bind.training.curves import save_curves


def evaluation(step: int) -> dict[str, object]:
    told = {"loss": 2.0, "to": 0.2, "back": 0.3, "n": 64, "batch": 32}
    return {"step": step, "loss": 2.0, "recall": 0.25, "bindings": {"imu-vision": told, "audio-vision": told}}


@pytest.mark.parametrize("n", [0, 1, 400])
@pytest.mark.parametrize("evaluations", [0, 3])
def test_it_is_a_picture(n: int, evaluations: int, tmp_path: Path) -> None:
    losses = [5.0 * math.exp(-i / 100) for i in range(n)]
    told = [evaluation(100 * (i + 1)) for i in range(evaluations)]
    save_curves(tmp_path / "curves.png", losses, told, title="imu", kept_step=100)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None
    assert picture.shape[0] > 500
    assert picture.std() > 5

"""Figures are drawn without a screen, whatever is missing in them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stream_bind.retrieval.figures import confusion_figure, retrieval_figure, table_figure


def test_every_figure_is_a_picture_that_is_not_blank(tmp_path: Path) -> None:
    counts = np.diag([5, 3, 0])
    confusion_figure({"vision": (counts, ["a", "b", "c"]), "audio": (counts, ["a", "b", "c"])}, tmp_path / "c.png")
    values = np.array([[0.9, 0.1], [0.5, 1.0]])
    table_figure(values, ["x", "y"], tmp_path / "t.png", title="t", notes=[["1", "2"], ["3", "4"]])
    picture = np.full((32, 40, 3), 90, np.uint8)
    rows = [("text: a dog", None, [(picture, "a dog", True), (picture, "a cat", False)]), ("audio", picture, [])]
    retrieval_figure(rows, tmp_path / "r.png")
    for name in ("c", "t", "r"):
        drawn = cv2.imread(str(tmp_path / f"{name}.png"))
        assert drawn.shape[0] > 100
        assert drawn.std() > 5

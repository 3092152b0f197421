"""How a binding gets on, with and without a terminal."""

from __future__ import annotations

import pytest

from stream_bind.cli.bind_view import LINE_EVERY_S, BindView, described
from stream_bind.training.trainer import Progress


def test_all_figures_that_are_known_are_told() -> None:
    step = Progress("train", 5, 10, 1.2345, 0.5, 612.3, 125.0)
    assert described(step) == "loss 1.234, recall@1 50.0%, 612 clips/s, 2:05 left"
    assert described(Progress("collect", 5, 10)) == ""


def test_without_a_terminal_there_is_a_line_now_and_then_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    with BindView(live=False, clock=lambda: now_s) as view:
        for step in range(1, 101):
            now_s += LINE_EVERY_S / 25
            view.watch(Progress("train", step, 100, 1.0))
    lines = capsys.readouterr().err.splitlines()
    assert 4 <= len(lines) <= 6
    assert lines[-1].startswith("stream-bind: training: 100 of 100, loss 1.000")


def test_on_a_terminal_it_is_a_bar_each_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with BindView(live=True) as view:
        view.watch(Progress("collect", 3, 0))
        view.watch(Progress("train", 50, 100, 1.0, 0.25, 600.0, 10.0))
        view.tell("stopping [after] this step")
    told = capsys.readouterr().err
    assert "training" in told
    assert "50/100" in told
    assert "stopping [after] this step" in told

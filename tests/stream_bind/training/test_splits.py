"""Held-out data that training has seen is refused, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import ConfigError
from stream_bind.training.pairs import Moment, Pairs, PairWriter
from stream_bind.training.splits import check_files, check_split

SPECS = {"imu": ClipSpec("imu", 5.0, 0.5, (2, 3), "float32")}


def corpus(directory: Path, source: str, ends_s: list[float], first_value: int = 0) -> Pairs:
    with PairWriter(directory, SPECS) as writer:
        for i, end_s in enumerate(ends_s):
            end_ns = round(end_s * 1e9)
            writer.add(
                Moment(source, end_ns - 5 * 10**9, end_ns), {"imu": np.full((2, 3), first_value + i, np.float32)}
            )
    return Pairs.open(directory)


def test_other_sources_are_a_clean_split(tmp_path: Path) -> None:
    check_split(corpus(tmp_path / "a", "one", [5, 10]), corpus(tmp_path / "b", "two", [5, 10], 10))


def test_windows_that_overlap_across_the_border_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one is also trained on.*overlap by 2 s"):
        check_split(corpus(tmp_path / "a", "one", [5, 10]), corpus(tmp_path / "b", "one", [13, 20], 10))


@pytest.mark.parametrize(("held_s", "clean"), [(15.0, False), (20.0, False), (20.5, True)])
def test_a_source_split_by_time_needs_a_guard_longer_than_a_window(tmp_path: Path, held_s: float, clean: bool) -> None:
    train, held = corpus(tmp_path / "a", "one", [5, 10]), corpus(tmp_path / "b", "one", [held_s, 40], 10)
    if clean:
        check_split(train, held)
        check_split(held, train)
    else:
        with pytest.raises(ConfigError, match="more than 5 s"):
            check_split(train, held)


def test_the_same_clip_on_both_sides_is_refused_with_both_sources(tmp_path: Path) -> None:
    train, held = corpus(tmp_path / "a", "one", [5, 10]), corpus(tmp_path / "b", "copy of one", [5, 10], 1)
    with pytest.raises(ConfigError, match="1 imu clips of copy of one are also trained on, in one"):
        check_split(train, held)


def test_a_copy_of_a_training_file_is_refused() -> None:
    check_files({"a.csv": "1", "b.csv": "2"}, {"c.csv": "3", "a.csv": "1"})
    with pytest.raises(ConfigError, match=r"copy\.csv holds the same bytes as the training file a\.csv"):
        check_files({"a.csv": "1"}, {"copy.csv": "1"})

"""The `requires` marker: a skip that names what is missing, or a failure where the run forbids skipping."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TEST = """\
import pytest

@pytest.mark.requires("tmux")
def test_in_a_terminal():
    pass
"""


@pytest.fixture
def outcome(tmp_path):
    """Run one test that requires tmux on a machine that has none, with STREAM_BIND_REQUIRE set to `require`."""
    shutil.copy(Path(__file__).parent / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "bin").mkdir()

    def run(require, text=TEST):
        (tmp_path / "test_it.py").write_text(text)
        environment = {**os.environ, "PATH": str(tmp_path / "bin"), "STREAM_BIND_REQUIRE": require}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-rs",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            str(tmp_path),
        ]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        ).stdout

    return run


def test_what_is_missing_is_a_skip_that_says_how_to_get_it(outcome):
    told = outcome("")
    assert "1 skipped" in told
    assert "apt-get install tmux" in told


@pytest.mark.parametrize("require", ["all", "tmux", "gpu, tmux"])
def test_where_it_is_required_the_skip_is_a_failure(outcome, require):
    told = outcome(require)
    assert "1 error" in told or "1 failed" in told
    assert "STREAM_BIND_REQUIRE asks for it" in told


def test_requiring_something_else_changes_nothing(outcome):
    assert "1 skipped" in outcome("portaudio")


def test_an_unknown_name_is_a_failure_not_a_pass(outcome):
    assert "known names are" in outcome("", TEST.replace("tmux", "tmuxx"))

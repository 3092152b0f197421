"""What libraries print stays out of the output."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import logging, os, sys
from stream_bind.cli.logs import setup_logging
from stream_bind.cli.noise import noise_aside
setup_logging({level!r})
print("before")
with noise_aside() as noise:
    os.write(1, b"C noise on stdout\\n")
    os.write(2, b"C noise on stderr\\n")
    print("Python noise")
    print("Python noise", file=sys.stderr)
    logging.getLogger("driver").warning("a driver's word")
    noise.tell("progress")
    noise.lasting = {lasting}
print("after", flush=True)
os.write(1, b"late noise\\n")
os.write(2, b"late noise\\n")
logging.getLogger("driver").warning("a later word")
"""


def outputs(level="info", lasting=False):
    script = SCRIPT.format(level=level, lasting=lasting)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr


def test_only_ours_comes_out_and_logs_still_do():
    out, err = outputs()
    assert out == "before\nafter\nlate noise\n"
    assert "noise" not in err.replace("late noise", "")
    assert "a driver's word" in err
    assert "progress" in err
    assert "a later word" in err


def test_one_who_was_left_behind_stays_silenced():
    out, err = outputs(lasting=True)
    assert out == "before\nafter\n"
    assert "noise" not in err
    assert "a later word" in err


def test_debugging_shows_what_was_said():
    _, err = outputs("debug")
    for words in ("C noise on stdout", "C noise on stderr", "Python noise"):
        assert f"a library said: {words}" in err


def test_within_a_test_nothing_of_it_is_seen_and_all_is_back_afterwards(capsys):
    from stream_bind.cli.noise import noise_aside

    with noise_aside() as noise:
        print("noise")
        noise.tell("progress")
    print("after")
    assert capsys.readouterr() == ("after\n", "progress\n")

"""The command as a whole: one line for every mistake, the right exit code, no traceback."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stream_bind.cli.main import VERBS, hoist, main
from stream_bind.errors import DeviceError

ROOT = Path(__file__).resolve().parents[3]


def shell(*args, **options):
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "stream_bind.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False, **options)


def test_version_is_quick_and_imports_neither_ray_nor_torch():
    start = time.monotonic()
    done = shell("version")
    took = time.monotonic() - start
    assert done.returncode == 0
    assert "stream-bind" in done.stdout
    probe = (
        "import sys; from stream_bind.cli.main import main; main(['version']);"
        "print({'ray', 'torch', 'zmq'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("set()\n")
    assert took < 5  # 0.17 s on an idle machine; the bound allows for a busy one


def test_version_as_json_names_the_wire(capsys):
    assert main(["version", "--json"]) == 0
    versions = json.loads(capsys.readouterr().out)
    assert versions["wire"] == 1
    assert versions["log"] == 1
    assert versions["python"].count(".") == 2


def test_help_lists_every_verb_with_its_sentence(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for verb in VERBS:
        assert f"  {verb} " in told
        assert main([verb, "--help"]) == 0
        capsys.readouterr()


def test_without_a_verb_it_shows_the_help_and_calls_that_a_usage_error(capsys):
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["vresion"], "No such command 'vresion'"),
        (["validate", "--foo"], "--foo"),
        (["validate"], "name the YAML file"),
        (["subscribe", "--idle-exit", "5x"], "'5x' is no length of time"),
        (["subscribe", "--count", "0"], "--count"),
        (["subscribe", "--vectors"], "belongs to --json"),
        (["subscribe", "nowhere"], "is no endpoint"),
        (["--log-level", "loud", "version"], "'loud' is none of"),
        (["embed"], "name files, or give --text"),
        (["embed", "--text", "a", "-o", "x.txt"], "should end in .npy"),
    ],
)
def test_a_usage_error_is_one_line_on_stderr(capsys, args, words):
    assert main(args) in {1, 2}
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.startswith("stream-bind: ")
    assert len(err.splitlines()) == 1


def test_a_wrong_file_ends_with_2_and_a_line_for_each_fault(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text(
        "version: 1\nrgi: x\nencoder: {model: imagebind, size: smal, weights: random}\nstreams:\n  - id: a\n"
    )
    done = shell("validate", path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"stream-bind: {path}:") for line in lines)
    assert f"stream-bind: {path}:2:1: rgi: unknown key 'rgi'; did you mean 'rig'?" in lines
    assert any(":3:35: encoder.size: " in line and "did you mean 'small'?" in line for line in lines)


def test_run_refuses_a_wrong_file_the_same_way(tmp_path):
    path = tmp_path / "rig.yaml"
    path.write_text("version: 1\nrgi: x\n")
    done = shell("run", path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{path}:2:1: rgi:" in done.stderr


def test_options_of_the_whole_command_may_stand_behind_the_verb():
    assert hoist(["run", "a.yaml", "--log-level", "debug", "--debug"]) == [
        "--log-level",
        "debug",
        "--debug",
        "run",
        "a.yaml",
    ]
    assert hoist(["embed", "--log-format=json", "x"]) == ["--log-format=json", "embed", "x"]
    assert hoist(["embed", "--", "--debug"]) == ["embed", "--", "--debug"]


def test_debug_shows_the_traceback_of_what_is_otherwise_one_line(monkeypatch, capsys):
    def fail(*args, **options):
        raise DeviceError("camera: is gone;\nplug it in")

    monkeypatch.setattr("stream_bind.config.load_config", fail)
    assert main(["validate", "x.yaml"]) == 1
    assert capsys.readouterr().err == "stream-bind: camera: is gone; plug it in\n"
    with pytest.raises(DeviceError):
        main(["validate", "x.yaml", "--debug"])


def test_ctrl_c_ends_with_130(monkeypatch):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("stream_bind.config.load_config", interrupt)
    assert main(["validate", "x.yaml"]) == 130


def test_a_reader_that_leaves_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "stream_bind.cli", "validate", "--schema"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, cwd=ROOT, check=False)
    os.close(write)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_logs_go_to_stderr_in_the_format_asked_for(capsys, log_format):
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        assert main(["version", "--log-format", log_format, "--log-level", "warning"]) == 0
        logging.getLogger("actors.capture").info("unheard")
        logging.getLogger("actors.capture").warning("cam: stalled", extra={"stream": "cam"})
    finally:
        root.handlers[:], root.level = before
    out, err = capsys.readouterr()
    assert "stalled" not in out
    (line,) = err.splitlines()
    if log_format == "json":
        told = json.loads(line)
        assert (told["level"], told["component"], told["event"]) == ("warning", "actors.capture", "cam: stalled")
        assert told["stream"] == "cam"
        assert abs(told["ts"] - time.time()) < 60
    else:
        assert "WARNING" in line
        assert "actors.capture: cam: stalled" in line

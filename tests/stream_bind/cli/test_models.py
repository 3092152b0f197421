"""`models`: from a server on this machine to vectors, and everything that keeps a pull from ending there."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from stream_bind.cli import progress
from stream_bind.cli.main import main
from stream_bind.cli.progress import StepView
from stream_bind.encoders import catalogue, download
from stream_bind.encoders.cache import file_digest
from stream_bind.encoders.imagebind import ImageBind, ImageBindConfig, ImageBindEncoderConfig
from stream_bind.encoders.imagebind.architecture import SMALL
from stream_bind.encoders.imagebind.directory import save_directory
from stream_bind.encoders.imagebind.random_weights import random_tensor
from stream_bind.encoders.pull import pull
from stream_bind.registry import ENCODERS

ROOT = Path(__file__).resolve().parents[3]
VOCABULARY = gzip.compress(b"#version: 0.2\n" + b"d o\n" * 500, mtime=0)
WEIGHTS, PTH, WORDS = "imagebind_huge.safetensors", "imagebind_huge.pth", "bpe_simple_vocab_16e6.txt.gz"
ACCEPT = "--accept-licence"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        model = ImageBind(ImageBindConfig(**SMALL))
    return {key: torch.from_numpy(random_tensor(key, tuple(v.shape), 5)) for key, v in model.state_dict().items()}


def packed(state: dict[str, torch.Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def checkpoint(state) -> bytes:
    return packed(state)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache; the published model has small dimensions and the vocabulary is short."""
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("STREAM_BIND_MODELS_URL", raising=False)
    monkeypatch.setattr(ImageBindEncoderConfig, "architecture", lambda self: ImageBindConfig(**SMALL))
    words = dataclasses.replace(
        catalogue.VOCABULARY, size_bytes=len(VOCABULARY), sha256=hashlib.sha256(VOCABULARY).hexdigest()
    )
    models = {
        name: dataclasses.replace(model, files=tuple(words if f.name == WORDS else f for f in model.files))
        for name, model in catalogue.MODELS.items()
    }
    monkeypatch.setattr(catalogue, "MODELS", models)
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path / "models"


@pytest.fixture
def server(file_server, checkpoint, monkeypatch):
    file_server.files = {PTH: checkpoint, WORDS: VOCABULARY}
    monkeypatch.setenv("STREAM_BIND_MODELS_URL", f"{file_server.url}/mirror/")
    return file_server


def rows(capsys) -> dict[str, dict]:
    return {row["file"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}


def asked(server) -> list[str]:
    names = [path.rpartition("/")[2] for path, _ in server.requests]
    server.requests.clear()
    return names


@pytest.fixture
def pulled(cache, server, capsys) -> Path:
    assert main(["models", "pull", "imagebind", ACCEPT]) == 0
    capsys.readouterr()
    server.requests.clear()
    return cache


def test_what_is_pulled_is_found_by_every_verb(cache, server, capsys, tmp_path, state):
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "version: 1\nrig: bench\nencoder: {model: imagebind, modalities: [imu], device: cpu}\n"
        "streams:\n  - {id: imu, modality: imu, device: {type: simulated}}\n"
    )
    assert main(["validate", str(rig)]) == 2
    assert "stream-bind models pull imagebind" in capsys.readouterr().err
    assert main(["models", "pull", "imagebind", ACCEPT]) == 0
    out, err = capsys.readouterr()
    assert out == f"imagebind: ready in {cache}\n"
    assert "CC BY-NC-SA 4.0" in err
    assert "recorded now, the publisher gives none" in err
    assert main(["validate", str(rig)]) == 0
    assert main(["doctor", str(rig), "--json"]) == 0
    motion = tmp_path / "motion.csv"
    lines = [f"{i / 100},0.1,0.2,9.8,{0.01 * (i % 7)},0,0" for i in range(700)]
    motion.write_text("time_s,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n" + "\n".join(lines) + "\n")
    capsys.readouterr()
    units = ["--driver", "accel_unit=m/s2", "--driver", "gyro_unit=rad/s"]
    assert main(["embed", str(motion), *units, "--device", "cpu"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["trained"] is True
    torch.save(state, tmp_path / "same.pth")
    assert main(["embed", str(motion), *units, "--device", "cpu", "--weights", str(tmp_path / "same.pth")]) == 0
    assert json.loads(capsys.readouterr().out)["vector"] == row["vector"]


def test_the_cache_then_holds_safetensors_the_vocabulary_and_the_receipt(pulled, state):
    from safetensors.torch import load_file

    files = {path.name for path in pulled.iterdir()}
    assert files == {WEIGHTS, f"{WEIGHTS}.sha256.json", WORDS, f"{WORDS}.sha256.json", "imagebind.receipt.json"}
    loaded = load_file(pulled / WEIGHTS)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    receipt = json.loads((pulled / "imagebind.receipt.json").read_text())
    assert receipt["licence"] == "CC BY-NC-SA 4.0"
    assert receipt["accepted"].endswith(ACCEPT)
    assert receipt["files"][WEIGHTS]["sha256"] == hashlib.sha256((pulled / WEIGHTS).read_bytes()).hexdigest()
    assert receipt["files"][PTH]["source"].endswith(f"/mirror/{PTH}")


def test_the_digest_is_noted_so_that_loading_does_not_read_the_file_twice(pulled, monkeypatch):
    monkeypatch.setattr("stream_bind.encoders.cache.hash_file", None)
    assert len(file_digest(pulled / WEIGHTS)) == 64


def test_a_second_pull_checks_and_fetches_nothing(pulled, server, capsys):
    assert main(["models", "pull", "imagebind"]) == 0
    assert capsys.readouterr().err.count("already there") == 2
    assert asked(server) == []


def test_an_original_can_be_kept(cache, server):
    assert main(["models", "pull", "imagebind", ACCEPT, "--keep-original"]) == 0
    assert (cache / PTH).read_bytes() == server.files[PTH]
    (cache / WEIGHTS).unlink()
    asked(server)
    assert main(["models", "pull", "imagebind"]) == 0
    assert asked(server) == []
    assert (cache / WEIGHTS).is_file()
    assert not (cache / PTH).exists()


def test_nothing_is_fetched_before_the_licence_is_accepted(cache, server, capsys):
    assert main(["models", "pull", "imagebind"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "creativecommons.org/licenses/by-nc-sa/4.0" in err
    assert "give --accept-licence" in err
    assert server.requests == []
    assert not cache.exists()
    with pytest.raises(ValueError, match="has not been accepted"):
        pull(catalogue.published("imagebind"), mirror=None, keep_original=False, tell=print, watch=StepView().watch)


@pytest.mark.requires("pty")
@pytest.mark.parametrize("answer", [b"y\n", b"n\n", b"\n"])
def test_on_a_terminal_the_licence_is_asked_for(tmp_path, answer):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "STREAM_BIND_MODELS": str(tmp_path), "STREAM_BIND_MODELS_URL": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "stream_bind.cli", "models", "pull", "imagebind"]
    os.write(ours, answer)
    done = subprocess.run(
        command, stdin=theirs, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60, check=False
    )
    os.close(theirs)
    os.close(ours)
    assert "Accept this licence and fetch imagebind? [y/N]" in done.stderr
    assert (done.returncode, done.stdout) == (1, "")
    agreed = answer == b"y\n"
    assert ("cannot reach 127.0.0.1:9" in done.stderr) is agreed
    assert ("not accepted, nothing is fetched" in done.stderr) is not agreed
    assert (tmp_path / "imagebind.receipt.json").exists() is agreed


def test_free_files_are_fetched_unasked(cache, server):
    assert main(["models", "pull", "clip-vocabulary"]) == 0
    assert asked(server) == [WORDS]


def test_a_mirror_on_the_command_line_goes_before_that_of_the_environment(cache, server, tmp_path, capsys):
    stick = tmp_path / "stick"
    stick.mkdir()
    for name, data in server.files.items():
        (stick / name).write_bytes(data)
    assert main(["models", "pull", "imagebind", ACCEPT, "--url", stick.as_uri()]) == 0
    assert server.requests == []


def test_a_pull_that_was_cut_goes_on_and_list_says_how_far_it_is(cache, server, capsys, checkpoint):
    half = len(checkpoint) // 2
    server.cuts = [len(VOCABULARY), half, 0, 0, 0, 0]
    assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    assert "run the same command again" in capsys.readouterr().err
    assert main(["models", "list", "--json"]) == 0
    assert rows(capsys)[WEIGHTS]["status"] == "partial"
    asked(server)
    assert main(["models", "pull", "imagebind"]) == 0
    assert asked(server) == [PTH]
    assert "resumed at" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "nan", "page", "code"])
def test_weights_that_do_not_fit_are_refused_and_removed(cache, server, capsys, state, fault):
    key = "modality_trunks.imu.blocks.0.attn.in_proj_weight"
    bad = {
        "missing": {k: v for k, v in state.items() if k != key},
        "unknown": state | {"extra": torch.zeros(1)},
        "shape": state | {key: state[key].t().contiguous()},
        "nan": state | {key: torch.full_like(state[key], float("nan"))},
    }.get(fault)
    if bad is not None:
        server.files[PTH] = packed(bad)
    elif fault == "page":
        server.files[PTH] = b"<!doctype html><title>Sign in</title>"
    else:
        server.files[PTH] = packed({"x": type("Malice", (), {"__reduce__": lambda self: (os.mkdir, ("/never",))})()})
    assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stream-bind: ")]
    assert "it is removed: run the same command again" in line
    assert "models pull" not in line
    assert not (cache / PTH).exists()
    assert not (cache / WEIGHTS).exists()
    assert not Path("/never").exists()


def test_a_vocabulary_that_is_not_the_published_one_is_refused(cache, server, capsys):
    server.files[WORDS] = bytes(len(VOCABULARY))
    assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    assert "is wanted, found" in capsys.readouterr().err
    assert not (cache / WORDS).exists()
    assert asked(server) == [WORDS]


def test_no_room_to_convert_keeps_what_was_fetched(cache, server, capsys, monkeypatch):
    roomy = shutil.disk_usage("/")._replace(free=10**12)
    with monkeypatch.context() as context:
        # Somebody else fills the disk while the checkpoint arrives.
        context.setattr(
            shutil, "disk_usage", lambda path: roomy._replace(free=1000 if (cache / PTH).exists() else 10**12)
        )
        assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    assert "are needed to convert imagebind_huge.pth, 1.00 kB are free" in capsys.readouterr().err
    asked(server)
    assert main(["models", "pull", "imagebind"]) == 0
    assert asked(server) == []
    assert (cache / WEIGHTS).exists()


def test_room_for_both_files_is_asked_for_before_the_first_byte(cache, server, capsys, monkeypatch, checkpoint):
    usage = shutil.disk_usage("/")._replace(free=len(checkpoint) + 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    assert "make room, or set STREAM_BIND_MODELS" in capsys.readouterr().err
    assert {path.name for path in cache.iterdir() if path.name.startswith("imagebind_huge")} == set()


def test_damage_is_found_by_verify_and_mended_by_pull(pulled, server, capsys):
    assert main(["models", "verify", "imagebind", "--json"]) == 0
    assert {row["status"] for row in rows(capsys).values()} == {"ok"}
    with (pulled / WEIGHTS).open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"\0\0\0\0\0")
    assert main(["models", "verify"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert len([line for line in told if WORDS in line]) == 1  # though two models share it
    (line,) = [line for line in told if WEIGHTS in line]
    assert line.startswith("wrong ")
    assert "`stream-bind models pull imagebind` fetches it anew" in line
    assert main(["models", "pull", "imagebind"]) == 0
    assert "damaged" in capsys.readouterr().err
    assert asked(server) == [PTH]
    assert main(["models", "verify", "imagebind"]) == 0


def test_files_put_there_by_hand_are_taken_and_said_to_be_unrecorded(cache, server, capsys, checkpoint):
    cache.mkdir()
    (cache / PTH).write_bytes(checkpoint)
    assert main(["models", "verify", "--json"]) == 0
    assert rows(capsys)[PTH]["status"] == "unrecorded"
    assert main(["models", "pull", "imagebind", ACCEPT]) == 0
    assert asked(server) == [WORDS]
    assert main(["models", "verify", "imagebind"]) == 0


def test_a_file_put_there_by_hand_that_is_no_model_is_left_to_its_owner(cache, server, capsys):
    cache.mkdir()
    (cache / WEIGHTS).write_bytes(b"RIFF....WAVEfmt ")
    assert main(["models", "pull", "imagebind", ACCEPT]) == 1
    assert "move it away" in capsys.readouterr().err
    assert (cache / WEIGHTS).exists()


def test_list_says_what_is_here_and_under_which_licence(cache, server, capsys):
    assert main(["models", "list"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split()[:5] == ["imagebind", "absent", "about", "4.80", "GB"]
    assert told[0].endswith("licence CC BY-NC-SA 4.0")
    main(["models", "pull", "clip-vocabulary"])
    capsys.readouterr()
    main(["models", "list"])
    # The vocabulary is that of many: its being here does not begin this model.
    assert capsys.readouterr().out.splitlines()[0].split()[:2] == ["imagebind", "absent"]
    main(["models", "pull", "imagebind", ACCEPT])
    capsys.readouterr()
    main(["models", "list", "--json"])
    found = rows(capsys)
    assert {found[name]["status"] for name in (WEIGHTS, WORDS)} == {"present"}
    assert found[WEIGHTS]["size"] == (cache / WEIGHTS).stat().st_size


@pytest.fixture
def shipped(tmp_path, monkeypatch, state) -> Path:
    """A model directory in the place of the one in the package."""
    config = ImageBindEncoderConfig(weights="random", size="small", modalities=("imu", "depth"))
    save_directory(tmp_path / "tiny", config=config, state=state, name="imagebind-tiny", licence="Apache-2.0")
    monkeypatch.setitem(catalogue.SHIPPED, "imagebind-tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_model_in_the_package_is_listed_checked_and_never_fetched(cache, shipped, capsys):
    main(["models", "list"])
    out = capsys.readouterr().out
    assert out.rstrip().endswith(str(shipped))
    told = [line for line in out.splitlines() if "shipped" in line]
    assert told[0].split()[:2] == ["imagebind-tiny", "shipped"]
    assert "small, for the simulated world: " in told[0]
    assert told[0].endswith("licence Apache-2.0")
    assert main(["models", "verify", "imagebind-tiny"]) == 0
    assert main(["models", "pull", "imagebind-tiny"]) == 2
    assert "comes with the package: there is nothing to fetch" in capsys.readouterr().err
    weights = shipped / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main(["models", "verify"]) == 1
    assert "is wanted, found" in capsys.readouterr().out
    weights.write_bytes(whole[:-1])
    main(["models", "list", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "absent"


def test_verify_of_nothing_says_so_and_of_an_absent_model_fails(cache, capsys):
    assert main(["models", "verify"]) == 0
    assert "no published model is in" in capsys.readouterr().err
    assert main(["models", "verify", "imagebind"]) == 1
    assert capsys.readouterr().out.count("`stream-bind models pull imagebind`") == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["models", "pull", "imagebnd"], "did you mean 'imagebind'?"),
        (["models", "pull"], "Missing argument"),
        (["models", "fetch"], "No such command 'fetch'"),
        (["models"], "Missing command"),
    ],
)
def test_a_usage_error_is_one_line(capsys, args, words):
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.splitlines()) == 1


def test_every_encoder_in_the_catalogue_can_judge_its_weights():
    for model in catalogue.MODELS.values():
        assert all(file.url.startswith("https://") for file in model.files)
        if model.encoder is not None:
            assert callable(ENCODERS.get(model.encoder).cls.check_fit)


def test_without_a_terminal_every_tenth_is_a_line_once_a_step_takes_time(capsys):
    now = [0.0]
    with StepView(live=False, clock=lambda: now[0]) as view:
        watch = view.watch("fetching x")
        for done in range(0, 1001, 20):
            now[0] += progress.QUIET_S / 8
            watch(done * 1_000_000, 1_000_000_000)
        watch(5, None)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "fetching x: 10 %, 140.00 MB of 1.00 GB"
    assert [line.split()[2] for line in told] == [f"{10 * i}" for i in range(1, 11)]


def test_on_a_terminal_there_are_bars(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=100))
    with StepView() as view:
        watch = view.watch("fetching x")
        watch(0, 2_000_000)
        view.tell("[path]/x: done")
        watch(2_000_000, 2_000_000)
    assert "fetching x" in screen.getvalue()
    assert "2.0/2.0 MB" in screen.getvalue()
    assert "[path]/x: done" in screen.getvalue()

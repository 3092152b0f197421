"""`models pull` of LanguageBind from a hub on this machine, and everything that keeps it from ending in vectors."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from stream_bind import load_encoder
from stream_bind.cli.main import main
from stream_bind.encoders import catalogue, download, origin
from stream_bind.encoders.languagebind.checkpoint import expected_shapes, lora_targets
from stream_bind.encoders.languagebind.published import PUBLISHED

ROOT = Path(__file__).resolve().parents[4]
NAME, REPOSITORY = "languagebind-depth", "LanguageBind/LanguageBind_Depth"
OLD, NEW = "0123456789abcdef" * 2 + "01234567", "fedcba9876543210" * 2 + "fedcba98"
VOCABULARY = gzip.compress(b"#version: 0.2\n" + b"d o\n" * 500, mtime=0)
WORDS = catalogue.VOCABULARY_FILE
BIN, SAFE = "pytorch_model.bin", "model.safetensors"


@pytest.fixture
def body(layouts: SimpleNamespace) -> dict[str, Any]:
    return layouts.body("depth_lora", image_size=224, patch_size=56)


@pytest.fixture
def state(layouts: SimpleNamespace, body: dict[str, Any]) -> dict[str, torch.Tensor]:
    return layouts.state(body)


def packed(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def hub(hub_server, body, state, tmp_path, monkeypatch):
    """A hub with one model at one commit, and an empty cache."""
    hub_server.commits[OLD] = {
        f"{REPOSITORY}/config.json": json.dumps(body).encode(),
        f"{REPOSITORY}/{BIN}": packed(state),
    }
    hub_server.branches["main"] = OLD
    hub_server.files[WORDS] = VOCABULARY
    words = dataclasses.replace(
        catalogue.VOCABULARY,
        url=f"{hub_server.url}/{WORDS}",
        size_bytes=len(VOCABULARY),
        sha256=hashlib.sha256(VOCABULARY).hexdigest(),
    )
    models = {
        name: dataclasses.replace(model, files=tuple(words if f.name == WORDS else f for f in model.files))
        for name, model in catalogue.MODELS.items()
    }
    monkeypatch.setattr(catalogue, "MODELS", models)
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(origin, "PAUSE_S", 0.0)
    monkeypatch.setenv("STREAM_BIND_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("STREAM_BIND_MODELS_URL", raising=False)
    return hub_server


@pytest.fixture
def cache(hub, tmp_path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def pulled(hub, cache, capsys) -> Path:
    assert main(["models", "pull", NAME]) == 0
    capsys.readouterr()
    asked(hub)
    return cache


def asked(hub) -> list[str]:
    """Names of the files that were fetched since the last call."""
    names = [path.rpartition("/")[2] for path, _ in hub.requests if not path.startswith("/store/")]
    hub.requests.clear()
    hub.heads.clear()
    return names


def told(capsys) -> str:
    """The one line of an error."""
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stream-bind: ")]
    return line


def receipt(cache: Path) -> dict[str, Any]:
    return json.loads((cache / f"{NAME}.receipt.json").read_text())


def moved_on(hub, **changed: bytes) -> None:
    """main is at a new commit, which differs in these files."""
    hub.commits[NEW] = {**hub.commits[OLD], **{f"{REPOSITORY}/{name}": data for name, data in changed.items()}}
    hub.branches["main"] = NEW


def depth_picture() -> np.ndarray:
    return np.random.default_rng(3).random((1, 3, 224, 224), dtype=np.float32)


def test_what_is_pulled_embeds(hub, cache, capsys, state, body, write: Callable[..., Path]):
    assert main(["models", "pull", NAME]) == 0
    out, err = capsys.readouterr()
    assert out == f"{NAME}: ready in {cache}\n"
    assert "LanguageBind's weights are MIT" in err
    assert f"sha256 {hashlib.sha256(hub.commits[OLD][f'{REPOSITORY}/{BIN}']).hexdigest()} (as published)" in err
    assert asked(hub) == [WORDS, "config.json", BIN]
    assert {path.name for path in (cache / NAME).iterdir() if "sha256" not in path.name} == {"config.json", SAFE}
    loaded = load_file(cache / NAME / SAFE)
    assert all(torch.equal(loaded[key], state[key]) for key in state)
    directory = write(body, state)
    vectors = []
    for word in ("depth", str(directory)):
        encoder = load_encoder("languagebind", modalities={"depth": word}, device="cpu")
        vectors.append(encoder.embed("depth", depth_picture()))
        assert encoder.trained
    np.testing.assert_array_equal(*vectors)


def test_the_receipt_names_the_commit_the_licence_and_where_all_came_from(pulled, hub):
    found = receipt(pulled)
    assert found["revision"] == OLD
    assert (found["licence"], found["accepted"].partition(", ")[2]) == ("MIT", "shown, no consent is asked for")
    weights = found["files"][f"{NAME}/{BIN}"]
    assert weights["source"] == f"{hub.url}/{REPOSITORY}/resolve/{OLD}/{BIN}"
    assert weights["published"] is True
    assert found["files"][f"{NAME}/{SAFE}"]["source"] == f"{NAME}/{BIN}"
    assert found["files"][f"{NAME}/config.json"]["published"] is False


def test_a_second_pull_asks_nobody(pulled, hub, capsys):
    moved_on(hub, **{BIN: b"other" * 10_000})
    assert main(["models", "pull", NAME]) == 0
    assert capsys.readouterr().err.count("already there") == 3
    assert hub.heads == []
    assert asked(hub) == []


def test_safetensors_are_taken_as_they_are(hub, cache, capsys, layouts, body):
    data = save(layouts.state(body, spelling="new"))
    hub.commits[OLD][f"{REPOSITORY}/{SAFE}"] = data
    assert main(["models", "pull", NAME]) == 0
    assert asked(hub) == [WORDS, "config.json", SAFE]
    assert (cache / NAME / SAFE).read_bytes() == data
    assert main(["models", "verify", NAME]) == 0
    assert "as published at" in capsys.readouterr().out
    assert main(["models", "pull", NAME]) == 0
    assert asked(hub) == []


def test_a_pull_that_was_cut_goes_on_at_the_commit_it_began_with(hub, cache, capsys):
    size = len(hub.commits[OLD][f"{REPOSITORY}/{BIN}"])
    hub.cuts = [len(VOCABULARY), 10_000, size // 2, 0, 0, 0, 0, 0]
    assert main(["models", "pull", NAME]) == 1
    assert "run the same command again" in told(capsys)
    hub.cuts = []
    moved_on(hub, **{BIN: b"other" * 10_000})
    main(["models", "list", "--json"])
    rows = {row["file"]: row for row in map(json.loads, capsys.readouterr().out.splitlines()) if row["model"] == NAME}
    assert rows[f"{NAME}/{SAFE}"]["status"] == "partial"
    asked(hub)
    assert main(["models", "pull", NAME]) == 0
    assert "resumed at" in capsys.readouterr().err
    assert asked(hub) == [BIN]
    assert receipt(cache)["revision"] == OLD


def test_a_wrong_digest_is_refused_and_removed(hub, cache, capsys, monkeypatch):
    find = hub.find
    monkeypatch.setattr(hub, "find", lambda path: find(path)[:-1] + b"!" if "/store/" in path else find(path))
    assert main(["models", "pull", NAME]) == 1
    assert "is wanted, found" in told(capsys)
    assert {path.name for path in (cache / NAME).iterdir()} == {"config.json", "config.json.sha256.json"}
    monkeypatch.undo()


def test_without_a_published_digest_the_size_is_checked_and_the_first_one_said(hub, cache, capsys, monkeypatch):
    hub.names_digests = False
    find = hub.find
    with monkeypatch.context() as context:
        context.setattr(hub, "find", lambda path: find(path) + b"!" if "/store/" in path else find(path))
        assert main(["models", "pull", NAME]) == 1
        assert "bytes are wanted, the server offers" in told(capsys)
    assert main(["models", "pull", NAME]) == 0
    assert capsys.readouterr().err.count("recorded now, the publisher gives none") == 1  # config.json was there
    assert receipt(cache)["files"][f"{NAME}/{BIN}"]["published"] is False


def test_another_revision_is_fetched_when_it_is_asked_for(pulled, hub, capsys, layouts, body):
    other = layouts.state({**body, "projection_dim": 16})
    other["visual_projection.weight"] = -other["visual_projection.weight"]
    moved_on(hub, **{BIN: packed(other)})
    assert main(["models", "pull", NAME, "--revision", "main"]) == 0
    assert "of another revision than fedcba987654, fetched anew" in capsys.readouterr().err
    assert asked(hub) == ["config.json", BIN]
    assert torch.equal(load_file(pulled / NAME / SAFE)["visual_projection.weight"], other["visual_projection.weight"])
    assert receipt(pulled)["revision"] == NEW
    assert main(["models", "pull", NAME, "--revision", OLD[:40]]) == 0
    assert receipt(pulled)["revision"] == OLD


def test_weights_that_a_new_revision_did_not_touch_stay(pulled, hub, body):
    moved_on(hub, **{"config.json": json.dumps({**body, "note": "new"}).encode()})
    assert main(["models", "pull", NAME, "--revision", "main"]) == 0
    assert asked(hub) == ["config.json"]
    assert f"/{NEW}/" in receipt(pulled)["files"][f"{NAME}/{BIN}"]["source"]
    assert main(["models", "pull", NAME]) == 0
    assert main(["models", "verify", NAME]) == 0
    assert asked(hub) == []


def test_a_change_of_revision_that_was_cut_is_finished_by_the_next_pull(pulled, hub, capsys, layouts, body):
    other = layouts.state(body)
    other["visual_projection.weight"] = -other["visual_projection.weight"]
    moved_on(hub, **{BIN: packed(other)})
    hub.cuts = [10_000, 100, 0, 0, 0, 0, 0]
    assert main(["models", "pull", NAME, "--revision", "main"]) == 1
    hub.cuts = []
    assert main(["models", "pull", NAME]) == 0
    assert torch.equal(load_file(pulled / NAME / SAFE)["visual_projection.weight"], other["visual_projection.weight"])


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "nan", "code", "rank"])
def test_weights_that_do_not_fit_are_refused_and_removed(hub, cache, capsys, state, fault):
    key = "visual_projection.weight"
    bad: dict[str, Any] = {
        "missing": {k: v for k, v in state.items() if k != key},
        "unknown": state | {"extra": torch.zeros(1)},
        "shape": state | {key: state[key].t().contiguous()},
        "nan": state | {key: torch.full_like(state[key], float("nan"))},
        "code": {"x": type("Malice", (), {"__reduce__": lambda self: (os.mkdir, ("/never",))})()},
        "rank": {k: v[:1] if "lora_A" in k else v[:, :1] if "lora_B" in k else v for k, v in state.items()},
    }[fault]
    hub.large = 900
    hub.commits[OLD][f"{REPOSITORY}/{BIN}"] = packed(bad)
    assert main(["models", "pull", NAME]) == 1
    assert "it is removed: run the same command again" in told(capsys)
    assert not (cache / NAME / BIN).exists()
    assert not (cache / NAME / SAFE).exists()
    assert not Path("/never").exists()


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"model_type": "LanguageBindThermal"}'])
def test_a_config_that_is_not_the_models_is_refused_before_the_weights(hub, cache, capsys, content, layouts):
    if b"Thermal" in content:
        content = json.dumps(layouts.body("thermal_lora")).encode()
    hub.commits[OLD][f"{REPOSITORY}/config.json"] = content
    assert main(["models", "pull", NAME]) == 1
    assert "it is removed: name another source with --url" in told(capsys)
    assert not (cache / NAME / "config.json").exists()
    assert asked(hub) == [WORDS, "config.json"]


def test_damage_is_found_and_mended_from_the_same_commit(pulled, hub, capsys):
    path = pulled / NAME / SAFE
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    moved_on(hub, **{BIN: b"other" * 10_000})
    assert main(["models", "verify", NAME]) == 1
    assert f"`stream-bind models pull {NAME}` fetches it anew" in capsys.readouterr().out
    assert main(["models", "pull", NAME]) == 0
    assert path.read_bytes() == data
    assert asked(hub) == [BIN]


def test_a_folder_of_copies_serves_both_formats_without_the_hub(hub, cache, capsys, tmp_path, state):
    stick = tmp_path / "stick"
    (stick / NAME).mkdir(parents=True)
    (stick / WORDS).write_bytes(VOCABULARY)
    (stick / NAME / "config.json").write_bytes(hub.commits[OLD][f"{REPOSITORY}/config.json"])
    (stick / NAME / BIN).write_bytes(packed(state))
    assert main(["models", "pull", NAME, "--url", stick.as_uri()]) == 0
    data = (cache / NAME / SAFE).read_bytes()
    (stick / NAME / BIN).unlink()
    (stick / NAME / SAFE).write_bytes(data)
    shutil.rmtree(cache)
    assert main(["models", "pull", NAME, "--url", stick.as_uri()]) == 0
    assert (cache / NAME / SAFE).read_bytes() == data
    assert (hub.heads, asked(hub)) == ([], [])
    (stick / NAME / SAFE).unlink()
    shutil.rmtree(cache)
    capsys.readouterr()
    assert main(["models", "pull", NAME, "--url", stick.as_uri()]) == 1
    assert f"{NAME}/{BIN}: cannot be read" in told(capsys)


def test_no_room_is_told_before_the_first_byte_of_the_weights(hub, cache, capsys, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=len(hub.commits[OLD][f"{REPOSITORY}/{BIN}"]) + 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert main(["models", "pull", NAME]) == 1
    assert "make room, or set STREAM_BIND_MODELS" in told(capsys)
    assert not (cache / NAME / f"{BIN}.part").exists()


def test_no_network_is_told(hub, cache, capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["models", "pull", NAME]) == 1
    line = told(capsys)
    assert "cannot reach 127.0.0.1:9" in line
    assert "name another hub with HF_ENDPOINT, or another source with --url" in line


def test_a_hub_that_is_busy_is_asked_again(hub, cache, capsys):
    hub.head_statuses = [503, 429]
    assert main(["models", "pull", NAME]) == 0
    hub.head_statuses = [503] * 10
    shutil.rmtree(cache)
    capsys.readouterr()
    assert main(["models", "pull", NAME]) == 1
    assert "answers 503" in told(capsys)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([NAME, "--revision", "v9"], "has no revision v9; `--revision main` takes the newest one"),
        (["imagebind", "--accept-licence", "--revision", "v9"], "imagebind has no revisions, it is not from the hub"),
        ([NAME, "--revision", "v9", "--url", "file:///x"], "leave one of them out"),
        (["languagebind-thermal"], "has no LanguageBind/LanguageBind_Thermal for everybody to read"),
        (["vido-ft"], "did you mean 'video-ft'?"),
        (["languagebind-dept"], "did you mean 'languagebind-depth'?"),
    ],
)
def test_what_cannot_be_had_is_one_line(hub, cache, capsys, args, words):
    assert main(["models", "pull", *args]) in {1, 2}
    assert words in told(capsys)


def test_a_repository_without_weights_is_told(hub, cache, capsys):
    del hub.commits[OLD][f"{REPOSITORY}/{BIN}"]
    assert main(["models", "pull", NAME]) == 1
    assert f"has no {BIN} nor {SAFE}" in told(capsys)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HF_HUB_OFFLINE", "1", "is not asked while HF_HUB_OFFLINE is set"),
        ("HF_ENDPOINT", "x", "is no address of a hub"),
    ],
)
def test_the_hubs_own_variables_are_heeded(tmp_path, file_server, variable, value, words):
    file_server.files = {}
    environment = {**os.environ, "STREAM_BIND_MODELS": str(tmp_path), variable: value}
    # The real vocabulary is not at hand: the rest of the command is cut short of it.
    code = (
        "import sys, dataclasses\nfrom stream_bind.encoders import catalogue\n"
        f"model = catalogue.MODELS['{NAME}']\n"
        f"catalogue.MODELS['{NAME}'] = dataclasses.replace(model, files=model.files[1:])\n"
        "from stream_bind.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "pull", NAME],
        capture_output=True, text=True, env=environment, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_one_name_stands_for_the_four_that_the_encoder_takes_unasked():
    from stream_bind.encoders.languagebind.settings import DEFAULTS

    assert [m.name for m in catalogue.named(["languagebind"])] == [f"languagebind-{word}" for word in DEFAULTS.values()]
    assert [m.name for m in catalogue.named(["video-ft", "LanguageBind/LanguageBind_Video_FT"])] == [
        "languagebind-video-ft"
    ]


def test_the_sizes_that_are_told_are_those_of_the_models():
    for model in PUBLISHED.values():
        shapes, rank = expected_shapes(model.config), model.config.vision.lora_r or 0
        updates = sum(rank * sum(shapes[f"{name}.weight"]) for name in lora_targets(model.config))
        assert model.n_parameters == sum(map(math.prod, shapes.values())) + updates


def test_list_tells_of_every_model_and_of_what_is_here(pulled, capsys):
    main(["models", "list"])
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{NAME} ")]
    assert line.split()[1] == "present"
    (line,) = [line for line in lines if line.startswith("languagebind-video-huge-v1.5-ft")]
    assert line.split()[1:5] == ["absent", "about", "4.79", "GB"]
    assert line.endswith("licence MIT")
    assert sum(str(pulled) in line for line in lines) == 4  # three files of this model, and the vocabulary alone

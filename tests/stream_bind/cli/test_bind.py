"""`stream-bind bind` from files to a model directory that embeds what it was taught, and on after an interruption."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from stream_bind.cli.main import main
from stream_bind.encoders.imagebind import ImageBindEncoder, ImageBindEncoderConfig
from stream_bind.encoders.imagebind.bpe import learn_merges, write_vocabulary
from stream_bind.encoders.tokenizer import ClipTokenizer
from stream_bind.training.checkpoint import CHECKPOINT

DONE = ("resting", "walking", "running")
TINY = {"embed_dim": 16, "num_blocks": 1, "num_heads": 2}


def write_log(path: Path, seed: int, order: str) -> None:
    """A motion table of twelve seconds a letter of `order`, and its captions."""
    rng = np.random.default_rng(seed)
    rate_hz, lines, said = 50, [], []
    for number, letter in enumerate(order):
        kind = "abc".index(letter)
        said.append(f"{12 * number},{12 * (number + 1)},someone {DONE[kind]}")
        t = 12 * number + np.arange(12 * rate_hz) / rate_hz
        wave = 3 * kind * np.sin(2 * np.pi * (0.7 + kind) * t + rng.uniform(0, 6)) + rng.normal(0, 0.2, len(t))
        lines += [f"{a:.3f},{b:.4f},{b / 2:.4f},{9.81 + b:.4f},{b / 10:.4f},0,0" for a, b in zip(t, wave, strict=True)]
    path.write_text("t_s,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n" + "\n".join(lines) + "\n")
    path.with_suffix(".captions.csv").write_text("start_s,end_s,text\n" + "\n".join(said) + "\n")


@pytest.fixture
def bind_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "monday.csv", 1, "abcacbbca")
    write_log(tmp_path / "tuesday.csv", 2, "cabacb")
    texts = [f"someone {what}" for what in DONE]
    write_vocabulary(tmp_path / "words.txt.gz", learn_merges(texts, 10))
    n_words = ClipTokenizer(tmp_path / "words.txt.gz", sha256=None).vocab_size
    sizes = {f"{m}_{k}": v for m in ("vision", "text", "audio", "depth", "thermal", "imu") for k, v in TINY.items()}
    sizes |= {
        "out_embed_dim": 16,
        "imu_kernel_size": 50,
        "imu_drop_path": 0.0,
        "vocab_size": n_words,
        "context_length": 16,
    }
    base = {"model": "imagebind", "weights": "random", "size": sizes, "vocab": "words.txt.gz"}

    def take(day: str) -> str:
        device = f'{{type: imu_csv, path: {day}.csv, accel_unit: "m/s2", gyro_unit: "rad/s"}}'
        return (
            f"    - streams: [{{id: imu, modality: imu, window: {{hop_s: 0.5}}, device: {device}}}]\n"
            f"      captions: {day}.captions.csv\n"
        )

    path = tmp_path / "bind.yaml"
    path.write_text(
        f"version: 1\nbase: {json.dumps(base)}\noutput: models/mine\nsensor: imu\nanchor: text\n"
        f"data:\n  train:\n{take('monday')}  held_out:\n{take('tuesday')}"
        "training: {steps: 40, batch: 8, lr: 3.0e-3, evaluate_every: 20, precision: float32, threads: 1, span_s: 1,\n"
        "           checkpoint_every_s: 0, augment: {rotation_deg: 2}}\n"
    )
    return path


def test_it_binds_and_the_directory_is_taken_as_weights(bind_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bind", str(bind_file)]) == 0
    told = capsys.readouterr()
    assert "imu to text, by moment" in told.out
    assert "written: models/mine" in told.out
    assert "training: 40 of 40" in told.err
    assert {p.name for p in Path("models/mine").iterdir()} >= {
        "config.json", "model.safetensors", "vocabulary.txt.gz", "README.md", "curves.png", "figures.json",
    }  # fmt: skip
    card = Path("models/mine/README.md").read_text()
    for wanted in ("stream-bind bind", "monday.csv", "tuesday.csv", "chance", "Limits", "bootstrap"):
        assert wanted in card
    encoder = ImageBindEncoder("mine", ImageBindEncoderConfig(weights="models/mine"))
    encoder.load(["imu", "text"])
    assert encoder.trained
    assert encoder.embed_text(["someone walking"]).shape == (1, 16)
    figures = json.loads(Path("models/mine/figures.json").read_text())
    assert {"name", "value", "low", "high", "chance", "n", "times_chance"} <= set(figures[0])
    assert main(["bind", str(bind_file), "--evaluate-only"]) == 0
    again = capsys.readouterr()
    assert "imu to text, by moment" in again.out
    assert "written" not in again.out


def test_interrupted_it_says_how_to_go_on_and_ends_as_if_it_had_not_been(
    bind_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["bind", str(bind_file), "-o", "models/whole"]) == 0
    from stream_bind.training.trainer import Trainer

    step = Trainer._step

    def interrupting(self, number, batches):  # type: ignore[no-untyped-def]
        if number == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, number, batches)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", interrupting)
        assert main(["bind", str(bind_file), "-o", "models/cut"]) == 130
    told = capsys.readouterr().err
    assert "give the same command again" in told
    assert Path("models/cut.run", CHECKPOINT).exists()
    assert not Path("models/cut").exists()
    assert main(["bind", str(bind_file), "-o", "models/cut"]) == 0
    one, other = (Path(f"models/{name}/model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


def test_another_setting_is_refused_by_name_until_it_starts_over(
    bind_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["bind", str(bind_file), "--set", "training.steps=2"]
    assert main(quick) == 0
    assert main([*quick, "--set", "training.seed=5"]) == 2
    assert "settings.seed was 0 and is now 5" in capsys.readouterr().err
    assert main([*quick, "--set", "training.seed=5", "--fresh"]) == 0


def test_a_leaking_split_is_refused(bind_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = bind_file.read_text()
    Path("copy.csv").write_bytes(Path("monday.csv").read_bytes())
    Path("copy.captions.csv").write_bytes(Path("monday.captions.csv").read_bytes())
    bind_file.write_text(text.replace("tuesday", "copy"))
    assert main(["bind", str(bind_file)]) == 2
    assert "copy.csv holds the same bytes as the training file monday.csv" in capsys.readouterr().err
    bind_file.write_text(text.replace("tuesday", "monday"))
    assert main(["bind", str(bind_file)]) == 2
    assert "is also trained on" in capsys.readouterr().err


def test_one_recording_split_by_time_with_a_guard_is_taken(bind_file: Path) -> None:
    first, second = bind_file.read_text().replace("tuesday", "monday").split("  held_out:\n")
    first = first.rstrip("\n") + "\n      duration: 60s\n"
    second = second.replace("captions: monday.captions.csv", "captions: monday.captions.csv\n      start: 66s")
    bind_file.write_text(f"{first}  held_out:\n{second}")
    assert main(["bind", str(bind_file), "--set", "training.steps=2"]) == 0


def test_every_fault_is_told_at_once_with_its_place(bind_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = bind_file.read_text()
    faulty = (
        text.replace("sensor: imu\n", "sensr: imu\n").replace("batch: 8", "batch: none").replace("span_s", "spam_s")
    )
    bind_file.write_text(faulty)
    assert main(["bind", str(bind_file)]) == 2
    told = capsys.readouterr().err
    assert "unknown key 'sensr'; did you mean 'sensor'?" in told
    assert "training.batch: expected a whole number" in told
    assert "unknown key 'spam_s'; did you mean 'span_s'?" in told
    assert told.count("bind.yaml:") >= 3
    bind_file.write_text(text.replace("type: imu_csv", "type: imu_cvs"))
    assert main(["bind", str(bind_file)]) == 2
    told = capsys.readouterr().err
    assert "did you mean 'imu_csv'" in told
    assert "bind.yaml:8:" in told


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sensor: imu", "sensor: barometer", "declare a new sensor type under `signal:`"),
        ("sensor: imu", "signal: {name: imu, channels: 1, rate_hz: 25, length_s: 4}", "already has imu"),
        ("captions: tuesday.captions.csv", "duration: 1m", "has no moment with imu and text"),
        ("captions: tuesday.captions.csv", "captions: nowhere.csv", "nowhere.csv: captions cannot be read"),
        ("anchor: text", "anchor: vision", "no vision stream is in it"),
        ("captions: tuesday.captions.csv", "duration: soon", "expected a length of time"),
    ],
)
def test_what_cannot_be_bound_is_said_with_the_next_step(
    bind_file: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    bind_file.write_text(bind_file.read_text().replace(old, new))
    assert main(["bind", str(bind_file)]) == 2
    assert said in capsys.readouterr().err


def test_lora_on_a_model_directory_leaves_everything_else_as_it_was(bind_file: Path) -> None:
    from safetensors.numpy import load_file

    assert main(["bind", str(bind_file), "--set", "training.steps=2"]) == 0
    tuned = [
        "bind", str(bind_file), "--set", "base=models/mine", "-o", "models/tuned",
        "--set", "training.steps=3", "--set", "training.method=lora", "--set", "training.lora.rank=2",
    ]  # fmt: skip
    assert main(tuned) == 0
    before, after = (load_file(f"models/{name}/model.safetensors") for name in ("mine", "tuned"))
    assert before.keys() == after.keys()
    changed = {key.split(".")[1] for key in after if after[key].tobytes() != before[key].tobytes()}
    assert changed == {"imu"}

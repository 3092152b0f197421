"""Training binds, repeats itself bit by bit, and survives being killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stream_bind.encoders.imagebind.model import ImageBind
from stream_bind.errors import ConfigError
from stream_bind.training.checkpoint import CHECKPOINT, load_checkpoint
from stream_bind.training.settings import AugmentSettings, LoraSettings, TrainSettings
from stream_bind.training.trainer import Progress, Trainer, fresh_branches

BRANCHES = ("vision", "text", "imu", "depth")


def model_of(encoder: Any, seed: int = 0) -> ImageBind:
    config = replace(encoder.architecture(), modalities=BRANCHES)
    model = ImageBind(config)
    fresh_branches(model, BRANCHES, seed)
    return model


def settings_of(**changes: Any) -> TrainSettings:
    plain: dict[str, Any] = {
        "train": ("imu",),
        "steps": 30,
        "batch": 16,
        "lr": 3e-3,
        "evaluate_every": 15,
        "threads": 1,
        "device": "cpu",
        "precision": "float32",
    }
    return TrainSettings(**(plain | changes))


@pytest.fixture
def train(pairs, encoder, letters, tmp_path):  # type: ignore[no-untyped-def]
    def run(settings: TrainSettings, run_dir: str = "run", model: ImageBind | None = None, **more: Any):  # type: ignore[no-untyped-def]
        model = model or model_of(encoder)
        trainer = Trainer(
            model,
            *pairs,
            settings,
            tmp_path / run_dir,
            encoder=encoder,
            tokenize=letters,
            cache_dir=tmp_path / "c",
            **more,
        )
        return model, trainer.run()

    return run


def weights(model: ImageBind, modality: str) -> bytes:
    state = model.state_dict()
    return b"".join(state[k].numpy().tobytes() for k in sorted(state) if k.split(".")[1] == modality)


def test_picture_and_caption_learn_each_other_and_a_sensor_then_learns_the_picture(train) -> None:  # type: ignore[no-untyped-def]
    first = settings_of(train=("vision", "text"), anchor=None, steps=60, negatives={"labels": True})
    model, result = train(first)
    assert result.finished
    assert result.losses[0] > 2
    # Sixteen of four kinds a batch: partners of the same kind cannot be told apart, so recall is about four times
    # chance (1 in 16) at best; the loss of what can be told apart falls to little.
    assert np.mean(result.losses[-5:]) < 0.5
    vision = weights(model, "vision")
    model, result = train(settings_of(steps=60, negatives={"labels": True}), "second", model)
    assert np.mean(result.losses[-5:]) < 0.5 < result.losses[0]
    assert result.evaluations[-1]["recall"] > 2 / 32
    assert weights(model, "vision") == vision


def test_a_text_anchor_binds_with_captions_and_several_sensors_train_at_once(train, encoder) -> None:  # type: ignore[no-untyped-def]
    model = model_of(encoder)
    text = weights(model, "text")
    model, result = train(settings_of(train=("imu", "depth"), anchor="text", steps=4, evaluate_every=4), model=model)
    assert set(result.evaluations[-1]["bindings"]) == {"imu-text", "depth-text"}
    assert weights(model, "text") == text
    assert weights(model, "imu") != weights(model_of(encoder), "imu")


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(train) -> None:  # type: ignore[no-untyped-def]
    one, other, third = (
        weights(train(settings_of(steps=5, seed=seed), name)[0], "imu") for seed, name in ((3, "a"), (3, "b"), (4, "c"))
    )
    assert one == other != third


@pytest.mark.parametrize("stop_at", [1, 7])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    train, stop_at: int, pairs, encoder, letters, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    settings = settings_of(steps=12, keep="best", evaluate_every=3)
    whole, told = train(settings, "whole")
    trainer: list[Trainer] = []

    def watch(progress: Progress) -> None:
        if progress.phase == "train":
            trainer[0].request_stop()

    model = model_of(encoder)
    trainer.append(Trainer(model, *pairs, settings, tmp_path / "cut", encoder=encoder, tokenize=letters, watch=watch))
    assert not trainer[0].run().finished
    model, result = train(settings, "cut")
    assert result.finished
    assert weights(model, "imu") == weights(whole, "imu")
    assert result.losses == told.losses
    assert result.evaluations == told.evaluations
    assert result.kept_step == told.kept_step


SCRIPT = """
import sys, pathlib, time
sys.path.insert(0, {tests!r})
import conftest
from test_trainer import model_of, settings_of, weights
from stream_bind.encoders.imagebind import ImageBindEncoderConfig
from stream_bind.training.pairs import Pairs
from stream_bind.training.trainer import Trainer
import hashlib
run_dir, slow = sys.argv[1], float(sys.argv[2])
encoder = ImageBindEncoderConfig(size=conftest.SIZES, weights="random")
settings = settings_of(steps=24, train=("imu", "depth"), checkpoint_every_s=0.0)
model = model_of(encoder)
trainer = Trainer(model, Pairs.open({train!r}), Pairs.open({held!r}), settings, run_dir, encoder=encoder)
step = trainer._step
def slowly(number, batches):
    time.sleep(slow)
    return step(number, batches)
trainer._step = slowly
trainer.run()
print(hashlib.sha256(weights(model, "imu") + weights(model, "depth")).hexdigest())
"""


def test_a_run_killed_at_any_time_ends_with_the_weights_of_an_undisturbed_one(corpus, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), train=str(corpus[0]), held=str(corpus[1])))
    root = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def command(name: str, slow: float) -> list[str]:
        return [sys.executable, str(script), str(tmp_path / name), str(slow)]

    whole = subprocess.run(command("whole", 0), env=environment, capture_output=True, text=True, check=True)
    process = subprocess.Popen(command("killed", 0.15), env=environment, stdout=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 60
    while not (tmp_path / "killed" / CHECKPOINT).exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    found = load_checkpoint(tmp_path / "killed" / CHECKPOINT)
    assert found is not None
    assert 0 < found["step"] < 24
    resumed = subprocess.run(command("killed", 0), env=environment, capture_output=True, text=True, check=True)
    assert resumed.stdout == whole.stdout != ""


def test_a_run_of_another_meaning_is_refused_by_what_differs_unless_started_over(train) -> None:  # type: ignore[no-untyped-def]
    train(settings_of(steps=2))
    with pytest.raises(ConfigError, match=r"settings\.lr was 0\.003 and is now 0\.001.*--fresh"):
        train(settings_of(steps=2, lr=1e-3))
    assert train(settings_of(steps=2, lr=1e-3), fresh=True)[1].finished
    # When to save means nothing for the result.
    assert train(settings_of(steps=2, lr=1e-3, checkpoint_every_s=1.0))[1].step == 2


def test_a_damaged_checkpoint_is_named(train, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        train(settings_of(steps=2))


def test_lora_trains_little_and_leaves_the_published_keys(train, encoder) -> None:  # type: ignore[no-untyped-def]
    start = model_of(encoder)
    before = {k: v.clone() for k, v in start.state_dict().items()}
    lora = LoraSettings(rank=2, train_head=False, train_norms=False)
    model, result = train(settings_of(method="lora", lora=lora, steps=6), model=start)
    after = model.state_dict()
    assert {k: v.shape for k, v in after.items()} == {k: v.shape for k, v in before.items()}
    changed = {k for k in after if not torch.equal(after[k], before[k]) and "postprocessors" not in k}
    assert changed == {
        f"modality_trunks.imu.blocks.{i}.{name}"
        for i in range(2)
        for name in ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.fc1.weight", "mlp.fc2.weight")
    }
    for key in changed:
        assert np.linalg.matrix_rank((after[key] - before[key]).numpy(), tol=1e-5) <= 2
    assert result.finished


def test_lora_that_was_stopped_goes_on_to_the_same_bits(train, pairs, encoder, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = settings_of(method="lora", steps=6)
    whole, _ = train(settings, "whole")
    model = model_of(encoder)
    trainer = Trainer(
        model, *pairs, settings, tmp_path / "cut", encoder=encoder, watch=lambda p: trainer.request_stop()
    )
    assert trainer.run().step < 6
    assert weights(train(settings, "cut")[0], "imu") == weights(whole, "imu")


def test_the_learned_temperature_becomes_the_branchs_scale(train) -> None:  # type: ignore[no-untyped-def]
    model, _ = train(settings_of(steps=3, temperature=0.1, learn_temperature=False))
    assert model.scale("imu") == pytest.approx(10.0, rel=1e-5)
    assert model.scale("vision") == 1.0


def test_what_is_missing_is_told_before_anything_is_trained(pairs, encoder, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = model_of(encoder)
    with pytest.raises(ConfigError) as caught:
        Trainer(model, *pairs, settings_of(train=("audio", "imu"), anchor="text"), tmp_path, encoder=encoder)
    told = "\n".join(caught.value.problems)
    assert "no branch 'audio'" in told
    assert "vocabulary" in told
    assert "of 64 moments 0 have both" in told


def test_augmentation_changes_the_result_and_can_be_switched_off(train) -> None:  # type: ignore[no-untyped-def]
    off = AugmentSettings(enabled=False)
    one, other = (
        train(settings_of(steps=3, augment=a), n)[1].losses for a, n in ((off, "a"), (AugmentSettings(), "b"))
    )
    assert one != other


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_trains_and_goes_on_to_the_same_bits(pairs, encoder, letters, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings = settings_of(train=("vision", "text"), anchor=None, steps=8, device="cuda", precision="auto")
    whole, cut = model_of(encoder), model_of(encoder)
    Trainer(whole, *pairs, settings, tmp_path / "whole", encoder=encoder, tokenize=letters).run()
    trainer = Trainer(
        cut,
        *pairs,
        settings,
        tmp_path / "cut",
        encoder=encoder,
        tokenize=letters,
        watch=lambda progress: trainer.request_stop(),
    )
    assert not trainer.run().finished
    cut = model_of(encoder)
    assert Trainer(cut, *pairs, settings, tmp_path / "cut", encoder=encoder, tokenize=letters).run().finished
    assert [weights(whole.cpu(), m) for m in ("vision", "text")] == [weights(cut.cpu(), m) for m in ("vision", "text")]

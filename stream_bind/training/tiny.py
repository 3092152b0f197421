"""The recipe of imagebind-tiny, from nothing to the model directory: `python -m stream_bind.training.tiny --help`.

As the ImageBind paper does it: vision and text learn from (picture, caption) pairs first; then every other modality is
paired with the frozen vision branch alone, and never sees a word or another sensor.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream_bind.encoders.imagebind.architecture import ImageBindConfig

__all__ = ["ARCHITECTURE", "HELD_OUT_SEEDS", "TRAIN_SEEDS", "VALIDATION_SEEDS", "build_pairs", "settings"]

log = logging.getLogger(__name__)

SENSED = ("vision", "audio", "depth", "thermal", "imu")
VOCABULARY_MERGES = 700
CONTEXT_LENGTH = 32
ARCHITECTURE: dict[str, Any] = {
    "kernel_size": (2, 32, 32),
    "out_embed_dim": 128,
    "vision_embed_dim": 128,
    "vision_num_blocks": 4,
    "vision_num_heads": 4,
    "text_embed_dim": 96,
    "text_num_blocks": 3,
    "text_num_heads": 4,
    "context_length": CONTEXT_LENGTH,
    "audio_stride": 20,
    "audio_embed_dim": 112,
    "audio_num_blocks": 3,
    "audio_num_heads": 4,
    "audio_drop_path": 0.0,
    "depth_embed_dim": 96,
    "depth_kernel_size": 32,
    "depth_num_blocks": 3,
    "depth_num_heads": 4,
    "thermal_embed_dim": 96,
    "thermal_kernel_size": 32,
    "thermal_num_blocks": 3,
    "thermal_num_heads": 4,
    "imu_embed_dim": 96,
    "imu_kernel_size": 40,
    "imu_num_blocks": 3,
    "imu_num_heads": 4,
    "imu_drop_path": 0.0,
    "imu_head_dropout": 0.1,
}
"""Larger patches and narrow towers: 50 to 60 tokens a clip, which is what makes training on two cores a matter of
minutes. The vocabulary's size is added once it has been learned."""
PREPROCESSING: dict[str, Any] = {
    # 60 px of disparity are 0.65 m with a Kinect's optics; the reference's 0.0418 and 0.0295 are those of whole rooms.
    "depth": {"mean": 0.2, "std": 0.25},
    # Each picture over its own range, as thermal cameras with an 8-bit output do: a stairwell spans 2 K, a fire 800.
    "thermal": {"range_k": "frame", "mean": 0.3, "std": 0.25},
    # What is left of gravity is the yardstick by which the stem's norm, which removes scale, knows weak motion from
    # strong: with all of it weak motion would drown, with none of it noise would look like running.
    "imu": {"mean": (0.0, 0.0, 8.0, 0.0, 0.0, 0.0), "std": (3.0, 3.0, 3.0, 0.6, 0.6, 0.6)},
}
"""How the simulated sensors' samples are scaled for the towers."""

TRAIN_SEEDS = range(1000, 1170)
VALIDATION_SEEDS = range(500, 506)
"""Looked at while the recipe was made."""
HELD_OUT_SEEDS = range(1, 25)
"""Never trained on and looked at for the final figures alone."""


STAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("vision-text", {"train": ("vision", "text"), "anchor": None, "epochs": 24, "batch": 256, "lr": 1e-3}),
    ("audio", {"train": ("audio",), "epochs": 20, "batch": 256, "lr": 1e-3}),
    ("depth", {"train": ("depth",), "epochs": 20, "batch": 256, "lr": 1e-3}),
    ("thermal", {"train": ("thermal",), "epochs": 20, "batch": 256, "lr": 1e-3}),
    ("imu", {"train": ("imu",), "epochs": 24, "batch": 256, "lr": 1e-3}),
)
"""Name and training settings of each stage, in order. After the first, vision is frozen and the only partner."""


def settings(architecture: dict[str, Any] | None = None) -> Any:
    """The encoder's settings (ImageBindEncoderConfig) before there are weights; they make the clips."""
    from stream_bind.encoders.imagebind import ImageBindEncoderConfig

    return ImageBindEncoderConfig(size=architecture or ARCHITECTURE, weights="random", **PREPROCESSING)


def build_pairs(
    directory: Path,
    seeds: Sequence[int],
    turns: int = 1,
    per_scene: int = 3,
    processes: int = 2,
    company: bool = False,
) -> list[Path]:
    """Write the moments of these worlds below `directory`, in parallel; what is already there is kept.

    Returns the directories that make one corpus, in order. 48 moments a turn of a world, or 56 with company; about
    0.5 MB each.
    """
    shares = [list(seeds[i::processes]) for i in range(processes)]
    paths = [directory / str(i) for i in range(processes)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        jobs = [
            pool.apply_async(_write_share, (path, share, turns, per_scene, company))
            for path, share in zip(paths, shares, strict=True)
        ]
        for job in jobs:
            job.get()
    return paths


def _write_share(path: Path, seeds: Sequence[int], turns: int, per_scene: int, company: bool) -> None:
    import cv2

    from stream_bind.encoders.imagebind import ImageBindEncoder
    from stream_bind.training.pairs import PairWriter
    from stream_bind.training.world_pairs import moments_per_turn, world_moments

    cv2.setNumThreads(1)
    config = settings()
    makers = {modality: ImageBindEncoder.clip_maker(config, modality) for modality in SENSED}
    per_seed = turns * moments_per_turn(per_scene, company)
    with PairWriter(path, {modality: maker.spec for modality, maker in makers.items()}) as writer:
        # A scene has `per_scene` moments and none is ever left out, so whole seeds can be skipped by counting.
        done = writer.n_moments // per_seed
        skip = writer.n_moments - done * per_seed
        for moment, clips in world_moments(seeds[done:], makers, turns, per_scene, company):
            if skip:
                skip -= 1
                continue
            writer.add(moment, clips)


def train(work: Path, n_seeds: int = len(TRAIN_SEEDS), watch: Any = None) -> tuple[Any, Any, dict[str, Any]]:
    """Build the corpora below `work` and train every stage, taking up what is already there.

    Returns the model, the encoder's settings and what each stage took and came to.
    """
    from stream_bind.encoders.imagebind import ImageBind
    from stream_bind.encoders.imagebind.bpe import learn_merges, write_vocabulary
    from stream_bind.encoders.tokenizer import ClipTokenizer
    from stream_bind.training.pairs import Pairs
    from stream_bind.training.settings import TrainSettings
    from stream_bind.training.trainer import Trainer, fresh_branches

    started_s = time.monotonic()
    pairs = Pairs.open(build_pairs(work / "train", TRAIN_SEEDS[:n_seeds], company=True))
    validation = Pairs.open(build_pairs(work / "validation", VALIDATION_SEEDS))
    # What was spent in all, also where an earlier run was interrupted.
    spent = work / "corpus.json"
    before_s = json.loads(spent.read_text())["seconds"] if spent.exists() else 0.0
    corpus_s = round(before_s + time.monotonic() - started_s, 1)
    spent.write_text(json.dumps({"seconds": corpus_s}))
    report: dict[str, Any] = {"corpus_s": round(corpus_s), "stages": {}}
    log.info("%d moments in %d s", len(pairs), report["corpus_s"])

    vocabulary = work / "vocabulary.txt.gz"
    texts = sorted({text for moment in pairs.moments for text in moment.captions})
    write_vocabulary(vocabulary, learn_merges(texts, VOCABULARY_MERGES))
    tokenizer = ClipTokenizer(vocabulary, sha256=None)
    architecture = {**ARCHITECTURE, "vocab_size": tokenizer.vocab_size}
    config = settings(architecture)
    model = ImageBind(ImageBindConfig(**architecture))
    fresh_branches(model, model.config.modalities, seed=0)

    def tokenize(some: Sequence[str]) -> Any:
        return tokenizer(some, CONTEXT_LENGTH)

    for name, told in STAGES:
        result = Trainer(
            model,
            pairs,
            validation,
            TrainSettings(**told),
            work / name,
            encoder=config,
            tokenize=tokenize,
            cache_dir=work / "anchors",
            watch=watch(name) if watch else None,
        ).run()
        report["stages"][name] = {
            "steps": result.steps,
            "seconds": round(result.seconds),
            "loss": round(sum(result.losses[-50:]) / len(result.losses[-50:]), 3),
            "recall_at_1_of_256": round(result.evaluations[-1]["recall"], 3),
        }
        log.info("%s: %s", name, json.dumps(report["stages"][name]))
    spent_s = report["corpus_s"] + sum(stage["seconds"] for stage in report["stages"].values())
    report["seconds"] = spent_s
    report["facts"] = {
        "millions": sum(p.numel() for p in model.parameters()) / 1e6,
        "minutes": spent_s / 60,
        "machine": f"{os.cpu_count()} cores",
        "moments": len(pairs),
        "n_worlds": n_seeds,
        "first_seed": TRAIN_SEEDS[0],
        "last_seed": TRAIN_SEEDS[n_seeds - 1],
        "first_test": HELD_OUT_SEEDS[0],
        "last_test": HELD_OUT_SEEDS[-1],
    }
    return model, config, report


def write(model: Any, config: Any, work: Path, output: Path, report: dict[str, Any]) -> Any:
    """Write the model directory with its labels, weights in half precision; returns the encoder that runs it."""
    import torch

    from devices.simulated.scenarios import LABELS, SCENARIOS
    from stream_bind.encoders.imagebind.directory import save_directory
    from stream_bind.encoders.load import load_encoder
    from stream_bind.retrieval import LabelSet

    state = {
        key: value if key.endswith((".mask", "log_logit_scale")) else value.to(torch.float16)
        for key, value in model.state_dict().items()
    }
    save_directory(
        output,
        config=config,
        state=state,
        name="imagebind-tiny",
        vocabulary=work / "vocabulary.txt.gz",
        licence="Apache-2.0",
        provenance={"command": "make imagebind-tiny", **report["facts"]},
    )
    encoder = load_encoder("imagebind", weights=str(output), device="cpu")
    labels = LabelSet(
        LABELS,
        encoder.embed_text(LABELS),
        tuple(scenario.group for scenario in SCENARIOS),
        encoder.model,
        encoder.scale("text"),
    )
    labels.save(output)
    return encoder


def evaluate(
    encoder: Any, work: Path, output: Path, pictures: Path, report: dict[str, Any], seeds: Sequence[int], turns: int = 2
) -> dict[str, Any]:
    """Measure on worlds never trained on; write the model card into `output` and its figures into `pictures`."""
    import torch

    from stream_bind.encoders.imagebind import ImageBindEncoder
    from stream_bind.retrieval import LabelSet
    from stream_bind.training import scorecard
    from stream_bind.training.pairs import Pairs
    from stream_bind.training.tiny_card import card, figures

    pairs = Pairs.open(build_pairs(work / f"held-out-{seeds[0]}-{turns}", seeds, turns))
    labels = LabelSet.load(output)
    assert labels is not None
    seen = scorecard.embedded(encoder, pairs, (*SENSED, "text"))
    makers = {modality: ImageBindEncoder.clip_maker(encoder.config, modality) for modality in SENSED}
    scores: dict[str, Any] = {
        "zero_shot": scorecard.zero_shot({m: seen[m] for m in SENSED}, labels),
        "table": scorecard.retrieval_table(seen),
        "arithmetic": scorecard.arithmetic(encoder, makers, seen, seeds, turns),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    scores["speed"] = scorecard.speed(encoder, makers)
    torch.set_num_threads(threads)
    pictures.mkdir(parents=True, exist_ok=True)
    figures(scores, encoder, pairs, seen, pictures)
    where = Path(os.path.relpath(pictures, output)).as_posix()
    (output / "README.md").write_text(card(report, scores, where), encoding="utf-8")
    return scores


def main() -> None:
    """The whole recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, default=Path("build/imagebind-tiny"), help="corpora and checkpoints")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "encoders" / "imagebind" / "tiny")
    parser.add_argument("--figures", type=Path, default=Path("docs/images/imagebind_tiny"), help="the card's pictures")
    parser.add_argument("--worlds", type=int, default=len(TRAIN_SEEDS), help="worlds to train on")
    parser.add_argument("--validation", action="store_true", help="measure on the validation worlds instead")
    given = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    model, config, report = train(given.work, given.worlds)
    encoder = write(model, config, given.work, given.output, report)
    seeds = VALIDATION_SEEDS if given.validation else HELD_OUT_SEEDS
    evaluate(encoder, given.work, given.output, given.figures, report, seeds)
    log.info("%s: %s", given.output, (given.output / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

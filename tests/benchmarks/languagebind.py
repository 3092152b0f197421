"""Every published LanguageBind in its full size with seeded weights: strict loading, and one forward pass.

python tests/benchmarks/languagebind.py [NAME ...]    two threads, float32, batch 1; up to 5 GB of disk each

A directory in the published layout, low-rank updates included, is written, loaded strictly and run. Beside ours stand
the reference's least times (explicit attention, updates not merged) on the same kind of machine.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from stream_bind.encoders.languagebind import LanguageBind
from stream_bind.encoders.languagebind.checkpoint import expected_shapes, lora_targets
from stream_bind.encoders.languagebind.config import LanguageBindConfig
from stream_bind.encoders.languagebind.published import PUBLISHED
from stream_bind.encoders.languagebind.random_weights import random_tensor

REFERENCE_S = {
    "languagebind-video": (8.6, 0.074),
    "languagebind-video-ft": (8.1, 0.074),
    "languagebind-video-v1.5-ft": (7.1, 0.077),
    "languagebind-video-huge-v1.5-ft": (15.1, 0.25),
    "languagebind-audio": (1.98, 0.073),
    "languagebind-audio-ft": (1.85, 0.073),
    "languagebind-depth": (0.96, 0.092),
    "languagebind-thermal": (0.87, 0.096),
    "languagebind-image": (0.79, 0.079),
}
"""Least wall time of one clip and of one text, by the reference on a two-core machine of this kind."""
PLAIN, PEFT = "vision_model.encoder.layers.", "vision_model.encoder.base_model.model.layers."


def write(directory: Path, config: LanguageBindConfig) -> int:
    """A directory in the published layout; returns the parameters it holds."""
    shapes = expected_shapes(config)
    rank, dim = config.vision.lora_r or 0, config.vision.hidden_size
    for name in lora_targets(config) if rank else ():
        shapes[f"{name}.lora_A.default.weight"], shapes[f"{name}.lora_B.default.weight"] = (rank, dim), (dim, rank)
    state = {
        key.replace(PLAIN, PEFT) if rank else key: torch.from_numpy(random_tensor(key, shape, 0))
        for key, shape in shapes.items()
    }
    save_file(state, directory / "model.safetensors")
    vision = asdict(config.vision)
    rows, columns = vision.pop("image_size")
    if config.kind == "audio":
        vision |= {"num_mel_bins": rows, "target_length": columns}
    if vision.pop("class_per_frame"):
        vision["clip_type"] = "vl_new"
    vision["max_depth"] = vision.pop("max_depth_m")
    body = {
        "model_type": f"LanguageBind{config.kind.capitalize()}",
        "projection_dim": config.projection_dim,
        "vision_config": vision,
        "text_config": asdict(config.text),
    }
    (directory / "config.json").write_text(json.dumps(body))
    return sum(value.numel() for value in state.values())


def least_s(call: Callable[[], object], n: int) -> float:
    call()
    taken = []
    for _ in range(n):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return min(taken)


def main() -> None:
    torch.set_num_threads(2)
    torch.set_grad_enabled(False)
    print("| model | parameters | load s | clip s | reference s | text s | reference s | peak GB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or [name for name in PUBLISHED if name != "languagebind-video-merge"]:
        config = PUBLISHED[name].config
        with tempfile.TemporaryDirectory(dir=".") as folder:
            n_parameters = write(Path(folder), config)
            started = time.perf_counter()
            model = LanguageBind.from_pretrained(folder)
            load_s = time.perf_counter() - started
            frames = (config.vision.num_frames,) if config.kind == "video" else ()
            clip = torch.randn((1, 3, *frames, *config.vision.image_size))
            ids = torch.zeros((1, 77), dtype=torch.int64)
            ids[0, :4] = torch.tensor([49406, 320, 1929, 49407])
            clip_s = least_s(lambda model=model, clip=clip: model.encode(clip), 3)  # type: ignore[misc]
            text_s = least_s(lambda model=model, ids=ids: model.encode_text(ids), 5)  # type: ignore[misc]
            del model
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        clip_ref, text_ref = REFERENCE_S[name]
        print(
            f"| {name} | {n_parameters:,} | {load_s:.1f} | {clip_s:.2f} | {clip_ref:g} | {text_s:.3f} | {text_ref:g} | "
            f"{peak_gb:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

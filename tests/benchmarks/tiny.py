"""imagebind-tiny on one core: clips a second of every modality, and what a headset's five sensors ask of that core.

OMP_NUM_THREADS=1 python tests/benchmarks/tiny.py

Floor: the same weights' bare forward pass in torch, float32, on a clip that is already a tensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from devices.simulated import SimulatedConfig
from devices.simulated.scenarios import SCENARIOS
from devices.simulated.world import scene_of
from stream_bind import load_encoder
from stream_bind.encoders.imagebind import ImageBind, ImageBindEncoder
from stream_bind.encoders.imagebind.normalise import Normaliser
from stream_bind.encoders.imagebind.settings import ImageBindTinyConfig
from stream_bind.training.world_pairs import LARGE, WorldSensor

A_SECOND = {"vision": 2.0, "audio": 2.0, "depth": 2.0, "thermal": 2.0, "imu": 0.4}
"""Windows a second in configs/headset.yaml."""


def median_s(call: Callable[[], object], n: int = 60) -> float:
    call()
    taken = []
    for _ in range(n):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def row(modality: str, encoder: Any, bare: ImageBind) -> tuple[str, float]:
    """The table's line, and the share of a core."""
    maker = ImageBindEncoder.clip_maker(encoder.config, modality)
    config = SimulatedConfig.model_validate({"modality": modality, "seed": 1, **LARGE.get(modality, {})})
    sensor = WorldSensor(config, maker)
    window = sensor.window(scene_of(1, 16_000_000 * len(SCENARIOS)).begin_ns + 8_000_000_000)
    clip = maker.make(window, sensor.spec)[None]
    ready = Normaliser(encoder.config, torch.device("cpu"))(modality, torch.from_numpy(clip))
    floor_s = median_s(lambda: bare.unit(modality, ready))
    embed_s = median_s(lambda: encoder.embed(modality, clip))
    whole_s = median_s(lambda: encoder.embed(modality, maker.make(window, sensor.spec)[None]))
    share = A_SECOND[modality] * whole_s
    rates = " | ".join(f"{1 / s:,.0f}" for s in (floor_s, embed_s, whole_s))
    return f"| {modality} | {rates} | {A_SECOND[modality]:g} | {share:.1%} |", share


def main() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    encoder = load_encoder("imagebind-tiny", device="cpu")
    bare = ImageBind(encoder.config.architecture()).eval()
    state = load_file(ImageBindTinyConfig.shipped / "model.safetensors")
    bare.load_state_dict({key: value.float() for key, value in state.items()})
    print("| modality | floor: forward | embed | clip and embed | windows a second | share of the core |")
    print("|---|---|---|---|---|---|")
    rows = [row(modality, encoder, bare) for modality in A_SECOND]
    for line, _ in rows:
        print(line)
    print(f"| **all** | | | | | **{sum(share for _, share in rows):.1%}** |")


if __name__ == "__main__":
    main()

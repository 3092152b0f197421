"""Draw docs/images/simulated_world.jpg: every scenario as the camera, the depth sensor and the thermal camera see it.

python tests/benchmarks/world_sheet.py docs/images/simulated_world.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from devices.simulated import SimulatedConfig
from devices.simulated.device import sampler_of
from devices.simulated.scenarios import SCENARIOS
from devices.simulated.world import scene_of

WIDTH, HEIGHT = 240, 180


def tile(name: str, seed: int) -> np.ndarray:
    """Three pictures side by side with the scene's words above."""
    scene = next(s for i in range(16) if (s := scene_of(seed, 16_000 + i)).name == name)
    t_ns = np.array([scene.begin_ns + 6_200_000_000])
    size = {"width": WIDTH, "height": HEIGHT, "seed": seed}
    colour, depth, heat = (
        sampler_of(SimulatedConfig.model_validate({"modality": m, **size})).sample(5, t_ns)[0]
        for m in ("vision", "depth", "thermal")
    )
    near = np.clip(1.0 / np.nan_to_num(depth, nan=1e3) / 1.3, 0, 1)
    low, high = np.percentile(heat, 1), max(np.percentile(heat, 99), np.percentile(heat, 1) + 6)
    pictures = [
        colour[:, :, ::-1],
        cv2.applyColorMap((255 * near).astype(np.uint8), cv2.COLORMAP_VIRIDIS),
        cv2.applyColorMap((255 * np.clip((heat - low) / (high - low), 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO),
    ]
    head = np.full((18, 3 * WIDTH, 3), 255, np.uint8)
    words = f"{scene.scenario.label.removeprefix('a person ')} {scene.place}, {scene.light_name}"
    cv2.putText(head, words, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([head, np.hstack(pictures)])


def main() -> None:
    tiles = [tile(scenario.name, seed=3 + i) for i, scenario in enumerate(SCENARIOS)]
    rows = [np.hstack(tiles[i : i + 2]) for i in range(0, len(tiles), 2)]
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()

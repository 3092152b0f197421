"""What the parts cost on one core: windows and clips per modality beside a memory copy, and the wire codec.

OMP_NUM_THREADS=1 python tests/benchmarks/parts.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from stream_bind.clock import ManualClock
from stream_bind.messages import Embedding, Window
from stream_bind.registry import DEVICES, ENCODERS
from stream_bind.window import Windower
from stream_bind.wire.message import decode, encode_embedding

N_WINDOWS = 60
START_NS = 1_795_000_000_000_000_000


def median_us(call: Callable[[], object], n: int = 200) -> float:
    taken = []
    for _ in range(n):
        started = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - started)
    return float(np.median(taken)) / 1e3


def modality_row(modality: str) -> str:
    """Costs of one simulated stream, sample to clip."""
    encoder = ENCODERS.get("imagebind")
    maker = encoder.cls.clip_maker(encoder.config(weights="random", size="small"), modality, None)
    clock = ManualClock(START_NS)
    driver = DEVICES.get("simulated")
    device = driver.cls(driver.config(modality=modality), "bench", clock)
    device.open()
    windower = Windower(
        device.spec,
        length_ns=round(maker.spec.length_s * 1e9),
        hop_ns=500_000_000,
        context_ns=round(maker.spec.context_s * 1e9),
        payload=maker.spec.payload,
    )
    pushes, closings, makes, copies = [], [], [], []
    while len(makes) < N_WINDOWS:
        clock.advance(0.01)
        chunk = device.read(0.0)
        if chunk is None:
            continue
        started = time.perf_counter_ns()
        results = windower.push(chunk, clock.unix_ns())
        took = time.perf_counter_ns() - started
        (closings if results else pushes).append(took)
        for window in results:
            if isinstance(window, Window) and window.coverage > 0.99:
                started = time.perf_counter_ns()
                clip = maker.make(window, device.spec)
                makes.append(time.perf_counter_ns() - started)
                started = time.perf_counter_ns()
                clip.copy()
                copies.append(time.perf_counter_ns() - started)
    figures = [float(np.median(v)) / 1e3 for v in (pushes, closings, makes, copies)]
    return f"| {modality} | " + " | ".join(f"{figure:,.0f}" for figure in figures) + f" | {clip.nbytes / 1e3:,.0f} |"


def main() -> None:
    print("| modality | push, us | closing push, us | clip, us | floor: copy of the clip, us | clip, kB |")
    print("|---|---|---|---|---|---|")
    for modality in ("vision", "audio", "depth", "thermal", "imu"):
        print(modality_row(modality))
    vector = np.full(1024, 1 / 32, np.float32)
    message = Embedding("rig", "cam", "ib", "vision", 1, 0, 1, vector, model="m@1", seq=1)
    frames = encode_embedding(message)
    print("\n| wire, 1024 float32 | us |\n|---|---|")
    print(f"| encode | {median_us(lambda: encode_embedding(message)):.1f} |")
    print(f"| decode | {median_us(lambda: decode(frames)):.1f} |")
    print(f"| floor: copy of the vector | {median_us(vector.tobytes):.1f} |")


if __name__ == "__main__":
    main()

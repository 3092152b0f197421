"""How long a stream pauses when its encode process is killed: SIGKILL mid-run, several times.

    python tests/benchmarks/restart.py --kills 5

The pause is the longest wait between two vectors of one stream, less the hop; every window must still arrive once.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from actors.supervise import Snapshot
from actors.transport import free_port
from stream_bind import Subscriber, load_config, run
from stream_bind.messages import Embedding

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--every", type=float, default=12.0, help="seconds between kills")
    args = parser.parse_args()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    config = load_config(ROOT / "tests" / "benchmarks" / "rig.yaml", [f"publish.endpoint={endpoint}"], simulate=True)
    arrivals: dict[str, list[tuple[float, int]]] = defaultdict(list)
    stop = threading.Event()

    def listen() -> None:
        with Subscriber(endpoint, topics=("emb/",)) as subscriber:
            while not stop.is_set():
                message = subscriber.recv(0.2)
                if isinstance(message, Embedding):
                    arrivals[message.stream].append((time.monotonic(), message.window))

    threading.Thread(target=listen, daemon=True).start()
    kills: list[float] = []

    def act(snapshot: Snapshot) -> None:
        health = snapshot.encoders[0]
        settled = len(arrivals["cam"]) > 4 and health.get("state") in {"ready", "busy"} and not health.get("away")
        if settled and len(kills) < args.kills and (not kills or time.monotonic() - kills[-1] > args.every):
            kills.append(time.monotonic())
            os.kill(health["pid"], signal.SIGKILL)

    result = run(config, simulate=True, local=False, duration_s=(args.kills + 1.5) * args.every, on_poll=act)
    stop.set()
    print("| kill | " + " | ".join(sorted(arrivals)) + " |\n|---" + "|---" * len(arrivals) + "|")
    for number, at in enumerate(kills, 1):
        row = []
        for stream in sorted(arrivals):
            times = [t for t, _ in arrivals[stream]]
            around = [b - a for a, b in pairwise(times) if a <= at + 0.6 and b >= at]
            row.append(f"{max(around, default=float('nan')):.2f} s")
        print(f"| {number} | " + " | ".join(row) + " |")
    for stream, its in sorted(arrivals.items()):
        windows = [w for _, w in its]
        whole = windows == list(range(windows[0], windows[-1] + 1))
        print(f"{stream}: {len(windows)} vectors, {'every window once and in order' if whole else 'NOT contiguous'}")
    print(f"dropped, failed or lost: {result.dropped}")


if __name__ == "__main__":
    main()

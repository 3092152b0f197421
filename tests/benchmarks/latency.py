"""Close to receive, CPU and memory of a simulated headset, beside a bare pyzmq send in the same run.

    python tests/benchmarks/latency.py --launcher ray --duration 60

Prints one Markdown table per question. The subscriber is a process of its own, as a consumer's would be. "close to
recv" runs from the call that closed a window to the subscriber's recv, less the wait for a batch and the encode time,
which stand beside it. The floor is a three-frame PUB message of the same size to the same process over the same
transport, sent ten times a second meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import zmq

from actors.supervise import Snapshot
from actors.transport import free_port
from stream_bind import load_config, run

ROOT = Path(__file__).resolve().parents[2]

RECEIVER = """
import json, sys, time, zmq, msgspec
sub, floor = zmq.Context.instance().socket(zmq.SUB), zmq.Context.instance().socket(zmq.SUB)
sub.connect(sys.argv[1]); sub.subscribe(b"emb/")
floor.connect(sys.argv[2]); floor.subscribe(b"")
poller = zmq.Poller(); poller.register(sub, zmq.POLLIN); poller.register(floor, zmq.POLLIN)
while True:
    for socket, _ in poller.poll():
        frames = socket.recv_multipart(); now = time.monotonic_ns()
        head = msgspec.msgpack.decode(frames[1])
        kept = head if socket is floor else {k: head[k] for k in ("stream", "t_end", "t_pub", "timing")}
        print(json.dumps([now, kept]), flush=True)
"""


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")


def memory_mb(pid: int) -> tuple[float, float]:
    """Proportional memory, and what the process has written itself. Growth is judged by the latter: pages of libraries
    change hands whenever another process that uses torch comes or goes."""
    kb = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value, _ = line.split()
        kb[name] = int(value)
    return kb["Pss:"] / 1024, kb["Anonymous:"] / 1024


class Meter(threading.Thread):
    """Memory and CPU of this process's tree, by role, every few seconds."""

    def __init__(self, skip: set[int]) -> None:
        super().__init__(daemon=True)
        self._skip = skip
        self._stop_event = threading.Event()
        self.memory: list[tuple[float, dict[str, float]]] = []
        self.private: list[float] = []
        self._cpu: dict[int, tuple[str, float]] = {}
        self.cpu_s: dict[str, float] = defaultdict(float)
        self.started_s = self.ended_s = 0.0

    def role(self, process: psutil.Process) -> str:
        name = " ".join(process.cmdline())[:120]
        if name.startswith("ray::") and "Actor" in name:
            return "ours: " + name.split()[0].removeprefix("ray::").split(".")[0].split(":")[0]
        if process.pid == os.getpid():
            return "ours: driver"
        return "ray daemons"

    def sample(self) -> None:
        memory: dict[str, float] = defaultdict(float)
        private = 0.0
        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            if process.pid in self._skip:
                continue
            try:
                role = self.role(process)
                proportional, own = memory_mb(process.pid)
                memory[role] += proportional
                private += own if role.startswith("ours") else 0.0
                times = process.cpu_times()
                self._cpu.setdefault(process.pid, (role, times.user + times.system))
                self.cpu_s[f"{role}\0{process.pid}"] = times.user + times.system - self._cpu[process.pid][1]
            except (psutil.Error, OSError):
                continue
        self.memory.append((time.monotonic(), dict(memory)))
        self.private.append(private)

    def run(self) -> None:
        self.started_s = time.monotonic()
        while not self._stop_event.wait(5.0):
            self.sample()
            self.ended_s = time.monotonic()

    def stop(self) -> None:
        self._stop_event.set()
        self.join()

    def cpu_share(self) -> dict[str, float]:
        out: dict[str, float] = defaultdict(float)
        for key, seconds in self.cpu_s.items():
            out[key.split("\0")[0]] += seconds / max(self.ended_s - self.memory[0][0], 1e-9)
        return dict(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launcher", choices=["ray", "local"], default="ray")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds, after the actors are up")
    parser.add_argument("--config", default=str(ROOT / "tests" / "benchmarks" / "rig.yaml"))
    parser.add_argument("--json", help="also write the raw figures here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        data, floor = f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{free_port()}"
        config = load_config(args.config, [f"publish.endpoint={data}"], simulate=True)
        out = Path(home) / "received.jsonl"
        with out.open("w") as sink:
            receiver = subprocess.Popen([sys.executable, "-c", RECEIVER, data, floor], stdout=sink)
        meter = Meter({receiver.pid})
        first: dict[str, float] = {}
        started = time.monotonic()

        def look(snapshot: Snapshot) -> None:
            for lane in snapshot.publisher.get("lanes", ()):
                if lane["vectors"] and lane["stream"] not in first:
                    first[lane["stream"]] = time.monotonic() - started
            if len(first) == len(config.streams) and not meter.is_alive():
                meter.start()
            last.append(snapshot)
            del last[:-1]

        last: list[Snapshot] = []
        stop = threading.Event()
        threading.Thread(target=send_floor, args=(floor, stop), daemon=True).start()
        try:
            result = run(config, simulate=True, local=args.launcher == "local", duration_s=args.duration, on_poll=look)
        finally:
            stop.set()
            meter.stop() if meter.is_alive() else None
            time.sleep(0.5)
            receiver.kill()
        report(args, out, meter, first, last[-1], result)


def send_floor(endpoint: str, stop: threading.Event) -> None:
    import msgspec

    socket = zmq.Context.instance().socket(zmq.PUB)
    socket.bind(endpoint)
    payload = bytes(4096)
    while not stop.wait(0.1):
        socket.send_multipart([b"floor/", msgspec.msgpack.encode({"floor": time.monotonic_ns()}), payload])


def report(args: Any, out: Path, meter: Meter, first: dict[str, float], snapshot: Snapshot, result: Any) -> None:
    from stream_bind.clock import measure_offset_ns

    offset_ns = measure_offset_ns()
    floor: list[float] = []
    streams: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    # Steady state only: what closed while the model loaded waited for that, and the first windows meet cold caches.
    starts: dict[str, int] = {}
    for _, head in lines:
        if "stream" in head:
            starts.setdefault(head["stream"], head["t_pub"])
    steady_ns = max(starts.values()) + 2_000_000_000
    for now_ns, head in lines:
        if "floor" in head:
            floor.append((now_ns - head["floor"]) / 1e6)
            continue
        t, its = head["timing"], streams[head["stream"]]
        if t["closed"] < steady_ns:
            continue
        received_ns = now_ns + offset_ns
        its["close to recv"].append((received_ns - t["closed"] - (t["encoded"] - t["received"])) / 1e6)
        its["pack"].append((t["sent"] - t["closed"]) / 1e6)
        its["to worker"].append((t["received"] - t["sent"]) / 1e6)
        its["to publisher"].append((head["t_pub"] - t["encoded"]) / 1e6)
        its["to subscriber"].append((received_ns - head["t_pub"]) / 1e6)
        its["wait"].append((t["batched"] - t["received"]) / 1e6)
        its["encode"].append((t["encoded"] - t["batched"]) / 1e6)
        its["t_end to close"].append((t["closed"] - head["t_end"]) / 1e6)
    columns = [
        "close to recv",
        "pack",
        "to worker",
        "to publisher",
        "to subscriber",
        "wait",
        "encode",
        "t_end to close",
    ]
    print(f"\n### {args.launcher}, {args.duration:g} s, p50 / p99 in ms\n")
    print("| stream | n | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    every: dict[str, list[float]] = defaultdict(list)
    for stream, its in streams.items():
        row = []
        for column in columns:
            values = its[column]
            every[column] += values
            row.append(f"{quantile(values, 0.5):.2f} / {quantile(values, 0.99):.2f}")
        print(f"| {stream} | {len(its['wait'])} | " + " | ".join(row) + " |")
    row = [f"{quantile(every[c], 0.5):.2f} / {quantile(every[c], 0.99):.2f}" for c in columns]
    print(f"| **all** | {len(every['wait'])} | " + " | ".join(row) + " |")
    print(
        f"| bare pyzmq | {len(floor)} | {quantile(floor, 0.5):.2f} / {quantile(floor, 0.99):.2f} |"
        + " |" * (len(columns) - 1)
    )
    print("\n| process | PSS MB first | PSS MB last | CPU, % of a core |\n|---|---|---|---|")
    cpu = meter.cpu_share()
    while len(meter.memory) > 1 and sum(meter.memory[-1][1].values()) < 0.8 * sum(meter.memory[-2][1].values()):
        # taken while the actors were ending
        meter.memory.pop()
        meter.private.pop()
    begin, end = meter.memory[0][1], meter.memory[-1][1]
    for role in sorted(end):
        print(f"| {role} | {begin.get(role, 0):.0f} | {end[role]:.0f} | {100 * cpu.get(role, 0):.1f} |")
    ours = [sum(v for k, v in m.items() if k.startswith("ours")) for _, m in meter.memory]
    busy = 100 * sum(v for k, v in cpu.items() if k.startswith("ours"))
    print(f"| **ours together** | {ours[0]:.0f} | {ours[-1]:.0f} | {busy:.1f} |")
    times, private = [t for t, _ in meter.memory], meter.private
    warm = next((i for i, t in enumerate(times) if t - times[0] >= 120), None)
    if warm is not None and times[-1] - times[warm] > 60:
        print(
            f"\ngrowth after 2 min warm-up, over {times[-1] - times[warm]:.0f} s: "
            f"{100 * (private[-1] / private[warm] - 1):+.2f} % of {private[warm]:.0f} MB written"
        )
    print(
        "\nfirst vector after the call, s: "
        + ", ".join(f"{k} {v:.1f}" for k, v in sorted(first.items(), key=lambda x: x[1]))
    )
    print(f"account: { ({k[0]: (a.due, a.vectors, dict(a.events)) for k, a in result.accounts.items()}) }")
    if args.json:
        Path(args.json).write_text(json.dumps({"memory": meter.memory, "cpu": cpu}))


if __name__ == "__main__":
    main()

"""What a crash takes from a log: recorders killed at random moments, and logs cut at random places.

python tests/benchmarks/log_crash.py kill [TRIALS]   `stream-bind record` of five sensors, kill -9 (default 20)
python tests/benchmarks/log_crash.py cut [PLACES]    a log of some 100 MB, cut (default 500)
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stream_bind.cli.replaying import ReplayChoice, replay_config
from stream_bind.cli.run import run
from stream_bind.config import parse_config
from stream_bind.errors import LogError
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.recover import recover
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.messages import Chunk

KINDS = ("vision", "audio", "depth", "thermal", "imu")


def rig(**settings: str) -> str:
    """Five simulated sensors."""
    streams = "\n".join(f"  - {{id: {k}, modality: {k}, device: {{type: simulated}}}}" for k in KINDS)
    more = "".join(f"{key}: {value}\n" for key, value in settings.items())
    return (
        f"version: 1\nrig: crash\nencoder: {{model: imagebind-tiny}}\nstreams:\n{streams}\n"
        f'publish: {{endpoint: "tcp://127.0.0.1:*"}}\n{more}'
    )


def bench_kill(trials: int) -> None:
    """Each trial: what of the last moments is missing, by stream; then recovered, and replayed."""
    chance = random.Random(20)
    worst: dict[str, list[float]] = {kind: [] for kind in KINDS}
    replayed = 0
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "rig.yaml"
        config.write_text(rig())
        for trial in range(trials):
            log = Path(folder) / f"{trial}.mcap"
            command = [sys.executable, "-m", "stream_bind.cli", "record", str(config), "-o", str(log), "--local"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not log.exists() or log.stat().st_size < 1000:
                time.sleep(0.05)
            time.sleep(1.5 + 3 * chance.random())
            killed_ns = time.time_ns()
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            found = open_log(log)
            for name, spec in found.streams.items():
                newest = max(
                    int(each.item.t_ns[-1]) for each in StreamReader(found.parts, spec) if isinstance(each.item, Chunk)
                )
                worst[name].append((killed_ns - newest) / 1e9)
            whole = log.with_suffix(".whole.mcap")
            n = recover(log, whole).n_messages
            assert n == sum(isinstance(each, LogMessage) for each in Scan(log))
            publish = {"wait_for_subscriber_s": 0.0}
            again, _ = replay_config(whole)
            again = again.model_copy(update={"publish": again.publish.model_copy(update=publish)})
            result = run(again, local=True, replay=ReplayChoice(whole, "max"))
            replayed += all(account.due > 0 for account in result.accounts.values())
    print(f"{trials} recorders killed; {replayed} logs recovered and replayed; seconds lost of each stream")
    for name, lost in worst.items():
        print(f"  {name:<8} median {statistics.median(lost):.2f}  worst {max(lost):.2f}")


def bench_cut(places: int) -> None:
    """Opened and read at each cut; a crash, a hang or a message that was never written would show."""
    chance = random.Random(500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.mcap"
        text = rig(record="{colour: lossless}")
        run(parse_config(text), local=True, duration_s=45.0, record=path, embed=False)
        whole = [(m.topic, m.log_time) for m in Scan(path) if isinstance(m, LogMessage)]
        size = path.stat().st_size
        took, fewest = [], 1.0
        cut = Path(folder) / "cut.mcap"
        data = path.read_bytes()
        refused = 0
        for _ in range(places):
            at = chance.randrange(1, size)
            cut.write_bytes(data[:at])
            begun = time.monotonic()
            try:
                found = [(m.topic, m.log_time) for m in Scan(cut) if isinstance(m, LogMessage)]
                assert found == whole[: len(found)]
                fewest = min(fewest, len(found) / len(whole) / (at / size))
            except LogError:
                refused += 1
            took.append(time.monotonic() - begun)
    print(
        f"{size / 1e6:.0f} MB, {len(whole):,} messages, cut at {places} places: {places - refused} read to their last "
        f"whole message, {refused} refused; slowest {max(took):.2f} s; never other messages than were written"
    )


if __name__ == "__main__":
    what = (sys.argv[1:2] or ["kill"])[0]
    if what == "kill":
        bench_kill(int((sys.argv[2:3] or ["20"])[0]))
    else:
        bench_cut(int((sys.argv[2:3] or ["500"])[0]))

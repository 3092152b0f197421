"""`subscribe` against a real publisher."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from stream_bind.cli.main import main
from stream_bind.messages import Embedding, Event
from stream_bind.wire.publisher import Publisher

HOP = 500_000_000


class Rig:
    """Publishes `messages` `delay_s` after somebody listens, then goes on beating until it is closed."""

    def __init__(self, endpoint, messages, delay_s=0.0):
        self.publisher = Publisher(endpoint, "bench")
        self.endpoint = self.publisher.endpoint
        self._messages, self._delay_s = messages, delay_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)
        self.publisher.close(0)

    def _run(self):
        waiting, heard = list(self._messages), None
        while not self._stop.is_set():
            self.publisher.beat()
            if waiting and self.publisher.subscribers:
                heard = heard or time.monotonic()
                if time.monotonic() - heard < self._delay_s:
                    continue
                for message in waiting:
                    (self.publisher.publish if isinstance(message, Embedding) else self.publisher.event)(message)
                waiting = []
            time.sleep(0.01)


def embedding(stream, window, trained=False):
    vector = np.zeros(4, np.float32)
    vector[window % 4] = 1
    end = window * HOP
    return Embedding("bench", stream, "ib", "vision", window, end - 4 * HOP, end, vector, model="ib@0", trained=trained)


def event(stream, window):
    end = window * HOP
    return Event("bench", stream, "ib", "starting", "half a window", window, window + 1, end - 4 * HOP, end)


MESSAGES = [event("cam", 1), embedding("cam", 2), embedding("cam2", 2), embedding("cam", 3)]


@pytest.fixture
def rig(tmp_path):
    with Rig("tcp://127.0.0.1:*", MESSAGES) as made:
        yield made


def test_json_lines_hold_the_header_the_topic_and_if_asked_the_vector(rig, capsys):
    assert main(["subscribe", rig.endpoint, "--count", "4", "--json", "--vectors"]) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    vectors = [line for line in lines if line["kind"] == "emb"]
    assert [(line["topic"], line["seq"], line["window"]) for line in vectors] == [
        ("emb/bench/cam/ib/", 0, 2),
        ("emb/bench/cam2/ib/", 0, 2),
        ("emb/bench/cam/ib/", 1, 3),
    ]
    assert vectors[0]["vector"] == [0, 0, 1, 0]
    assert vectors[0]["trained"] is False
    (why,) = [line for line in lines if line["kind"] == "evt"]
    assert (why["reason"], "vector" in why) == ("starting", False)
    assert "received 3 vectors and 1 events, lost 0" in err


def test_people_get_one_aligned_line_a_message_that_says_untrained(rig, capsys):
    assert main(["subscribe", rig.endpoint, "--count", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("00:00:00.500  cam ")
    assert "starting: half a window" in lines[0]
    assert "untrained" in lines[1]
    assert "d=4" in lines[1]
    assert lines[1].index("ib ") == lines[2].index("ib ")


def test_a_topic_prefix_narrows_what_comes(rig, capsys):
    assert main(["subscribe", rig.endpoint, "--topic", "emb/bench/cam/", "--count", "2", "--json"]) == 0
    assert {json.loads(line)["topic"] for line in capsys.readouterr().out.splitlines()} == {"emb/bench/cam/ib/"}


def test_idle_exit_counts_from_the_first_message(capsys):
    # The rig is silent for twice the idle time before it sends anything, and for ever after that.
    with Rig("tcp://127.0.0.1:*", MESSAGES, delay_s=0.8) as rig:
        assert main(["subscribe", rig.endpoint, "--idle-exit", "400ms", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_ctrl_c_ends_with_130_and_the_summary(rig):
    command = [sys.executable, "-u", "-m", "stream_bind.cli", "subscribe", rig.endpoint]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        for _ in MESSAGES:
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "received 3 vectors and 1 events, lost 0" in err
    assert "Traceback" not in err

"""docs/protocol.md keeps its word: its Python consumer, which knows nothing of stream-bind, reads our publisher."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stream_bind.messages import Event
from stream_bind.wire.publisher import Publisher

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"


@pytest.fixture
def consumer(tmp_path):
    """Starts the document's Python consumer on an endpoint; its lines are in `.lines` as they come."""
    pytest.importorskip("msgpack", reason="the document's consumer reads headers with the msgpack package")
    script = tmp_path / "consumer.py"
    script.write_text(DOCUMENT.read_text().split("```python")[1].split("```")[0])
    processes = []

    def start(endpoint):
        process = subprocess.Popen([sys.executable, script, endpoint], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_the_documents_consumer_reads_vectors_and_notices_a_loss(consumer, tmp_path, vector):
    with Publisher(f"ipc://{tmp_path}/wire", "headset") as publisher:
        publisher.publish(vector("cam", 0))
        process = consumer(publisher.endpoint)
        for _ in range(1000):
            publisher.socket.poll(10)
            publisher.beat()
            if any(topic.startswith(b"~") for topic in publisher._subscriptions):
                break
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(process.stdout.readline() for _ in range(3)))
        reader.start()
        publisher.publish(vector("cam", 1))
        # As if two messages had been dropped on the way.
        publisher._last["emb/headset/cam/ib/"] += 2
        publisher.publish(vector("cam", 4, trained=False))
        publisher.event(Event("headset", "cam", "ib", "late"))
        reader.join(20)
        assert lines == [
            "emb/headset/cam/ib/ t_end=500000000 dim=1024 first=1\n",
            "emb/headset/cam/ib/ lost 2\n",
            "emb/headset/cam/ib/ t_end=2000000000 dim=1024 first=1 (untrained)\n",
        ]

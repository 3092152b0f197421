"""Publishers and subscribers on real sockets, over each transport."""

from __future__ import annotations

import numpy as np
import pytest
import zmq

from stream_bind.errors import WireError
from stream_bind.messages import Embedding
from stream_bind.wire.context import end_context
from stream_bind.wire.publisher import Publisher
from stream_bind.wire.subscriber import Subscriber

HOP = 500_000_000


class Wire:
    """Makes publishers and subscribers that share one context, and closes them."""

    def __init__(self, endpoint: str) -> None:
        self.bind = endpoint
        self.context = zmq.Context()
        self._made = []

    def publisher(self, rig="headset", endpoint=None, **options):
        publisher = Publisher(endpoint or self.bind, rig, context=self.context, **options)
        self._made.append(publisher)
        return publisher

    def subscriber(self, publisher, topics=("emb/",), **options):
        subscriber = Subscriber(publisher.endpoint, topics, context=self.context, **options)
        self._made.append(subscriber)
        return subscriber

    def joined(self, publisher, topics=("emb/",), **options):
        subscriber = self.subscriber(publisher, topics, **options)
        greet(publisher, subscriber)
        return subscriber

    def close(self):
        for end in self._made:
            end.close()
        end_context(self.context)


def greet(publisher, *subscribers):
    """Let the publisher greet the subscribers, all in one thread."""
    for _ in range(1000):
        publisher.beat()
        for subscriber in subscribers:
            if not subscriber.live:
                try:
                    subscriber.wait_live(0.01)
                except WireError:
                    pass
        if all(subscriber.live for subscriber in subscribers):
            return
    raise AssertionError("the subscribers never became live")


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def wire(request, tmp_path):
    wire = Wire({"inproc": "inproc://wire", "ipc": f"ipc://{tmp_path}/wire", "tcp": "tcp://127.0.0.1:*"}[request.param])
    yield wire
    wire.close()


@pytest.fixture
def tcp():
    wire = Wire("tcp://127.0.0.1:*")
    yield wire
    wire.close()


@pytest.fixture
def inproc():
    wire = Wire("inproc://wire")
    yield wire
    wire.close()


@pytest.fixture
def join():
    """Let a publisher greet its subscribers: `join(publisher, subscriber)`."""
    return greet


@pytest.fixture
def vector():
    """A unit vector of a stream: `vector("cam", 3)`."""
    values = np.zeros(1024, np.float32)
    values[0] = 1.0

    def make(stream="cam", window=0, rig="headset", **more):
        t_end = window * HOP
        return Embedding(rig, stream, "ib", "vision", window, t_end - 4 * HOP, t_end, values, model="tiny@0", **more)

    return make


@pytest.fixture
def drain():
    """Everything a subscriber gets until nothing comes for a while."""

    def take(subscriber, quiet_s=0.15):
        messages = []
        while (message := subscriber.recv(quiet_s)) is not None:
            messages.append(message)
        return messages

    return take

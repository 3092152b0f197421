"""The end of a context: waited for, but not for ever."""

from __future__ import annotations

import threading
import time

import pytest
import zmq

from stream_bind.wire.context import end_context
from stream_bind.wire.publisher import Publisher
from stream_bind.wire.subscriber import Subscriber


def test_a_context_without_sockets_ends_at_once():
    context = zmq.Context()
    context.socket(zmq.PUB).close(linger=0)
    assert end_context(context)
    assert context.closed


def test_a_context_that_does_not_end_holds_nobody_up():
    """An open socket keeps it from ending as surely as libzmq's own miscount, which comes once in 2,000 times."""
    context = zmq.Context()
    socket = context.socket(zmq.PUB)
    assert not end_context(context, grace_s=0.1)
    socket.close(linger=0)
    for thread in threading.enumerate():
        if thread.name == "zmq-term":
            thread.join(5.0)
    assert context.closed


@pytest.mark.parametrize("end", ["publisher", "subscriber"])
def test_closing_comes_to_an_end_though_the_context_does_not(end):
    publisher = Publisher("tcp://127.0.0.1:*", "headset")
    subscriber = Subscriber(publisher.endpoint, ["emb/"])
    closed, other = (publisher, subscriber) if end == "publisher" else (subscriber, publisher)
    held = closed._context.socket(zmq.PUB)
    begun_s = time.monotonic()
    closed.close()
    assert time.monotonic() - begun_s < 60  # the machine may be slow; for ever is longer
    held.close(linger=0)
    other.close()

"""The subscriber on real sockets: nothing is missed unnoticed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
import zmq

from stream_bind.errors import WireError
from stream_bind.messages import Embedding, Event
from stream_bind.wire.message import Lane
from stream_bind.wire.publisher import Publisher
from stream_bind.wire.subscriber import Subscriber

HOP = 500_000_000


def lane(stream, **more):
    more.setdefault("first_window", 0)
    return Lane(stream=stream, encoder="ib", modality="vision", hop_ns=HOP, length_ns=4 * HOP, **more)


def test_everything_after_joining_arrives_in_order(wire, vector, drain):
    publisher = wire.publisher()
    publisher.publish(vector("cam", 0))
    subscriber = wire.joined(publisher)
    for i in range(1, 300):
        publisher.publish(vector("cam" if i % 3 else "mic", i))
    got = drain(subscriber)
    assert [embedding.window for embedding in got] == list(range(1, 300))
    assert subscriber.lost == 0


def test_a_slow_joiner_misses_nothing_once_it_is_live(wire, vector):
    publisher = wire.publisher()
    stop = threading.Event()
    sent = []

    def flood():
        while not stop.is_set():
            publisher.beat()
            sent.append(publisher.publish(vector("cam", len(sent))).seq)
            time.sleep(0.0005)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(5):
            subscriber = wire.subscriber(publisher)
            subscriber.wait_live(10)
            seen_when_live = len(sent)
            got = [subscriber.recv(5).seq for _ in range(200)]
            assert got == list(range(got[0], got[0] + 200))
            assert got[0] <= seen_when_live
            assert subscriber.lost == 0
    finally:
        stop.set()
        thread.join()


def test_a_subscriber_may_come_before_its_publisher(tmp_path, join, vector, drain):
    # libzmq then sends the topics in byte order, "tag/" after "meta/": the welcome has to come last all the same.
    subscriber = Subscriber(f"ipc://{tmp_path}/early", ("tag/", "emb/"))
    assert subscriber.recv(0.1) is None
    with Publisher(subscriber.endpoint, "headset") as publisher:
        join(publisher, subscriber)
        assert {"tag/", "emb/"} <= {topic.decode() for topic in publisher._subscriptions}
        publisher.publish(vector())
        assert len(drain(subscriber)) == 1
    subscriber.close()


def test_two_subscribers_get_the_same(wire, vector, drain):
    publisher = wire.publisher()
    one, other = wire.joined(publisher), wire.joined(publisher)
    for i in range(20):
        publisher.publish(vector("cam", i))
    assert [e.window for e in drain(one)] == [e.window for e in drain(other)] == list(range(20))


def test_a_topic_with_its_slash_is_one_stream_and_without_it_a_prefix(wire, vector, drain):
    publisher = wire.publisher()
    exact = wire.joined(publisher, ("emb/headset/cam1/",))
    prefix = wire.joined(publisher, "emb/headset/cam1")
    for stream in ("cam1", "cam10", "cam2"):
        publisher.publish(vector(stream))
    assert {e.stream for e in drain(exact)} == {"cam1"}
    assert {e.stream for e in drain(prefix)} == {"cam1", "cam10"}


def test_events_come_only_when_they_are_asked_for(wire, vector, drain):
    publisher = wire.publisher()
    plain, both = wire.joined(publisher), wire.joined(publisher, ("emb/", "evt/"))
    publisher.publish(vector())
    publisher.event(Event("headset", "cam", "ib", "dropped", window=1, to_window=3))
    assert [type(m) for m in drain(plain)] == [Embedding]
    got = drain(both)
    assert [type(m) for m in got] == [Embedding, Event]
    assert got[1].to_window == 3
    assert plain.lost == both.lost == 0


def test_the_header_of_the_last_message_is_there_as_it_came(wire, vector):
    publisher = wire.publisher()
    subscriber = wire.joined(publisher)
    assert subscriber.header == {}
    publisher.publish(vector("cam", 3, timing={"closed": 9}))
    subscriber.recv(2)
    assert subscriber.topic == "emb/headset/cam/ib/"
    assert subscriber.header["dtype"] == "<f4"
    assert subscriber.header["dim"] == 1024
    assert subscriber.header["timing"] == {"closed": 9}


@pytest.mark.parametrize("more_follows", [False, True])
def test_what_a_slow_subscriber_loses_at_its_high_water_mark_is_counted(wire, vector, drain, more_follows):
    publisher = wire.publisher(hwm=10)
    found = []
    subscriber = wire.joined(publisher, hwm=10, on_loss=found.append)
    n = 4000
    for i in range(n):
        publisher.publish(vector("cam", i))
    # Only the tail is missing: nothing that arrived can say so.
    got = len(drain(subscriber))
    assert 0 < got < n
    assert subscriber.lost == 0 or wire.bind != "inproc://wire"
    if more_follows:
        publisher.publish(vector("cam", n))
        got += len(drain(subscriber))
        n += 1
    else:
        publisher._send_heartbeat(closing=False)
        assert drain(subscriber) == []
    assert subscriber.lost == n - got
    assert sum(loss.count for loss in found) == sum(loss.count for loss in subscriber.gaps) == subscriber.lost


def test_a_publisher_that_starts_anew_is_noticed_and_counts_from_nought(tcp, vector, drain):
    first = tcp.publisher(epoch=1)
    subscriber = tcp.joined(first)
    first.publish(vector("cam", 0))
    first.close()
    assert len(drain(subscriber)) == 1
    assert subscriber.closed_by_publisher
    second = tcp.publisher(epoch=2)
    for i in range(1, 4):
        second.publish(vector("cam", i))
    second.socket.bind(subscriber.endpoint)  # only now, so that the three are lost for certain
    got = []
    for i in range(4, 300):
        second.beat()
        second.publish(vector("cam", i))
        got += [m for m in [subscriber.recv(0.02)] if m]
        if len(got) > 5:
            break
    assert subscriber.restarts == 1
    assert not subscriber.closed_by_publisher
    # What the new publisher sent before we were connected again is lost, and said to be.
    assert subscriber.lost == got[0].seq >= 3


def test_damaged_messages_are_counted_and_passed_over(wire, vector, drain, caplog):
    publisher = wire.publisher()
    subscriber = wire.joined(publisher)
    publisher.publish(vector("cam", 0))
    for junk in ([b"emb/headset/cam/ib/", b"junk", b""], [b"emb/"], [b"emb/headset/cam/ib/", b"\x80", b""]):
        publisher.socket.send_multipart(junk)
    publisher.publish(vector("cam", 1))
    assert [e.window for e in drain(subscriber)] == [0, 1]
    assert subscriber.malformed == 3
    assert len([r for r in caplog.records if "could not be read" in r.message]) == 1


def test_waiting_ends_with_a_sentence_when_it_is_given_a_time(caplog):
    with pytest.raises(WireError, match=r"no publisher answered at tcp://127\.0\.0\.1:9 within 0\.05 s"):
        Subscriber("tcp://127.0.0.1:9", timeout_s=0.05).__enter__()


def test_a_silent_link_is_made_anew(tcp, vector, join, monkeypatch):
    publisher = tcp.publisher()
    subscriber = tcp.joined(publisher)
    monkeypatch.setattr("stream_bind.wire.subscription.SILENCE_S", 0.05)
    publisher.beat()
    while subscriber.recv(0.01) is None and not publisher.socket.poll(0):
        pass
    subscriber._intake.live = False
    join(publisher, subscriber)
    publisher.publish(vector("cam", 0))
    assert subscriber.recv(2).window == 0
    assert subscriber.lost == 0


def test_no_zmtp_heartbeats_which_abort_a_stalled_subscriber(tcp):
    # libzmq#3937: a subscriber at its high-water mark for longer than the timeout dies of a failed assertion.
    publisher = tcp.publisher()
    assert tcp.subscriber(publisher)._socket.getsockopt(zmq.HEARTBEAT_IVL) == 0
    assert publisher.socket.getsockopt(zmq.HEARTBEAT_IVL) == 0


def test_receiving_ends_without_a_message_after_its_time(wire):
    publisher = wire.publisher()
    assert wire.joined(publisher).recv(0.01) is None


@pytest.mark.parametrize("endpoint", ["", "nonsense", "tcp://127.0.0.1", "http://x:1"])
def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(WireError, match="is no endpoint to connect to"):
        Subscriber(endpoint)


def test_binding_gives_what_all_streams_have_for_one_moment(wire, join, vector):
    publisher = wire.publisher()
    publisher.set_meta([lane("cam"), lane("mic"), lane("imu", outage=None)])
    publisher.event(Event("headset", "imu", "ib", "outage", window=2))
    subscriber = wire.joined(publisher)
    moments = subscriber.bound(timeout_s=5)
    join(publisher, subscriber)
    for i in (4, 5):
        publisher.publish(vector("cam", i))
        publisher.publish(vector("mic", i))
    publisher.publish(vector("cam", 6))
    publisher.event(Event("headset", "mic", "ib", "dropped", window=6, to_window=7))
    got = [next(moments) for _ in range(3)]
    assert [bound.t_end for bound in got] == [4 * HOP, 5 * HOP, 6 * HOP]
    assert set(got[0]) == {("cam", "ib"), ("mic", "ib")}
    assert got[0].absent == {("imu", "ib"): "outage"}
    assert got[2].absent == {("imu", "ib"): "outage", ("mic", "ib"): "dropped"}


def test_binding_waits_no_longer_than_it_is_told(wire, vector):
    publisher = wire.publisher()
    publisher.set_meta([lane("cam"), lane("mic")])
    subscriber = wire.joined(publisher)
    moments = subscriber.bound(timeout_s=0.05)
    publisher.publish(vector("cam", 4))
    assert next(moments).absent == {("mic", "ib"): "timeout"}


PUBLISHER = """
import sys, time, numpy as np
from stream_bind.messages import Embedding
from stream_bind.wire.publisher import Publisher
v = np.zeros(8, np.float32); v[0] = 1
with Publisher(sys.argv[1], "headset") as publisher:
    for i in range(100_000):
        publisher.beat()
        publisher.publish(Embedding("headset", "cam", "ib", "vision", i, 0, 0, v))
        time.sleep(0.002)
"""


def test_a_killed_publisher_in_another_process_is_noticed_when_it_is_back(tmp_path):
    endpoint = f"ipc://{tmp_path}/other"

    def start():
        return subprocess.Popen([sys.executable, "-c", PUBLISHER, endpoint])

    process = start()
    try:
        with Subscriber(endpoint, timeout_s=60) as subscriber:
            first = [subscriber.recv(10) for _ in range(50)]
            assert [m.seq for m in first] == list(range(first[0].seq, first[0].seq + 50))
            assert subscriber.lost == 0
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start()
            while (message := subscriber.recv(30)).epoch == first[0].epoch:
                pass
            assert subscriber.restarts == 1
            assert subscriber.lost == message.seq
            later = [subscriber.recv(10).seq for _ in range(50)]
            assert later == list(range(message.seq + 1, message.seq + 51))
    finally:
        process.kill()
        process.wait()


def test_the_publisher_of_a_context_manager_closes_it(tmp_path):
    with Publisher(f"ipc://{tmp_path}/one", "headset") as publisher:
        assert publisher.endpoint.startswith("ipc://")
    assert publisher.socket.closed

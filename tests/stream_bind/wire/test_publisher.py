"""The publisher, seen by bare ZeroMQ sockets: what goes out, when, and what it refuses."""

from __future__ import annotations

import dataclasses
import socket

import pytest
import zmq

from stream_bind.clock import ManualClock
from stream_bind.errors import WireError
from stream_bind.messages import Event
from stream_bind.wire.message import Announcement, Heartbeat, Lane, decode

LANE = Lane(stream="cam", encoder="ib", modality="vision", hop_ns=500_000_000, length_ns=2_000_000_000)


@pytest.fixture
def bare(tcp):
    """A plain SUB socket on a publisher, with the publisher's greeting already behind it or not."""
    sockets = []

    def connect(publisher, *topics):
        sub = tcp.context.socket(zmq.SUB)
        sockets.append(sub)
        sub.connect(publisher.endpoint)
        for topic in topics:
            sub.subscribe(topic)
        before = dict(publisher._subscriptions)
        for _ in range(500):
            publisher.socket.poll(10)
            publisher.beat()
            if sum(publisher._subscriptions.values()) >= sum(before.values()) + len(topics):
                break
        return sub

    yield connect
    for sub in sockets:
        sub.close(linger=0)


def read(sub, timeout_ms=2000):
    assert sub.poll(timeout_ms), "nothing came"
    return sub.recv_multipart()


def read_all(sub, quiet_ms=100):
    frames = []
    while sub.poll(quiet_ms):
        frames.append(sub.recv_multipart())
    return frames


def test_messages_are_numbered_per_topic_within_an_epoch(tcp, vector):
    publisher = tcp.publisher(epoch=77)
    sent = [publisher.publish(vector("cam", i)) for i in range(3)]
    assert [embedding.seq for embedding in sent] == [0, 1, 2]
    assert publisher.publish(vector("mic")).seq == 0
    assert publisher.event(Event("headset", "cam", "ib", "late")).seq == 0
    assert {embedding.epoch for embedding in sent} == {77}


def test_the_time_of_publishing_is_the_hosts_time_at_sending(tcp, vector):
    clock = ManualClock(unix_ns=1_790_000_000_000_000_000)
    publisher = tcp.publisher(clock=clock)
    assert publisher.epoch == 1_790_000_000_000_000_000
    clock.advance(2.5)
    assert publisher.publish(vector()).t_pub == 1_790_000_002_500_000_000


def test_a_heartbeat_goes_out_once_a_second_with_the_last_seq_of_every_topic(tcp, bare, vector):
    clock = ManualClock()
    publisher = tcp.publisher(clock=clock, epoch=5)
    sub = bare(publisher, "hb/")
    read_all(sub)
    clock.advance(1.0)
    for i in range(3):
        publisher.publish(vector("cam", i))
    publisher.event(Event("headset", "cam", "ib", "late"))
    assert publisher.beat() == pytest.approx(1.0)
    clock.advance(0.6)
    assert publisher.beat() == pytest.approx(0.4)
    (frames,) = read_all(sub)
    assert frames[0] == b"hb/headset/"
    assert decode(frames) == Heartbeat(
        rig="headset", epoch=5, t_pub=10**9, last={"emb/headset/cam/ib/": 2, "evt/headset/cam/": 0}
    )


@pytest.mark.parametrize("topic", ["meta/", "meta/headset/", ""])
def test_each_new_subscriber_of_meta_is_told_at_once(tcp, bare, topic):
    publisher = tcp.publisher()
    publisher.set_meta([LANE])
    for _ in range(2):
        metas = [decode(frames) for frames in read_all(bare(publisher, topic)) if frames[0].startswith(b"meta/")]
        assert isinstance(metas[0], Announcement)
        assert metas[0].streams[0].topic == "emb/headset/cam/ib/"
        assert metas[0].backfill is None


def test_a_private_topic_is_answered_under_its_own_name(tcp, bare):
    publisher = tcp.publisher()
    publisher.set_meta([LANE])
    one, other = bare(publisher, "~one"), bare(publisher, "~other")
    assert read(one)[0] == b"~one"
    frames = read(other)
    assert frames[0] == b"~other"
    assert decode(frames).streams[0].stream == "cam"
    assert read_all(one) == read_all(other) == []


def test_a_private_topic_of_any_length_is_not_answered(tcp, bare):
    assert read_all(bare(tcp.publisher(), "~" + "x" * 100)) == []


def test_a_change_of_meta_is_sent_to_all(tcp, bare):
    publisher = tcp.publisher()
    sub = bare(publisher, "meta/")
    read_all(sub)
    publisher.set_meta([LANE])
    assert decode(read(sub)).streams[0].first_window is None


def test_the_meta_tells_of_an_outage_as_long_as_it_goes_on(tcp, bare, vector):
    publisher = tcp.publisher()
    publisher.set_meta([LANE])

    def outage():
        return decode(read(bare(publisher, "meta/"))).streams[0].outage

    assert outage() is None
    publisher.event(Event("headset", "cam", "ib", "outage", window=10))
    assert outage() == 10
    publisher.event(Event("headset", "cam", "ib", "dropped", window=5, to_window=7))
    assert outage() == 10
    publisher.event(Event("headset", "cam", "ib", "outage", window=10, to_window=12))
    assert outage() is None
    publisher.event(Event("headset", "cam", "", "outage", window=20))
    assert outage() == 20
    publisher.event(Event("headset", "cam", "", "outage", window=20, to_window=21))
    publisher.event(Event("headset", "cam", "ib", "outage", window=30))
    publisher.publish(vector("cam", 31))
    assert outage() is None


def test_subscribers_are_counted_up_and_down(tcp, bare):
    publisher = tcp.publisher()
    assert publisher.subscribers == 0
    assert not publisher.subscribed("emb/headset/cam/")
    first, _ = bare(publisher, "emb/", "meta/"), bare(publisher, "emb/headset/cam/", "meta/")
    assert publisher.subscribers == 2
    assert publisher.subscribed("emb/headset/cam/")
    assert publisher.subscribed("emb/")
    assert not publisher.subscribed("evt/")
    first.close(linger=0)
    for _ in range(100):
        publisher.socket.poll(20)
        publisher.beat()
        if publisher.subscribers == 1:
            break
    assert publisher.subscribers == 1


def test_half_precision_is_announced_and_sent(tcp, bare, vector):
    publisher = tcp.publisher(dtype="<f2")
    publisher.set_meta([LANE])
    sub = bare(publisher, "emb/", "meta/")
    assert decode(read(sub)).streams[0].dtype == "<f2"
    publisher.publish(vector())
    assert len(read(sub)[2]) == 2048


def test_the_last_message_says_that_it_is_the_last(tcp, bare, vector):
    publisher = tcp.publisher()
    sub = bare(publisher, "")
    publisher.publish(vector())
    publisher.close()
    publisher.close()
    last = decode(read_all(sub)[-1])
    assert last.closing
    assert last.last == {"emb/headset/cam/ib/": 0}


def test_a_port_in_use_is_refused_with_the_setting_to_change(tcp):
    publisher = tcp.publisher()
    with pytest.raises(WireError, match=rf"publish\.endpoint: {publisher.endpoint} is in use"):
        tcp.publisher(endpoint=publisher.endpoint)


def test_a_path_in_use_is_not_taken_away(wire, tmp_path):
    first = wire.publisher(endpoint=f"ipc://{tmp_path}/in_use")
    with pytest.raises(WireError, match="is in use"):
        wire.publisher(endpoint=first.endpoint)


def test_a_path_left_behind_is_taken_over(tcp, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/left")
    tcp.publisher(endpoint=f"ipc://{tmp_path}/left")


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("ipc:///nowhere/at/all", "directory does not exist"),
        ("tcp://[::1:5", "no tcp endpoint"),
        ("nonsense", "is no endpoint"),
    ],
)
def test_an_endpoint_that_cannot_be_bound_is_explained(tcp, endpoint, says):
    with pytest.raises(WireError, match=says):
        tcp.publisher(endpoint=endpoint)


def test_the_network_is_refused_unless_it_is_asked_for(tcp):
    with pytest.raises(WireError, match=r"publish\.insecure"):
        tcp.publisher(endpoint="tcp://*:*")
    assert tcp.publisher(endpoint="tcp://*:*", insecure=True).endpoint.startswith("tcp://")


def test_what_cannot_be_sent_takes_no_number(tcp, vector):
    publisher = tcp.publisher()
    bad = vector()
    with pytest.raises(WireError, match="length 1"):
        publisher.publish(dataclasses.replace(bad, vector=bad.vector * 2))
    with pytest.raises(WireError, match="rig 'other'"):
        publisher.publish(vector(rig="other"))
    with pytest.raises(WireError):
        publisher.event(Event("headset", "cam", "ib", "no reason"))
    assert publisher.publish(vector()).seq == 0

"""Binding in time: a moment is given out when it is settled, in order, and never waits for ever."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.messages import Embedding, Event
from stream_bind.wire.bound import Binder
from stream_bind.wire.message import Announcement, Lane

HOP = 500_000_000
SECOND = 1_000_000_000


def lane(stream, hop=HOP, **more):
    more.setdefault("first_window", 0)
    return Lane(
        stream=stream,
        encoder="ib",
        modality="vision",
        topic=f"emb/r/{stream}/ib/",
        hop_ns=hop,
        length_ns=2 * SECOND,
        **more,
    )


def meta(*lanes):
    return Announcement(rig="r", epoch=1, t_pub=0, version="", last={}, streams=list(lanes))


def vector(stream, window, hop=HOP):
    return Embedding("r", stream, "ib", "vision", window, window * hop - 2 * SECOND, window * hop, np.ones(1, "f4"))


def event(stream, window, to_window, reason="outage", encoder="ib"):
    return Event("r", stream, encoder, reason, window=window, to_window=to_window)


class Rig:
    """A binder and a clock to feed it by."""

    def __init__(self, *lanes, topics=("",)):
        self.binder = Binder(5.0, lambda topic: topic.startswith(tuple(topics)))
        self.now_ns = 0
        if lanes:
            self.feed(meta(*lanes))

    def feed(self, *messages):
        return [bound for message in messages for bound in self.binder.feed(message, self.now_ns)]

    def after(self, seconds):
        self.now_ns += round(seconds * 1e9)
        return list(self.binder.expire(self.now_ns))


def test_a_moment_is_complete_when_every_lane_has_its_vector():
    rig = Rig(lane("cam"), lane("mic"))
    assert rig.feed(vector("cam", 4)) == []
    (bound,) = rig.feed(vector("mic", 4))
    assert bound.complete
    assert set(bound) == {("cam", "ib"), ("mic", "ib")}
    assert bound.t_end == 4 * HOP
    assert bound.of("ib")["mic"].window == 4


def test_an_event_settles_a_lane():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(vector("cam", 4))
    (bound,) = rig.feed(event("mic", 4, 5, "dropped"))
    assert bound.absent == {("mic", "ib"): "dropped"}
    assert not bound.complete


def test_an_event_that_came_before_the_moment_settles_it_too():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(event("mic", 3, 9, "clip_error"))
    (bound,) = rig.feed(vector("cam", 4))
    assert bound.absent == {("mic", "ib"): "clip_error"}


def test_an_outage_that_goes_on_is_not_waited_for_until_it_ends():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(event("mic", 4, None))
    assert len(rig.feed(vector("cam", 4))) == 1
    assert rig.feed(event("mic", 4, 6)) == []
    assert len(rig.feed(vector("cam", 5))) == 1
    assert rig.feed(vector("cam", 6)) == []
    assert len(rig.feed(vector("mic", 6))) == 1


def test_a_late_joiner_learns_of_a_going_outage_from_the_meta():
    rig = Rig(lane("cam"), lane("mic", outage=2))
    assert len(rig.feed(vector("cam", 4))) == 1


def test_an_event_without_an_encoder_settles_all_lanes_of_its_stream():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(vector("cam", 4))
    assert len(rig.feed(event("mic", 4, 5, encoder=""))) == 1


def test_a_later_vector_of_a_lane_settles_the_earlier_ones_as_lost():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(vector("cam", 4), vector("cam", 5))
    first, second = rig.feed(vector("mic", 5))
    assert first.absent == {("mic", "ib"): "lost"}
    assert second.complete


def test_a_lane_that_says_nothing_is_waited_for_up_to_the_timeout():
    rig = Rig(lane("cam"), lane("mic"))
    rig.feed(vector("cam", 4))
    assert rig.after(4.9) == []
    assert rig.binder.deadline_ns() == 5 * SECOND
    (bound,) = rig.after(0.2)
    assert bound.absent == {("mic", "ib"): "timeout"}
    assert rig.feed(vector("mic", 4)) == []
    assert rig.binder.late == 1


def test_moments_come_in_order():
    rig = Rig(lane("cam"), lane("mic", hop=4 * HOP))
    rig.feed(vector("cam", 4), vector("cam", 5))
    given_out = rig.feed(vector("mic", 1, hop=4 * HOP))
    assert [bound.t_end // HOP for bound in given_out] == [4, 5]
    assert all(bound.complete for bound in given_out)


def test_an_older_moment_that_only_a_slow_lane_has_is_not_overtaken():
    rig = Rig(lane("cam"), lane("imu", hop=2 * HOP))
    rig.feed(vector("imu", 1, hop=2 * HOP), vector("cam", 2))
    rig.feed(vector("cam", 3), event("cam", 4, 5, "dropped"))
    assert rig.feed(vector("cam", 5)) == []
    given_out = rig.feed(vector("imu", 2, hop=2 * HOP))
    assert [bound.t_end // HOP for bound in given_out] == [4, 5]
    assert rig.binder.late == 0


def test_lanes_are_waited_for_only_within_their_grid():
    rig = Rig(lane("cam"), lane("mic", first_window=5), lane("imu", end_window=4), lane("depth", first_window=None))
    assert len(rig.feed(vector("cam", 4))) == 1


def test_lanes_that_are_not_subscribed_are_not_waited_for():
    rig = Rig(lane("cam"), lane("mic"), topics=("emb/r/cam/",))
    assert len(rig.feed(vector("cam", 4))) == 1


def test_before_the_meta_nothing_is_called_complete():
    rig = Rig()
    assert rig.feed(vector("cam", 4)) == []
    (bound,) = rig.after(5.0)
    assert not bound.complete
    assert set(bound) == {("cam", "ib")}


def test_a_notice_settles_nothing():
    rig = Rig(lane("cam"), lane("mic"))
    assert rig.feed(vector("cam", 4), event("mic", None, None, "late")) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_vector_is_given_out_once_however_lanes_interleave(data):
    n = 8
    rig = Rig(lane("cam"), lane("mic"), lane("imu", hop=2 * HOP))
    queues = []
    for stream, hop in (("cam", 1), ("mic", 1), ("imu", 2)):
        fates = [data.draw(st.sampled_from(["vector", "event", "lost"])) for _ in range(n // hop)]
        queues.append(
            [
                vector(stream, i, hop=hop * HOP) if fate == "vector" else event(stream, i, i + 1, "dropped")
                for i, fate in enumerate(fates)
                if fate != "lost"
            ]
        )
    sent = [message for queue in queues for message in queue if isinstance(message, Embedding)]
    bounds, first = [], None
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        message = queue.pop(0)
        if first is None:
            first = message.window * (2 * HOP if message.stream == "imu" else HOP)
        bounds += rig.feed(message)
    bounds += rig.after(5.0)
    times = [bound.t_end for bound in bounds]
    assert times == sorted(set(times))
    given_out = {id(embedding) for bound in bounds for embedding in bound.values()}
    late = [embedding for embedding in sent if id(embedding) not in given_out]
    # Only what a slow lane still had from before the first message heard of may come too late.
    assert len(late) == rig.binder.late
    assert all(embedding.t_end < first for embedding in late)

"""Loss is found exactly once and never made up, whatever is dropped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.wire.sequence import Loss, SequenceTracker

A, B, C = "emb/r/a/x/", "emb/r/b/x/", "tag/r/c/"
WATCHED = ("emb/",)


def test_a_hole_is_a_loss_once():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {}, WATCHED)
    assert tracker.receive("r", 1, A, 0) == (True, None)
    assert tracker.receive("r", 1, A, 3) == (True, Loss(A, 1, 1, 3))
    assert tracker.heartbeat("r", 1, {A: 3}) == []
    assert tracker.receive("r", 1, A, 4) == (True, None)


def test_a_lost_tail_shows_in_the_heartbeat():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {A: 9}, WATCHED)
    assert tracker.heartbeat("r", 1, {A: 12, B: 1, C: 5}) == [Loss(A, 1, 10, 13), Loss(B, 1, 0, 2)]
    assert tracker.receive("r", 1, A, 13) == (True, None)


def test_a_late_joiner_has_lost_nothing_of_what_came_before():
    tracker = SequenceTracker()
    assert tracker.receive("r", 1, A, 100) == (True, None)
    assert tracker.welcome("r", 1, {A: 100, B: 40}, WATCHED) == []
    assert tracker.receive("r", 1, B, 41) == (True, None)


def test_a_topic_that_begins_after_the_welcome_counts_from_its_first_message():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {}, WATCHED)
    assert tracker.receive("r", 1, A, 2) == (True, Loss(A, 1, 0, 2))


def test_without_a_welcome_a_topic_counts_from_what_came_first():
    tracker = SequenceTracker()
    assert tracker.heartbeat("r", 1, {A: 5}) == []
    assert tracker.receive("r", 1, A, 7) == (True, None)
    assert tracker.heartbeat("r", 1, {A: 8}) == [Loss(A, 1, 8, 9)]


def test_a_restarted_publisher_counts_from_nought():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {A: 9}, WATCHED)
    assert tracker.receive("r", 2, A, 2) == (True, Loss(A, 2, 0, 2))
    assert tracker.restarts == 1


def test_a_message_that_comes_twice_is_a_repeat():
    tracker = SequenceTracker()
    tracker.receive("r", 1, A, 7)
    assert tracker.receive("r", 1, A, 7) == (False, None)
    assert tracker.repeated == 1


def test_topics_added_later_count_from_their_own_welcome():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {A: 3, C: 8}, WATCHED)
    assert tracker.heartbeat("r", 1, {A: 3, C: 9}) == []
    assert tracker.welcome("r", 1, {A: 4, C: 10}, (*WATCHED, "tag/")) == [Loss(A, 1, 4, 5)]
    assert tracker.receive("r", 1, C, 12) == (True, Loss(C, 1, 11, 12))


def test_rigs_are_followed_apart():
    tracker = SequenceTracker()
    tracker.welcome("r", 1, {}, WATCHED)
    assert tracker.receive("s", 2, "emb/s/a/x/", 5) == (True, None)
    assert tracker.receive("r", 1, A, 0) == (True, None)
    assert tracker.restarts == 0


OPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["send a", "send b", "send c", "beat"]), st.booleans()),
        st.tuples(st.sampled_from(["join", "restart"]), st.just(True)),
    ),
    max_size=60,
)


@settings(max_examples=500, deadline=None)
@given(OPS)
def test_exactly_what_was_dropped_is_reported(ops):
    tracker = SequenceTracker()
    epoch, joined = 1, False
    sent: dict[str, int] = {}
    # Per epoch and topic: what arrived, from where it counts, and up to where something later proved what was sent.
    arrived: dict[tuple[int, str], set[int]] = {}
    counts_from: dict[tuple[int, str], int] = {}
    proven: dict[tuple[int, str], int] = {}
    losses: list[Loss] = []

    def prove():
        for topic, last in sent.items():
            if (epoch, topic) in counts_from:
                proven[epoch, topic] = last

    for op, arrives in [*ops, ("beat", True)]:
        if op == "restart":
            epoch += 1
            sent = {}
        elif op == "join":
            for topic in (A, B):
                counts_from.setdefault((epoch, topic), sent.get(topic, -1) + 1)
            joined = True
            prove()
            losses += tracker.welcome("r", epoch, dict(sent), WATCHED)
        elif op == "beat":
            if arrives:
                prove()
                losses += tracker.heartbeat("r", epoch, dict(sent))
        else:
            topic = {"send a": A, "send b": B, "send c": C}[op]
            seq = sent[topic] = sent.get(topic, -1) + 1
            if not arrives:
                continue
            counts_from.setdefault((epoch, topic), 0 if joined and topic != C else seq)
            arrived.setdefault((epoch, topic), set()).add(seq)
            proven[epoch, topic] = seq
            new, loss = tracker.receive("r", epoch, topic, seq)
            assert new
            losses += [loss] if loss else []
        if joined:
            for topic in (A, B):
                counts_from.setdefault((epoch, topic), 0)

    reported = [(loss.epoch, loss.topic, seq) for loss in losses for seq in range(loss.from_seq, loss.to_seq)]
    truth = {
        (key[0], key[1], seq)
        for key, last in proven.items()
        for seq in range(counts_from[key], last + 1)
        if seq not in arrived.get(key, ())
    }
    assert len(reported) == len(set(reported))
    assert set(reported) == truth

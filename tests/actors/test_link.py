"""Capture, encode and publish over real sockets: whatever dies, every due window arrives exactly once and in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actors.mailbox import SILENT_S
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk

S = 1_000_000_000

# 4 s of samples from 0: windows of 1 s on hops of 0.5 s, so 1 is starting, 2 to 8 are whole, 9 is ending.
WHOLE = list(range(2, 9))


@pytest.fixture
def four_seconds(feed: Callable[..., None], probe: dict[str, Any]) -> Callable[[str], None]:
    def put(stream: str = "a") -> None:
        feed(stream, *[probe["samples"](0.1 * k, 0.1 * (k + 1)) for k in range(40)], probe["end"])

    return put


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hole is reported after 0.4 s instead of 3."""
    monkeypatch.setattr("actors.order.GRACE_S", 0.4)


@pytest.mark.parametrize("transport", ["inproc", "ipc", "tcp"])
def test_every_due_window_becomes_a_vector_or_an_event(transport, make_rig, four_seconds) -> None:
    rig = make_rig(transport)
    rig.capture()
    rig.worker()
    four_seconds()
    rig.run_out()
    assert rig.fates() == [("starting", 1, 2), *[("vector", w, w + 1) for w in WHOLE], ("ending", 9, 10)]
    assert [m.seq for m in rig.sent if m.kind == "emb"] == list(range(7))
    (lane,) = rig.publisher.health()["lanes"]
    assert (lane["due"], lane["vectors"], lane["events"]) == (9, 7, {"starting": 1, "ending": 1})


def test_a_worker_killed_with_clips_in_hand_loses_nothing(make_rig, four_seconds) -> None:
    rig = make_rig()
    rig.capture()
    first = rig.worker()
    four_seconds()
    rig.pump(lambda: len(first._ready) >= 4, compute=False)
    rig.kill_worker(first)
    rig.worker()
    rig.run_out()
    assert rig.windows() == WHOLE
    rig.assert_exactly_once()


def test_a_worker_killed_between_encode_and_publish_loses_nothing(make_rig, four_seconds, monkeypatch) -> None:
    rig = make_rig()
    rig.capture()
    first = rig.worker()
    monkeypatch.setattr(first._out, "send", lambda *_: None)  # encoded, and then the process is gone
    monkeypatch.setattr(first._publisher, "send", lambda *_: None)
    four_seconds()
    rig.pump(lambda: first._n_clips >= 4)
    rig.kill_worker(first)
    rig.worker()
    rig.run_out()
    assert rig.windows() == WHOLE
    rig.assert_exactly_once()


def test_a_worker_killed_between_publish_and_acknowledgement_repeats_nothing(
    make_rig, four_seconds, monkeypatch
) -> None:
    rig = make_rig()
    rig.capture()
    first = rig.worker()
    rig.pump(lambda: _met(rig, first))
    monkeypatch.setattr(first, "_tell", lambda *_: None)
    monkeypatch.setattr(first, "_from_publisher", lambda _: None)
    four_seconds()
    rig.pump(lambda: len(rig.windows()) >= 2)
    rig.kill_worker(first)
    rig.worker()
    rig.run_out()
    assert rig.windows() == WHOLE
    rig.assert_exactly_once()
    assert rig.publisher.health()["lanes"][0]["repeats"] >= 2


def _met(rig, worker, stream="a") -> bool:
    link = rig.captures[stream]._links.get(worker.life)
    return link is not None and link.met


def _lane(rig, stream="a"):
    return rig.captures[stream].sensors[0].lanes[0]


def test_leases_of_a_silent_worker_end_and_its_clips_go_on(make_rig, four_seconds) -> None:
    rig = make_rig()
    capture = rig.capture()
    frozen = rig.worker()
    four_seconds()
    rig.pump(lambda: len(frozen._ready) >= 4, compute=False)
    rig.workers.remove(frozen)  # SIGSTOP: connected, and mute
    rig.worker()
    started = time.monotonic()
    rig.run_out()
    assert SILENT_S - 0.6 <= time.monotonic() - started < SILENT_S + 3
    assert rig.windows() == WHOLE
    assert capture.sensors[0].lanes[0].mailbox.n_retried >= 4
    frozen.close_compute()
    frozen.close()


def test_a_worker_that_was_silent_and_comes_back_gets_no_more_than_its_capacity(
    make_rig, feed, probe, monkeypatch
) -> None:
    rig = make_rig()
    capture = rig.capture()
    worker = rig.worker(capacity=2)
    feed("a", probe["samples"](0, 20))
    rig.pump(lambda: len(rig.windows()) >= 20)
    rig.pump(lambda: len(worker._ready) == 2, compute=False)
    rig.workers.remove(worker)  # SIGSTOP
    rig.pump(lambda: worker.life not in capture._links)
    assert _lane(rig).mailbox.n_leased == 0
    rig.workers.append(worker)  # SIGCONT
    feed("a", probe["samples"](20, 30))
    rig.pump(lambda: _lane(rig).mailbox.n_leased > 0, compute=False)
    seen = time.monotonic() + 0.7
    rig.pump(lambda: time.monotonic() > seen, compute=False)
    assert _lane(rig).mailbox.n_leased == len(worker._ready) == 2
    feed("a", probe["end"])
    rig.run_out()
    assert rig.windows() == list(range(2, 61))
    rig.assert_exactly_once()


def test_a_worker_that_hangs_gets_nothing_more_while_its_neighbour_serves_all(
    make_rig, feed, probe, monkeypatch
) -> None:
    monkeypatch.setattr("actors.mailbox.STUCK_S", 0.5)
    rig = make_rig()
    capture = rig.capture()
    hung = rig.worker(capacity=2)
    rig.pump(lambda: _met(rig, hung))
    monkeypatch.setattr(hung, "compute_step", lambda *_: False)  # its thread never comes back from the device
    feed("a", probe["samples"](0, 4))
    rig.pump(lambda: len(hung._ready) == 2)
    hung._state = "busy"
    other = rig.worker(capacity=2)
    rig.pump(lambda: _lane(rig).mailbox.n_retried == 2)
    for k in range(4):
        feed("a", probe["samples"](4 + k, 5 + k))
        more = time.monotonic() + 0.6  # as long as it takes to find a lease stuck
        rig.pump(lambda at=more: time.monotonic() > at)
    feed("a", probe["end"])
    rig.run_out()
    assert rig.windows() == list(range(2, 17))
    rig.assert_exactly_once()
    assert _lane(rig).mailbox.n_retried == 2
    assert other._n_clips == 15
    # It moves again: it is leased clips again, and not more than it can hold.
    assert capture._links[hung.life].stuck
    hung._state, hung._progress = "ready", 1
    rig.pump(lambda: not capture._links[hung.life].stuck)


def test_a_worker_whose_connection_broke_gives_its_leases_back(make_rig, four_seconds) -> None:
    rig = make_rig()
    rig.capture()
    worker = rig.worker(capacity=3)
    four_seconds()
    rig.pump(lambda: _lane(rig).mailbox.n_leased == 3, compute=False)
    for link in worker._links:  # it heard nothing for 3 s, and what was on the way to it went down with the socket
        link.outlet._heard_s = -100.0
        for _ in link.outlet.drain():
            pass
    worker._ready.clear()
    rig.run_out()
    assert rig.windows() == WHOLE
    assert worker._links[0].outlet.peer.endswith(".1")
    rig.assert_exactly_once()


def test_one_dead_worker_leaves_no_clip_leased_to_another_and_never_sent(make_rig, four_seconds, monkeypatch) -> None:
    rig = make_rig()
    capture = rig.capture()
    dead, alive = rig.worker(capacity=2), rig.worker(capacity=2)
    rig.pump(lambda: _met(rig, dead) and _met(rig, alive))
    gone = capture._peers[dead.life][0]
    send = capture._inlet.send
    monkeypatch.setattr(capture._inlet, "send", lambda peer, *rest: peer != gone and send(peer, *rest))
    rig.kill_worker(dead)
    four_seconds()
    rig.run_out()
    assert rig.windows() == WHOLE
    assert alive._n_clips == len(WHOLE)


def test_what_is_out_at_a_worker_never_exceeds_its_capacity(make_rig, four_seconds) -> None:
    rig = make_rig(streams=("a", "b"))
    for stream in "ab":
        rig.capture(stream)
        four_seconds(stream)
    worker = rig.worker(capacity=4)
    most = 0

    def watch() -> bool:
        nonlocal most
        held = sum(c.sensors[0].lanes[0].mailbox.n_leased for c in rig.captures.values())
        most = max(most, held)
        return held == 4

    rig.pump(watch, compute=False)
    end = time.monotonic() + 1.2  # several beats repeat the credit meanwhile
    rig.pump(lambda: (watch() and False) or time.monotonic() > end, compute=False)
    assert most == len(worker._ready) == 4
    rig.run_out()
    assert rig.windows("a") == rig.windows("b") == WHOLE


def test_two_workers_share_a_stream_and_the_order_holds(make_rig, four_seconds) -> None:
    rig = make_rig()
    rig.capture()
    rig.worker(capacity=1)
    rig.worker(capacity=1)
    four_seconds()
    rig.run_out()
    assert rig.windows() == WHOLE
    assert all(w._n_clips for w in rig.workers)


def test_sensors_of_one_moment_are_served_together(make_rig, four_seconds, monkeypatch) -> None:
    rig = make_rig(streams=("a", "b"))
    worker = rig.worker(max_batch=1)
    for stream in "ab":
        rig.capture(stream)
        four_seconds(stream)
    served = []
    embed = worker._encoder.embed
    monkeypatch.setattr(worker._encoder, "embed", lambda m, c: served.append(int(c[0][0])) or embed(m, c))
    rig.pump(lambda: len(worker._ready) >= 8, compute=False)
    rig.run_out()
    first = served[:8]
    assert first == sorted(first)


def test_clips_of_two_streams_share_a_batch(make_rig, four_seconds) -> None:
    rig = make_rig(streams=("a", "b"))
    worker = rig.worker()
    for stream in "ab":
        rig.capture(stream)
        four_seconds(stream)
    rig.pump(lambda: len(worker._ready) >= 8, compute=False)
    rig.run_out()
    assert max(worker._batch_sizes.values) >= 2


def test_a_clip_that_always_fails_becomes_an_event_and_its_neighbours_do_not(make_rig, four_seconds, probe) -> None:
    rig = make_rig()
    probe["fail"].add(5)
    rig.capture()
    rig.worker()
    four_seconds()
    rig.run_out()
    assert rig.windows() == [w for w in WHOLE if w != 5]
    assert rig.windows(fate="failed") == [5]
    assert "bad pixels" in next(m.detail for m in rig.sent if m.kind == "evt" and m.reason == "failed")
    rig.assert_exactly_once()


def test_a_clip_that_kills_its_worker_three_times_becomes_an_event(make_rig, four_seconds) -> None:
    rig = make_rig()
    rig.capture()
    four_seconds()
    box = rig.captures["a"].sensors[0].lanes[0].mailbox
    for _ in range(3):
        rig.pump(lambda: box.n_leased == 0)
        worker = rig.worker(capacity=1, max_batch=1)
        rig.pump(lambda w=worker: len(w._ready) == 1, compute=False)
        assert worker._ready[0].clip.window == 2
        rig.kill_worker(worker)
    rig.worker()
    rig.run_out()
    assert rig.windows(fate="failed") == [2]
    assert rig.windows() == WHOLE[1:]
    rig.assert_exactly_once()


def test_a_restarted_capture_actor_leaves_one_event_for_the_hole(make_rig, feed, probe, short_grace) -> None:
    rig = make_rig("ipc", streams=("a", "b"))
    for stream in "ab":
        rig.capture(stream)
    rig.worker()
    for stream in "ab":
        feed(stream, probe["samples"](0, 4))
    rig.pump(lambda: all(rig.windows(s)[-1:] == [7] for s in "ab"))
    rig.kill_capture("a")
    rig.capture("a", restarted=True)
    feed("a", probe["samples"](10, 13), probe["end"])
    feed("b", probe["samples"](4, 13), probe["end"])
    rig.run_out()
    rig.assert_exactly_once("a")
    rig.assert_exactly_once("b")
    assert ("lost", 8, 21) in rig.fates("a")
    assert [kind for kind, *_ in rig.fates("b")] == ["starting", *["vector"] * 25, "ending"]


def test_a_capture_actor_restarted_twice_leaves_two_events(make_rig, feed, probe, short_grace) -> None:
    rig = make_rig("ipc")
    rig.capture()
    rig.worker()
    for start in (0, 10, 20):
        if start:
            rig.kill_capture()
            rig.capture(restarted=True)
        feed("a", probe["samples"](start, start + 4))
        rig.pump(lambda last=2 * start + 7: rig.windows()[-1:] == [last])
    feed("a", probe["samples"](24, 25), probe["end"])
    rig.run_out()
    rig.assert_exactly_once()
    assert [fate for fate in rig.fates() if fate[0] == "lost"] == [("lost", 8, 21), ("lost", 28, 41)]


def test_the_first_notice_of_a_restarted_actor_is_no_repeat_of_its_predecessors(
    make_rig, feed, probe, short_grace
) -> None:
    rig = make_rig("ipc")
    rig.capture()
    rig.worker()
    feed("a", probe["samples"](0, 2), DeviceError("unplugged"), probe["samples"](2, 4))
    rig.pump(lambda: rig.windows()[-1:] == [7])
    rig.kill_capture()
    rig.capture(restarted=True)  # its device is not there at once: the actor was restarted, so it was before
    feed("a", probe["samples"](4, 6), DeviceError("unplugged again"), probe["end"])
    rig.run_out()
    told = [m.detail for m in rig.sent if m.kind == "evt" and m.reason == "device_lost"]
    assert told == ["unplugged", "unplugged again"]


def test_all_actors_but_the_worker_restarted_at_once_still_explain_every_window(
    make_rig, feed, probe, monkeypatch
) -> None:
    rig = make_rig("ipc")
    rig.capture()
    worker = rig.worker(max_batch=1)
    feed("a", probe["samples"](0, 2))
    rig.pump(lambda: rig.windows()[-1:] == [3])
    feed("a", probe["samples"](2, 4))
    rig.publisher.close()
    held = time.monotonic() + 5
    while worker._n_clips < 6 and time.monotonic() < held:
        rig.captures["a"].step(0.01)
        worker.step(0.01)
        worker.compute_step(0.0)
    rig.kill_capture()
    rig.publisher = type(rig.publisher)(rig.plan, rig.clock)
    rig.publisher.open()
    rig._listen()
    held = time.monotonic() + 5
    while rig.publisher.health()["lanes"][0]["held"] < 4 and time.monotonic() < held:
        worker.step(0.01)
        rig.publisher.step(0.01)
    before = len(rig.sent)
    rig.capture(restarted=True)
    feed("a", probe["samples"](10, 12), probe["end"])
    rig.run_out()
    rig.publisher.request_stop()
    rig.pump(lambda: rig.publisher.done)
    epoch = [m for m in rig.sent[before:] if m.window is not None]
    ranges = [(m.window, m.window + 1 if m.kind == "emb" else m.to_window) for m in epoch]
    assert [w for start, end in ranges for w in range(start, end)] == list(range(4, 26))
    assert next((m.reason, m.window, m.to_window) for m in epoch if m.kind == "evt") == ("lost", 8, 21)


def test_a_restarted_publisher_hears_again_of_a_stream_that_has_ended(make_rig, feed, probe) -> None:
    rig = make_rig("ipc", streams=("a", "b"))
    rig.capture("a")
    rig.capture("b")
    rig.worker()
    feed("a", probe["samples"](0, 2), probe["end"])
    feed("b", probe["samples"](0, 2))
    rig.pump(lambda: rig.captures["a"].done and rig.windows("b")[-1:] == [3])
    rig.restart_publisher()
    rig.pump(lambda: rig.publisher._lanes["b", "probe"].meta().first_window is not None)
    rig.pump(lambda: rig.publisher._lanes["a", "probe"].meta().end_window == 6)
    assert rig.publisher._lanes["b", "probe"].meta().end_window is None


def test_an_end_that_was_not_confirmed_reaches_the_next_publisher(make_rig, feed, probe) -> None:
    rig = make_rig("ipc")
    capture = rig.capture()
    rig.worker()
    feed("a", probe["samples"](0, 2))
    rig.pump(lambda: rig.windows()[-1:] == [3])
    send = capture._send_end

    def send_and_lose(*args: Any) -> None:
        capture._send_end = send
        rig.publisher.close()  # it dies as the end is on its way
        send(*args)
        rig.publisher = type(rig.publisher)(rig.plan, rig.clock)
        rig.publisher.open()
        rig._listen()

    capture._send_end = send_and_lose
    feed("a", probe["end"])
    rig.pump(lambda: rig.publisher._lanes["a", "probe"].order.done)
    assert rig.publisher._lanes["a", "probe"].meta().end_window == 6
    rig.run_out()


def test_a_restarted_publisher_hears_again_of_an_outage_that_goes_on(make_rig, feed, probe) -> None:
    rig = make_rig("ipc", policy="drop_oldest")
    rig.device = {"live": True, "max_delay_s": 0.2}
    capture = rig.capture()
    rig.worker()
    t = rig.clock.unix_ns() - 2 * S + np.arange(20, dtype=np.int64) * (S // 20)
    feed("a", Chunk(np.ones((20, 1), np.float32), t))
    rig.pump(lambda: _outage_open(rig))
    rig.restart_publisher()
    before = len(rig.sent)
    rig.pump(lambda: any(m.kind == "evt" and m.reason == "outage" for m in rig.sent[before:]))
    assert rig.publisher.publisher._outages
    capture.request_stop()
    rig.run_out()
    rig.publisher.request_stop()
    rig.pump(lambda: rig.publisher.done)


def test_a_run_that_ends_while_its_encoder_still_loads_explains_every_window(
    make_rig, feed, probe, monkeypatch
) -> None:
    monkeypatch.setattr("actors.capture.DRAIN_S", 0.5)
    rig = make_rig()
    capture = rig.capture()
    worker = rig.worker(load=False)
    feed("a", probe["samples"](0, 4))
    rig.pump(lambda: _lane(rig).windower.next_window == 8, compute=False)
    capture.request_stop()
    rig.pump(lambda: capture.done, timeout_s=3.0, compute=False)
    assert worker.health()["state"] == "loading"
    assert rig.fates() == [("starting", 1, 2), *[("dropped", w, w + 1) for w in WHOLE], ("ending", 9, 10)]


def test_a_publisher_that_hangs_is_not_buried_in_repeats(make_rig, feed, probe, monkeypatch) -> None:
    monkeypatch.setattr("actors.outbox.Outbox.RESEND_S", 0.1)
    rig = make_rig("ipc")
    capture = rig.capture()
    faults = [(DeviceError(f"fault {k}"), probe["samples"](2 + 0.2 * k, 2.1 + 0.2 * k)) for k in range(3)]
    feed("a", probe["samples"](0, 2), *[item for pair in faults for item in pair])
    rig.pump(lambda: len(rig.sent) >= 2)
    hung = time.monotonic() + 2.5
    while time.monotonic() < hung:
        capture.step(0.01)
    assert len(capture._outbox) >= 3
    arrived = [m.kind for m in rig.publisher._inlet.drain(100_000)]
    assert arrived.count("event") <= 3 * len(capture._outbox)


def test_one_stream_feeds_two_encoders_each_with_its_own_order_and_account(make_rig, four_seconds, probe) -> None:
    rig = make_rig(encoders=("probe", "second"))
    rig.capture()
    first, second = rig.worker(), rig.worker("second", capacity=1)
    four_seconds()
    rig.run_out()
    for encoder in ("probe", "second"):
        fates = rig.fates("a", encoder)
        assert fates == [("starting", 1, 2), *[("vector", w, w + 1) for w in WHOLE], ("ending", 9, 10)]
    assert first._n_clips == second._n_clips == len(WHOLE)
    assert [lane["due"] for lane in rig.publisher.health()["lanes"]] == [9, 9]


def test_a_lane_without_a_worker_holds_up_no_other_lane_of_its_stream(make_rig, four_seconds) -> None:
    rig = make_rig(encoders=("probe", "absent"), policy="drop_oldest")
    capture = rig.capture()
    rig.worker()
    four_seconds()
    rig.pump(lambda: rig.windows() == WHOLE)
    assert rig.windows(encoder="absent") == []
    capture.request_stop()
    capture.step(0.0)
    capture._stop_deadline_s = 0.0  # nobody serves it until then
    rig.run_out()
    assert rig.windows(fate="dropped", encoder="absent") == WHOLE
    rig.assert_exactly_once("a", "absent")


def test_the_sensors_of_a_group_end_each_in_its_own_time(make_rig, feed, probe) -> None:
    rig = make_rig(streams=("a", "b"))
    capture = rig.capture("a", "b")
    rig.worker()
    feed("a", probe["samples"](0, 2), probe["end"])
    feed("b", probe["samples"](0, 1))
    rig.pump(lambda: rig.fates("a")[-1:] == [("ending", 5, 6)])
    rig.pump(lambda: rig.publisher._lanes["a", "probe"].meta().end_window == 6)
    assert not capture.done
    feed("b", probe["samples"](1, 4), probe["end"])
    rig.run_out()
    rig.assert_exactly_once("a")
    rig.assert_exactly_once("b")


def test_a_restarted_publisher_gets_everything_unconfirmed_again(make_rig, feed, probe) -> None:
    rig = make_rig("ipc")
    rig.capture()
    worker = rig.worker()
    feed("a", probe["samples"](0, 2))
    rig.pump(lambda: rig.windows()[-1:] == [3])
    feed("a", probe["samples"](2, 4))
    rig.publisher.close()
    deadline = time.monotonic() + 3
    while worker._n_clips < 6 and time.monotonic() < deadline:
        rig.captures["a"].step(0.01)
        worker.step(0.01)
        worker.compute_step(0.0)
    rig.publisher = type(rig.publisher)(rig.plan, rig.clock)
    rig.publisher.open()
    rig._listen()
    feed("a", probe["samples"](4, 5), probe["end"])
    rig.run_out()
    assert sorted(set(rig.windows())) == list(range(2, 11))
    assert len({m.epoch for m in rig.sent}) == 2


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_publisher_away_for_longer_than_a_link_waits_gets_and_confirms_everything(
    transport, make_rig, feed, probe, monkeypatch
) -> None:
    monkeypatch.setattr("actors.transport.Outlet.DEAF_S", 1.0)
    rig = make_rig(transport)
    capture = rig.capture()
    worker = rig.worker()
    feed("a", probe["samples"](0, 2))
    rig.pump(lambda: rig.windows()[-1:] == [3])
    feed("a", probe["samples"](2, 4))
    rig.publisher.close()
    away = time.monotonic() + 2.2
    while time.monotonic() < away:
        capture.step(0.01)
        worker.step(0.01)
        worker.compute_step(0.0)
    assert worker._publisher.peer[-1] != "0"
    rig.publisher = type(rig.publisher)(rig.plan, rig.clock)
    rig.publisher.open()
    rig._listen()
    rig.pump(lambda: len(worker._outbox) == 0 and _lane(rig).mailbox.n_leased == 0)
    # And vectors find their way by themselves again, not by being sent a second time after RESEND_S.
    feed("a", probe["samples"](4, 5))
    rig.pump(lambda: rig.windows()[-1:] == [9], timeout_s=2.0)
    feed("a", probe["end"])
    rig.run_out()
    assert sorted(set(rig.windows())) == list(range(2, 11))


def test_overload_skips_whole_moments_so_that_what_is_left_lines_up(make_rig, feed, probe) -> None:
    rig = make_rig(streams=("a", "b"), policy="drop_oldest", depth=3)
    worker = rig.worker(capacity=2, max_batch=1)
    for stream in "ab":
        rig.capture(stream)
    for k in range(20):  # one window closes per round and stream, one clip is served
        for stream in "ab":
            feed(stream, probe["samples"](0.5 * k, 0.5 * (k + 1)))
        target = k
        rig.pump(
            lambda n=target: all(
                (c.sensors[0].lanes[0].windower.next_window or 0) >= n + 1 for c in rig.captures.values()
            ),
            compute=False,
        )
        worker.compute_step(0.0)
        settled = time.monotonic() + 0.02  # in life half a second lies between two moments, and messages take 1 ms
        rig.pump(lambda at=settled: time.monotonic() > at, compute=False)
    for stream in "ab":
        feed(stream, probe["end"])
    rig.run_out()
    a, b = set(rig.windows("a")), set(rig.windows("b"))
    assert rig.windows("a", "dropped")
    rig.assert_exactly_once("a")
    rig.assert_exactly_once("b")
    # Clips already leased when their group was given up may still be served: at most what was out.
    assert len(a ^ b) <= 4
    assert len(a & b) >= 8


def test_backpressure_holds_the_reader_and_drops_nothing(make_rig, four_seconds, probe) -> None:
    rig = make_rig(depth=2)
    probe["slow"][0] = 0.02
    rig.capture()
    rig.worker(capacity=1, max_batch=1)
    four_seconds()
    rig.run_out()
    assert rig.windows() == WHOLE


def test_an_unplugged_device_comes_back_with_one_event_for_the_outage(make_rig, feed, probe) -> None:
    rig = make_rig()
    rig.device = {"live": False}
    rig.capture()
    rig.worker()
    feed("a", probe["samples"](0, 2), DeviceError("unplugged"), probe["samples"](7, 9), probe["end"])
    rig.run_out()
    rig.assert_exactly_once()
    assert ("outage", 6, 15) in rig.fates()
    reasons = [m.reason for m in rig.sent if m.kind == "evt" and m.window is None]
    assert reasons == ["device_lost", "device_back"]


def test_an_idle_live_source_is_closed_by_host_time(make_rig, feed, probe) -> None:
    rig = make_rig(policy="drop_oldest")
    rig.device = {"live": True, "max_delay_s": 0.3}
    capture = rig.capture()
    rig.worker()
    now_ns = rig.clock.unix_ns()
    t = now_ns - 2 * S + np.arange(40, dtype=np.int64) * (S // 20)
    feed("a", Chunk(np.ones((40, 1), np.float32), t))
    closed_at = (int(t[-1]) // (S // 2) + 2) * (S // 2)  # a window that no sample will ever close
    rig.pump(lambda: any(end * (S // 2) > closed_at for _, _, end in rig.fates()) or _outage_open(rig), timeout_s=5)
    capture.request_stop()
    rig.run_out()
    rig.assert_exactly_once()


def _outage_open(rig) -> bool:
    return any(m.kind == "evt" and m.window is not None and m.to_window is None for m in rig.sent)

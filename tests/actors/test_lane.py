"""From what the windower closes to clips and events: every window one of them, whatever the clip maker does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from actors.lane import Lane, Stats
from actors.mailbox import Dropped
from actors.plan import LanePlan
from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import ClipError
from stream_bind.messages import Chunk, Clip, StreamSpec, Window

S = 1_000_000_000
HOP_NS = S // 2
SPEC = StreamSpec("imu", "imu", 20.0, (1,), "float32", "si", ("accel_x",), lateness_s=0.1)
RECORDED = StreamSpec("imu", "imu", 20.0, (1,), "float32", "si", ("accel_x",), live=False, lateness_s=0.1)


class Maker:
    """Packs the sum of a window; counts how often, and fails where told to."""

    spec = ClipSpec("imu", 1.0, 0.5, (1,), "float64")

    def __init__(self) -> None:
        self.made: list[int] = []
        self.fail: Callable[[Window], Any] = lambda window: None

    def make(self, window: Window, stream: StreamSpec) -> Any:
        self.made.append(window.index)
        answer = self.fail(window)
        return np.array([np.asarray(window.data).sum()]) if answer is None else answer


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def lane(maker: Maker) -> Lane:
    return Lane(LanePlan("imu", "ib", "imu", "x", {}, S, HOP_NS), SPEC, maker)


def samples(start_s: float, stop_s: float) -> Chunk:
    t = np.arange(round(start_s * 20), round(stop_s * 20), dtype=np.int64) * (S // 20)
    return Chunk(np.ones((len(t), 1), np.float32), t)


def push(lane: Lane, start_s: float, stop_s: float) -> list[Clip | dict[str, Any]]:
    fates = list(lane.fates(lane.windower.push(samples(start_s, stop_s)), 0))
    lane.prepare()
    return fates


def told(fates: list[Clip | dict[str, Any]]) -> list[tuple[str, int, int | None]]:
    """(clip or the reason, window, to_window)."""
    return [
        ("clip", f.window, f.window + 1) if isinstance(f, Clip) else (f["reason"], f["window"], f["to_window"])
        for f in fates
    ]


def test_windows_across_the_beginning_and_the_end_are_clips_where_that_is_asked_for(maker: Maker) -> None:
    plan = LanePlan("imu", "ib", "imu", "x", {}, S, HOP_NS, min_coverage=0.5, partial=True)
    lane = Lane(plan, SPEC, maker)
    fates = push(lane, 0.25, 3.25) + list(lane.finish(0))
    assert told(fates) == [
        ("low_coverage", 1, 2), *[("clip", w, w + 1) for w in (2, 3, 4, 5, 6, 7)], ("low_coverage", 8, 9),
    ]  # fmt: skip
    first, last = fates[1], fates[-2]
    assert isinstance(first, Clip)
    assert isinstance(last, Clip)
    assert (first.coverage, first.status, last.coverage, last.status) == (0.75, "partial", 0.75, "partial")


def test_a_stream_starts_and_ends_with_an_event_and_its_whole_windows_are_clips(lane: Lane) -> None:
    fates = push(lane, 0.25, 3.25) + list(lane.finish(0))
    assert told(fates) == [
        ("starting", 1, 2), ("starting", 2, 3), *[("clip", w, w + 1) for w in (3, 4, 5, 6)],
        ("ending", 7, 8), ("ending", 8, 9),
    ]  # fmt: skip
    clip = fates[2]
    assert isinstance(clip, Clip)
    assert (clip.t_start_ns, clip.t_end_ns, clip.coverage, clip.status) == (S // 2, 3 * S // 2, 1.0, "ok")
    assert clip.array == [20.0]
    assert (fates[0]["t_start"], fates[0]["t_end"]) == (-S // 2, S // 2)  # type: ignore[index]


def test_a_window_with_too_few_samples_is_an_event_and_one_with_enough_says_how_many(lane: Lane) -> None:
    fates = push(lane, 0, 2) + push(lane, 2.8, 5)
    # 2.0 to 2.8 is missing: window 5 [1.5, 2.5) has half, 6 [2, 3) a fifth.
    by_window = {f.window if isinstance(f, Clip) else f["window"]: f for f in fates}
    partial, refused = by_window[5], by_window[6]
    assert isinstance(partial, Clip)
    assert (partial.status, round(partial.coverage, 2)) == ("partial", 0.5)
    assert partial.gaps
    assert isinstance(refused, dict)
    assert refused["reason"] == "low_coverage"
    assert "0.20 is below min_coverage 0.5" in refused["detail"]
    assert round(refused["coverage"], 2) == 0.2


def test_an_outage_is_told_once_when_it_begins_and_once_when_it_is_over(lane: Lane) -> None:
    push(lane, 0, 2)
    begins = [told(list(lane.fates(lane.windower.advance(round(t * S)), 0))) for t in (3.0, 3.5, 4.0, 4.5)]
    assert begins == [[("clip", 4, 5), ("clip", 5, 6), ("outage", 6, None)], [], [], []]
    assert told(push(lane, 10, 12))[0] == ("outage", 6, 21)


def test_a_restarted_publisher_is_told_again_of_an_outage_that_goes_on(lane: Lane) -> None:
    push(lane, 0, 2)
    list(lane.fates(lane.windower.advance(4 * S), 0))
    lane.tell_outage_again()
    assert told(list(lane.fates([], 0))) == [("outage", 6, None)]
    assert told(list(lane.fates([], 0))) == []


def test_a_clip_is_packed_while_its_window_waits_for_late_samples(lane: Lane, maker: Maker) -> None:
    push(lane, 0, 1.05)
    assert maker.made == [2]
    fates = push(lane, 1.05, 1.15)
    assert told(fates) == [("clip", 2, 3)]
    assert maker.made == [2]


def test_a_late_sample_that_changes_a_packed_window_costs_packing_it_again(lane: Lane, maker: Maker) -> None:
    late = samples(0.5, 0.55)
    whole = samples(0, 1.05)
    early = Chunk(np.delete(whole.data, 10, axis=0), np.delete(whole.t_ns, 10))
    assert list(lane.fates(lane.windower.push(early), 0))
    lane.prepare()
    list(lane.fates(lane.windower.push(late), 0))
    (clip,) = push(lane, 1.05, 1.15)
    assert isinstance(clip, Clip)
    assert clip.array == [20.0]
    assert maker.made == [2, 2]


def test_recordings_are_not_packed_ahead(maker: Maker) -> None:
    lane = Lane(LanePlan("imu", "ib", "imu", "x", {}, S, HOP_NS), RECORDED, maker)
    push(lane, 0, 1.05)
    assert maker.made == []


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ClipError("no face in sight"), "no face in sight"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (MemoryError("no room"), "MemoryError: no room"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "",
)
@pytest.mark.parametrize("ahead", [True, False], ids=["packed ahead", "packed at closing"])
def test_a_window_that_cannot_be_packed_is_an_event_and_the_next_is_a_clip(
    lane: Lane, maker: Maker, error: Exception, detail: str, ahead: bool
) -> None:
    def fail(window: Window) -> None:
        if window.index == 2:
            raise error

    maker.fail = fail
    fates = push(lane, 0, 1.05) + push(lane, 1.05, 1.7) if ahead else push(lane, 0, 1.7)
    assert told(fates) == [("starting", 1, 2), ("clip_error", 2, 3), ("clip", 3, 4)]
    assert fates[1]["detail"] == detail  # type: ignore[index]
    assert lane.health()["event_windows"] == 2


def test_a_bug_is_logged_once_with_its_place(lane: Lane, maker: Maker, caplog: pytest.LogCaptureFixture) -> None:
    maker.fail = lambda window: window.no_such_thing  # type: ignore[attr-defined]
    assert [reason for reason, *_ in told(push(lane, 0, 5))][1:] == ["clip_error"] * 8
    assert caplog.text.count("Traceback") == 1
    assert "no_such_thing" in caplog.text


def test_a_clip_of_the_wrong_shape_is_an_event_here_and_not_three_failures_of_the_encoder(
    lane: Lane, maker: Maker
) -> None:
    maker.fail = lambda window: np.zeros(3)
    fates = push(lane, 0, 1.7)
    assert told(fates)[1:] == [("clip_error", 2, 3), ("clip_error", 3, 4)]
    assert "should have shape (1,), found (3,)" in fates[1]["detail"]  # type: ignore[index]


def test_the_event_of_a_dropped_clip_names_its_window_and_its_coverage(lane: Lane) -> None:
    clip = next(f for f in push(lane, 0, 1.7) if isinstance(f, Clip))
    event = lane.dropped_event(Dropped(clip, "dropped", "mailbox full"))
    assert (event["reason"], event["window"], event["to_window"], event["coverage"]) == ("dropped", 2, 3, 1.0)
    assert (event["t_start"], event["t_end"]) == (clip.t_start_ns, clip.t_end_ns)


def test_open_windows_are_those_not_closed_in_an_outage_or_waiting_in_the_mailbox(lane: Lane) -> None:
    assert lane.open_windows() == []
    for fate in push(lane, 0, 2):
        if isinstance(fate, Clip):
            lane.mailbox.put(fate)
    assert min(lane.open_windows()) == 2
    lane.mailbox.ack(2)
    lane.mailbox.ack(3)
    assert min(lane.open_windows()) == 4
    list(lane.fates(lane.windower.advance(5 * S), 0))
    lane.mailbox.ack(4)
    assert min(lane.open_windows()) == 6


def test_quantiles_are_of_the_latest_values_and_nothing_has_none() -> None:
    stats = Stats()
    assert stats.quantile(0.5) is None
    for value in range(1000):
        stats.add(float(value))
    assert (stats.quantile(0.0), stats.quantile(0.5), stats.quantile(1.0)) == (400.0, 700.0, 999.0)

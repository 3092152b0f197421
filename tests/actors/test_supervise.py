"""How a run begins, is watched and ends, with a scripted launcher and a clock that moves only when told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from actors.plan import CapturePlan, EncodePlan, LanePlan, PublishPlan, RunPlan
from actors.supervise import DRAIN_S, START_S, Snapshot, Supervisor
from stream_bind.clock import ManualClock
from stream_bind.errors import StreamBindError

Health = dict[str, Any]


def plan(wait_for_subscriber_s: float = 0.0) -> RunPlan:
    lane = LanePlan("cam", "ib", "vision", "imagebind", {}, 2_000_000_000, 500_000_000)
    return RunPlan(
        "rig",
        (CapturePlan("capture-cam", (), "e", "p"),),
        (EncodePlan("encode-ib-0", "ib", "imagebind", {}, (lane,), ("e",), "p"),),
        PublishPlan("rig", "p", "tcp://127.0.0.1:5556", lanes=(lane,)),
        0,
        wait_for_subscriber_s=wait_for_subscriber_s,
    )


def lane(vectors: int = 0, **events: int) -> Health:
    return {"stream": "cam", "encoder": "ib", "vectors": vectors, "events": events, "repeats": 0}


class FakeLauncher:
    """Actors that answer what `health` holds, changed by `at` (seconds of the run) and by the commands they get."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.calls: list[str] = []
        self.health: dict[str, Health] = {
            "publish": {"name": "publish", "opened": True, "life": "one", "lanes": [lane()], "asked": ()},
            "encode-ib-0": {"name": "encode-ib-0", "opened": True},
            "capture-cam": {"name": "capture-cam", "opened": True, "ready": True, "asked": ()},
        }
        self.at: list[tuple[float, str, Health]] = []
        self.obey = True
        """Whether an actor asked to stop is done at the next look."""

    def start(self, plan: RunPlan) -> None:
        self.calls.append("start")

    def now_s(self) -> float:
        return self.clock.monotonic_ns() / 1e9

    def poll(self) -> dict[str, Health]:
        while self.at and self.at[0][0] <= self.now_s():
            _, name, change = self.at.pop(0)
            self.health[name] = self.health[name] | change
        return {name: dict(health) for name, health in self.health.items()}

    def command(self, kind: str, verb: str) -> None:
        self.calls.append(f"{kind}.{verb}")
        for name, health in self.health.items():
            if name.startswith(kind) and not health.get("deaf"):
                health["asked"] = (*health["asked"], verb)
                if self.obey and verb == "request_stop":
                    health["done"] = True

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def launcher(clock: ManualClock) -> FakeLauncher:
    return FakeLauncher(clock)


@pytest.fixture
def supervise(launcher: FakeLauncher, clock: ManualClock) -> Callable[..., Supervisor]:
    def make(on_poll: Callable[[Snapshot], None] | None = None, **settings: Any) -> Supervisor:
        return Supervisor(launcher, plan(**settings), clock, on_poll=on_poll)

    return make


ENDING = ["capture.request_stop", "publish.request_stop", "close"]


def test_a_run_lasts_as_long_as_it_should_and_stops_captures_before_the_publisher(supervise, launcher, clock) -> None:
    result = supervise().run(30.0)
    assert result.error is None
    assert launcher.calls == ["start", *ENDING]
    assert 30.0 <= launcher.now_s() < 30.5


def test_the_duration_counts_from_when_everything_is_open(supervise, launcher) -> None:
    launcher.health["capture-cam"]["ready"] = False
    launcher.at = [(7.0, "capture-cam", {"ready": True})]
    supervise().run(10.0)
    assert 17.0 <= launcher.now_s() < 17.5


def test_a_run_ends_by_itself_when_every_recording_has(supervise, launcher) -> None:
    launcher.at = [(12.0, "capture-cam", {"done": True})]
    supervise().run()
    assert launcher.calls == ["start", *ENDING]
    assert 12.0 <= launcher.now_s() < 14.0


def test_a_stop_request_drains_at_once(supervise, launcher) -> None:
    supervisor = supervise(on_poll=lambda _: supervisor.request_stop() if launcher.now_s() >= 5 else None)
    supervisor.run(3600.0)
    assert launcher.calls == ["start", *ENDING]
    assert launcher.now_s() < 6.5


def test_a_stop_request_while_the_actors_start_ends_the_run_without_waiting_for_them(supervise, launcher) -> None:
    launcher.health["encode-ib-0"]["opened"] = False
    supervisor = supervise()
    supervisor.request_stop()
    result = supervisor.run()
    assert result.error is None
    assert launcher.calls == ["start", *ENDING]
    assert launcher.now_s() < 1.0


def test_actors_that_never_come_up_end_the_run_and_are_named(supervise, launcher) -> None:
    launcher.health["encode-ib-0"]["opened"] = False
    del launcher.health["capture-cam"]
    result = supervise().run()
    assert "no answer from encode-ib-0, capture-cam" in result.error
    assert f"{START_S:g} s" in result.error
    assert launcher.calls == ["start", "close"]


@pytest.mark.parametrize("name", ["publish", "encode-ib-0", "capture-cam"])
def test_a_fatal_error_anywhere_ends_the_run_with_its_sentence(supervise, launcher, name: str) -> None:
    launcher.at = [(9.0, name, {"fatal": f"{name}: it is gone; plug it in"})]
    result = supervise().run(3600.0)
    assert result.error == f"{name}: it is gone; plug it in"
    assert launcher.calls == ["start", "close"]
    assert launcher.now_s() < 11.0


def test_a_model_that_fails_to_load_after_the_run_was_over_is_still_told(supervise, launcher) -> None:
    launcher.obey = False
    launcher.at = [(4.0, "encode-ib-0", {"fatal": "no weights at /nowhere"})]
    result = supervise().run(2.0)
    assert result.error == "no weights at /nowhere"
    assert launcher.calls[-1] == "close"
    assert launcher.now_s() < 6.0


def test_captures_that_never_finish_are_waited_for_no_longer_than_a_drain(supervise, launcher) -> None:
    launcher.obey = False
    supervise().run(2.0)
    assert launcher.calls == ["start", *ENDING]
    assert launcher.now_s() <= 2.0 + DRAIN_S + 5.0 + 1.0


def test_a_capture_actor_restarted_while_it_drained_is_asked_to_stop_again(supervise, launcher) -> None:
    launcher.health["capture-cam"]["deaf"] = True  # its process died before the call came
    launcher.at = [(4.0, "capture-cam", {"deaf": False})]
    supervise().run(2.0)
    assert launcher.calls[-2:] == ["publish.request_stop", "close"]
    assert launcher.now_s() < 6.0


def test_an_actor_that_is_away_is_not_asked_in_vain(supervise, launcher) -> None:
    launcher.health["capture-cam"] |= {"deaf": True, "away": True}
    launcher.at = [(4.0, "capture-cam", {"deaf": False, "away": False})]
    supervise().run(2.0)
    assert launcher.calls.count("capture.request_stop") == 2


def test_accounts_are_summed_over_the_lives_of_the_publisher(supervise, launcher) -> None:
    launcher.health["publish"]["lanes"] = [lane(10, starting=3)]
    launcher.at = [
        (5.0, "publish", {"lanes": [lane(20, starting=3)]}),
        (10.0, "publish", {"life": "two", "lanes": [lane(5, dropped=2)]}),
    ]
    result = supervise().run(15.0)
    account = result.accounts["cam", "ib"]
    assert (account.vectors, dict(account.events), account.due) == (25, {"starting": 3, "dropped": 2}, 30)
    assert result.dropped == 2


def test_captures_are_held_until_somebody_listens(supervise, launcher) -> None:
    launcher.at = [(3.0, "publish", {"subscribers": 1})]
    supervise(wait_for_subscriber_s=20.0).run(1.0)
    assert launcher.calls == ["start", "capture.start", *ENDING]
    assert 4.0 <= launcher.now_s() < 5.0


def test_a_run_that_nobody_listens_to_starts_all_the_same(supervise, launcher) -> None:
    supervise(wait_for_subscriber_s=20.0).run(1.0)
    assert "capture.start" in launcher.calls
    assert 21.0 <= launcher.now_s() < 22.0


def test_the_view_is_called_about_once_an_interval_and_at_the_end(supervise, launcher) -> None:
    seen: list[float] = []
    supervise(on_poll=lambda _: seen.append(launcher.now_s())).run(10.0)
    assert 10 <= len(seen) <= 12
    assert max(b - a for a, b in itertools.pairwise(seen)) < 1.3


def test_the_launcher_is_closed_whatever_happens(supervise, launcher) -> None:
    def fail(_: Snapshot) -> None:
        raise RuntimeError("the view is broken")

    with pytest.raises(RuntimeError):
        supervise(on_poll=fail).run(10.0)
    assert launcher.calls[-1] == "close"


def test_a_launcher_that_cannot_start_or_look_ends_with_its_first_sentence(supervise, launcher) -> None:
    def start(_: RunPlan) -> None:
        raise StreamBindError("no Ray cluster at nowhere:6379")

    def poll() -> dict[str, Health]:
        raise StreamBindError("and this nobody needs to know")

    launcher.start, launcher.poll = start, poll
    assert supervise().run().error == "no Ray cluster at nowhere:6379"
    assert launcher.calls == ["close"]

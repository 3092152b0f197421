"""The capture actor: reads its sensors, cuts windows, packs clips, and keeps them until a worker has served them.

No torch here, and no Ray: launchers run `open`, then `step` in a loop, then `close`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from actors.inbox import Inbox
from actors.lane import Lane
from actors.mailbox import SILENT_S, WorkerLink
from actors.outbox import Outbox
from actors.plan import CapturePlan, SensorPlan
from actors.reader import Reader
from actors.recorded import StreamRecording
from actors.transport import (
    LINK_VERSION,
    Inlet,
    Message,
    Outlet,
    Poller,
    Waker,
    clip_head,
    each,
    incarnation,
)
from devices.base import TALLIES, Replaying
from stream_bind.adjust import Adjust
from stream_bind.clock import Clock
from stream_bind.messages import Clip, Notice
from stream_bind.registry import DEVICES, ENCODERS
from stream_bind.restart import Backoff

__all__ = ["CaptureWorker"]

log = logging.getLogger(__name__)

BEAT_S = 0.5
POLL_S = 0.1
"""Longest sleep of the loop: how late an idle source may be noticed on top of its max_delay_s."""
CLOCK_STEP_NS = 10_000_000
PICTURES = {"vision", "depth", "thermal"}
STEP_S = 0.5
"""One step of a paused replay: a hop."""
DRAIN_S = 15.0
"""How long a stopping actor waits for its clips to be served before it reports them as dropped."""


class _Sensor:
    """One device with its reader and lanes."""

    def __init__(self, plan: SensorPlan, clock: Clock, wake: Waker, life: str, *, patient: bool) -> None:
        entry = DEVICES.get(plan.device_type)
        device = entry.cls(entry.config(**plan.device_config), plan.stream, clock)
        self.plan = plan
        self.device = device
        makers = {}
        wanted: tuple[str, ...] = ()
        for lane in plan.lanes:
            encoder = ENCODERS.get(lane.encoder_type)
            config = encoder.config(**lane.encoder_config)
            makers[lane.encoder] = encoder.cls.clip_maker(config, lane.modality, lane.length_ns / 1e9)  # type: ignore[attr-defined]
            wanted = wanted or makers[lane.encoder].spec.axes
        adjust = Adjust(device.spec, **plan.adjust, wanted_axes=wanted)
        self.spec = adjust.spec
        self.lanes = [Lane(lane, self.spec, makers[lane.encoder]) for lane in plan.lanes]
        waits = any(lane.policy == "backpressure" for lane in plan.lanes)
        self.inbox = Inbox(wake.wake, wait=waits)
        self.recording = None if plan.tap is None else StreamRecording(plan.tap, device, clock, life, restarted=patient)
        self.reader = Reader(
            plan.stream,
            device,
            adjust,
            self.inbox,
            clock,
            Backoff(**plan.restart),
            patient=patient,
            keep_sent=self.recording is not None,
        )
        self.timed = self.spec.live or (isinstance(device, Replaying) and device.was_live)
        """Stamps are held against the time of arrival."""
        self._waits = waits
        self.last_arrival_ns = 0
        self.n_samples = 0
        self.ended = False
        """Nothing more will come from the reader."""
        self.finished = False
        """Its last windows are closed."""

    def health(self) -> dict[str, Any]:
        """What its driver counted that went wrong, and whether the device is away."""
        counters = getattr(self.device, "counters", None) or {}
        told: dict[str, Any] = {"counters": {name: int(n) for name, n in counters.items() if n and name not in TALLIES}}
        return told | {"away": self.reader.away}

    def calibration(self) -> dict[str, Any] | None:
        """The camera's intrinsics as plain data, known once it is open."""
        intrinsics = self.device.spec.intrinsics
        return None if intrinsics is None else asdict(intrinsics)

    @property
    def blocked(self) -> bool:
        if self._waits and self.recording is not None and self.recording.full:
            return True
        return any(lane.plan.policy == "backpressure" and lane.mailbox.full for lane in self.lanes)

    @property
    def kept(self) -> bool:
        """Its part of the recording, if there is one, is on the disk."""
        return self.recording is None or self.recording.idle


class CaptureWorker:
    """One capture actor. `plan.sensors` usually holds one, so that a driver that hangs takes only itself down."""

    def __init__(self, plan: CapturePlan, clock: Clock, *, restarted: bool = False) -> None:
        self._plan = plan
        self._clock = clock
        self._restarted = restarted
        self.life = incarnation()
        self.fatal: str | None = None
        self._links: dict[str, WorkerLink] = {}
        self._peers: dict[str, tuple[bytes, str]] = {}
        self._n_boxes = 0
        self._stopping = False
        self._stop_deadline_s: float | None = None
        self._next_beat_s = 0.0
        self._step_ns = 0
        self.sensors: list[_Sensor] = []

    def open(self) -> None:
        """Build devices and lanes, bind the mailbox, start reading."""
        if any(sensor.modality in PICTURES for sensor in self._plan.sensors):
            _keep_opencv_to_one_thread()
        self._waker = Waker()
        self._inlet = Inlet(self._plan.endpoint)
        self._outlet = Outlet(self._plan.publish_endpoint, f"{self._plan.name}-{self.life}", linger_ms=500)
        self._outbox = Outbox(self._outlet)
        self._poller = Poller(self._waker, self._inlet, self._outlet)
        self._step_ns = self._clock.step_ns()
        try:
            for plan in self._plan.sensors:
                self.sensors.append(_Sensor(plan, self._clock, self._waker, self.life, patient=self._restarted))
        except Exception:
            self.close()
            raise
        for sensor in self.sensors:
            if sensor.recording is not None:
                sensor.recording.start()
            sensor.reader.start(hold=self._plan.wait_ready and not self._restarted)

    # -- control calls, from any thread -------------------------------------------------------------------------

    def start(self) -> None:
        """Let held-back recordings begin (plan.wait_ready)."""
        for sensor in self.sensors:
            sensor.reader.release()

    def pause(self) -> None:
        """Hold a replay."""
        self._replays(lambda device: device.pause(True))

    def resume(self) -> None:
        """Let a replay run on."""
        self._replays(lambda device: device.pause(False))

    def step_on(self) -> None:
        """Let a little of a paused replay through."""
        self._replays(lambda device: device.step(STEP_S))

    def _replays(self, tell: Callable[[Replaying], None]) -> None:
        for sensor in self.sensors:
            if isinstance(sensor.device, Replaying):
                tell(sensor.device)

    def request_stop(self) -> None:
        """Stop reading, close the windows still open, serve what waits, then be done."""
        self._stopping = True
        self._waker.wake()

    @property
    def ready(self) -> bool:
        """Every device has been opened."""
        return bool(self.sensors) and all(s.reader.opened.is_set() for s in self.sensors)

    @property
    def done(self) -> bool:
        """Every window has found its fate and the publisher knows; what is recorded is on the disk."""
        told = all(lane.end_sent for s in self.sensors for lane in s.lanes) and not len(self._outbox)
        return told and all(s.finished and s.kept for s in self.sensors)

    def health(self) -> dict[str, Any]:
        """Counters and gauges per stream, plain data."""
        return {
            "name": self._plan.name,
            "life": self.life,
            "fatal": self.fatal,
            "ready": self.ready,
            "done": self.done,
            "lanes": [
                lane.health() | {"samples": s.n_samples, "device": s.health()} for s in self.sensors for lane in s.lanes
            ],
            "sensors": [
                {"stream": s.plan.stream, "modality": s.plan.modality, "samples": s.n_samples, "device": s.health()}
                for s in self.sensors
            ],
            "recorded": {s.plan.stream: s.recording.health() for s in self.sensors if s.recording is not None},
        }

    # -- the loop -----------------------------------------------------------------------------------------------

    def step(self, timeout_s: float = POLL_S) -> None:
        """One round: messages, samples, idle sources, leases, beats."""
        if any(len(s.inbox) and not s.blocked for s in self.sensors):
            timeout_s = 0.0
        self._poller.wait(timeout_s)
        self._waker.clear()
        each(self._inlet.drain(), self._from_worker)
        each(self._outlet.drain(), self._from_publisher)
        for sensor in self.sensors:
            self._take(sensor)
            self._close_idle(sensor)
            if sensor.ended:
                self._close_last(sensor)
        self._expire_workers()
        self._send_clips()
        now_s = self._now_s()
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + BEAT_S
            self._beat(now_s)
        if self._stopping:
            self._finish(now_s)
        self._tell_ends(now_s)

    def close(self) -> None:
        for sensor in self.sensors:
            sensor.inbox.close()
            sensor.reader.stop()
            if sensor.recording is not None:
                sensor.recording.close()
        self._inlet.close()
        self._outlet.close()
        self._waker.close()

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    # -- samples to clips -------------------------------------------------------------------------------------------

    def _take(self, sensor: _Sensor) -> None:
        for _ in range(256):
            if sensor.blocked or (arrival := sensor.inbox.take()) is None:
                break
            if sensor.recording is not None:
                sensor.recording.take(arrival)
            if arrival.chunk is not None:
                sensor.n_samples += len(arrival.chunk)
                sensor.last_arrival_ns = self._clock.monotonic_ns()
                now_ns = arrival.arrived_ns if sensor.timed else None
                for lane in sensor.lanes:
                    closed_ns = self._clock.unix_ns()
                    self._deliver(lane, lane.windower.push(arrival.chunk, now_ns), closed_ns)
                    for notice in lane.windower.take_notices():
                        self._notice(lane, notice)
                    lane.prepare()
            elif arrival.notice is not None:
                for lane in sensor.lanes:
                    self._notice(lane, arrival.notice)
            elif arrival.idle_ns is not None:
                self._advance(sensor, arrival.idle_ns)
            elif arrival.fatal is not None:
                self.fatal = self.fatal or arrival.fatal
                sensor.ended = True
            elif arrival.end:
                sensor.ended = True
        if sensor.lanes:
            sensor.inbox.wake_at_ns = min(lane.wake_at_ns() for lane in sensor.lanes)

    def _close_idle(self, sensor: _Sensor) -> None:
        """A live source silent past its max_delay_s has its windows closed by host time."""
        if not sensor.spec.live or sensor.ended or not sensor.last_arrival_ns or len(sensor.inbox):
            return
        delay_ns = round(sensor.spec.max_delay_s * 1e9)
        if self._clock.monotonic_ns() - sensor.last_arrival_ns <= delay_ns:
            return
        self._advance(sensor, self._clock.unix_ns() - delay_ns)

    def _advance(self, sensor: _Sensor, watermark_ns: int) -> None:
        """Close windows by host time. What this closes a replay has to close at the same place among the samples."""
        before = [lane.windower.next_window for lane in sensor.lanes]
        for lane in sensor.lanes:
            self._deliver(lane, lane.windower.advance(watermark_ns), self._clock.unix_ns())
        if sensor.recording is not None and before != [lane.windower.next_window for lane in sensor.lanes]:
            sensor.recording.idle_until(watermark_ns)

    def _deliver(self, lane: Lane, results: list[Any], closed_ns: int) -> None:
        self._settle(lane, lane.fates(results, closed_ns))

    def _settle(self, lane: Lane, fates: Iterable[Clip | dict[str, Any]]) -> None:
        for fate in fates:
            if isinstance(fate, Clip):
                for dropped in lane.mailbox.put(fate):
                    self._event(lane, lane.dropped_event(dropped))
            else:
                self._event(lane, fate)

    # -- messages to the publisher ------------------------------------------------------------------------------------

    def _event(self, lane: Lane, event: dict[str, Any]) -> None:
        if event["window"] is not None:
            self._announce_once(lane)
        # With our life in it: the first notice of a restarted actor is no repeat of its predecessor's first.
        key = ("e", *lane.key, event["window"], event["to_window"], lane.next_event(), self.life)
        self._outbox.send(key, "event", lane.head() | event, None, self._now_s())

    def _notice(self, lane: Lane, notice: Notice) -> None:
        t_end = notice.t_end_ns or notice.t_ns
        fields = {"window": None, "to_window": None, "t_start": notice.t_ns, "t_end": t_end, "coverage": 0.0}
        self._event(lane, {"reason": notice.reason, "detail": notice.detail, **fields})

    def _announce_once(self, lane: Lane) -> None:
        if not lane.announced:
            lane.announced = True
            assert lane.windower.first_window is not None
            self._announce(lane, lane.windower.first_window)

    def _announce(self, lane: Lane, first: int) -> None:
        """Tell the publisher the lane's grid. To a publisher that has just been restarted, `first` is the first window
        that is still open here: what lies below was settled with its predecessor."""
        calibration = next(s.calibration() for s in self.sensors if lane in s.lanes)
        head = lane.head() | {"first": first, "life": self.life, "intrinsics": calibration}
        self._outbox.send(("lane", *lane.key), "lane", head, None, self._now_s())

    def _settled(self, lane: Lane) -> int:
        """Every window of this lane below this one has its vector confirmed or its event confirmed."""
        sent = [key[3] for key in self._outbox.pending() if key[0] == "e" and (key[1], key[2]) == lane.key]
        bounds: list[int] = [*(window for window in sent if window is not None), *lane.open_windows()]
        return min(bounds)

    def _beat(self, now_s: float) -> None:
        settled = [(*lane.key, self._settled(lane)) for s in self.sensors for lane in s.lanes if lane.announced]
        heard = self._outlet.heard
        self._outlet.revive(now_s)
        self._outlet.send("beat", {"name": self._plan.name, "v": LINK_VERSION, "settled": settled})
        if heard:
            self._outbox.resend(now_s, older_than_s=Outbox.RESEND_S)
        step_ns = self._clock.step_ns()
        if abs(step_ns - self._step_ns) > CLOCK_STEP_NS:
            moved_ms = (step_ns - self._step_ns) / 1e6
            self._step_ns = step_ns
            detail = f"the system clock stepped by {moved_ms:+.1f} ms; the window grid stays on the time of the start"
            for sensor in self.sensors:
                for lane in sensor.lanes:
                    self._notice(lane, Notice(sensor.plan.stream, "clock_step", detail, self._clock.unix_ns()))

    def _from_publisher(self, message: Message) -> None:
        if message.kind == "confirm":
            for key in message.head["keys"]:
                self._outbox.confirm(key)
        elif message.kind == "beat" and self._outbox.meet(message.head["life"]):
            for sensor in self.sensors:
                for lane in sensor.lanes:
                    if lane.announced:
                        self._announce(lane, self._settled(lane))
                        lane.tell_outage_again()
                        if lane.end_sent:
                            self._send_end(lane, self._now_s())
            self._outbox.resend(self._now_s())

    # -- the credit protocol ----------------------------------------------------------------------------------------

    def _from_worker(self, message: Message) -> None:
        head, now_s = message.head, self._now_s()
        worker = head["worker"]
        link = self._links.get(worker)
        if message.kind == "beat":
            if link is not None and link.met and head["box"] != link.box:
                # It had to connect anew, and what was on the way to it may be lost.
                self._forget(worker, f"worker {worker} lost its connection")
                link = None
            if link is None:
                log.debug("%s: encode worker %s is here", self._plan.name, worker)
                link = self._links[worker] = WorkerLink(worker, now_s, self._new_box(), progress_s=now_s)
            link.beat(head["state"], head["progress"], head["p99_s"], now_s)
            self._peers[worker] = (message.peer, head["encoder"])
            link.met = head["box"] == link.box
            if head["answer"] or not link.met:
                self._inlet.send(message.peer, "welcome", {"box": link.box, "v": LINK_VERSION})
            if not link.met or link.stuck:
                return
            for lane in self._lanes(head["encoder"]):
                lane.mailbox.grant(worker, head["credit"].get(lane.plan.stream, 0))
                for dropped in lane.mailbox.skip_until(head["floor"], head["begun"]):
                    self._event(lane, lane.dropped_event(dropped))
        elif link is None or head["box"] != link.box:
            return  # of a lease that has ended, or meant for the actor that was here before us
        elif message.kind == "done":
            for lane in self._lanes(head["encoder"], head["stream"]):
                lane.mailbox.ack(head["window"])
        elif message.kind == "failed":
            for lane in self._lanes(head["encoder"], head["stream"]):
                lost = lane.mailbox.nack(head["window"], worker, head["error"], skipped=head["skipped"])
                for dropped in lost:
                    self._event(lane, lane.dropped_event(dropped))

    def _new_box(self) -> str:
        self._n_boxes += 1
        return f"{self.life}.{self._n_boxes}"

    def _lanes(self, encoder: str, stream: str | None = None) -> list[Lane]:
        return [
            lane
            for s in self.sensors
            for lane in s.lanes
            if lane.plan.encoder == encoder and stream in {None, lane.plan.stream}
        ]

    def _expire_workers(self) -> None:
        now_s = self._now_s()
        for link in list(self._links.values()):
            why = link.lost(now_s)
            if why is None:
                continue
            log.warning("%s: %s; its clips go to the next worker", self._plan.name, why)
            if now_s - link.seen_s > SILENT_S:
                self._forget(link.worker, why)
            else:  # it still beats: keep an eye on it, but lease it nothing before it moves
                link.stuck, link.met, link.box = True, False, self._new_box()
                self._end_leases(link.worker, why)

    def _forget(self, worker: str, why: str) -> None:
        self._end_leases(worker, why)
        del self._peers[worker], self._links[worker]

    def _end_leases(self, worker: str, why: str) -> None:
        for lane in self._lanes(self._peers[worker][1]):
            held = lane.mailbox.n_leased
            for dropped in lane.mailbox.lose_worker(worker, why):
                self._event(lane, lane.dropped_event(dropped))
            if lane.mailbox.n_leased < held:
                self._notice(lane, Notice(lane.plan.stream, "worker_lost", why, self._clock.unix_ns()))

    def _send_clips(self) -> None:
        for sensor in self.sensors:
            for lane in sensor.lanes:
                for worker, clip, attempts in lane.mailbox.take():
                    self._announce_once(lane)
                    if worker not in self._peers:
                        continue  # found gone a moment ago, which put this clip back as well
                    head = clip_head(clip, attempts, self._clock.unix_ns()) | {
                        "box": self._links[worker].box,
                        "floor": lane.mailbox.floor_ns,
                    }
                    if not self._inlet.send(self._peers[worker][0], "clip", head, clip.array):
                        self._forget(worker, f"worker {worker} is gone")

    # -- the end ----------------------------------------------------------------------------------------------------

    def _close_last(self, sensor: _Sensor) -> None:
        """The stream has ended: what becomes of the windows still open, whatever other sensors of the group do."""
        if not sensor.finished:
            sensor.finished = sensor.ended = True
            if sensor.recording is not None:
                sensor.recording.end()
            for lane in sensor.lanes:
                if lane.windower.first_window is not None:
                    self._settle(lane, lane.finish(self._clock.unix_ns()))

    def _finish(self, now_s: float) -> None:
        if self._stop_deadline_s is None:
            for sensor in self.sensors:
                sensor.reader.ask_to_stop()  # all first: one whose read hangs is waited for 2 s
            for sensor in self.sensors:
                if not sensor.ended:
                    sensor.inbox.close()
                    sensor.reader.stop()
                    self._take_rest(sensor)
                self._close_last(sensor)
            self._stop_deadline_s = now_s + DRAIN_S
        if now_s > self._stop_deadline_s:
            for sensor in self.sensors:
                for lane in sensor.lanes:
                    for dropped in lane.give_up_all("the run ended before an encoder served it"):
                        self._event(lane, lane.dropped_event(dropped))

    def _tell_ends(self, now_s: float) -> None:
        """Once the last window of a lane has found its fate, the publisher learns that none follows."""
        for sensor in self.sensors:
            for lane in sensor.lanes:
                if sensor.finished and not lane.end_sent and not len(lane.mailbox):
                    lane.end_sent = True
                    if lane.announced:
                        self._send_end(lane, now_s)

    def _send_end(self, lane: Lane, now_s: float) -> None:
        head = lane.head() | {"end": lane.windower.next_window}
        self._outbox.send(("end", *lane.key), "end", head, None, now_s)

    def _take_rest(self, sensor: _Sensor) -> None:
        while len(sensor.inbox) and not sensor.blocked:
            self._take(sensor)


def _keep_opencv_to_one_thread() -> None:
    """Its pool spends 0.46 ms of CPU, most of it waiting for work, to turn the colours of one 640x480 picture round in
    0.09 ms, which one thread does in 0.09 ms as well: at 30 fps 1.1 % of a core for nothing."""
    import cv2

    cv2.setNumThreads(1)

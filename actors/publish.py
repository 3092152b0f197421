"""The publish actor: one per rig. Puts vectors and events of every lane in window order, numbers and publishes them,
keeps the account, and confirms to the sender what has gone out."""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from actors.lane import Stats
from actors.order import Account, Hole, LaneOrder, Leaving
from actors.plan import LanePlan, PublishPlan
from actors.recorded import PublishedRecording
from actors.transport import Inlet, Message, Poller, Waker, check_version, each, incarnation
from stream_bind.clock import Clock
from stream_bind.errors import WireError
from stream_bind.messages import ClockInfo, Embedding, Event, Intrinsics
from stream_bind.sinks.group import SinkGroup
from stream_bind.wire.header import Lane
from stream_bind.wire.publisher import Publisher

__all__ = ["PublishWorker"]

log = logging.getLogger(__name__)

POLL_S = 0.1
NOTICES_REMEMBERED = 4096


@dataclass(slots=True)
class _Item:
    """Something that waits for its turn: a vector or an event, and whom to confirm it to."""

    message: Embedding | Event
    key: tuple[Any, ...]
    reply: bytes


@dataclass(slots=True)
class _LaneState:
    plan: LanePlan
    order: LaneOrder[_Item] = field(default_factory=LaneOrder)
    account: Account = field(default_factory=Account)
    first: int | None = None
    life: str = ""
    intrinsics: Intrinsics | None = None
    delay: Stats = field(default_factory=Stats)
    ready_ns: int = 0
    """When the encoder that sends this lane's vectors had loaded."""
    model: str = ""
    dim: int = 0
    scale: float = 1.0
    trained: bool = True

    def meta(self) -> Lane:
        """What subscribers are told of this lane."""
        return Lane(
            stream=self.plan.stream,
            encoder=self.plan.encoder,
            modality=self.plan.modality,
            hop_ns=self.plan.hop_ns,
            length_ns=self.plan.length_ns,
            first_window=self.first,
            end_window=self.order.end,
            model=self.model,
            dim=self.dim,
            scale=self.scale,
            trained=self.trained,
        )


class PublishWorker:
    """Binds the data socket and the inlet for the other actors."""

    def __init__(self, plan: PublishPlan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self.life = incarnation()
        self.fatal: str | None = None
        self._lanes = {(lane.stream, lane.encoder): _LaneState(lane) for lane in plan.lanes}
        self._confirm: dict[bytes, list[tuple[Any, ...]]] = defaultdict(list)
        self._notices: OrderedDict[tuple[Any, ...], None] = OrderedDict()
        self._sinks = SinkGroup(plan.sinks, plan.rig)
        self._recording = None if plan.tap is None else PublishedRecording(plan.tap, clock, self.life)
        self._finishing = False
        self._finished = False

    def open(self) -> None:
        """Bind both sockets and open the sinks; raises WireError or LinkError if an endpoint is taken or not allowed,
        SinkError if a sink cannot be opened."""
        self.publisher = Publisher(
            self._plan.endpoint,
            self._plan.rig,
            hwm=self._plan.hwm,
            insecure=self._plan.insecure,
            dtype=self._plan.dtype,
            clock=self._clock,
        )
        try:
            self._sinks.open()
            self._inlet = Inlet(self._plan.inlet)
        except Exception:
            self._sinks.close()
            self.publisher.close(0)
            raise
        if self._recording is not None:
            self._recording.start()
        self._waker = Waker()
        self._poller = Poller(self._waker, self._inlet, self.publisher)
        self._tell_meta()

    def step(self, timeout_s: float = POLL_S) -> None:
        """One round: what arrived goes out, holes are reported, subscribers and the heartbeat are served."""
        self._poller.wait(timeout_s)
        self._waker.clear()
        each(self._inlet.drain(), self._receive)
        now_s = self._clock.monotonic_ns() / 1e9
        for lane in self._lanes.values():
            self._tick(lane, now_s)
        for peer, keys in self._confirm.items():
            self._inlet.send(peer, "confirm", {"keys": keys})
        self._confirm.clear()
        self.publisher.beat()
        if self._finishing and not self._finished:
            self._flush()

    def close(self) -> None:
        self._inlet.close()
        self.publisher.close(round(self._plan.linger_s * 1e3))
        self._sinks.close()
        if self._recording is not None:
            self._recording.close()
        self._waker.close()

    # -- control ----------------------------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Publish what is held, report what never came, and be done."""
        self._finishing = True
        self._waker.wake()

    @property
    def done(self) -> bool:
        return self._finished and (self._recording is None or self._recording.idle)

    def health(self) -> dict[str, Any]:
        return {
            "name": "publish",
            "life": self.life,
            "fatal": self.fatal,
            "done": self.done,
            "epoch": self.publisher.epoch,
            "endpoint": self.publisher.endpoint,
            "subscribers": self.publisher.subscribers,
            "lanes": [self._lane_health(lane) for lane in self._lanes.values()],
        }

    def _lane_health(self, lane: _LaneState) -> dict[str, Any]:
        return {
            "stream": lane.plan.stream,
            "encoder": lane.plan.encoder,
            "modality": lane.plan.modality,
            "first_window": lane.first,
            "next_window": lane.order.cursor,
            "due": lane.account.due,
            "vectors": lane.account.vectors,
            "events": dict(lane.account.events),
            "repeats": lane.account.repeats,
            "held": lane.order.n_held,
            "model": lane.model,
            "trained": lane.trained,
            "latency_p50_s": lane.delay.quantile(0.5),
            "latency_p99_s": lane.delay.quantile(0.99),
        }

    # -- what arrives ---------------------------------------------------------------------------------------------

    def _receive(self, message: Message) -> None:
        head = message.head
        if message.kind == "beat":
            check_version(message)
            self._inlet.send(message.peer, "beat", {"life": self.life})
            for stream, encoder, settled in head.get("settled", ()):
                order = self._lanes[stream, encoder].order
                order.settled = max(order.settled, settled)
            return
        key = tuple(head["key"])
        lane = self._lanes[head["stream"], head["encoder"]]
        if message.kind == "vector":
            lane.ready_ns = head["ready"]
            # A vector comes over a link that nothing goes back on; one sent again, over the sender's own.
            reply = head["reply"].encode() if "reply" in head else message.peer
            self._offer(lane, self._embedding(message), key, reply)
        elif message.kind == "event":
            self._event(lane, head, key, message.peer)
        elif message.kind == "lane":
            self._confirm[message.peer].append(key)
            if lane.life == head["life"]:
                return  # a repeat, perhaps after the end
            if lane.life:
                log.warning("%s: its capture actor was restarted", lane.plan.stream)
            if lane.first is None:
                lane.first = head["first"]
            lane.life = head["life"]
            told = head.get("intrinsics")
            lane.intrinsics = None if told is None else Intrinsics(**told)
            self._release(lane, lane.order.announce(head["first"]))
            self._tell_meta()
        elif message.kind == "end":
            lane.order.finish(head["end"])
            self._confirm[message.peer].append(key)
            self._tell_meta()

    def _embedding(self, message: Message) -> Embedding:
        head = message.head
        if message.array is None:
            raise ValueError("a vector without its array")
        return Embedding(
            rig=self._plan.rig,
            stream=head["stream"],
            encoder=head["encoder"],
            modality=head["modality"],
            window=head["window"],
            t_start=head["t_start"],
            t_end=head["t_end"],
            vector=message.array,
            model=head["model"],
            coverage=head["coverage"],
            status=head["status"],
            gaps=tuple((a, b) for a, b in head["gaps"]),
            scale=head["scale"],
            trained=head["trained"],
            clock=ClockInfo(*head["clock"]),
            timing=head["timing"],
        )

    def _event(self, lane: _LaneState, head: dict[str, Any], key: tuple[Any, ...], reply: bytes) -> None:
        event = Event(
            rig=self._plan.rig,
            stream=head["stream"],
            encoder=head["encoder"],
            reason=head["reason"],
            detail=head["detail"],
            window=head["window"],
            to_window=head["to_window"],
            t_start=head["t_start"],
            t_end=head["t_end"],
            coverage=head["coverage"],
        )
        if event.window is not None and event.to_window is not None:
            self._offer(lane, event, key, reply)
            return
        if key not in self._notices:  # notices settle no window, so order and account do not apply
            self._notices[key] = None
            if len(self._notices) > NOTICES_REMEMBERED:
                self._notices.popitem(last=False)
            self._say(event)
        self._confirm[reply].append(key)

    def _offer(self, lane: _LaneState, message: Embedding | Event, key: tuple[Any, ...], reply: bytes) -> None:
        assert message.window is not None
        end = message.window + 1
        if isinstance(message, Event) and message.to_window is not None:
            end = message.to_window
        fresh, leaving = lane.order.offer(message.window, end, _Item(message, key, reply))
        if not fresh:
            lane.account.repeats += 1
            if lane.order.cursor is not None and end <= lane.order.cursor:
                self._confirm[reply].append(key)
        self._release(lane, leaving)

    # -- what leaves ------------------------------------------------------------------------------------------------

    def _release(self, lane: _LaneState, leaving: list[Leaving[_Item]]) -> None:
        for left in leaving:
            message = left.item.message
            if isinstance(message, Event) and message.window != left.window:
                message = replace(message, window=left.window, to_window=left.to_window)
            self._publish(lane, message)
            self._confirm[left.item.reply].append(left.item.key)

    def _publish(self, lane: _LaneState, message: Embedding | Event) -> None:
        if isinstance(message, Event):
            assert message.window is not None
            assert message.to_window is not None
            self._say(message)
            lane.account.events[message.reason] += message.to_window - message.window
            return
        try:
            sent = self.publisher.publish(message)
        except WireError as error:  # a NaN or a zero vector: the encoder's fault, and still a window that is due
            self._publish(lane, _failed(message, str(error)))
            return
        self._pass_on(sent)
        lane.account.vectors += 1
        timing = message.timing
        waited_ns = timing["encoded"] - timing["received"]
        if timing["closed"] >= lane.ready_ns:  # what closed while the model loaded says nothing about the pipeline
            lane.delay.add((sent.t_pub - timing["closed"] - waited_ns) / 1e9)
        if message.model != lane.model:
            lane.model, lane.dim = message.model, len(message.vector)
            lane.scale, lane.trained = message.scale, message.trained
            self._tell_meta()

    def _say(self, event: Event) -> None:
        """An event that the wire refuses (a plug-in's own reason, say) still leaves, under a reason that it takes."""
        try:
            sent = self.publisher.event(event)
        except WireError as error:
            log.warning("%s: %s", event.stream, error)
            detail = f"{event.reason}: {event.detail} ({error})"
            sent = self.publisher.event(replace(event, reason="failed", detail=detail))
        self._pass_on(sent)

    def _pass_on(self, sent: Embedding | Event) -> None:
        """A sink that fails is out from here on, so the event that says so reaches only those left."""
        if self._recording is not None:
            self._recording.take(sent)
        for why in self._sinks.send(sent):
            self._say(Event(self._plan.rig, sent.stream, "", "sink_failed", why))

    def _tick(self, lane: _LaneState, now_s: float) -> None:
        items, holes = lane.order.tick(now_s)
        self._release(lane, items)
        for hole in holes:
            self._report(lane, hole, "its capture actor was lost, and the window with it")
            self._release(lane, lane.order.tick(now_s)[0])

    def _report(self, lane: _LaneState, hole: Hole, why: str) -> None:
        hop_ns = lane.plan.hop_ns
        log.warning("%s: windows %d to %d are lost: %s", lane.plan.stream, hole.window, hole.to_window - 1, why)
        event = Event(
            rig=self._plan.rig,
            stream=lane.plan.stream,
            encoder=lane.plan.encoder,
            reason="lost",
            detail=why,
            window=hole.window,
            to_window=hole.to_window,
            t_start=hole.window * hop_ns - lane.plan.length_ns,
            t_end=(hole.to_window - 1) * hop_ns,
        )
        self._publish(lane, event)

    def _flush(self) -> None:
        """End of the run: nothing more will come."""
        for lane in self._lanes.values():
            while lane.order.cursor is not None and (lane.order.n_held or lane.order.cursor < lane.order.settled):
                hole = lane.order.close_hole()
                self._report(lane, hole, "the run ended before it was explained")
                self._release(lane, lane.order.tick(0.0)[0])
        if self._recording is not None:
            self._recording.end()
        self._finished = True

    def _tell_meta(self) -> None:
        cameras = {lane.plan.stream: lane.intrinsics for lane in self._lanes.values() if lane.intrinsics is not None}
        self.publisher.set_meta([lane.meta() for lane in self._lanes.values()], cameras)


def _failed(embedding: Embedding, why: str) -> Event:
    return Event(
        rig=embedding.rig,
        stream=embedding.stream,
        encoder=embedding.encoder,
        reason="failed",
        detail=why,
        window=embedding.window,
        to_window=embedding.window + 1,
        t_start=embedding.t_start,
        t_end=embedding.t_end,
        coverage=embedding.coverage,
    )

"""The encode actor: takes clips on credit, embeds them in batches, and hands vectors to the publisher.

Two threads: the I/O loop (`step`) receives clips, stamps them, beats and acknowledges; the compute loop
(`compute_step`) batches and embeds, and sends each vector itself: no wake-up lies between a vector and the wire.
A clip is acknowledged to its mailbox only when the publisher has confirmed its vector.
"""

from __future__ import annotations

import heapq
import logging
import os
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.lane import Stats
from actors.outbox import Outbox
from actors.plan import EncodePlan
from actors.transport import (
    LINK_VERSION,
    Message,
    Outlet,
    Poller,
    Waker,
    check_version,
    clip_of,
    each,
    incarnation,
)
from stream_bind.clock import Clock
from stream_bind.encoders.base import Encoder
from stream_bind.errors import EncoderError, StreamBindError
from stream_bind.messages import Clip
from stream_bind.registry import ENCODERS

__all__ = ["EncodeWorker"]

log = logging.getLogger(__name__)

BEAT_S = 0.5


@dataclass(slots=True)
class _Link:
    """One capture actor's mailbox as this worker sees it."""

    outlet: Outlet
    box: str = ""
    """The mailbox's incarnation; credit counts from 0 within one."""
    finished: dict[str, int] = field(default_factory=dict)
    """Clips of each stream that were embedded or given back."""


@dataclass(slots=True, order=True)
class _Task:
    """A clip waiting here. Ordered by (t_end, stream): sensors of one moment are served together."""

    t_end_ns: int
    stream: str
    number: int
    clip: Clip = field(compare=False)
    link: _Link = field(compare=False)
    box: str = field(compare=False)
    attempts: int = field(compare=False)
    sent_ns: int = field(compare=False)
    received_ns: int = field(compare=False)


class EncodeWorker:
    """One encode worker. `load` may take minutes: the I/O loop beats "loading" meanwhile, and no lease ends."""

    def __init__(self, plan: EncodePlan, clock: Clock, *, own_process: bool = False) -> None:
        self._plan = plan
        self._clock = clock
        self._own_process = own_process
        self.life = f"{plan.name}-{incarnation()}"
        self.fatal: str | None = None
        self._streams = tuple(sorted({lane.stream for lane in plan.lanes}))
        self._policies = {lane.stream: lane.policy for lane in plan.lanes}
        self._window = max(1, plan.capacity // max(1, len(self._streams)))
        self._ready: list[_Task] = []
        self._newest: dict[str, int] = {}
        """t_end of the newest clip that came of each stream."""
        self._arrived = threading.Condition()
        self._finished: deque[tuple[_Task, str | None, bool]] = deque()
        self._leases: dict[tuple[str, str, int], tuple[_Link, str]] = {}
        self._state = "loading"
        self._progress = 0
        self._floor_ns = 0
        self._ready_ns = 0
        self._begun: deque[int] = deque(maxlen=16)
        self._number = 0
        self._n_outs = 0
        self._next_beat_s = 0.0
        self._closing = False
        self._batch_s = Stats()
        self._wait_s = Stats()
        self._encode_s = Stats()
        self._batch_sizes = Stats()
        self._n_clips = 0
        self._encoder: Encoder | None = None

    def open(self) -> None:
        """Connect; call `load` next, on the compute thread."""
        self._waker = Waker()
        self._links = [_Link(Outlet(e, f"{self.life}-{i}")) for i, e in enumerate(self._plan.mailboxes)]
        self._publisher = Outlet(self._plan.publish_endpoint, self.life)
        self._outbox = Outbox(self._publisher)
        self._poller = Poller(self._waker, self._publisher, *[link.outlet for link in self._links])

    # -- compute thread -----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Load the model and run one clip of each modality, so that the first real one is not the slow one."""
        entry = ENCODERS.get(self._plan.encoder_type)
        config = entry.config(**self._plan.encoder_config)
        encoder: Encoder = entry.cls(self._plan.encoder, config)
        modalities = sorted({lane.modality for lane in self._plan.lanes})
        try:
            if self._own_process:
                os.nice(self._plan.nice)
            if self._plan.deterministic:
                _ask_for_same_bits()
            encoder.load(modalities)
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            # On 2 cores, 2 threads of the small model wait for each other behind the sensors: 117 ms a batch, not 7.
            _set_threads(self._plan.threads or max(1, (cores - 1) // self._plan.workers))
            for lane in self._plan.lanes:
                spec = entry.cls.clip_maker(config, lane.modality, lane.length_ns / 1e9).spec  # type: ignore[attr-defined]
                encoder.embed(lane.modality, np.zeros((1, *spec.shape), spec.dtype))
        except StreamBindError as error:
            self.fatal = str(error)
            raise
        except Exception as error:
            self.fatal = f"encoder {self._plan.encoder}: cannot load: {type(error).__name__}: {error}"
            raise
        self._encoder = encoder
        self._out, self._out_beside = self._connect_out(), self._publisher.peer
        self._ready_ns = self._clock.unix_ns()
        self._state = "ready"
        self._waker.wake()

    def compute_step(self, timeout_s: float = 0.5) -> bool:
        """Embed the next batch; False if none came within timeout_s."""
        batch = self._next_batch(timeout_s)
        if not batch:
            return False
        self._state = "busy"
        self._begun.extend({task.t_end_ns for task in batch} - set(self._begun))
        started_ns = self._clock.unix_ns()
        vectors, errors = self._embed(batch)
        encoded_ns = self._clock.unix_ns()
        self._progress += 1
        self._n_clips += len(batch)
        self._encode_s.add((encoded_ns - started_ns) / 1e9)
        self._batch_sizes.add(len(batch))
        for task, vector, error in zip(batch, vectors, errors, strict=True):
            self._wait_s.add((started_ns - task.received_ns) / 1e9)
            if vector is not None:
                self._send_vector(task, vector, started_ns, encoded_ns)
            self._finished.append((task, error, False))
        if not self._ready:
            self._state = "ready"
        self._waker.wake()
        return True

    def _next_batch(self, timeout_s: float) -> list[_Task]:
        with self._arrived:
            if not self._ready and not self._closing:
                self._arrived.wait(timeout_s)
            self._skip_stale()
            if not self._ready:
                return []
            head = self._ready[0]
            if head.attempts == 0 and self._more_expected(head):
                self._arrived.wait_for(lambda: not self._more_expected(head), self._plan.batch_wait_s)
                if not self._ready:  # the lease ended meanwhile
                    return []
            head = heapq.heappop(self._ready)  # while we waited, a clip of an earlier moment may have come
            batch = [head]
            if head.attempts:
                return batch  # it may be what took the last worker down: alone, so that nothing else is charged for it
            rest: list[_Task] = []
            while self._ready and len(batch) < self._plan.max_batch:
                task = heapq.heappop(self._ready)
                alike = task.clip.modality == head.clip.modality and task.clip.array.shape == head.clip.array.shape
                (batch if alike and not task.attempts else rest).append(task)
            for task in rest:
                heapq.heappush(self._ready, task)
            return batch

    def _more_expected(self, head: _Task) -> bool:
        """Whether another stream of this modality can still deliver a clip for the same t_end; waiting for anything
        else would only cost latency."""
        due = {
            lane.stream
            for lane in self._plan.lanes
            if lane.modality == head.clip.modality and head.t_end_ns % lane.hop_ns == 0
        }
        here = sum(t.t_end_ns == head.t_end_ns and t.clip.modality == head.clip.modality for t in self._ready)
        to_come = any(self._newest.get(stream, -1) < head.t_end_ns for stream in due)
        return to_come and here < self._plan.max_batch

    def _skip_stale(self) -> None:
        """Overload: whole t_end groups up to the floor are skipped, so that what is left lines up across sensors."""
        stale = [
            task
            for task in self._ready
            if task.t_end_ns <= self._floor_ns
            and task.t_end_ns not in self._begun
            and self._policies.get(task.stream) == "drop_oldest"
        ]
        if stale:
            self._ready = [task for task in self._ready if task not in stale]
            heapq.heapify(self._ready)
            self._finished.extend((task, None, True) for task in stale)
            self._waker.wake()

    def _embed(self, batch: list[_Task]) -> tuple[list[NDArray[np.float32] | None], list[str | None]]:
        assert self._encoder is not None
        modality = batch[0].clip.modality
        try:
            vectors = self._encoder.embed(modality, np.stack([t.clip.array for t in batch]))
            if len(vectors) != len(batch):
                raise EncoderError(f"{self._plan.encoder}: {len(batch)} clips gave {len(vectors)} vectors")
            return list(vectors), [None] * len(batch)
        except Exception as error:
            text = str(error) if isinstance(error, StreamBindError) else f"{type(error).__name__}: {error}"
            if len(batch) == 1:
                return [None], [text]
            log.warning("%s: a batch of %d failed (%s); trying one by one", self._plan.name, len(batch), text)
        alone = [self._embed([task]) for task in batch]
        return [v[0] for v, _ in alone], [e[0] for _, e in alone]

    def _send_vector(self, task: _Task, vector: NDArray[np.float32], started_ns: int, encoded_ns: int) -> None:
        assert self._encoder is not None
        clip = task.clip
        head = {
            "stream": clip.stream,
            "encoder": clip.encoder,
            "modality": clip.modality,
            "window": clip.window,
            "t_start": clip.t_start_ns,
            "t_end": clip.t_end_ns,
            "coverage": clip.coverage,
            "status": clip.status,
            "gaps": [(g.start_ns, g.end_ns) for g in clip.gaps],
            "clock": (clip.clock.domain, clip.clock.err_ns),
            "model": self._encoder.model,
            "scale": self._encoder.scale(clip.modality),
            "trained": self._encoder.trained,
            "ready": self._ready_ns,
            "timing": {
                "closed": clip.closed_ns,
                "sent": task.sent_ns,
                "received": task.received_ns,
                "batched": started_ns,
                "encoded": encoded_ns,
            },
        }
        key = (clip.stream, clip.encoder, clip.window)
        self._leases[key] = (task.link, task.box)
        head = self._outbox.keep(key, "vector", head, vector, self._now_s())
        peer = self._publisher.peer
        if peer != self._out_beside:  # the I/O thread had to connect anew, and our link is as dead as its was
            self._out.close()
            self._out, self._out_beside = self._connect_out(), peer
        self._out.send("vector", head | {"reply": peer}, vector)

    def _connect_out(self) -> Outlet:
        """The compute thread's own link for vectors; their confirmations come over the I/O thread's."""
        self._n_outs += 1
        return Outlet(self._plan.publish_endpoint, f"{self.life}-out-{self._n_outs}", linger_ms=500)

    # -- I/O thread -----------------------------------------------------------------------------------------------

    def step(self, timeout_s: float = 0.1) -> None:
        """One round of messages, acknowledgements and beats."""
        self._poller.wait(timeout_s)
        self._waker.clear()
        grants = False
        for link in self._links:
            box = link.box
            each(link.outlet.drain(), partial(self._from_mailbox, link))
            grants |= link.box != box
        each(self._publisher.drain(), self._from_publisher)
        while self._finished:
            task, error, skipped = self._finished.popleft()
            if task.box == task.link.box:
                task.link.finished[task.stream] = task.link.finished.get(task.stream, 0) + 1
            if error is not None or skipped:
                fields = {"error": error or "", "skipped": skipped, "window": task.clip.window, "stream": task.stream}
                self._tell(task.link, "failed", task.box, fields)
            grants = True
        now_s = self._now_s()
        if grants or now_s >= self._next_beat_s:
            self._beat(now_s, everyone=now_s >= self._next_beat_s)

    def _from_mailbox(self, link: _Link, message: Message) -> None:
        head = message.head
        if message.kind == "welcome":
            check_version(message)
            if head["box"] != link.box:
                link.box, link.finished = head["box"], {}
                self._drop(link)
        elif message.kind == "clip" and head["box"] == link.box:
            received_ns = self._clock.unix_ns()
            self._floor_ns = max(self._floor_ns, head["floor"])
            with self._arrived:
                self._number += 1
                clip = clip_of(message)
                task = _Task(
                    clip.t_end_ns, clip.stream, self._number, clip, link, head["box"],
                    head["attempts"], head["sent"], received_ns,
                )  # fmt: skip
                heapq.heappush(self._ready, task)
                self._newest[clip.stream] = max(clip.t_end_ns, self._newest.get(clip.stream, -1))
                self._arrived.notify()

    def _drop(self, link: _Link) -> None:
        """The leases under another name of this mailbox have ended: what still waits here comes again, or went to
        another worker."""
        with self._arrived:
            self._ready = [task for task in self._ready if task.link is not link or task.box == link.box]
            heapq.heapify(self._ready)

    def _from_publisher(self, message: Message) -> None:
        if message.kind == "beat" and self._outbox.meet(message.head["life"]):
            self._outbox.resend(self._now_s())
        elif message.kind == "confirm":
            for key in message.head["keys"]:
                self._outbox.confirm(key)
                lease = self._leases.pop(tuple(key), None)
                if lease is not None:
                    self._tell(lease[0], "done", lease[1], {"stream": key[0], "window": key[2]})

    def _tell(self, link: _Link, kind: str, box: str, fields: dict[str, Any]) -> None:
        link.outlet.send(kind, fields | {"worker": self.life, "encoder": self._plan.encoder, "box": box})

    def _beat(self, now_s: float, *, everyone: bool) -> None:
        loaded = self._encoder is not None
        for link in self._links:
            if everyone and link.outlet.revive(now_s):
                link.box = ""  # what was on the way here is lost; the mailbox learns it from the beat
            credit = {s: link.finished.get(s, 0) + self._window for s in self._streams} if loaded else {}
            fields = {
                "state": self._state,
                "progress": self._progress,
                "p99_s": self._encode_s.quantile(0.99) or 0.0,
                "credit": credit,
                "floor": self._floor_ns,
                "begun": list(self._begun),
                "answer": everyone,
            }
            self._tell(link, "beat", link.box, fields)
        if everyone:
            self._next_beat_s = now_s + BEAT_S
            heard = self._publisher.heard
            self._publisher.revive(now_s)
            self._publisher.send("beat", {"name": self.life, "v": LINK_VERSION})
            if heard:
                self._outbox.resend(now_s, older_than_s=Outbox.RESEND_S)

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    # -- control ----------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        return {
            "name": self._plan.name,
            "life": self.life,
            "encoder": self._plan.encoder,
            "state": self._state,
            "fatal": self.fatal,
            "model": self._encoder.model if self._encoder else None,
            "trained": self._encoder.trained if self._encoder else None,
            "clips": self._n_clips,
            "waiting": len(self._ready),
            "unconfirmed": len(self._outbox) if hasattr(self, "_outbox") else 0,
            "encode_p50_s": self._encode_s.quantile(0.5),
            "encode_p99_s": self._encode_s.quantile(0.99),
            "wait_p50_s": self._wait_s.quantile(0.5),
            "wait_p99_s": self._wait_s.quantile(0.99),
            "batch_p50": self._batch_sizes.quantile(0.5),
        }

    def request_stop(self) -> None:
        with self._arrived:
            self._closing = True
            self._arrived.notify_all()
        self._waker.wake()

    def close_compute(self) -> None:
        """On the compute thread, when it ends."""
        if hasattr(self, "_out"):
            self._out.close()
        if self._encoder is not None:
            self._encoder.close()

    def close(self) -> None:
        for link in self._links:
            link.outlet.close()
        self._publisher.close()
        self._waker.close()


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _ask_for_same_bits() -> None:
    # cuBLAS reads it when it is first used: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    # Not use_deterministic_algorithms: to tell the compiler, which nothing here uses, it imports 0.9 s of it while
    # sensors of the same process already fill their queues.
    torch.set_deterministic_debug_mode("warn")
    torch.backends.cudnn.benchmark = False

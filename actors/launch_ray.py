"""Runs a rig as Ray actors. The only file that imports ray.

A local Ray by default, private and light: its own temporary directory, no dashboard, a small object store (no clip or
vector ever enters it), usage reports off, death noticed in 0.6 s instead of 2 s. Actors' loops start in their
constructors, because a remotely called `run()` is not resumed when Ray restarts an actor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.host import Host
from actors.plan import CapturePlan, EncodePlan, PublishPlan, RecordPlan, RunPlan
from stream_bind.clock import SystemClock
from stream_bind.errors import StreamBindError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# 15 by default, which starves the sensor loops; the encoder raises its own.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

if (Path.home() / ".ray" / "auth_token").exists():
    # Ray guards clusters by a token once there is one, but joins them with it only if told so before it is imported.
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import ray
import ray.exceptions

__all__ = ["RayLauncher"]

log = logging.getLogger(__name__)

SYSTEM_CONFIG = {
    # A killed worker is known to its callers after 0.6 s instead of 2.0 s, a lost node after 1.4 s instead of 13.6 s.
    "timeout_ms_task_wait_for_death_info": 50,
    "core_worker_internal_heartbeat_ms": 100,
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 2,
}
ANSWER_S = 0.5
"""How long a poll waits for actors that have not answered yet."""


def _restarted() -> bool:
    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


class _Actor:
    """What every actor answers to; its loop runs in a thread of its Host."""

    _host: Host

    def health(self) -> dict[str, Any]:
        return self._host.health() | {"node": ray.get_runtime_context().get_node_id()}

    def call(self, verb: str) -> None:
        self._host.call(verb)

    def stop(self, timeout_s: float) -> None:
        self._host.stop(timeout_s)


class CaptureActor(_Actor):
    def __init__(self, plan: CapturePlan, offset_ns: int) -> None:
        from actors.capture import CaptureWorker

        clock = SystemClock(offset_ns)
        self._host = Host(plan.name, lambda again: CaptureWorker(plan, clock, restarted=again), exit_on_crash=True)
        self._host.start(restarted=_restarted())


class EncodeActor(_Actor):
    def __init__(self, plan: EncodePlan, offset_ns: int) -> None:
        from actors.encode import EncodeWorker

        clock = SystemClock(offset_ns)
        self._host = Host(plan.name, lambda _: EncodeWorker(plan, clock, own_process=True), exit_on_crash=True)
        self._host.start(restarted=_restarted())


class PublishActor(_Actor):
    def __init__(self, plan: PublishPlan, offset_ns: int) -> None:
        from actors.publish import PublishWorker

        clock = SystemClock(offset_ns)
        self._host = Host("publish", lambda _: PublishWorker(plan, clock), exit_on_crash=True)
        self._host.start(restarted=_restarted())


class RecordActor(_Actor):
    def __init__(self, plan: RecordPlan, offset_ns: int) -> None:
        from actors.record import RecordWorker

        clock = SystemClock(offset_ns)
        self._host = Host("record", lambda again: RecordWorker(plan, clock, restarted=again), exit_on_crash=True)
        self._host.start(restarted=_restarted())


class RayLauncher:
    """Starts (or joins) Ray and puts every worker in an actor of its own."""

    def __init__(self) -> None:
        self._actors: dict[str, tuple[str, Any]] = {}
        self._asked: dict[str, Any] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._started = False
        self._linger_s = 1.0

    def start(self, plan: RunPlan) -> None:
        self._init(plan)
        self._linger_s = plan.publisher.linger_s
        offset_ns = plan.clock_offset_ns
        here = _addresses()[ray.get_runtime_context().get_node_id()] if plan.address is not None else None
        where = _where(None, {}, here)
        self._place("publish", "publish", PublishActor, plan.publisher, offset_ns, {"num_cpus": 0, **where})
        if plan.record is not None:
            where = _where(plan.record.node, {}, here)
            self._place("record", "record", RecordActor, plan.record, offset_ns, {"num_cpus": 0, **where})
        for encode in plan.encoders:  # before the sensors: importing torch takes longer than opening them
            where = _where(encode.node, encode.resources, here)
            wants = {"num_cpus": encode.num_cpus, "num_gpus": encode.num_gpus, **where}
            self._place("encode", encode.name, EncodeActor, encode, offset_ns, wants)
        for capture in plan.captures:
            where = _where(capture.node, capture.resources, here)
            self._place("capture", capture.name, CaptureActor, capture, offset_ns, {"num_cpus": 0, **where})

    def _init(self, plan: RunPlan) -> None:
        if ray.is_initialized():
            raise StreamBindError(
                "Ray is already running in this process; call ray.shutdown() first, or set runtime.launcher: local"
            )
        with _own_sigterm():
            self._connect(plan)

    def _connect(self, plan: RunPlan) -> None:
        common: dict[str, Any] = {
            "logging_level": logging.ERROR,
            "log_to_driver": plan.log_level == "debug",
            "configure_logging": True,
        }
        if plan.address is not None:
            hint = "start one with `ray start --head`, or drop --address"
            if not _answers(plan.address):
                raise StreamBindError(f"no Ray cluster at {plan.address}: nothing listens there; {hint}")
            try:
                ray.init(address=plan.address, **common)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise StreamBindError(f"no Ray cluster at {plan.address}: {_first_line(error)}; {hint}") from error
            self._started = True
            return
        # ipc socket paths end at 107 characters, so the directory's name is short.
        self._home = tempfile.TemporaryDirectory(prefix="sb-ray-", ignore_cleanup_errors=True)
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=plan.object_store_bytes,
            _temp_dir=self._home.name,
            _system_config=dict(SYSTEM_CONFIG),
            **common,
        )
        self._started = True

    def _place(self, kind: str, name: str, cls: type, plan: Any, offset_ns: int, wants: dict[str, Any]) -> None:
        remote: Any = ray.remote(cls).options(
            name=f"{name}-{os.getpid()}", max_restarts=-1, max_task_retries=0, **wants
        )
        self._actors[name] = (kind, remote.remote(plan, offset_ns))

    def poll(self) -> dict[str, dict[str, Any]]:
        for name, (_, actor) in self._actors.items():
            if name not in self._asked:
                self._asked[name] = actor.health.remote()
        if not self._asked:
            return {}
        ready, _ = ray.wait(list(self._asked.values()), num_returns=len(self._asked), timeout=ANSWER_S)
        for name, ref in list(self._asked.items()):
            if ref not in ready:
                self._last[name] = self._last.get(name, {"name": name}) | {"away": True}
                continue
            del self._asked[name]
            try:
                self._last[name] = ray.get(ref)
            except ray.exceptions.ActorUnavailableError:
                self._last[name] = self._last.get(name, {"name": name}) | {"away": True}
            except ray.exceptions.RayError as error:
                self._last[name] = {"name": name, "fatal": f"{name}: its actor died for good: {_first_line(error)}"}
        self._check_hosts()
        return dict(self._last)

    def _check_hosts(self) -> None:
        """Two Ray nodes on one host share its Unix sockets; two hosts do not."""
        nodes = {health["node"] for health in self._last.values() if health.get("node")}
        if len(nodes) < 2:
            return
        addresses = _addresses()
        hosts = sorted({addresses.get(node, node) for node in nodes})
        if len(hosts) > 1:
            raise StreamBindError(
                f"the actors of one rig landed on {len(hosts)} hosts ({', '.join(hosts)}); between hosts clips need "
                "CURVE keys, which this version does not have: place all of them (`node:`, `resources:`) on the host "
                "where `stream-bind run` is started"
            )

    def command(self, kind: str, verb: str) -> None:
        refs = [actor.call.remote(verb) for its_kind, actor in self._actors.values() if its_kind == kind]
        if refs:
            ray.wait(refs, num_returns=len(refs), timeout=2.0)

    def close(self) -> None:
        if not self._started:
            return
        refs = [actor.stop.remote(4.0 + self._linger_s) for _, actor in self._actors.values()]
        with contextlib.suppress(ray.exceptions.RayError):
            ray.wait(refs, num_returns=len(refs), timeout=3.0 + self._linger_s)
        for _, actor in self._actors.values():
            ray.kill(actor)
        ray.shutdown()
        self._started = False
        if self._home is not None:
            self._home.cleanup()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """ray.init replaces the handler of SIGTERM by one that exits at once, without a drain."""
    old = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(old) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, old)


def _where(node: str | None, resources: dict[str, float], here: str | None) -> dict[str, Any]:
    """Placement: custom resources, and a node by its address (Ray gives every node a `node:<ip>` resource). In a
    cluster of several hosts, what is not placed stays `here`, with the directory of the sockets between the actors."""
    wanted = dict(resources)
    if node is None and not wanted:
        node = here
    if node is not None:
        wanted[f"node:{node}"] = 0.001
    return {"resources": wanted} if wanted else {}


def _addresses() -> dict[str, str]:
    """Of every node, dead ones too, by its id."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node["NodeManagerAddress"] for node in nodes}


def _answers(address: str) -> bool:
    """Whether something listens at HOST:PORT. ray.init would try for minutes; `auto` and ray:// it can judge itself."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=3.0):
            return True
    except OSError:
        return False


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__

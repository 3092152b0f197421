"""Which devices of a rig are here: each is opened once, all at the same time, and closed again."""

from __future__ import annotations

import queue
import threading
import time

from stream_bind.clock import SystemClock
from stream_bind.config.schema import RigConfig, StreamConfig
from stream_bind.errors import StreamBindError
from stream_bind.registry import DEVICES

__all__ = ["absent_devices"]

PATIENCE_S = 8.0
"""Longer than the time-out of any driver's open; what takes longer hangs."""


def absent_devices(config: RigConfig, patience_s: float = PATIENCE_S) -> dict[str, str]:
    """Stream id to why its device cannot be opened, for those that cannot. Streams placed on a node are not asked:
    their devices hang on another machine."""
    asked = [stream for stream in config.streams if stream.node is None]
    answers: queue.Queue[tuple[str, str | None]] = queue.Queue()
    for stream in asked:
        threading.Thread(target=_try, args=(stream, answers), name=f"try-{stream.id}", daemon=True).start()
    waiting = {stream.id for stream in asked}
    absent: dict[str, str] = {}
    deadline_s = time.monotonic() + patience_s
    while waiting:
        try:
            name, why = answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            break
        waiting.discard(name)
        if why is not None:
            absent[name] = why
    absent |= dict.fromkeys(waiting, f"did not open within {patience_s:g} s")
    return {stream.id: absent[stream.id] for stream in asked if stream.id in absent}


def _try(stream: StreamConfig, answers: queue.Queue[tuple[str, str | None]]) -> None:
    why: str | None = None
    try:
        device = DEVICES.get(stream.device.type).cls(stream.device.settings, stream.id, SystemClock())
        try:
            device.open()
        finally:
            device.close()
    except StreamBindError as error:
        why = str(error)
    except Exception as error:  # a driver's bug is told, not raised in a thread nobody watches
        why = f"{stream.device.type}: the driver failed: {type(error).__name__}: {error}"
    answers.put((stream.id, why))

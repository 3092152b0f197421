"""Delivery to the publisher that survives the death of either end. Knows no socket but the outlet it is given."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from actors.transport import Outlet

__all__ = ["Outbox"]

Head = dict[str, Any]


class Outbox:
    """Messages to the publisher that are kept until it confirms them, and sent again to its next life.

    Two parts of a worker's life may pass without the publisher hearing them (it was restarted, or not yet up): a
    changed incarnation in its beat, or RESEND_S without a confirmation, sends everything unconfirmed again. The
    publisher drops repeats, so sending twice is harmless; sending again and again to one that hangs would fill its
    memory, so callers resend by age only to one that has been `heard`.
    """

    RESEND_S = 5.0

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._pending: OrderedDict[tuple[Any, ...], tuple[float, str, Head, NDArray[Any] | None]] = OrderedDict()
        self._life: str | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pending)

    def pending(self) -> list[tuple[Any, ...]]:
        return list(self._pending)

    def keep(self, key: tuple[Any, ...], kind: str, head: Head, array: NDArray[Any] | None, now_s: float) -> Head:
        """Remember a message that the caller sends itself (from another thread's socket); its full head."""
        head = {**head, "key": key}
        with self._lock:
            self._pending[key] = (now_s, kind, head, array)
        return head

    def send(self, key: tuple[Any, ...], kind: str, head: Head, array: NDArray[Any] | None, now_s: float) -> None:
        self._outlet.send(kind, self.keep(key, kind, head, array, now_s), array)

    def confirm(self, key: Sequence[Any]) -> bool:
        with self._lock:
            return self._pending.pop(tuple(key), None) is not None

    def meet(self, life: str) -> bool:
        """The publisher's incarnation as heard; True if it is a new one (announce yourself, then call `resend`)."""
        new = life != self._life
        self._life = life
        return new

    def resend(self, now_s: float, older_than_s: float = 0.0) -> None:
        with self._lock:
            stale = [(k, *v[1:]) for k, v in self._pending.items() if now_s - v[0] >= older_than_s]
            for key, *message in stale:
                self._pending[key] = (now_s, *message)  # type: ignore[assignment]
        for _, kind, head, array in stale:
            self._outlet.send(kind, head, array)

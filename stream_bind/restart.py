"""When to try again: the back-off of devices that are opened anew and of workers that are started anew. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Waits that double with each failure in a row, up to a limit, spread so that devices do not return in step.

    The waits are first, 2 x first, 4 x first ... limit, each times 1 +- jitter, and never above the limit.
    """

    def __init__(
        self,
        first_s: float = 0.5,
        limit_s: float = 30.0,
        *,
        factor: float = 2.0,
        jitter: float = 0.2,
        healthy_s: float = 10.0,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """healthy_s: how long things must go well before the next wait is the first again.

        uniform: draws from [0, 1); pass a seeded one to tests.
        """
        if not 0 < first_s <= limit_s:
            raise ValueError(f"back-off needs 0 < first_s <= limit_s, got {first_s} and {limit_s}")
        if factor < 1 or not 0 <= jitter < 1 or healthy_s < 0:
            raise ValueError(
                f"back-off needs factor >= 1, 0 <= jitter < 1, healthy_s >= 0, got {factor}, {jitter}, {healthy_s}"
            )
        self.failures = 0
        """Failures in a row."""
        self._first_s = first_s
        self._limit_s = limit_s
        self._factor = factor
        self._jitter = jitter
        self._healthy_s = healthy_s
        self._uniform = uniform
        self._well_since_s: float | None = None

    def next_delay_s(self) -> float:
        """Count one more failure; seconds to wait before the next attempt."""
        wait_s = self._first_s
        for _ in range(self.failures):
            wait_s *= self._factor
            if wait_s >= self._limit_s:
                break
        self.failures += 1
        self._well_since_s = None
        return min(wait_s * (1.0 + self._jitter * (2.0 * self._uniform() - 1.0)), self._limit_s)

    def healthy(self, now_s: float | None = None) -> None:
        """Things go well. With the time, failures are forgiven after healthy_s of it; without, at once."""
        if now_s is None:
            self.failures = 0
            return
        if self._well_since_s is None:
            self._well_since_s = now_s
        if now_s - self._well_since_s >= self._healthy_s:
            self.failures = 0

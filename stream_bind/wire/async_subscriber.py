"""The consumer's end for asyncio. What it does is the same as in subscriber.py, only the waiting differs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import zmq
import zmq.asyncio

from stream_bind.wire.bound import Bound
from stream_bind.wire.message import Message
from stream_bind.wire.subscription import SAY_WAITING_S, Data, Subscription, deadline, until

__all__ = ["AsyncSubscriber"]

_TURN = 64
"""Messages taken before other coroutines get their turn, when there are always more."""


class AsyncSubscriber(Subscription):
    """The same for asyncio: `async with AsyncSubscriber() as subscriber: async for embedding in subscriber: ...`

    Takes the arguments of `Subscriber`; a `context` has to be a zmq.asyncio.Context.
    """

    def _make_context(self) -> zmq.Context[Any]:
        return zmq.asyncio.Context()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self._socket, zmq.asyncio.Socket):
            self._close()
            raise TypeError("AsyncSubscriber needs a zmq.asyncio.Context as its context")
        # Messages that are there are taken without a trip through the event loop, which costs 50 us each.
        self._async: zmq.asyncio.Socket = self._socket
        self._now: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket.underlying)
        self._taken = 0

    async def __aenter__(self) -> AsyncSubscriber:
        try:
            await self.wait_live(self.timeout_s)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._close()

    async def wait_live(self, timeout_s: float | None = None) -> None:
        """See `Subscriber.wait_live`."""
        start_ns = self._clock.monotonic_ns()
        until_ns = until(start_ns, timeout_s)
        say_ns: float = start_ns + SAY_WAITING_S * 1e9
        while not self.live:
            if await self._receive(min(until_ns, say_ns)) is not None:
                continue
            now_ns = self._clock.monotonic_ns()
            if now_ns >= until_ns:
                raise self._no_publisher(timeout_s or 0.0)
            if now_ns >= say_ns:
                self._say_waiting()
                say_ns = math.inf

    async def recv(self, timeout_s: float | None = None) -> Data | None:
        """See `Subscriber.recv`. May be cancelled; no message is lost by that."""
        until_ns = until(self._clock.monotonic_ns(), timeout_s)
        while not self._ready:
            if await self._receive(until_ns) is None and self._clock.monotonic_ns() >= until_ns:
                return None
        return self._pop()

    def __aiter__(self) -> AsyncIterator[Data]:
        return self

    async def __anext__(self) -> Data:
        message = None
        while message is None:
            message = await self.recv()
        return message

    async def bound(self, timeout_s: float = 5.0) -> AsyncIterator[Bound]:
        """See `Subscriber.bound`."""
        self._watch_events()
        binder = self._binder(timeout_s)
        early = [message for message, _ in self._ready]
        self._ready.clear()
        for message in early:
            for bound in binder.feed(message, self._clock.monotonic_ns()):
                yield bound
        while True:
            taken = await self._receive(deadline(binder))
            self._ready.clear()
            now_ns = self._clock.monotonic_ns()
            for bound in binder.expire(now_ns) if taken is None else binder.feed(taken, now_ns):
                yield bound

    async def _receive(self, until_ns: float) -> Message | None:
        self._taken += 1
        if self._taken % _TURN == 0:
            await asyncio.sleep(0)
        try:
            frames = self._now.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            if not await self._async.poll(self._wait_ms(until_ns)):
                self._redial_if_silent()
                return None
            frames = self._now.recv_multipart(zmq.NOBLOCK)
        return self._take(frames)

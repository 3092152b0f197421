"""The end of a ZeroMQ context, which libzmq does not promise."""

from __future__ import annotations

import logging
import threading
from typing import Any

import zmq

__all__ = ["end_context"]

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""More than a context without messages needs by three orders of magnitude."""


def end_context(context: zmq.Context[Any], linger_s: float = 0.0, grace_s: float = GRACE_S) -> bool:
    """Wait until what the closed sockets of this context still hold is sent, at most `linger_s` (their own linger), and
    end it. False if it does not end.

    libzmq 4.3.5 loses count of a connection that its peer closes while a last message is on its way: some one in 2,000
    such ends never came, whatever the linger (two SUB sockets closed, one message sent by their XPUB, and that closed;
    libzmq#2586 tells of the same). The thread that waits then stays behind, asleep, until the process ends.
    """
    waiting = threading.Thread(target=context.term, name="zmq-term", daemon=True)
    waiting.start()
    waiting.join(linger_s + grace_s)
    if waiting.is_alive():
        log.debug("a ZeroMQ context has not ended within %.1f s; going on without it", linger_s + grace_s)
    return not waiting.is_alive()

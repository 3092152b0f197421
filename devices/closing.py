"""Letting go of a vendor's SDK that may never return."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

__all__ = ["close_within"]

logger = logging.getLogger(__name__)


def close_within(
    timeout_s: float, name: str, *steps: Callable[[], object], meanwhile: Callable[[], object] | None = None
) -> bool:
    """Run the steps in order, whatever they raise; False if they are not through in timeout_s.

    meanwhile: called again and again until they are, for an SDK whose stop waits for its queue to be read.

    They run in a thread of their own, which a dead-locked SDK keeps: librealsense's stop() has hung in the field
    (librealsense issues 9184, 2472), and a reader that waits for it could never open the camera again.
    """

    def run() -> None:
        for step in steps:
            try:
                step()
            except Exception as error:  # parting words of a device that is gone help nobody
                logger.debug("%s: closing: %s", name, error)

    thread = threading.Thread(target=run, name=f"close {name}", daemon=True)
    thread.start()
    end = time.monotonic() + timeout_s
    while thread.is_alive() and time.monotonic() < end:
        if meanwhile is not None:
            meanwhile()
        thread.join(0.01 if meanwhile is not None else timeout_s)
    if thread.is_alive():
        logger.warning("%s: its SDK does not come back from closing after %g s; it is left behind", name, timeout_s)
        return False
    return True

"""The one reader thread of a device: open, read, stamp the arrival, reopen after a fault with back-off."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from actors.inbox import Arrival, Inbox
from devices.base import Replaying
from stream_bind.errors import DeviceError, EndOfStream, StreamBindError
from stream_bind.log.codec import END, IDLE
from stream_bind.messages import Chunk, Notice

if TYPE_CHECKING:
    from devices.base import Device
    from stream_bind.adjust import Adjust
    from stream_bind.clock import Clock
    from stream_bind.restart import Backoff

__all__ = ["Reader"]

log = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.2


class Reader:
    """Feeds `inbox` from `device` until stopped. A device that cannot be opened at the very start is fatal (the user
    named something that is not there); one that breaks later is reopened for as long as the run lasts."""

    def __init__(
        self,
        stream: str,
        device: Device,
        adjust: Adjust,
        inbox: Inbox,
        clock: Clock,
        backoff: Backoff,
        *,
        patient: bool = False,
        keep_sent: bool = False,
    ) -> None:
        """patient: the actor was restarted, so a device that does not open yet was there before: keep trying.
        keep_sent: hand on chunks as they were before adjustments as well, for a recording."""
        self._stream = stream
        self._device = device
        self._adjust = adjust
        self._period_ns = adjust.spec.period_ns
        self._inbox = inbox
        self._clock = clock
        self._backoff = backoff
        self._stop = threading.Event()
        self._go = threading.Event()
        self._keep_sent = keep_sent
        self._opened_once = patient
        self._away = False
        self._end_ns: int | None = None
        self.opened = threading.Event()
        """Set once the device was opened for the first time."""
        self._thread = threading.Thread(target=self._run, name=f"read-{stream}", daemon=True)

    @property
    def away(self) -> bool:
        """The device broke and has delivered nothing since."""
        return self._away

    def start(self, *, hold: bool = False) -> None:
        """Open now; with `hold`, read nothing before `release`."""
        if not hold:
            self._go.set()
        self._thread.start()

    def release(self) -> None:
        self._go.set()

    def ask_to_stop(self) -> None:
        """The thread ends after the read it is in."""
        self._stop.set()
        self._go.set()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ask the thread to end; False if the driver hangs past timeout_s (it is a daemon thread)."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, **what: object) -> None:
        self._inbox.put(Arrival(self._clock.unix_ns(), **what))  # type: ignore[arg-type]

    def _notice(self, reason: str, detail: str, t_ns: int, t_end_ns: int = 0) -> None:
        log.info("%s: %s: %s", self._stream, reason, detail)
        self._put(notice=Notice(self._stream, reason, detail, t_ns, t_end_ns))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if self._open():
                    self._go.wait()
                    if isinstance(self._device, Replaying):
                        self._replay(self._device)
                    else:
                        self._read_until_fault()
                self._stop.wait(self._backoff.next_delay_s())
        except EndOfStream:
            self._put(end=True)
        except StreamBindError as error:
            self._put(fatal=str(error))
        except Exception as error:  # a driver's own bug must end this stream with a sentence, not a silent thread
            log.exception("%s: driver failed", self._stream)
            self._put(fatal=f"{self._stream}: the driver failed: {type(error).__name__}: {error}")
        finally:
            self._device.close()

    def _open(self) -> bool:
        try:
            self._device.open()
        except DeviceError as error:
            self._device.close()
            if not self._opened_once or error.permanent:
                raise
            log.debug("%s: still away: %s", self._stream, error)
            return False
        self._away |= self._opened_once
        self._opened_once = True
        self.opened.set()
        return True

    def _replay(self, device: Replaying) -> None:
        """What was recorded, as it was recorded: gaps, notices and idle times come from the log, too."""
        while not self._stop.is_set():
            found = device.read_recorded(READ_TIMEOUT_S)
            if found is None:
                continue
            if isinstance(found.item, Chunk):
                chunk = self._adjust.apply(found.item)
                sent = found.item if self._keep_sent else None
                self._inbox.put(Arrival(found.arrived_ns, chunk=chunk, sent=sent))
            elif found.item.reason == IDLE:
                self._inbox.put(Arrival(found.arrived_ns, idle_ns=found.item.t_ns))
            elif found.item.reason != END:
                mark = found.item
                notice = Notice(self._stream, mark.reason, mark.detail, mark.t_ns, mark.t_end_ns)
                self._inbox.put(Arrival(found.arrived_ns, notice=notice))

    def _read_until_fault(self) -> None:
        while not self._stop.is_set():
            try:
                chunk = self._device.read(READ_TIMEOUT_S)
            except DeviceError as error:
                self._device.close()
                if self._away:
                    log.debug("%s: lost again before its first sample: %s", self._stream, error)
                else:
                    self._away = True
                    now_ns = self._clock.unix_ns()
                    self._notice("device_lost", str(error), now_ns if self._end_ns is None else self._end_ns)
                return
            if chunk is None or len(chunk) == 0:
                continue
            self._backoff.healthy(self._clock.monotonic_ns() / 1e9)
            sent, chunk = chunk if self._keep_sent else None, self._adjust.apply(chunk)
            if self._away:
                self._away = False
                chunk = replace(chunk, gap_before=True)
                self._say_back(int(chunk.t_ns[0]))
            self._end_ns = int(chunk.t_ns[-1]) + self._period_ns
            self._put(chunk=chunk, sent=sent)

    def _say_back(self, t_ns: int) -> None:
        """Samples come again; between the end of the last one and this one there are none, and never will be."""
        start_ns = self._end_ns
        if start_ns is None or t_ns <= start_ns:
            self._notice("device_back", "samples come again", t_ns)
        else:
            detail = f"samples come again; none for {(t_ns - start_ns) / 1e9:.3f} s"
            self._notice("device_back", detail, start_ns, t_ns)

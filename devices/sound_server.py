"""Where PulseAudio (or PipeWire in its place) really takes a stream's sound from.

When a source goes away the server moves its streams to another one and tells nobody who does not ask: PortAudio goes on
delivering, from the wrong microphone. ALSA's plugin cannot forbid that, so this asks (pulsectl, optional).
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.portaudio import Call, Stuck

__all__ = ["SOUND_SERVER", "SoundServer", "Source", "list_sources", "uses_sound_server"]

logger = logging.getLogger(__name__)

_TAG = "stream_bind.stream"
_RETRY_S = 0.5
_LIST_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Source:
    """What a sound server records from."""

    name: str
    """Its identity, which stays over replugging: alsa_input.usb-Maker_Model-00.mono-fallback."""
    description: str
    rate_hz: int
    channels: int
    is_monitor: bool
    """What is played, not what a microphone hears."""
    card: str = ""
    """ALSA's number of the card the server holds for it."""


class SoundServer:
    """Follows the tagged streams of this process, in a daemon thread that starts with the first of them.

    Nothing here waits for the server: a frozen one leaves the places as they were last known. Moves were seen 5 ms
    after they happened.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._tags: set[str] = set()
        self._places: dict[str, Source] = {}
        self._thread: threading.Thread | None = None

    @property
    def can_ask(self) -> bool:
        """Whether pulsectl is installed."""
        return importlib.util.find_spec("pulsectl") is not None

    def environment(self, tag: str) -> dict[str, str]:
        """Variables under which libpulse tells the server the tag of a stream that is opened."""
        return {f"PULSE_PROP_{_TAG}": tag}

    def follow(self, tag: str) -> None:
        if not self.can_ask:
            return
        with self._lock:
            self._tags.add(tag)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sound-server", daemon=True)
                self._thread.start()
        self._wanted.set()

    def forget(self, tag: str) -> None:
        with self._lock:
            self._tags.discard(tag)
            self._places.pop(tag, None)
            if not self._tags:
                self._wanted.clear()

    def place(self, tag: str) -> Source | None:
        """The source that the stream records from, as far as is known."""
        return self._places.get(tag)

    def _run(self) -> None:
        pulsectl: Any = importlib.import_module("pulsectl")
        while True:
            self._wanted.wait()
            try:
                # No limit of time: a frozen server holds this thread only, and PulseAudio is never started by us.
                with pulsectl.Pulse("stream-bind", connect=False) as pulse:
                    pulse.connect(autospawn=False)
                    self._follow(pulse, pulsectl.PulseLoopStop)
            except (pulsectl.PulseError, pulsectl.PulseDisconnected) as error:
                logger.debug("sound server: %s %s", type(error).__name__, error)
            except Exception:
                logger.exception("sound server: cannot be asked, trying again; moved streams go unnoticed")
            threading.Event().wait(_RETRY_S)

    def _follow(self, pulse: Any, stop: type[Exception]) -> None:
        def changed(_event: object) -> None:
            raise stop

        pulse.event_callback_set(changed)
        pulse.event_mask_set("source_output", "source")
        while True:
            # What changes during the questions ends the next listening at once, so nothing is missed.
            tags = {client.index: client.proplist.get(_TAG) for client in pulse.client_list()}
            sources = {source.index: _source(source) for source in pulse.source_list()}
            for output in pulse.source_output_list():
                tag, source = tags.get(output.client), sources.get(output.source)
                with self._lock:
                    if tag in self._tags and source is not None:
                        self._places[tag] = source
            pulse.event_listen(timeout=1.0)


def list_sources() -> list[Source]:
    """What the sound server can record from; empty where there is none, or pulsectl is missing. Takes 2 s at most."""

    def ask() -> list[Source]:
        pulsectl: Any = importlib.import_module("pulsectl")
        with pulsectl.Pulse("stream-bind", connect=False) as pulse:
            pulse.connect(autospawn=False)
            return [_source(source) for source in pulse.source_list()]

    with contextlib.suppress(Exception, Stuck):
        return Call(ask).wait(_LIST_TIMEOUT_S)
    return []


def uses_sound_server(maps: Path = Path("/proc/self/maps")) -> bool:
    """Whether this process has loaded libpulse, so that streams may go through a sound server."""
    try:
        return "libpulse" in maps.read_text(errors="replace")
    except OSError:
        return False


def _source(info: Any) -> Source:
    spec = info.sample_spec
    return Source(
        info.name,
        info.description,
        int(spec.rate),
        int(spec.channels),
        info.proplist.get("device.class") == "monitor" or info.name.endswith(".monitor"),
        info.proplist.get("alsa.card", ""),
    )


SOUND_SERVER = SoundServer()
"""The one of this process."""

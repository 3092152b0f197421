"""PortAudio, shared by all microphones of a process, and kept from hanging them.

PortAudio lists devices once, when it is initialised, for the whole process; and every call into it may block for ever
where a sound server is frozen (SIGSTOP on PulseAudio: open 30 s, close and initialise without end). So calls come one
after the other, each in a thread that is given up after a while, and the list is read anew only while no stream is
open.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from devices.sound_cards import why_closed
from stream_bind.errors import DeviceError

__all__ = ["PORTAUDIO", "Call", "PortAudio", "SoundInput", "StreamSettings", "Stuck"]

T = TypeVar("T")

LOAD_TIMEOUT_S = 15.0
"""Importing sounddevice, which initialises PortAudio: 0.2 s, on a machine twelve times slower over a network 5 s."""
LIST_TIMEOUT_S = 5.0
"""Listing anew: 0.04 s with PulseAudio, seconds where many cards are probed."""
OPEN_TIMEOUT_S = 4.0
CLOSE_TIMEOUT_S = 1.0
"""Normal closing takes up to 0.1 s."""

_RATES_HZ = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 192000)
_INSTALL = "apt-get install libportaudio2 (Debian, Ubuntu) or brew install portaudio (macOS)"


class Stuck(Exception):  # noqa: N818 - a state, turned into a DeviceError by whoever knows the device
    """A call did not return in time. `call` still runs."""

    def __init__(self, call: Call[Any]) -> None:
        super().__init__("PortAudio does not return")
        self.call = call


class Call(Generic[T]):
    """A function running in a daemon thread of its own, which may be given up."""

    def __init__(self, function: Callable[[], T], undo: Callable[[T], object] | None = None) -> None:
        """undo: what to do with a result nobody waited for."""
        self._function = function
        self._undo = undo
        self._lock = threading.Lock()
        self._given_up = False
        self._result: T | None = None
        self._error: Exception | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="portaudio", daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._done.is_set()

    def wait(self, timeout_s: float) -> T:
        """The function's result or exception; raises Stuck and gives the call up after timeout_s."""
        self._done.wait(timeout_s)
        with self._lock:
            if not self._done.is_set():
                self._given_up = True
                raise Stuck(self)
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _run(self) -> None:
        try:
            self._result = self._function()
        except Exception as error:
            self._error = error
        with self._lock:
            if not self._given_up:
                self._done.set()
                return
        if self._error is None and self._undo is not None:
            with contextlib.suppress(Exception):
                self._undo(cast(T, self._result))
        self._done.set()


@dataclass(frozen=True, slots=True)
class SoundInput:
    """A device that can record, as PortAudio lists it."""

    index: int
    name: str
    host_api: str
    channels: int
    """The most it takes; a sound server's device takes any number and says 32."""
    rate_hz: float
    """Its default."""
    is_default: bool

    @property
    def is_plugin(self) -> bool:
        """An ALSA device made of software (a sound server, a mixer): its channels are not those of a sensor."""
        return self.host_api == "ALSA" and "(hw:" not in self.name


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream is opened with; dtype: int16, int32 or float32."""

    rate_hz: float
    channels: int
    dtype: str
    block: int
    """Frames per callback."""
    latency_s: float


class PortAudio:
    """The library of this process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._streams: set[int] = set()
        self._stuck: list[Call[Any]] = []
        self._sd: Any = None

    @property
    def n_stuck(self) -> int:
        """Calls given up that have not returned yet."""
        self._stuck = [call for call in self._stuck if call.running]
        return len(self._stuck)

    @property
    def n_streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def inputs(self, *, refresh: bool = False) -> list[SoundInput]:
        """All input devices. refresh: read the list anew, if no stream of this process is open.

        Raises DeviceError, permanent where PortAudio is not installed; Stuck.
        """
        with self._my_turn(LOAD_TIMEOUT_S):
            return self._inputs(refresh)

    def open(
        self,
        choose: Callable[[list[SoundInput]], SoundInput],
        settle: Callable[[SoundInput], StreamSettings],
        callback: Callable[..., None],
        finished: Callable[[], None],
        *,
        refresh: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[Any, SoundInput, StreamSettings]:
        """Start a sounddevice.RawInputStream on the device that `choose` picks, with what `settle` makes of it.

        environment: variables set while the stream is opened, which is when ALSA's plugins and libpulse read them.
        Raises Stuck, sounddevice.PortAudioError, and what `choose` raises.
        """
        with self._my_turn(LOAD_TIMEOUT_S):
            try:
                chosen = choose(self._inputs(refresh))
            except DeviceError:
                if refresh:
                    raise
                chosen = choose(self._inputs(True))
            settings = settle(chosen)
            # An opening that fails beside a stream that runs can crash PortAudio 19.6 (its issue 278; seen in 4 of 6
            # processes after up to 30 of them), and with it every sensor of this process: do not let it try.
            why = why_closed(chosen.name) if self._streams else ""
            if why:
                raise DeviceError(f"{chosen.name!r}: {why}; plug it in, or end the program that holds it")

            def start() -> Any:
                stream = self._sd.RawInputStream(
                    device=chosen.index,
                    samplerate=settings.rate_hz,
                    channels=settings.channels,
                    dtype=settings.dtype,
                    blocksize=settings.block,
                    latency=settings.latency_s,
                    callback=callback,
                    finished_callback=finished,
                )
                try:
                    stream.start()
                except BaseException:
                    stream.close()
                    raise
                return stream

            with _environment(environment or {}):
                stream = self._bounded(start, OPEN_TIMEOUT_S, lambda late: late.close())
            self._streams.add(id(stream))
            return stream, chosen, settings

    def close(self, stream: Any) -> None:
        """Close a stream. Raises Stuck after CLOSE_TIMEOUT_S; it goes on closing then."""
        # Another microphone's opening that hangs must not keep this one: then it is closed out of turn.
        in_turn = self._turn.acquire(timeout=CLOSE_TIMEOUT_S)
        try:
            self._streams.discard(id(stream))
            # Not abort() first: Pa_CloseStream does that, and takes the stream off the list that Pa_Terminate would
            # hang on at exit.
            self._bounded(lambda: stream.close(ignore_errors=True), CLOSE_TIMEOUT_S)
        finally:
            if in_turn:
                self._turn.release()

    def offers(self, chosen: SoundInput, settings: StreamSettings) -> str:
        """What a device that refused these settings would take, in words; empty where it does not say."""

        def ask() -> list[int]:
            good = []
            for rate_hz in _RATES_HZ:
                with contextlib.suppress(Exception):
                    self._sd.check_input_settings(
                        chosen.index, min(settings.channels, chosen.channels), None, None, rate_hz
                    )
                    good.append(rate_hz)
            return good

        try:
            with self._my_turn(LIST_TIMEOUT_S):
                rates = self._bounded(ask, LIST_TIMEOUT_S)
        except Stuck:
            return ""
        told = f"at {', '.join(map(str, rates))} Hz" if rates else f"at its default of {chosen.rate_hz:g} Hz"
        return f"1 to {chosen.channels} channels {told}"

    def _inputs(self, refresh: bool) -> list[SoundInput]:
        def read() -> list[SoundInput]:
            if self._sd is None:
                self._sd = _load()
            elif refresh and not self._streams and not self.n_stuck:
                # Fails where an earlier initialising failed.
                with contextlib.suppress(Exception):
                    self._sd._terminate()
                self._sd._initialize()
            apis = self._sd.query_hostapis()
            default = self._sd.default.device[0]
            if default < 0:
                default = next((api["default_input_device"] for api in apis if api["default_input_device"] >= 0), -1)
            return [
                SoundInput(
                    device["index"],
                    device["name"],
                    apis[device["hostapi"]]["name"],
                    device["max_input_channels"],
                    device["default_samplerate"],
                    device["index"] == default,
                )
                for device in self._sd.query_devices()
                if device["max_input_channels"] > 0
            ]

        return self._bounded(read, LOAD_TIMEOUT_S if self._sd is None else LIST_TIMEOUT_S)

    @contextlib.contextmanager
    def _my_turn(self, timeout_s: float) -> Iterator[None]:
        if not self._turn.acquire(timeout=timeout_s):
            raise DeviceError("PortAudio is busy with another microphone of this process; trying again")
        try:
            yield
        finally:
            self._turn.release()

    def _bounded(self, function: Callable[[], T], timeout_s: float, undo: Callable[[T], object] | None = None) -> T:
        call = Call(function, undo)
        try:
            return call.wait(timeout_s)
        except Stuck:
            self._stuck = [*(other for other in self._stuck if other.running), call]
            if self._sd is not None:
                # Pa_Terminate at exit would wait for the stuck call, for ever.
                atexit.unregister(self._sd._exit_handler)
            raise


def _load() -> Any:
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(f"PortAudio is not installed ({error}); {_INSTALL}", permanent=True) from error
    except ImportError as error:
        raise DeviceError(f"{error}; pip install sounddevice", permanent=True) from error
    return sounddevice


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


PORTAUDIO = PortAudio()
"""The one of this process."""

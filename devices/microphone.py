"""A microphone, or whatever the system records from, through PortAudio."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from devices.adc_clock import AdcClock
from devices.base import Found
from devices.portaudio import PORTAUDIO, Call, SoundInput, StreamSettings, Stuck
from devices.sound_inputs import choose_input, found_inputs
from devices.sound_intake import Intake, SoundBlock
from devices.sound_server import SOUND_SERVER, Source, uses_sound_server
from stream_bind.clock import Clock
from stream_bind.clocksync import SampleClock
from stream_bind.errors import DeviceError
from stream_bind.messages import Chunk, Raw, StreamSpec
from stream_bind.registry import register_device

__all__ = ["Microphone", "MicrophoneConfig"]

logger = logging.getLogger(__name__)

_FORMATS = {"int16": ("pcm_s16le", 2.0**-15), "int32": ("pcm_s32le", 2.0**-31), "float32": ("pcm_f32le", 1.0)}
"""FFmpeg's name of each sample format, and what makes it full scale."""
_MAX_PLUGIN_CHANNELS = 2
_STANDSTILL_S = 0.5
_COLD_NS = 700_000_000
_COLD_FOR_NS = 3_000_000_000
"""Where the first block lets wait so long (an idle PulseAudio sink, 1.6 s), the server's times are wrong for so long
(by 0.5 s in the first second, then running at double speed: measured), and arrivals are better."""
_BAD_FORMATS = (-9997, -9998, -9994)
"""PortAudio's codes for a rate, a number of channels, and a sample format it cannot have."""
_STREAMS = itertools.count(1)


class MicrophoneConfig(BaseModel):
    """A sound input."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["microphone"] = "microphone"
    """The device type, always "microphone"."""
    name: str | None = None
    """PortAudio's name for it or a part of that, hw:CARD=id,DEV=n, a link under /dev/snd/by-id, or `default`."""
    source: str | None = None
    """Instead of a name: a source of PulseAudio or PipeWire (pactl list short sources), through PortAudio's `pulse`."""
    index: int | None = Field(default=None, ge=0)
    """Instead of a name: its place in PortAudio's list, which changes with what is plugged in."""
    host_api: str | None = None
    """Where one name is known to several systems of the machine: ALSA, JACK, Core Audio, Windows WASAPI ..."""
    rate_hz: float = Field(default=48000.0, ge=1000, le=768_000)
    """Samples per second it records with; best its native rate, the windows are resampled anyway."""
    channels: int | None = Field(default=None, ge=1, le=128)
    """How many channels to record; by default all it has, or one where a sound server takes any number."""
    sample_format: Literal["int16", "int32", "float32"] = "int16"
    """How samples are taken, and kept in recordings; int32 for microphones of 24 bits."""
    block_s: float = Field(default=0.01, ge=0.001, le=0.2)
    """Sound per block: what a read delivers, and the least delay."""
    latency_s: float = Field(default=0.1, ge=0, le=2)
    """How much sound the system keeps for us: how long a busy machine may be late without a loss."""
    buffer_s: float = Field(default=5.0, gt=0, le=60)
    """How much sound is kept for a reader that is late, before the oldest is dropped."""
    stall_timeout_s: float = Field(default=2.0, ge=0.2)
    """Silence of the driver (no block, not quiet sound) after which it is given up and opened again."""
    start_timeout_s: float = Field(default=5.0, ge=0.2)
    """The same for the first block after opening; a sleeping PulseAudio sink takes 1.6 s."""

    @model_validator(mode="after")
    def _one_address(self) -> MicrophoneConfig:
        given = [key for key in ("name", "source", "index") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one of name, source and index, found {', '.join(given) or 'none'}; "
                f"`stream-bind devices` lists what there is, `name: default` takes the system's default"
            )
        return self


@register_device("microphone", config=MicrophoneConfig, modalities=("audio",))
class Microphone:
    """float32 (channels,) in [-1, 1], one block a read. The stamps count samples, fitted to the times PortAudio gives.

    Counters: overflows (the system lost sound), dropped_blocks (the reader was too late), losses_found (the clock and
    the sample counter disagreed), moves (the sound server took another source), stalls, stuck_calls.
    """

    def __init__(self, config: MicrophoneConfig, stream_id: str, clock: Clock) -> None:
        self._config = config
        self._id = stream_id
        self._clock = clock
        self._portaudio = PORTAUDIO
        self._server = SOUND_SERVER
        self._stream: Any = None
        self._intake: Intake | None = None
        self._stuck: Call[Any] | None = None
        self._channels = config.channels
        # One for all openings, so that time never runs backwards and the crystal's rate stays known.
        self._samples = SampleClock(config.rate_hz)
        self._adc = AdcClock()
        self._home: Source | None = None
        self._tag = ""
        self._input: SoundInput | None = None
        self._refresh = False
        self._counters: Counter[str] = Counter()

    @property
    def spec(self) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="audio",
            rate_hz=self._config.rate_hz,
            shape=(self._channels or -1,),
            dtype="float32",
            unit="full_scale",
            max_delay_s=max(1.0, 4 * self._config.block_s + self._config.latency_s),
            domain="device",
        )

    @property
    def counters(self) -> Mapping[str, int]:
        names = ("overflows", "dropped_blocks", "losses_found", "moves", "stalls", "stuck_calls")
        return {name: self._counters[name] for name in names}

    def open(self) -> None:
        self.close()
        if self._stuck is not None and self._stuck.running:
            raise DeviceError(f"{self._name}: PortAudio still hangs in an earlier call; is the sound server frozen?")
        config = self._config
        intake = Intake(max(4, round(config.buffer_s / config.block_s)), self._clock)
        tag = f"{os.getpid()}-{next(_STREAMS)}"
        environment = self._server.environment(tag)
        if config.source is not None:
            environment["PULSE_SOURCE"] = config.source
        refresh, self._refresh = self._refresh, True
        try:
            self._stream, chosen, settings = self._portaudio.open(
                self._choose, self._settle, intake.callback, intake.finish, refresh=refresh, environment=environment
            )
        except Stuck as stuck:
            self._give_up(stuck)
            raise DeviceError(
                f"{self._name}: PortAudio hangs; is the sound server frozen? it will be tried again"
            ) from None
        except DeviceError as error:
            others = self._portaudio.n_streams
            stale = f"; its list is old, since {others} other streams of this process are open" if others else ""
            raise DeviceError(f"{self._name}: {error}{stale}", permanent=error.permanent) from error
        except Exception as error:  # PortAudioError, and ValueError for what sounddevice checks itself
            raise DeviceError(self._refused(error)) from error
        self._refresh = False
        self._intake = intake
        self._input = chosen
        self._channels = settings.channels
        self._home = None
        self._tag = tag
        self._opened_ns = self._clock.monotonic_ns()
        self._expected = 1
        self._first = True
        self._count = 0
        self._block_ns: int | None = None
        self._adc_from_ns = 0
        if uses_sound_server():
            if not self._server.can_ask:
                logger.warning(
                    "%s: whether the sound server moves %s to another microphone stays unknown: pip install pulsectl",
                    self._id,
                    self._name,
                )
            self._server.follow(tag)
        logger.info("%s: %r is open: %d channels at %g Hz", self._id, chosen.name, settings.channels, settings.rate_hz)

    def read(self, timeout_s: float) -> Chunk | None:
        if self._intake is None:
            raise DeviceError(f"{self._name}: read before open; open the device first")
        block = self._intake.take(timeout_s)
        self._check_place()
        if block is None:
            self._check_life(self._intake)
            return None
        self._check_flow(block)
        return self._chunk(block)

    def close(self) -> None:
        stream, self._stream, self._intake = self._stream, None, None
        if stream is None:
            return
        self._server.forget(self._tag)
        try:
            self._portaudio.close(stream)
        except Stuck as stuck:
            self._give_up(stuck)
            logger.warning("%s: closing %s hangs; it is left to end by itself", self._id, self._name)
        except Exception as error:
            logger.debug("%s: closing: %s", self._id, error)

    @classmethod
    def discover(cls, probe: bool = True) -> list[Found]:
        """Every sound input; opens none. A missing PortAudio is told as a Found without a device."""
        return found_inputs(PORTAUDIO)

    @property
    def _name(self) -> str:
        config = self._config
        address = config.name or config.source or config.index
        return f"microphone {address}"

    def _choose(self, inputs: list[SoundInput]) -> SoundInput:
        config = self._config
        if config.source is not None:
            chosen = choose_input(
                inputs, "pulse", "ALSA", what="the way to the sound server; apt-get install libasound2-plugins"
            )
        elif config.index is not None:
            chosen = choose_input(inputs, config.index, config.host_api)
            logger.warning(
                "%s: index %d is %r now; write its name, the list changes", self._id, chosen.index, chosen.name
            )
        else:
            chosen = choose_input(inputs, config.name or "", config.host_api)
            if config.name == "default":
                logger.warning("%s: the default is %r now; write its name, the default changes", self._id, chosen.name)
        return chosen

    def _settle(self, chosen: SoundInput) -> StreamSettings:
        config = self._config
        own = chosen.channels
        if chosen.is_plugin and own > _MAX_PLUGIN_CHANNELS:
            own = 1
        channels = config.channels or own
        block = max(1, round(config.rate_hz * config.block_s))
        self._settings = StreamSettings(config.rate_hz, channels, config.sample_format, block, config.latency_s)
        self._input = chosen
        return self._settings

    def _refused(self, error: Exception) -> str:
        words = " ".join(str(error.args[0] if error.args else error).split())
        chosen = self._input
        if chosen is None or not set(error.args) & set(_BAD_FORMATS):
            return (
                f"{self._name}: cannot be opened: {words}; check that it is there, and that no other program holds it"
            )
        wanted = f"{self._settings.channels} channels at {self._settings.rate_hz:g} Hz"
        offers = self._portaudio.offers(chosen, self._settings)
        return f"{self._name}: {chosen.name!r} does not do {wanted}: {words}; it offers {offers or 'nothing now'}"

    def _give_up(self, stuck: Stuck) -> None:
        self._stuck = stuck.call
        self._counters["stuck_calls"] += 1

    def _check_place(self) -> None:
        """DeviceError where the sound server gives us another source than at first, or than was asked for."""
        place = self._server.place(self._tag)
        if place is None or (self._home is not None and place.name == self._home.name):
            return
        wanted = self._home.name if self._home is not None else self._config.source
        if wanted is not None and place.name != wanted:
            self._counters["moves"] += 1
            raise DeviceError(
                f"{self._name}: the sound server moved it from {wanted} to {place.name}, another microphone; "
                f"it will be opened again"
            )
        if self._home is None:
            logger.info("%s: %s records from %s (%s)", self._id, self._name, place.name, place.description)
        self._home = place

    def _check_life(self, intake: Intake) -> None:
        if intake.finished:
            raise DeviceError(
                f"{self._name}: lost: the stream ended (unplugged, or the sound server is gone); "
                f"it will be opened again"
            )
        config = self._config
        since_ns = intake.last_ns or self._opened_ns
        limit_s = config.start_timeout_s if intake.last_ns is None else config.stall_timeout_s
        silent_s = (self._clock.monotonic_ns() - since_ns) / 1e9
        if silent_s > limit_s:
            self._counters["stalls"] += 1
            raise DeviceError(
                f"{self._name}: stalled: no sound for {silent_s:.1f} s, though the stream says it runs "
                f"(card removed, or sound server frozen); it will be opened again"
            )

    def _check_flow(self, block: SoundBlock) -> None:
        """DeviceError where a sound server stood still for a moment: its times are wrong for seconds afterwards (after
        1.2 s by 0.3 s, measured), while a stream opened anew has right ones from the start."""
        before_ns, self._block_ns = self._block_ns, block.monotonic_ns
        if before_ns is None or block.number != self._expected or not (self._input and self._input.is_plugin):
            return
        silent_s = (block.monotonic_ns - before_ns) / 1e9
        if silent_s > _STANDSTILL_S + self._config.latency_s:
            self._counters["stalls"] += 1
            raise DeviceError(f"{self._name}: the sound server stood still for {silent_s:.1f} s; it is opened again")

    def _chunk(self, block: SoundBlock) -> Chunk:
        dropped = block.number - self._expected
        self._expected = block.number + 1
        self._counters["dropped_blocks"] += dropped
        # A flag on the very first block tells of sound from before the stream was ours.
        overflow = block.overflow and not self._first
        self._counters["overflows"] += overflow
        to_unix_ns = self._clock.unix_ns() - self._clock.monotonic_ns()
        adc_ns = self._adc.monotonic_ns(block.adc_s, block.current_s, block.monotonic_ns, block.unix_ns)
        if self._first and block.monotonic_ns - self._opened_ns > _COLD_NS:
            self._adc_from_ns = block.monotonic_ns + _COLD_FOR_NS
        if block.monotonic_ns < self._adc_from_ns:
            adc_ns = None
        lost = bool(dropped) or overflow or self._first
        t_ns, gap = self._samples.stamp(
            block.n,
            block.monotonic_ns + to_unix_ns,
            None if adc_ns is None else adc_ns + to_unix_ns,
            lost=lost,
        )
        self._counters["losses_found"] += gap and not lost
        self._first = False
        counts = np.arange(self._count, self._count + block.n, dtype=np.int64)
        self._count += block.n
        encoding, scale = _FORMATS[self._config.sample_format]
        native = np.frombuffer(block.sound, self._config.sample_format).reshape(block.n, -1)
        data = native.astype(np.float32) * np.float32(scale)
        return Chunk(data, t_ns, gap, self._samples.clock, counts, Raw(native, encoding, scale))

"""A sound recording as a microphone: WAV, FLAC, OGG, MP3, or the sound track of a video, at its own rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from devices.media import MediaFile, ticks_to_ns
from devices.pacing import RecordingConfig
from devices.recording import Block, Contents, Recording, check_file, describe_file
from stream_bind.clock import Clock
from stream_bind.errors import DeviceError
from stream_bind.messages import IntArray, StreamSpec
from stream_bind.registry import register_device

__all__ = ["AudioFile", "AudioFileConfig"]

logger = logging.getLogger(__name__)

_WANTED = "a sound file (wav, flac, ogg, mp3) or a video with sound"
_PCM_HEADS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM")
"""What libsndfile reads sample by sample; everything else goes to FFmpeg."""
_FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63, "flt": 1.0, "dbl": 1.0}
_REANCHOR_NS = 20_000_000
"""A stamp this far off the sample counter means lost or repeated sound, not a coarse time base (ms in Matroska)."""


class AudioFileConfig(RecordingConfig):
    """A sound file, or the sound of a video."""

    type: Literal["audio_file"] = "audio_file"
    """The device type, always "audio_file"."""
    path: Path
    """The sound or video file."""
    track: int = Field(default=0, ge=0)
    """Which of the file's sound tracks, counted from 0."""


@register_device("audio_file", config=AudioFileConfig, modalities=("audio",))
class AudioFile(Recording):
    """float32 (channels,) samples. Integer formats fill [-1, 1); float formats come as they are, beyond 1 too.

    `bad_packets` counts compressed packets that could not be decoded.
    """

    def __init__(self, config: AudioFileConfig, stream_id: str, clock: Clock) -> None:
        super().__init__(config, stream_id, clock)
        self._config = config
        self._by_sndfile = False
        self.bad_packets = 0

    def _nominal(self, rate_hz: float = 48000.0, channels: int = -1) -> StreamSpec:
        return StreamSpec(
            id=self._id,
            modality="audio",
            rate_hz=rate_hz,
            shape=(channels,),
            dtype="float32",
            unit="full_scale",
            live=False,
            domain="file",
        )

    def _block_size(self, spec: StreamSpec) -> int:
        return max(1, round(spec.rate_hz / 100))

    def _describe(self) -> Contents:
        path = self._config.path
        check_file(path, "audio_file", _WANTED)
        with path.open("rb") as file:
            pcm = file.read(4) in _PCM_HEADS
        self._by_sndfile = False
        if pcm and self._config.track == 0:
            import soundfile

            try:
                info = soundfile.info(str(path))
            except soundfile.LibsndfileError:
                info = None
            if info is not None and info.frames > 0:
                self._by_sndfile = True
                length_ns = info.frames * 1_000_000_000 // info.samplerate
                return Contents(self._nominal(float(info.samplerate), info.channels), 0, length_ns)
        try:
            return self._describe_media()
        except DeviceError as error:
            if not pcm:
                raise
            raise DeviceError(
                f"audio_file {path}: no sound can be read from it (cut short, or a sample format that neither "
                f"libsndfile nor FFmpeg reads); wanted {_WANTED}, found {describe_file(path)}",
                permanent=True,
            ) from error

    def _describe_media(self) -> Contents:
        with self._media() as media:
            track = media.track("audio", self._config.track)
            first = next((data for data, _, _ in self._decoded(media, track) if len(data)), None)
            if first is None:
                raise DeviceError(
                    f"audio_file {self._config.path}: its sound track ({track.codec_context.name}) holds no sample "
                    f"that can be decoded; wanted {_WANTED}",
                    permanent=True,
                )
            spec = self._nominal(float(track.codec_context.sample_rate), first.shape[1])
            return Contents(spec, media.created_ns, media.length_ns)

    def _media(self) -> MediaFile:
        return MediaFile(self._config.path, "audio_file", _WANTED)

    def _blocks(self) -> Iterator[Block]:
        self.bad_packets = 0
        yield from self._sndfile_blocks() if self._by_sndfile else self._media_blocks()
        if self.bad_packets:
            logger.warning("%s: %s: %d packets could not be decoded", self._id, self._config.path, self.bad_packets)

    def _sndfile_blocks(self) -> Iterator[Block]:
        import soundfile

        path = self._config.path
        try:
            with soundfile.SoundFile(str(path)) as sound:
                rate_hz, done = sound.samplerate, 0
                while len(data := sound.read(max(1, rate_hz // 10), dtype="float32", always_2d=True)):
                    yield Block(data, _stamps(done, len(data), rate_hz))
                    done += len(data)
        except (soundfile.LibsndfileError, OSError) as error:
            raise DeviceError(f"audio_file {path}: cannot be read on: {error}") from error

    def _media_blocks(self) -> Iterator[Block]:
        with self._media() as media:
            track = media.track("audio", self._config.track)
            rate_hz = int(track.codec_context.sample_rate)
            # The sample counter is the clock; the time stamps only say where it starts and where sound is missing.
            anchor_ns, counted, gap = 0, 0, False
            first = True
            for data, pts_ns, lost in self._decoded(media, track):
                expected_ns = anchor_ns + counted * 1_000_000_000 // rate_hz
                if pts_ns is not None and (first or lost or abs(pts_ns - expected_ns) > _REANCHOR_NS):
                    gap = gap or (not first and pts_ns > expected_ns)
                    anchor_ns, counted = pts_ns, 0
                first = False
                yield Block(data, anchor_ns + _stamps(counted, len(data), rate_hz), gap or lost)
                counted += len(data)
                gap = False

    def _decoded(self, media: MediaFile, track: Any) -> Iterator[tuple[NDArray[np.float32], int | None, bool]]:
        """((n, channels) float32, ns from the container's zero, whether sound was lost before it)."""
        lost = False
        for frame in media.decode(track):
            if frame is None:
                self.bad_packets += 1
                lost = True
                continue
            pts_ns = None if frame.pts is None else ticks_to_ns(frame.pts, Fraction(frame.time_base)) - media.zero_ns
            yield _float32(frame), pts_ns, lost
            lost = False


def _stamps(first: int, n: int, rate_hz: int) -> IntArray:
    """(n,) ns of samples first, first + 1, ... of a counter that starts at 0."""
    return np.arange(first, first + n, dtype=np.int64) * 1_000_000_000 // rate_hz


def _float32(frame: Any) -> NDArray[np.float32]:
    """(n, channels) float32 of a PyAV frame in any sample format."""
    name = frame.format.name
    samples = frame.to_ndarray()
    samples = samples.T if name.endswith("p") else samples.reshape(-1, frame.layout.nb_channels)
    kind = name.removesuffix("p")
    if kind in {"flt", "dbl"}:
        return np.ascontiguousarray(samples, dtype=np.float32)
    centred = samples.astype(np.float64) - (_FULL_SCALE["u8"] if kind == "u8" else 0.0)
    return np.ascontiguousarray(centred / _FULL_SCALE[kind], dtype=np.float32)

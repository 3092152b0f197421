"""Video files with their sound and GoPro's motion, and sound files."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.audio_file import AudioFile, AudioFileConfig
from devices.media import MediaFile
from devices.recording import Recording
from devices.video_file import VideoFile, VideoFileConfig
from stream_bind.clock import SystemClock
from stream_bind.errors import DeviceError, LogError
from stream_bind.importers.base import ImportOptions, Piece, merged
from stream_bind.importers.gpmf import GPMF_HEAD, Motion, Payload, motion_of
from stream_bind.messages import Chunk, ClockInfo, Raw, StreamSpec

__all__ = ["MediaSource", "open_source"]

FILE = ClockInfo("file", 0)
SOUND = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"ID3", b".snd", b"wvpk", b"#!AMR")
VIDEO = (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"\x00\x00\x01\xba", b"FLV")
"""Matroska, ASF, MPEG program stream, Flash."""
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""First boxes of QuickTime and MP4."""
PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"P5\n", b"P6\n", b"P5 ", b"P6 ")
TS_PACKET = 188
WANTED = "a video or a sound file"
SLACK_NS = 500_000_000
"""A track may end so much before the length that the file states: encoders round up."""
UNKNOWN_SIZES = {0, 0xFFFFFFFF, 0x7FFFFFFF}
"""Sizes in a WAV header of a program that could not know them."""


@dataclass(slots=True)
class Track:
    """One stream of the file, through the driver that plays it."""

    device: Recording
    spec: StreamSpec
    length_ns: int | None
    last_ns: int = -1

    def pieces(self, origin_ns: int) -> Iterator[Piece]:
        """All of it."""
        self.last_ns = -1
        for block in self.device.blocks():
            raw = None if self.spec.modality != "audio" else _native(block.data)
            self.last_ns = int(block.t_ns[-1])
            yield Piece(self.spec.id, Chunk(block.data, block.t_ns + origin_ns, block.gap_before, FILE, raw=raw))

    @property
    def losses(self) -> list[str]:
        """What could not be decoded, and whether its end is missing; after `pieces`."""
        found = []
        bad = int(getattr(self.device, "bad_packets", 0))
        concealed = int(getattr(self.device, "bad_frames", 0))
        if bad:
            found.append(f"{self.spec.id}: {bad} packets could not be decoded")
        if concealed:
            found.append(f"{self.spec.id}: {concealed} pictures are damaged")
        if self.length_ns is not None and self.last_ns + self.spec.period_ns < self.length_ns - SLACK_NS:
            has_s = (self.last_ns + self.spec.period_ns) / 1e9
            found.append(
                f"{self.spec.id}: ends after {has_s:.3f} s of the {self.length_ns / 1e9:.3f} s the file states"
            )
        return found


@dataclass(slots=True)
class MediaSource:
    """One media file."""

    format: str
    tracks: list[Track]
    motion: Motion | None
    origin_ns: int
    skipped: dict[str, str]
    doubts: list[str]
    cut: list[str]
    losses: list[str] = field(default_factory=list)

    @property
    def specs(self) -> dict[str, StreamSpec]:
        return {each.spec.id: each.spec for each in self.tracks} | ({} if self.motion is None else self.motion.specs)

    def pieces(self) -> Iterator[Piece]:
        """See Source."""
        streams = [each.pieces(self.origin_ns) for each in self.tracks]
        try:
            yield from merged([*streams, *([] if self.motion is None else self.motion.pieces())])
        except DeviceError as error:
            raise LogError(str(error)) from error
        self.losses = [*self.cut, *(loss for each in self.tracks for loss in each.losses)]
        if self.motion is not None and self.motion.n_bad:
            self.losses.append(f"motion: {self.motion.n_bad} payloads are damaged")

    def close(self) -> None:
        """Every pass opens the file anew."""


def open_source(path: Path, head: bytes, options: ImportOptions) -> MediaSource | None:
    """A media file; None if `path` is none. LogError where nothing of it can be played."""
    if path.is_dir():
        return None
    if head.startswith(GPMF_HEAD):
        return _bare_gpmf(path, options)
    if head.startswith(PICTURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        raise LogError(f"{path}: is one picture, no recording; `stream-bind embed` takes it, or a folder of pictures")
    sound = head.startswith(SOUND) and head[8:12] != b"AVI "
    if not sound and not _is_media(head):
        return None
    try:
        return _opened(path, head, options, sound)
    except DeviceError as error:
        raise LogError(str(error)) from error


def _is_media(head: bytes) -> bool:
    if head.startswith((*VIDEO, b"RIFF")) or head[4:8] in BOXES:
        return True
    if head[:1] == b"\x47" and len(head) > 2 * TS_PACKET and head[TS_PACKET] == head[2 * TS_PACKET] == 0x47:
        return True
    # An MPEG audio or ADTS frame: eleven or twelve bits that are set, and a rate that exists. FF FE begins UTF-16.
    return len(head) > 2 and head[0] == 0xFF and head[1] >> 5 == 7 and head[1] < 0xFE and head[2] >> 4 != 0xF


def _opened(path: Path, head: bytes, options: ImportOptions, sound: bool) -> MediaSource:
    source = MediaSource("sound file" if sound else "video file", [], None, 0, {}, [], [])
    created_ns = 0
    try:
        with MediaFile(path, "import", WANTED) as media:
            held, created_ns = media.tracks, media.created_ns
            if all(length_ns is None and kind in {"video", "audio"} for kind, _, length_ns in held):
                # Matroska states one length for all: that of the longest.
                held = [(kind, codec, media.length_ns) for kind, codec, _ in held]
    except DeviceError:
        if not sound:
            raise
        # libsndfile reads some that FFmpeg does not (RIFX).
        held = [("audio", "pcm", None)]
    kinds = [kind for kind, _, _ in held]
    source.origin_ns = options.start_ns if options.start_ns is not None else created_ns
    if not source.origin_ns:
        source.doubts.append(f"{path}: does not say when it was recorded; its times count from 0, --start says when")
    for number, (kind, codec, length_ns) in enumerate(held):
        which = kinds[:number].count(kind)
        name = {"video": "camera", "audio": "microphone"}.get(kind, kind) + (f"_{which}" if which else "")
        try:
            if kind == "video":
                _add(
                    source,
                    VideoFile(VideoFileConfig(path=path, track=which, rate="max"), name, SystemClock()),
                    length_ns,
                )
            elif kind == "audio":
                _add(
                    source,
                    AudioFile(AudioFileConfig(path=path, track=which, rate="max"), name, SystemClock()),
                    length_ns,
                )
            elif kind == "data" and source.motion is None and _is_gpmf(path, number):
                source.motion = motion_of(_payloads(path, number), source.origin_ns)
                source.doubts.extend([] if source.motion is None else source.motion.doubts)
            else:
                source.skipped[f"track {number}"] = f"{kind} ({codec}) is no picture, sound or motion"
        except DeviceError as error:
            if len(held) == 1:
                raise
            source.skipped[f"track {number}"] = str(error)
    source.cut.extend(_cut_short(path, head))
    source.losses = list(source.cut)
    return source


def _add(source: MediaSource, device: Recording, length_ns: int | None) -> None:
    source.tracks.append(Track(device, device.contents().spec, length_ns))


def _native(data: NDArray[Any]) -> Raw | None:
    """Sound that was 16-bit as it was: half the size."""
    counts = np.rint(data * 32768.0)
    if np.abs(counts).max(initial=0.0) > 32767 or not np.array_equal(counts / 32768.0, data):
        return None
    return Raw(counts.astype("<i2"), "pcm_s16le", 2.0**-15)


def _cut_short(path: Path, head: bytes) -> list[str]:
    """A WAV whose header promises more than the file holds."""
    if head[:4] not in {b"RIFF", b"RIFX"} or head[8:12] != b"WAVE":
        return []
    order = ">" if head[:4] == b"RIFX" else "<"
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 12
        while at + 8 <= size:
            file.seek(at)
            name, length = struct.unpack(f"{order}4sI", file.read(8))
            if name == b"data":
                missing = at + 8 + length - size
                if missing <= 0 or length in UNKNOWN_SIZES:
                    return []
                return [f"{path}: is cut short: {missing:,} of {length:,} bytes of sound are missing"]
            at += 8 + length + length % 2
    return []


def _is_gpmf(path: Path, number: int) -> bool:
    with MediaFile(path, "import", WANTED) as media:
        first = next(media.packets(number), None)
    return first is not None and first[2].startswith(GPMF_HEAD)


def _payloads(path: Path, number: int) -> Callable[[], Iterator[Payload]]:
    def read() -> Iterator[Payload]:
        with MediaFile(path, "import", WANTED) as media:
            yield from media.packets(number)

    return read


def _bare_gpmf(path: Path, options: ImportOptions) -> MediaSource:
    """One payload, or several in a row, without the video's clock."""

    def read() -> Iterator[Payload]:
        data = path.read_bytes()
        at = 0
        while data[at : at + 4] == GPMF_HEAD:
            size, n = data[at + 5], int.from_bytes(data[at + 6 : at + 8], "big")
            length = 8 + -(-size * n // 4) * 4
            yield None, None, data[at : at + length]
            at += length

    motion = motion_of(read, options.start_ns or 0)
    doubts = ["GPMF without its video has no clock: a payload is taken as 1.001 s"]
    doubts += [] if motion is None else motion.doubts
    return MediaSource("GPMF payload", [], motion, options.start_ns or 0, {}, doubts, [])

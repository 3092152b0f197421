"""Recorded video: the file's own time stamps, tracks, rotation, damage, and files that are no video."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from devices.video_file import VideoFile, VideoFileConfig
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk

Real = Callable[[str], Path]


@pytest.fixture
def write_video(files: Any) -> Callable[..., Path]:
    return files.write_video  # type: ignore[no-any-return]


def device(path: Path, **settings: object) -> VideoFile:
    config = VideoFileConfig.model_validate({"path": path, "rate": "max", **settings})
    return VideoFile(config, "v", ManualClock())


def drain(source: VideoFile) -> list[Chunk]:
    source.open()
    chunks = []
    while True:
        try:
            chunk = source.read(0.1)
        except EndOfStream:
            return chunks
        assert chunk is not None
        chunks.append(chunk)


def stamps(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([c.t_ns for c in chunks])


def test_a_variable_frame_rate_is_kept(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    pts = [0, 1, 2, 5, 6, 12, 13]
    chunks = drain(device(write_video(tmp_path / "a.mkv", n=7, rate=10, pts=pts)))
    assert stamps(chunks).tolist() == [p * 100_000_000 for p in pts]


def test_frames_are_rgb_in_order(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    chunks = drain(device(write_video(tmp_path / "a.mp4")))
    assert len(chunks) == 20
    for i in (0, 10, 19):
        picture = chunks[i].data[0]
        assert picture[24, 8].tolist() == pytest.approx([220, 30, 30], abs=16)
        assert picture[24, 56].tolist() == pytest.approx([i * 10] * 3, abs=16)


def rotate_mark(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write the 2x2 part of the display matrix into the first track header (ISO 14496-12, tkhd version 0)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def test_a_rotation_mark_turns_the_picture_as_players_do(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    path = write_video(tmp_path / "a.mp4")
    # (x, y) shown at (-y, x): a quarter turn clockwise, so what was left is up.
    rotate_mark(path, (0, 1, -1, 0))
    turned = device(path)
    assert turned.spec.shape == (64, 48, 3)
    picture = drain(turned)[5].data[0]
    assert picture.shape == (64, 48, 3)
    assert picture[8, 24, 0] > 180
    assert picture[8, 24, 1] < 80
    assert picture[56, 24].tolist() == pytest.approx([50] * 3, abs=16)
    assert drain(device(path, upright=False))[5].data.shape == (1, 48, 64, 3)


def test_damage_in_mid_file_is_counted_and_the_rest_still_comes(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    path = write_video(tmp_path / "a.mkv", n=60)
    whole = stamps(drain(device(path)))
    content = bytearray(path.read_bytes())
    for at in range(len(content) // 3, len(content) // 2):
        content[at] = 0xFF
    path.write_bytes(content)
    source = device(path)
    chunks = drain(source)
    assert 5 < len(chunks) <= 60
    assert set(stamps(chunks)) <= set(whole)
    assert source.bad_packets + source.bad_frames > 0 or len(chunks) < 60


def test_packets_that_cannot_be_decoded_leave_a_marked_gap(
    tmp_path: Path, write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from devices import media

    path = write_video(tmp_path / "a.mp4")
    decode = media.MediaFile.decode

    def lossy(self: media.MediaFile, track: Any) -> Any:
        for i, frame in enumerate(decode(self, track)):
            yield None if i in {7, 8} else frame

    monkeypatch.setattr(media.MediaFile, "decode", lossy)
    source = device(path)
    chunks = drain(source)
    assert source.bad_packets == 2
    assert [i for i, c in enumerate(chunks) if c.gap_before] == [7]
    assert stamps(chunks).tolist() == [i * 100_000_000 for i in range(20) if i not in {7, 8}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS pointer"),
        (b"Dear diary, this is no film.\n" * 50, "text that begins 'Dear diary"),
        (bytes(range(200, 256)) * 100, "5600 bytes that begin c8 c9"),
    ],
)
def test_a_file_that_is_no_video_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    source = device(path)
    assert source.spec.rate_hz == 30.0, "the spec does not need the file"
    with pytest.raises(DeviceError) as caught:
        source.open()
    message = str(caught.value)
    assert caught.value.permanent
    assert words in message
    assert str(path) in message
    assert "wanted a video file" in message
    assert "\n" not in message
    source.close()


def test_a_file_without_pictures_names_what_it_holds(tmp_path: Path, files: Any) -> None:
    path = files.write_sound(tmp_path / "a.wav")
    with pytest.raises(DeviceError, match=r"no video track; it holds audio \(pcm_s16le\)"):
        device(path).open()


def test_a_cut_off_file_without_its_index_is_refused(tmp_path: Path, write_video: Callable[..., Path]) -> None:
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DeviceError) as caught:
        device(path).open()
    assert caught.value.permanent


def test_gopro_video_has_every_frame_at_its_time_since_the_creation_time(real: Real) -> None:
    path = real("gopro/karma.mp4")
    source = device(path)
    assert source.spec.shape == (480, 854, 3)
    assert source.spec.rate_hz == pytest.approx(29.97, abs=0.001)
    chunks = drain(source)
    t_ns = stamps(chunks)
    assert len(t_ns) == 362
    assert t_ns[0] == 1492457277 * 10**9
    with av.open(str(path)) as other:
        pts = [float(frame.pts * frame.time_base) for frame in other.decode(video=0)]
    assert (t_ns - t_ns[0]).tolist() == pytest.approx([round(p * 1e9) for p in pts], abs=1)
    assert source.bad_packets == source.bad_frames == 0


@pytest.mark.parametrize(("track", "n", "shape"), [(0, 325, (180, 320, 3)), (1, 390, (270, 480, 3))])
def test_the_second_video_track_can_be_chosen(real: Real, track: int, n: int, shape: tuple[int, ...]) -> None:
    source = device(real("video/nasa_13013.mp4"), track=track)
    chunks = drain(source)
    assert (len(chunks), source.spec.shape) == (n, shape)


def test_a_track_that_is_not_there_is_named(real: Real) -> None:
    with pytest.raises(DeviceError, match="no video track 2; it has 2, counted from 0"):
        device(real("video/nasa_13013.mp4"), track=2).open()

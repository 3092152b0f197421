"""Colour as H.264: one message a picture, read back in step, from any start, and never built on what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from devices.pixels import colour
from stream_bind.log.codec import ChunkWriter, Mark
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.schemas import deserialize
from stream_bind.log.video import FrameDecoder, FrameEncoder, is_key
from stream_bind.log.writer import LogWriter
from stream_bind.messages import Chunk, Raw, StreamSpec

T0 = 1_700_000_000_123_456_789
STEP = 100_000_000
N = 45


def picture(i: int, shape: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A bright square that wanders over a slope."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    frame = np.stack([x * 2, y * 3, x + y], axis=-1).astype(np.uint8)
    frame[10:20, i : i + 10] = 240
    return frame


def chunks(shape: tuple[int, int] = (48, 64), n: int = N) -> list[Chunk]:
    return [Chunk(picture(i, shape)[None], np.array([T0 + i * STEP], np.int64)) for i in range(n)]


def spec(shape: tuple[int, int] = (48, 64)) -> StreamSpec:
    return StreamSpec("cam", "vision", 10.0, (*shape, 3), "uint8", "rgb8")


def film(path: Path, what: Sequence[Chunk | Mark], shape: tuple[int, int] = (48, 64), **settings) -> Path:
    writer = ChunkWriter("cam", spec(shape), colour="h264")
    log = LogWriter(path, {"rig": "bench"}, sync=False, **settings)
    log.open()
    for topic, info in writer.topics().items():
        log.topic(topic, info.type, info.metadata)
    for item in what:
        entries = [writer.mark(item)] if isinstance(item, Mark) else writer.chunk(item)
        for entry in entries:
            log.write(entry.topic, entry.data, entry.publish_time, entry.publish_time)
        log.flush()
    log.close()
    return path


def read(path: Path, **part) -> tuple[list[Chunk], int]:
    log = open_log(path)
    reader = StreamReader(log.parts, log.streams["cam"], **part)
    return [found.item for found in reader if type(found.item) is Chunk], reader.lost


@pytest.mark.parametrize("shape", [(48, 64), (47, 63), (48, 63)])
def test_pictures_come_back_one_for_one_and_nearly_the_same(shape: tuple[int, int], tmp_path: Path) -> None:
    what = chunks(shape)
    path = film(tmp_path / "a.mcap", what, shape)
    found, lost = read(path)
    assert lost == 0
    assert [int(chunk.t_ns[0]) for chunk in found] == [int(chunk.t_ns[0]) for chunk in what]
    for one, again in zip(what, found, strict=True):
        assert again.data.shape == one.data.shape
        assert np.abs(again.data.astype(int) - one.data).mean() < 4
    again, _ = read(path)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(found, again, strict=True))


def test_a_key_frame_comes_every_second_and_foxglove_finds_its_fields(tmp_path: Path) -> None:
    films = [
        m for m in Scan(film(tmp_path / "a.mcap", chunks())) if isinstance(m, LogMessage) and m.topic == "/cam/video"
    ]
    assert {m.schema.name for m in films if m.schema} == {"foxglove_msgs/msg/CompressedVideo"}
    values = [deserialize("foxglove_msgs/msg/CompressedVideo", m.data) for m in films]
    assert {value.format for value in values} == {"h264"}
    keys = [i for i, value in enumerate(values) if is_key(value.data.tobytes())]
    assert keys == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("first", [0, 7, 10, 23, 44])
def test_it_can_be_read_from_any_picture_on(first: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mcap", chunks())
    whole, _ = read(path)
    found, lost = read(path, start_ns=T0 + first * STEP)
    assert lost == 0
    assert len(found) == N - first
    assert all(np.array_equal(a.data, b.data) for a, b in zip(whole[first:], found, strict=True))


def test_what_builds_on_a_lost_picture_is_lost_until_the_next_key_frame(tmp_path: Path) -> None:
    writer = ChunkWriter("cam", spec(), colour="h264")
    path = tmp_path / "a.mcap"
    log = LogWriter(path, {"rig": "bench"}, sync=False)
    log.open()
    for topic, info in writer.topics().items():
        log.topic(topic, info.type, info.metadata)
    for i, chunk in enumerate(chunks()):
        for entry in writer.chunk(chunk):
            if i != 13:
                log.write(entry.topic, entry.data, entry.publish_time, entry.publish_time)
    log.close()
    found, lost = read(path)
    numbers = [(int(chunk.t_ns[0]) - T0) // STEP for chunk in found]
    assert numbers == [*range(13), *range(20, N)]
    assert lost == 7
    assert [chunk.gap_before for chunk in found].index(True) == 13
    for i, chunk in zip(numbers, found, strict=True):
        assert np.abs(chunk.data[0].astype(int) - picture(i)).mean() < 4


def test_marks_between_pictures_and_pictures_that_come_twice_do_no_harm(tmp_path: Path) -> None:
    what: list[Chunk | Mark] = []
    for i, chunk in enumerate(chunks()):
        what.append(chunk)
        if i % 5 == 0:
            what.append(Mark("idle", T0 + i * STEP))
    plain, _ = read(film(tmp_path / "plain.mcap", chunks()))
    marked, lost = read(film(tmp_path / "marked.mcap", what))
    assert lost == 0
    assert all(np.array_equal(a.data, b.data) for a, b in zip(plain, marked, strict=True))


def test_parts_of_a_split_log_are_one_film(tmp_path: Path) -> None:
    film(tmp_path / "a.mcap", chunks(), split_ns=700_000_000)
    assert len(list(tmp_path.glob("a_*.mcap"))) > 5
    found, lost = read(tmp_path / "a.mcap")
    assert (len(found), lost) == (N, 0)


def test_a_cameras_own_jpeg_is_kept_as_it_came() -> None:
    jpeg = cv2.imencode(".jpg", picture(0))[1]
    rgb, native, encoding = colour("MJPG", jpeg.tobytes(), 64, 48)
    chunk = Chunk(rgb[None], np.array([T0], np.int64), raw=Raw(native, encoding))
    (shown, samples) = ChunkWriter("cam", spec(), colour="h264").chunk(chunk)
    assert shown.topic == "/cam/image/compressed"
    assert samples.topic == "/cam/samples"


def test_damaged_pictures_are_counted_and_decoding_goes_on() -> None:
    encoder, decoder = FrameEncoder(10.0), FrameDecoder("h264")
    packets = [encoder.packed(picture(i)) for i in range(30)]
    shown = 0
    for i, data in enumerate(packets):
        shown += sum(1 for _ in decoder.frames(b"\0\0\0\1\x65nothing" if i == 5 else data, i))
    assert 10 <= shown < 30 or decoder.n_bad
    assert decoder.size_of(packets[0]) == (48, 64)
    assert decoder.size_of(b"nothing") is None

"""Video, sound and GoPro's motion: every track on one clock, native samples kept, ends that are missing told."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions
from stream_bind.importers.find import open_source
from stream_bind.importers.gpmf import motion_of, walk
from stream_bind.importers.job import measure
from stream_bind.log.survey import survey

T0 = 1_760_000_000_000_000_000
RATE = 16_000
SOUND = np.random.default_rng(2).integers(-20_000, 20_000, (RATE, 2), np.int16)


def film(path: Path, seconds: float = 2.0, **metadata: str) -> Path:
    """10 pictures a second and sound in one file."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata)
        picture = container.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le" if path.suffix in {".mkv", ".avi"} else "aac", rate=RATE)
        sound.layout = "stereo"
        for i in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + i % 40 * 5, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(picture.encode(frame))
            part = SOUND[i % 10 * 1600 : i % 10 * 1600 + 1600]
            block = av.AudioFrame.from_ndarray(np.ascontiguousarray(part).reshape(1, -1), "s16", "stereo")
            block.sample_rate, block.pts, block.time_base = RATE, i * 1600, Fraction(1, RATE)
            container.mux(sound.encode(block))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi", "mov"])
def test_pictures_and_sound_of_a_film_stay_together(suffix: str, tmp_path: Path, read) -> None:
    source, found = read(film(tmp_path / f"a.{suffix}"))
    assert set(found) == {"camera", "microphone"}
    t_ns, data = found["camera"]
    assert data.shape == (20, 48, 64, 3)
    np.testing.assert_allclose(data.mean(axis=(1, 2, 3)), [20 + i * 5 for i in range(20)], atol=4)
    assert np.abs(np.diff(t_ns) - 100_000_000).max() <= 1_000_000
    t_ns, data = found["microphone"]
    assert len(t_ns) >= 2 * RATE
    assert source.specs["microphone"].rate_hz == RATE
    if suffix in {"mkv", "avi"}:
        assert np.array_equal(data[:RATE], SOUND / np.float32(32768))
    assert any("times count from 0, --start says when" in doubt for doubt in source.doubts)
    _, found = read(tmp_path / f"a.{suffix}", start_ns=T0)
    assert abs(int(found["camera"][0][0]) - T0) < 200_000_000


def test_when_it_was_recorded_is_taken_from_the_container(tmp_path: Path, read) -> None:
    source, found = read(film(tmp_path / "a.mp4", creation_time="2025-10-09T08:53:20Z"))
    assert abs(int(found["camera"][0][0]) - T0) < 100_000_000
    assert source.doubts == []


def test_a_film_that_was_cut_says_how_much_is_missing(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv", 6.0).read_bytes()
    path = tmp_path / "b.mkv"
    path.write_bytes(whole[: len(whole) // 2])
    found = measure(open_source(path, ImportOptions()))
    assert 10 < found.streams["camera"].n_samples < 50
    assert any("of the 6.0" in loss for loss in found.losses)


@pytest.mark.parametrize(
    ("name", "subtype", "native"),
    [
        ("a.wav", "PCM_16", True),
        ("a.wav", "PCM_24", True),
        ("a.wav", "FLOAT", False),
        ("a.wav", "ULAW", True),
        ("a.flac", "PCM_16", True),
        ("a.aiff", "PCM_16", True),
        ("a.ogg", "VORBIS", False),
        ("a.opus", None, False),
        ("a.mp3", None, False),
    ],
)
def test_sound_files_are_read_and_16_bits_are_kept(
    name: str, subtype: str | None, native: bool, tmp_path: Path, read, through_log
) -> None:
    path = tmp_path / name
    rate = 48_000 if path.suffix == ".opus" else RATE
    if subtype is None:
        codec, layout = {"opus": ("libopus", "stereo"), "mp3": ("libmp3lame", "stereo")}[path.suffix[1:]]
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.layout = layout
            frame = av.AudioFrame.from_ndarray(SOUND.reshape(1, -1), "s16", "stereo")
            frame.sample_rate = RATE
            resampler = av.AudioResampler(stream.format, "stereo", rate, frame_size=stream.frame_size or 960)
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    else:
        soundfile.write(path, SOUND, RATE, subtype=subtype)
    source, found = read(path, start_ns=T0)
    t_ns, data = found["microphone"]
    assert source.format == "sound file"
    assert source.specs["microphone"].rate_hz == rate
    assert len(t_ns) == pytest.approx(rate, rel=0.1)
    if subtype in {"PCM_16", "PCM_24"}:
        assert np.array_equal(data, SOUND / np.float32(32768))
        assert np.array_equal(t_ns, T0 + np.arange(RATE) * 10**9 // RATE)
    again = through_log(path, start_ns=T0)
    assert np.array_equal(again["microphone"][1], data)
    kept = survey(tmp_path / "imported.mcap").topics["/microphone/samples"].n_bytes
    # Beside eight bytes of time for each sample, which compress well.
    assert (kept < t_ns.nbytes + data.nbytes / 2) is native


def test_a_wav_shorter_than_its_header_says_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-20_000])
    found = measure(open_source(path, ImportOptions()))
    assert found.streams["microphone"].n_samples == RATE - 5_000
    assert "is cut short: 20,000 of 64,000 bytes of sound are missing" in found.losses[0]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "no sound can be read from it"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "cannot be read as media"),
        ("a.png", b"\x89PNG\r\n\x1a\n123", "is one picture, no recording"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_sentence(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LogError) as refusal:
        open_source(tmp_path / name, ImportOptions())
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)


# -- GPMF --------------------------------------------------------------------------------------------------------------


def entry(name: bytes, kind: bytes, size: int, content: bytes) -> bytes:
    padding = bytes(-len(content) % 4)
    return struct.pack(">4scBH", name, kind, size, len(content) // size if size else len(content)) + content + padding


def nested(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">4scBH", name, b"\0", 1, len(content)) + content


def sensor(kind: bytes, rows: list[tuple[int, int, int]], scale: tuple[int, ...], *about: bytes) -> bytes:
    divisors = entry(b"SCAL", b"s", 2, struct.pack(f">{len(scale)}h", *scale))
    values = entry(kind, b"s", 6, b"".join(struct.pack(">3h", *row) for row in rows))
    return nested(b"STRM", *about, divisors, values)


def named(text: bytes) -> bytes:
    return entry(b"STNM", b"c", 1, text)


def origin(letters: bytes) -> bytes:
    return entry(b"ORIN", b"c", 1, letters)


@pytest.mark.parametrize(
    ("about", "wanted"),
    [
        ((), (2, 3, 1)),  # Z, X, Y as HERO5 sends them
        ((named(b"Accelerometer (up/down, right/left, forward/back)"),), (2, 3, 1)),
        ((named(b"Accelerometer (x,y,z)"),), (1, 2, 3)),
        ((origin(b"XYZ"),), (1, 2, 3)),
        ((origin(b"yXZ"),), (2, -1, 3)),
        ((named(b"Accelerometer (x,y,z)"), origin(b"ZXY")), (2, 3, 1)),
    ],
)
def test_the_axes_of_a_gopro_are_those_of_its_letters(
    about: tuple[bytes, ...], wanted: tuple[int, int, int], tmp_path: Path, read
) -> None:
    path = tmp_path / "a.raw"
    accel = sensor(b"ACCL", [(100, 200, 300)] * 200, (100,), *about)
    path.write_bytes(nested(b"DEVC", entry(b"DVNM", b"c", 1, b"Camera"), accel))
    _, found = read(path)
    assert found["accel"][1][0].tolist() == list(wanted)


def test_each_channel_may_have_its_own_scale_and_payloads_follow_each_other(tmp_path: Path, read) -> None:
    one = nested(b"DEVC", sensor(b"GYRO", [(10, 10, 10)] * 400, (1, 2, 5), origin(b"XYZ")))
    two = nested(b"DEVC", sensor(b"GYRO", [(20, 20, 20)] * 100, (1, 2, 5), origin(b"XYZ")))
    path = tmp_path / "a.raw"
    path.write_bytes(one + two)
    source, found = read(path, start_ns=T0)
    t_ns, data = found["gyro"]
    assert data[0].tolist() == [10, 5, 2]
    assert data[-1].tolist() == [20, 10, 4]
    # 400 samples in the first 1.001 s; the last payload goes on at that rate, however short it is.
    assert np.diff(t_ns).min() >= 2_502_499
    assert np.diff(t_ns).max() <= 2_502_501
    assert any("has no clock: a payload is taken as 1.001 s" in doubt for doubt in source.doubts)


def test_a_gimbals_own_sensor_is_not_mixed_with_the_cameras(tmp_path: Path, read) -> None:
    camera = nested(b"DEVC", sensor(b"ACCL", [(1, 1, 1)] * 200, (1,), origin(b"XYZ")))
    both = nested(b"DEVC", sensor(b"ACCL", [(1, 1, 1)] * 200, (1,), origin(b"XYZ")))
    path = tmp_path / "a.raw"
    # Two devices in one payload: one follows the other.
    path.write_bytes(camera)
    motion = motion_of(lambda: iter([(0, None, camera + both.replace(b"\0\1\0\1", b"\0\2\0\2"))]))
    assert motion is not None
    assert sum(len(piece.chunk) for pieces in motion.pieces() for piece in pieces) == 200


@given(data=st.binary(max_size=300), at=st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_damaged_gpmf_ends_and_never_raises(data: bytes, at: int) -> None:
    whole = nested(b"DEVC", sensor(b"ACCL", [(1, 2, 3)] * 20, (100,)))
    broken = whole[: at % len(whole)] + data
    list(walk(broken))
    motion = motion_of(lambda: iter([(0, None, broken), (1_001_000_000, None, whole)]))
    if motion is not None:
        for pieces in motion.pieces():
            assert all(np.isfinite(piece.chunk.data).all() for piece in pieces)

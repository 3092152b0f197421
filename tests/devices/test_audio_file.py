"""Recorded sound: sample-exact, in step with its video, and refused where nothing can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from devices.audio_file import AudioFile, AudioFileConfig
from stream_bind.clock import ManualClock
from stream_bind.errors import DeviceError, EndOfStream
from stream_bind.messages import Chunk

Real = Callable[[str], Path]


def device(path: Path, **settings: object) -> AudioFile:
    config = AudioFileConfig.model_validate({"path": path, "rate": "max", **settings})
    return AudioFile(config, "a", ManualClock())


def drain(source: AudioFile) -> list[Chunk]:
    source.open()
    chunks = []
    while True:
        try:
            chunk = source.read(0.1)
        except EndOfStream:
            return chunks
        assert chunk is not None
        chunks.append(chunk)


def samples(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([c.data for c in chunks])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT"])
def test_samples_are_those_of_the_file(tmp_path: Path, subtype: str) -> None:
    wanted = (0.5 * np.sin(np.arange(4410) / 10)).astype(np.float32)
    soundfile.write(str(tmp_path / "a.wav"), wanted, 44100, subtype=subtype)
    source = device(tmp_path / "a.wav")
    assert (source.spec.rate_hz, source.spec.shape) == (44100.0, (1,))
    chunks = drain(source)
    assert len(chunks[0]) == 441
    assert np.abs(samples(chunks)[:, 0] - wanted).max() < (0.01 if subtype == "PCM_U8" else 1e-4)
    t_ns = np.concatenate([c.t_ns for c in chunks])
    assert t_ns[0] == 0
    assert t_ns[4409] == 4409 * 10**9 // 44100


def test_ffmpeg_and_libsndfile_agree_on_integer_samples(tmp_path: Path, files: Any) -> None:
    path = files.write_sound(tmp_path / "a.wav")
    one, other = device(path), device(path)
    first = samples(drain(one))
    other._describe = other._describe_media  # type: ignore[method-assign]
    second = samples(drain(other))
    assert first.shape == second.shape
    assert np.abs(first - second).max() <= 1 / 2**15


def test_the_sound_of_a_video_lies_on_the_videos_time(tmp_path: Path, files: Any) -> None:
    path = files.write_video(tmp_path / "a.mkv", n=20, rate=10, sound=True)
    source = device(path, start_time=100)
    chunks = drain(source)
    t_ns = np.concatenate([c.t_ns for c in chunks])
    assert source.spec.rate_hz == 16000
    assert abs(t_ns[0] - 100 * 10**9) < 0.07e9
    assert (np.diff(t_ns) > 0).all()
    assert len(t_ns) / 16000 == pytest.approx(2.0, abs=0.1)
    assert not any(c.gap_before for c in chunks)


def test_lost_packets_leave_a_marked_gap_and_later_sound_stays_in_place(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    from devices import media

    decode = media.MediaFile.decode

    def lossy(self: media.MediaFile, track: Any) -> Any:
        for i, frame in enumerate(decode(self, track)):
            yield None if 100 <= i < 110 else frame

    whole = drain(device(real("gopro/karma.mp4")))
    monkeypatch.setattr(media.MediaFile, "decode", lossy)
    # A known loss is believed however short it is.
    monkeypatch.setattr("devices.audio_file._REANCHOR_NS", 10**12)
    source = device(real("gopro/karma.mp4"))
    chunks = drain(source)
    assert source.bad_packets == 10
    assert sum(c.gap_before for c in chunks) == 1
    after = next(c for c in chunks if c.gap_before)
    assert after.t_ns[0] - whole[0].t_ns[0] == pytest.approx(110 * 1024 * 10**9 / 48000, abs=1)
    assert chunks[-1].t_ns[-1] == pytest.approx(whole[-1].t_ns[-1], abs=2)
    assert samples(chunks)[-1000:].tobytes() == samples(whole)[-1000:].tobytes()


def test_gopro_sound_is_complete_and_starts_at_the_creation_time(real: Real) -> None:
    source = device(real("gopro/karma.mp4"))
    chunks = drain(source)
    data = samples(chunks)
    assert data.shape == (566 * 1024, 2)
    assert len(data) / 48000 == pytest.approx(12.0747, abs=1e-4)
    assert chunks[0].t_ns[0] == 1492457277 * 10**9
    assert 0.1 < np.abs(data).max() <= 1.0


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels", "n"),
    [
        ("audio/fsdd/0_jackson_0.wav", 8000, 1, 5148),
        ("audio/fsdd/9_yweweler_7.wav", 8000, 1, 2815),
        ("audio/nasa_8k.mp3", 8000, 2, 104448),
        ("audio/multimic/speech_-0.82918_0.55279_-0.082918.flac", 16000, 4, 160000),
        ("audio/odd_wav/test-8000Hz-be-3ch-5S-24bit.wav", 8000, 3, 5),
        ("audio/odd_wav/test-8000Hz-le-3ch-5S-24bit-rf64.wav", 8000, 3, 5),
        ("audio/odd_wav/test-8000Hz-le-2ch-1byteu.wav", 8000, 2, 800),
        ("audio/odd_wav/test-1234Hz-le-1ch-10S-20bit-extra.wav", 1234, 1, 10),
        ("audio/sine_mono_s32_8000.wav", 8000, 1, 32000),
    ],
)
def test_real_sound_files_are_read_to_the_last_sample(
    real: Real, name: str, rate_hz: int, channels: int, n: int
) -> None:
    source = device(real(name))
    chunks = drain(source)
    assert (source.spec.rate_hz, samples(chunks).shape) == (rate_hz, (n, channels))


@pytest.mark.parametrize(
    "name",
    [
        "audio/odd_wav/test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav",
        "audio/odd_wav/test-44100Hz-le-1ch-4bytes-incomplete-chunk.wav",
        "audio/odd_wav/test-8000Hz-le-3ch-5S-36bit.wav",
        "audio/odd_wav/test-8000Hz-le-3ch-5S-53bit.wav",
        "video/h265_video.mp4",
        "imu_csv/xio_short_walk.csv",
    ],
)
def test_what_holds_no_readable_sound_is_refused(real: Real, name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        device(real(name)).open()
    assert caught.value.permanent
    assert name.rsplit("/", 1)[1] in str(caught.value)
    assert "wanted a sound file" in str(caught.value)

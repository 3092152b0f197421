"""Corpora on disk: what was added comes back, whatever happened to the writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_bind.encoders.base import ClipSpec
from stream_bind.errors import ConfigError
from stream_bind.training.pairs import MOMENTS, Moment, Pairs, PairWriter

SPECS = {
    "vision": ClipSpec("vision", 2.0, 0.5, (2, 4, 4, 3), "float32"),
    "audio": ClipSpec("audio", 2.0, 0.5, (1, 3, 5), "float32"),
    "imu": ClipSpec("imu", 5.0, 0.5, (6, 8), "float32"),
}


def moment(number: int, source: str = "world:1") -> Moment:
    end_ns = (number + 5) * 10**9
    return Moment(source, end_ns - 2 * 10**9, end_ns, f"label {number % 3}", "group", ("a caption", "Ünïcode"))


def clips_of(number: int, *modalities: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    every = {m: rng.random(s.shape, np.float32) for m, s in SPECS.items()}
    return {m: every[m] for m in modalities or every}


def write(directory: Path, numbers: range, source: str = "world:1") -> None:
    with PairWriter(directory, SPECS) as writer:
        for number in numbers:
            # Every third moment comes too early for the motion window.
            writer.add(moment(number, source), clips_of(number, *(["vision", "audio"] if number % 3 == 0 else [])))


def test_moments_and_clips_come_back_as_they_were_added(tmp_path: Path) -> None:
    write(tmp_path, range(7))
    pairs = Pairs.open(tmp_path)
    assert pairs.moments == tuple(moment(n) for n in range(7))
    assert pairs.modalities == ("vision", "audio", "imu")
    assert pairs.has("imu").tolist() == [n % 3 != 0 for n in range(7)]
    for n in (5, 1, 4):
        wanted = clips_of(n)
        assert np.abs(pairs.clips("vision", [n])[0] - wanted["vision"]).max() <= 0.5001 / 255
        assert np.abs(pairs.clips("audio", [n])[0] - wanted["audio"]).max() < 1e-3
        assert pairs.clips("imu", [n])[0].tobytes() == wanted["imu"].tobytes()
    assert {m: pairs.clips(m, [1]).dtype.name for m in SPECS} == dict.fromkeys(SPECS, "float32")


def test_pictures_on_the_grid_of_bytes_come_back_exactly(tmp_path: Path) -> None:
    picture = np.arange(96, dtype=np.float32).reshape(2, 4, 4, 3) / 255
    with PairWriter(tmp_path, SPECS) as writer:
        writer.add(moment(0), {"vision": picture})
    assert np.abs(Pairs.open(tmp_path).clips("vision", [0])[0] - picture).max() < 1e-7


def test_a_moment_without_a_modality_is_refused_when_its_clip_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, range(2))
    with pytest.raises(ValueError, match="no imu clip"):
        Pairs.open(tmp_path).clips("imu", [0, 1])


def test_several_directories_read_as_one(tmp_path: Path) -> None:
    write(tmp_path / "a", range(4), "world:1")
    write(tmp_path / "b", range(4, 9), "world:2")
    write(tmp_path / "c", range(9, 9))
    pairs = Pairs.open([tmp_path / "a", tmp_path / "c", tmp_path / "b"])
    assert [m.t_end_ns for m in pairs.moments] == [moment(n).t_end_ns for n in range(9)]
    rows = [8, 1, 5, 2]
    assert pairs.clips("imu", rows).tobytes() == np.stack([clips_of(n)["imu"] for n in rows]).tobytes()


def test_a_killed_writer_costs_only_the_moment_it_was_writing(tmp_path: Path) -> None:
    write(tmp_path, range(4))
    with open(tmp_path / "vision.bin", "ab") as file:
        file.write(b"half a clip")
    with open(tmp_path / MOMENTS, "ab") as file:
        file.write(b'{"source": "world:1", "t_sta')
    with PairWriter(tmp_path, SPECS) as writer:
        assert writer.n_moments == 4
    write(tmp_path, range(4, 6))
    pairs = Pairs.open(tmp_path)
    assert len(pairs) == 6
    assert pairs.clips("imu", [5])[0].tobytes() == clips_of(5)["imu"].tobytes()
    assert np.abs(pairs.clips("vision", [5])[0] - clips_of(5)["vision"]).max() <= 0.5001 / 255


def test_a_reader_sees_what_a_writer_has_finished_so_far(tmp_path: Path) -> None:
    writer = PairWriter(tmp_path, SPECS)
    writer.add(moment(0), clips_of(0))
    assert len(Pairs.open(tmp_path)) == 1
    writer.close()


def test_clips_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, range(1))
    other = SPECS | {"imu": ClipSpec("imu", 2.0, 0.5, (6, 9), "float32")}
    with pytest.raises(ConfigError, match=r"imu \(6, 8\) of 5 s.*imu \(6, 9\) of 2 s"):
        PairWriter(tmp_path, other)
    with PairWriter(tmp_path / "b", other):
        pass
    with pytest.raises(ConfigError, match=r"imu clips are \(6, 9\)"):
        Pairs.open([tmp_path, tmp_path / "b"])
    with pytest.raises(ConfigError, match=r"no pairs\.json"):
        Pairs.open(tmp_path / "nowhere")


def test_taken_moments_keep_their_clips_and_the_fingerprint_tells_them_apart(tmp_path: Path) -> None:
    write(tmp_path, range(6))
    pairs = Pairs.open(tmp_path)
    some = pairs.take([4, 1])
    assert some.moments == (pairs.moments[4], pairs.moments[1])
    assert some.clips("imu", [0]).tobytes() == pairs.clips("imu", [4]).tobytes()
    assert len(pairs.take(pairs.has("imu"))) == 4
    assert pairs.fingerprint() != some.fingerprint()
    assert pairs.fingerprint() == Pairs.open(tmp_path).fingerprint()
    assert pairs.take([1]).digests("imu")[0] == pairs.digests("imu")[1] != 0


def test_scaled_moments_give_scaled_clips_and_another_fingerprint(tmp_path: Path) -> None:
    write(tmp_path, range(3))
    pairs = Pairs.open(tmp_path)
    mean, std = np.arange(6)[:, None], np.full((6, 1), 2.0)
    scaled = pairs.scaled("imu", mean, std)
    wanted = (clips_of(1)["imu"] - mean) / 2
    assert np.allclose(scaled.take([1]).clips("imu", [0])[0], wanted)
    assert scaled.clips("imu", [1]).dtype == np.float32
    assert scaled.clips("audio", [1]).tobytes() == pairs.clips("audio", [1]).tobytes()
    assert scaled.fingerprint() != pairs.fingerprint()

"""`import`, `info` of what is foreign, `replay` of what was imported, and `export`: as a user runs them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from stream_bind.cli.main import main
from stream_bind.log.survey import survey

T0 = 1_760_000_000
N = 1200


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """12 s of motion at 100 Hz on UNIX time, in the units of x-IMU3, a hole and a torn row in it."""
    titles = "Time (s)," + ",".join(f"Gyroscope {axis} (deg/s)" for axis in "XYZ")
    titles += "," + ",".join(f"Accelerometer {axis} (g)" for axis in "XYZ")
    rows = [
        f"{T0 + i / 100:.2f},{10 * math.sin(i / 30):.4f},{8 * math.cos(i / 50):.4f},1,0.01,0.02,1.0"
        for i in range(N)
        if not 500 <= i < 550
    ]
    rows[900] = "torn"
    path = tmp_path / "walk.csv"
    path.write_text(titles + "\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    tone = np.sin(np.arange(16_000 * 6) * 2 * math.pi * 300 / 16_000) * 0.3
    soundfile.write(path, tone, 16_000, subtype="PCM_16")
    return path


def test_a_foreign_recording_is_looked_at_then_imported_then_replayed(walk: Path, tmp_path: Path, capsys) -> None:
    assert main(["import", str(walk)]) == 3
    told = capsys.readouterr()
    assert "table of motion" in told.out
    assert "imu     imu           1,149   11.990 s" in told.out
    assert "nothing was written; `stream-bind import" in told.out
    assert "lost: " in told.err
    assert "1 rows are not numbers and are left out" in told.err
    assert list(tmp_path.iterdir()) == [walk]

    log = tmp_path / "walk.mcap"
    assert main(["import", str(walk), "-o", str(log), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["output"] == str(log)
    assert found["streams"]["imu"]["samples"] == 1149
    assert found["streams"]["imu"]["gaps"] == 2
    assert found["streams"]["imu"]["longest_gap_s"] == pytest.approx(0.51)
    assert survey(log).whole
    assert survey(log).metadata["stream_bind.session"]["format"].startswith("table of motion")

    words = ["--local", "--rate", "max", "--wait", "0s", "--encoder", "imagebind-tiny"]
    vectors = tmp_path / "vectors.mcap"
    assert main(["replay", str(log), *words, "--record", str(vectors)]) == 0
    assert "windows due" in capsys.readouterr().err
    assert main(["replay", str(log), "--local"]) == 2
    assert "holds no config, so nothing says how to embed it; add --encoder" in capsys.readouterr().err


def test_info_of_a_foreign_recording_is_that_of_its_import(voice: Path, capsys) -> None:
    assert main(["info", str(voice)]) == 0
    told = capsys.readouterr()
    assert "voice.wav: sound file" in told.out
    (row,) = [line for line in told.out.splitlines() if line.startswith("microphone")]
    assert row.split()[:6] == ["microphone", "audio", "96,000", "6.000", "s", "16000.00"]
    assert "from 0.000 s of its own clock" in told.out
    assert main(["info", str(voice), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["streams"]["microphone"]["rate_hz"] == pytest.approx(16_000)


def test_info_of_a_split_log_shows_its_parts(tmp_path: Path, capsys) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "version: 1\nrig: split\nencoder: {model: imagebind-tiny}\n"
        "streams: [{id: imu, modality: imu, device: {type: simulated}}]\nrecord: {split_s: 1}\n"
    )
    log = tmp_path / "walk.mcap"
    assert main(["record", str(rig), "-o", str(log), "--local", "--duration", "4s"]) == 0
    capsys.readouterr()
    assert main(["info", str(log)]) == 0
    told = capsys.readouterr().out
    assert "walk_0000.mcap" in told
    assert "walk_0001.mcap" in told
    assert main(["info", str(log), "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert sum(part["streams"]["imu"]["samples"] for part in parts) > 200


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nothing.csv"], 1, "nothing.csv: no such file or folder"),
        (["{walk}", "-o", "log.txt"], 2, "a log is an MCAP file; name it log.mcap"),
        (["{walk}", "-o", "{walk}.mcap"], 2, "is there already, and an import replaces nothing"),
        (["{walk}", "--streams", "sonar"], 1, "no stream sonar; it has imu"),
        (["{walk}", "--columns", "time"], 2, "write NAME=COLUMN, such as accel_x=ax"),
        (["{walk}", "--columns", "warp_x=1"], 1, "--columns warp_x: there are time, accel_x"),
        (["{walk}", "--profile", "psion"], 1, "no profile 'psion'; there are xio, phyphox"),
        (["{walk}", "--accel-unit", "stone"], 2, "'stone' is none of m/s2, g, mg"),
        (["{walk}", "--rate-hz", "0"], 2, "must be above 0, found 0"),
        (["{walk}", "--start", "noon"], 2, "is no time"),
        (["{walk}", "--colour", "blue"], 2, "'blue' is none of jpeg"),
    ],
)
def test_a_users_mistake_is_one_line(words: list[str], code: int, told: str, walk: Path, capsys) -> None:
    walk.with_name("walk.csv.mcap").write_bytes(b"here")
    assert main(["import", *(word.format(walk=walk) for word in words)]) == code
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


def test_an_import_that_fails_leaves_nothing_behind(tmp_path: Path, capsys) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("time (s),ax (g),ay (g),az (g)\n0,0,0,1\n")
    assert main(["import", str(path), "-o", str(tmp_path / "log.mcap")]) == 1
    assert "wanted at least 2" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def vectors(walk: Path, voice: Path, tmp_path: Path) -> Path:
    """A log with the vectors of motion."""
    log, target = tmp_path / "m.mcap", tmp_path / "v.mcap"
    main(["import", str(walk), "-o", str(log)])
    main(["replay", str(log), "--local", "--rate", "max", "--wait", "0s", "--encoder", "imagebind-tiny",
          "--record", str(target)])  # fmt: skip
    return target


def test_vectors_as_parquet_arrow_and_numpy_are_the_same(vectors: Path, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    for suffix in ("parquet", "arrow", "npz"):
        assert main(["export", str(vectors), "-o", str(tmp_path / f"t.{suffix}")]) == 0
        assert "vectors" in capsys.readouterr().out
    table = pq.read_table(tmp_path / "t.parquet")
    with pa.memory_map(str(tmp_path / "t.arrow")) as file:
        again = pa.ipc.open_file(file).read_all()
    assert table.equals(again)
    with np.load(tmp_path / "t.npz") as arrays:
        (name,) = [name for name in arrays if name.endswith("/vector")]
        stored = arrays[name]
    assert name == "imu/imagebind-tiny/vector"
    assert np.array_equal(np.stack(table["vector"].to_numpy()), stored)
    assert len(stored) >= 3
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1.0, atol=1e-5)
    assert np.diff(np.sort(table["t_end_ns"].cast(pa.int64()).to_numpy())).min() > 0
    assert set(table["stream"].to_pylist()) == {"imu"}


def test_what_cannot_be_exported_is_one_line(vectors: Path, tmp_path: Path, capsys) -> None:
    capsys.readouterr()
    assert main(["export", str(vectors), "-o", str(tmp_path / "t.csv")]) == 1
    assert "t.csv" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "m.mcap"), "-o", str(tmp_path / "t.npz")]) == 1
    assert "no vector" in capsys.readouterr().err
    assert not (tmp_path / "t.npz").exists()


def test_half_an_imu_is_left_out_of_a_replay_unless_asked_for(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "phone"
    folder.mkdir()
    for name in ("TotalAcceleration", "Gyroscope"):
        rows = "".join(f"{T0 * 10**9 + i * 10_000_000},{i},9.8,0,0\n" for i in range(500))
        (folder / f"{name}.csv").write_text(f"time,seconds_elapsed,z,y,x\n{rows}")
    log = tmp_path / "phone.mcap"
    assert main(["import", str(folder), "-o", str(log)]) == 0
    words = ["--local", "--rate", "max", "--wait", "0s", "--encoder", "imagebind-tiny"]
    assert main(["replay", str(log), *words]) == 0
    said = capsys.readouterr().err
    assert "gyroscope is left out: it has gyro_x, gyro_y, gyro_z only; --streams gyroscope takes it" in said
    assert "imu → imagebind-tiny" in said
    assert main(["replay", str(log), *words, "--streams", "gyroscope"]) == 2
    assert "set `missing_axes: zero`" in capsys.readouterr().err
    zero = ["--streams", "gyroscope", "--set", "streams.gyroscope.missing_axes=zero"]
    assert main(["replay", str(log), *words, *zero]) == 0
    assert "gyroscope → imagebind-tiny" in capsys.readouterr().err

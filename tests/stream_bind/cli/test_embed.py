"""`embed`: real files and text through the small ImageBind with random weights."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stream_bind.cli.clips_of_files import clips_of, modality_of
from stream_bind.cli.main import main
from stream_bind.encoders.imagebind.encoder import ImageBindEncoder
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig, VisionSettings
from stream_bind.errors import ConfigError

SMALL = ["--weights", "random", "--set", "size=small", "--device", "cpu"]
UNITS = ["--driver", "accel_unit=m/s2", "--driver", "gyro_unit=rad/s"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / "picture.png")
    Image.fromarray(rng.integers(500, 4000, (60, 80)).astype(np.uint16)).save(folder / "depth.png")
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(rng.integers(-9000, 9000, 5 * 16_000).astype("<i2").tobytes())
    rows = ["time_s,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z"]
    rows += [f"{i / 100},0.1,0.2,9.8,{0.01 * (i % 7)},0,0" for i in range(700)]
    (folder / "motion.csv").write_text("\n".join(rows) + "\n")
    return folder


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_files_of_all_kinds_become_unit_vectors_of_one_size(files, capsys):
    names = ["picture.png", "sound.wav", "motion.csv"]
    assert main(["embed", *SMALL, *UNITS, *[str(files / name) for name in names]]) == 0
    rows = lines(capsys)
    assert [row["modality"] for row in rows] == ["vision", "audio", "imu"]
    assert [row["end_s"] - row["start_s"] for row in rows] == [2, 2, 5]
    assert {row["dim"] for row in rows} == {len(row["vector"]) for row in rows}
    for row in rows:
        assert np.linalg.norm(row["vector"]) == pytest.approx(1, abs=1e-5)
        assert row["coverage"] == pytest.approx(1, abs=0.02)
        assert row["trained"] is False


def test_a_picture_takes_the_models_path_for_stills_not_for_video(files):
    config = ImageBindEncoderConfig(weights="random", size="small")
    (clip,) = clips_of(files / "picture.png", "vision", "imagebind", config, None)
    still = config.model_copy(update={"vision": VisionSettings(frames=1)})
    assert clip.array.shape == ImageBindEncoder.clip_maker(still, "vision").spec.shape
    assert clip.array.shape != ImageBindEncoder.clip_maker(config, "vision").spec.shape


def test_untrained_vectors_say_so_on_stderr(files, capsys):
    assert main(["embed", *SMALL, str(files / "picture.png")]) == 0
    assert "untrained" in capsys.readouterr().err


def test_a_hop_gives_a_vector_for_every_window_within_the_file(files, capsys):
    assert main(["embed", *SMALL, "--hop", "1s", str(files / "sound.wav")]) == 0
    rows = lines(capsys)
    assert [(row["start_s"], row["end_s"]) for row in rows] == [(0, 2), (1, 3), (2, 4), (3, 5)]
    assert len({tuple(row["vector"]) for row in rows}) == 4


def test_a_file_shorter_than_a_window_says_so_by_its_coverage(files, capsys, tmp_path):
    with wave.open(str(files / "sound.wav")) as whole, wave.open(str(tmp_path / "short.wav"), "wb") as short:
        short.setparams(whole.getparams())
        short.writeframes(whole.readframes(8_000))
    assert main(["embed", *SMALL, str(tmp_path / "short.wav")]) == 0
    (row,) = lines(capsys)
    assert row["coverage"] == pytest.approx(0.25, abs=0.01)


def test_the_modality_decides_what_a_picture_holds(files, capsys):
    assert main(["embed", *SMALL, "--modality", "depth", str(files / "depth.png")]) == 0
    assert lines(capsys)[0]["modality"] == "depth"
    assert main(["embed", *SMALL, str(files / "depth.png")]) == 1
    assert "set modality to depth" in capsys.readouterr().err


def test_npy_holds_one_row_a_line(files, capsys, tmp_path):
    output = tmp_path / "vectors.npy"
    assert main(["embed", *SMALL, "-o", str(output), str(files / "picture.png"), str(files / "sound.wav")]) == 0
    rows, vectors = lines(capsys), np.load(output)
    assert vectors.shape == (2, rows[0]["dim"])
    assert vectors.dtype == np.float32
    assert "vector" not in rows[0]


@pytest.mark.requires("shared")
def test_text_comes_before_files(files, capsys, shared_data):
    vocabulary = shared_data.parents[1] / "fixtures" / "vocab" / "bpe_simple_vocab_16e6.txt.gz"
    args = ["--text", "a dog", "--text", "rain", "--set", f"vocab={vocabulary}", str(files / "picture.png")]
    assert main(["embed", *SMALL, *args]) == 0
    assert [row.get("text") for row in lines(capsys)] == ["a dog", "rain", None]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["none.png"], 1, "none.png: no such file"),
        (["x.bin"], 2, "cannot tell what a .bin file holds"),
        (["--modality", "imu", "a.png"], 2, "holds vision or depth or thermal, not imu"),
        (["--model", "imagebnd", "a.png"], 2, "did you mean 'imagebind'?"),
        (["--set", "sise=small", "a.png"], 2, "did you mean 'size'?"),
        (["--driver", "accel_unit", "a.csv"], 2, "expected KEY=VALUE"),
        (
            ["--driver", "accel_unit=G", "a.csv"],
            2,
            "a.csv:1:1: accel_unit: expected 'auto', 'm/s2', 'g' or 'mg', found 'G'",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_loaded(capsys, monkeypatch, tmp_path, args, code, words):
    monkeypatch.chdir(tmp_path)
    assert main(["embed", *SMALL, *args]) == code
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert words in line


def test_a_file_that_is_not_what_its_name_says_is_one_line(capsys, tmp_path):
    (tmp_path / "a.mp4").write_text("shopping list")
    assert main(["embed", *SMALL, str(tmp_path / "a.mp4")]) == 1
    assert "found text that begins 'shopping list'" in capsys.readouterr().err


def test_suffixes_tell_the_modality_and_the_modality_decides_where_they_do_not():
    assert modality_of(Path("a.MP4"), None) == "vision"
    assert modality_of(Path("a.mp4"), "audio") == "audio"
    assert modality_of(Path("a.log"), "imu") == "imu"
    with pytest.raises(ConfigError):
        modality_of(Path("a.log"), None)


SIGNAL = "signals=[{name: barometer, channels: 1, rate_hz: 25, length_s: 4, kernel: 10, unit: Pa, detrend: mean}]"


def test_a_table_of_a_declared_signal_is_embedded_by_its_name(files, tmp_path, capsys):
    rows = "".join(f"{i / 50},{101325 + i % 9}\n" for i in range(450))
    table = tmp_path / "pressure.csv"
    table.write_text(f"t_s,pressure\n{rows}")
    words = ["embed", *SMALL, "--set", SIGNAL, "--modality", "barometer", str(table)]
    assert main([*words, "--hop", "4s"]) == 0
    found = lines(capsys)
    assert [(row["modality"], row["start_s"], row["end_s"]) for row in found] == [
        ("barometer", 0, 4),
        ("barometer", 4, 8),
    ]
    assert main([*words, "--driver", "unit=hPa"]) == 1
    assert "in Pa, the device delivers hPa" in capsys.readouterr().err
    assert main(["embed", *SMALL, "--modality", "barometer", str(table)]) == 2
    assert "a .csv file holds imu, not barometer" in capsys.readouterr().err


def test_captions_and_a_query_order_what_is_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["embed", "--model", "imagebind-tiny"]
    texts = ["walking my dog in the park", "driving nails into wood", "making tea"]
    for text in texts:
        given += ["--text", text]
    assert main([*given, "--labels", "model", "--query", "text:a person boiling a kettle"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["text"] == "making tea"
    assert [row["cosine"] for row in rows] == sorted((row["cosine"] for row in rows), reverse=True)
    told = {row["text"]: row["labels"][0]["text"] for row in rows}
    assert told == {
        texts[0]: "a person walking a dog",
        texts[1]: "a person hammering a nail",
        texts[2]: "a person boiling a kettle",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--labels", "only one"], "at least two captions"),
        (["--query", "no_such.wav"], "no such file; for a text write 'text:no_such.wav'"),
        (["--query", "a dog", "--query", "-a dog"], "the parts cancel out"),
    ],
)
def test_captions_and_queries_that_mean_nothing_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", "--model", "imagebind-tiny", "--text", "a dog", *words]) == 2
    assert message in capsys.readouterr().err

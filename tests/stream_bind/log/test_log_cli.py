"""`info` and `recover` on logs that are whole, cut, damaged, foreign and none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer

from stream_bind.cli.main import main
from stream_bind.log.codec import ChunkWriter
from stream_bind.log.survey import survey
from stream_bind.log.writer import LogWriter
from stream_bind.messages import IMU_AXES, Chunk, ClockInfo, StreamSpec

T0 = 1_700_000_000_000_000_000
SPEC = StreamSpec("imu", "imu", 100.0, (6,), "float32", "si", IMU_AXES)


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """10 s of an IMU at 100 Hz: 2 s missing, one stamp twice, one too early."""
    path = tmp_path / "motion.mcap"
    writer = ChunkWriter("imu", SPEC)
    log = LogWriter(path, {"rig": "bench"}, sync=False)
    log.open()
    for topic, info in writer.topics().items():
        log.topic(topic, info.type, info.metadata)
    t_ns = T0 + np.arange(1000, dtype=np.int64) * 10_000_000
    t_ns[600:] += 2_000_000_000
    t_ns[100] = t_ns[99]
    t_ns[200] = t_ns[198]
    for start in range(0, 1000, 50):
        piece = t_ns[start : start + 50]
        chunk = Chunk(np.ones((50, 6), np.float32), piece, start == 800, ClockInfo("device", 1000 + start))
        for entry in writer.chunk(chunk):
            log.write(entry.topic, entry.data, int(piece[-1]), entry.publish_time)
        log.flush()
    log.close()
    return path


def test_a_survey_measures_rates_gaps_and_stamps(motion):
    stream = survey(motion).streams["imu"]
    assert (stream.n_samples, stream.n_chunks) == (1000, 20)
    assert stream.duration_s == pytest.approx(11.99)
    assert stream.rate_hz == pytest.approx(999 / 11.99)
    # The hole and the flag; a straight line bridges the step after each stamp that stood still or went back.
    assert (stream.n_gaps, stream.longest_gap_ns) == (2, 2_010_000_000)
    assert (stream.n_repeated, stream.n_backwards) == (1, 1)
    assert (stream.clock_domain, stream.worst_clock_err_ns) == ("device", 1950)
    assert stream.spec == SPEC


def test_info_shows_streams_topics_and_that_it_is_whole(motion, capsys):
    assert main(["info", str(motion)]) == 0
    out = capsys.readouterr().out
    assert "1,020 messages, whole" in out
    assert "stream_bind.session: version 1, rig bench, part 0" in out
    (row,) = [line for line in out.splitlines() if line.startswith("imu ")]
    assert "83.32 Hz (100)" in row
    assert "2.010 s" in row
    assert "stamps: 1 repeated, 1 backwards" in row
    assert "sensor_msgs/msg/Imu" in out
    assert main(["info", str(motion), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["streams"]["imu"]["gaps"] == 2
    assert found["topics"]["/imu/samples"]["messages"] == 20


def test_recover_of_a_whole_log_writes_nothing(motion, capsys, tmp_path):
    assert main(["recover", str(motion)]) == 0
    assert "is whole, 1,020 messages; there is nothing to recover" in capsys.readouterr().out
    assert main(["recover", str(motion), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"] is True
    assert list(tmp_path.glob("*.mcap")) == [motion]
    assert main(["recover", str(motion), "-o", str(tmp_path / "copy.mcap")]) == 0
    assert survey(tmp_path / "copy.mcap").n_messages == 1020


def test_recover_tells_what_is_lost_by_its_exit_code(motion, capsys, tmp_path):
    data = motion.read_bytes()
    end = data.rindex(b"\x0f" + (4).to_bytes(8, "little"))  # where the data ends and the index begins
    motion.write_bytes(data[:end])
    assert main(["recover", str(motion)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'motion-recovered.mcap'}: 1,020 messages\n"
    assert "what the recorder had not yet written" in err
    assert main(["info", str(motion)]) == 0
    assert "not closed" in capsys.readouterr().out
    motion.write_bytes(data[: end // 2])
    assert main(["recover", str(motion)]) == 1  # the file is there
    assert "is there already; name another file with --output" in capsys.readouterr().err
    assert main(["recover", str(motion), "-o", str(tmp_path / "half.mcap")]) == 3
    out, err = capsys.readouterr()
    assert "lost: the file ends inside this" in err
    assert 300 < survey(tmp_path / "half.mcap").n_messages < 700
    assert main(["recover", str(motion), "-o", str(tmp_path / "again.mcap"), "--json"]) == 3
    row = json.loads(capsys.readouterr().out)
    assert row["whole"] is False
    assert row["losses"][0]["size"] > 0
    assert main(["info", str(motion)]) == 0
    assert "`stream-bind recover" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\x89MCAP0\r\n", b"version https://git-lfs\n", b"RIFF"])
def test_what_holds_nothing_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    assert main(["recover", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"stream-bind: {path}: ")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_foreign_log_is_shown_as_what_it_is(tmp_path, capsys):
    path = tmp_path / "foreign.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("acme.Thing", "protobuf", b"")
        channel = writer.register_channel("/thing", "protobuf", schema)
        other = writer.register_channel("/bytes", "", 0)
        for i in range(10):
            writer.add_message(channel, T0 + i, b"x" * i, T0 + i)
        writer.add_message(other, T0, b"y", T0)
        writer.finish()
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "acme.Thing" in out
    assert "(no schema)" in out
    assert "profile none" in out

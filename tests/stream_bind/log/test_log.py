"""Logs written, read, cut, damaged, recovered: nothing whole is lost, nothing damaged is believed."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.records import Attachment, Metadata
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from stream_bind.errors import LogError
from stream_bind.log.recover import RECOVERED, recover
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.schemas import OWN, deserialize, ros_time, schema_text, time_ns
from stream_bind.log.writer import END, FLUSH_S, SESSION, LogWriter

N = 40


def messages(path: Path, **filters) -> tuple[list[LogMessage], Scan]:
    scan = Scan(path, **filters)
    return [found for found in scan if isinstance(found, LogMessage)], scan


def keys(found: list[LogMessage]) -> list[tuple[str, int, bytes]]:
    return [(m.topic, m.publish_time, m.data) for m in found]


@pytest.fixture
def log(write_log) -> Path:
    return write_log(N)


def test_what_was_written_is_read_in_its_order(log):
    found, scan = messages(log)
    n_topics = len({m.topic for m in found})
    assert len(found) == N * n_topics == scan.n_messages
    assert (scan.losses, scan.closed, scan.indexed) == ([], True, True)
    assert [m.log_time for m in found] == sorted(m.log_time for m in found)
    assert [m.sequence for m in found if m.topic == "/cam/image"] == list(range(N))
    assert scan.header.profile == "ros2"


def test_the_session_and_attachments_come_before_the_first_message(log):
    kinds = [type(found) for found in Scan(log)]
    first = kinds.index(LogMessage)
    assert set(kinds[:first]) == {Metadata, Attachment}
    records = [found for found in Scan(log) if isinstance(found, Metadata)]
    assert [record.name for record in records] == [SESSION, END]
    assert records[0].metadata == {"version": "1", "rig": "bench", "log": "1", "part": "0"}
    assert records[1].metadata == {"reason": "ended"}


def test_the_field_s_own_readers_see_every_message(log):
    found, _ = messages(log)
    with log.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()], validate_crcs=True)
        decoded = [(channel.topic, value) for _, channel, _, value in reader.iter_decoded_messages()]
    assert [topic for topic, _ in decoded].count("/own/embedding") == N
    assert len(decoded) == len(found)
    vectors = [value.vector for topic, value in decoded if topic == "/own/embedding"]
    assert {len(vector) for vector in vectors} == {64}
    with AnyReader([log]) as reader:
        read = [(c.topic, c.msgtype, raw) for c, _, raw in reader.messages()]
        assert len(read) == len(found)
        for _, kind, raw in read:
            reader.deserialize(raw, kind)


def test_a_message_comes_back_as_it_went_in(log):
    found, _ = messages(log, topics=frozenset({"/own/samples"}))
    value = deserialize("stream_bind_msgs/msg/Samples", found[3].data)
    assert (value.order, value.gap_before, value.encoding) == (3, True, "encoding 3")
    assert list(value.t_ns) == [time_ns(value.header.stamp) + i for i in range(3)]
    assert value.data.tobytes() == np.random.default_rng(3).integers(0, 256, 600, np.uint8).tobytes()


def test_every_type_of_ours_keeps_its_comments_in_the_log():
    for name in OWN:
        assert "#" in schema_text(name)
        assert "MSG: builtin_interfaces/Time" in schema_text(name)


def test_ros_time_before_and_after_the_epoch():
    for t_ns in (0, 1, -1, 1_700_000_000_123_456_789):
        assert time_ns(ros_time(t_ns)) == t_ns
    assert time_ns(ros_time(2**62)) == 2**31 * 1_000_000_000 - 1


@pytest.mark.parametrize("closed", [True, False])
def test_a_part_is_read_by_topic_and_time(write_log, closed):
    path = write_log(N, close=closed)
    every, _ = messages(path)
    start, end = every[0].log_time + 100_000_000, every[0].log_time + 200_000_000
    wanted = [m for m in every if m.topic == "/imu/imu" and start <= m.log_time < end]
    found, _ = messages(path, topics=frozenset({"/imu/imu"}), start_ns=start, end_ns=end)
    assert keys(found) == keys(wanted)
    assert len(found) == 10


def test_a_file_of_a_killed_recorder_is_read_to_its_last_flush(write_log):
    found, scan = messages(write_log(N, close=False))
    assert len(found) == N * len({m.topic for m in found})
    assert (scan.losses, scan.closed, scan.indexed) == ([], False, False)


def test_recover_makes_an_index_and_says_what_it_did(write_log, tmp_path):
    path = write_log(N, close=False)
    recovery = recover(path, tmp_path / "mended.mcap")
    assert (recovery.losses, recovery.closed, recovery.whole) == ((), False, False)
    before, _ = messages(path)
    after, scan = messages(tmp_path / "mended.mcap")
    assert keys(after) == keys(before)
    assert (scan.closed, scan.indexed) == (True, True)
    names = [found.name for found in Scan(tmp_path / "mended.mcap") if isinstance(found, Metadata | Attachment)]
    assert names == [SESSION, "config.yaml", RECOVERED]
    with AnyReader([tmp_path / "mended.mcap"]) as reader:
        assert reader.message_count == len(before)
    assert recover(tmp_path / "mended.mcap", tmp_path / "again.mcap").whole


def test_truncation_at_every_thousandth_byte_never_crashes_or_invents(write_log, tmp_path):
    path = write_log(N)
    data, whole = path.read_bytes(), keys(messages(path)[0])
    cut = tmp_path / "cut.mcap"
    counts = []
    for size in range(0, len(data), 1000):
        cut.write_bytes(data[:size])
        if size == 0:
            with pytest.raises(LogError, match="is empty"):
                messages(cut)
            continue
        found, scan = messages(cut)
        assert keys(found) == whole[: len(found)]
        counts.append(len(found))
        (tmp_path / "out.mcap").unlink(missing_ok=True)
        if found:
            assert recover(cut, tmp_path / "out.mcap").n_messages == len(found)
        else:
            with pytest.raises(LogError, match="holds no message"):
                recover(cut, tmp_path / "out.mcap")
        assert scan.losses or not scan.closed or not scan.indexed
    assert counts == sorted(counts)
    assert len(set(counts)) == N // 5 + 1


def test_of_a_chunk_that_was_cut_its_whole_messages_count(write_log):
    path = write_log(100, flush_every=1000)
    data, whole = path.read_bytes(), keys(messages(path)[0])
    counts = []
    for share in (0.3, 0.5, 0.7, 0.9):
        path.write_bytes(data[: int(len(data) * share)])
        found, scan = messages(path)
        assert keys(found) == whole[: len(found)]
        counts.append(len(found))
        # zstd packs 128 KiB at a time.
        assert len(found) > (share - 0.25) * len(whole)
        assert f"{len(found)} messages of it were whole" in scan.losses[0].reason
    assert len(set(counts)) == 4


@pytest.mark.parametrize("compression", list(CompressionType))
def test_other_writers_files_are_read_and_salvaged(tmp_path, compression):
    path = tmp_path / "other.mcap"
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=4000, compression=compression)
        writer.start()
        channel = writer.register_channel("/x", "raw", 0)
        for i in range(1000):
            writer.add_message(channel, i, bytes([i % 256]) * 50, i)
        writer.finish()
    whole, scan = messages(path)
    assert (len(whole), scan.losses) == (1000, [])
    data = path.read_bytes()
    for share in (0.3, 0.5, 0.61):
        path.write_bytes(data[: int(len(data) * share)])
        found, scan = messages(path)
        assert keys(found) == keys(whole)[: len(found)]
        assert len(found) > 1000 * share * 0.5
        assert scan.losses


def test_a_file_without_chunks_is_read(tmp_path):
    path = tmp_path / "flat.mcap"
    with path.open("wb") as file:
        writer = Writer(file, use_chunking=False)
        writer.start()
        channel = writer.register_channel("/x", "raw", 0)
        for i in range(100):
            writer.add_message(channel, i, bytes(50), i)
        writer.finish()
    assert len(messages(path)[0]) == 100
    path.write_bytes(path.read_bytes()[:3000])
    found, scan = messages(path)
    assert 30 < len(found) < 50
    assert scan.losses


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
def test_a_hole_of_zeros_costs_its_chunks_alone(write_log, where):
    path = write_log(N)
    whole, data = keys(messages(path)[0]), bytearray(path.read_bytes())
    at = int(len(data) * where)
    data[at : at + 3000] = bytes(3000)
    path.write_bytes(data)
    found, scan = messages(path)
    assert set(keys(found)) <= set(whole)
    assert len(found) > 0.6 * len(whole)
    assert scan.losses
    assert scan.closed


def test_a_lost_first_chunk_does_not_lose_the_names_of_the_rest(write_log):
    path = write_log(N)
    whole, data = keys(messages(path)[0]), bytearray(path.read_bytes())
    first = data.index(b"\x04\x00\x00\x00zstd")
    data[first + 40] ^= 0xFF
    path.write_bytes(data)
    found, scan = messages(path)
    assert keys(found) == whole[-len(found) :]
    assert 0.8 * len(whole) < len(found) < len(whole)
    assert [loss.reason.partition(":")[0] for loss in scan.losses] == ["chunk"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_whatever_bytes_change_nothing_crashes_and_nothing_is_invented(damaged, damage):
    data = bytearray(damaged.content)
    for place, replacement in damage:
        at = 8 + int(place * (len(data) - 9))
        data[at : at + len(replacement)] = replacement[: len(data) - at]
    damaged.path.write_bytes(data)
    found, scan = messages(damaged.path)
    # A chunk that seems to be cut has no checksum to compare with; it says so.
    assert set(keys(found)) <= damaged.whole or "were whole" in scan.losses[-1].reason


class Damaged:
    """A file that is written over and over, and what it held at first."""

    def __init__(self, path: Path, content: bytes, whole: set) -> None:
        self.path, self.content, self.whole = path, content, whole


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    from tests.stream_bind.log.conftest import write_log

    folder = tmp_path_factory.mktemp("damaged")
    path = write_log.__wrapped__(folder)(6, flush_every=2)
    return Damaged(path, path.read_bytes(), set(keys(messages(path)[0])))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"#ROSBAG V2.0\n", "is no MCAP file: it begins with 23 52"),
    ],
)
def test_what_is_no_log_is_told(tmp_path, content, words):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(LogError, match=words):
        messages(path)
    with pytest.raises(LogError, match="cannot be read"):
        messages(tmp_path / "none.mcap")


def test_a_recording_replaces_nothing(log, write_log, tmp_path):
    with pytest.raises(LogError, match="a recording replaces nothing"):
        write_log(1)
    with pytest.raises(LogError, match="is there already"):
        recover(log, log)


def test_a_split_log_is_a_row_of_files_each_complete(write_log, tmp_path):
    write_log(N, name="walk.mcap", split_ns=100_000_000)
    paths = sorted(tmp_path.glob("walk_*.mcap"))
    assert [path.name for path in paths] == [f"walk_{i:04d}.mcap" for i in range(4)]
    for i, path in enumerate(paths):
        found, scan = messages(path)
        assert len({m.log_time for m in found}) == N // 4
        assert scan.indexed
        (session,) = [r for r in Scan(path) if isinstance(r, Metadata) and r.name == SESSION]
        assert session.metadata["part"] == str(i)
    write_log(N, name="big.mcap", split_bytes=100_000)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("big_*.mcap"))]
    assert len(sizes) > 1
    assert max(sizes) < 140_000


def test_a_full_disk_ends_the_recording_and_not_the_program(tmp_path, write_log, monkeypatch):
    sample = messages(write_log(1))[0][0]
    path = tmp_path / "full.mcap"
    writer = LogWriter(path, {}, sync=False)
    writer.open()
    writer.topic("/cam/image", "sensor_msgs/msg/CompressedImage")

    assert writer.write("/cam/image", sample.data, 1, 1)
    writer.flush()
    kept = path.stat().st_size
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    writer.sync = True
    assert writer.write("/cam/image", sample.data, 2, 2)
    writer.flush()
    assert "the disk is full; recording has stopped" in writer.full
    assert not writer.write("/cam/image", sample.data, 3, 3)
    writer.close()
    assert writer.dropped == {"/cam/image": 1}
    assert path.stat().st_size == kept
    assert len(messages(path)[0]) == 1


def test_each_part_of_a_split_log_is_counted_from_its_own_beginning(tmp_path, write_log, monkeypatch):
    """What left the cache lay in the file, and a disk that fills up in the second part cuts that part where it was."""
    sample = messages(write_log(1))[0][0]
    forgotten = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda fd, start, n, _: forgotten.append((start, n, os.fstat(fd).st_size)), raising=False
    )
    writer = LogWriter(tmp_path / "walk.mcap", {}, split_ns=10)
    writer.open()
    writer.topic("/cam/image", "sensor_msgs/msg/CompressedImage")
    for i in range(20):
        assert writer.write("/cam/image", sample.data, i, i)
        if i < 12:
            writer.flush()
    assert len(writer.paths) == 2
    assert all(start + n == size and n >= 0 for start, n, size in forgotten)
    assert sum(start == 0 for start, _, _ in forgotten) == 2
    kept = writer.paths[1].stat().st_size
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    writer.flush()
    assert writer.full
    assert writer.paths[1].stat().st_size == kept


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system has no such call")
def test_a_file_system_that_keeps_its_cache_records_all_the_same(tmp_path, write_log, monkeypatch):
    sample = messages(write_log(1))[0][0]
    monkeypatch.setattr(os, "posix_fadvise", lambda *_: (_ for _ in ()).throw(OSError(errno.EINVAL, "no")))
    path = tmp_path / "walk.mcap"
    writer = LogWriter(path, {})
    writer.open()
    writer.topic("/cam/image", "sensor_msgs/msg/CompressedImage")
    assert writer.write("/cam/image", sample.data, 1, 1)
    writer.close()
    assert not writer.full
    assert len(messages(path)[0]) == 1


@pytest.mark.parametrize(("age_s", "flushed"), [(None, 18), (0.2, 14), (5.0, 20)])
def test_samples_are_flushed_at_an_age(tmp_path, write_log, age_s, flushed):
    """Of their own where it is told, else since the tick after their writing."""
    sample = messages(write_log(1))[0][0]
    path = tmp_path / "slow.mcap"
    writer = LogWriter(path, {}, sync=False)
    writer.open()
    writer.topic("/cam/image", "sensor_msgs/msg/CompressedImage")
    assert writer.due_s(0) is None
    for i in range(20):
        now_ns = round(i * 0.1e9)
        writer.write("/cam/image", sample.data, i, i)
        writer.tick(now_ns, None if age_s is None else now_ns - round(age_s * 1e9))
        due_s = writer.due_s(now_ns)
        assert (due_s is None) == (not writer.pending)
        assert due_s is None or 0 < due_s <= FLUSH_S
    assert len(messages(path)[0]) == flushed


RECORDER = """
import sys, time
from pathlib import Path
from tests.stream_bind.log.conftest import header
from stream_bind.log.schemas import message, serialize
from stream_bind.log.writer import LogWriter
import numpy as np
writer = LogWriter(Path(sys.argv[1]), {})
writer.open()
writer.topic("/cam", "sensor_msgs/msg/CompressedImage")
rng = np.random.default_rng(0)
while True:
    t_ns = time.time_ns()
    data = rng.integers(0, 256, 2000, np.uint8)
    value = message("sensor_msgs/msg/CompressedImage", header=header(t_ns), format="jpeg", data=data)
    writer.write("/cam", serialize("sensor_msgs/msg/CompressedImage", value), t_ns, t_ns)
    writer.tick(time.monotonic_ns())
    sys.stdout.buffer.write(t_ns.to_bytes(8, "little")); sys.stdout.flush()
    time.sleep(0.005)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_recorder_loses_less_than_a_second(tmp_path, seed):
    path = tmp_path / "killed.mcap"
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    process.stdout.read(8)
    time.sleep(0.7 + random.Random(seed).random())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    written = np.frombuffer(rest, "<i8")
    recovery = recover(path, tmp_path / "mended.mcap")
    found, _ = messages(tmp_path / "mended.mcap")
    assert recovery.n_messages == len(found) > 0
    lost = written[written > found[-1].publish_time]
    assert len(lost) == 0 or written[-1] - found[-1].publish_time < 1_000_000_000

"""The file of JSON Lines holds what the wire says, whole lines only, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import resource
from dataclasses import replace

import numpy as np
import pytest

from stream_bind.errors import SinkError
from stream_bind.sinks.jsonl import JsonlConfig, JsonlSink
from stream_bind.wire.message import decode_header, encode_embedding, encode_event


def lines(path):
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def written(path, *messages, **settings):
    sink = JsonlSink(JsonlConfig(path=path, **settings), "bench")
    sink.open()
    for message in messages:
        (sink.publish if message.kind == "emb" else sink.event)(message)
    sink.close()
    return lines(path)


def as_subscribed(frames):
    """What `stream-bind subscribe --json` prints of a message."""
    return json.loads(json.dumps({"topic": frames[0].decode(), **decode_header(frames)}))


def test_a_line_is_what_a_subscriber_prints(tmp_path, embedding, event):
    vector, reason = written(tmp_path / "out.jsonl", embedding, event)
    assert vector == as_subscribed(encode_embedding(embedding))
    assert reason == as_subscribed(encode_event(event))
    assert list(vector)[:3] == ["topic", "v", "kind"]


def test_vectors_come_only_when_asked_for_and_are_exact(tmp_path, embedding, event):
    assert "vector" not in written(tmp_path / "without.jsonl", embedding)[0]
    vector, reason = written(tmp_path / "with.jsonl", embedding, event, vectors=True)
    assert np.array_equal(np.array(vector["vector"], np.float32), embedding.vector)
    assert "vector" not in reason


def test_numpy_numbers_and_broken_text_are_written_too(tmp_path, embedding, event):
    odd = replace(embedding, window=np.int64(7), coverage=np.float32(0.75))
    path_of_bytes = replace(event, detail="/media/\udcff/a.mp4: gone\nsecond line")
    vector, reason = written(tmp_path / "out.jsonl", odd, path_of_bytes)
    assert (vector["window"], vector["coverage"]) == (7, 0.75)
    assert reason["detail"] == "/media/\\udcff/a.mp4: gone\nsecond line"


def test_a_line_cut_by_a_killed_process_spoils_no_other(tmp_path, embedding):
    path = tmp_path / "out.jsonl"
    path.write_text('{"topic": "emb/bench/cam/ib/", "v')
    sink = JsonlSink(JsonlConfig(path=path), "bench")
    sink.open()
    sink.publish(embedding)
    sink.close()
    cut, whole = path.read_text().splitlines()
    assert cut.endswith('"v')
    assert json.loads(whole)["window"] == 7


def test_opening_an_open_file_again_changes_nothing(tmp_path, embedding):
    sink = JsonlSink(JsonlConfig(path=tmp_path / "out.jsonl"), "bench")
    sink.open()
    sink.publish(embedding)
    sink.open()
    sink.publish(embedding)
    sink.close()
    assert len(lines(tmp_path / "out.jsonl")) == 2


def test_a_full_disk_is_a_sentence_and_closing_stays_quiet(tmp_path, embedding):
    path = tmp_path / "out.jsonl"
    sink = JsonlSink(JsonlConfig(path=path, vectors=True), "bench")
    sink.open()
    sink.publish(embedding)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        with pytest.raises(SinkError) as caught:
            sink.publish(embedding)
        sink.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value) == f"jsonl {path}: cannot be written: File too large"


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path, what):
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    else:
        import os

        os.mkfifo(path)  # to open it would wait for a reader, and the whole rig with it
    with pytest.raises(SinkError, match=f"jsonl {path}: wanted a file to append to"):
        JsonlSink(JsonlConfig(path=path), "bench").open()

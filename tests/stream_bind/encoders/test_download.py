"""Fetching a file over HTTP from a server that breaks off, changes its mind, refuses, or is not there."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import shutil
import socket
from pathlib import Path

import pytest

from stream_bind.encoders import download as subject
from stream_bind.encoders import source
from stream_bind.encoders.cache import file_digest
from stream_bind.encoders.download import download, human_size, partial
from stream_bind.errors import WeightsError

DATA = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def no_pauses_and_small_blocks(monkeypatch):
    monkeypatch.setattr(subject, "PAUSE_S", 0.0)
    monkeypatch.setattr(subject, "BLOCK", 10_000)


@pytest.fixture
def server(file_server):
    file_server.files["model.bin"] = DATA
    file_server.url += "/model.bin"
    return file_server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "cache" / "model.bin"


def refused(call, *words: str) -> str:
    with pytest.raises(WeightsError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text
    return text


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def give_up_after(server, target, n_bytes, monkeypatch) -> None:
    """A first call that breaks off for good after `n_bytes`."""
    with monkeypatch.context() as context:
        context.setattr(subject, "ATTEMPTS", 1)
        server.cuts = [n_bytes]
        refused(lambda: download(server.url, target), "the connection broke", "run the same command again")
    assert partial(target).read_bytes() == DATA[:n_bytes]
    assert not target.exists()
    server.requests.clear()


def test_a_file_arrives_whole_with_its_digest_and_leaves_nothing_behind(server, target, monkeypatch):
    seen: list[tuple[int, int | None]] = []
    fetched = download(server.url, target, progress=lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == DATA
    assert (fetched.size, fetched.sha256, fetched.resumed_at) == (len(DATA), DIGEST, 0)
    assert left(target) == {"model.bin", "model.bin.sha256.json"}
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)
    monkeypatch.setattr("stream_bind.encoders.cache.hash_file", None)
    assert file_digest(target) == DIGEST


def test_a_connection_cut_twice_is_resumed_within_one_call(server, target):
    server.cuts = [100_001, 50_000]
    assert download(server.url, target, sha256=DIGEST).sha256 == DIGEST
    assert [wanted for _, wanted in server.requests] == [None, "bytes=100001-", "bytes=150001-"]


def test_a_later_call_goes_on_where_the_first_gave_up(server, target, monkeypatch):
    give_up_after(server, target, 123_456, monkeypatch)
    fetched = download(server.url, target)
    assert server.requests == [("/model.bin", "bytes=123456-")]
    assert (fetched.sha256, fetched.resumed_at) == (DIGEST, 123_456)


def test_a_server_without_ranges_sends_all_of_it_again(server, target, monkeypatch):
    server.ranges = False
    give_up_after(server, target, 123_456, monkeypatch)
    assert download(server.url, target).sha256 == DIGEST
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_in_between_is_fetched_from_its_beginning(server, target, monkeypatch, heeds_if_range):
    give_up_after(server, target, 123_456, monkeypatch)
    server.files["model.bin"], server.etag, server.heeds_if_range = OTHER, '"two"', heeds_if_range
    download(server.url, target)
    assert target.read_bytes() == OTHER
    # A server that heeds If-Range says so at once; the other has to be asked again.
    assert [wanted for _, wanted in server.requests] == ["bytes=123456-", None][: 1 if heeds_if_range else 2]


def test_without_a_tag_the_size_decides(server, target, monkeypatch):
    server.etag = None
    give_up_after(server, target, 123_456, monkeypatch)
    assert download(server.url, target).sha256 == DIGEST
    assert server.requests == [("/model.bin", "bytes=123456-")]
    target.unlink()
    give_up_after(server, target, 123_456, monkeypatch)
    server.files["model.bin"] = OTHER + b"more"
    download(server.url, target)
    assert target.read_bytes() == OTHER + b"more"


def test_what_was_begun_from_another_address_is_not_mixed_in(server, target, monkeypatch):
    give_up_after(server, target, 123_456, monkeypatch)
    server.files["mirror.bin"] = OTHER
    download(server.url.replace("model.bin", "mirror.bin"), target)
    assert target.read_bytes() == OTHER


def test_a_file_that_had_arrived_but_was_not_moved_in_is_not_fetched_again(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(DATA)
    version = {"url": server.url, "etag": server.etag, "last_modified": None, "size": len(DATA)}
    partial(target).with_name("model.bin.part.json").write_text(json.dumps(version))
    assert download(server.url, target).sha256 == DIGEST
    assert server.requests == []


def test_a_part_longer_than_the_file_is_dropped(server, target):
    target.parent.mkdir()
    partial(target).write_bytes(DATA + b"more")
    version = {"url": server.url, "etag": server.etag, "last_modified": None, "size": len(DATA)}
    partial(target).with_name("model.bin.part.json").write_text(json.dumps(version))
    assert download(server.url, target).sha256 == DIGEST
    assert [wanted for _, wanted in server.requests] == ["bytes=300004-", None]


def test_a_server_that_never_gets_far_is_given_up_and_what_came_is_kept(server, target):
    server.cuts = [1000, 0, 0, 0, 0, 0, 0]
    refused(lambda: download(server.url, target), "5 times in a row", "after 1.00 kB", "kept")
    assert partial(target).read_bytes() == DATA[:1000]


def test_a_line_that_breaks_often_but_brings_something_is_not_given_up(server, target):
    server.cuts = [20_000] * 14
    assert download(server.url, target).sha256 == DIGEST
    assert len(server.requests) == 15


def test_a_busy_server_is_asked_again(server, target):
    server.statuses = [503, 429]
    assert download(server.url, target).sha256 == DIGEST
    server.statuses = [503] * 9
    refused(lambda: download(server.url, target), "the server answers 503")


def test_a_wrong_digest_is_refused_and_the_file_removed(server, target):
    server.files["model.bin"] = OTHER
    refused(lambda: download(server.url, target, sha256=DIGEST), DIGEST[:12], "is removed", "--url")
    assert left(target) == set()


def test_a_wrong_digest_leaves_the_file_that_was_there(server, target):
    download(server.url, target)
    server.files["model.bin"] = OTHER
    refused(lambda: download(server.url, target, sha256=DIGEST), "is wanted, found")
    assert target.read_bytes() == DATA


def test_a_wrong_size_is_refused_before_anything_is_fetched(server, target):
    seen = []
    refused(
        lambda: download(server.url, target, size=299_999, progress=lambda *step: seen.append(step)),
        "299,999 bytes are wanted, the server offers 300,000",
    )
    assert seen == []
    assert left(target) == set()


@pytest.mark.parametrize(("status", "words"), [(404, "there is no such file"), (403, "the server refuses it")])
def test_a_refusal_names_the_address_and_the_way_round(server, target, status, words):
    server.statuses = [status]
    refused(lambda: download(server.url, target), server.url, str(status), words, "--url")
    assert len(server.requests) == 1
    assert left(target) == set()


def test_a_log_in_page_is_not_taken_for_the_file(server, target):
    server.content_type = "text/html; charset=utf-8"
    refused(lambda: download(server.url, target), "a web page came instead")
    assert left(target) == set()


def test_without_a_network_the_host_and_the_proxy_are_named(target):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refused(
        lambda: download(f"http://127.0.0.1:{port}/model.bin", target),
        f"cannot reach 127.0.0.1:{port} (Connection refused)",
        "https_proxy",
    )
    assert left(target) == set()


def test_without_a_network_a_begun_file_is_kept_for_later(server, target, monkeypatch):
    give_up_after(server, target, 123_456, monkeypatch)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    refused(lambda: download(server.url, target), "cannot reach")
    monkeypatch.delenv("http_proxy")
    assert download(server.url, target).resumed_at == 123_456


def test_a_proxy_of_the_environment_is_used(server, target, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/model.bin"))
    monkeypatch.delenv("no_proxy", raising=False)
    download("http://models.invalid/model.bin", target)
    assert server.requests == [("http://models.invalid/model.bin", None)]
    assert target.read_bytes() == DATA


def test_a_server_that_does_not_say_the_length_is_still_read_to_the_end(server, target):
    server.says_length = False
    assert download(server.url, target, size=len(DATA)).sha256 == DIGEST


class FullDisk:
    """A file on a disk that has room for `room` bytes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, block: bytes) -> int:
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(block)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()


def test_a_disk_that_fills_up_says_so_and_keeps_what_arrived(server, target, monkeypatch):
    real = Path.open
    with monkeypatch.context() as context:
        context.setattr(Path, "open", lambda self, *args, **options: FullDisk(real(self, *args, **options), 100_000))
        refused(lambda: download(server.url, target), "the disk is full", "STREAM_BIND_MODELS")
    assert partial(target).read_bytes() == DATA[:100_000]
    assert download(server.url, target).resumed_at == 100_000
    assert target.read_bytes() == DATA


def test_a_disk_too_small_is_told_before_anything_is_fetched(server, target, monkeypatch):
    usage = shutil.disk_usage(target.parent.parent)._replace(free=500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    refused(lambda: download(server.url, target, copies=2), "600.00 kB are needed, 500.00 kB are free")
    assert left(target) == set()
    download(server.url, target)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    refused(lambda: download(server.url, tmp_path / "file" / "model.bin"), f"{tmp_path}/file", "STREAM_BIND_MODELS")


def test_two_downloads_of_one_file_do_not_write_into_each_other(server, target):
    def second(done: int, total: int | None) -> None:
        if done == 50_000:
            refused(lambda: download(server.url, target), "another process is writing this file")

    assert download(server.url, target, progress=second).sha256 == DIGEST


def test_a_folder_on_a_stick_serves_too(target, tmp_path):
    stick = tmp_path / "stick.bin"
    stick.write_bytes(DATA)
    assert download(stick.as_uri(), target).sha256 == DIGEST
    refused(lambda: download((tmp_path / "none.bin").as_uri(), target), "cannot be read", "--url")


@pytest.mark.parametrize("url", ["ftp://host/x", "model.bin", "data:,x"])
def test_other_addresses_are_refused(url, target):
    refused(lambda: download(url, target), "is no address to fetch from")


def test_an_encrypted_address_may_not_lead_to_a_plain_one():
    class Response:
        url = "http://mirror/model.bin"

    refused(lambda: source._check("https://host/model.bin", Response()), "not encrypted")


def test_sizes_read_as_people_write_them():
    assert [human_size(n) for n in (5, 1_356_917, 4_803_147_960)] == ["5 bytes", "1.36 MB", "4.80 GB"]

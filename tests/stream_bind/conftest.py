"""A web server on this machine that can misbehave, for whatever fetches files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class FileServer:
    """Serves `files` by name. The switches say how badly."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.etag: str | None = '"one"'
        self.heeds_if_range = True
        self.says_length = True
        self.content_type = "application/octet-stream"
        self.statuses: list[int] = []
        """Answers of the next requests, instead of the file."""
        self.cuts: list[int] = []
        """Bytes of the body after which the next answers break off."""
        self.requests: list[tuple[str, str | None]] = []
        """Path and Range header of each request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def do_HEAD(self) -> None:
                server.describe(self)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def find(self, path: str) -> bytes | None:
        return self.files.get(path.rpartition("/")[2])

    def describe(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_error(501)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append((handler.path, wanted))
        data = self.find(handler.path)
        status = self.statuses.pop(0) if self.statuses else 200 if data is not None else 404
        if data is None or status != 200:
            handler.send_error(status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if self.heeds_if_range and handler.headers.get("If-Range") not in {None, self.etag}:
            start = 0
        if start and start >= len(data):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Type", self.content_type)
        if self.says_length:
            handler.send_header("Content-Length", str(len(data) - start))
        if self.etag is not None:
            handler.send_header("ETag", self.etag)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[start:][: self.cuts.pop(0) if self.cuts else None])


class HubServer(FileServer):
    """What is used of the Hugging Face hub: HEAD and GET of files at a revision, large ones on another address.

    Headers and answers as the hub gives them (huggingface_hub 1.0, file_download.py and utils/_http.py).
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: dict[str, dict[str, bytes]] = {}
        """By commit, the files as REPOSITORY/NAME."""
        self.branches: dict[str, str] = {}
        self.large = 10_000
        """Bytes from which a file is kept apart, under its sha256."""
        self.store = f"http://localhost:{self.http.server_port}/store"
        """The hub sends its visitors to another host for large files."""
        self.names_digests = True
        self.head_statuses: list[int] = []
        """Answers of the next HEAD requests."""
        self.heads: list[str] = []

    def find(self, path: str) -> bytes | None:
        if path.startswith("/store/"):
            return next(
                (d for files in self.commits.values() for d in files.values() if path.endswith(_sha256(d))), None
            )
        found = self._resolved(path)
        return found[1] if isinstance(found, tuple) else super().find(path)

    def _resolved(self, path: str) -> tuple[str, bytes] | str:
        """Commit and content, or the hub's word for what is not there."""
        repository, _, rest = path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        commit = self.branches.get(revision, revision)
        if not any(key.startswith(f"{repository}/") for files in self.commits.values() for key in files):
            return "RepoNotFound"
        if commit not in self.commits:
            return "RevisionNotFound"
        data = self.commits[commit].get(f"{repository}/{name}")
        return "EntryNotFound" if data is None else (commit, data)

    def describe(self, handler: BaseHTTPRequestHandler) -> None:
        self.heads.append(handler.path)
        if self.head_statuses:
            handler.send_error(self.head_statuses.pop(0))
            return
        found = self._resolved(handler.path)
        if isinstance(found, str):
            handler.send_response(401 if found == "RepoNotFound" else 404)
            handler.send_header("X-Error-Code", found)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        commit, data = found
        apart = len(data) >= self.large
        handler.send_response(302 if apart else 200)
        handler.send_header("X-Repo-Commit", commit)
        handler.send_header("ETag", f'"{_git_hash(data)}"')
        if apart:
            handler.send_header("Location", f"{self.store}/{_sha256(data)}")
            handler.send_header("X-Linked-Size", str(len(data)))
            if self.names_digests:
                handler.send_header("X-Linked-ETag", f'"{_sha256(data)}"')
        handler.send_header("Content-Length", "0" if apart else str(len(data)))
        handler.end_headers()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        data = self.find(handler.path)
        if data is None or len(data) < self.large or handler.path.startswith("/store/") or self.statuses:
            super().answer(handler)
            return
        self.requests.append((handler.path, handler.headers.get("Range")))
        handler.send_response(302)
        handler.send_header("Location", f"{self.store}/{_sha256(data)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def _running(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with _running(FileServer(), monkeypatch) as server:
        yield server


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    with _running(server, monkeypatch):
        yield server

"""A web server on this machine that can misbehave, for whatever fetches files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.requests.append((handler.path, wanted))
        data = self.files.get(handler.path.rpartition("/")[2])
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


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = FileServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()

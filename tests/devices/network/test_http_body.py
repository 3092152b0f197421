"""Getting at a camera's body: passwords, redirects, refusals, TLS, and an answer that never ends its headers."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devices.http_body import HttpBody
from stream_bind.errors import DeviceError

OK = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\nhello"
Scripted = Callable[..., Any]


def open_body(port: int, where: str = "/cam", user: str = "", scheme: str = "http", **settings: Any) -> HttpBody:
    url = f"{scheme}://{user}127.0.0.1:{port}{where}"
    return HttpBody("cam", url, settings.pop("timeout_s", 5.0), **settings)


def receive(body: HttpBody, n: int) -> bytes:
    data, end = b"", time.monotonic() + 5
    while len(data) < n and time.monotonic() < end:
        body.wait(0.1)
        data += body.receive() or b""
    return data


def test_the_body_begins_where_the_headers_end(scripted: Scripted) -> None:
    server = scripted(OK)
    body = open_body(server.port, "/a b?x=1")
    assert body.content_type.startswith("multipart/")
    assert receive(body, 5) == b"hello"
    assert body.receive() == b"", "nothing more, and no waiting for it"
    server.close()
    assert body.wait(1.0)
    assert body.receive() is None
    body.close()
    assert f"Host: 127.0.0.1:{server.port}" in server.requests[0]
    assert "Authorization" not in server.requests[0]


def test_transfer_chunks_are_taken_off(scripted: Scripted) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = open_body(scripted(head + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").port)
    assert receive(body, 7) == b"abcdefg"
    assert body.receive() is None


def test_basic_authorization_is_answered(scripted: Scripted) -> None:
    server = scripted(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n', OK)
    open_body(server.port, user="me:s%40cret@")
    assert "Authorization" not in server.requests[0], "a password is not offered unasked"
    sent = re.search(r"Authorization: Basic (\S+)", server.requests[1])
    assert sent is not None
    assert base64.b64decode(sent.group(1)) == b"me:s@cret"


@pytest.mark.parametrize(
    ("asked", "new"),
    [
        ('realm="r", nonce="n1", qop="auth,auth-int", opaque="o"', hashlib.md5),
        ('realm="r", nonce="n1", algorithm=SHA-256, qop="auth"', hashlib.sha256),
        ('realm="r", nonce="n1"', hashlib.md5),
        ('realm="r", nonce="n1", algorithm=MD5-sess, qop="auth"', hashlib.md5),
    ],
)
def test_digest_authorization_is_answered(scripted: Scripted, asked: str, new: Any) -> None:
    challenge = f'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x", Digest {asked}\r\n\r\n'
    server = scripted(challenge.encode(), OK)
    open_body(server.port, "/cam?q=1", user="me:secret@")
    line = next(one for one in server.requests[1].split("\r\n") if one.startswith("Authorization: Digest"))
    said = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', line)}

    def h(text: str) -> str:
        return str(new(text.encode()).hexdigest())

    # RFC 7616, written out once more.
    ha1, ha2 = h("me:r:secret"), h("GET:/cam?q=1")
    if "sess" in asked:
        ha1 = h(f"{ha1}:n1:{said['cnonce']}")
    middle = f"{said['nc']}:{said['cnonce']}:auth:" if "qop" in asked else ""
    assert said["response"] == h(f"{ha1}:n1:{middle}{ha2}")
    assert said["uri"] == "/cam?q=1"
    assert said.get("opaque", "o") == "o"
    assert "secret" not in line


@pytest.mark.parametrize(
    ("answer", "user", "words"),
    [
        (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n", "", r"wants a user and a password \(401\).*user:passw"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "", r"has no /cam \(404\).*manual"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "", r"forbids this \(403\)"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "", r"answered 503 Service Unavailable"),
        (b"HTTP/1.1 302 Found\r\nLocation: rtsp://x/y\r\n\r\n", "", r"sends on to rtsp://x/y"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "", r"no HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", "", r"hung up without an answer"),
        (b"HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\n\r\n", "me:secret@", r"wants Negotiate"),
    ],
)
def test_a_refusal_says_what_to_do(scripted: Scripted, answer: bytes, user: str, words: str) -> None:
    def answer_and_hang_up(peer: socket.socket) -> None:
        peer.sendall(answer)
        peer.close()

    with pytest.raises(DeviceError, match=words) as caught:
        open_body(scripted(answer_and_hang_up).port, user=user)
    assert not caught.value.permanent, "a camera that boots or is being set up answers so too"
    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_said_once_and_not_shown(scripted: Scripted) -> None:
    refusal = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n"\r\n\r\n'
    server = scripted(refusal, refusal)
    with pytest.raises(DeviceError, match="refuses user or password") as caught:
        open_body(server.port, user="me:secret@")
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 2


def test_a_redirect_is_followed_and_the_password_stays_with_its_host(scripted: Scripted) -> None:
    stranger = scripted(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n')
    elsewhere = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{stranger.port}/\r\n\r\n".encode()
    here = scripted(b"HTTP/1.1 301 Moved\r\nLocation: /live\r\n\r\n", OK)
    open_body(here.port)
    assert here.requests[1].startswith("GET /live ")
    with pytest.raises(DeviceError, match="401"):
        open_body(scripted(elsewhere).port, user="me:secret@")
    assert "Authorization" not in "".join(stranger.requests)


def test_a_redirect_in_a_circle_ends(scripted: Scripted) -> None:
    with pytest.raises(DeviceError, match="on and on"):
        open_body(scripted(*[b"HTTP/1.1 302 Found\r\nLocation: /cam\r\n\r\n"] * 9).port)


def test_an_answer_that_trickles_for_ever_is_given_up_in_time(scripted: Scripted) -> None:
    def trickle(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            peer.sendall(b"X: y\r\n")
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(DeviceError, match=r"no answer for 0\.5 s"):
        open_body(scripted(trickle).port, timeout_s=0.5)
    assert time.monotonic() - began < 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no certificate for the test")
def test_a_certificate_of_the_cameras_own_is_refused_unless_allowed(scripted: Scripted, tmp_path: Path) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        for _ in range(2):
            peer, _ = listener.accept()
            try:
                with context.wrap_socket(peer, server_side=True) as safe:
                    safe.recv(4096)
                    safe.sendall(OK + b"." * 100_000)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with pytest.raises(DeviceError, match=r"not trusted.*verify_tls: false"):
        open_body(port, scheme="https")
    body = open_body(port, scheme="https", verify_tls=False)
    assert len(receive(body, 100_005)) == 100_005
    body.close()
    thread.join(5)
    listener.close()


@pytest.mark.parametrize(
    "url",
    ["http://me:se@cret@[::1/x", "http://me:se/cret@host/", "http://me:secret@host:99999/", "http://me:secret@/x"],
)
def test_an_address_that_is_none_is_a_sentence_without_the_password(url: str) -> None:
    with pytest.raises(DeviceError, match=r"is no address .*written as %40") as caught:
        HttpBody("cam", url, 1.0)
    assert caught.value.permanent
    assert "cret" not in str(caught.value)
